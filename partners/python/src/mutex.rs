//! `Mutex`: a lock that death releases.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use shm_segment::layout::Error as LayoutError;
use shm_segment::layout::native::{LOCKS, Lock};

use crate::error::{Cause, Failure, Result};
use crate::exit::{self, Closable};
use crate::forks::{Kept, Place};
use crate::memory::scope;
use crate::stream::count;
use crate::waits;

/// A lock that programs share under a name. It is released when its holder ends, however that happens.
///
/// The object holds the lock, and no thread does. A `with` block holds it, and waits for it as long as
/// `timeout` says, in seconds. A name has 64 locks.
///
/// ```python
/// >>> name = gsm.generate_name("doc")
/// >>> mutex = gsm.Mutex(name, timeout=1)
/// >>> with mutex:
/// ...     mutex.is_locked()
/// True
/// >>> mutex.close()
///
/// ```
#[pyclass(frozen, weakref, subclass, module = "godot_shared_memory")]
pub(crate) struct Mutex {
    place: Place<Lock>,
    /// The timeout of a `with` block.
    timeout: Duration,
}

impl Closable for Lock {
    fn close(&self) {
        Self::close(self);
    }
}

impl Mutex {
    fn get(&self) -> Result<Kept<Lock>> {
        self.place.get().ok_or_else(Failure::closed)
    }

    fn take(&self, py: Python<'_>, timeout: Duration) -> Result<()> {
        let lock = self.get()?;
        let now = lock.lock(Duration::ZERO);
        if !matches!(now, Err(LayoutError::Locked)) || timeout.is_zero() {
            return Ok(now?);
        }
        Ok(waits::detached(py, || lock.lock_while(timeout, waits::goes_on))??)
    }
}

#[pymethods]
impl Mutex {
    #[new]
    #[pyo3(signature = (name, id = 0, *, scope = 0, timeout = Some(10.0)))]
    fn new(py: Python<'_>, name: &str, id: i64, scope: i64, timeout: Option<f64>) -> Result<Self> {
        let (scope, timeout) = (self::scope(scope)?, waits::timeout(timeout)?);
        let index = count("id", id, 0, u32::from(LOCKS) - 1)?;
        let index = u8::try_from(index).unwrap_or(u8::MAX);
        let lock = py.detach(|| Lock::open(name, index, scope)).map_err(|error| match error {
            // The name leads to other memory, which has less than locks need.
            LayoutError::Segment(shm_segment::Error::TooSmall { .. }) => {
                Failure::data(format!("the memory does not hold locks: {error}"))
            }
            // Other programs create and remove it all the time.
            LayoutError::Segment(shm_segment::Error::AlreadyExists { .. }) => {
                Failure::new(Cause::Busy, error.to_string())
            }
            other => other.into(),
        })?;
        Ok(Self { place: Place::new(Some(exit::keep(lock))), timeout })
    }

    /// Takes the lock. Waits for it, for `timeout` seconds at most; None is no limit.
    ///
    /// Raises BusyError without a timeout, and TimeoutError after waiting. Raises InUseError if this object
    /// holds it.
    #[pyo3(signature = (timeout))]
    fn lock(&self, py: Python<'_>, timeout: Option<f64>) -> Result<()> {
        self.take(py, waits::timeout(timeout)?)
    }

    /// Takes the lock if it is free. Returns whether it has.
    fn try_lock(&self) -> Result<bool> {
        match self.get()?.lock(Duration::ZERO) {
            Ok(()) => Ok(true),
            Err(LayoutError::Locked) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the lock back.
    ///
    /// Raises ClosedError if this object doesn't hold it.
    fn unlock(&self) -> Result<()> {
        Ok(self.get()?.unlock()?)
    }

    /// Returns whether any object or program holds the lock.
    fn is_locked(&self) -> Result<bool> {
        Ok(self.get()?.is_locked()?)
    }

    /// Returns whether this object holds the lock, and the holder before it has died with it.
    fn was_abandoned(&self) -> Result<bool> {
        Ok(self.get()?.was_abandoned())
    }

    /// Returns the name.
    fn get_name(&self) -> Result<String> {
        Ok(self.get()?.name().to_owned())
    }

    /// Gives the lock back if it is held, and ends the use of the name.
    fn close(&self, py: Python<'_>) {
        if let Some(lock) = self.place.replace(None) {
            py.detach(|| {
                lock.close();
                drop(lock);
            });
        }
    }

    /// Returns whether the object was closed, or belongs to a parent of this process.
    fn is_closed(&self) -> bool {
        self.place.get().is_none()
    }

    fn __enter__<'py>(slf: Bound<'py, Self>, py: Python<'py>) -> Result<Bound<'py, Self>> {
        slf.get().take(py, slf.get().timeout)?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyTuple>) -> Result<()> {
        match self.place.get() {
            // Closing it has unlocked it.
            None => Ok(()),
            Some(lock) => Ok(lock.unlock()?),
        }
    }
}
