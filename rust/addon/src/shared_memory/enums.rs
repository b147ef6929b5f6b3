//! The enums that scripts see as constants of the class.

use shm_segment::{Access, Backend, OwnerState, Scope, TextEncoding};

use crate::binding::ScriptEnum;

pub(crate) const LOCAL_SCOPE: i64 = 0;
pub(super) const ACCESS_READ_WRITE: i64 = 0;
pub(super) const BACKEND_NATIVE: i64 = 0;
pub(super) const TEXT_UTF8: i64 = 0;

/// The status of an object, as scripts see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Uninitialized,
    Created,
    Open,
    Error,
}

impl ScriptEnum for Scope {
    const NAME: &'static str = "SharedMemory.Scope";
    const CONSTANTS: &'static [(&'static str, i64, Self)] =
        &[("LOCAL_SCOPE", LOCAL_SCOPE, Self::Local), ("GLOBAL_SCOPE", 1, Self::Global)];
}

impl ScriptEnum for Status {
    const NAME: &'static str = "SharedMemory.Status";
    const CONSTANTS: &'static [(&'static str, i64, Self)] = &[
        ("STATUS_UNINITIALIZED", 0, Self::Uninitialized),
        ("STATUS_CREATED", 1, Self::Created),
        ("STATUS_OPEN", 2, Self::Open),
        ("STATUS_ERROR", 3, Self::Error),
    ];
}

impl ScriptEnum for Access {
    const NAME: &'static str = "SharedMemory.Access";
    const CONSTANTS: &'static [(&'static str, i64, Self)] =
        &[("ACCESS_READ_WRITE", ACCESS_READ_WRITE, Self::ReadWrite), ("ACCESS_READ_ONLY", 1, Self::ReadOnly)];
}

impl ScriptEnum for Backend {
    const NAME: &'static str = "SharedMemory.Backend";
    const HINT: &'static str = "Native:0,File:1,System V:2,memfd:3";
    const CONSTANTS: &'static [(&'static str, i64, Self)] = &[
        ("BACKEND_NATIVE", BACKEND_NATIVE, Self::Native),
        ("BACKEND_FILE", 1, Self::File),
        ("BACKEND_SYSV", 2, Self::SystemV),
        ("BACKEND_MEMFD", 3, Self::Memfd),
    ];
}

impl ScriptEnum for OwnerState {
    const NAME: &'static str = "SharedMemory.OwnerState";
    const CONSTANTS: &'static [(&'static str, i64, Self)] = &[
        ("OWNER_UNKNOWN", 0, Self::Unknown),
        ("OWNER_ALIVE", 1, Self::Alive),
        ("OWNER_DEAD", 2, Self::Dead),
    ];
}

impl ScriptEnum for TextEncoding {
    const NAME: &'static str = "SharedMemory.TextEncoding";
    const CONSTANTS: &'static [(&'static str, i64, Self)] = &[
        ("TEXT_UTF8", TEXT_UTF8, Self::Utf8),
        ("TEXT_LATIN1", 1, Self::Latin1),
        ("TEXT_UTF16", 2, Self::Utf16),
        ("TEXT_UTF32", 3, Self::Utf32),
    ];
}
