//! The times of looks at a name.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::os;

/// Tells when it is time to look whether a name leads to another segment. A question costs a look at a clock.
#[derive(Debug)]
pub(super) struct Looks(AtomicU64);

/// The time between two looks, in steps of the coarse clock: about 100 ms.
pub(super) const INTERVAL: u64 = 100;
const NEVER: u64 = u64::MAX;

impl Default for Looks {
    /// It is never time.
    fn default() -> Self {
        Self(AtomicU64::new(NEVER))
    }
}

impl Looks {
    /// Returns whether it is time.
    #[inline]
    pub(super) fn are_due(&self) -> bool {
        let next = self.0.load(Ordering::Relaxed);
        next != NEVER && (next == 0 || os::coarse_clock() >= next)
    }

    /// Makes it time at once.
    pub(super) fn hurry(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Begins the next interval, after a look.
    pub(super) fn done(&self) {
        self.0.store(os::coarse_clock().saturating_add(INTERVAL), Ordering::Relaxed);
    }

    /// Ends the looks, as at the beginning.
    pub(super) fn end(&self) {
        self.0.store(NEVER, Ordering::Relaxed);
    }
}
