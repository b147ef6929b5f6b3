//! The right to open something in an object, which one call has at a time.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};

/// The right to put something into an object. Dropping it gives the right back.
pub(crate) struct Reservation<'a>(&'a AtomicBool);

impl<'a> Reservation<'a> {
    /// Takes the right, unless another call has it, or has put something in.
    pub(crate) fn take(is_occupied: &'a AtomicBool) -> Option<Self> {
        (!is_occupied.swap(true, Ordering::AcqRel)).then_some(Self(is_occupied))
    }

    /// Keeps the right for the thing that is in the object from now on.
    pub(crate) fn keep(self) {
        mem::forget(self);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
