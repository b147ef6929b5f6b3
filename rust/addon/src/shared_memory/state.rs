//! How an object comes to hold a segment, and lets go of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use godot::global::Error as Code;
use shm_segment::{Access, Backend, Lifetime, Options, Scope, Segment};

use super::args::{name_in, positive, signed, unsigned};
use super::enums::Status;
use super::{Result, SharedMemory};
use crate::binding::{EngineText, EnumArg, ErrorCode};
use crate::error::{Failure, code_of, constant};
use crate::last_error::Fallible;

/// The status that scripts see, and a count of `create` and `open` calls, in one word.
///
/// The count tells a call whether another thread has closed the object since: it doesn't take a later call's `OPENING`
/// for its own.
#[derive(Default)]
pub(super) struct State(AtomicU64);

/// The status while `create` or `open` is under way; scripts see [`Status::Uninitialized`].
const OPENING: u64 = 4;
const STATUS_BITS: u32 = 8;
const STATUS_MASK: u64 = (1 << STATUS_BITS) - 1;

impl State {
    pub(super) fn status(&self) -> Status {
        match self.0.load(Ordering::Acquire) & STATUS_MASK {
            1 => Status::Created,
            2 => Status::Open,
            3 => Status::Error,
            _ => Status::Uninitialized,
        }
    }

    /// For the thread that has set `occupied`, or has taken the segment out.
    fn set(&self, status: Status) {
        let count = self.0.load(Ordering::Acquire) & !STATUS_MASK;
        self.0.store(count | status as u64, Ordering::Release);
    }

    /// Begins a call, and returns the word that stands for it.
    fn begin(&self) -> u64 {
        let count = (self.0.load(Ordering::Acquire) >> STATUS_BITS).wrapping_add(1);
        let opening = count << STATUS_BITS | OPENING;
        self.0.store(opening, Ordering::Release);
        opening
    }

    /// Sets the status, unless the word has changed.
    fn set_if(&self, found: u64, status: Status) {
        let word = (found & !STATUS_MASK) | status as u64;
        let _ = self.0.compare_exchange(found, word, Ordering::AcqRel, Ordering::Relaxed);
    }
}

impl SharedMemory {
    pub(super) fn create(&self, name: EngineText<'_>, size: i64, scope: EnumArg<Scope>) -> ErrorCode {
        self.occupy(|backend, lifetime| {
            let scope = constant("scope", &scope)?;
            let (name, size) = (name_in(backend, &name)?, positive("size", size)?);
            let options = Options::new(&name).backend(backend).scope(scope).lifetime(lifetime);
            options.create(size).map_err(|e| Failure::of(&e, Code::ERR_CANT_CREATE))
        })
    }

    pub(super) fn open(&self, name: EngineText<'_>, size: i64, access: EnumArg<Access>) -> ErrorCode {
        self.occupy(|backend, _| {
            let access = constant("access", &access)?;
            let (name, size) = (name_in(backend, &name)?, unsigned("size", size)?);
            let options = Options::new(&name).backend(backend);
            options.open(size, access).map_err(|e| Failure::of(&e, Code::ERR_CANT_OPEN))
        })
    }

    pub(super) fn open_or_create(&self, name: EngineText<'_>, size: i64, scope: EnumArg<Scope>) -> ErrorCode {
        self.occupy(|backend, lifetime| {
            let scope = constant("scope", &scope)?;
            let (name, size) = (name_in(backend, &name)?, positive("size", size)?);
            let options = Options::new(&name).backend(backend).scope(scope).lifetime(lifetime);
            options.open_or_create(size).map_err(|e| Failure::of(&e, Code::ERR_CANT_CREATE))
        })
    }

    /// Makes the object hold what `make` returns, unless it holds a segment already.
    fn occupy(&self, make: impl FnOnce(Backend, Lifetime) -> Result<Segment>) -> ErrorCode {
        if self.occupied.swap(true, Ordering::AcqRel) {
            let held = "this object holds a segment already; close() it first, or use another object";
            return code_of(self.remember(Err(Failure::new(Code::ERR_ALREADY_IN_USE, held))));
        }
        let place = Place(self);
        let opening = self.state.begin();
        let backend = self.get_backend().0;
        let lifetime = self.lifetime(backend);
        let segment = match make(backend, lifetime) {
            Ok(segment) => segment,
            Err(failure) => {
                *lock(&self.reason) = Some(failure.clone());
                drop(place);
                return code_of(self.remember(Err(failure)));
            }
        };
        std::mem::forget(place);
        *lock(&self.last_name) = None;
        *lock(&self.reason) = None;
        let status = if segment.is_created() { Status::Created } else { Status::Open };
        self.size.store(signed(segment.size()), Ordering::Relaxed);
        self.segment.put(segment);
        // Unless another thread has closed it by now.
        self.state.set_if(opening, status);
        self.apply_changed_lifetime(backend, lifetime);
        code_of(self.remember(Ok(())))
    }

    pub(super) fn close(&self) {
        let closed = self.segment.take(|segment| self.let_go(segment, Status::Uninitialized));
        if closed.is_none() {
            // Only an error is left to be forgotten; another thread may be opening concurrently.
            let found = self.state.0.load(Ordering::Acquire);
            if found & STATUS_MASK == Status::Error as u64 {
                self.state.set_if(found, Status::Uninitialized);
                *lock(&self.reason) = None;
            }
        }
    }

    /// After `segment` was taken out: its name goes now, its memory when the last call that uses it is done.
    pub(super) fn let_go(&self, segment: &Segment, status: Status) {
        segment.release_name();
        *lock(&self.last_name) = Some(segment.name().clone());
        self.size.store(0, Ordering::Relaxed);
        self.state.set(status);
        self.occupied.store(false, Ordering::Release);
    }

    pub(super) fn unlink(&self) {
        let name = self.segment.with(|segment| match segment {
            Some(segment) => Some(segment.name().clone()),
            None => lock(&self.last_name).take(),
        });
        let unlinked = name.map_or(Ok(()), |name| name.unlink());
        let _ = self.remember(unlinked.map_err(Failure::from));
    }
}

/// The right to put a segment into an object. Dropped when nothing came of it, whatever the reason.
struct Place<'a>(&'a SharedMemory);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state.set(Status::Error);
        self.0.occupied.store(false, Ordering::Release);
    }
}

/// A lock whose holder panicked guards nothing half done: its values are stored whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
