//! Models of the native layouts' protocols (`docs/FORMAT.md`): every order of the steps of a few processes.
//! Some of them die at any step. Each step is one access, and all processes see the accesses in one order.
//! The orders that a processor adds are the subject of `tests/loom_native`.
//!
//! Each model also runs with one rule left out at a time, and must then find a fault. So no rule is there in
//! vain, and the model sees what it is for.
//!
//! `SHM_SEGMENT_MODEL` raises the bounds, from 0 in a run of all tests.

mod laying_out;
mod pairs;
mod slots;
mod waits;

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::common::random::variable;

/// The steps that are possible in a state, each with its name.
type Steps<S> = Vec<(&'static str, S)>;

/// A fault, and the steps that led to it.
#[derive(Debug)]
struct Fault {
    what: &'static str,
    path: String,
}

/// A hash function for the many small states. The one of the standard library takes most of the time.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut eight = [0; 8];
            eight[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(5) ^ u64::from_ne_bytes(eight)).wrapping_mul(0x517C_C1B7_2722_0A95);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.0 = (self.0.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x517C_C1B7_2722_0A95);
    }
}

/// Visits every state that can be reached, the near ones first, and returns their number.
///
/// `next` adds the steps that are possible in a state, or returns the fault in it.
fn explore<S: Clone + Eq + Hash>(
    initial: S,
    next: impl Fn(&S, &mut Steps<S>) -> Result<(), &'static str>,
) -> Result<usize, Fault> {
    let mut numbers: HashMap<S, u32, BuildHasherDefault<Mix>> = HashMap::default();
    // The state before each, and the step from there.
    let mut origins: Vec<(u32, &'static str)> = vec![(0, "")];
    let (mut wave, mut steps) = (vec![initial.clone()], Vec::new());
    numbers.insert(initial, 0);
    while !wave.is_empty() {
        let mut next_wave = Vec::new();
        for state in &wave {
            let number = numbers[state];
            if let Err(what) = next(state, &mut steps) {
                return Err(Fault { what, path: path_to(number, &origins) });
            }
            for (step, reached) in steps.drain(..) {
                let new = origins.len() as u32;
                if *numbers.entry(reached.clone()).or_insert(new) == new {
                    origins.push((number, step));
                    next_wave.push(reached);
                }
            }
        }
        wave = next_wave;
    }
    Ok(origins.len())
}

fn path_to(mut number: u32, origins: &[(u32, &'static str)]) -> String {
    let mut path = Vec::new();
    while number != 0 {
        let (before, step) = origins[number as usize];
        path.push(step);
        number = before;
    }
    path.reverse();
    path.join(", ")
}

/// Checks that no order of the steps leads to a fault.
fn must_hold(label: &str, result: Result<usize, Fault>) {
    match result {
        Ok(states) => println!("{label}: {states} states"),
        Err(fault) => panic!("{label}: {} after: {}", fault.what, fault.path),
    }
}

/// Checks that a rule left out leads to a fault.
fn must_fail<R: Debug>(rule: R, expected: &[&str], result: Result<usize, Fault>) {
    match result {
        Ok(states) => panic!("without {rule:?}, nothing is wrong in {states} states"),
        Err(fault) => {
            println!("without {rule:?}: {} after: {}", fault.what, fault.path);
            assert!(expected.contains(&fault.what), "without {rule:?}: {} after: {}", fault.what, fault.path);
        }
    }
}

/// Returns by how much the bounds are raised.
fn more() -> u8 {
    variable("SHM_SEGMENT_MODEL").map_or(0, |more| more as u8)
}
