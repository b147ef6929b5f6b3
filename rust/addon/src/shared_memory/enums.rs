//! The enums of the class, as scripts see them.

use shm_segment::{Access, Backend, Scope};

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

pub(super) const BACKEND_NATIVE: i64 = 0;
pub(super) const BACKEND_FILE: i64 = 1;
pub(super) const BACKEND_SYSV: i64 = 2;
pub(super) const BACKEND_MEMFD: i64 = 3;

impl OwnEnum for Backend {
    const NAME: &'static str = "SharedMemory.Backend";
    const HINT: &'static str = "Native:0,File:1,System V:2,memfd:3";
    const FALLBACK: Self = Self::Native;

    fn value(self) -> i64 {
        match self {
            Self::Native => BACKEND_NATIVE,
            Self::File => BACKEND_FILE,
            Self::SystemV => BACKEND_SYSV,
            Self::Memfd => BACKEND_MEMFD,
        }
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

pub(super) fn backend_from(value: i64) -> Result<Backend> {
    match value {
        BACKEND_NATIVE => Ok(Backend::Native),
        BACKEND_FILE => Ok(Backend::File),
        BACKEND_SYSV => Ok(Backend::SystemV),
        BACKEND_MEMFD => Ok(Backend::Memfd),
        _ => Err(Failure::argument("backend", value, "a SharedMemory.Backend (0 to 3)")),
    }
}
