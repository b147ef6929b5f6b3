//! A value that any thread may use while another takes it away.
//!
//! Who uses the value neither waits nor makes others wait. Who takes it away makes it unreachable; it is dropped when
//! the last one who is still using it is done, by that one. The crate `arc-swap` sees to that.
//!
//! Other ways that were measured: two counters in the object cost the same, and calls from several threads on one
//! object would share a cache line; the crate `seize` costs a third less, but drops a value only when as many have
//! been taken away as there are threads inside, which may be never, and here a value may be a gigabyte.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

/// A value, or nothing.
#[derive(Debug)]
pub(crate) struct Held<T>(ArcSwapOption<T>);

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self(ArcSwapOption::empty())
    }
}

impl<T> Held<T> {
    /// Calls `work` with the value. It lives until `work` returns, even if another thread takes it meanwhile.
    #[inline]
    pub(crate) fn with<R>(&self, work: impl FnOnce(Option<&T>) -> R) -> R {
        work(self.0.load().as_deref())
    }

    /// Puts a value in. What was there before is dropped as soon as nobody uses it.
    pub(crate) fn put(&self, value: T) {
        self.0.store(Some(Arc::new(value)));
    }

    /// Takes the value out and calls `work` with it, before it is dropped. Of several threads, one gets it.
    pub(crate) fn take<R>(&self, work: impl FnOnce(&T) -> R) -> Option<R> {
        self.0.swap(None).as_deref().map(work)
    }

    /// As [`take`](Self::take), but only if the value is `expected`, which came from [`with`](Self::with).
    pub(crate) fn take_this<R>(&self, expected: &T, work: impl FnOnce(&T) -> R) -> Option<R> {
        let current = self.0.load();
        let is_expected = current.as_deref().is_some_and(|value| std::ptr::eq(value, expected));
        if !is_expected {
            return None;
        }
        let before = self.0.compare_and_swap(&*current, None);
        let was_first = before.as_deref().is_some_and(|value| std::ptr::eq(value, expected));
        was_first.then(|| work(expected))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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
}
