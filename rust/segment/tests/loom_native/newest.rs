//! `latest`: nothing torn, nothing older than what the reader had seen.

use loom::sync::Arc;
use loom::thread;

use crate::Result;
use crate::header::{Geometry, LINE};
use crate::latest::{Found, Slots, Writer, free_pin, read_pinned, read_unpinned};
use crate::layout::Error;
use crate::memory::{Copies, Flaw, Memory, View};
use crate::shared::Shared;
use crate::{bytes, explore, must_fail};

const LATEST_AT: u64 = 0x100;
const PINS_AT: u64 = 0x180;
const FIRST_SEQUENCE: u64 = 100;

/// A stream for readers with pins.
#[derive(Clone, Copy)]
struct Setup {
    slots: Slots,
    readers: u32,
    copies: Copies,
    flaw: Flaw,
}

impl Setup {
    fn new(readers: u32, copies: Copies, flaw: Flaw) -> Self {
        Self { slots: Slots::new(Geometry { count: readers, limit: 1 }), readers, copies, flaw }
    }

    /// Returns memory with one message, in slot 1, and these pins.
    fn memory(self, pins: &[u32]) -> Arc<Memory> {
        let (first, stride) = self.slots.slots();
        let slots = || (0..u64::from(self.readers) + 2).map(|slot| first + slot * stride);
        let pins: Vec<_> = (0..).zip(pins).map(|(reader, pin)| (PINS_AT + reader * LINE, *pin)).collect();
        let words: Vec<_> = slots().chain([LATEST_AT]).map(|at| (at, 0)).collect();
        let pieces = slots().flat_map(|at| [at + 8..at + 48, at + LINE..at + LINE + 1]);
        let memory = Memory::new(&pins, &words, pieces, self.copies);
        self.publish(&mut self.writer(&View::new(&memory, Flaw::None)).unwrap(), &memory, 1, u32::MAX)
            .unwrap();
        memory
    }

    fn writer(self, view: &View) -> Result<Writer> {
        Writer::take_over(self.slots, view)
    }

    /// Publishes a message whose parts are all `value`.
    fn publish(self, writer: &mut Writer, memory: &Arc<Memory>, value: u8, accesses: u32) -> Result<u64> {
        let view = View::dying_after(memory, self.flaw, accesses);
        writer.write(self.slots, &view, FIRST_SEQUENCE, value.into(), &bytes(&[value]))
    }

    /// Returns a writer that takes over, and publishes `count` messages, from this value on.
    fn publish_more(self, memory: &Arc<Memory>, from: u8, count: u8) {
        let mut writer = self.writer(&View::new(memory, self.flaw)).unwrap();
        for value in from..from + count {
            self.publish(&mut writer, memory, value, u32::MAX).unwrap();
        }
    }

    fn check(view: &View, found: Found) -> Result<u64> {
        let mut content = [0];
        view.read(found.at, &mut content)?;
        Ok(if u64::from(content[0]) == found.time { found.sequence } else { 0 })
    }

    /// Reads with a pin, and checks that the message is whole, and none that was known to be older.
    fn read(self, memory: &Arc<Memory>, reader: u32, seen: u64) -> u64 {
        let view = View::new(memory, self.flaw);
        let before = self.slots.latest(&view).unwrap().unwrap().sequence.max(seen);
        let sequence = read_pinned(self.slots, &view, reader, |found| Self::check(&view, found));
        let sequence = sequence.unwrap().unwrap();
        assert!(sequence >= before, "{sequence} is torn, or older than {before}");
        sequence
    }

    /// Does the same without a pin. The writer may be too fast.
    fn read_unpinned(self, memory: &Arc<Memory>, seen: u64) -> u64 {
        let view = View::new(memory, self.flaw);
        let before = self.slots.latest(&view).unwrap().unwrap().sequence.max(seen);
        match read_unpinned(self.slots, &view, || Ok(true), |found| Self::check(&view, found)) {
            Ok(sequence) => {
                let sequence = sequence.unwrap();
                assert!(sequence >= before, "{sequence} is torn, or older than {before}");
                sequence
            }
            Err(error) if matches!(*error, Error::Overtaken) => seen,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A reader that reads, beside a writer that goes once around all slots.
fn one_pinned_reader(flaw: Flaw, reads: u32) -> impl Fn() + Send + Sync + 'static {
    move || {
        let setup = Setup::new(1, Copies::Exclusive, flaw);
        let memory = setup.memory(&[0]);
        let writers = Arc::clone(&memory);
        let writer = thread::spawn(move || setup.publish_more(&writers, 2, 3));
        let mut seen = 0;
        for _ in 0..reads {
            seen = setup.read(&memory, 0, seen);
        }
        writer.join().unwrap();
    }
}

#[test]
fn a_pinned_message_is_whole_and_never_older() {
    explore(2, one_pinned_reader(Flaw::None, 1));
    explore(2, one_pinned_reader(Flaw::None, 2));
}

#[test]
fn without_the_full_fence_a_pinned_message_is_torn() {
    must_fail(2, one_pinned_reader(Flaw::NoFullFence, 1));
}

#[test]
fn a_pin_freed_without_an_order_lets_the_writer_into_the_copy() {
    must_fail(2, one_pinned_reader(Flaw::RelaxedU32(0), 1));
}

#[test]
fn asking_without_an_order_lets_the_writer_into_the_copy_before() {
    must_fail(2, one_pinned_reader(Flaw::RelaxedU32(1), 2));
}

#[test]
fn a_message_published_without_an_order_is_torn() {
    must_fail(1, unpinned_reader(Flaw::RelaxedU64));
}

#[test]
fn two_pinned_readers_are_in_nobodys_way() {
    explore(1, || {
        let setup = Setup::new(2, Copies::Exclusive, Flaw::None);
        let memory = setup.memory(&[0, 0]);
        let (writers, others) = (Arc::clone(&memory), Arc::clone(&memory));
        let writer = thread::spawn(move || setup.publish_more(&writers, 2, 3));
        let other = thread::spawn(move || setup.read(&others, 1, 0));
        setup.read(&memory, 0, 0);
        writer.join().unwrap();
        other.join().unwrap();
    });
}

fn unpinned_reader(flaw: Flaw) -> impl Fn() + Send + Sync + 'static {
    move || {
        // Without pins, there are two slots.
        let setup = Setup::new(0, Copies::Torn, flaw);
        let memory = setup.memory(&[]);
        let writers = Arc::clone(&memory);
        let writer = thread::spawn(move || setup.publish_more(&writers, 2, 2));
        setup.read_unpinned(&memory, 0);
        writer.join().unwrap();
    }
}

#[test]
fn a_message_read_without_a_pin_is_whole_and_never_older() {
    explore(1, unpinned_reader(Flaw::None));
}

#[test]
fn without_the_fence_before_a_write_an_unpinned_message_is_torn() {
    must_fail(2, unpinned_reader(Flaw::NoFenceBeforeWrite));
}

#[test]
fn without_the_fence_after_a_copy_an_unpinned_message_is_torn() {
    must_fail(2, unpinned_reader(Flaw::NoFenceAfterRead));
}

/// A writer that dies after some accesses, and is restarted. `pin` is the reader's pin at the beginning.
fn restarted_writer(accesses: u32, pin: u32, take_over: Flaw) -> impl Fn() + Send + Sync + 'static {
    move || {
        let setup = Setup::new(1, Copies::Exclusive, Flaw::None);
        let memory = setup.memory(&[pin]);
        let writers = Arc::clone(&memory);
        let mut first = setup.writer(&View::new(&memory, Flaw::None)).unwrap();
        let writer = thread::spawn(move || {
            let _ = setup.publish(&mut first, &writers, 2, accesses);
            let mut second = setup.writer(&View::new(&writers, take_over)).unwrap();
            for value in [3, 4] {
                setup.publish(&mut second, &writers, value, u32::MAX).unwrap();
            }
        });
        setup.read(&memory, 0, 0);
        writer.join().unwrap();
    }
}

/// A pin on slot 2, from the reader's last read. So the next message comes into slot 0, and the one after it
/// may come into slot 1, where the message at the beginning is.
const ON_SLOT_2: u32 = 4;

#[test]
fn a_restarted_writer_goes_on_where_the_first_one_died() {
    // A publication has 7 accesses, and one more if a reader asks.
    for accesses in 0..9 {
        for pin in [0, ON_SLOT_2] {
            explore(1, restarted_writer(accesses, pin, Flaw::None));
        }
    }
}

/// The first writer dies between the publication and its fence. The second one sees the publication, but not
/// yet that the reader asks, and so takes the slot that this reader is about to pin.
#[test]
fn without_the_fence_at_take_over_a_pinned_message_is_torn() {
    must_fail(1, restarted_writer(6, ON_SLOT_2, Flaw::NoFullFence));
}

#[test]
fn a_restarted_reader_clears_the_pin_of_the_first_one() {
    for accesses in 0..12 {
        explore(1, move || {
            let setup = Setup::new(1, Copies::Exclusive, Flaw::None);
            let memory = setup.memory(&[0]);
            let writers = Arc::clone(&memory);
            let writer = thread::spawn(move || setup.publish_more(&writers, 2, 3));
            let dying = View::dying_after(&memory, Flaw::None, accesses);
            let _ = read_pinned(setup.slots, &dying, 0, |found| Setup::check(&dying, found));
            free_pin(setup.slots, &View::new(&memory, Flaw::None), 0).unwrap();
            setup.read(&memory, 0, 0);
            writer.join().unwrap();
        });
    }
}
