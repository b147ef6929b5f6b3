//! The way of systems without `/dev/shm`, on Linux, whose C library has the same calls.
#![allow(missing_docs, clippy::must_use_candidate, clippy::missing_errors_doc, reason = "for our own use")]

use std::path::PathBuf;
use std::time::Instant;

use super::shm_open::Calls;
use super::{Made, Namespace, New, mode_of};
use crate::error::Result;
use crate::options::{Lifetime, Scope};

#[derive(Debug)]
pub struct ByCalls(Calls);

/// What was made, by somebody who lives.
pub struct Owned(Made);

impl ByCalls {
    pub fn new(lock_folder: PathBuf) -> Self {
        Self(Calls::new(Some(lock_folder)))
    }

    pub fn create(&self, plain: &str, size: u64, lifetime: Lifetime) -> Result<Owned> {
        let mode = mode_of(Scope::Local);
        let marked = lifetime == Lifetime::Owner;
        self.0.create(&New { plain, size, mode, marked, end: Instant::now() }).map(Owned)
    }
}

impl Owned {
    /// Can the next one tell whether this one is dead?
    pub fn is_reclaimable(&self) -> bool {
        self.0.keeper.is_some()
    }

    /// As the system ends it: without a word.
    pub fn die(self) {}

    /// As a creator ends in order.
    pub fn close(self, plain: &str, calls: &ByCalls) {
        let _ = calls.0.unlink(plain);
        if let Some(keeper) = &self.0.keeper {
            keeper.forget();
        }
    }
}
