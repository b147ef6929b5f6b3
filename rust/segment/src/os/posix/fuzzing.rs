//! The `shm_open` namespace of other systems, on Linux, whose C library has the same calls.
#![allow(missing_docs, clippy::must_use_candidate, clippy::missing_errors_doc, reason = "for our own use")]

use std::path::PathBuf;
use std::time::Instant;

use super::shm_open::ShmOpen;
use super::{Created, Namespace, Request, mode_of};
use crate::error::Result;
use crate::options::{Lifetime, Scope};

#[derive(Debug)]
pub struct ByCalls(ShmOpen);

/// A segment of a living owner.
pub struct Owned(Created);

impl ByCalls {
    pub fn new(lock_folder: PathBuf) -> Self {
        Self(ShmOpen::new(Some(lock_folder)))
    }

    pub fn create(&self, plain: &str, size: u64, lifetime: Lifetime) -> Result<Owned> {
        let mode = mode_of(Scope::Local);
        self.0.create(&Request { plain, size, mode, lifetime, end: Instant::now() }).map(Owned)
    }
}

impl Owned {
    /// Returns whether another process can tell when this owner is dead.
    pub fn is_reclaimable(&self) -> bool {
        self.0.owner_lock.is_some()
    }

    /// Ends as a killed process does: nothing is removed.
    pub fn die(self) {}

    /// Ends as a creator does in order.
    pub fn close(self, plain: &str, calls: &ByCalls) {
        let _ = calls.0.unlink(plain);
        if let Some(owner_lock) = &self.0.owner_lock {
            owner_lock.discard();
        }
    }
}
