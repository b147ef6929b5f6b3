//! `SharedMemory`: one segment of bytes.
//!
//! Any method may be called from any thread, concurrently with any other. The [`Segment`] that an object holds is in an
//! [`AtomicOption`]: a copy that is under way when another thread calls `close()` ends on the old mapping, and no
//! thread waits. A flag beside it (`occupied`) makes sure that one `create` or `open` at a time is under way; it is not
//! a lock: a second one is refused.

mod args;
mod arrays;
mod bytes;
mod enums;
mod images;
mod numbers;
mod properties;
mod state;
mod statics;
mod structs;
mod texts;
mod variants;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use godot::builtin::{GString, PackedStringArray, StringName};
use godot::global::Error as Code;
use hazard::AtomicOption;
use shm_segment::{Access, Backend, NameHandle, Scope, Segment};

use crate::binding::{Class, Definition, Enum, ErrorCode, This, methods};
use crate::error::Failure;
use crate::last_error::{self, Fallible, LastError};
use crate::unicode::engine_text;
use args::signed;
use enums::{ACCESS_READ_WRITE, BACKEND_NATIVE, LOCAL_SCOPE, Status};
use state::{State, lock};

type Result<T, E = Failure> = std::result::Result<T, E>;

/// The class's state. See the module's text for how threads share it.
#[derive(Default)]
pub(crate) struct SharedMemory {
    segment: AtomicOption<Segment>,
    /// The object holds a segment, or is about to.
    occupied: AtomicBool,
    /// Set by the thread that has set `occupied`, or has taken the segment out. So is `size`: both are asked for most
    /// often, and without a look at the segment.
    state: State,
    size: AtomicI64,
    persistent: AtomicBool,
    backend: Mutex<Backend>,
    /// The name of the last segment, for an `unlink()` after `close()`.
    last_name: Mutex<Option<NameHandle>>,
    last_error: LastError,
    /// Why no segment is open, if a failure is why.
    reason: Mutex<Option<Failure>>,
    /// Held while `persistent` is set and applied, so that the two agree.
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
        methods!(class, Self {
            fn create(name: StringName, size: i64, scope: Enum<Scope> = LOCAL_SCOPE) -> ErrorCode;
            fn open(name: StringName, size: i64 = 0, access: Enum<Access> = ACCESS_READ_WRITE) -> ErrorCode;
            fn open_or_create(name: StringName, size: i64, scope: Enum<Scope> = LOCAL_SCOPE) -> ErrorCode;
        });
        bytes::define(class);
        numbers::define(class);
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
            static fn list_names() -> PackedStringArray;
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

// Every call that needs the segment comes through one of these three. The object holds the segment until `work` is done,
// even if another thread closes it.
impl SharedMemory {
    /// Calls `work` with the segment, and remembers how it went.
    fn with<T>(&self, work: impl FnOnce(&Segment) -> Result<T>) -> Result<T, ErrorCode> {
        self.remember(self.with_any_segment(work))
    }

    /// Calls `work` with the segment. For objects that are attached to it, which remember their own errors.
    pub(crate) fn with_any_segment<T>(&self, work: impl FnOnce(&Segment) -> Result<T>) -> Result<T> {
        self.segment.with(|segment| match segment {
            Some(segment) => work(segment).inspect_err(|failure| self.let_go_if_lost(segment, failure)),
            None => Err(Failure::not_open(lock(&self.reason).as_ref())),
        })
    }

    /// Calls `work` with the segment if it is still the one that has this [`id`](Segment::id).
    pub(crate) fn with_segment<T>(&self, id: u64, work: impl FnOnce(&Segment) -> Result<T>) -> Result<T> {
        self.segment.with(|segment| match segment.filter(|segment| segment.id() == id) {
            Some(segment) => work(segment).inspect_err(|failure| self.let_go_if_lost(segment, failure)),
            None => Err(Failure::detached(lock(&self.reason).as_ref())),
        })
    }

    /// If a peer has taken the memory away, lets go of the segment, unless another thread has done so.
    #[cold]
    fn let_go_if_lost(&self, segment: &Segment, failure: &Failure) {
        if failure.code == Code::ERR_FILE_CORRUPT {
            self.segment.take_if(segment, |segment| {
                *lock(&self.reason) = Some(failure.clone());
                self.let_go(segment, Status::Error);
            });
        }
    }
}

// Getters. They can't fail, and leave the last error alone.
impl SharedMemory {
    fn ask<T: Default>(&self, question: impl FnOnce(&Segment) -> T) -> T {
        self.segment.with(|segment| segment.map(question).unwrap_or_default())
    }

    fn get_name(&self) -> StringName {
        self.ask(|segment| StringName::from(&engine_text(segment.name().as_str())))
    }

    fn get_native_name(&self) -> GString {
        self.ask(|segment| engine_text(&segment.name().native_name()))
    }

    fn get_size(&self) -> i64 {
        self.size.load(Ordering::Relaxed)
    }

    fn get_mapped_size(&self) -> i64 {
        self.ask(|segment| segment.mapped_size().map_or(0, signed))
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
        self.ask(|segment| segment.name().is_current())
    }
}
