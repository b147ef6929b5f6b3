//! `SharedMemoryMutex`: a lock that programs share under a name.

use std::sync::atomic::{AtomicBool, Ordering};

use godot::builtin::StringName;
use godot::global::Error as Code;
use hazard::AtomicOption;
use shm_segment::layout::Error;
use shm_segment::layout::native::{LOCKS, Lock};
use shm_segment::{Backend, Scope};

use crate::args::{name_in, number_to};
use crate::binding::{Class, Definition, EngineText, Enum, EnumArg, ErrorCode, This, methods};
use crate::error::{Failure, Result, code_of, constant};
use crate::last_error::{self, Fallible, LastError};
use crate::reservation::Reservation;
use crate::shared_memory::enums::LOCAL_SCOPE;
use crate::unicode::engine_text;
use crate::waiting;

/// The state of an object. A [`Lock`] is for many threads, and so is the place that has it.
#[derive(Default)]
pub(crate) struct SharedMemoryMutex {
    lock: AtomicOption<Lock>,
    /// Set while the object has a lock open, or is about to.
    is_occupied: AtomicBool,
    was_open: AtomicBool,
    last_error: LastError,
}

impl Class for SharedMemoryMutex {
    const NAME: &'static str = "SharedMemoryMutex";
    const PARENT: &'static str = "RefCounted";

    fn new(_: This) -> Self {
        Self::default()
    }

    fn define(class: &mut Definition<Self>) {
        methods!(class, Self {
            fn open(name: StringName, id: i64 = 0, scope: Enum<Scope> = LOCAL_SCOPE) -> ErrorCode;
            fn lock(timeout_msec: i64) -> ErrorCode;
            fn try_lock() -> bool;
            fn unlock() -> ErrorCode;
            fn close();
            const fn is_locked() -> bool;
            const fn was_abandoned() -> bool;
            const fn get_name() -> StringName;
        });
        last_error::define(class);
    }
}

impl Fallible for SharedMemoryMutex {
    fn last_error(&self) -> &LastError {
        &self.last_error
    }
}

impl SharedMemoryMutex {
    fn open(&self, name: EngineText<'_>, id: i64, scope: EnumArg<Scope>) -> ErrorCode {
        let Some(reservation) = Reservation::take(&self.is_occupied) else {
            let message = "this object has a lock open already; call close() first, or use another object";
            return code_of(self.remember(Err(Failure::new(Code::ERR_ALREADY_IN_USE, message))));
        };
        let opened = open_lock(&name, id, &scope);
        code_of(self.remember(opened.map(|lock| {
            reservation.keep();
            self.was_open.store(true, Ordering::Relaxed);
            self.lock.put(lock);
        })))
    }

    fn lock(&self, timeout_msec: i64) -> ErrorCode {
        code_of(self.with_lock_until_closed(timeout_msec > 0, |lock| {
            let timeout = waiting::timeout(timeout_msec)?;
            Ok(lock.lock(timeout)?)
        }))
    }

    fn try_lock(&self) -> bool {
        self.with_lock(|lock| Ok(lock.lock(waiting::NOW)?)).is_ok()
    }

    fn unlock(&self) -> ErrorCode {
        code_of(self.with_lock_until_closed(true, |lock| Ok(lock.unlock()?)))
    }

    fn close(&self) {
        // The last call in progress drops it.
        if self.lock.take(Lock::close).is_some() {
            self.is_occupied.store(false, Ordering::Release);
        }
    }

    fn is_locked(&self) -> bool {
        self.with_lock(|lock| Ok(lock.is_locked()?)).unwrap_or_default()
    }

    fn was_abandoned(&self) -> bool {
        self.lock.with(|lock| lock.is_some_and(Lock::was_abandoned))
    }

    fn get_name(&self) -> StringName {
        self.lock
            .with(|lock| lock.map(|lock| StringName::from(&engine_text(lock.name()))).unwrap_or_default())
    }

    /// Calls `work` with the lock, and remembers the result.
    fn with_lock<T>(&self, work: impl FnOnce(&Lock) -> Result<T>) -> Result<T, ErrorCode> {
        self.remember(self.try_with_lock(work))
    }

    /// Calls `work` as `with_lock` does, for a thread that waits for the lock, or works with it.
    ///
    /// To close the object is the way to end such a thread. It may come between two calls. So if
    /// `may_be_ended`, a call on an object that was open prints nothing.
    fn with_lock_until_closed<T>(
        &self,
        may_be_ended: bool,
        work: impl FnOnce(&Lock) -> Result<T>,
    ) -> Result<T, ErrorCode> {
        self.remember(self.try_with_lock(work).map_err(|failure| {
            let is_ended = may_be_ended
                && failure.code() == Code::ERR_UNCONFIGURED
                && self.was_open.load(Ordering::Relaxed)
                && self.lock.with(|lock| lock.is_none());
            failure.unprinted_if(is_ended)
        }))
    }

    fn try_with_lock<T>(&self, work: impl FnOnce(&Lock) -> Result<T>) -> Result<T> {
        self.lock.with(|lock| match lock {
            Some(lock) => work(lock),
            None => Err(Failure::new(Code::ERR_UNCONFIGURED, "no lock is open; call open() first")),
        })
    }
}

fn open_lock(name: &EngineText<'_>, id: i64, scope: &EnumArg<Scope>) -> Result<Lock> {
    let name = name_in(Backend::Native, name)?;
    let id = number_to("id", id, 0, u32::from(LOCKS) - 1)?;
    let scope = constant("scope", scope)?;
    // The number is below 64.
    let opened = Lock::open(&name, u8::try_from(id).unwrap_or(u8::MAX), scope);
    opened.map_err(|error| match error {
        // The name leads to other memory, which has less than locks need.
        Error::Segment(shm_segment::Error::TooSmall { .. }) => {
            Failure::new(Code::ERR_INVALID_DATA, format!("the memory does not hold locks: {error}"))
        }
        // Other programs create and remove it all the time.
        Error::Segment(shm_segment::Error::AlreadyExists { .. }) => {
            Failure::new(Code::ERR_BUSY, error.to_string())
        }
        Error::Segment(error) => Failure::of(&error, Code::ERR_CANT_CREATE),
        other => other.into(),
    })
}
