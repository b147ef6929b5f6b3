//! The native layouts, between segments of one process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shm_segment::layout::Error;
use shm_segment::layout::native::{Place, Queue, Stream};
use shm_segment::{Access, Options, OwnerState, Segment, Waited};

use crate::common::native::{bytes, dequeue, read};

const NOW: Duration = Duration::ZERO;

/// Returns two open segments of the same memory.
fn pair(tag: &str, size: u64) -> (Segment, Segment) {
    let name = shm_segment::generate_name(tag).unwrap();
    let ours = Options::new(&name).create(size).unwrap();
    let theirs = Options::new(&name).open(0, Access::ReadWrite).unwrap();
    (ours, theirs)
}

#[test]
fn a_reader_gets_the_newest_message_and_counts_the_others() {
    let (ours, theirs) = pair("latest", 8192);
    let (writer, reader) = (Stream::attach(&ours, 100, 2).unwrap(), Stream::attach(&theirs, 0, 0).unwrap());
    assert!(matches!(read(&reader, &theirs), Err(Error::Empty)));
    assert_eq!(reader.writer_state(&theirs).unwrap(), OwnerState::Unknown);
    for round in 1..100_u8 {
        writer.write(&ours, &bytes(&[round; 33])).unwrap();
        assert!(reader.has_new_data(&theirs).unwrap());
        if round % 3 == 0 {
            assert_eq!(read(&reader, &theirs).unwrap(), [round; 33]);
            assert!(!reader.has_new_data(&theirs).unwrap());
        }
    }
    assert_eq!(reader.missed(), 64);
    assert_eq!(reader.message_count(&theirs).unwrap(), 99);
    assert_eq!(reader.writer_state(&theirs).unwrap(), OwnerState::Alive);
    assert!(matches!(reader.write(&theirs, &bytes(b"x")), Err(Error::RoleTaken { .. })));
    writer.release(&ours);
    reader.write(&theirs, &bytes(b"x")).unwrap();
    assert_eq!(read(&writer, &ours).unwrap(), b"x");
}

#[test]
fn further_readers_copy_and_check() {
    let (ours, theirs) = pair("unpinned", 8192);
    let writer = Stream::attach(&ours, 100, 1).unwrap();
    let readers: Vec<Stream> = (0..3).map(|_| Stream::attach(&theirs, 0, 0).unwrap()).collect();
    writer.write(&ours, &bytes(b"hello")).unwrap();
    for reader in &readers {
        assert_eq!(read(reader, &theirs).unwrap(), b"hello");
    }
    let view = Options::new(theirs.name().as_str()).open(0, Access::ReadOnly).unwrap();
    let reader = Stream::attach(&view, 0, 0).unwrap();
    assert_eq!(read(&reader, &view).unwrap(), b"hello");
}

#[test]
fn a_queue_keeps_the_order_over_many_rounds() {
    let (ours, theirs) = pair("lanes", 8192);
    let (producer, consumer) = (Queue::attach(&ours, 256, 2).unwrap(), Queue::attach(&theirs, 0, 1).unwrap());
    assert!(matches!(dequeue(&consumer, &theirs), Err(Error::Empty)));
    let (mut next, mut sent) = (0_u64, 0_u64);
    for round in 0..1000_u64 {
        let length = usize::try_from(round % 97).unwrap() + 8;
        let mut content = vec![0; length];
        content[..8].copy_from_slice(&sent.to_le_bytes());
        match producer.enqueue(&ours, &bytes(&content), NOW, || true) {
            Ok(()) => sent += 1,
            Err(Error::NoRoom) => {
                assert_eq!(consumer.filled(&ours).unwrap().messages, sent - next);
                while let Ok(message) = dequeue(&consumer, &theirs) {
                    assert_eq!(message[..8], next.to_le_bytes());
                    next += 1;
                }
                assert_eq!(next, sent);
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(next > 500);
    let filled = producer.filled(&ours).unwrap();
    assert_eq!((filled.put, filled.messages), (sent, sent - next));
    consumer.clear(&theirs).unwrap();
    assert_eq!(producer.filled(&ours).unwrap().messages, 0);
}

#[test]
fn clear_takes_out_what_came_after_the_last_look_too() {
    let (ours, theirs) = pair("cleared", 8192);
    let (producer, consumer) = (Queue::attach(&ours, 256, 1).unwrap(), Queue::attach(&theirs, 0, 1).unwrap());
    let put = |content| producer.enqueue(&ours, &bytes(content), NOW, || true).unwrap();
    put(b"first");
    put(b"second");
    // Now, the consumer has seen two messages, and has taken one.
    dequeue(&consumer, &theirs).unwrap();
    put(b"third");
    consumer.clear(&theirs).unwrap();
    assert!(matches!(dequeue(&consumer, &theirs), Err(Error::Empty)));
}

#[test]
fn a_message_too_short_for_its_shape_is_taken_out() {
    let (ours, theirs) = pair("no-shape", 8192);
    let (producer, consumer) =
        (Queue::attach(&ours, 1024, 1).unwrap(), Queue::attach(&theirs, 0, 1).unwrap());
    let put = |content: &[u8]| producer.enqueue(&ours, &bytes(content), NOW, || true).unwrap();
    // The tags of an array of one dimension, and of an image.
    for tag in [0x0100_0103_u32, 4] {
        for length in [0, 7, 15] {
            let at = 256 + 256 + ours.load_u64(256).unwrap() % 1024 + 4;
            put(&vec![0; length]);
            put(b"next");
            ours.write(at, &tag.to_le_bytes()).unwrap();
            let result = consumer.peek(&theirs, |message| message.to_vec());
            assert!(matches!(result, Err(Error::Invalid { .. })), "{tag} {length}: {result:?}");
            let result = dequeue(&consumer, &theirs);
            assert!(matches!(result, Err(Error::Invalid { .. })), "{tag} {length}: {result:?}");
            assert_eq!(dequeue(&consumer, &theirs).unwrap(), b"next");
        }
        let at = 256 + 256 + ours.load_u64(256).unwrap() % 1024 + 4;
        put(b"x");
        ours.write(at, &tag.to_le_bytes()).unwrap();
        consumer.clear(&theirs).unwrap();
        assert!(matches!(dequeue(&consumer, &theirs), Err(Error::Empty)));
    }
}

#[test]
fn a_wait_ends_by_a_message() {
    let (ours, theirs) = pair("wait", 8192);
    let (producer, consumer) = (Queue::attach(&ours, 256, 1).unwrap(), Queue::attach(&theirs, 0, 1).unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            producer.enqueue(&ours, &bytes(b"late"), NOW, || true).unwrap();
        });
        let waited = consumer.wait(&theirs, Duration::from_secs(10), || true).unwrap();
        assert_eq!(waited, Waited::Changed);
    });
    assert_eq!(dequeue(&consumer, &theirs).unwrap(), b"late");
    producer.release(&ours);
    let gone = consumer.dequeue(&theirs, Duration::from_secs(10), || true, |_| Ok(()));
    assert!(matches!(gone, Err(Error::PartnerGone { .. })), "{gone:?}");
}

#[test]
fn a_side_without_a_role_notices_the_reset_of_another_side() {
    let (ours, theirs) = pair("reset-seen", 8192);
    let (queue, looking) = (Queue::attach(&ours, 256, 1).unwrap(), Queue::attach(&theirs, 0, 1).unwrap());
    queue.enqueue(&ours, &bytes(b"old"), NOW, || true).unwrap();
    queue.reset(&ours).unwrap();
    assert!(matches!(looking.peek(&theirs, |message| message.to_vec()), Err(Error::Empty)));
    queue.enqueue(&ours, &bytes(b"new"), NOW, || true).unwrap();
    assert_eq!(looking.peek(&theirs, |message| message.to_vec()).unwrap(), b"new");

    let (ours, theirs) = pair("reset-counted", 8192);
    let (writer, looking) = (Stream::attach(&ours, 100, 1).unwrap(), Stream::attach(&theirs, 0, 0).unwrap());
    for _ in 0..3 {
        writer.write(&ours, &bytes(b"old")).unwrap();
    }
    writer.reset(&ours).unwrap();
    writer.write(&ours, &bytes(b"new")).unwrap();
    assert_eq!(looking.message_count(&theirs).unwrap(), 1);
}

#[test]
fn a_reset_empties_and_needs_all_roles() {
    let (ours, theirs) = pair("reset", 8192);
    let (writer, reader) = (Stream::attach(&ours, 100, 1).unwrap(), Stream::attach(&theirs, 0, 0).unwrap());
    writer.write(&ours, &bytes(b"old")).unwrap();
    read(&reader, &theirs).unwrap();
    assert!(matches!(writer.reset(&ours), Err(Error::RoleTaken { .. })));
    reader.release(&theirs);
    writer.reset(&ours).unwrap();
    assert!(matches!(read(&reader, &theirs), Err(Error::Empty)));
    let before = reader.sequence();
    writer.write(&ours, &bytes(b"new")).unwrap();
    assert_eq!(read(&reader, &theirs).unwrap(), b"new");
    assert_eq!(reader.sequence(), before + 1);
}

#[test]
fn of_several_sides_that_lay_out_at_once_each_is_attached() {
    for round in 0..50 {
        let (ours, theirs) = pair("race", 1 << 17);
        let queues: Vec<Queue> = std::thread::scope(|scope| {
            let attach = |segment| move || Queue::attach(segment, 4096 << (round % 3), 2);
            let threads = [&ours, &theirs, &ours, &theirs].map(|segment| scope.spawn(attach(segment)));
            threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
        });
        queues[0].enqueue(&ours, &bytes(b"one"), NOW, || true).unwrap();
        assert_eq!(dequeue(&queues[1], &theirs).unwrap(), b"one");
    }
}

#[test]
fn positions_at_the_end_of_the_numbers_are_refused() {
    let (ours, theirs) = pair("positions", 8192);
    let queue = Queue::attach(&ours, 256, 1).unwrap();
    // Both ends of the lane, and the position of both counts.
    for position in [1 << 62, 1 << 63, u64::MAX - 255, u64::MAX - 7] {
        for at in [0x100, 0x110, 0x180, 0x190] {
            ours.store_u64(at, position).unwrap();
        }
        let put = queue.enqueue(&ours, &bytes(b"x"), NOW, || true);
        assert!(matches!(put, Err(Error::Corrupt { .. })), "{position:#x}: {put:?}");
        let taken = dequeue(&Queue::attach(&theirs, 0, 1).unwrap(), &theirs);
        assert!(matches!(taken, Err(Error::Corrupt { .. })), "{position:#x}: {taken:?}");
    }
}

#[test]
fn a_program_without_a_role_goes_on_after_a_reset() {
    let (ours, theirs) = pair("looker", 8192);
    let view = Options::new(theirs.name().as_str()).open(0, Access::ReadOnly).unwrap();
    let (queue, looker) = (Queue::attach(&ours, 256, 1).unwrap(), Queue::attach(&view, 0, 1).unwrap());
    queue.enqueue(&ours, &bytes(b"old"), NOW, || true).unwrap();
    assert_eq!(looker.peek(&view, |message| message.to_vec()).unwrap(), b"old");
    queue.reset(&ours).unwrap();
    assert!(matches!(looker.peek(&view, |message| message.to_vec()), Err(Error::Empty)));
    queue.enqueue(&ours, &bytes(b"new"), NOW, || true).unwrap();
    assert_eq!(looker.peek(&view, |message| message.to_vec()).unwrap(), b"new");
    assert_eq!(looker.filled(&view).unwrap().put, 1);
}

#[test]
fn messages_are_counted_from_a_reset_on() {
    let (ours, theirs) = pair("counted", 8192);
    let (writer, reader) = (Stream::attach(&ours, 100, 1).unwrap(), Stream::attach(&theirs, 0, 0).unwrap());
    for _ in 0..3 {
        writer.write(&ours, &bytes(b"old")).unwrap();
    }
    assert_eq!(reader.message_count(&theirs).unwrap(), 3);
    writer.reset(&ours).unwrap();
    assert_eq!(reader.message_count(&theirs).unwrap(), 0);
    writer.write(&ours, &bytes(b"new")).unwrap();
    assert_eq!(reader.message_count(&theirs).unwrap(), 1);
}

/// Otherwise, an object that was detached would keep the role from others until its wait is over.
#[test]
fn a_wait_that_is_ended_takes_no_role_again() {
    let (ours, theirs) = pair("ended", 8192);
    let (waiter, other) = (Queue::attach(&theirs, 256, 1).unwrap(), Queue::attach(&ours, 0, 1).unwrap());
    let is_wanted = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let wait = || waiter.wait(&theirs, Duration::from_secs(10), || is_wanted.load(Ordering::SeqCst));
        let thread = scope.spawn(wait);
        std::thread::sleep(Duration::from_millis(100));
        assert!(matches!(dequeue(&other, &ours), Err(Error::RoleTaken { .. })));
        is_wanted.store(false, Ordering::SeqCst);
        waiter.release(&theirs);
        assert_eq!(thread.join().unwrap().unwrap(), Waited::Stopped);
        assert!(matches!(dequeue(&other, &ours), Err(Error::Empty)));
    });
}

/// Otherwise, a caller that takes out as many messages as are counted would never end.
#[test]
fn a_false_number_of_messages_is_no_larger_than_the_bytes_allow() {
    let (ours, theirs) = pair("counts", 8192);
    let (producer, consumer) = (Queue::attach(&ours, 256, 1).unwrap(), Queue::attach(&theirs, 0, 1).unwrap());
    producer.enqueue(&ours, &bytes(b"hello"), NOW, || true).unwrap();
    let filled = consumer.filled(&theirs).unwrap();
    assert_eq!((filled.messages, filled.bytes), (1, 16));
    // The pair of the tail and its number, in the first lane.
    let mut pair = [0; 16];
    ours.read(256 + 0x20, &mut pair).unwrap();
    assert_eq!(pair[..8], 16_u64.to_le_bytes());
    ours.write(256 + 0x28, &u64::MAX.to_le_bytes()).unwrap();
    assert_eq!(consumer.filled(&theirs).unwrap().messages, 2);
    assert_eq!(dequeue(&consumer, &theirs).unwrap(), b"hello");
}

#[test]
fn messages_that_were_looked_at_are_taken_out_where_they_were() {
    let (ours, theirs) = pair("ahead", 8192);
    let (producer, consumer) = (Queue::attach(&ours, 512, 2).unwrap(), Queue::attach(&theirs, 0, 1).unwrap());
    let other = Queue::attach(&ours, 0, 1).unwrap();
    let put = |queue: &Queue, content: &[u8]| queue.enqueue(&ours, &bytes(content), NOW, || true).unwrap();
    for content in [b"a1", b"a2", b"a3"] {
        put(&producer, content);
    }
    put(&other, b"b1");
    let look = |most: usize| {
        let mut found = Vec::new();
        let looked = consumer.look_ahead::<Error>(&theirs, |place, message| {
            found.push((place, message?.to_vec()?));
            Ok(found.len() < most)
        });
        looked.map(|()| found)
    };
    let found = look(9).unwrap();
    let contents: Vec<_> = found.iter().map(|(_, content)| content.as_slice()).collect();
    assert_eq!(contents, [b"a1", b"b1", b"a2", b"a3"]);
    assert_eq!(look(2).unwrap(), found[..2]);
    let [a1, b1, a2, a3] = [0, 1, 2, 3].map(|index: usize| found[index].0);
    assert_eq!((a1.lane, b1.lane), (0, 1));
    assert!(a1.end < a2.end && a2.end < a3.end);
    let take_out = |place| consumer.take_out(&theirs, place).unwrap();
    assert!(!take_out(a2));
    assert!(take_out(a1));
    assert!(!take_out(a1));
    assert!(take_out(b1));
    for wrong in [Place { lane: 2, ..a2 }, Place { incarnation: a2.incarnation ^ 1, ..a2 }] {
        assert!(!take_out(wrong));
    }
    assert!(take_out(a2));
    assert_eq!(dequeue(&consumer, &theirs).unwrap(), b"a3");
    assert!(matches!(producer.take_out(&ours, a3), Err(Error::RoleTaken { .. })));
    // An error of the program leaves everything where it is.
    put(&producer, b"a4");
    let failed = consumer.look_ahead::<Error>(&theirs, |_, _| Err(Error::Empty));
    assert!(matches!(failed, Err(Error::Empty)));
    assert_eq!(look(9).unwrap().len(), 1);
}

#[test]
fn a_message_keeps_the_age_that_it_was_written_with() {
    let (ours, theirs) = pair("aged", 8192);
    let (writer, reader) = (Stream::attach(&ours, 100, 2).unwrap(), Stream::attach(&theirs, 0, 0).unwrap());
    let hour = Duration::from_secs(3600);
    for (given, least) in
        [(Some(Duration::ZERO), Some(Duration::ZERO)), (Some(hour), Some(hour)), (None, None)]
    {
        writer.write_aged(&ours, &bytes(b"x"), given).unwrap();
        let read =
            reader.read_written::<_, Error>(&theirs, |_, written| Ok((written.sequence, written.age())));
        let (sequence, age) = read.unwrap();
        assert_eq!(sequence, reader.sequence());
        // This machine may have started less than an hour ago.
        let is_known = least.is_some_and(|least| age.is_some_and(|age| age >= least && age < least + hour));
        assert!(is_known || (given != Some(Duration::ZERO) && age.is_none()), "{given:?}: {age:?}");
    }
    writer.write_aged(&ours, &bytes(b"x"), Some(Duration::MAX)).unwrap();
    assert_eq!(reader.age(&theirs).unwrap(), None);
}
