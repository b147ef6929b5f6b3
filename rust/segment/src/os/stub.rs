//! Systems without named shared memory: everything compiles, nothing is there.

use std::time::Instant;

#[cfg(test)]
use memmap2::MmapMut;
pub(crate) use memmap2::MmapRaw as Mapping;

use super::unwatched;
use crate::error::{Error, Result};
use crate::name;
use crate::options::{Access, Lifetime, Scope};
pub(crate) use unwatched::Watch;
pub use unwatched::uninstall_fault_handler;

pub(crate) const CAN_PERSIST: bool = false;

const UNSUPPORTED: Error = Error::Unsupported { what: "named shared memory" };

/// A name and the segment it led to. There are none here.
#[derive(Debug, Clone)]
pub(crate) struct Link(std::convert::Infallible);

impl Link {
    /// The plain name.
    pub(crate) fn name(&self) -> &str {
        match self.0 {}
    }

    /// The form of the name that the system's own calls take.
    pub(crate) fn native_name(&self) -> String {
        match self.0 {}
    }

    /// Does the name still lead to the segment it led to?
    pub(crate) fn is_current(&self) -> bool {
        match self.0 {}
    }

    /// Removes the name, if it still leads there.
    ///
    /// # Errors
    /// None here.
    pub(crate) fn unlink(&self) -> Result<()> {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(crate) struct Object(Link);

impl Object {
    pub(crate) fn create(_: &str, _: u64, _: Scope, _: Lifetime, _: Instant) -> Result<(Self, Mapping)> {
        Err(UNSUPPORTED)
    }

    pub(crate) fn open(name: &str, _: u64, _: Access, _: Option<Scope>) -> Result<(Self, Mapping)> {
        name::foreign(name)?;
        Err(UNSUPPORTED)
    }

    pub(crate) fn size(&self) -> Result<u64> {
        match self.0.0 {}
    }

    pub(crate) const fn scope(&self) -> Scope {
        match self.0.0 {}
    }

    pub(crate) const fn link(&self) -> &Link {
        &self.0
    }

    pub(crate) fn set_lifetime(&self, _: Lifetime) -> Result<()> {
        match self.0.0 {}
    }

    pub(crate) fn release_name(&self) {
        match self.0.0 {}
    }
}

pub(crate) fn exists(_: &str, _: Scope) -> bool {
    false
}

pub(crate) fn remove(name: &str, _: Scope) -> Result<()> {
    name::foreign(name)?;
    Err(UNSUPPORTED)
}

pub(crate) fn list_names() -> Vec<String> {
    Vec::new()
}

pub(crate) fn coarse_clock() -> u64 {
    0
}

/// Memory without a name.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) fn anonymous(length: usize) -> Mapping {
    MmapMut::map_anon(length).unwrap().into()
}
