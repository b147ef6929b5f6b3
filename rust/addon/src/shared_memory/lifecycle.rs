//! The ways in which an object gets a segment, and releases it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use godot::global::Error as Code;
use shm_segment::{Access, Backend, Lifetime, NameHandle, Options, Scope, Segment};

use super::enums::Status;
use super::{Result, SharedMemory};
use crate::args::{name_in, positive, signed, unsigned};
use crate::binding::{EngineText, EnumArg, ErrorCode, ScriptEnum};
use crate::error::{Failure, code_of, constant};
use crate::last_error::Fallible;

/// The status that scripts see, and a count of `create` and `open` calls, in one word.
///
/// Another thread may close the object while a call opens a segment, and a later call may open another one.
/// The count tells the later call's `OPENING` from the first one's.
#[derive(Default)]
pub(super) struct State(AtomicU64);

const STATUS_BITS: u32 = 8;
const STATUS_MASK: u64 = (1 << STATUS_BITS) - 1;
/// Stands for the status while `create` or `open` is in progress, and is the number of no [`Status`]. Scripts
/// see [`Status::Uninitialized`].
const OPENING: u64 = STATUS_MASK;

/// Returns the number of a status, as it is in the word.
fn bits(status: Status) -> u64 {
    status.number().unsigned_abs()
}

impl State {
    pub(super) fn status(&self) -> Status {
        let number = self.0.load(Ordering::Acquire) & STATUS_MASK;
        Status::from_number(signed(number)).unwrap_or(Status::Uninitialized)
    }

    /// Sets the status. Only the thread that has set `occupied`, or has taken the segment out, may do so.
    fn set(&self, status: Status) {
        let count = self.0.load(Ordering::Acquire) & !STATUS_MASK;
        self.0.store(count | bits(status), Ordering::Release);
    }

    /// Begins a call, and returns its word.
    fn begin(&self) -> u64 {
        let count = (self.0.load(Ordering::Acquire) >> STATUS_BITS).wrapping_add(1);
        let opening = count << STATUS_BITS | OPENING;
        self.0.store(opening, Ordering::Release);
        opening
    }

    /// Sets the status if the word is still `expected`.
    fn set_if(&self, expected: u64, status: Status) {
        let word = (expected & !STATUS_MASK) | bits(status);
        let _ = self.0.compare_exchange(expected, word, Ordering::AcqRel, Ordering::Relaxed);
    }
}

impl SharedMemory {
    pub(super) fn create(&self, name: EngineText<'_>, size: i64, scope: EnumArg<Scope>) -> ErrorCode {
        self.create_with(&name, size, &scope, |options, size| options.create(size))
    }

    pub(super) fn open(&self, name: EngineText<'_>, size: i64, access: EnumArg<Access>) -> ErrorCode {
        self.occupy(|backend, _| open_existing(backend, &name, size, constant("access", &access)?))
    }

    pub(super) fn open_read_only(&self, name: EngineText<'_>, size: i64) -> ErrorCode {
        self.occupy(|backend, _| open_existing(backend, &name, size, Access::ReadOnly))
    }

    pub(super) fn open_or_create(&self, name: EngineText<'_>, size: i64, scope: EnumArg<Scope>) -> ErrorCode {
        self.create_with(&name, size, &scope, |options, size| options.open_or_create(size))
    }

    fn create_with(
        &self,
        name: &EngineText<'_>,
        size: i64,
        scope: &EnumArg<Scope>,
        create: fn(&Options, u64) -> shm_segment::Result<Segment>,
    ) -> ErrorCode {
        self.occupy(|backend, lifetime| {
            let scope = constant("scope", scope)?;
            let (name, size) = (name_in(backend, name)?, positive("size", size)?);
            let options = Options::new(&name).backend(backend).scope(scope).lifetime(lifetime);
            create(&options, size).map_err(|e| Failure::of(&e, Code::ERR_CANT_CREATE))
        })
    }

    /// Puts the segment that `make` returns into the object. Fails if the object holds one already.
    fn occupy(&self, make: impl FnOnce(Backend, Lifetime) -> Result<Segment>) -> ErrorCode {
        if self.occupied.swap(true, Ordering::AcqRel) {
            let message = "this object holds a segment already; call close() first, or use another object";
            return code_of(self.remember(Err(Failure::new(Code::ERR_ALREADY_IN_USE, message))));
        }
        let reservation = Reservation(self);
        let opening = self.state.begin();
        let backend = self.get_backend().0;
        let lifetime = self.lifetime(backend);
        let segment = match make(backend, lifetime) {
            Ok(segment) => segment,
            Err(failure) => {
                *lock(&self.cause) = Some(failure.clone());
                drop(reservation);
                return code_of(self.remember(Err(failure)));
            }
        };
        std::mem::forget(reservation);
        *lock(&self.last_name) = None;
        *lock(&self.cause) = None;
        let status = if segment.is_created() { Status::Created } else { Status::Open };
        self.size.store(signed(segment.size()), Ordering::Relaxed);
        self.segment.put(segment);
        // Another thread may have closed the segment already.
        self.state.set_if(opening, status);
        self.apply_changed_lifetime(backend, lifetime);
        code_of(self.remember(Ok(())))
    }

    /// Puts a segment that was opened elsewhere into a new object.
    pub(crate) fn hold(&self, segment: Segment) {
        self.occupy(|_, _| Ok(segment));
    }

    /// Closes the object if its segment still has this [`id`](Segment::id).
    pub(crate) fn close_same(&self, id: u64) {
        self.segment.with(|segment| {
            if let Some(segment) = segment.filter(|segment| segment.id() == id) {
                self.segment.take_if(segment, |segment| self.release(segment, Status::Uninitialized));
            }
        });
    }

    pub(super) fn close(&self) {
        let closed = self.segment.take(|segment| self.release(segment, Status::Uninitialized));
        if closed.is_none() {
            // Only an error may be left. Another thread may be opening a segment concurrently.
            let word = self.state.0.load(Ordering::Acquire);
            if word & STATUS_MASK == bits(Status::Error) {
                self.state.set_if(word, Status::Uninitialized);
                *lock(&self.cause) = None;
            }
        }
    }

    /// Releases a `segment` that was taken out. Its name goes now, its memory after the last call that uses
    /// it.
    pub(super) fn release(&self, segment: &Segment, status: Status) {
        segment.release_name();
        *lock(&self.last_name) = Some(segment.name().clone());
        self.size.store(0, Ordering::Relaxed);
        self.state.set(status);
        self.occupied.store(false, Ordering::Release);
    }

    pub(super) fn unlink(&self) {
        let open = self.segment.with(|segment| segment.map(|segment| segment.name().clone()));
        let unlinked = match open {
            Some(name) => name.unlink(),
            None => {
                let closed = lock(&self.last_name).take();
                let unlinked = closed.as_ref().map_or(Ok(()), NameHandle::unlink);
                if unlinked.is_err() {
                    // The script may try again.
                    let mut last_name = lock(&self.last_name);
                    *last_name = last_name.take().or(closed);
                }
                unlinked
            }
        };
        let _ = self.remember(unlinked.map_err(Failure::from));
    }
}

fn open_existing(backend: Backend, name: &EngineText<'_>, size: i64, access: Access) -> Result<Segment> {
    let (name, size) = (name_in(backend, name)?, unsigned("size", size)?);
    let options = Options::new(&name).backend(backend);
    options.open(size, access).map_err(|e| Failure::of(&e, Code::ERR_CANT_OPEN))
}

/// The right to put a segment into an object. It is dropped, even by a panic, if there is no segment to put.
struct Reservation<'a>(&'a SharedMemory);

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.0.state.set(Status::Error);
        self.0.occupied.store(false, Ordering::Release);
    }
}

/// Locks a mutex. A panic can't leave its value half stored, so a poisoned one is as good as any.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
