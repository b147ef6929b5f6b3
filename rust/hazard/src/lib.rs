//! An optional value that any thread may use while another thread takes it away.
//!
//! A reader never blocks and never writes to a cache line that other threads write to. [`AtomicOption::take`]
//! unlinks the value; the last reader drops it.
//!
//! # Algorithm
//! Hazard pointers (Maged M. Michael, "Hazard Pointers: Safe Memory Reclamation for Lock-Free Objects",
//! 2004). Each thread publishes the address of the value that it uses in a hazard slot (`slot.rs`), which
//! every thread can read.
//!
//! - A reader publishes the address, then checks that the value is still linked. If so, a later `take` finds
//!   the slot.
//! - `take` unlinks the value, then scans the slots. It drops a value that no slot protects. Any other value
//!   goes on the list of retired values (`retired.rs`).
//! - A leaving reader clears its slot, then checks that the value is still linked. If not, it scans the list
//!   and drops the values that no slot protects any more.
//!
//! In each pair, both sides store first and load second, with a full fence between, so at least one of them
//! sees the other. Every call reads, but only closing something takes. So an asymmetric fence makes the
//! taking side pay for both (`asymmetric_fence.rs`).
//!
//! # Alternatives
//! `benches/use.rs` measures this crate and `arc-swap`, `seize` and `haphazard`; docs/PERFORMANCE.md has
//! figures. `seize` drops values in batches of one per thread, which may be never; here a value may be a
//! gigabyte. `haphazard` executes a full fence at each use, and collects at intervals.

mod asymmetric_fence;
mod retired;
mod slot;

use std::ptr::{self, NonNull};

#[cfg(loom)]
use loom::sync::atomic;
#[cfg(not(loom))]
use std::sync::atomic;

use atomic::{AtomicPtr, Ordering};
use slot::Guard;

/// An `Option<T>` behind a shared reference.
///
/// Dropping it drops the value.
#[derive(Debug)]
pub struct AtomicOption<T: Send + Sync + 'static>(AtomicPtr<T>);

impl<T: Send + Sync + 'static> Default for AtomicOption<T> {
    fn default() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }
}

// Invariants of the `unsafe` code below:
// - The pointer is null or comes from `Box::into_raw`. The thread that unlinks a value (`swap`,
//   `compare_exchange`) is the only one to do so, and retires it once.
// - A retired value is dropped once, when no slot protects it: no reader can protect it later, as it is
//   unlinked.
impl<T: Send + Sync + 'static> AtomicOption<T> {
    /// Calls `work` with the value, which lives until `work` returns even if another thread takes it.
    #[inline]
    pub fn with<R>(&self, work: impl FnOnce(Option<&T>) -> R) -> R {
        let reader = self.protect();
        // SAFETY: the value was linked after the slot protected it, and the guard protects it until it is
        // dropped.
        work(reader.as_ref().map(|reader| unsafe { reader.value.as_ref() }))
    }

    /// Returns whether the option still holds `value`, which came from [`with`](Self::with). A reader that
    /// takes long asks it, to end soon after another thread has taken the value.
    pub fn holds(&self, value: &T) -> bool {
        ptr::eq(self.0.load(Ordering::Acquire), value)
    }

    #[inline]
    fn protect(&self) -> Option<Reader<'_, T>> {
        let mut value = NonNull::new(self.0.load(Ordering::Acquire))?;
        let guard = Guard::acquire();
        loop {
            guard.protect(value.cast());
            asymmetric_fence::light();
            let linked = NonNull::new(self.0.load(Ordering::Acquire));
            if linked == Some(value) {
                return Some(Reader { option: self, value, guard });
            }
            // The thread that took it may have seen the slot, and left the value to this thread.
            guard.clear();
            retired::reclaim();
            value = linked?;
        }
    }

    /// Puts a value in. The previous value is dropped as soon as no reader uses it.
    pub fn put(&self, value: T) {
        self.replace(value, |_| ());
    }

    /// Puts a value in as [`put`](Self::put) does, and calls `work` with the previous one before that is
    /// dropped.
    pub fn replace<R>(&self, value: T, work: impl FnOnce(&T) -> R) -> Option<R> {
        asymmetric_fence::prepare();
        let previous = self.0.swap(Box::into_raw(Box::new(value)), Ordering::AcqRel);
        // SAFETY: `previous` came from `Box::into_raw`. The swap unlinked it, and gave it to this one.
        Some(unsafe { Self::retire(NonNull::new(previous)?, work) })
    }

    /// Puts a value in as [`put`](Self::put) does, but only in the place of `expected`, which came from
    /// [`with`](Self::with).
    ///
    /// # Errors
    /// The new value, if the option no longer holds `expected`.
    pub fn replace_if(&self, expected: &T, value: T) -> Result<(), T> {
        asymmetric_fence::prepare();
        let expected = ptr::from_ref(expected).cast_mut();
        let value = Box::into_raw(Box::new(value));
        match self.0.compare_exchange(expected, value, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(previous) => {
                if let Some(previous) = NonNull::new(previous) {
                    // SAFETY: `previous` came from `Box::into_raw`. The exchange unlinked it, and gave it to
                    // this thread alone.
                    unsafe { Self::retire(previous, |_| ()) };
                }
                Ok(())
            }
            // SAFETY: `value` came from `Box::into_raw` just now, and was not linked.
            Err(_) => Err(*unsafe { Box::from_raw(value) }),
        }
    }

    /// Takes the value out and calls `work` with it before it is dropped. Of several threads that call this,
    /// one gets it.
    pub fn take<R>(&self, work: impl FnOnce(&T) -> R) -> Option<R> {
        let value = NonNull::new(self.0.swap(ptr::null_mut(), Ordering::AcqRel))?;
        // SAFETY: `value` came from `Box::into_raw`; the swap gave it to this thread alone.
        Some(unsafe { Self::retire(value, work) })
    }

    /// Takes the value out as [`take`](Self::take) does, but only if it is `expected`, which came from
    /// [`with`](Self::with).
    pub fn take_if<R>(&self, expected: &T, work: impl FnOnce(&T) -> R) -> Option<R> {
        let expected_ptr = ptr::from_ref(expected).cast_mut();
        let order = (Ordering::AcqRel, Ordering::Relaxed);
        let value = self.0.compare_exchange(expected_ptr, ptr::null_mut(), order.0, order.1).ok()?;
        // SAFETY: `value` came from `Box::into_raw`; the exchange gave it to this thread alone.
        Some(unsafe { Self::retire(NonNull::new(value)?, work) })
    }

    /// Calls `work` with a value, which is dropped afterwards, as soon as no reader uses it.
    ///
    /// # Safety
    /// The value came from `Box::into_raw`, and this thread alone has unlinked it.
    unsafe fn retire<R>(value: NonNull<T>, work: impl FnOnce(&T) -> R) -> R {
        // SAFETY: no thread drops the value before this one retires it.
        let result = work(unsafe { value.as_ref() });
        // SAFETY: this function's contract.
        unsafe { retired::retire(value) };
        result
    }
}

impl<T: Send + Sync + 'static> Drop for AtomicOption<T> {
    fn drop(&mut self) {
        if let Some(value) = NonNull::new(self.0.swap(ptr::null_mut(), Ordering::AcqRel)) {
            // SAFETY: `&mut self` excludes readers, which borrow `self`; the value came from `Box::into_raw`.
            drop(unsafe { Box::from_raw(value.as_ptr()) });
        }
    }
}

/// A use of a value that is under way.
struct Reader<'a, T: Send + Sync + 'static> {
    option: &'a AtomicOption<T>,
    value: NonNull<T>,
    guard: Guard,
}

impl<T: Send + Sync + 'static> Drop for Reader<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.guard.clear();
        asymmetric_fence::light();
        if self.option.0.load(Ordering::Relaxed) != self.value.as_ptr() {
            retired::reclaim();
        }
    }
}
