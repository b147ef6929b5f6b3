//! Values that a child of `fork(2)` inherits, and must neither use nor drop.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A shared value. A child of a fork never drops it, since its end would give back the roles of the parent.
/// Another thread of the parent may also have had a lock in it.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    value: ManuallyDrop<Arc<T>>,
    forks: u32,
}

impl<T> Kept<T> {
    pub(crate) fn of(value: Arc<T>) -> Self {
        Self { value: ManuallyDrop::new(value), forks: shm_segment::forks() }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.value, &other.value)
    }
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), forks: self.forks }
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        if shm_segment::forks() == self.forks {
            // SAFETY: the value is dropped once, here, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}

/// The place of a value that may be taken out. In a child of a fork, it is empty.
#[derive(Debug)]
pub(crate) struct Place<T> {
    value: Mutex<Option<Kept<T>>>,
    forks: u32,
}

impl<T> Place<T> {
    pub(crate) fn new(value: Option<Kept<T>>) -> Self {
        Self { value: Mutex::new(value), forks: shm_segment::forks() }
    }

    /// Returns whether a parent of this process made the place.
    pub(crate) fn is_inherited(&self) -> bool {
        shm_segment::forks() != self.forks
    }

    pub(crate) fn get(&self) -> Option<Kept<T>> {
        // Another thread of the parent may have held the lock at the fork.
        if self.is_inherited() { None } else { lock(&self.value).clone() }
    }

    pub(crate) fn replace(&self, value: Option<Kept<T>>) -> Option<Kept<T>> {
        if self.is_inherited() { None } else { std::mem::replace(&mut *lock(&self.value), value) }
    }
}

/// Locks a mutex. A panic can't leave its value half stored.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
