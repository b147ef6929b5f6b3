//! Locks: a program that waits is woken when the lock is given back. The next holder finds all that the one
//! before has stored. The kernel's lock is a word here.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;

use crate::lock_line::LockLine;
use crate::memory::{Copies, Flaw, Memory, View};
use crate::shared::Shared;
use crate::{explore, must_fail};

const LINE: LockLine = LockLine(0x100);
/// 1 while the kernel has given the lock to a process.
const KERNEL: u64 = 0x200;
/// The bytes that the lock guards. loom reports two holders at once.
const GUARDED: u64 = 0x300;

fn memory() -> Arc<Memory> {
    let words = [(0x100, 0), (0x104, 0), (0x108, 0), (KERNEL, 0)];
    Memory::new(&words, &[], [GUARDED..GUARDED + 8], Copies::Exclusive)
}

fn take(view: &View) -> bool {
    view.compare_exchange_u32(KERNEL, 0, 1).unwrap() == 0
}

/// Locks as `locks.rs` does. Returns whether the holder before has died inside.
fn lock(view: &View) -> bool {
    while !take(view) {
        let bell = LINE.bell().want(view).unwrap();
        if take(view) {
            break;
        }
        view.sleep(LINE.bell().word(), bell, Duration::MAX, Duration::ZERO).unwrap();
    }
    LINE.enter(view).unwrap()
}

/// An order of the steps of unlocking.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Right,
    RingsFirst,
    NeverRings,
    CleansLast,
}

fn unlock(view: &View, order: Order) {
    let ring = || LINE.bell().ring(view).unwrap();
    if order == Order::RingsFirst {
        ring();
    }
    if order != Order::CleansLast {
        LINE.leave(view).unwrap();
    }
    view.store_u32(KERNEL, 0).unwrap();
    if order == Order::CleansLast {
        LINE.leave(view).unwrap();
    }
    if matches!(order, Order::Right | Order::CleansLast) {
        ring();
    }
}

fn count(memory: &Arc<Memory>) {
    let view = View::new(memory, Flaw::None);
    assert!(!lock(&view), "nobody has died");
    let mut bytes = [0; 8];
    view.read(GUARDED, &mut bytes).unwrap();
    view.write(GUARDED, &(u64::from_le_bytes(bytes) + 1).to_le_bytes()).unwrap();
    unlock(&view, Order::Right);
}

fn holders(number: u64) -> impl Fn() + Send + Sync + 'static {
    move || {
        let memory = memory();
        let others: Vec<_> = (1..number)
            .map(|_| {
                let memory = Arc::clone(&memory);
                thread::spawn(move || count(&memory))
            })
            .collect();
        count(&memory);
        for other in others {
            other.join().unwrap();
        }
        let mut bytes = [0; 8];
        View::new(&memory, Flaw::None).read(GUARDED, &mut bytes).unwrap();
        assert_eq!(u64::from_le_bytes(bytes), number);
    }
}

/// A holder whose thread waits for the lock again, while another thread gives it back.
fn hand_over(flaw: Flaw, order: Order) -> impl Fn() + Send + Sync + 'static {
    move || {
        let memory = memory();
        let view = View::new(&memory, flaw);
        assert!(!lock(&view));
        let theirs = Arc::clone(&memory);
        let other = thread::spawn(move || unlock(&View::new(&theirs, flaw), order));
        assert!(!lock(&view), "nobody has died");
        other.join().unwrap();
    }
}

#[test]
fn each_holder_is_alone_and_each_waiter_is_woken() {
    explore(3, holders(2));
    explore(1, holders(3));
    explore(3, hand_over(Flaw::None, Order::Right));
}

#[test]
fn without_the_full_fence_a_waiter_for_the_lock_sleeps_forever() {
    must_fail(2, hand_over(Flaw::NoFullFence, Order::Right));
}

#[test]
fn a_wake_before_the_lock_is_given_back_is_lost() {
    must_fail(2, hand_over(Flaw::None, Order::RingsFirst));
    must_fail(2, hand_over(Flaw::None, Order::NeverRings));
}

#[test]
fn a_holder_that_cleans_after_the_lock_is_given_back_feigns_a_death() {
    must_fail(2, hand_over(Flaw::None, Order::CleansLast));
}
