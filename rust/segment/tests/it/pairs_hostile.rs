//! Pairs in memory that another program changes or truncates at any moment. Each call ends in its time, with
//! a message that fits or with an error.

use std::fs::OpenOptions;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::random::{Random, rounds, seed};
use crate::common::{Name, SetAtEnd};
use shm_segment::layout::Error;
use shm_segment::layout::native::{Descriptor, Element, Kind, Meaning, Message, Peer, Queue};
use shm_segment::{Access, Error as SegmentError, Options, Scope, Segment, Waited};

const BUFFER: u64 = 4096;
const SIZE: u64 = 256 + 2 * (256 + BUFFER);
const SHORT: Duration = Duration::from_millis(1);
/// Each call ends sooner, on a busy machine, too.
const SOON: Duration = Duration::from_secs(3);

fn open(name: &str) -> Result<Peer, Error> {
    Peer::open(name, BUFFER, Scope::Local)
}

fn message(content: &[u8]) -> Message<'_> {
    let kind = match content.len() % 3 {
        0 if content.len().is_multiple_of(4) => {
            let kind = Kind::Array { element: Element::F32, meaning: Meaning::Plain, dimensions: 1 };
            let shape = [content.len() as u32 / 4, 0, 0, 0];
            return Message { descriptor: Descriptor { kind, shape }, content };
        }
        1 => Kind::Text,
        _ => Kind::Bytes,
    };
    Message { descriptor: Descriptor::of(kind), content }
}

/// Does a random call.
fn call(side: &Peer, random: &mut Random) -> Result<(), Error> {
    let content = vec![7; random.below(600) as usize];
    let timeout = if random.below(4) == 0 { SHORT } else { Duration::ZERO };
    let copy = |message: &shm_segment::layout::native::Incoming<'_>| {
        let copied = message.to_vec()?;
        assert!(copied.len() as u64 == message.length() && copied.len() as u64 <= BUFFER);
        message.descriptor().check(message.length())?;
        Ok::<_, Error>(copied)
    };
    match random.below(9) {
        0 => side.send(&message(&content), timeout),
        1 => side.receive(timeout, copy).map(drop),
        2 => side.request(&message(&content), SHORT, copy).map(drop),
        3 => side.next_event(copy).map(drop),
        4 => side.is_connected().map(drop),
        5 => side.count().map(drop),
        6 => side.available().map(drop),
        7 => side.wait(timeout).map(drop),
        _ => side.wait_connected(timeout).map(drop),
    }
}

/// Stores a value into a word. Most of them are those that a side reads.
fn disturb(segment: &Segment, random: &mut Random) {
    let lane = 256 + random.below(2) * (256 + BUFFER);
    let at = match random.below(8) {
        0 => random.below(32) * 8,
        1..=4 => lane + random.below(32) * 8,
        _ => lane + 256 + random.below(BUFFER / 8) * 8,
    };
    let value = match random.below(6) {
        0 => random.below(64),
        1 => random.below(2 * BUFFER) & !7,
        2 => 1 << random.below(64),
        3 => u64::MAX - random.below(16),
        // A record: a mark, or a message with a number.
        4 => 16 | random.below(4) << 62 | random.below(8) << 32,
        _ => random.below(u64::MAX),
    };
    if random.below(4) == 0 {
        segment.store_u32(at, value as u32).unwrap();
    } else {
        segment.store_u64(at, value).unwrap();
    }
}

#[test]
fn each_call_of_a_pair_ends_in_its_time_while_the_words_change() {
    let seed = seed();
    let mut random = Random::with_seed(seed);
    let mut succeeded = 0;
    for _ in 0..rounds(60) {
        let name = Name::new();
        let sides = [open(&name).unwrap(), open(&name).unwrap()];
        let segment = Options::new(&name).open(SIZE, Access::ReadWrite).unwrap();
        let (is_over, inner) = (AtomicBool::new(false), random.below(u64::MAX));
        thread::scope(|scope| {
            let guard = SetAtEnd(&is_over);
            scope.spawn(|| {
                let mut random = Random::with_seed(inner);
                let pause = random.below(200);
                while !is_over.load(Ordering::Relaxed) {
                    disturb(&segment, &mut random);
                    thread::sleep(Duration::from_micros(pause));
                }
            });
            for _ in 0..200 {
                let side = &sides[random.below(2) as usize];
                let start = Instant::now();
                succeeded += u64::from(call(side, &mut random).is_ok());
                assert!(start.elapsed() < SOON, "a call took {:?}", start.elapsed());
            }
            drop(guard);
        });
        let start = Instant::now();
        drop(sides);
        // Another pair can have the name, whatever is left there.
        drop(segment);
        open(&name).unwrap();
        assert!(start.elapsed() < SOON);
    }
    println!("{succeeded} calls succeeded");
    assert!(succeeded > 0);
}

/// A call that waits, with its name. Before it, the ring of the side may be filled, or the other side closed.
type Asleep = (&'static str, fn(&[Peer; 2]), fn(&Peer) -> Result<(), Error>);

fn fill(sides: &[Peer; 2]) {
    while sides[0].send(&message(&[7; 500]), Duration::ZERO).is_ok() {}
}

const ASLEEP: &[Asleep] = &[
    ("receive", |_| {}, |side| side.receive(SOON, |message| message.to_vec()).map(drop)),
    ("wait", |_| {}, |side| side.wait(SOON).map(drop)),
    ("request", |_| {}, |side| side.request(&message(b"?"), SOON, |message| message.to_vec()).map(drop)),
    ("full", fill, |side| side.send(&message(&[7; 500]), SOON)),
    ("full_request", fill, |side| side.request(&message(&[7; 500]), SOON, |_| Ok(()))),
    ("wait_connected", |sides| sides[1].close(), |side| side.wait_connected(SOON).map(drop)),
    ("send_to_nobody", |sides| sides[1].close(), |side| side.send(&message(b"x"), SOON)),
];

#[test]
fn a_truncation_ends_each_call_of_a_pair() {
    let mut random = Random::new();
    for size in [0, 100, 300, 4096, SIZE - 1] {
        for (label, prepare, call_asleep) in ASLEEP {
            let name = Name::new();
            let (sides, segment) = connected(&name);
            // The name stays, whichever side closes.
            prepare(&sides);
            let _ = sides[0].is_connected().unwrap();
            let _ = sides[0].receive(Duration::ZERO, |message| message.to_vec());
            thread::scope(|scope| {
                let waiting = scope.spawn(|| {
                    let start = Instant::now();
                    (call_asleep(&sides[0]), start.elapsed())
                });
                thread::sleep(Duration::from_millis(5));
                let path = format!("/dev/shm/{}", &*name);
                OpenOptions::new().write(true).open(path).unwrap().set_len(size).unwrap();
                let (received, took) = waiting.join().unwrap();
                assert!(
                    matches!(
                        received,
                        Err(Error::Segment(SegmentError::Truncated { .. } | SegmentError::PageLost { .. }))
                    ),
                    "{label}: {received:?}"
                );
                assert!(took < SOON, "the wait has ended after {took:?}");
            });
            // The size is looked at after a tick of the coarse clock.
            thread::sleep(Duration::from_millis(12));
            drop(segment);
            for _ in 0..4 {
                let result = call(&sides[0], &mut random);
                assert!(result.is_err(), "{size}");
            }
        }
    }
}

/// Returns two sides that are connected, and their memory.
fn connected(name: &str) -> ([Peer; 2], Segment) {
    let sides = [open(name).unwrap(), open(name).unwrap()];
    let start = Instant::now();
    while sides.each_ref().map(|side| side.is_connected().unwrap()) != [true; 2] {
        assert!(start.elapsed() < SOON, "the sides don't find each other");
    }
    (sides, Options::new(name).open(SIZE, Access::ReadWrite).unwrap())
}

#[test]
fn a_message_that_is_a_request_and_an_answer_counts_until_it_is_received() {
    let name = Name::new();
    let ([first, second], segment) = connected(&name);
    first.send(&message(&[7; 17]), Duration::ZERO).unwrap();
    // The tag of the record behind both marks.
    let tag = 256 + 256 + 2 * 24 + 4;
    segment.store_u32(tag, segment.load_u32(tag).unwrap() | 3 << 30).unwrap();
    first.send(&message(&[7; 17]), Duration::ZERO).unwrap();
    assert_eq!(second.count().unwrap(), 2);
    let received = second.receive(Duration::ZERO, |message| message.to_vec());
    assert!(matches!(received, Err(Error::Invalid { .. })), "{received:?}");
    assert_eq!(second.count().unwrap(), 1);
    second.receive(Duration::ZERO, |message| message.to_vec()).unwrap();
    assert_eq!(second.count().unwrap(), 0);
}

#[test]
fn an_answer_with_the_number_0_is_late() {
    let name = Name::new();
    let ([first, second], segment) = connected(&name);
    for _ in 0..2 {
        first.send(&message(&[0; 17]), Duration::ZERO).unwrap();
    }
    // The tag of the record behind both marks. Its content begins with the number.
    let tag = 256 + 256 + 2 * 24 + 4;
    segment.store_u32(tag, segment.load_u32(tag).unwrap() | 1 << 31).unwrap();
    // No request has this number, so the message behind it is the first.
    assert_eq!(second.wait(Duration::ZERO).unwrap(), Waited::Changed);
    assert_eq!(second.late_answers().unwrap(), 1);
    assert_eq!(second.receive(Duration::ZERO, |message| message.to_vec()).unwrap(), [0; 17]);
    assert!(matches!(second.receive(Duration::ZERO, |message| message.to_vec()), Err(Error::Empty)));
}

#[test]
fn a_tail_that_goes_back_behind_counted_messages_is_an_error() {
    let name = Name::new();
    let ([first, second], segment) = connected(&name);
    let tail = 256;
    let mut tails = Vec::new();
    for _ in 0..3 {
        first.send(&message(&[7; 17]), Duration::ZERO).unwrap();
        tails.push(segment.load_u64(tail).unwrap());
    }
    assert_eq!(second.count().unwrap(), 3);
    segment.store_u64(tail, tails[0]).unwrap();
    let start = Instant::now();
    let counted = second.count();
    assert!(matches!(counted, Err(Error::Invalid { .. })), "{counted:?}");
    assert!(matches!(second.is_connected(), Err(Error::Invalid { .. })));
    // The message before this tail is whole.
    second.receive(SHORT, |message| message.to_vec()).unwrap();
    assert!(start.elapsed() < SOON, "the calls took {:?}", start.elapsed());
    segment.store_u64(tail, tails[2]).unwrap();
    assert_eq!(second.count().unwrap(), 2);
}

/// Returns the values that a word may have at a border of what is possible.
fn interesting() -> Vec<u64> {
    let mut values =
        vec![0, 1, 7, 8, 16, 24, 1 << 31, u64::from(u32::MAX), 1 << 32, 1 << 62, 1 << 63, u64::MAX];
    // Positions, and the size and the tag of a record: a mark, padding, a request and an answer.
    values.extend([BUFFER - 8, BUFFER, BUFFER + 8, 16, u64::from(u32::MAX) | 1 << 32]);
    // The positions between the records, and others in the records.
    values.extend((40..=160).step_by(8));
    values.extend([1 << 62 | 1 << 32 | 32, 1 << 63 | 1 << 32 | 32, 3 << 62 | 1 << 32 | 32]);
    values
}

/// Returns the words of the header, of the lines of both lanes, and of the first records.
fn words() -> Vec<u64> {
    let header = (0..0x90).step_by(8);
    let lines = [0, 0x80].into_iter().flat_map(|line| (line..line + 0x30).step_by(8));
    let records = (0x100..0x170).step_by(8);
    let lane: Vec<u64> = lines.chain(records).collect();
    let lanes = [256, 256 + 256 + BUFFER];
    header.chain(lanes.into_iter().flat_map(|at| lane.iter().map(move |word| at + word))).collect()
}

#[test]
fn each_word_of_a_pair_may_have_each_value() {
    let copy = |message: &shm_segment::layout::native::Incoming<'_>| message.to_vec();
    let is_thorough = rounds(1) > 1;
    let mut random = Random::new();
    let mut calls = 0;
    for at in words() {
        for value in interesting() {
            // All of them take a minute.
            if !is_thorough && random.below(4) != 0 {
                continue;
            }
            let name = Name::new();
            let (sides, segment) = connected(&name);
            for side in &sides {
                side.send(&message(&[7; 25]), Duration::ZERO).unwrap();
                let _ = side.request(&message(&[7; 24]), Duration::ZERO, copy);
                side.send(&message(&[7; 25]), Duration::ZERO).unwrap();
            }
            // The positions that each side has counted up to are hostile, too.
            for side in &sides {
                side.count().unwrap();
            }
            segment.store_u64(at, value).unwrap();
            let start = Instant::now();
            for _ in 0..3 {
                for side in &sides {
                    let results = [
                        side.is_connected().map(drop),
                        side.count().map(drop),
                        side.available().map(drop),
                        side.receive(Duration::ZERO, copy).map(drop),
                        side.send(&message(&[7; 30]), Duration::ZERO),
                        side.request(&message(&[7; 30]), Duration::ZERO, copy).map(drop),
                        side.next_event(copy).map(drop),
                        side.wait(Duration::ZERO).map(drop),
                        side.wait_connected(Duration::ZERO).map(drop),
                    ];
                    for error in results.into_iter().filter_map(Result::err) {
                        let is_documented = !matches!(error, Error::Segment(_) | Error::OutOfMemory { .. });
                        assert!(is_documented, "{value:#x} at {at:#x}: {error:?}");
                    }
                    calls += 9;
                }
            }
            // A side that joins gets a side, or is told what is wrong.
            sides[1].close();
            if let Err(error) = open(&name) {
                assert!(!error.to_string().is_empty());
            }
            assert!(start.elapsed() < SOON, "{value:#x} at {at:#x} took {:?}", start.elapsed());
        }
    }
    println!("{calls} calls");
}

#[test]
fn read_only_memory_of_a_pair_is_only_looked_at() {
    let name = Name::new();
    let (sides, _segment) = connected(&name);
    sides[0].send(&message(b"hello"), Duration::ZERO).unwrap();
    let view = Options::new(&name).open(0, Access::ReadOnly).unwrap();
    let bytes = || {
        let mut bytes = vec![0; SIZE as usize];
        view.read(0, &mut bytes).unwrap();
        bytes
    };
    let before = bytes();
    let found = Options::new(&name).info().unwrap().messages.unwrap();
    // Both marks of each side count.
    assert_eq!((found.layout, found.count), ("pair", 5));
    assert!(matches!(Queue::attach(&view, 0, 1), Err(Error::Invalid { .. })));
    assert!(before == bytes(), "a look has changed the memory");
    assert_eq!(sides[1].receive(Duration::ZERO, |message| message.to_vec()).unwrap(), b"hello");
}
