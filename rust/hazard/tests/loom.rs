//! Tests in every order in which threads can interleave, up to a number of preemptions. They need
//! `RUSTFLAGS="--cfg loom"`; see `./build.sh test --help`.
#![cfg(loom)]
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::atomic::{AtomicUsize, Ordering};

use hazard::AtomicOption;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A value of which loom detects a use during or after its drop.
struct Tracked {
    cell: UnsafeCell<u8>,
    drops: std::sync::Arc<AtomicUsize>,
}

// SAFETY: loom checks all accesses of the cell.
unsafe impl Sync for Tracked {}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.cell.with_mut(|value| {
            // SAFETY: loom reports a concurrent use instead of letting it happen.
            unsafe { *value = 0 };
        });
        self.drops.fetch_add(1, Ordering::SeqCst);
    }
}

impl Tracked {
    fn check(&self) {
        // SAFETY: loom reports a concurrent drop instead of letting it happen.
        self.cell.with(|value| assert_eq!(unsafe { *value }, 7));
    }
}

struct Stage {
    option: Arc<AtomicOption<Tracked>>,
    drops: std::sync::Arc<AtomicUsize>,
}

impl Stage {
    fn new() -> Self {
        Self { option: Arc::new(AtomicOption::default()), drops: std::sync::Arc::default() }
    }

    fn value(&self) -> Tracked {
        Tracked { cell: UnsafeCell::new(7), drops: std::sync::Arc::clone(&self.drops) }
    }

    fn start(&self, work: impl FnOnce(&AtomicOption<Tracked>) + 'static) -> thread::JoinHandle<()> {
        let option = Arc::clone(&self.option);
        thread::spawn(move || work(&option))
    }

    fn drops(&self) -> usize {
        self.drops.load(Ordering::SeqCst)
    }
}

fn try_all(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

fn read_value(option: &AtomicOption<Tracked>) {
    option.with(|value| value.map(Tracked::check));
}

fn take_value(option: &AtomicOption<Tracked>) {
    option.take(Tracked::check);
}

#[test]
fn the_last_reader_drops_the_value() {
    try_all(4, || {
        let stage = Stage::new();
        stage.option.put(stage.value());
        let user = stage.start(read_value);
        take_value(&stage.option);
        user.join().unwrap();
        assert_eq!(stage.drops(), 1);
    });
}

#[test]
fn one_of_two_leaving_readers_drops_the_value() {
    try_all(3, || {
        let stage = Stage::new();
        stage.option.put(stage.value());
        let users = [stage.start(read_value), stage.start(read_value)];
        take_value(&stage.option);
        users.into_iter().for_each(|user| user.join().unwrap());
        assert_eq!(stage.drops(), 1);
    });
}

#[test]
fn one_of_two_takers_gets_the_value() {
    try_all(3, || {
        let stage = Stage::new();
        stage.option.put(stage.value());
        let others = [stage.start(take_value), stage.start(read_value)];
        take_value(&stage.option);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(stage.drops(), 1);
    });
}

#[test]
fn a_reader_may_meet_two_values() {
    try_all(3, || {
        let stage = Stage::new();
        stage.option.put(stage.value());
        let user = stage.start(|option| {
            read_value(option);
            read_value(option);
        });
        take_value(&stage.option);
        stage.option.put(stage.value());
        user.join().unwrap();
        assert_eq!(stage.drops(), 1);
        take_value(&stage.option);
        assert_eq!(stage.drops(), 2);
    });
}

#[test]
fn a_reader_may_take_the_value_that_it_uses() {
    try_all(3, || {
        let stage = Stage::new();
        stage.option.put(stage.value());
        let closer = stage.start(|option| {
            option.with(|value| value.map(|value| option.take_if(value, Tracked::check)));
        });
        let user = stage.start(read_value);
        closer.join().unwrap();
        user.join().unwrap();
        assert_eq!(stage.drops(), 1);
    });
}
