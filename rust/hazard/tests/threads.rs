//! Threads that use a value while others take it away.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hazard::AtomicOption;

/// A value that counts drops, and remembers its own.
struct Tracked {
    drops: Arc<AtomicUsize>,
    is_dropped: AtomicBool,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::SeqCst);
        self.drops.fetch_add(1, Ordering::SeqCst);
    }
}

fn value(drops: &Arc<AtomicUsize>) -> Tracked {
    Tracked { drops: Arc::clone(drops), is_dropped: AtomicBool::new(false) }
}

#[test]
fn take_drops_an_unused_value_at_once() {
    let drops = Arc::new(AtomicUsize::new(0));
    let option = AtomicOption::default();
    option.put(value(&drops));
    assert_eq!(drops.load(Ordering::SeqCst), 0);
    assert_eq!(option.take(|_| 7), Some(7));
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    assert_eq!(option.take(|_| 7), None);
    option.put(value(&drops));
    drop(option);
    assert_eq!(drops.load(Ordering::SeqCst), 2);
}

#[test]
fn replace_if_puts_a_value_in_the_place_of_the_expected_one_only() {
    let drops = Arc::new(AtomicUsize::new(0));
    let option = AtomicOption::default();
    option.put(value(&drops));
    option.with(|first| {
        let first = first.unwrap();
        assert!(option.replace_if(first, value(&drops)).is_ok());
        // This use keeps it.
        assert_eq!(drops.load(Ordering::SeqCst), 0);
        let refused = option.replace_if(first, value(&drops));
        assert!(refused.is_err() && !option.holds(first));
        drop(refused);
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    });
    assert_eq!(drops.load(Ordering::SeqCst), 2);
    option.take(|_| ());
    assert_eq!(drops.load(Ordering::SeqCst), 3);
}

#[test]
fn replace_uses_the_previous_value_before_it_is_dropped() {
    let drops = Arc::new(AtomicUsize::new(0));
    let option = AtomicOption::default();
    assert_eq!(option.replace(value(&drops), |_| 7), None);
    assert_eq!(option.replace(value(&drops), |_| drops.load(Ordering::SeqCst)), Some(0));
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    drop(option);
    assert_eq!(drops.load(Ordering::SeqCst), 2);
}

#[test]
fn a_reader_keeps_the_value() {
    let drops = Arc::new(AtomicUsize::new(0));
    let option = AtomicOption::default();
    option.put(value(&drops));
    option.with(|value| {
        option.take(|_| ());
        assert!(!value.unwrap().is_dropped.load(Ordering::SeqCst));
        assert_eq!(drops.load(Ordering::SeqCst), 0);
        option.with(|now| assert!(now.is_none()));
    });
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[test]
fn nested_readers_keep_both_values() {
    let (drops, others) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (outer, inner) = (AtomicOption::default(), AtomicOption::default());
    outer.put(value(&drops));
    inner.put(value(&others));
    outer.with(|first| {
        inner.with(|second| {
            outer.take(|_| ());
            inner.take(|_| ());
            assert!(!second.unwrap().is_dropped.load(Ordering::SeqCst));
        });
        assert_eq!(others.load(Ordering::SeqCst), 1);
        assert_eq!(drops.load(Ordering::SeqCst), 0);
        assert!(!first.unwrap().is_dropped.load(Ordering::SeqCst));
    });
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[test]
fn take_if_takes_the_expected_value_only() {
    let drops = Arc::new(AtomicUsize::new(0));
    let option = AtomicOption::default();
    option.put(value(&drops));
    option.with(|inside| {
        let inside = inside.unwrap();
        option.put(value(&drops));
        assert_eq!(option.take_if(inside, |_| ()), None);
    });
    option.with(|inside| assert_eq!(option.take_if(inside.unwrap(), |_| ()), Some(())));
    assert_eq!(drops.load(Ordering::SeqCst), 2);
}

#[test]
fn readers_never_meet_a_dropped_value() {
    let drops = Arc::new(AtomicUsize::new(0));
    let option = AtomicOption::default();
    let puts = 500;
    std::thread::scope(|scope| {
        let users: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = 0;
                    while drops.load(Ordering::SeqCst) < puts {
                        option.with(|value: Option<&Tracked>| {
                            if let Some(value) = value {
                                assert!(!value.is_dropped.load(Ordering::SeqCst), "used after its drop");
                                seen += 1;
                            }
                        });
                    }
                    seen
                })
            })
            .collect();
        for _ in 0..puts {
            option.put(value(&drops));
            std::thread::yield_now();
            option.take(|_| ());
        }
        // The last reader drops the value, so the count is reached without more calls.
        for user in users {
            user.join().unwrap();
        }
    });
    assert_eq!(drops.load(Ordering::SeqCst), puts);
}

#[test]
fn a_reader_learns_that_its_value_was_taken() {
    let option = AtomicOption::default();
    option.put(7);
    option.with(|value| {
        let value = value.unwrap();
        assert!(option.holds(value));
        option.take(|_| ());
        assert!(!option.holds(value));
        option.put(7);
        assert!(!option.holds(value), "an equal value is another");
    });
    assert_eq!(option.take(|value| *value), Some(7));
}
