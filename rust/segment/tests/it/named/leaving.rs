//! The fate of messages when a name leads to other memory.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{LONGEST, dequeue, enqueue, message, read};
use crate::common::Name;
use shm_segment::layout::Error;
use shm_segment::layout::native::{Look, Named, Queue, Stream, look};
use shm_segment::{Options, Segment};

fn seen<L: Named>(name: &Name, side: &(Segment, L)) -> Look<L> {
    look(&Options::new(name), Some((&side.0, &side.1)))
}

/// Goes where the name leads.
fn follow<L: Named>(name: &Name, side: &mut (Segment, L)) {
    let Look::Moved(segment, layout) = seen(name, side) else { panic!("the side stays") };
    *side = (segment, layout);
}

#[test]
fn no_side_begins_to_send_where_the_name_has_gone() {
    let name = Name::new();
    let options = Options::new(&name);
    let owner = Queue::create(&options, 1000, 2).unwrap();
    let side = Queue::open(&options).unwrap();
    enqueue(&owner, b"left");
    drop(owner);
    assert!(matches!(seen(&name, &side), Look::Same));
    let refused = side.1.enqueue(&side.0, &message(b"x"), Duration::ZERO, || true);
    assert!(matches!(refused, Err(Error::NameMoved)), "{refused:?}");
    assert_eq!(dequeue(&side).unwrap(), b"left");
    assert!(matches!(seen(&name, &side), Look::Gone(_)));

    let owner = Stream::create(&options, LONGEST, 2).unwrap();
    let side = Stream::open(&options).unwrap();
    owner.1.write(&owner.0, &message(b"left")).unwrap();
    drop(owner);
    assert!(matches!(seen(&name, &side), Look::Same));
    let refused = side.1.write(&side.0, &message(b"x"));
    assert!(matches!(refused, Err(Error::NameMoved)), "{refused:?}");
    assert_eq!(read(&side).unwrap(), b"left");
}

#[test]
fn a_name_that_comes_back_can_be_used_again() {
    let name = Name::new();
    let _owner = Queue::create(&Options::new(&name), 1000, 2).unwrap();
    let side = Queue::open(&Options::new(&name)).unwrap();
    enqueue(&_owner, b"left");
    let (path, other) = (name.path(), name.path().with_extension("away"));
    std::fs::rename(&path, &other).unwrap();
    assert!(matches!(seen(&name, &side), Look::Same));
    std::fs::rename(&other, &path).unwrap();
    assert!(matches!(seen(&name, &side), Look::Same));
    enqueue(&side, b"x");
}

#[test]
fn a_consumer_gets_what_producers_put_in_before_they_look() {
    let name = Name::new();
    let options = Options::new(&name);
    let owner = Queue::create(&options, 1000, 2).unwrap();
    let (mut producer, mut consumer) = (Queue::open(&options).unwrap(), Queue::open(&options).unwrap());
    enqueue(&producer, b"1");
    assert_eq!(dequeue(&consumer).unwrap(), b"1");
    drop(owner);
    let _owner = Queue::create(&options, 2000, 2).unwrap();
    assert!(matches!(seen(&name, &consumer), Look::Same));
    enqueue(&producer, b"2");
    assert_eq!(dequeue(&consumer).unwrap(), b"2");
    follow(&name, &mut producer);
    follow(&name, &mut consumer);
    enqueue(&producer, b"3");
    assert_eq!(dequeue(&consumer).unwrap(), b"3");
}

#[test]
fn a_consumer_leaves_a_producer_that_does_not_follow() {
    let name = Name::new();
    let options = Options::new(&name);
    let owner = Queue::create(&options, 1000, 2).unwrap();
    let mut consumer = Queue::open(&options).unwrap();
    enqueue(&owner, b"0");
    assert_eq!(dequeue(&consumer).unwrap(), b"0");
    std::fs::remove_file(name.path()).unwrap();
    let other = Queue::create(&options, 1000, 2).unwrap();
    enqueue(&other, b"new");
    let start = Instant::now();
    let mut next = 1;
    loop {
        // There always is a message.
        enqueue(&owner, next.to_string().as_bytes());
        match seen(&name, &consumer) {
            Look::Same => assert_eq!(dequeue(&consumer).unwrap(), next.to_string().as_bytes()),
            Look::Moved(segment, queue) => break consumer = (segment, queue),
            Look::Gone(error) => panic!("{error}"),
        }
        next += 1;
        assert!(start.elapsed() < Duration::from_secs(10), "the consumer stays");
        sleep(Duration::from_millis(5));
    }
    assert!(next > 2, "the consumer did not wait for a producer");
    assert_eq!(dequeue(&consumer).unwrap(), b"new");
}

#[test]
fn a_consumer_takes_out_a_long_queue_however_long_that_takes() {
    let name = Name::new();
    let options = Options::new(&name);
    let owner = Queue::create(&options, 1000, 1).unwrap();
    let consumer = Queue::open(&options).unwrap();
    for content in [b"1", b"2", b"3"] {
        enqueue(&owner, content);
    }
    assert_eq!(dequeue(&consumer).unwrap(), b"1");
    drop(owner);
    let _owner = Queue::create(&options, 2000, 1).unwrap();
    assert!(matches!(seen(&name, &consumer), Look::Same));
    sleep(Duration::from_millis(300));
    for content in [b"2", b"3"] {
        assert!(matches!(seen(&name, &consumer), Look::Same));
        assert_eq!(dequeue(&consumer).unwrap(), content);
    }
    assert!(matches!(seen(&name, &consumer), Look::Moved(..)));
}

#[test]
fn a_side_with_both_roles_takes_out_all_messages() {
    let name = Name::new();
    let options = Options::new(&name);
    let owner = Queue::create(&options, 1000, 2).unwrap();
    let side = Queue::open(&options).unwrap();
    for content in [b"1", b"2"] {
        enqueue(&owner, content);
    }
    assert_eq!(dequeue(&side).unwrap(), b"1");
    enqueue(&side, b"3");
    drop(owner);
    let _owner = Queue::create(&options, 2000, 2).unwrap();
    // Lanes are served in turn.
    for content in [b"3", b"2"] {
        assert!(matches!(seen(&name, &side), Look::Same));
        assert_eq!(dequeue(&side).unwrap(), content);
    }
    assert!(matches!(seen(&name, &side), Look::Moved(..)));
}
