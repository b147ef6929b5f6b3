//! Two processes that take turns, each asleep while the other one works. `./build.sh bench` starts one that
//! asks and one that answers, beside the same pair in C: `tests/partner/futex.c`, which has the arguments.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a benchmark may")]

use std::thread;
use std::time::{Duration, Instant};

use shm_segment::{Access, Options, Segment, Waited};

const QUESTION: u64 = 0;
const ANSWER: u64 = 128;
const PATIENCE: Duration = Duration::from_secs(10);

fn wait(segment: &Segment, offset: u64, expected: u32) {
    assert_eq!(segment.wait_u32(offset, expected, PATIENCE, || true).unwrap(), Waited::Changed);
}

fn store(segment: &Segment, offset: u64, value: u32) {
    segment.store_u32(offset, value).unwrap();
    segment.notify_u32(offset).unwrap();
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [role, name, rounds, rest @ ..] = words.as_slice() else { return };
    // Printed at the end: a call of the system in each round would cool the caches down.
    let mut times = String::new();
    let segment = Options::new(name).open(0, Access::ReadWrite).unwrap();
    for round in 1..=rounds.parse().unwrap() {
        if role == "answer" {
            wait(&segment, QUESTION, round - 1);
            store(&segment, ANSWER, round);
        } else {
            thread::sleep(Duration::from_micros(rest[0].parse().unwrap()));
            let start = Instant::now();
            store(&segment, QUESTION, round);
            wait(&segment, ANSWER, round - 1);
            times += &format!("{}\n", start.elapsed().as_nanos());
        }
    }
    print!("{times}");
}
