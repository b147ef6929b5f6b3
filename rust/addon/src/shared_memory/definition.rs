//! What scripts see of the class, in one table: the engine gets it from here, and a test holds the help against it.

use godot::builtin::{GString, PackedByteArray, PackedStringArray};
use shm_segment::{Access, Backend, Scope};

use super::enums::{
    ACCESS_READ_ONLY, ACCESS_READ_WRITE, BACKEND_FILE, BACKEND_MEMFD, BACKEND_NATIVE, BACKEND_SYSV,
    GLOBAL_SCOPE, LOCAL_SCOPE, Status,
};
use super::{SharedMemory, arrays, images, numbers, structs, texts, variants};
use crate::class::{
    Bool, BytesIn, BytesOut, Class, DefaultValue, Definition, EngineEnum, ErrorCode, Int, Name, Text, This,
};
use crate::last_error;

impl Class for SharedMemory {
    const NAME: &'static str = "SharedMemory";
    const PARENT: &'static str = "RefCounted";

    fn new(_: This) -> Self {
        Self::default()
    }

    fn define(class: &mut Definition<Self>) {
        use DefaultValue::{Int as I, Text as T};

        class.enumeration("Scope", &[("LOCAL_SCOPE", LOCAL_SCOPE), ("GLOBAL_SCOPE", GLOBAL_SCOPE)]);
        class.enumeration(
            "Status",
            &[
                ("STATUS_UNINITIALIZED", Status::Uninitialized as i64),
                ("STATUS_CREATED", Status::Created as i64),
                ("STATUS_OPEN", Status::Open as i64),
                ("STATUS_ERROR", Status::Error as i64),
            ],
        );
        class.enumeration(
            "Access",
            &[("ACCESS_READ_WRITE", ACCESS_READ_WRITE), ("ACCESS_READ_ONLY", ACCESS_READ_ONLY)],
        );
        class.enumeration(
            "Backend",
            &[
                ("BACKEND_NATIVE", BACKEND_NATIVE),
                ("BACKEND_FILE", BACKEND_FILE),
                ("BACKEND_SYSV", BACKEND_SYSV),
                ("BACKEND_MEMFD", BACKEND_MEMFD),
            ],
        );

        class.method::<(Name, Int, Int), ErrorCode>(
            "create",
            &["name", "size", "scope"],
            &[I(LOCAL_SCOPE)],
            Self::create,
        );
        class.method::<(Name, Int, Int), ErrorCode>(
            "open",
            &["name", "size", "access"],
            &[I(0), I(ACCESS_READ_WRITE)],
            Self::open,
        );
        class.method::<(Name, Int, Int), ErrorCode>(
            "open_or_create",
            &["name", "size", "scope"],
            &[I(LOCAL_SCOPE)],
            Self::open_or_create,
        );
        class.method::<(Int, Int), PackedByteArray>("read", &["size", "offset"], &[I(0), I(0)], Self::read);
        class.method::<(BytesOut, Int), ErrorCode>(
            "read_into",
            &["buffer", "offset"],
            &[I(0)],
            Self::read_into,
        );
        class.method::<(BytesIn, Int), ErrorCode>("write", &["data", "offset"], &[I(0)], Self::write);
        class.method::<(Int, Int, Int), ErrorCode>(
            "fill",
            &["value", "offset", "size"],
            &[I(0), I(0)],
            Self::fill,
        );
        numbers::define(class);
        arrays::define(class);
        texts::define(class);
        images::define(class);
        structs::define(class);
        variants::define(class);
        class.method::<(), ()>("close", &[], &[], Self::close);
        class.method::<(), ()>("unlink", &[], &[], Self::unlink);

        class.method::<(), GString>("get_name", &[], &[], Self::get_name);
        class.method::<(), GString>("get_native_name", &[], &[], Self::get_native_name);
        class.method::<(), i64>("get_size", &[], &[], Self::get_size);
        class.method::<(), i64>("get_mapped_size", &[], &[], Self::get_mapped_size);
        class.method::<(), EngineEnum<Status>>("get_status", &[], &[], Self::get_status);
        class.method::<(), bool>("is_open", &[], &[], Self::is_open);
        class.method::<(), EngineEnum<Scope>>("get_scope", &[], &[], Self::get_scope);
        class.method::<(), EngineEnum<Access>>("get_access", &[], &[], Self::get_access);
        class.method::<(), bool>("is_current", &[], &[], Self::is_current);

        last_error::define(class);

        class.method::<(Bool,), ()>("set_persistent", &["persistent"], &[], Self::set_persistent);
        class.method::<(), bool>("is_persistent", &[], &[], Self::is_persistent);
        class.property::<bool>("persistent", "set_persistent", "is_persistent");
        class.method::<(Int,), ()>("set_backend", &["backend"], &[], Self::set_backend);
        class.method::<(), EngineEnum<Backend>>("get_backend", &[], &[], Self::get_backend);
        class.property::<EngineEnum<Backend>>("backend", "set_backend", "get_backend");

        class.static_method::<(Name, Int, Int), bool>(
            "exists",
            &["name", "scope", "backend"],
            &[I(LOCAL_SCOPE), I(BACKEND_NATIVE)],
            Self::exists,
        );
        class.static_method::<(Name, Int, Int), ErrorCode>(
            "remove",
            &["name", "scope", "backend"],
            &[I(LOCAL_SCOPE), I(BACKEND_NATIVE)],
            Self::remove,
        );
        class.static_method::<(), PackedStringArray>("list_names", &[], &[], Self::list_names);
        class.static_method::<(Text,), GString>(
            "generate_name",
            &["prefix"],
            &[T("godot")],
            Self::generate_name,
        );
    }
}
