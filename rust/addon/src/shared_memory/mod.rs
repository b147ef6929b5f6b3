//! `SharedMemory`: one segment of bytes.
//!
//! Any method may be called from any thread, concurrently with any other. The [`Segment`] that an object
//! holds is in an [`AtomicOption`]. A copy that is in progress when another thread calls `close()` ends on
//! the old mapping, and no thread waits. A flag, `occupied`, admits one `create` or `open` at a time. It is
//! not a lock: a second call fails.

mod arrays;
mod atomics;
mod bytes;
pub(crate) mod enums;
mod images;
mod lifecycle;
mod numbers;
mod properties;
mod statics;
mod structs;
mod texts;
mod variants;
mod wait;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use godot::builtin::{Array, GString, PackedInt32Array, PackedStringArray, StringName, VarDictionary};
use godot::global::Error as Code;
use hazard::AtomicOption;
use shm_segment::{Access, Backend, NameHandle, OwnerState, Scope, Segment, TextEncoding};

use crate::args::{self, signed};
use crate::binding::{Class, Definition, Enum, ErrorCode, This, methods};
use crate::error::{Failure, Result};
use crate::last_error::{self, Fallible, LastError};
use crate::unicode::engine_text;
use enums::{ACCESS_READ_WRITE, BACKEND_NATIVE, LOCAL_SCOPE, Status};
use lifecycle::{State, lock};

/// The state of an object. The text of this module says how threads share it.
#[derive(Default)]
pub(crate) struct SharedMemory {
    segment: AtomicOption<Segment>,
    /// Set while the object holds a segment, or is about to.
    occupied: AtomicBool,
    /// Only the thread that has set `occupied`, or has taken the segment out, changes `state` and `size`.
    /// They are here because scripts read them most often: no access to the segment is needed.
    state: State,
    size: AtomicI64,
    persistent: AtomicBool,
    backend: Mutex<Backend>,
    /// The name of the closed segment, for an `unlink()` after `close()`.
    last_name: Mutex<Option<NameHandle>>,
    last_error: LastError,
    /// The failure that left no segment open, if there was one.
    cause: Mutex<Option<Failure>>,
    /// Locked while `persistent` is set and applied to the segment, so that the two agree.
    lifetime_change: Mutex<()>,
}

impl Class for SharedMemory {
    const NAME: &'static str = "SharedMemory";
    const PARENT: &'static str = "RefCounted";

    fn new(_: This) -> Self {
        Self::default()
    }

    fn define(class: &mut Definition<Self>) {
        class.enumeration::<Scope>();
        class.enumeration::<Status>();
        class.enumeration::<Access>();
        class.enumeration::<Backend>();
        class.enumeration::<OwnerState>();
        class.enumeration::<TextEncoding>();
        methods!(class, Self {
            fn create(name: StringName, size: i64, scope: Enum<Scope> = LOCAL_SCOPE) -> ErrorCode;
            fn open(name: StringName, size: i64 = 0, access: Enum<Access> = ACCESS_READ_WRITE) -> ErrorCode;
            fn open_read_only(name: StringName, size: i64 = 0) -> ErrorCode;
            fn open_or_create(name: StringName, size: i64, scope: Enum<Scope> = LOCAL_SCOPE) -> ErrorCode;
        });
        bytes::define(class);
        numbers::define(class);
        atomics::define(class);
        wait::define(class);
        arrays::define(class);
        texts::define(class);
        images::define(class);
        structs::define(class);
        variants::define(class);
        methods!(class, Self {
            fn close();
            fn unlink();
            const fn get_name() -> StringName;
            const fn get_native_name() -> GString;
            const fn get_size() -> i64;
            const fn get_mapped_size() -> i64;
            const fn get_status() -> Enum<Status>;
            const fn is_open() -> bool;
            const fn get_scope() -> Enum<Scope>;
            const fn get_access() -> Enum<Access>;
            const fn is_current() -> bool;
            const fn get_owner_state() -> Enum<OwnerState>;
        });
        last_error::define(class);
        methods!(class, Self {
            fn set_persistent(persistent: bool);
            const fn is_persistent() -> bool;
            fn set_backend(backend: Enum<Backend>);
            const fn get_backend() -> Enum<Backend>;
            static fn exists(
                name: StringName, scope: Enum<Scope> = LOCAL_SCOPE, backend: Enum<Backend> = BACKEND_NATIVE
            ) -> bool;
            static fn remove(
                name: StringName, scope: Enum<Scope> = LOCAL_SCOPE, backend: Enum<Backend> = BACKEND_NATIVE
            ) -> ErrorCode;
            static fn get_info(name: StringName, backend: Enum<Backend> = BACKEND_NATIVE) -> VarDictionary;
            static fn get_users(name: StringName, backend: Enum<Backend> = BACKEND_NATIVE) -> PackedInt32Array;
            static fn list_names() -> PackedStringArray;
            static fn list_segments() -> Array<VarDictionary>;
            static fn generate_name(prefix: GString = "godot") -> GString;
        });
        class.property::<bool>("persistent", "set_persistent", "is_persistent");
        class.property::<Enum<Backend>>("backend", "set_backend", "get_backend");
    }
}

impl Fallible for SharedMemory {
    fn last_error(&self) -> &LastError {
        &self.last_error
    }
}

// Access to the segment, which stays valid until `work` returns, even if another thread closes it.
impl SharedMemory {
    /// Calls `work` with the segment, and remembers the result.
    fn with_segment<T>(&self, work: impl FnOnce(&Segment) -> Result<T>) -> Result<T, ErrorCode> {
        self.remember(self.try_with_segment(work))
    }

    /// Calls `work` with the segment. Attached objects use it: they remember their own errors.
    pub(crate) fn try_with_segment<T>(&self, work: impl FnOnce(&Segment) -> Result<T>) -> Result<T> {
        self.segment.with(|segment| match segment {
            Some(segment) => work(segment).inspect_err(|failure| self.release_if_lost(segment, failure)),
            None => Err(Failure::not_open(lock(&self.cause).as_ref())),
        })
    }

    /// Calls `work` with the segment if it is still the one that has this [`id`](Segment::id).
    pub(crate) fn try_with_same_segment<T>(
        &self,
        id: u64,
        work: impl FnOnce(&Segment) -> Result<T>,
    ) -> Result<T> {
        self.segment.with(|segment| match segment.filter(|segment| segment.id() == id) {
            Some(segment) => work(segment).inspect_err(|failure| self.release_if_lost(segment, failure)),
            None => Err(Failure::detached(lock(&self.cause).as_ref())),
        })
    }

    /// Returns whether this is the open segment. A call that waits asks this.
    pub(crate) fn holds(&self, segment: &Segment) -> bool {
        self.segment.holds(segment)
    }

    /// Releases the segment if a peer has truncated its memory and no other thread has released it.
    #[cold]
    fn release_if_lost(&self, segment: &Segment, failure: &Failure) {
        if failure.code() == Code::ERR_FILE_CORRUPT {
            self.segment.take_if(segment, |segment| {
                *lock(&self.cause) = Some(failure.clone());
                self.release(segment, Status::Error);
            });
        }
    }
}

// Getters. They can't fail, and don't change the last error.
impl SharedMemory {
    fn query<T: Default>(&self, getter: impl FnOnce(&Segment) -> T) -> T {
        self.segment.with(|segment| segment.map(getter).unwrap_or_default())
    }

    fn get_name(&self) -> StringName {
        self.query(|segment| StringName::from(&engine_text(segment.name().as_str())))
    }

    fn get_native_name(&self) -> GString {
        self.query(|segment| engine_text(&segment.name().native_name()))
    }

    fn get_size(&self) -> i64 {
        self.size.load(Ordering::Relaxed)
    }

    fn get_mapped_size(&self) -> i64 {
        self.query(|segment| segment.current_size().map_or(0, signed))
    }

    fn get_status(&self) -> Enum<Status> {
        Enum(self.state.status())
    }

    fn is_open(&self) -> bool {
        matches!(self.state.status(), Status::Created | Status::Open)
    }

    fn get_scope(&self) -> Enum<Scope> {
        Enum(self.segment.with(|segment| segment.map_or(Scope::Local, Segment::scope)))
    }

    fn get_access(&self) -> Enum<Access> {
        Enum(self.segment.with(|segment| segment.map_or(Access::ReadWrite, Segment::access)))
    }

    fn is_current(&self) -> bool {
        self.query(|segment| segment.name().is_current())
    }

    fn get_owner_state(&self) -> Enum<OwnerState> {
        Enum(self.query(Segment::owner_state))
    }
}
