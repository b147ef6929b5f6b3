//! Single steps of streams. `docs/FORMAT.md` alone is the source of the offsets here.

use std::time::Duration;

use shm_segment::layout::Error;
use shm_segment::layout::native::Stream;
use shm_segment::{Access, Options, Segment, Waited};

use super::letters::{Letter, u32_at, u64_at};
use super::stepper::step;
use crate::common::Name;

const INCARNATION: usize = 0x18;
const FIRST_SEQUENCE: usize = 0x28;
const WANTED: usize = 0x80;
const LATEST: usize = 0x100;
const PINS: usize = 0x180;
const LINE: usize = 128;

/// The operation that is run in single steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Operation {
    /// By the writer that has written the messages before.
    Write,
    /// By another one, which takes the role first.
    TakeOverAndWrite,
    /// With a pin, whose role is taken first.
    Read,
    /// With a pin that the reader has.
    ReadAgain,
    ReadWithoutPin,
    /// There is nothing new, so that the reader asks to be woken.
    Wait,
    LayOut,
    Reset,
    /// Of a reader's roles.
    Release,
    /// A writer as the format describes it, written here, perhaps with a fault.
    Written(Fault),
}

/// The fault of a writer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    None,
    PublishesBeforeTheContent,
    PublishesBeforeTheSequence,
    LeavesTheOldSequence,
    StoresTheSequenceFirst,
    IgnoresPins,
    DoesNotHelp,
    DoesNotWake,
}

impl Fault {
    pub(super) const ALL: [Self; 7] = [
        Self::PublishesBeforeTheContent,
        Self::PublishesBeforeTheSequence,
        Self::LeavesTheOldSequence,
        Self::StoresTheSequenceFirst,
        Self::IgnoresPins,
        Self::DoesNotHelp,
        Self::DoesNotWake,
    ];
}

/// A stream before an operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) operation: Operation,
    pub(super) readers: usize,
    pub(super) limit: usize,
    /// The messages before.
    pub(super) before: u64,
    /// The bytes of the message that is written.
    pub(super) length: usize,
    /// The number of pins in use. The first one is that of a reader that asks, and each further one is that
    /// of a reader in an older slot.
    pub(super) busy: usize,
}

impl Case {
    const fn stride(&self) -> usize {
        LINE + self.limit.next_multiple_of(LINE)
    }

    const fn slot(&self, slot: usize) -> usize {
        PINS + LINE * self.readers + slot * self.stride()
    }

    const fn size(&self) -> usize {
        self.slot(self.readers + 2)
    }

    fn letter(&self, number: u64) -> Letter {
        let length =
            if number == self.before + 1 { self.length } else { (number as usize * 37) % (self.limit + 1) };
        Letter::new(number, length)
    }

    fn attach(&self, segment: &Segment) -> Stream {
        Stream::attach(segment, self.limit as u64, self.readers as u32).unwrap()
    }

    fn write(&self, stream: &Stream, segment: &Segment, number: u64) {
        stream.write(segment, &self.letter(number).message()).unwrap();
    }

    /// Checks all slots, and returns the number of the newest message; 0: none.
    fn check(&self, bytes: &[u8], first: u64) -> u64 {
        let slots = self.readers + 2;
        for slot in 0..slots {
            let header = &bytes[self.slot(slot)..][..self.stride()];
            let sequence = u64_at(header, 0);
            // A reader without a pin takes the message if it finds the same number before and after.
            if sequence != 0 {
                let letter = self.letter(sequence - first);
                assert_eq!(u64_at(header, 8), letter.content.len() as u64, "the length in slot {slot}");
                assert_eq!(u32_at(header, 0x18), letter.tag);
                assert_eq!(header[0x20..0x30], letter.shape_bytes());
                let content = &header[LINE..][..letter.content.len()];
                assert!(content == letter.content, "the content in slot {slot}");
            }
        }
        let latest = u64_at(bytes, LATEST);
        if latest == 0 {
            return 0;
        }
        let slot = (latest & 0xFF) as usize;
        assert!(slot < slots);
        assert_eq!(u64_at(bytes, self.slot(slot)), latest >> 8, "the sequence in the newest slot");
        (latest >> 8) - first
    }

    /// Runs the operation, and checks after each step. Returns the number of steps, and that of the different
    /// states of the memory.
    pub(super) fn run(&self) -> (u64, u64) {
        let name = Name::new();
        let ours = Options::new(&name).create(self.size() as u64).unwrap();
        let theirs = Options::new(&name).open(0, Access::ReadWrite).unwrap();
        let view = Options::new(&name).open(0, Access::ReadOnly).unwrap();
        let (mut now, mut last) = (vec![0; self.size()], Vec::new());
        let mut first = 0;
        let mut operation: Box<dyn FnOnce() + '_> = Box::new(|| {
            self.attach(&ours);
        });
        if self.operation != Operation::LayOut {
            operation = self.prepare(&ours, &theirs, &view);
            ours.read(0, &mut now).unwrap();
            first = u64_at(&now, FIRST_SEQUENCE);
        }
        let scratch = Scratch::new(self, first);
        let (mut states, mut newest) = (0, 0);
        let start = now.clone();
        let steps = step(operation, drop, |_| {
            ours.read(0, &mut now).unwrap();
            if now != last {
                last.clone_from(&now);
                states += 1;
                self.check_pins(&start, &now);
                newest = scratch.check(&now, newest);
            }
        });
        let expected = match self.operation {
            Operation::Write | Operation::TakeOverAndWrite | Operation::Written(_) => self.before + 1,
            Operation::LayOut | Operation::Reset => 0,
            _ => self.before,
        };
        assert_eq!(newest, expected, "the operation has done nothing");
        if expected > self.before {
            self.check_helped(&start, &last);
        }
        (steps, states)
    }

    /// Checks that the slots in use are as they were.
    fn check_pins(&self, start: &[u8], now: &[u8]) {
        for pin in (0..self.readers).map(|reader| PINS + LINE * reader) {
            if let Some(slot) = u32_at(start, pin).checked_sub(2) {
                let range = self.slot(slot as usize)..self.slot(slot as usize + 1);
                assert!(start[range.clone()] == now[range], "slot {slot} is in use");
            }
        }
    }

    /// Checks what a writer does for others before it has finished.
    fn check_helped(&self, start: &[u8], end: &[u8]) {
        let helped = if self.operation == Operation::TakeOverAndWrite { start } else { end };
        let slot = u32_at(helped, LATEST) & 0xFF;
        for pin in (0..self.readers).map(|reader| PINS + LINE * reader) {
            assert!(u32_at(start, pin) != 1 || u32_at(end, pin) == slot + 2, "a reader that asks");
        }
        if u32_at(start, WANTED) != 0 {
            assert_eq!(u32_at(end, WANTED), 0);
            assert_eq!(u32_at(end, WANTED + 4), u32_at(start, WANTED + 4) + 1, "a sleeper is woken");
        }
    }

    fn prepare<'a>(
        &'a self,
        ours: &'a Segment,
        theirs: &'a Segment,
        view: &'a Segment,
    ) -> Box<dyn FnOnce() + 'a> {
        let (writer, reader) = (self.attach(ours), self.attach(theirs));
        for number in 1..=self.before {
            self.write(&writer, ours, number);
        }
        let newest = (ours.load_u64(LATEST as u64).unwrap() & 0xFF) as u32;
        for pin in 0..self.busy as u32 {
            let older = (newest + pin) % (self.readers as u32 + 2);
            let value = if pin == 0 { 1 } else { 2 + older };
            // The last pins, since the first free one is taken by the reader in single steps.
            ours.store_u32((PINS + LINE * (self.readers - 1 - pin as usize)) as u64, value).unwrap();
        }
        // The waiting reader is asleep, for all that the writer knows.
        if matches!(self.operation, Operation::Write | Operation::Written(_)) {
            ours.store_u32(WANTED as u64, 1).unwrap();
        }
        let expected = self.letter(self.before).as_read();
        let read = move |stream: &Stream, segment: &Segment| {
            assert_eq!(stream.read(segment, Letter::of).unwrap(), expected);
        };
        match self.operation {
            Operation::Write => Box::new(move || self.write(&writer, ours, self.before + 1)),
            Operation::TakeOverAndWrite => {
                writer.release(ours);
                Box::new(move || self.write(&writer, ours, self.before + 1))
            }
            Operation::Read => Box::new(move || read(&reader, theirs)),
            Operation::ReadAgain => {
                reader.read(theirs, Letter::of).unwrap();
                Box::new(move || read(&reader, theirs))
            }
            Operation::ReadWithoutPin => {
                let reader = Stream::attach(view, 0, 0).unwrap();
                Box::new(move || read(&reader, view))
            }
            Operation::Wait => {
                reader.read(theirs, Letter::of).unwrap();
                // There is no spinning in the single steps: it has failed here.
                let _ = reader.wait(theirs, Duration::from_micros(20), || true);
                Box::new(move || {
                    let waited = reader.wait(theirs, Duration::from_millis(1), || true);
                    assert_eq!(waited.unwrap(), Waited::TimedOut);
                })
            }
            Operation::Reset => {
                writer.release(ours);
                Box::new(move || writer.reset(ours).unwrap())
            }
            Operation::Release => {
                reader.read(theirs, Letter::of).unwrap();
                Box::new(move || reader.release(theirs))
            }
            Operation::Written(fault) => Box::new(move || self.write_by_hand(ours, fault)),
            Operation::LayOut => unreachable!(),
        }
    }

    /// Writes the next message, with the stores in the order that the fault tells.
    fn write_by_hand(&self, segment: &Segment, fault: Fault) {
        let letter = self.letter(self.before + 1);
        let store = |at: usize, value: u64| segment.store_u64(at as u64, value).unwrap();
        let latest = segment.load_u64(LATEST as u64).unwrap();
        let (newest, sequence) = ((latest & 0xFF) as usize, (latest >> 8) + 1);
        let slots = self.readers + 2;
        let pins: Vec<u32> = (0..self.readers)
            .map(|reader| segment.load_u32((PINS + LINE * reader) as u64).unwrap())
            .collect();
        let is_used = |slot: usize| fault != Fault::IgnoresPins && pins.contains(&(slot as u32 + 2));
        let slot = (1..slots).map(|step| (newest + step) % slots).find(|slot| !is_used(*slot)).unwrap();
        let (at, word) = (self.slot(slot), sequence << 8 | slot as u64);
        if fault != Fault::LeavesTheOldSequence {
            store(at, 0);
        }
        if fault == Fault::StoresTheSequenceFirst {
            store(at, sequence);
        }
        if fault == Fault::PublishesBeforeTheContent {
            store(LATEST, word);
        }
        segment.write((at + LINE) as u64, &letter.content).unwrap();
        let length = (letter.content.len() as u64).to_le_bytes();
        let fields = [&length[..], &[0; 8], &letter.tag.to_le_bytes(), &[0; 4], &letter.shape_bytes()];
        segment.write(at as u64 + 8, &fields.concat()).unwrap();
        if fault == Fault::PublishesBeforeTheSequence {
            store(LATEST, word);
        }
        store(at, sequence);
        store(LATEST, word);
        for reader in 0..self.readers {
            if fault != Fault::DoesNotHelp {
                let pin = (PINS + LINE * reader) as u64;
                segment.compare_exchange_u32(pin, 1, slot as u32 + 2).unwrap();
            }
        }
        if fault != Fault::DoesNotWake {
            segment.store_u32(WANTED as u64, 0).unwrap();
            segment.fetch_add_u32(WANTED as u64 + 4, 1).unwrap();
        }
    }
}

/// Memory of its own for copies, and the processes that go on there.
struct Scratch<'a> {
    case: &'a Case,
    first: u64,
    bytes: std::cell::RefCell<Vec<u8>>,
    writer: Segment,
    reader: Segment,
    view: Segment,
    _name: Name,
}

impl<'a> Scratch<'a> {
    fn new(case: &'a Case, first: u64) -> Self {
        let name = Name::new();
        let writer = Options::new(&name).create(case.size() as u64).unwrap();
        let reader = Options::new(&name).open(0, Access::ReadWrite).unwrap();
        let view = Options::new(&name).open(0, Access::ReadOnly).unwrap();
        Self { case, first, bytes: Vec::new().into(), writer, reader, view, _name: name }
    }

    /// Checks a copy of the memory. `before` is the number of the newest message in the copy before. Returns
    /// that of the newest one.
    fn check(&self, bytes: &[u8], before: u64) -> u64 {
        let case = self.case;
        self.writer.write(0, bytes).unwrap();
        // Finishes what another process has begun.
        let writer = case.attach(&self.writer);
        let mut all = self.bytes.borrow_mut();
        all.resize(bytes.len(), 0);
        self.writer.read(0, &mut all).unwrap();
        let (is_laying_out, is_reset) =
            (case.operation == Operation::LayOut, case.operation == Operation::Reset);
        let is_unfinished = u32_at(bytes, 0) == 0 || u64_at(bytes, INCARNATION) == 0;
        assert!(!is_unfinished || is_laying_out || is_reset);
        assert!(is_unfinished || all[..] == *bytes, "an attachment changes nothing");
        let first = if is_laying_out { u64_at(&all, FIRST_SEQUENCE) } else { self.first };

        let newest = case.check(&all, first);
        let is_emptied = is_reset && newest == 0;
        let is_possible = is_emptied || newest == case.before || newest == case.before + 1;
        assert!(is_possible, "the newest message is {newest}");
        assert!(newest >= before || is_emptied, "the newest message goes back to {newest}");

        self.readers_go_on(newest);
        // A reset leaves the old messages where they are.
        let last = if is_emptied { case.before } else { newest };
        self.writer_goes_on(&writer, &all, first, last);
        newest
    }

    /// Reads in both ways, as processes do that were started again.
    fn readers_go_on(&self, newest: u64) {
        for segment in [&self.view, &self.reader] {
            let reader = Stream::attach(segment, 0, 0).unwrap();
            match reader.read(segment, Letter::of) {
                Ok(read) => assert_eq!(read, self.case.letter(newest).as_read()),
                Err(Error::Empty) => assert_eq!(newest, 0),
                Err(error) => panic!("{error}"),
            }
            reader.release(segment);
        }
    }

    /// Writes more messages than there are slots, as a writer does that was started again.
    fn writer_goes_on(&self, writer: &Stream, bytes: &[u8], first: u64, newest: u64) {
        let case = self.case;
        // The readers that `readers_go_on` has used have changed pins.
        self.writer.write(0, bytes).unwrap();
        let mut used: Vec<Option<(usize, Vec<u8>)>> = vec![None; case.readers];
        let mut now = vec![0; bytes.len()];
        for number in newest + 1..newest + 4 + case.readers as u64 {
            case.write(writer, &self.writer, number);
            self.writer.read(0, &mut now).unwrap();
            assert_eq!(case.check(&now, first), number);
            for (reader, used) in used.iter_mut().enumerate() {
                let (was, is) = (u32_at(bytes, PINS + LINE * reader), u32_at(&now, PINS + LINE * reader));
                match (was, &used) {
                    (0, _) => assert_eq!(is, 0),
                    // The writer has helped when it took the role over, or with its first message. From
                    // here on, the slot stays as it is.
                    (1, None) => {
                        let latest = Some(u64_at(bytes, LATEST)).filter(|latest| *latest != 0);
                        let slot = (latest.unwrap_or_else(|| u64_at(&now, LATEST)) & 0xFF) as usize;
                        assert_eq!(is, slot as u32 + 2, "a reader that asks");
                        *used = Some((slot, now[case.slot(slot)..][..case.stride()].to_vec()));
                    }
                    (2.., None) => {
                        let slot = was as usize - 2;
                        *used = Some((slot, bytes[case.slot(slot)..][..case.stride()].to_vec()));
                    }
                    _ => {}
                }
                if let Some((slot, content)) = used {
                    assert_eq!(is as usize, *slot + 2);
                    assert!(now[case.slot(*slot)..].starts_with(content), "slot {slot} is in use");
                }
            }
            if number == newest + 1 && u32_at(bytes, WANTED) != 0 {
                assert_eq!(u32_at(&now, WANTED), 0);
                assert_eq!(u32_at(&now, WANTED + 4), u32_at(bytes, WANTED + 4) + 1, "a sleeper is woken");
            }
        }
        writer.release(&self.writer);
    }
}
