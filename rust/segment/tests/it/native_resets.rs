//! Resets of the native layouts: what they need, what they leave alone, and what they make good.

use std::time::{Duration, Instant};

use shm_segment::layout::Error;
use shm_segment::layout::native::{Queue, Stream};
use shm_segment::{Access, Options, OwnerState, Segment, Waited};

use crate::common::native::{bytes, dequeue, read};

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(20);

/// The offset of the word that tells the newest message of a stream, with its number from bit 8 on.
const LATEST_AT: u64 = 0x100;
/// The largest number of a message.
const LAST_SEQUENCE: u64 = 1 << 55;

/// Returns open segments of the same memory.
fn segments<const N: usize>(tag: &str) -> [Segment; N] {
    let name = shm_segment::generate_name(tag).unwrap();
    let mut first = Some(Options::new(&name).create(8192).unwrap());
    std::array::from_fn(|_| match first.take() {
        Some(created) => created,
        None => Options::new(&name).open(0, Access::ReadWrite).unwrap(),
    })
}

/// Otherwise, another program could take them, and one that waits would be told that its partner has ended.
#[test]
fn a_refused_reset_keeps_the_roles_of_its_object() {
    let [ours, theirs, third] = segments("refused");
    let (writer, reader) = (Stream::attach(&ours, 100, 1).unwrap(), Stream::attach(&theirs, 0, 0).unwrap());
    writer.write(&ours, &bytes(b"x")).unwrap();
    read(&reader, &theirs).unwrap();
    for (stream, segment) in [(&writer, &ours), (&reader, &theirs)] {
        assert!(matches!(stream.reset(segment), Err(Error::RoleTaken { .. })));
    }
    let looker = Stream::attach(&third, 0, 0).unwrap();
    assert_eq!(looker.writer_state(&third).unwrap(), OwnerState::Alive);
    assert!(matches!(looker.write(&third, &bytes(b"y")), Err(Error::RoleTaken { .. })));
    writer.release(&ours);
    assert!(matches!(looker.reset(&third), Err(Error::RoleTaken { .. })), "the reader keeps its pin");

    let [ours, theirs, third] = segments("refused-lanes");
    let (producer, consumer) = (Queue::attach(&ours, 256, 1).unwrap(), Queue::attach(&theirs, 0, 1).unwrap());
    producer.enqueue(&ours, &bytes(b"x"), NOW, || true).unwrap();
    dequeue(&consumer, &theirs).unwrap();
    for (queue, segment) in [(&producer, &ours), (&consumer, &theirs)] {
        assert!(matches!(queue.reset(segment), Err(Error::RoleTaken { .. })));
    }
    let looker = Queue::attach(&third, 0, 1).unwrap();
    assert!(looker.has_producer(&third).unwrap() && looker.has_consumer(&third).unwrap());
}

#[test]
fn a_refused_reset_does_not_end_a_wait() {
    let [ours, theirs] = segments("refused-wait");
    let (producer, consumer) = (Queue::attach(&ours, 256, 1).unwrap(), Queue::attach(&theirs, 0, 1).unwrap());
    producer.enqueue(&ours, &bytes(b"x"), NOW, || true).unwrap();
    dequeue(&consumer, &theirs).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| consumer.wait(&theirs, LONG, || true));
        // Until it has seen the producer.
        std::thread::sleep(Duration::from_millis(100));
        let end = Instant::now() + Duration::from_millis(200);
        while Instant::now() < end {
            assert!(matches!(producer.reset(&ours), Err(Error::RoleTaken { .. })));
            std::thread::sleep(Duration::from_millis(1));
        }
        producer.enqueue(&ours, &bytes(b"y"), NOW, || true).unwrap();
        assert_eq!(thread.join().unwrap().unwrap(), Waited::Changed);
    });
}

/// Another program has filled the memory with zeros, and has laid it out as something else.
#[test]
fn a_reset_leaves_another_layout_alone() {
    let [ours, theirs] = segments("layout");
    let stream = Stream::attach(&ours, 100, 1).unwrap();
    theirs.fill(0, theirs.size(), 0).unwrap();
    let queue = Queue::attach(&theirs, 256, 2).unwrap();
    queue.enqueue(&theirs, &bytes(b"kept"), NOW, || true).unwrap();
    let reset = stream.reset(&ours);
    assert!(matches!(reset, Err(Error::Invalid { .. })), "{reset:?}");
    assert_eq!(dequeue(&queue, &theirs).unwrap(), b"kept");

    let [ours, theirs] = segments("geometry");
    let old = Queue::attach(&ours, 256, 1).unwrap();
    theirs.fill(0, theirs.size(), 0).unwrap();
    let queue = Queue::attach(&theirs, 512, 2).unwrap();
    queue.enqueue(&theirs, &bytes(b"kept"), NOW, || true).unwrap();
    queue.release(&theirs);
    let reset = old.reset(&ours);
    assert!(matches!(reset, Err(Error::Invalid { .. })), "{reset:?}");
    assert_eq!(dequeue(&queue, &theirs).unwrap(), b"kept");
}

/// In a file of locks, the roles of each incarnation have bytes of their own.
#[test]
fn a_side_that_missed_a_reset_still_needs_all_roles() {
    let [ours, theirs, third] = segments("missed");
    let old = Stream::attach(&ours, 100, 1).unwrap();
    let writer = Stream::attach(&theirs, 0, 0).unwrap();
    writer.reset(&theirs).unwrap();
    writer.write(&theirs, &bytes(b"kept")).unwrap();
    assert!(matches!(old.reset(&ours), Err(Error::RoleTaken { .. })));
    assert_eq!(read(&Stream::attach(&third, 0, 0).unwrap(), &third).unwrap(), b"kept");
}

/// A program that wrote what it may not has left numbers at the end of what is possible.
#[test]
fn a_reset_makes_good_the_last_numbers() {
    for sequence in [LAST_SEQUENCE - 1, LAST_SEQUENCE, LAST_SEQUENCE + 1, u64::MAX >> 8] {
        let [ours, theirs] = segments("numbers");
        let (writer, reader) =
            (Stream::attach(&ours, 100, 1).unwrap(), Stream::attach(&theirs, 0, 0).unwrap());
        theirs.store_u64(LATEST_AT, sequence << 8).unwrap();
        let written = (0..3).try_for_each(|_| writer.write(&ours, &bytes(b"x")));
        assert!(written.is_err(), "{sequence:#x}");
        writer.reset(&ours).unwrap();
        for content in [b"1", b"2", b"3"] {
            writer.write(&ours, &bytes(content)).unwrap();
            assert_eq!(read(&reader, &theirs).unwrap(), content, "{sequence:#x}");
        }
        assert!(reader.sequence() < LAST_SEQUENCE / 2, "{sequence:#x}");
    }
}

/// Otherwise, the reader would take each message for a new one forever.
#[test]
fn a_reader_forgets_a_number_that_was_false() {
    for has_pin in [true, false] {
        let [ours, theirs] = segments("false");
        let readers = u32::from(has_pin);
        let writer = Stream::attach(&ours, 100, readers).unwrap();
        let reader = Stream::attach(&theirs, 0, 0).unwrap();
        writer.write(&ours, &bytes(b"x")).unwrap();
        let latest = theirs.load_u64(LATEST_AT).unwrap();
        let slot_at = LATEST_AT + 128 * (1 + u64::from(readers)) + (latest & 0xFF) * 256;
        assert_eq!(theirs.load_u64(slot_at).unwrap(), latest >> 8);
        theirs.store_u64(slot_at, LAST_SEQUENCE).unwrap();
        theirs.store_u64(LATEST_AT, LAST_SEQUENCE << 8 | latest & 0xFF).unwrap();
        assert_eq!(read(&reader, &theirs).unwrap(), b"x");
        assert_eq!(reader.sequence(), LAST_SEQUENCE);
        writer.write(&ours, &bytes(b"y")).unwrap();
        assert!(reader.has_new_data(&theirs).unwrap());
        assert_eq!(read(&reader, &theirs).unwrap(), b"y");
        assert!(!reader.has_new_data(&theirs).unwrap(), "has_pin {has_pin}");
        assert_eq!(reader.sequence(), (latest >> 8) + 1);
    }
}
