//! The common part of streams, queues and arrays: each is a layout over the segment of a [`SharedMemory`].
//!
//! An object is attached to the segment, not to the `SharedMemory`. After `memory.close()`, and after another
//! `memory.open()`, every call fails and says so. A layout that was checked against one segment is therefore
//! never used on another.
//!
//! Streams and queues can also make or find their memory under a name (`named.rs`). They own its
//! `SharedMemory`.

mod named;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use godot::global::Error as Code;
use hazard::AtomicOption;
use shm_segment::layout::Error;
use shm_segment::layout::native::Follower;
use shm_segment::{Segment, layout};

use crate::args::signed;
use crate::binding::{Definition, ErrorCode, Reference, methods};
use crate::error::{Failure, Result, code_of};
use crate::last_error::{self, Fallible, LastError};
use crate::shared_memory::SharedMemory;
use crate::waiting;
pub(crate) use named::{AttachedByName, define_named};

/// The state of an object of such a class. It is attached if there is a [`Target`].
pub(crate) struct Attachment<L: AttachedLayout> {
    target: AtomicOption<Target<L>>,
    follower: Follower<L>,
    /// The number of the memory that `poll()` has told of: its [`Segment::id`] and 1, or 0 for none.
    told: AtomicU64,
    /// Counts the calls of a script that have changed the target or the name.
    changes: AtomicU64,
    last_error: LastError,
    lock_timeout_msec: AtomicU64,
    was_attached: AtomicBool,
}

/// A layout that an object is attached as.
pub(crate) trait AttachedLayout: Send + Sync + 'static {
    /// Lays the memory out again.
    fn reset(&self, segment: &Segment) -> layout::Result<()>;

    /// Gives the roles back. The object is not attached any more.
    fn release(&self, _: &Segment) {}
}

/// A layout, and the segment that it was checked against.
struct Target<L: AttachedLayout> {
    memory: Reference<SharedMemory>,
    /// The [`Segment::id`].
    segment_id: u64,
    layout: L,
    /// The object has opened the memory itself, and closes it.
    is_own: bool,
}

impl<L: AttachedLayout> Target<L> {
    fn release(&self) {
        // A segment that was closed has nothing to give back.
        let _ = self.memory.try_with_same_segment(self.segment_id, |segment| {
            self.layout.release(segment);
            Ok(())
        });
        if self.is_own {
            self.memory.close_same(self.segment_id);
        }
    }
}

impl<L: AttachedLayout> Drop for Target<L> {
    fn drop(&mut self) {
        self.release();
    }
}

const DEFAULT_LOCK_TIMEOUT_MSEC: u64 = 10;
/// 24 days.
const MAX_LOCK_TIMEOUT_MSEC: i64 = i32::MAX as i64;

impl<L: AttachedLayout> Default for Attachment<L> {
    fn default() -> Self {
        Self {
            target: AtomicOption::default(),
            follower: Follower::default(),
            told: AtomicU64::default(),
            changes: AtomicU64::default(),
            last_error: LastError::default(),
            lock_timeout_msec: AtomicU64::new(DEFAULT_LOCK_TIMEOUT_MSEC),
            was_attached: AtomicBool::default(),
        }
    }
}

impl<L: AttachedLayout> Attachment<L> {
    pub(crate) const fn last_error(&self) -> &LastError {
        &self.last_error
    }

    /// Returns how long a call waits for a lock that another program holds.
    pub(crate) fn lock_timeout(&self) -> Duration {
        Duration::from_millis(self.lock_timeout_msec.load(Ordering::Relaxed))
    }

    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Calls `work` with the layout and the segment. Both stay valid until it returns.
    fn try_with_layout<T>(&self, work: impl FnOnce(&L, &Segment) -> Result<T>) -> Result<T> {
        self.try_once(self.changes(), |layout, segment, _| work(layout, segment))
    }

    /// Calls `work` as `try_with_layout` does, for a call that may wait. The function that `work` gets
    /// returns false once another thread has detached the object or closed the memory, since that number of
    /// `changes`. It also does so once the name that the object follows leads to other memory.
    fn try_once<T>(
        &self,
        changes: u64,
        work: impl FnOnce(&L, &Segment, &dyn Fn() -> bool) -> Result<T>,
    ) -> Result<T> {
        let mut work = Some(work);
        loop {
            self.follower.follow(self);
            let result = self.target.with(|target| {
                let target = target.ok_or_else(|| self.not_attached())?;
                target.memory.try_with_same_segment(target.segment_id, |segment| {
                    let is_wanted = || {
                        self.follower.follow(self);
                        changes == self.changes() && self.target.holds(target) && target.memory.holds(segment)
                    };
                    let Some(work) = work.take() else { return Err(Error::Stopped.into()) };
                    work(&target.layout, segment, &is_wanted)
                })
            });
            match result {
                // Another thread has closed the memory before the call could use it.
                Err(failure) if self.follower.looks_again_after(&failure) && work.is_some() => {}
                result => return result,
            }
        }
    }

    /// Calls `work` with the time that is left to wait. A call of an object that follows a name goes on in
    /// the memory that the name leads to by then.
    fn try_waiting<T>(
        &self,
        timeout: Duration,
        mut work: impl FnMut(&L, &Segment, Duration, &dyn Fn() -> bool) -> Result<T>,
    ) -> Result<T> {
        let changes = self.changes();
        let attempt = |rest, used: &Cell<Option<u64>>| {
            self.try_once(changes, |layout, segment, is_wanted| {
                used.set(Some(segment.id()));
                work(layout, segment, rest, is_wanted)
            })
        };
        let is_changed = || (changes != self.changes()).then(Failure::detached_while_waiting);
        self.follower.wait(self, timeout, attempt, is_changed)
    }
}

/// A class whose objects are attached to a segment.
pub(crate) trait Attached: Fallible {
    type Layout: AttachedLayout;

    fn attachment(&self) -> &Attachment<Self::Layout>;

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
                Ok(Target { memory, segment_id, layout, is_own: false })
            });
        code_of(self.remember(target.map(|target| self.attachment().replace(Some(target), None))))
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

    /// Calls `work` as `with_layout` does, for a call that may wait. `work` gets the time that is left, and
    /// may be called several times.
    ///
    /// To detach the object, or to close its memory, is the way to end such calls of other threads. It may
    /// come between two of them. So with a timeout, a call on an object that was attached prints nothing.
    fn with_layout_waiting<T>(
        &self,
        timeout_msec: i64,
        work: impl FnMut(&Self::Layout, &Segment, Duration, &dyn Fn() -> bool) -> Result<T>,
    ) -> Result<T, ErrorCode> {
        let attachment = self.attachment();
        let result = match waiting::timeout(timeout_msec) {
            Ok(timeout) => attachment.try_waiting(timeout, work),
            // Unless there is another failure before.
            Err(failure) => attachment.try_with_layout(|_, _| Err(failure)),
        };
        self.remember(result.map_err(|failure| {
            let is_ended = timeout_msec > 0
                && failure.code() == Code::ERR_UNCONFIGURED
                && attachment.was_attached.load(Ordering::Relaxed);
            failure.unprinted_if(is_ended)
        }))
    }

    fn detach(&self) {
        // The last call in progress drops the reference to the memory. It may take a role again until then.
        self.attachment().replace(None, None);
    }

    fn get_memory(&self) -> Option<Reference<SharedMemory>> {
        let attachment = self.attachment();
        attachment.follower.follow(attachment);
        attachment.memory()
    }

    fn reset(&self) -> ErrorCode {
        code_of(self.with_layout(|layout, segment| Ok(layout.reset(segment)?)))
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
