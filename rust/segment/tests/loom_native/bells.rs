//! Waiting and waking: a process that sleeps is woken, if what it waits for was published. Here, no sleep
//! ends by itself. loom reports threads that sleep forever.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;

use crate::bell::Bell;
use crate::memory::{Copies, Flaw, Memory, View};
use crate::shared::Shared;
use crate::{explore, must_fail};

const BELL: Bell = Bell(0x80);
/// The word that is published.
const PUBLISHED: u64 = 0x100;

fn memory() -> Arc<Memory> {
    Memory::new(&[(0x80, 0), (0x84, 0)], &[(PUBLISHED, 0)], [], Copies::Exclusive)
}

fn publish(memory: &Arc<Memory>, flaw: Flaw, value: u64) {
    let view = View::new(memory, flaw);
    view.store_u64(PUBLISHED, value).unwrap();
    BELL.ring(&view).unwrap();
}

/// Waits until the value is published, as `waiting.rs` does.
fn wait_for(memory: &Arc<Memory>, flaw: Flaw, value: u64) {
    let view = View::new(memory, flaw);
    let is_there = || view.load_u64(PUBLISHED).unwrap() >= value;
    while !is_there() {
        let bell = BELL.want(&view).unwrap();
        if is_there() {
            break;
        }
        view.sleep(BELL.word(), bell, Duration::MAX, Duration::ZERO).unwrap();
    }
}

fn one_waiter(flaw: Flaw) -> impl Fn() + Send + Sync + 'static {
    move || {
        let memory = memory();
        let theirs = Arc::clone(&memory);
        let waker = thread::spawn(move || {
            publish(&theirs, flaw, 1);
            publish(&theirs, flaw, 2);
        });
        wait_for(&memory, flaw, 1);
        wait_for(&memory, flaw, 2);
        waker.join().unwrap();
    }
}

#[test]
fn a_waiter_is_woken_or_does_not_sleep() {
    explore(2, one_waiter(Flaw::None));
}

#[test]
fn without_the_full_fence_a_waiter_sleeps_forever() {
    must_fail(2, one_waiter(Flaw::NoFullFence));
}

#[test]
fn two_waiters_are_both_woken() {
    explore(2, || {
        let memory = memory();
        let (wakers, others) = (Arc::clone(&memory), Arc::clone(&memory));
        let waker = thread::spawn(move || publish(&wakers, Flaw::None, 1));
        let other = thread::spawn(move || wait_for(&others, Flaw::None, 1));
        wait_for(&memory, Flaw::None, 1);
        waker.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn two_wakers_wake_a_waiter_for_both() {
    explore(2, || {
        let memory =
            Memory::new(&[(0x80, 0), (0x84, 0)], &[(PUBLISHED, 0), (0x108, 0)], [], Copies::Exclusive);
        let wake = |at: u64| {
            let theirs = Arc::clone(&memory);
            thread::spawn(move || {
                let view = View::new(&theirs, Flaw::None);
                view.store_u64(at, 1).unwrap();
                BELL.ring(&view).unwrap();
            })
        };
        let wakers = [wake(PUBLISHED), wake(0x108)];
        let view = View::new(&memory, Flaw::None);
        let are_there = || view.load_u64(PUBLISHED).unwrap() + view.load_u64(0x108).unwrap() == 2;
        while !are_there() {
            let bell = BELL.want(&view).unwrap();
            if are_there() {
                break;
            }
            view.sleep(BELL.word(), bell, Duration::MAX, Duration::ZERO).unwrap();
        }
        for waker in wakers {
            waker.join().unwrap();
        }
    });
}

#[test]
fn a_waiter_that_died_leaves_the_others_their_wake() {
    for accesses in 0..3 {
        explore(2, move || {
            let memory = memory();
            let (wakers, others) = (Arc::clone(&memory), Arc::clone(&memory));
            let waker = thread::spawn(move || publish(&wakers, Flaw::None, 1));
            let dead = thread::spawn(move || {
                let _ = BELL.want(&View::dying_after(&others, Flaw::None, accesses));
            });
            wait_for(&memory, Flaw::None, 1);
            waker.join().unwrap();
            dead.join().unwrap();
        });
    }
}
