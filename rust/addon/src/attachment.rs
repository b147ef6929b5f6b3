//! The common part of streams, queues and arrays: each is a layout over the segment of a [`SharedMemory`].
//!
//! An object is attached to the segment, not to the `SharedMemory`. After `memory.close()`, and after another
//! `memory.open()`, every call fails and says so. A layout that was checked against one segment is therefore
//! never used on another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use godot::global::Error as Code;
use hazard::AtomicOption;
use shm_segment::{Segment, layout};

use crate::args::signed;
use crate::binding::{Definition, ErrorCode, Reference, methods};
use crate::error::{Failure, Result, code_of};
use crate::last_error::{self, Fallible, LastError};
use crate::shared_memory::SharedMemory;

/// The state of an object of such a class. It is attached if there is a [`Target`].
pub(crate) struct Attachment<L: Send + Sync + 'static> {
    target: AtomicOption<Target<L>>,
    last_error: LastError,
    lock_timeout_msec: AtomicU64,
}

/// A layout, and the segment that it was checked against.
struct Target<L> {
    memory: Reference<SharedMemory>,
    /// The [`Segment::id`].
    segment_id: u64,
    layout: L,
}

const DEFAULT_LOCK_TIMEOUT_MSEC: u64 = 10;
/// 24 days.
const MAX_LOCK_TIMEOUT_MSEC: i64 = i32::MAX as i64;

impl<L: Send + Sync + 'static> Default for Attachment<L> {
    fn default() -> Self {
        Self {
            target: AtomicOption::default(),
            last_error: LastError::default(),
            lock_timeout_msec: AtomicU64::new(DEFAULT_LOCK_TIMEOUT_MSEC),
        }
    }
}

impl<L: Send + Sync + 'static> Attachment<L> {
    pub(crate) const fn last_error(&self) -> &LastError {
        &self.last_error
    }

    /// Returns how long a call waits for a lock that another program holds.
    pub(crate) fn lock_timeout(&self) -> Duration {
        Duration::from_millis(self.lock_timeout_msec.load(Ordering::Relaxed))
    }

    /// Calls `work` with the layout and the segment. Both stay valid until it returns.
    fn try_with_layout<T>(&self, work: impl FnOnce(&L, &Segment) -> Result<T>) -> Result<T> {
        self.target.with(|target| {
            let target = target.ok_or_else(|| {
                Failure::new(Code::ERR_UNCONFIGURED, "no memory is attached; call attach() first")
            })?;
            target.memory.try_with_same_segment(target.segment_id, |segment| work(&target.layout, segment))
        })
    }
}

/// A class whose objects are attached to a segment.
pub(crate) trait Attached: Fallible {
    type Layout: Send + Sync + 'static;

    fn attachment(&self) -> &Attachment<Self::Layout>;

    /// Lays the memory out again.
    fn reset_layout(layout: &Self::Layout, segment: &Segment) -> layout::Result<()>;

    /// Attaches the object to the segment of `memory`. `make` finds the layout there, or lays the segment
    /// out. If that fails, the object keeps its previous attachment.
    fn attach_to(
        &self,
        memory: Option<Reference<SharedMemory>>,
        make: impl FnOnce(&Segment) -> Result<Self::Layout>,
    ) -> ErrorCode {
        let target =
            memory.ok_or_else(|| Failure::argument("memory", "null", "a SharedMemory")).and_then(|memory| {
                let (segment_id, layout) =
                    memory.try_with_segment(|segment| Ok((segment.id(), make(segment)?)))?;
                Ok(Target { memory, segment_id, layout })
            });
        code_of(self.remember(target.map(|target| self.attachment().target.put(target))))
    }

    /// Calls `work` with the layout and the segment, and remembers the result.
    fn with_layout<T>(
        &self,
        work: impl FnOnce(&Self::Layout, &Segment) -> Result<T>,
    ) -> Result<T, ErrorCode> {
        self.remember(self.attachment().try_with_layout(work))
    }

    /// Calls `work` as `with_layout` does, but prints nothing: scripts call `poll` each frame.
    fn with_layout_quietly<T>(
        &self,
        work: impl FnOnce(&Self::Layout, &Segment) -> Result<T>,
    ) -> Result<T, ErrorCode> {
        self.remember_quietly(self.attachment().try_with_layout(work))
    }

    fn detach(&self) {
        // The last call in progress drops the reference to the memory.
        let _ = self.attachment().target.take(|_| ());
    }

    fn get_memory(&self) -> Option<Reference<SharedMemory>> {
        self.attachment().target.with(|target| target.map(|target| target.memory.clone()))
    }

    fn reset(&self) -> ErrorCode {
        code_of(self.with_layout(|layout, segment| Ok(Self::reset_layout(layout, segment)?)))
    }

    fn set_lock_timeout_msec(&self, msec: i64) {
        let valid = u64::try_from(msec).ok().filter(|_| msec <= MAX_LOCK_TIMEOUT_MSEC);
        let limit = || format!("from 0 to {MAX_LOCK_TIMEOUT_MSEC}");
        let valid = valid.ok_or_else(|| Failure::argument("lock_timeout_msec", msec, &limit()));
        if let Ok(valid) = self.remember(valid) {
            self.attachment().lock_timeout_msec.store(valid, Ordering::Relaxed);
        }
    }

    fn get_lock_timeout_msec(&self) -> i64 {
        signed(self.attachment().lock_timeout_msec.load(Ordering::Relaxed))
    }
}

/// Declares the common methods. Each class declares `attach` itself, as the parameters differ.
pub(crate) fn define<C: Attached>(class: &mut Definition<C>) {
    methods!(class, C {
        fn detach();
        const fn get_memory() -> Option<Reference<SharedMemory>>;
        fn reset() -> ErrorCode;
    });
    last_error::define(class);
}

/// Declares the property `lock_timeout_msec`, for the classes whose layouts have locks.
pub(crate) fn define_lock_timeout<C: Attached>(class: &mut Definition<C>) {
    methods!(class, C {
        fn set_lock_timeout_msec(msec: i64);
        const fn get_lock_timeout_msec() -> i64;
    });
    class.property::<i64>("lock_timeout_msec", "set_lock_timeout_msec", "get_lock_timeout_msec");
}
