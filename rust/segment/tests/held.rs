//! Values that some threads use while others take them away.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use shm_segment::Held;

/// Says when it is dropped.
struct Dropped(Arc<AtomicUsize>, AtomicBool);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn value(count: &Arc<AtomicUsize>) -> Dropped {
    Dropped(Arc::clone(count), AtomicBool::new(false))
}

#[test]
fn it_is_dropped_at_once_if_nobody_is_inside() {
    let drops = Arc::new(AtomicUsize::new(0));
    let held = Held::default();
    held.put(value(&drops));
    assert_eq!(drops.load(Ordering::SeqCst), 0);
    assert_eq!(held.take(|_| 7), Some(7));
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    assert_eq!(held.take(|_| 7), None);
    held.put(value(&drops));
    drop(held);
    assert_eq!(drops.load(Ordering::SeqCst), 2);
}

#[test]
fn who_is_inside_keeps_it() {
    let drops = Arc::new(AtomicUsize::new(0));
    let held = Held::default();
    held.put(value(&drops));
    held.with(|inside| {
        held.take(|_| ());
        assert!(!inside.unwrap().1.load(Ordering::SeqCst));
        assert_eq!(drops.load(Ordering::SeqCst), 0);
        held.with(|now| assert!(now.is_none()));
    });
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[test]
fn only_the_expected_one_is_taken() {
    let drops = Arc::new(AtomicUsize::new(0));
    let held = Held::default();
    held.put(value(&drops));
    held.with(|inside| {
        let inside = inside.unwrap();
        held.put(value(&drops));
        assert_eq!(held.take_this(inside, |_| ()), None);
    });
    held.with(|inside| assert_eq!(held.take_this(inside.unwrap(), |_| ()), Some(())));
    assert_eq!(drops.load(Ordering::SeqCst), 2);
}

#[test]
fn threads_use_it_while_others_take_it() {
    let drops = Arc::new(AtomicUsize::new(0));
    let held = Held::default();
    let puts = 500;
    std::thread::scope(|scope| {
        let users: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = 0;
                    while drops.load(Ordering::SeqCst) < puts {
                        held.with(|inside: Option<&Dropped>| {
                            if let Some(inside) = inside {
                                assert!(!inside.1.load(Ordering::SeqCst), "used after it was dropped");
                                seen += 1;
                            }
                        });
                    }
                    seen
                })
            })
            .collect();
        for _ in 0..puts {
            held.put(value(&drops));
            std::thread::yield_now();
            held.take(|_| ());
        }
        // Whoever leaves last drops it, so that the count is reached without more calls.
        for user in users {
            user.join().unwrap();
        }
    });
    assert_eq!(drops.load(Ordering::SeqCst), puts);
}
