//! The end of the interpreter: objects that are still open are closed, and threads that wait are let go.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::thread::{sleep, yield_now};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::forks::Kept;

/// A value that gives back names and roles, and ends the waits of other threads.
pub(crate) trait Closable: Send + Sync + 'static {
    fn close(&self);
}

struct Open {
    value: Weak<dyn Closable>,
    forks: u32,
}

static OPEN: Mutex<Vec<Open>> = Mutex::new(Vec::new());
/// The number of calls that wait without the interpreter.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Locks the list. In a child of a fork, a thread of the parent may hold the lock forever.
fn open() -> Option<MutexGuard<'static, Vec<Open>>> {
    const TRIES: usize = 1000;
    for _ in 0..TRIES {
        match OPEN.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => yield_now(),
        }
    }
    None
}

/// Keeps a value, which is closed at the end of the interpreter at the latest.
pub(crate) fn keep<T: Closable>(value: T) -> Kept<T> {
    let value = Arc::new(value);
    if let Some(mut list) = open() {
        if list.len() == list.capacity() {
            list.retain(|open| open.value.strong_count() > 0);
        }
        let weak = Arc::downgrade(&value);
        list.push(Open { value: weak, forks: shm_segment::forks() });
    }
    Kept::of(value)
}

/// A call that waits without the interpreter.
pub(crate) struct Waiting;

impl Waiting {
    pub(crate) fn begin() -> Self {
        WAITING.fetch_add(1, Ordering::AcqRel);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Closes everything, and gives the threads that wait the time to notice it.
#[pyfunction]
pub(crate) fn _end(py: Python<'_>) {
    const LONGEST: Duration = Duration::from_millis(200);
    py.detach(|| {
        let found = open().map(|mut list| std::mem::take(&mut *list)).unwrap_or_default();
        for Open { value, forks } in found {
            if forks == shm_segment::forks()
                && let Some(value) = value.upgrade()
            {
                value.close();
            }
        }
        let start = Instant::now();
        while WAITING.load(Ordering::Acquire) > 0 && start.elapsed() < LONGEST {
            sleep(Duration::from_millis(1));
        }
    });
}
