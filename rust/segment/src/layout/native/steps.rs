//! Tests of the steps over anonymous memory, which Miri can run. It finds copies that race with each other.
//!
//! Only a reader without a pin may race with the writer. So there is none here.

use std::thread;
use std::time::Duration;

use super::header::Geometry;
use super::lanes::{Consumer, Lanes, Producer};
use super::latest::{Found, Slots, Writer, read_pinned};
use super::message::{Descriptor, Kind, Message};
use super::shared::Shared;
use super::{Error, invalid_queue};
use crate::memory::{Fault, Memory};
use crate::os;

/// Each further one takes Miri a while.
const MESSAGES: u8 = 60;

impl Shared for Memory {
    type Error = Box<Error>;

    fn load_u32(&self, at: u64) -> Result<u32, Self::Error> {
        self.load(at).map_err(failed)
    }

    fn store_u32(&self, at: u64, value: u32) -> Result<(), Self::Error> {
        self.store(at, value).map_err(failed)
    }

    fn fetch_add_u32(&self, at: u64, value: u32) -> Result<u32, Self::Error> {
        self.fetch_add(at, value).map_err(failed)
    }

    fn compare_exchange_u32(&self, at: u64, current: u32, new: u32) -> Result<u32, Self::Error> {
        self.compare_exchange(at, current, new).map_err(failed)
    }

    fn load_u64(&self, at: u64) -> Result<u64, Self::Error> {
        self.load(at).map_err(failed)
    }

    fn store_u64(&self, at: u64, value: u64) -> Result<(), Self::Error> {
        self.store(at, value).map_err(failed)
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Self::Error> {
        Self::read(self, at, into).map_err(failed)
    }

    fn write(&self, at: u64, from: &[u8]) -> Result<(), Self::Error> {
        Self::write(self, at, from).map_err(failed)
    }

    fn full_fence(&self) {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }

    fn sleep(&self, _: u64, _: u32, _: Duration, _: Duration) -> Result<(), Self::Error> {
        thread::yield_now();
        Ok(())
    }

    fn wake(&self, _: u64) -> Result<(), Self::Error> {
        Ok(())
    }
}

fn failed(fault: Fault) -> Box<Error> {
    invalid_queue("an access", fault as u64)
}

fn memory(length: u64) -> Memory {
    Memory::new(Box::new(os::anonymous(usize::try_from(length).unwrap())))
}

/// The content of a message: its number, as often as it says.
fn content(number: u8) -> Vec<u8> {
    vec![number; usize::from(number % 9)]
}

fn message(content: &[u8]) -> Message<'_> {
    Message { descriptor: Descriptor::of(Kind::Bytes), content }
}

#[test]
fn producers_and_the_consumer_race_with_no_copy() {
    let lanes = Lanes { count: 2, ring: 64 };
    let memory = &memory(lanes.length());
    thread::scope(|scope| {
        for lane in 0..2 {
            scope.spawn(move || {
                let mut producer = Producer::take_over(lanes.lane(lane), memory).unwrap();
                for number in 0..MESSAGES {
                    while !producer.put(memory, &message(&content(number))).unwrap() {
                        thread::yield_now();
                    }
                }
            });
        }
        let mut consumer = Consumer::take_over(lanes, memory).unwrap();
        let mut next = [0; 2];
        while next != [MESSAGES; 2] {
            let Some((lane, record)) = consumer.first(memory).unwrap() else {
                thread::yield_now();
                continue;
            };
            let mut copy = vec![0; usize::try_from(record.length).unwrap()];
            memory.read(record.at, &mut copy).unwrap();
            consumer.pass(memory, lane, record.end).unwrap();
            assert_eq!(copy, content(next[lane]));
            next[lane] += 1;
        }
    });
}

#[test]
fn the_writer_races_with_no_copy_of_a_reader_with_a_pin() {
    let geometry = Geometry { count: 2, limit: 8 };
    let slots = Slots::new(geometry);
    let (first, stride) = slots.slots();
    let memory = &memory(first + 4 * stride);
    thread::scope(|scope| {
        for reader in 0..2 {
            scope.spawn(move || {
                let mut before = 0;
                while before < u64::from(MESSAGES) {
                    let read = read_pinned(slots, memory, reader, |found: Found| -> super::Result<_> {
                        let mut copy = vec![0; usize::try_from(found.length).unwrap()];
                        memory.read(found.at, &mut copy).map_err(failed)?;
                        Ok((found.sequence, copy))
                    });
                    let Some((sequence, copy)) = read.unwrap() else {
                        thread::yield_now();
                        continue;
                    };
                    assert!(sequence >= before);
                    assert_eq!(copy, content(u8::try_from(sequence).unwrap()));
                    before = sequence;
                }
            });
        }
        let mut writer = Writer::take_over(slots, memory).unwrap();
        for number in 1..=MESSAGES {
            writer.write(slots, memory, 0, 0, &message(&content(number))).unwrap();
            thread::yield_now();
        }
    });
}
