//! The same in every order in which threads can get in each other's way (up to a number of preemptions): with
//! `RUSTFLAGS="--cfg loom"`, see `./build.sh test --help`.
#![cfg(loom)]
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::atomic::{AtomicUsize, Ordering};

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use shm_segment::Held;

/// loom finds out if it is used while it is dropped, or afterwards.
struct Tracked {
    cell: UnsafeCell<u8>,
    drops: std::sync::Arc<AtomicUsize>,
}

// SAFETY: loom checks all accesses of the cell.
unsafe impl Sync for Tracked {}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.cell.with_mut(|value| {
            // SAFETY: that nobody else uses it is what is tested.
            unsafe { *value = 0 };
        });
        self.drops.fetch_add(1, Ordering::SeqCst);
    }
}

impl Tracked {
    fn check(&self) {
        // SAFETY: that nobody drops it meanwhile is what is tested.
        self.cell.with(|value| assert_eq!(unsafe { *value }, 7));
    }
}

struct Stage {
    held: Arc<Held<Tracked>>,
    drops: std::sync::Arc<AtomicUsize>,
}

impl Stage {
    fn new() -> Self {
        Self { held: Arc::new(Held::default()), drops: std::sync::Arc::default() }
    }

    fn value(&self) -> Tracked {
        Tracked { cell: UnsafeCell::new(7), drops: std::sync::Arc::clone(&self.drops) }
    }

    fn start(&self, work: impl FnOnce(&Held<Tracked>) + 'static) -> thread::JoinHandle<()> {
        let held = Arc::clone(&self.held);
        thread::spawn(move || work(&held))
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

fn used(held: &Held<Tracked>) {
    held.with(|value| value.map(Tracked::check));
}

fn taken(held: &Held<Tracked>) {
    held.take(Tracked::check);
}

#[test]
fn who_is_last_drops_it() {
    try_all(4, || {
        let stage = Stage::new();
        stage.held.put(stage.value());
        let user = stage.start(used);
        taken(&stage.held);
        user.join().unwrap();
        assert_eq!(stage.drops(), 1);
    });
}

#[test]
fn of_two_who_leave_at_once_one_drops_it() {
    try_all(3, || {
        let stage = Stage::new();
        stage.held.put(stage.value());
        let users = [stage.start(used), stage.start(used)];
        taken(&stage.held);
        users.into_iter().for_each(|user| user.join().unwrap());
        assert_eq!(stage.drops(), 1);
    });
}

#[test]
fn of_two_who_take_it_one_gets_it() {
    try_all(3, || {
        let stage = Stage::new();
        stage.held.put(stage.value());
        let others = [stage.start(taken), stage.start(used)];
        taken(&stage.held);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(stage.drops(), 1);
    });
}

#[test]
fn a_user_may_meet_two_values() {
    try_all(3, || {
        let stage = Stage::new();
        stage.held.put(stage.value());
        let user = stage.start(|held| {
            used(held);
            used(held);
        });
        taken(&stage.held);
        stage.held.put(stage.value());
        user.join().unwrap();
        assert_eq!(stage.drops(), 1);
        taken(&stage.held);
        assert_eq!(stage.drops(), 2);
    });
}

#[test]
fn a_user_may_take_it_from_the_inside() {
    try_all(3, || {
        let stage = Stage::new();
        stage.held.put(stage.value());
        let closer = stage.start(|held| {
            held.with(|value| value.map(|value| held.take_this(value, Tracked::check)));
        });
        let user = stage.start(used);
        closer.join().unwrap();
        user.join().unwrap();
        assert_eq!(stage.drops(), 1);
    });
}
