//! `lanes`: each message once, whole and in order, and counts that are true.

use loom::sync::Arc;
use loom::thread;

use crate::Result;
use crate::header::Geometry;
use crate::lanes::{Consumer, Lanes, Producer, peek};
use crate::layout::Error;
use crate::memory::{Copies, Flaw, Memory, View};
use crate::shared::Shared;
use crate::{bytes, explore, must_fail};

const RING: u64 = 64;
const LANES: Lanes = Lanes::new(Geometry { count: 1, limit: RING });
const LANE_AT: u64 = 0x100;
const RING_AT: u64 = LANE_AT + 0x100;

fn memory(copies: Copies) -> Arc<Memory> {
    let u32s = [0x80, 0x84, LANE_AT + 0x88, LANE_AT + 0x8C];
    let mut u64s = vec![LANE_AT, LANE_AT + 0x80];
    for line in [LANE_AT + 0x10, LANE_AT + 0x90] {
        u64s.extend((0..4).map(|word| line + word * 8));
    }
    let pieces = (0..RING / 8).map(|word| RING_AT + word * 8..RING_AT + word * 8 + 8);
    Memory::new(&u32s.map(|at| (at, 0)), &u64s.iter().map(|at| (*at, 0)).collect::<Vec<_>>(), pieces, copies)
}

fn producer(view: &View) -> Producer {
    Producer::take_over(LANES.lane(0), view).unwrap()
}

fn consumer(view: &View) -> Consumer {
    Consumer::take_over(LANES, view).unwrap()
}

/// Returns the content of message number `number`. Each third one is empty, so that a later one meets the
/// end of the ring in its middle.
fn content(number: u64) -> Vec<u8> {
    if number % 3 == 2 { Vec::new() } else { vec![u8::try_from(number).unwrap(); 8] }
}

fn put(producer: &mut Producer, view: &View, number: u64) -> Result<bool> {
    producer.put(view, &bytes(&content(number)))
}

/// Takes the next message out. `None` if there is none.
fn take(consumer: &mut Consumer, view: &View) -> Result<Option<Vec<u8>>> {
    let Some((lane, record)) = consumer.first(view)? else { return Ok(None) };
    let mut content = vec![0; record.length as usize];
    view.read(record.at, &mut content)?;
    consumer.pass(view, lane, record.end)?;
    Ok(Some(content))
}

/// Puts in and takes out `count` messages, so that the ring's end is near.
fn warm_up(memory: &Arc<Memory>, count: u64) {
    let view = View::new(memory, Flaw::None);
    let (mut producer, mut consumer) = (producer(&view), consumer(&view));
    for number in 0..count {
        assert!(put(&mut producer, &view, number).unwrap());
        assert_eq!(take(&mut consumer, &view).unwrap().unwrap(), content(number));
    }
}

/// A producer, and a consumer that tries to take a message out a few times. The copy of a record's header may
/// also have bytes behind the record, which the producer writes at that time. So copies may be torn here.
fn both_ends(flaw: Flaw, messages: u64, tries: u64) -> impl Fn() + Send + Sync + 'static {
    move || {
        let memory = memory(Copies::Torn);
        // The next record of 16 bytes doesn't fit behind this position, 56.
        warm_up(&memory, 4);
        let theirs = Arc::clone(&memory);
        let thread = thread::spawn(move || {
            let view = View::new(&theirs, flaw);
            let mut producer = producer(&view);
            let mut next = 4;
            for _ in 0..messages {
                next += u64::from(put(&mut producer, &view, next).unwrap());
            }
            next
        });
        let view = View::new(&memory, flaw);
        let mut consumer = consumer(&view);
        let mut next = 4;
        let mut taken = |view: &View| {
            if let Some(found) = take(&mut consumer, view).unwrap() {
                assert_eq!(found, content(next));
                next += 1;
                return true;
            }
            false
        };
        for _ in 0..tries {
            taken(&view);
        }
        let end = thread.join().unwrap();
        while taken(&view) {}
        assert_eq!(next, end, "a message is lost");
        assert_eq!(LANES.lane(0).counts(&view).unwrap(), (end, end));
    }
}

#[test]
fn each_message_arrives_once_whole_and_in_order() {
    explore(1, both_ends(Flaw::None, 4, 3));
}

#[test]
fn a_tail_stored_without_an_order_publishes_half_a_message() {
    must_fail(2, both_ends(Flaw::RelaxedU64, 2, 2));
}

#[test]
fn a_restarted_producer_goes_on_where_the_first_one_died() {
    for accesses in 0..10 {
        explore(1, move || {
            let memory = memory(Copies::Torn);
            warm_up(&memory, 4);
            let theirs = Arc::clone(&memory);
            let thread = thread::spawn(move || {
                let mut dying = producer(&View::new(&theirs, Flaw::None));
                let _ = put(&mut dying, &View::dying_after(&theirs, Flaw::None, accesses), 4);
                let view = View::new(&theirs, Flaw::None);
                let mut producer = producer(&view);
                // The first message is there whole or not at all.
                let (put_before, _) = LANES.lane(0).counts(&view).unwrap();
                assert!(put(&mut producer, &view, put_before).unwrap());
                put_before + 1
            });
            let view = View::new(&memory, Flaw::None);
            let mut dying = consumer(&view);
            let first = take(&mut dying, &View::dying_after(&memory, Flaw::None, accesses))
                .is_ok_and(|m| m.is_some());
            let end = thread.join().unwrap();
            let (_, taken) = LANES.lane(0).counts(&view).unwrap();
            assert!(!first || taken == 5, "a message was taken out and is still there");
            let mut consumer = consumer(&view);
            for number in taken..end {
                assert_eq!(take(&mut consumer, &view).unwrap().unwrap(), content(number));
            }
            assert_eq!(take(&mut consumer, &view).unwrap(), None);
        });
    }
}

/// A program without a role that counts while messages come and go.
fn counting(flaw: Flaw) -> impl Fn() + Send + Sync + 'static {
    move || {
        let memory = memory(Copies::Torn);
        warm_up(&memory, 2);
        let theirs = Arc::clone(&memory);
        let thread = thread::spawn(move || {
            let view = View::new(&theirs, flaw);
            let (mut producer, mut consumer) = (producer(&view), consumer(&view));
            for number in 2..5 {
                assert!(put(&mut producer, &view, number).unwrap());
                take(&mut consumer, &view).unwrap().unwrap();
            }
        });
        let view = View::new(&memory, flaw);
        let mut before = 2;
        for _ in 0..2 {
            match LANES.lane(0).counts(&view) {
                Ok((put, taken)) => {
                    assert!((before..=5).contains(&put) && (2..=put).contains(&taken), "{put}, {taken}");
                    before = put;
                }
                Err(error) if matches!(*error, Error::Overtaken) => {}
                Err(error) => panic!("{error}"),
            }
        }
        thread.join().unwrap();
    }
}

#[test]
fn counts_are_true_at_any_moment() {
    explore(1, counting(Flaw::None));
}

#[test]
fn a_count_stored_without_an_order_is_wrong() {
    must_fail(2, counting(Flaw::RelaxedU64));
}

/// A program without a role that looks at the next message while it is taken out, and its place used again.
fn peeking(flaw: Flaw) -> impl Fn() + Send + Sync + 'static {
    move || {
        let memory = memory(Copies::Torn);
        // The producer is at 56, and the next message but one comes into the place of message 5.
        warm_up(&memory, 4);
        let setup = View::new(&memory, Flaw::None);
        let (mut producer, mut consumer) = (producer(&setup), consumer(&setup));
        for number in [4, 5] {
            assert!(put(&mut producer, &setup, number).unwrap());
        }
        let theirs = Arc::clone(&memory);
        let thread = thread::spawn(move || {
            let view = View::new(&theirs, flaw);
            for number in [7, 8] {
                take(&mut consumer, &view).unwrap().unwrap();
                assert!(put(&mut producer, &view, number).unwrap());
            }
            take(&mut consumer, &view).unwrap().unwrap();
            assert!(put(&mut producer, &view, 10).unwrap());
        });
        let view = View::new(&memory, flaw);
        let looked: Result<Option<Vec<u8>>> = peek(
            LANES.lane(0),
            &view,
            || Ok(true),
            |record| {
                let mut content = vec![0; record.length as usize];
                view.read(record.at, &mut content)?;
                Ok(content)
            },
        );
        match looked {
            Ok(Some(found)) => {
                assert!([4, 5, 7, 8].iter().any(|number| found == content(*number)), "{found:?}")
            }
            Ok(None) => panic!("there was a message all the time"),
            Err(error) if matches!(*error, Error::Overtaken) => {}
            Err(error) => panic!("{error}"),
        }
        thread.join().unwrap();
    }
}

#[test]
fn a_look_at_the_next_message_sees_it_whole() {
    explore(1, peeking(Flaw::None));
}

#[test]
fn without_the_fence_after_a_copy_a_look_sees_a_torn_message() {
    must_fail(1, peeking(Flaw::NoFenceAfterRead));
}
