//! The enums of the class, as scripts see them.

use godot::global::Error as Code;
use shm_segment::{Access, Scope};

use super::Result;
use crate::class::OwnEnum;
use crate::error::Failure;

pub(super) const LOCAL_SCOPE: i64 = 0;
pub(super) const GLOBAL_SCOPE: i64 = 1;
pub(super) const ACCESS_READ_WRITE: i64 = 0;
pub(super) const ACCESS_READ_ONLY: i64 = 1;

/// What a script sees of an object's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Uninitialized = 0,
    Created = 1,
    Open = 2,
    Error = 3,
}

impl OwnEnum for Status {
    const NAME: &'static str = "SharedMemory.Status";
    const HINT: &'static str = "";
    const FALLBACK: Self = Self::Uninitialized;

    fn value(self) -> i64 {
        self as i64
    }
}

/// Where the memory comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Backend {
    #[default]
    Native = 0,
    File = 1,
    SysV = 2,
    Memfd = 3,
}

impl Backend {
    pub(super) fn from_value(value: i64) -> Result<Self> {
        match value {
            0 => Ok(Self::Native),
            1 => Ok(Self::File),
            2 => Ok(Self::SysV),
            3 => Ok(Self::Memfd),
            _ => Err(Failure::argument("backend", value, "a SharedMemory.Backend (0 to 3)")),
        }
    }

    /// Refuses a backend that this build has no code for.
    pub(super) fn check_available(self) -> Result<()> {
        match self {
            Self::Native => Ok(()),
            Self::File => Err(Failure::new(Code::ERR_UNAVAILABLE, "BACKEND_FILE is not available here")),
            Self::SysV => Err(Failure::new(Code::ERR_UNAVAILABLE, "BACKEND_SYSV is not available here")),
            Self::Memfd => Err(Failure::new(Code::ERR_UNAVAILABLE, "BACKEND_MEMFD is not available here")),
        }
    }
}

impl OwnEnum for Backend {
    const NAME: &'static str = "SharedMemory.Backend";
    const HINT: &'static str = "Native:0,File:1,System V:2,memfd:3";
    const FALLBACK: Self = Self::Native;

    fn value(self) -> i64 {
        self as i64
    }
}

impl OwnEnum for Scope {
    const NAME: &'static str = "SharedMemory.Scope";
    const HINT: &'static str = "";
    const FALLBACK: Self = Self::Local;

    fn value(self) -> i64 {
        match self {
            Self::Local => LOCAL_SCOPE,
            Self::Global => GLOBAL_SCOPE,
        }
    }
}

impl OwnEnum for Access {
    const NAME: &'static str = "SharedMemory.Access";
    const HINT: &'static str = "";
    const FALLBACK: Self = Self::ReadWrite;

    fn value(self) -> i64 {
        match self {
            Self::ReadWrite => ACCESS_READ_WRITE,
            Self::ReadOnly => ACCESS_READ_ONLY,
        }
    }
}

pub(super) fn scope_from(value: i64) -> Result<Scope> {
    match value {
        LOCAL_SCOPE => Ok(Scope::Local),
        GLOBAL_SCOPE => Ok(Scope::Global),
        _ => Err(Failure::argument("scope", value, "a SharedMemory.Scope (0 or 1)")),
    }
}

pub(super) fn access_from(value: i64) -> Result<Access> {
    match value {
        ACCESS_READ_WRITE => Ok(Access::ReadWrite),
        ACCESS_READ_ONLY => Ok(Access::ReadOnly),
        _ => Err(Failure::argument("access", value, "a SharedMemory.Access (0 or 1)")),
    }
}
