//! What streams, queues and arrays have in common: each is a layout over a segment that a [`SharedMemory`] holds.
//!
//! What is attached to is the segment, not the object: after `memory.close()`, and after another `memory.open()`, the
//! layout is of no use any more, and every call says so. So a layout that was checked against one segment is never used
//! on another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use godot::global::Error as Code;
use hazard::AtomicOption;
use shm_segment::{Segment, layout};

use crate::class::{Definition, ErrorCode, Int, Reference};
use crate::error::{Failure, code_of};
use crate::last_error::{self, Fallible, LastError};
use crate::shared_memory::SharedMemory;

type Result<T, E = Failure> = std::result::Result<T, E>;

/// What an object of such a class is attached to, if anything, and what went wrong last.
pub(crate) struct Attachment<L: Send + Sync + 'static> {
    bound: AtomicOption<Bound<L>>,
    last_error: LastError,
    lock_timeout_msec: AtomicU64,
}

struct Bound<L> {
    memory: Reference<SharedMemory>,
    /// The [`Segment::id`].
    segment: u64,
    layout: L,
}

const LOCK_TIMEOUT_MSEC: u64 = 10;
/// In milliseconds: 24 days.
const LONGEST_LOCK_TIMEOUT: i64 = i32::MAX as i64;

impl<L: Send + Sync + 'static> Default for Attachment<L> {
    fn default() -> Self {
        Self {
            bound: AtomicOption::default(),
            last_error: LastError::default(),
            lock_timeout_msec: AtomicU64::new(LOCK_TIMEOUT_MSEC),
        }
    }
}

impl<L: Send + Sync + 'static> Attachment<L> {
    pub(crate) const fn last_error(&self) -> &LastError {
        &self.last_error
    }

    /// How long to wait for a lock that another program holds.
    pub(crate) fn lock_timeout(&self) -> Duration {
        Duration::from_millis(self.lock_timeout_msec.load(Ordering::Relaxed))
    }

    /// Calls `work` with the layout and the segment, both there until it is done.
    fn with<T>(&self, work: impl FnOnce(&L, &Segment) -> Result<T>) -> Result<T> {
        self.bound.with(|bound| {
            let bound = bound.ok_or_else(|| {
                Failure::new(Code::ERR_UNCONFIGURED, "it is not attached to any memory; call attach() first")
            })?;
            bound.memory.with_segment(bound.segment, |segment| work(&bound.layout, segment))
        })
    }
}

/// A class whose objects are attached to a segment.
pub(crate) trait Attached: Fallible {
    type Layout: Send + Sync + 'static;

    fn attachment(&self) -> &Attachment<Self::Layout>;

    /// Lays it out anew.
    fn lay_out(layout: &Self::Layout, segment: &Segment) -> layout::Result<()>;

    /// Attaches the object to what `memory` holds: `make` finds the layout there, or lays it out. If that fails, the
    /// object stays attached to what it was.
    fn attach_to(
        &self,
        memory: Option<Reference<SharedMemory>>,
        make: impl FnOnce(&Segment) -> Result<Self::Layout>,
    ) -> ErrorCode {
        let bound =
            memory.ok_or_else(|| Failure::argument("memory", "null", "a SharedMemory")).and_then(|memory| {
                let (segment, layout) =
                    memory.with_any_segment(|segment| Ok((segment.id(), make(segment)?)))?;
                Ok(Bound { memory, segment, layout })
            });
        code_of(self.told("attach", bound.map(|bound| self.attachment().bound.put(bound))))
    }

    /// Calls `work` with the layout and the segment, and remembers how it went.
    fn with<T>(
        &self,
        method: &str,
        work: impl FnOnce(&Self::Layout, &Segment) -> Result<T>,
    ) -> Result<T, ErrorCode> {
        self.told(method, self.attachment().with(work))
    }

    /// As [`with`](Self::with), for what is called each frame: prints nothing.
    fn with_quietly<T>(
        &self,
        work: impl FnOnce(&Self::Layout, &Segment) -> Result<T>,
    ) -> Result<T, ErrorCode> {
        let result = self.attachment().with(work);
        result.inspect(|_| self.last_error().clear()).map_err(|failure| self.last_error().remember(failure))
    }

    /// The outcome of `method`, remembered.
    fn told<T>(&self, method: &str, result: Result<T>) -> Result<T, ErrorCode> {
        // Each call tells how it went, so that a message of no bytes can be told from none.
        result
            .inspect(|_| self.last_error().clear())
            .map_err(|failure| self.last_error().fail::<Self>(method, failure))
    }
}

/// The methods that all of them have, `attach` excepted.
pub(crate) fn define<C: Attached>(class: &mut Definition<C>) {
    class.method::<(), ()>("detach", &[], &[], |object: &C| {
        // The last one who is in the middle of a call lets go of the memory.
        let _ = object.attachment().bound.take(|_| ());
    });
    class.method::<(), Option<Reference<SharedMemory>>>("get_memory", &[], &[], |object: &C| {
        object.attachment().bound.with(|bound| bound.map(|bound| bound.memory.clone()))
    });
    class.method::<(), ErrorCode>("reset", &[], &[], |object: &C| {
        code_of(
            object.with("reset", |layout, segment| {
                C::lay_out(layout, segment).map_err(|e| Failure::of_layout(&e))
            }),
        )
    });
    last_error::define(class);
}

/// The property of those whose layout has locks.
pub(crate) fn define_lock_timeout<C: Attached>(class: &mut Definition<C>) {
    class.method::<(Int,), ()>("set_lock_timeout_msec", &["msec"], &[], |object: &C, msec: i64| {
        match u64::try_from(msec) {
            Ok(valid) if msec <= LONGEST_LOCK_TIMEOUT => {
                object.attachment().lock_timeout_msec.store(valid, Ordering::Relaxed);
            }
            _ => {
                let limit = format!("from 0 to {LONGEST_LOCK_TIMEOUT}");
                let refusal = Failure::argument("lock_timeout_msec", msec, &limit);
                object.last_error().fail::<C>("set_lock_timeout_msec", refusal);
            }
        }
    });
    class.method::<(), i64>("get_lock_timeout_msec", &[], &[], |object: &C| {
        i64::try_from(object.attachment().lock_timeout_msec.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
    });
    class.property::<i64>("lock_timeout_msec", "set_lock_timeout_msec", "get_lock_timeout_msec");
}
