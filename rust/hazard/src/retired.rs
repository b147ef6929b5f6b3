//! Values that are unlinked, and that a reader may still use.

use std::ptr::NonNull;
use std::sync::PoisonError;

#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard};

use super::{asymmetric_fence, slot};

/// An unlinked value, and how to drop it.
struct Retired {
    value: NonNull<()>,
    drop: unsafe fn(NonNull<()>),
}

// SAFETY: the value is `Send` (see `retire`), and one thread drops it.
unsafe impl Send for Retired {}

/// Drops the value, or leaves that to the last reader.
///
/// # Safety
/// `value` came from `Box::<T>::into_raw`, is unlinked, and is retired once.
#[cold]
pub(super) unsafe fn retire<T: Send + Sync + 'static>(value: NonNull<T>) {
    /// # Safety
    /// `value` came from `Box::<T>::into_raw`, and no thread uses it.
    unsafe fn drop_box<T>(value: NonNull<()>) {
        // SAFETY: by this function's contract, `value` came from `Box::<T>::into_raw` and is unused.
        drop(unsafe { Box::from_raw(value.cast::<T>().as_ptr()) });
    }
    // Without the fence, no scan of the slots proves that the value is unused: a leak is better than a use
    // after free. The system allowed the call before, so it fails only if a sandbox has revoked it since.
    if asymmetric_fence::heavy() {
        retired().push(Retired { value: value.cast(), drop: drop_box::<T> });
        reclaim();
    }
}

/// Drops the retired values that no slot protects.
#[cold]
pub(super) fn reclaim() {
    // The lock keeps two leaving readers from leaving the value to each other.
    let unused: Vec<Retired> = retired().extract_if(.., |one| !slot::is_protected(one.value)).collect();
    // The lock is free again: dropping a value may take long.
    for Retired { value, drop } in unused {
        // SAFETY: the value is off the list, so no other thread drops it. No slot protects it, and as it is
        // unlinked, none will.
        unsafe { drop(value) };
    }
}

#[cfg(not(loom))]
static RETIRED: Mutex<Vec<Retired>> = Mutex::new(Vec::new());
#[cfg(loom)]
loom::lazy_static! {
    static ref RETIRED: Mutex<Vec<Retired>> = Mutex::new(Vec::new());
}

fn retired() -> MutexGuard<'static, Vec<Retired>> {
    RETIRED.lock().unwrap_or_else(PoisonError::into_inner)
}
