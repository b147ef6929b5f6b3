//! The queues of libsharedmemory: byte for byte, with partners in Python and C, and with hostile and dying
//! partners.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::layouts::{
    NO_WAIT, Random, WAIT, bytes_of, fresh, golden, hex, open, planted, read_only, rounds,
};
use crate::common::{Peer, SetAtEnd};
use shm_segment::Segment;
use shm_segment::layout::Error;
use shm_segment::layout::queue::{Queue, Version};

/// The name of each version in the golden files and for the partners, and the size of its header.
const VERSIONS: [(&str, Version, u64); 2] = [("v1", Version::V1, 20), ("v2", Version::V2, 28)];

const WRITE_INDEX_AT: u64 = 0;
const READ_INDEX_AT: u64 = 4;
const CAPACITY_AT: u64 = 8;
const COUNT_AT: u64 = 12;
const MAX_MESSAGE_AT: u64 = 16;
const PRODUCERS_LOCK: u64 = 20;
const CONSUMERS_LOCK: u64 = 24;

fn dequeue(queue: &Queue, segment: &Segment) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    queue.dequeue_into(segment, &mut bytes, NO_WAIT).map(|()| bytes)
}

fn peek(queue: &Queue, segment: &Segment) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    queue.peek_into(segment, &mut bytes, NO_WAIT).map(|()| bytes)
}

/// Creates a queue for `capacity` messages of up to `longest` bytes.
fn new_queue(
    version: Version,
    header: u64,
    capacity: u64,
    longest: u64,
) -> (crate::common::Name, Segment, Queue) {
    let (name, ours) = fresh(header + capacity * (4 + longest));
    let queue = Queue::attach(&ours, version, longest).unwrap();
    (name, ours, queue)
}

#[test]
fn a_queue_is_empty_until_there_is_a_message() {
    for (_, version, _) in VERSIONS {
        let (_name, segment) = fresh(4096);
        let queue = Queue::attach(&segment, version, 16).unwrap();
        assert!(queue.is_empty(&segment).unwrap());
        queue.enqueue(&segment, b"one", NO_WAIT).unwrap();
        assert!(!queue.is_empty(&segment).unwrap());
        assert_eq!(dequeue(&queue, &segment).unwrap(), b"one");
        assert!(queue.is_empty(&segment).unwrap());
    }
}

#[test]
fn golden_files_are_read() {
    for (label, version, _) in VERSIONS {
        let (_ours, theirs) = planted(&golden(&format!("queue_{label}_full")));
        let queue = Queue::attach(&theirs, version, 0).unwrap();
        assert_eq!((queue.capacity(&theirs).unwrap(), queue.max_message_size(&theirs).unwrap()), (3, 9));
        assert!(queue.is_full(&theirs).unwrap(), "{label}");
        for (left, message) in [(2, "first"), (1, ""), (0, "nine byte")] {
            assert_eq!(peek(&queue, &theirs).unwrap(), message.as_bytes(), "{label}");
            assert_eq!(dequeue(&queue, &theirs).unwrap(), message.as_bytes(), "{label}");
            assert_eq!(queue.count(&theirs).unwrap(), left, "{label}");
        }
        assert!(queue.is_empty(&theirs).unwrap());
        assert!(matches!(dequeue(&queue, &theirs), Err(Error::Empty)), "{label}");
        assert!(matches!(peek(&queue, &theirs), Err(Error::Empty)), "{label}");
    }
}

#[test]
fn written_bytes_match_the_golden_files() {
    for (label, version, header) in VERSIONS {
        let same = |segment: &Segment, name: &str| {
            let golden = golden(&format!("queue_{label}_{name}"));
            assert_eq!(hex(&bytes_of(segment)), hex(&golden), "{label} {name}");
        };
        let (_name, ours) = fresh(header + 3 * 13 + 2);
        let queue = Queue::attach(&ours, version, 9).unwrap();
        same(&ours, "new");
        for message in ["first", "", "nine byte"] {
            assert!(!queue.is_full(&ours).unwrap());
            queue.enqueue(&ours, message.as_bytes(), NO_WAIT).unwrap();
        }
        same(&ours, "full");
        assert!(matches!(queue.enqueue(&ours, b"x", NO_WAIT), Err(Error::Full { capacity: 3 })), "{label}");
        assert!(matches!(
            queue.enqueue(&ours, b"ten bytes!", NO_WAIT),
            Err(Error::TooLarge { size: 10, limit: 9 })
        ));
        same(&ours, "full");
        dequeue(&queue, &ours).unwrap();
        queue.enqueue(&ours, b"around", NO_WAIT).unwrap();
        same(&ours, "around");
        queue.reset(&ours).unwrap();
        assert_eq!(
            hex(&bytes_of(&ours)[..header as usize]),
            hex(&golden(&format!("queue_{label}_new"))[..header as usize])
        );
    }
}

#[test]
fn attach_lays_out_as_many_messages_as_fit() {
    for (label, version, header) in VERSIONS {
        let (name, ours) = fresh(header + 100);
        let theirs = open(&name);
        for (longest, limit) in [(0, 96), (97, 96), (u64::MAX, 96)] {
            let result = Queue::attach(&ours, version, longest);
            assert!(
                matches!(result, Err(Error::InvalidElementSize { given, limit: l, .. }) if given == longest && l == limit),
                "{label}: {result:?}"
            );
        }
        let queue = Queue::attach(&ours, version, 16).unwrap();
        assert_eq!(queue.capacity(&ours).unwrap(), 5, "{label}");
        queue.enqueue(&ours, b"x", NO_WAIT).unwrap();
        // Attaching again finds the existing queue.
        let again = Queue::attach(&ours, version, 16).unwrap();
        assert_eq!((again.count(&ours).unwrap(), again.max_message_size(&ours).unwrap()), (1, 16), "{label}");
        let wanted = Queue::attach(&theirs, version, 17).unwrap_err();
        assert!(matches!(wanted, Error::LaidOutSmaller { found: 16, wanted: 17, .. }), "{wanted:?}");
        assert!(wanted.to_string().contains("16") && wanted.to_string().contains("17"), "{wanted}");
        let theirs = Queue::attach(&theirs, version, 0).unwrap();
        assert_eq!(dequeue(&theirs, &ours).unwrap(), b"x", "{label}");

        let (_name, ours) = fresh(header + 4);
        let result = Queue::attach(&ours, version, 1);
        assert!(matches!(result, Err(Error::SegmentTooSmall { .. })), "{label}: {result:?}");
        let (_name, ours) = fresh(header + 5);
        let queue = Queue::attach(&ours, version, 1).unwrap();
        for byte in [b"1", b"2", b"3"] {
            queue.enqueue(&ours, byte, NO_WAIT).unwrap();
            assert_eq!(dequeue(&queue, &ours).unwrap(), byte, "{label}");
        }
    }
}

#[test]
fn attach_finds_nothing_wrong_while_the_header_is_laid_out() {
    for (label, version, _) in VERSIONS {
        for round in 0..rounds(500) {
            let (name, ours) = fresh(200);
            let theirs = open(&name);
            let both = Barrier::new(2);
            thread::scope(|scope| {
                scope.spawn(|| {
                    both.wait();
                    let queue = Queue::attach(&ours, version, 9).unwrap();
                    queue.enqueue(&ours, b"x", NO_WAIT).unwrap();
                });
                both.wait();
                let start = Instant::now();
                loop {
                    match Queue::attach(&theirs, version, 0) {
                        Ok(_) => break,
                        Err(Error::NotLaidOutYet { .. }) if start.elapsed() < WAIT => {}
                        Err(other) => panic!("{label} round {round}: {other}"),
                    }
                }
            });
        }
    }
}

#[test]
fn read_only_memory_is_not_changed() {
    for (label, version, header) in VERSIONS {
        let (name, ours, queue) = new_queue(version, header, 3, 9);
        queue.enqueue(&ours, b"x", NO_WAIT).unwrap();
        let before = bytes_of(&ours);
        let theirs = read_only(&name);
        let looking = Queue::attach(&theirs, version, 0).unwrap();
        assert_eq!(looking.count(&theirs).unwrap(), 1);
        let mut refused = vec![
            looking.enqueue(&theirs, b"y", NO_WAIT),
            dequeue(&looking, &theirs).map(|_| ()),
            looking.reset(&theirs),
        ];
        match version {
            Version::V1 => assert_eq!(peek(&looking, &theirs).unwrap(), b"x"),
            Version::V2 => refused.push(peek(&looking, &theirs).map(|_| ())),
        }
        for result in refused {
            assert!(
                matches!(result, Err(Error::Segment(shm_segment::Error::ReadOnly { .. }))),
                "{label}: {result:?}"
            );
        }
        assert_eq!(bytes_of(&ours), before, "{label}");
    }
}

#[test]
fn each_wait_for_a_lock_has_a_limit() {
    let (_name, ours, queue) = new_queue(Version::V2, 28, 3, 9);
    queue.enqueue(&ours, b"before", NO_WAIT).unwrap();
    for wait in [Duration::ZERO, Duration::from_millis(20)] {
        ours.store_u32(PRODUCERS_LOCK, 1).unwrap();
        let before = bytes_of(&ours);
        let start = Instant::now();
        let result = queue.enqueue(&ours, b"x", wait);
        assert!(matches!(result, Err(Error::TimedOut { .. })), "{result:?}");
        assert!(start.elapsed() >= wait && start.elapsed() < wait + Duration::from_secs(5));
        assert_eq!(bytes_of(&ours), before);
        assert_eq!(dequeue(&queue, &ours).unwrap(), b"before", "the other side still works");
        ours.store_u32(PRODUCERS_LOCK, 0).unwrap();

        ours.store_u32(CONSUMERS_LOCK, 1).unwrap();
        queue.enqueue(&ours, b"before", NO_WAIT).unwrap();
        let before = bytes_of(&ours);
        let mut bytes = Vec::new();
        let result = queue.dequeue_into(&ours, &mut bytes, wait);
        assert!(matches!(result, Err(Error::TimedOut { .. })), "{result:?}");
        let result = queue.peek_into(&ours, &mut bytes, wait);
        assert!(matches!(result, Err(Error::TimedOut { .. })), "{result:?}");
        assert_eq!(bytes_of(&ours), before);
        ours.store_u32(CONSUMERS_LOCK, 0).unwrap();
    }
    ours.store_u32(PRODUCERS_LOCK, 1).unwrap();
    ours.store_u32(CONSUMERS_LOCK, 1).unwrap();
    Queue::attach(&ours, Version::V2, 0).unwrap().reset(&ours).unwrap();
    assert!(queue.is_empty(&ours).unwrap());
    queue.enqueue(&ours, b"after", NO_WAIT).unwrap();
    assert_eq!(dequeue(&queue, &ours).unwrap(), b"after");
}

#[test]
fn every_return_releases_the_lock() {
    let (_name, ours, queue) = new_queue(Version::V2, 28, 1, 9);
    let locks = || (ours.load_u32(PRODUCERS_LOCK).unwrap(), ours.load_u32(CONSUMERS_LOCK).unwrap());
    dequeue(&queue, &ours).unwrap_err();
    queue.enqueue(&ours, b"x", NO_WAIT).unwrap();
    queue.enqueue(&ours, b"x", NO_WAIT).unwrap_err();
    ours.store_u32(28, 10).unwrap();
    assert!(matches!(dequeue(&queue, &ours), Err(Error::Invalid { found: 10, .. })));
    assert_eq!(queue.count(&ours).unwrap(), 1, "a message that can't be taken out stays");
    ours.store_u32(WRITE_INDEX_AT, 1).unwrap();
    ours.store_u32(COUNT_AT, 0).unwrap();
    assert!(matches!(queue.enqueue(&ours, b"x", NO_WAIT), Err(Error::Invalid { found: 1, .. })));
    assert_eq!(locks(), (0, 0));
}

/// Makes every call, whatever the memory holds. Each returns soon, with a result that fits.
fn call_everything(segment: &Segment, version: Version, context: &str) {
    let start = Instant::now();
    let result = Queue::attach(segment, version, 1);
    let Ok(queue) = result else {
        assert!(
            matches!(
                result,
                Err(Error::Invalid { .. } | Error::NotLaidOutYet { .. } | Error::NotZeros { .. })
            ),
            "{context}: {result:?}"
        );
        return;
    };
    let expected = |result: Result<(), Error>| match result {
        Ok(())
        | Err(
            Error::Invalid { .. }
            | Error::NotLaidOutYet { .. }
            | Error::TimedOut { .. }
            | Error::Empty
            | Error::Full { .. }
            | Error::TooLarge { .. },
        ) => {}
        Err(other) => panic!("{context}: {other}"),
    };
    let mut bytes = Vec::new();
    for _ in 0..3 {
        expected(queue.peek_into(segment, &mut bytes, NO_WAIT));
        assert!((bytes.len() as u64) < segment.size(), "{context}");
        expected(queue.dequeue_into(segment, &mut bytes, NO_WAIT));
        assert!((bytes.len() as u64) < segment.size(), "{context}");
    }
    for _ in 0..6 {
        expected(queue.enqueue(segment, b"x", NO_WAIT));
    }
    expected(queue.enqueue(segment, &[1; 4096], NO_WAIT));
    expected(queue.count(segment).map(|_| ()));
    expected(queue.capacity(segment).map(|_| ()));
    queue.reset(segment).unwrap();
    queue.enqueue(segment, b"y", NO_WAIT).unwrap();
    assert_eq!(dequeue(&queue, segment).unwrap(), b"y", "{context}");
    assert!(start.elapsed() < Duration::from_secs(5), "{context}");
}

/// A header that says something wrong is refused by its field, not only by the operation that needs it.
#[test]
fn attach_names_the_wrong_field() {
    for (_, version, header) in VERSIONS {
        let (name, ours, queue) = new_queue(version, header, 4, 16);
        queue.enqueue(&ours, b"one", NO_WAIT).unwrap();
        let theirs = open(&name);
        for (at, value, what) in [
            (WRITE_INDEX_AT, 4, "the write index"),
            (READ_INDEX_AT, 4, "the read index"),
            (COUNT_AT, 5, "the number of messages"),
            (CAPACITY_AT, 0, "the capacity"),
            (MAX_MESSAGE_AT, 0, "the size of the longest message"),
        ] {
            let before = ours.load_u32(at).unwrap();
            ours.store_u32(at, value).unwrap();
            let error = Queue::attach(&theirs, version, 0).unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }), "{what}: {error}");
            assert!(error.to_string().contains(what), "{what}: {error}");
            ours.store_u32(at, before).unwrap();
        }
        Queue::attach(&theirs, version, 0).unwrap();
    }
}

#[test]
fn no_field_is_trusted() {
    for (label, version, header) in VERSIONS {
        for state in ["new", "full", "around"] {
            let mut golden = golden(&format!("queue_{label}_{state}"));
            let size = golden.len();
            let (ours, theirs) = planted(&golden);
            // The header, and the length of each slot.
            let slots = (0..3).map(|slot| header + slot * 13);
            for at in (0..header).step_by(4).chain(slots) {
                let at = at as usize;
                let values = crate::common::layouts::hostile_values(size as u64).into_iter();
                // Values that would fit if one of the two fields were not checked, or if their product
                // wrapped around.
                for value in values.chain([3, 4, 10, 0x1555_5556, 0xFFFF_FFFC]) {
                    golden[at..at + 4].copy_from_slice(&value.to_le_bytes()[..4]);
                    ours.write(0, &golden).unwrap();
                    call_everything(&theirs, version, &format!("{label} {state}: {value:#x} at {at}"));
                }
                golden = crate::common::layouts::golden(&format!("queue_{label}_{state}"));
            }
        }
    }
}

#[test]
fn random_bytes_do_no_harm() {
    let mut random = Random::new();
    const SIZE: usize = 200;
    let (ours, theirs) = planted(&[0; SIZE]);
    for round in 0..rounds(5000) {
        let mut bytes: Vec<u8> = (0..SIZE).map(|_| random.byte()).collect();
        // Otherwise nearly all would be refused for their capacity.
        for at in (0..20).step_by(4) {
            if random.below(16) != 0 {
                bytes[at] &= 0x0F;
                bytes[at + 1..at + 4].fill(0);
            }
        }
        if random.below(2) == 0 {
            bytes[20..28].fill(0);
        }
        for (label, version, _) in VERSIONS {
            ours.write(0, &bytes).unwrap();
            call_everything(&theirs, version, &format!("{label} round {round}: {}", hex(&bytes)));
        }
    }
}

#[test]
fn a_header_that_changes_during_a_call_does_no_harm() {
    for (label, version, header) in VERSIONS {
        let (ours, theirs) = planted(&golden(&format!("queue_{label}_full")));
        let queue = Queue::attach(&theirs, version, 0).unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let guard = SetAtEnd(&done);
            scope.spawn(|| {
                let mut random = Random::with_seed(header);
                let fields = [
                    WRITE_INDEX_AT,
                    READ_INDEX_AT,
                    CAPACITY_AT,
                    COUNT_AT,
                    MAX_MESSAGE_AT,
                    header,
                    PRODUCERS_LOCK,
                ];
                let values = [0, 1, 2, 3, 4, 9, 10, 1 << 31, u32::MAX];
                while !done.load(Ordering::Relaxed) {
                    let at = fields[random.below(fields.len() as u64) as usize];
                    let value = values[random.below(values.len() as u64) as usize];
                    ours.write(at, &value.to_le_bytes()).unwrap();
                    if random.below(4) == 0 {
                        ours.write(0, &golden(&format!("queue_{label}_full"))).unwrap();
                    }
                }
            });
            let result = std::panic::catch_unwind(|| {
                let mut bytes = Vec::new();
                let mut outcomes = [0; 2];
                for _ in 0..50_000 {
                    for result in [
                        queue.dequeue_into(&theirs, &mut bytes, NO_WAIT),
                        queue.peek_into(&theirs, &mut bytes, NO_WAIT),
                        queue.enqueue(&theirs, b"x", NO_WAIT),
                    ] {
                        outcomes[usize::from(result.is_ok())] += 1;
                        assert!(!matches!(result, Err(Error::Segment(_))), "{label}: {result:?}");
                        assert!(bytes.len() < 67);
                    }
                }
                println!("{label}: {} fail, {} succeed", outcomes[0], outcomes[1]);
                assert!(outcomes.iter().all(|count| *count > 100));
            });
            drop(guard);
            result.unwrap();
        });
    }
}

/// In V1, the successor of a dead process finds an index that has moved, and a count that has not.
#[test]
fn operations_interrupted_by_death_are_mended() {
    for capacity in [1, 3, 4, 7] {
        for filled in 0..=capacity {
            for begin in 0..capacity {
                let context = format!("capacity {capacity}, filled {filled}, begin {begin}");
                let (_name, ours, queue) = new_queue(Version::V1, 20, capacity.into(), 9);
                let mut next = 0u8;
                for _ in 0..begin {
                    queue.enqueue(&ours, b"x", NO_WAIT).unwrap();
                    dequeue(&queue, &ours).unwrap();
                }
                for _ in 0..filled {
                    queue.enqueue(&ours, &[next], NO_WAIT).unwrap();
                    next += 1;
                }
                let state = bytes_of(&ours);
                let count = ours.load_u32(COUNT_AT).unwrap();

                // A producer that died before it counted the last message. With one slot, that can't be seen.
                if filled > 0 && capacity > 1 {
                    ours.store_u32(COUNT_AT, count - 1).unwrap();
                    let result = queue.enqueue(&ours, &[next], NO_WAIT);
                    assert_eq!(matches!(result, Err(Error::Full { .. })), filled == capacity, "{context}");
                    let expected = if result.is_ok() { next + 1 } else { next };
                    for i in 0..expected {
                        assert_eq!(dequeue(&queue, &ours).unwrap(), [i], "{context}");
                    }
                    assert!(queue.is_empty(&ours).unwrap(), "{context}");
                }

                // A consumer that died before it counted the first message down.
                ours.write(0, &state).unwrap();
                if filled > 0 && capacity > 1 {
                    ours.store_u32(READ_INDEX_AT, (begin + 1) % capacity).unwrap();
                    for i in 1..next {
                        assert_eq!(peek(&queue, &ours).unwrap(), [i], "{context}");
                        assert_eq!(dequeue(&queue, &ours).unwrap(), [i], "{context}");
                    }
                    assert!(matches!(dequeue(&queue, &ours), Err(Error::Empty)), "{context}");
                }

                // Both at once: the count is right.
                ours.write(0, &state).unwrap();
                if filled > 0 && filled < capacity && capacity > 1 {
                    ours.store_u32(READ_INDEX_AT, (begin + 1) % capacity).unwrap();
                    ours.store_u32(COUNT_AT, count - 1).unwrap();
                    queue.enqueue(&ours, &[next], NO_WAIT).unwrap();
                    for i in 1..=next {
                        assert_eq!(dequeue(&queue, &ours).unwrap(), [i], "{context}");
                    }
                    assert!(queue.is_empty(&ours).unwrap(), "{context}");
                }
            }
        }
    }
}

/// The caller may not be the consumer, which may be alive between its two stores.
#[test]
fn peek_stores_nothing() {
    let (_name, ours, queue) = new_queue(Version::V1, 20, 4, 10);
    for left in [2, 1, 0] {
        queue.reset(&ours).unwrap();
        for message in ["taken", "second", "third"].iter().take(left + 1) {
            queue.enqueue(&ours, message.as_bytes(), NO_WAIT).unwrap();
        }
        // The first of the consumer's two stores.
        ours.store_u32(READ_INDEX_AT, 1).unwrap();
        let before = bytes_of(&ours);
        match peek(&queue, &ours) {
            Ok(message) => assert_eq!((message.as_slice(), left > 0), (b"second".as_slice(), true)),
            Err(error) => assert!(matches!(error, Error::Empty) && left == 0, "{error:?}"),
        }
        assert_eq!(bytes_of(&ours), before, "{left} left");
        // The second store.
        ours.store_u32(COUNT_AT, left as u32).unwrap();
        for message in ["second", "third"].iter().take(left) {
            assert_eq!(dequeue(&queue, &ours).unwrap(), message.as_bytes());
        }
        assert!(matches!(dequeue(&queue, &ours), Err(Error::Empty)));
    }
}

/// V1 is for one consumer and one producer. With more, messages get lost, but the queue stays valid.
#[test]
fn v1_stays_valid_with_too_many_producers_and_consumers() {
    const TIME: Duration = Duration::from_millis(500);
    let (name, _ours, _queue) = new_queue(Version::V1, 20, 3, 10);
    let start = Instant::now();
    thread::scope(|scope| {
        for number in 0..6 {
            let name = &name;
            scope.spawn(move || {
                let segment = open(name);
                let queue = Queue::attach(&segment, Version::V1, 0).unwrap();
                while start.elapsed() < TIME {
                    let result = match number % 3 {
                        0 => queue.enqueue(&segment, b"message", NO_WAIT),
                        1 => dequeue(&queue, &segment).map(|_| ()),
                        _ => peek(&queue, &segment).map(|_| ()),
                    };
                    assert!(matches!(result, Ok(()) | Err(Error::Full { .. } | Error::Empty)), "{result:?}");
                }
            });
        }
    });
}

#[test]
fn a_message_stays_if_taking_it_fails() {
    for (label, version, header) in VERSIONS {
        let (_name, ours, queue) = new_queue(version, header, 3, 10);
        queue.enqueue(&ours, b"message", NO_WAIT).unwrap();
        let before = bytes_of(&ours);
        let refused: Result<(), _> = queue
            .dequeue_as(&ours, NO_WAIT, |message| Err(Error::OutOfMemory { size: message.len() as u64 }));
        assert!(matches!(refused, Err(Error::OutOfMemory { size: 7 })), "{label}: {refused:?}");
        assert_eq!(bytes_of(&ours), before, "{label}");
        let taken = queue.dequeue_as(&ours, NO_WAIT, |message| Ok(message.to_vec()));
        assert_eq!(taken.unwrap(), b"message", "{label}");
        assert!(queue.is_empty(&ours).unwrap(), "{label}");
    }
}

/// Each thread tries to lay the queue out, with another longest message.
#[test]
fn threads_that_lay_out_concurrently_agree() {
    for round in 0..rounds(200) {
        let (_name, ours) = fresh(20 + 10 * 104);
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for longest in [1, 10, 100, 1000] {
                let (ours, start) = (&ours, &start);
                scope.spawn(move || {
                    start.wait();
                    let result = Queue::attach(ours, Version::V1, longest);
                    assert!(matches!(result, Ok(_) | Err(Error::LaidOutSmaller { .. })), "{result:?}");
                });
            }
        });
        let queue = Queue::attach(&ours, Version::V1, 0).unwrap();
        let longest = u64::from(queue.max_message_size(&ours).unwrap());
        assert_eq!(u64::from(queue.capacity(&ours).unwrap()), 1040 / (4 + longest), "round {round}");
    }
}

/// Returns a message that contains its number.
fn message(i: u32) -> Vec<u8> {
    let mut bytes = i.to_le_bytes().to_vec();
    bytes.resize(4 + i as usize % 40, u8::try_from(i % 251).unwrap());
    bytes
}

fn number_of(bytes: &[u8], context: &str) -> u32 {
    let number = u32::from_le_bytes(bytes[..4].try_into().unwrap());
    assert_eq!(bytes, message(number), "{context}: torn");
    number
}

/// Repeats the call until there is room, or a message, or the time is over.
fn patiently(mut call: impl FnMut() -> Result<(), Error>) {
    let start = Instant::now();
    loop {
        match call() {
            Ok(()) => return,
            Err(Error::Full { .. } | Error::Empty) => {
                assert!(start.elapsed() < WAIT, "the other side does nothing");
                thread::yield_now();
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// Not a test: what [`Peer`] runs. `produce` and `consume` go on until they are killed, or have handled the
/// given number of messages. They store their progress at the segment's end.
#[test]
fn peer() {
    if std::env::var_os("SHM_SEGMENT_PEER").is_none() {
        return;
    }
    let line = std::io::stdin().lines().next().unwrap().unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let numbers: Vec<u32> = words[2..].iter().map(|word| word.parse().unwrap()).collect();
    let segment = open(words[1]);
    let (_, version, header) = VERSIONS[numbers[0] as usize];
    let queue = Queue::attach(&segment, version, 0).unwrap();
    // Behind the last slot. The end of the memory depends on the system.
    let message_with_length = 4 + u64::from(queue.max_message_size(&segment).unwrap());
    let noted = header + u64::from(queue.capacity(&segment).unwrap()) * message_with_length;
    println!("answer: ready");
    let mut bytes = Vec::new();
    for i in 0..numbers[1] {
        match words[0] {
            "produce" => {
                let message = message(i);
                patiently(|| queue.enqueue(&segment, &message, WAIT));
            }
            "consume" => {
                patiently(|| queue.dequeue_into(&segment, &mut bytes, WAIT));
                assert_eq!(number_of(&bytes, "peer"), i);
            }
            other => panic!("unknown command {other}"),
        }
        segment.store_u32(noted, i + 1).unwrap();
    }
    println!("answer: done");
}

const MESSAGES: u32 = 10_000;

#[test]
fn two_processes_exchange_messages_in_order() {
    for (number, (label, version, header)) in VERSIONS.into_iter().enumerate() {
        for capacity in [1, 2, 100] {
            let (name, ours) = fresh(header + capacity * 48 + 4);
            let queue = Queue::attach(&ours, version, 44).unwrap();
            assert_eq!(u64::from(queue.capacity(&ours).unwrap()), capacity);
            let start = Instant::now();
            let mut peer = Peer::start("queues::peer");
            assert_eq!(peer.ask(&format!("produce {} {number} {MESSAGES}", &*name)), "ready");
            let mut bytes = Vec::new();
            for i in 0..MESSAGES {
                patiently(|| queue.dequeue_into(&ours, &mut bytes, WAIT));
                assert_eq!(number_of(&bytes, label), i);
            }
            assert_eq!(peer.answer(), "done");
            let there = start.elapsed();

            let mut peer = Peer::start("queues::peer");
            assert_eq!(peer.ask(&format!("consume {} {number} {MESSAGES}", &*name)), "ready");
            for i in 0..MESSAGES {
                let message = message(i);
                patiently(|| queue.enqueue(&ours, &message, WAIT));
            }
            assert_eq!(peer.answer(), "done");
            assert!(queue.is_empty(&ours).unwrap());
            println!("{label}, capacity {capacity}: {there:?}, back {:?}", start.elapsed() - there);
        }
    }
}

#[test]
fn v2_takes_many_producers_and_consumers() {
    const EACH: u32 = 3000;
    let (name, ours, queue) = new_queue(Version::V2, 28, 8, 44);
    let theirs = open(&name);
    let left = std::sync::atomic::AtomicU32::new(4 * EACH);
    let mut received: Vec<u32> = thread::scope(|scope| {
        for producer in 0..4 {
            let segment = if producer % 2 == 0 { &ours } else { &theirs };
            scope.spawn(move || {
                for i in 0..EACH {
                    let message = message(producer * EACH + i);
                    patiently(|| queue.enqueue(segment, &message, WAIT));
                }
            });
        }
        let consumers: Vec<_> = [&ours, &theirs]
            .map(|segment| {
                let left = &left;
                scope.spawn(move || {
                    let (mut bytes, mut mine) = (Vec::new(), Vec::new());
                    let start = Instant::now();
                    while left.load(Ordering::Relaxed) > 0 {
                        match queue.dequeue_into(segment, &mut bytes, WAIT) {
                            Ok(()) => {
                                left.fetch_sub(1, Ordering::Relaxed);
                                mine.push(number_of(&bytes, "many"));
                            }
                            Err(Error::Empty) => thread::yield_now(),
                            Err(other) => panic!("{other}"),
                        }
                        assert!(start.elapsed() < WAIT * 2);
                    }
                    // The messages of one producer come in order.
                    for producer in 0..4 {
                        let of_one: Vec<&u32> = mine.iter().filter(|i| **i / EACH == producer).collect();
                        assert!(of_one.is_sorted());
                    }
                    mine
                })
            })
            .into_iter()
            .collect();
        consumers.into_iter().flat_map(|consumer| consumer.join().unwrap()).collect()
    });
    received.sort_unstable();
    assert!(received.into_iter().eq(0..4 * EACH), "each message once");
}

/// A producer is killed. The messages that it has put into the queue come out, complete and in order, and so
/// do those of the next producer. In V2 its lock may stay taken; then the next producer needs a reset.
#[test]
fn a_killed_producer_loses_nothing() {
    const NEXT: u32 = 1 << 30;
    let mut random = Random::new();
    for (number, (label, version, header)) in VERSIONS.into_iter().enumerate() {
        let (mut left_locked, mut in_the_middle) = (0, 0);
        let rounds = rounds(40);
        for round in 0..rounds {
            let context = format!("{label}, round {round}");
            let (name, ours) = fresh(header + 5 * 48 + 4);
            let queue = Queue::attach(&ours, version, 44).unwrap();
            let mut peer = Peer::start("queues::peer");
            assert_eq!(peer.ask(&format!("produce {} {number} {}", &*name, u32::MAX)), "ready");
            let end = Instant::now() + Duration::from_micros(random.below(2000));
            let (mut bytes, mut expected) = (Vec::new(), 0);
            while Instant::now() < end {
                match queue.dequeue_into(&ours, &mut bytes, WAIT) {
                    Ok(()) => assert_eq!(number_of(&bytes, &context), expected, "{context}"),
                    Err(Error::Empty) => continue,
                    Err(other) => panic!("{context}: {other}"),
                }
                expected += 1;
            }
            peer.kill();
            // The number of messages that it had counted; one more may be in the queue.
            let noted = ours.load_u32(ours.size() - 4).unwrap();
            let mut drain = |expected: &mut u32| {
                loop {
                    match queue.dequeue_into(&ours, &mut bytes, NO_WAIT) {
                        Ok(()) => assert_eq!(number_of(&bytes, &context), *expected, "{context}"),
                        Err(Error::Empty) => return,
                        Err(other) => panic!("{context}: {other}"),
                    }
                    *expected += 1;
                }
            };
            if version == Version::V2 {
                drain(&mut expected);
                assert!(expected == noted || expected == noted + 1, "{context}: {expected}, noted {noted}");
            }
            let mut next = queue.enqueue(&ours, &message(NEXT), Duration::from_millis(10));
            if matches!(next, Err(Error::TimedOut { .. })) && version == Version::V2 {
                left_locked += 1;
                queue.reset(&ours).unwrap();
                next = queue.enqueue(&ours, &message(NEXT), NO_WAIT);
            }
            let mut after = 0;
            if version == Version::V1 {
                // The last message may become visible only now.
                let count = queue.count(&ours).unwrap() - u32::from(next.is_ok());
                for _ in 0..count {
                    queue.dequeue_into(&ours, &mut bytes, NO_WAIT).unwrap();
                    assert_eq!(number_of(&bytes, &context), expected, "{context}");
                    expected += 1;
                }
                assert!(expected == noted || expected == noted + 1, "{context}: {expected}, noted {noted}");
                in_the_middle += u32::from(expected != noted);
            }
            match next {
                Ok(()) => after += 1,
                Err(Error::Full { .. }) => {}
                other => panic!("{context}: {other:?}"),
            }
            let first = after;
            for i in first..20 {
                queue.enqueue(&ours, &message(NEXT + i), NO_WAIT).unwrap();
                after += 1;
                if after >= 5 {
                    queue.dequeue_into(&ours, &mut bytes, NO_WAIT).unwrap();
                    assert_eq!(number_of(&bytes, &context), NEXT + after - 5, "{context}");
                }
            }
        }
        println!(
            "{label}: {left_locked} of {rounds} left the lock taken, {in_the_middle} died before they had noted the last"
        );
    }
}

/// A consumer is killed, and the next one continues. A consumer that dies with a message in hand may have
/// taken it out.
#[test]
fn a_killed_consumer_loses_at_most_one_message() {
    let mut random = Random::new();
    for (number, (label, version, header)) in VERSIONS.into_iter().enumerate() {
        let (mut left_locked, mut in_hand) = (0, 0);
        let rounds = rounds(40);
        for round in 0..rounds {
            let context = format!("{label}, round {round}");
            let (name, ours) = fresh(header + 5 * 48 + 4);
            let queue = Queue::attach(&ours, version, 44).unwrap();
            let mut peer = Peer::start("queues::peer");
            assert_eq!(peer.ask(&format!("consume {} {number} {}", &*name, u32::MAX)), "ready");
            let end = Instant::now() + Duration::from_micros(random.below(2000));
            let mut sent = 0;
            while Instant::now() < end {
                match queue.enqueue(&ours, &message(sent), WAIT) {
                    Ok(()) => sent += 1,
                    Err(Error::Full { .. }) => {}
                    Err(other) => panic!("{context}: {other}"),
                }
            }
            peer.kill();
            let noted = ours.load_u32(ours.size() - 4).unwrap();
            let mut bytes = Vec::new();
            let mut first = None;
            // Makes sure that there is a message.
            let extra = queue.enqueue(&ours, &message(sent), WAIT);
            assert!(matches!(extra, Ok(()) | Err(Error::Full { .. })), "{context}: {extra:?}");
            sent += u32::from(extra.is_ok());
            let mut expected = noted;
            loop {
                match queue.dequeue_into(&ours, &mut bytes, Duration::from_millis(10)) {
                    Ok(()) => {
                        let found = number_of(&bytes, &context);
                        if first.is_none() {
                            first = Some(found);
                            assert!(
                                found == noted || found == noted + 1,
                                "{context}: {found}, noted {noted}"
                            );
                            in_hand += u32::from(found != noted);
                            expected = found;
                        }
                        assert_eq!(found, expected, "{context}");
                        expected += 1;
                    }
                    Err(Error::Empty) => {
                        assert_eq!(expected, sent, "{context}");
                        break;
                    }
                    Err(Error::TimedOut { .. }) if version == Version::V2 => {
                        left_locked += 1;
                        queue.reset(&ours).unwrap();
                        break;
                    }
                    Err(other) => panic!("{context}: {other}"),
                }
            }
            for i in 0..20 {
                queue.enqueue(&ours, &message(i), NO_WAIT).unwrap();
                assert_eq!(number_of(&dequeue(&queue, &ours).unwrap(), &context), i, "{context}");
            }
        }
        println!(
            "{label}: {left_locked} of {rounds} left the lock taken, {in_hand} died with a message in hand"
        );
    }
}

#[cfg(target_os = "linux")]
mod partners {
    use super::*;
    use crate::common::Name;

    #[test]
    fn python_and_rust_exchange_messages() {
        for (label, version, header) in VERSIONS {
            let name = Name::new();
            let mut python = crate::common::layouts::python();
            let size = header + 3 * 44;
            assert_eq!(python.ask(&format!("create {} {size}", &*name)), "done");
            let theirs = open(&name);
            assert!(
                matches!(Queue::attach(&theirs, version, 0), Err(Error::NotLaidOutYet { .. })),
                "{label}"
            );
            assert_eq!(python.ask(&format!("queue {label} 3 40")), "done");
            let queue = Queue::attach(&theirs, version, 0).unwrap();
            for i in 0..10 {
                let there = message(i);
                assert_eq!(python.ask(&format!("enqueue {label} {}", hex(&there))), "done");
                assert_eq!(dequeue(&queue, &theirs).unwrap(), there, "{label}");
                queue.enqueue(&theirs, &there, NO_WAIT).unwrap();
                queue.enqueue(&theirs, b"\0", NO_WAIT).unwrap();
                assert_eq!(python.ask(&format!("dequeue {label}")), hex(&there), "{label}");
                assert_eq!(python.ask(&format!("dequeue {label}")), "00", "{label}");
            }
        }
    }

    /// Both sides use the locks of the partner, concurrently.
    #[test]
    fn c_and_rust_exchange_messages() {
        for (number, (label, version, header)) in [1, 2].into_iter().zip(VERSIONS) {
            for capacity in [1, 100] {
                let (name, ours, queue) = new_queue(version, header, capacity, 44);
                let mut c = crate::common::layouts::c_program();
                assert_eq!(c.ask(&format!("open {}", &*name)), "done");
                c.send(&format!("produce {number} {MESSAGES}"));
                let mut bytes = Vec::new();
                for i in 0..MESSAGES {
                    patiently(|| queue.dequeue_into(&ours, &mut bytes, WAIT));
                    assert_eq!(number_of(&bytes, label), i);
                }
                assert_eq!(c.answer(), "done");
                c.send(&format!("consume {number} {MESSAGES}"));
                for i in 0..MESSAGES {
                    let message = message(i);
                    patiently(|| queue.enqueue(&ours, &message, WAIT));
                }
                assert_eq!(c.answer(), "done", "{label}, capacity {capacity}");
                assert!(queue.is_empty(&ours).unwrap());
            }
        }
    }

    #[test]
    fn a_truncated_segment_is_an_error() {
        for (label, version, header) in VERSIONS {
            let (name, ours, queue) = new_queue(version, header, 100, 90);
            queue.enqueue(&ours, b"x", NO_WAIT).unwrap();
            std::fs::File::options().write(true).open(name.path()).unwrap().set_len(0).unwrap();
            for result in [
                queue.enqueue(&ours, b"x", NO_WAIT),
                dequeue(&queue, &ours).map(|_| ()),
                queue.count(&ours).map(|_| ()),
                queue.reset(&ours),
            ] {
                assert!(
                    matches!(result, Err(Error::Segment(shm_segment::Error::Truncated { .. }))),
                    "{label}: {result:?}"
                );
            }
        }
    }
}
