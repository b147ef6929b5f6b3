//! `SharedMemory`: one segment of bytes.
//!
//! Any method may be called from any thread, at the same time as any other. The [`Segment`] that an object holds is
//! in an [`AtomicOption`]: a copy that is under way when another thread calls `close()` ends on the old mapping, and
//! no thread waits. A flag beside it (`occupied`) makes sure that one `create` or `open` at a time is under way; it is
//! not a lock: whoever comes second is refused.

mod arrays;
mod definition;
mod enums;
mod images;
mod numbers;
mod structs;
mod texts;
mod variants;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use godot::builtin::{GString, PackedByteArray, PackedStringArray, Variant};
use godot::global::{Error as Code, push_warning};
use hazard::AtomicOption;
use shm_segment::{Access, Backend, Lifetime, Link, Scope, Segment};

use crate::class::{Buffer, EngineEnum, EngineText, ErrorCode, OwnEnum, globalize_path, packed};
use crate::error::{Failure, code_of};
use crate::last_error::{self, Fallible, LastError};
use crate::unicode::{engine_text, utf8_of};
use crate::values::array_from;
use enums::{Status, access_from, backend_from, scope_from};

type Result<T, E = Failure> = std::result::Result<T, E>;

/// The status while `create` or `open` is under way; scripts see [`Status::Uninitialized`].
const OPENING: u64 = 4;
/// The status is the lowest bits of a word. Above them, each `create` or `open` counts one up: so that one which another
/// thread has closed meanwhile doesn't take the next one's `OPENING` for its own.
const STATUS_BITS: u32 = 8;
const STATUS_MASK: u64 = (1 << STATUS_BITS) - 1;

/// The class's state. See the module's text for how threads share it.
#[derive(Default)]
pub(crate) struct SharedMemory {
    /// What it holds.
    segment: AtomicOption<Segment>,
    /// It holds something, or is about to.
    occupied: AtomicBool,
    /// Whoever has set `occupied`, or has taken the segment out, is the only one to set these two: what is asked
    /// most often, without a look at the segment.
    status: AtomicU64,
    size: AtomicI64,
    persistent: AtomicBool,
    backend: Mutex<Backend>,
    /// The name of what it last held, for an `unlink()` after `close()`.
    last_link: Mutex<Option<Link>>,
    last_error: LastError,
    /// Why nothing is open, if a failure is why.
    reason: Mutex<Option<Failure>>,
    /// Held while `persistent` is set and applied, so that the two agree.
    lifetime_change: Mutex<()>,
}

// Taking and letting go of a segment.
impl SharedMemory {
    pub(super) fn create(&self, name: EngineText<'_>, size: i64, scope: i64) -> ErrorCode {
        self.occupy("create", |backend, lifetime| {
            let scope = scope_from(scope)?;
            let size = positive("size", size)?;
            backend
                .create(&name_in(backend, &name)?, size, scope, lifetime)
                .map_err(|e| Failure::of(&e, Code::ERR_CANT_CREATE))
        })
    }

    pub(super) fn open(&self, name: EngineText<'_>, size: i64, access: i64) -> ErrorCode {
        self.occupy("open", |backend, _| {
            let access = access_from(access)?;
            let size = unsigned("size", size)?;
            backend
                .open(&name_in(backend, &name)?, size, access)
                .map_err(|e| Failure::of(&e, Code::ERR_CANT_OPEN))
        })
    }

    pub(super) fn open_or_create(&self, name: EngineText<'_>, size: i64, scope: i64) -> ErrorCode {
        self.occupy("open_or_create", |backend, lifetime| {
            let scope = scope_from(scope)?;
            let size = positive("size", size)?;
            backend
                .open_or_create(&name_in(backend, &name)?, size, scope, lifetime)
                .map_err(|e| Failure::of(&e, Code::ERR_CANT_CREATE))
        })
    }

    /// Makes the object hold what `make` gives, unless it holds something already.
    fn occupy(&self, method: &str, make: impl FnOnce(Backend, Lifetime) -> Result<Segment>) -> ErrorCode {
        if self.occupied.swap(true, Ordering::AcqRel) {
            let held = Failure::new(
                Code::ERR_ALREADY_IN_USE,
                "this object holds a segment already; close() it first, or use another object",
            );
            return self.last_error.fail::<Self>(method, held);
        }
        let place = Place(self);
        let count = (self.status.load(Ordering::Acquire) >> STATUS_BITS).wrapping_add(1);
        let opening = count << STATUS_BITS | OPENING;
        self.status.store(opening, Ordering::Release);
        let backend = self.get_backend().0;
        let lifetime = self.lifetime(backend);
        match make(backend, lifetime) {
            Ok(segment) => {
                std::mem::forget(place);
                self.last_error.clear();
                *lock(&self.last_link) = None;
                *lock(&self.reason) = None;
                let status = if segment.is_created() { Status::Created } else { Status::Open };
                self.size.store(signed(segment.size()), Ordering::Relaxed);
                self.segment.put(segment);
                // Unless another thread has closed it by now.
                let open = count << STATUS_BITS | status as u64;
                let _ = self.status.compare_exchange(opening, open, Ordering::AcqRel, Ordering::Relaxed);
                // Another thread may have changed `persistent` since we looked.
                if lifetime != self.lifetime(backend) {
                    let _alone = lock(&self.lifetime_change);
                    let _ = self.apply_lifetime();
                }
                warn_if(self.is_kept_from_persisting());
                ErrorCode(Code::OK)
            }
            Err(failure) => {
                *lock(&self.reason) = Some(failure.clone());
                drop(place);
                self.last_error.fail::<Self>(method, failure)
            }
        }
    }

    /// For who has set `occupied`, or has taken the segment out.
    fn set_status(&self, status: Status) {
        let count = self.status.load(Ordering::Acquire) & !STATUS_MASK;
        self.status.store(count | status as u64, Ordering::Release);
    }

    pub(super) fn close(&self) {
        let closed = self.segment.take(|segment| self.let_go(segment, Status::Uninitialized));
        if closed.is_none() {
            // Only an error is left to be forgotten; another thread may be opening meanwhile.
            let found = self.status.load(Ordering::Acquire);
            if found & STATUS_MASK == Status::Error as u64 {
                let forgotten = (found & !STATUS_MASK) | Status::Uninitialized as u64;
                let _ = self.status.compare_exchange(found, forgotten, Ordering::AcqRel, Ordering::Relaxed);
                *lock(&self.reason) = None;
            }
        }
    }

    /// After `segment` was taken out: its name goes now, its memory when the last call in flight is done with it.
    fn let_go(&self, segment: &Segment, status: Status) {
        segment.release_name();
        *lock(&self.last_link) = Some(segment.link().clone());
        self.size.store(0, Ordering::Relaxed);
        self.set_status(status);
        self.occupied.store(false, Ordering::Release);
    }

    pub(super) fn unlink(&self) {
        let link = self.segment.with(|segment| match segment {
            Some(segment) => Some(segment.link().clone()),
            None => lock(&self.last_link).take(),
        });
        if let Some(Err(e)) = link.map(|link| link.unlink()) {
            self.last_error.fail::<Self>("unlink", Failure::of(&e, Code::FAILED));
        }
    }
}

/// The right to put a segment into an object. Dropped when nothing came of it, whatever the reason.
struct Place<'a>(&'a SharedMemory);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.set_status(Status::Error);
        self.0.occupied.store(false, Ordering::Release);
    }
}

// Bytes in and out.
impl SharedMemory {
    pub(super) fn read(&self, size: i64, offset: i64) -> PackedByteArray {
        self.with("read", |segment| {
            let (offset, size) = range(segment, offset, size)?;
            array_from(segment, offset, size)
        })
        .unwrap_or_default()
    }

    pub(super) fn read_into(&self, buffer: Buffer<'_>, offset: i64) -> ErrorCode {
        code_of(self.with("read_into", |segment| {
            let offset = unsigned("offset", offset)?;
            let lost = || Failure::new(Code::ERR_UNAVAILABLE, "this engine can't fill the caller's array");
            buffer.fill(
                |bytes| {
                    if bytes.is_empty() {
                        return Err(Failure::argument("the size of buffer", 0, "at least 1 byte"));
                    }
                    copied(segment.read(offset, bytes))
                },
                lost,
            )
        }))
    }

    pub(super) fn write(&self, data: &PackedByteArray, offset: i64) -> ErrorCode {
        self.write_bytes("write", packed::bytes(data), "offset", offset)
    }

    /// `argument` is what the method calls its offset.
    fn write_bytes(&self, method: &str, bytes: &[u8], argument: &str, offset: i64) -> ErrorCode {
        code_of(self.with(method, |segment| {
            let offset = unsigned(argument, offset)?;
            if bytes.is_empty() {
                return Err(Failure::argument("the size of data", 0, "at least 1"));
            }
            copied(segment.write(offset, bytes))
        }))
    }

    pub(super) fn fill(&self, value: i64, offset: i64, size: i64) -> ErrorCode {
        code_of(self.with("fill", |segment| {
            let value =
                u8::try_from(value).map_err(|_| Failure::argument("value", value, "from 0 to 255"))?;
            let (offset, size) = range(segment, offset, size)?;
            copied(segment.fill(offset, size, value))
        }))
    }

    /// Calls `work` with the segment that the object holds; it goes on holding it until `work` is done, whatever
    /// other threads do meanwhile.
    fn with<T>(&self, method: &str, work: impl FnOnce(&Segment) -> Result<T>) -> Result<T, ErrorCode> {
        self.segment.with(|segment| match segment {
            Some(segment) => work(segment).map_err(|failure| self.failed_with(method, failure, segment)),
            None => Err(self.not_open(method)),
        })
    }

    #[cold]
    fn not_open(&self, method: &str) -> ErrorCode {
        let failure = Failure::not_open(lock(&self.reason).as_ref());
        self.last_error.fail::<Self>(method, failure)
    }

    /// A call that used `segment` failed.
    #[cold]
    fn failed_with(&self, method: &str, failure: Failure, segment: &Segment) -> ErrorCode {
        self.let_go_if_lost(segment, &failure);
        self.last_error.fail::<Self>(method, failure)
    }

    /// If a peer has taken the memory away, lets go of the segment, unless another thread has been first.
    fn let_go_if_lost(&self, segment: &Segment, failure: &Failure) {
        if failure.code == Code::ERR_FILE_CORRUPT {
            self.segment.take_if(segment, |segment| {
                *lock(&self.reason) = Some(failure.clone());
                self.let_go(segment, Status::Error);
            });
        }
    }
}

// For objects that are attached to what this one holds. They remember their own errors.
impl SharedMemory {
    /// Calls `work` with the segment that the object holds, as [`with`](Self::with) does.
    pub(crate) fn with_any_segment<T>(&self, work: impl FnOnce(&Segment) -> Result<T>) -> Result<T> {
        self.segment.with(|segment| match segment {
            Some(segment) => work(segment).inspect_err(|failure| self.let_go_if_lost(segment, failure)),
            None => Err(Failure::not_open(lock(&self.reason).as_ref())),
        })
    }

    /// The same, if it is still the one that has this [`id`](Segment::id).
    pub(crate) fn with_segment<T>(&self, id: u64, work: impl FnOnce(&Segment) -> Result<T>) -> Result<T> {
        self.segment.with(|segment| match segment.filter(|segment| segment.id() == id) {
            Some(segment) => work(segment).inspect_err(|failure| self.let_go_if_lost(segment, failure)),
            None => Err(Failure::detached(lock(&self.reason).as_ref())),
        })
    }
}

// Questions.
impl SharedMemory {
    fn ask<T: Default>(&self, question: impl FnOnce(&Segment) -> T) -> T {
        self.segment.with(|segment| segment.map(question).unwrap_or_default())
    }

    pub(super) fn get_name(&self) -> GString {
        self.ask(|segment| engine_text(segment.link().name()))
    }

    pub(super) fn get_native_name(&self) -> GString {
        self.ask(|segment| engine_text(&segment.link().native_name()))
    }

    pub(super) fn get_size(&self) -> i64 {
        self.size.load(Ordering::Relaxed)
    }

    pub(super) fn get_mapped_size(&self) -> i64 {
        self.ask(|segment| segment.mapped_size().map_or(0, signed))
    }

    fn status(&self) -> Status {
        match self.status.load(Ordering::Acquire) & STATUS_MASK {
            1 => Status::Created,
            2 => Status::Open,
            3 => Status::Error,
            _ => Status::Uninitialized,
        }
    }

    pub(super) fn get_status(&self) -> EngineEnum<Status> {
        EngineEnum(self.status())
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.status(), Status::Created | Status::Open)
    }

    pub(super) fn get_scope(&self) -> EngineEnum<Scope> {
        EngineEnum(self.segment.with(|segment| segment.map_or(Scope::FALLBACK, Segment::scope)))
    }

    pub(super) fn get_access(&self) -> EngineEnum<Access> {
        EngineEnum(self.segment.with(|segment| segment.map_or(Access::FALLBACK, Segment::access)))
    }

    pub(super) fn is_current(&self) -> bool {
        self.ask(|segment| segment.link().is_current())
    }
}

// Properties.
impl SharedMemory {
    pub(super) fn set_persistent(&self, persistent: bool) {
        let (applied, kept) = {
            let _alone = lock(&self.lifetime_change);
            let before = self.persistent.swap(persistent, Ordering::AcqRel);
            // A property that says what isn't so would be worse than one that can't be set.
            let applied = self.apply_lifetime();
            if applied.is_err() {
                self.persistent.store(before, Ordering::Release);
            }
            (applied, self.is_kept_from_persisting())
        };
        // Not under the lock: what is printed may lead to a script.
        warn_if(kept);
        if let Err(failure) = applied {
            self.last_error.fail::<Self>("set_persistent", failure);
        }
    }

    pub(super) fn is_persistent(&self) -> bool {
        self.persistent.load(Ordering::Acquire)
    }

    /// What is wanted, where the backend has it.
    fn lifetime(&self, backend: Backend) -> Lifetime {
        if self.is_persistent() && backend.can_persist() { Lifetime::Persistent } else { Lifetime::Owner }
    }

    fn apply_lifetime(&self) -> Result<()> {
        // It doesn't change while there is a segment.
        let backend = self.get_backend().0;
        self.segment
            .with(|segment| segment.map_or(Ok(()), |segment| segment.set_lifetime(self.lifetime(backend))))
            .map_err(|e| Failure::of(&e, Code::FAILED))
    }

    /// Was a segment made here that will not be `persistent` although it is to be?
    fn is_kept_from_persisting(&self) -> bool {
        let backend = self.get_backend().0;
        self.is_persistent()
            && !backend.can_persist()
            && self.segment.with(|segment| segment.is_some_and(Segment::is_created))
    }

    pub(super) fn set_backend(&self, backend: i64) {
        let refusal = match backend_from(backend) {
            Err(failure) => failure,
            Ok(_) if self.occupied.swap(true, Ordering::AcqRel) => Failure::new(
                Code::ERR_ALREADY_IN_USE,
                "the backend can't change while the object holds a segment; close() it first",
            ),
            Ok(backend) => {
                *lock(&self.backend) = backend;
                self.occupied.store(false, Ordering::Release);
                return;
            }
        };
        self.last_error.fail::<Self>("set_backend", refusal);
    }

    pub(super) fn get_backend(&self) -> EngineEnum<Backend> {
        EngineEnum(*lock(&self.backend))
    }
}

impl Fallible for SharedMemory {
    fn last_error(&self) -> &LastError {
        &self.last_error
    }
}

// What needs no object.
impl SharedMemory {
    pub(super) fn exists(name: EngineText<'_>, scope: i64, backend: i64) -> bool {
        match place_from(scope, backend) {
            // Nothing has a name that is none.
            Ok((scope, backend)) => name_in(backend, &name).is_ok_and(|name| backend.exists(&name, scope)),
            Err(failure) => {
                report("exists", &failure);
                false
            }
        }
    }

    pub(super) fn remove(name: EngineText<'_>, scope: i64, backend: i64) -> ErrorCode {
        let removed = place_from(scope, backend).and_then(|(scope, backend)| {
            backend.remove(&name_in(backend, &name)?, scope).map_err(|e| Failure::of(&e, Code::FAILED))
        });
        match removed {
            Ok(()) => ErrorCode(Code::OK),
            Err(failure) => {
                report("remove", &failure);
                failure.code()
            }
        }
    }

    pub(super) fn list_names() -> PackedStringArray {
        shm_segment::list_names().iter().map(|name| engine_text(name)).collect()
    }

    pub(super) fn generate_name(prefix: EngineText<'_>) -> GString {
        let generated = utf8_of("prefix", &prefix).and_then(|prefix| {
            shm_segment::generate_name(&prefix).map_err(|e| Failure::of(&e, Code::FAILED))
        });
        match generated {
            Ok(name) => engine_text(&name),
            Err(failure) => {
                report("generate_name", &failure);
                GString::new()
            }
        }
    }
}

/// Warns once, the first time that a segment is kept from persisting.
fn warn_if(kept: bool) {
    // Not a `Once`: what is printed may lead to a script that comes back here.
    static WARNED: AtomicBool = AtomicBool::new(false);
    if kept && !WARNED.swap(true, Ordering::Relaxed) {
        push_warning(&[Variant::from(NOT_PERSISTENT)]);
    }
}

const NOT_PERSISTENT: &str = "SharedMemory.persistent: the memory of this backend goes with those who have it open; \
     nothing keeps it longer. BACKEND_FILE can.";

fn report(method: &str, failure: &Failure) {
    last_error::report::<SharedMemory>(method, failure);
}

fn place_from(scope: i64, backend: i64) -> Result<(Scope, Backend)> {
    Ok((scope_from(scope)?, backend_from(backend)?))
}

/// A name as the backend takes it: a script may give a path as the engine has it.
fn name_in(backend: Backend, name: &EngineText<'_>) -> Result<String> {
    let given = utf8_of("name", name)?;
    match backend {
        Backend::File => utf8_of("name", &globalize_path(name)),
        _ => Ok(given),
    }
}

fn unsigned(argument: &str, value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| Failure::argument(argument, value, "0 or more"))
}

fn positive(argument: &str, value: i64) -> Result<u64> {
    match u64::try_from(value) {
        Ok(value) if value > 0 => Ok(value),
        _ => Err(Failure::argument(argument, value, "1 or more")),
    }
}

/// No mapping is larger than the largest `isize`.
fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// The offset of something in `segment`. `argument` is what the method calls it.
fn offset_inside(segment: &Segment, argument: &str, offset: i64) -> Result<u64> {
    let (value, end) = (unsigned(argument, offset)?, segment.size());
    if value < end {
        return Ok(value);
    }
    Err(Failure::argument(argument, offset, &format!("less than the segment's {end} bytes")))
}

/// Offset and length of a part of `segment`, where a size of 0 means all from the offset on.
fn range(segment: &Segment, offset: i64, size: i64) -> Result<(u64, u64)> {
    let offset = offset_inside(segment, "offset", offset)?;
    let size = match unsigned("size", size)? {
        0 => segment.size() - offset,
        size => size,
    };
    segment.check_bounds(offset, size).map_err(|e| Failure::of(&e, Code::FAILED))?;
    Ok((offset, size))
}

fn copied(result: shm_segment::Result<()>) -> Result<()> {
    result.map_err(|e| Failure::of(&e, Code::FAILED))
}

/// A lock whose holder panicked guards nothing that could be half done: its values are stored whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
