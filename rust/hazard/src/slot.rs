//! Hazard slots: where each thread publishes the address of the value that it uses.

use std::cell::Cell;
use std::ptr::{self, NonNull};

use super::atomic::{AtomicBool, AtomicPtr, Ordering};

/// The address of a value in use, or null. Never freed: there are n slots after n concurrent uses.
#[derive(Debug)]
// A cache line to itself: one thread writes to it all the time.
#[repr(align(128))]
struct HazardSlot {
    value: AtomicPtr<()>,
    is_taken: AtomicBool,
    /// Set before the slot can be found, and never changed.
    next: *const Self,
}

// SAFETY: `next` leads to a slot that is never freed, and is only read; the other fields are atomic.
unsafe impl Sync for HazardSlot {}

impl HazardSlot {
    fn all() -> impl Iterator<Item = &'static Self> {
        // SAFETY: the pointer is null or leads to a slot, which is never freed.
        let slot = |pointer: *const Self| unsafe { pointer.as_ref() };
        std::iter::successors(slot(SLOTS.load(Ordering::Acquire)), move |found| slot(found.next))
    }

    /// Takes a free slot, or adds one.
    #[cold]
    fn take() -> &'static Self {
        let take = |slot: &&Self| {
            slot.is_taken.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        Self::all().find(take).unwrap_or_else(Self::add)
    }

    fn add() -> &'static Self {
        let mut next = SLOTS.load(Ordering::Acquire);
        let value = AtomicPtr::new(ptr::null_mut());
        let new = Box::into_raw(Box::new(Self { value, is_taken: AtomicBool::new(true), next }));
        while let Err(now) = SLOTS.compare_exchange(next, new, Ordering::AcqRel, Ordering::Acquire) {
            next = now;
            // SAFETY: `new` is not linked yet, so no other thread can reach it.
            unsafe { (*new).next = next };
        }
        // SAFETY: a slot is never freed, and from here on only shared.
        unsafe { &*new }
    }

    fn release(&self) {
        self.is_taken.store(false, Ordering::Release);
    }
}

/// A thread's own slot, from its first use to its end.
struct ThreadSlot(Cell<Option<&'static HazardSlot>>);

impl Drop for ThreadSlot {
    fn drop(&mut self) {
        if let Some(slot) = self.0.get() {
            slot.release();
        }
    }
}

/// The right to write to a slot.
pub(super) struct Guard {
    slot: &'static HazardSlot,
    /// The slot is not the thread's own, and is released after this use.
    is_temporary: bool,
}

impl Guard {
    /// Takes the thread's own slot, or another one if that protects a value already.
    #[inline]
    pub(super) fn acquire() -> Self {
        match THREAD_SLOT.try_with(|own| own.0.get()) {
            Ok(Some(slot)) if slot.value.load(Ordering::Relaxed).is_null() => {
                Self { slot, is_temporary: false }
            }
            Ok(None) => {
                let slot = HazardSlot::take();
                Self { slot, is_temporary: THREAD_SLOT.try_with(|own| own.0.set(Some(slot))).is_err() }
            }
            _ => Self { slot: HazardSlot::take(), is_temporary: true },
        }
    }

    #[inline]
    pub(super) fn protect(&self, value: NonNull<()>) {
        self.slot.value.store(value.as_ptr(), Ordering::Release);
    }

    /// Releases all that the thread did with the value: a thread that reads null knows that it is done.
    #[inline]
    pub(super) fn clear(&self) {
        self.slot.value.store(ptr::null_mut(), Ordering::Release);
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        if self.is_temporary {
            self.slot.release();
        }
    }
}

/// Returns whether any thread protects the value.
pub(super) fn is_protected(value: NonNull<()>) -> bool {
    HazardSlot::all().any(|slot| slot.value.load(Ordering::Acquire) == value.as_ptr())
}

#[cfg(not(loom))]
static SLOTS: AtomicPtr<HazardSlot> = AtomicPtr::new(ptr::null_mut());
#[cfg(not(loom))]
thread_local! {
    // On Windows, clippy doesn't see that the initialiser is const.
    #[cfg_attr(windows, allow(clippy::missing_const_for_thread_local))]
    static THREAD_SLOT: ThreadSlot = const { ThreadSlot(Cell::new(None)) };
}

// loom resets its statics before each execution.
#[cfg(loom)]
loom::lazy_static! {
    static ref SLOTS: AtomicPtr<HazardSlot> = AtomicPtr::new(ptr::null_mut());
}
#[cfg(loom)]
loom::thread_local! {
    static THREAD_SLOT: ThreadSlot = ThreadSlot(Cell::new(None));
}
