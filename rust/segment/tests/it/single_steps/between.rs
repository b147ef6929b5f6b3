//! A partner acts between two instructions of an operation, and then the operation goes on.

use std::time::Duration;

use shm_segment::layout::native::{Descriptor, Queue, Stream};
use shm_segment::layout::{Error, Result};
use shm_segment::{Access, Options, Segment, Waited};

use super::letters::Letter;
use super::stepper::{Interrupted, interrupt, is_thorough, step};
use crate::common::Name;
use crate::common::random::Random;

const LIMIT: usize = 200;
const RING: u64 = 1024;
const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(60);

fn letter(number: u64) -> Letter {
    Letter::new(number, (number as usize * 37) % (LIMIT + 1))
}

/// The distances, in instructions, between two actions of the partner.
fn distances() -> Vec<u64> {
    if is_thorough() { (1..60).collect() } else { vec![1, 7, 97] }
}

struct Place {
    name: Name,
    ours: Segment,
    theirs: Segment,
}

impl Place {
    fn new() -> Self {
        let name = Name::new();
        let ours = Options::new(&name).create(8192).unwrap();
        let theirs = Options::new(&name).open(0, Access::ReadWrite).unwrap();
        Self { name, ours, theirs }
    }

    fn view(&self) -> Segment {
        Options::new(&self.name).open(0, Access::ReadOnly).unwrap()
    }
}

/// Reads the newest message, which is whole. Returns its number; `None` if the writer is too fast.
fn read(stream: &Stream, segment: &Segment, first: u64) -> Option<u64> {
    check(stream, stream.read(segment, Letter::of), first)
}

fn check(stream: &Stream, read: Result<(Descriptor, Vec<u8>)>, first: u64) -> Option<u64> {
    match read {
        Ok(read) => {
            let number = stream.sequence() - first;
            assert!(read == letter(number).as_read(), "message {number} is not whole");
            Some(number)
        }
        Err(Error::Overtaken) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Returns a writer that has written message 1, and the sequence number before that.
fn writer(place: &Place, readers: u32) -> (Stream, u64) {
    let writer = Stream::attach(&place.ours, LIMIT as u64, readers).unwrap();
    writer.write(&place.ours, &letter(1).message()).unwrap();
    let sequence = writer.newest(&place.ours).unwrap().sequence;
    (writer, sequence - 1)
}

/// A reader gets a whole message while others are written between its instructions.
pub(super) fn messages_are_written_during_a_read() {
    for distance in distances() {
        for has_pin in [true, false] {
            let place = Place::new();
            let (writer, first) = writer(&place, 1);
            let segment = if has_pin { &place.theirs } else { &place.view() };
            let reader = Stream::attach(segment, 0, 0).unwrap();
            let mut number = 1;
            let operation = || reader.read(segment, Letter::of);
            // With a pin, no writer is too fast.
            let verify = |read| assert!(check(&reader, read, first).is_some() || !has_pin);
            step(operation, verify, |steps| {
                if steps.is_multiple_of(distance) {
                    number += 1;
                    writer.write(&place.ours, &letter(number).message()).unwrap();
                }
            });
            assert!(number > 1);
        }
    }
}

/// Readers get whole messages, and never an older one, between the instructions of a writer.
pub(super) fn messages_are_read_during_a_write() {
    for distance in distances() {
        let place = Place::new();
        let (writer, first) = writer(&place, 1);
        let view = place.view();
        let readers = [(&place.theirs, Stream::attach(&place.theirs, 0, 0).unwrap())];
        let viewers = [(&view, Stream::attach(&view, 0, 0).unwrap())];
        let mut newest = 1;
        let write = || {
            for number in 2..5 {
                writer.write(&place.ours, &letter(number).message()).unwrap();
            }
        };
        step(write, drop, |steps| {
            if steps.is_multiple_of(distance) {
                for (segment, stream) in readers.iter().chain(&viewers) {
                    // Nothing changes during these reads, so none is too slow.
                    let number = read(stream, segment, first).unwrap();
                    assert!(number >= newest, "message {number} came after {newest}");
                    newest = number;
                }
            }
        });
        assert_eq!(read(&readers[0].1, &place.theirs, first), Some(4));
    }
}

fn put(queue: &Queue, segment: &Segment, number: u64) -> bool {
    match queue.enqueue(segment, &letter(number).message(), NOW, || true) {
        Ok(()) => true,
        Err(Error::NoRoom) => false,
        Err(error) => panic!("{error}"),
    }
}

fn take(queue: &Queue, segment: &Segment, number: u64) -> bool {
    match queue.dequeue(segment, NOW, || true, Letter::of) {
        Ok(taken) => {
            assert!(taken == letter(number).as_read(), "it isn't message {number}");
            true
        }
        Err(Error::Empty) => false,
        Err(error) => panic!("{error}"),
    }
}

/// The consumer empties the queue between the instructions of the producer, or the other way round.
pub(super) fn both_ends_of_a_queue_move() {
    for distance in distances() {
        for is_producer_stepped in [true, false] {
            let place = Place::new();
            let producer = Queue::attach(&place.ours, RING, 1).unwrap();
            let consumer = Queue::attach(&place.theirs, 0, 1).unwrap();
            let (mut sent, mut taken) = (0, 0);
            let look = |steps: u64, ends: &mut dyn FnMut()| {
                if steps.is_multiple_of(distance) {
                    ends();
                }
            };
            if is_producer_stepped {
                let operation = || {
                    let mut number = 1;
                    while number <= 4 {
                        number += u64::from(put(&producer, &place.ours, number));
                    }
                };
                step(operation, drop, |steps| {
                    look(steps, &mut || taken += u64::from(take(&consumer, &place.theirs, taken + 1)));
                });
                while take(&consumer, &place.theirs, taken + 1) {
                    taken += 1;
                }
                assert_eq!(taken, 4);
            } else {
                assert!(put(&producer, &place.ours, 1));
                sent += 1;
                let operation =
                    || assert!(take(&consumer, &place.theirs, 1) && take(&consumer, &place.theirs, 2));
                sent += u64::from(put(&producer, &place.ours, 2));
                step(operation, drop, |steps| {
                    look(steps, &mut || sent += u64::from(put(&producer, &place.ours, sent + 1)));
                });
            }
        }
    }
}

/// A look at the next message gets a whole one while messages go in and out.
pub(super) fn messages_go_by_during_a_look() {
    for distance in distances() {
        let place = Place::new();
        let producer = Queue::attach(&place.ours, RING, 1).unwrap();
        let consumer = Queue::attach(&place.theirs, 0, 1).unwrap();
        let view = place.view();
        let reader = Queue::attach(&view, 0, 1).unwrap();
        assert!(put(&producer, &place.ours, 1));
        let verify = |read| match read {
            Ok(read) => assert!((1..9_001).any(|number| read == letter(number).as_read())),
            Err(Error::Overtaken) => {}
            Err(error) => panic!("{error}"),
        };
        let mut number = 1;
        let operation = || reader.peek(&view, Letter::of);
        step(operation, verify, |steps| {
            if steps.is_multiple_of(distance) && number < 9_000 {
                number += 1;
                assert!(put(&producer, &place.ours, number));
                assert!(take(&consumer, &place.theirs, number - 1));
            }
        });
    }
}

/// A wait, with its name. It is interrupted after a step, to publish something.
type Wait = (&'static str, fn(u64) -> Interrupted);

const WAITS: &[Wait] = &[
    ("a reader", |at| {
        let place = Place::new();
        let (writer, first) = writer(&place, 1);
        let reader = Stream::attach(&place.theirs, 0, 0).unwrap();
        read(&reader, &place.theirs, first);
        // There is no spinning in the single steps: it has failed here.
        let _ = reader.wait(&place.theirs, Duration::from_micros(20), || true);
        let wait = || assert_eq!(reader.wait(&place.theirs, LONG, || true).unwrap(), Waited::Changed);
        interrupt(wait, at, || writer.write(&place.ours, &letter(2).message()).unwrap())
    }),
    ("a consumer", |at| {
        let place = Place::new();
        let producer = Queue::attach(&place.ours, RING, 1).unwrap();
        let consumer = Queue::attach(&place.theirs, 0, 1).unwrap();
        assert!(put(&producer, &place.ours, 1) && take(&consumer, &place.theirs, 1));
        let _ = consumer.wait(&place.theirs, Duration::from_micros(20), || true);
        let wait = || assert_eq!(consumer.wait(&place.theirs, LONG, || true).unwrap(), Waited::Changed);
        interrupt(wait, at, || assert!(put(&producer, &place.ours, 2)))
    }),
    ("a producer", |at| {
        let place = Place::new();
        let producer = Queue::attach(&place.ours, RING, 1).unwrap();
        let consumer = Queue::attach(&place.theirs, 0, 1).unwrap();
        let mut number = 1;
        while put(&producer, &place.ours, number) {
            number += 1;
        }
        let next = letter(number);
        let enqueue = |timeout| producer.enqueue(&place.ours, &next.message(), timeout, || true);
        let _ = enqueue(Duration::from_micros(20));
        let wait = || enqueue(LONG).unwrap();
        // All at once: a consumer that leaves some may wake the producer later.
        interrupt(wait, at, || consumer.clear(&place.theirs).unwrap())
    }),
];

/// A process that waits for a message doesn't sleep, at whichever instruction the message is published.
pub(super) fn no_wake_is_lost() {
    let mut random = Random::new();
    for (who, wait) in WAITS {
        let end = wait(u64::MAX).steps;
        let stride = if is_thorough() { 1 } else { 499 };
        for at in (random.below(stride)..end).step_by(stride as usize) {
            assert!(!wait(at).has_slept, "{who} sleeps on after step {at} of {end}");
        }
        println!("{who}: {end} instructions until the end of its sleep");
    }
}
