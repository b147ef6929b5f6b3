//! Who owns a name, and whether the owner is still alive.
//!
//! A killed process can't remove its names. So that the next run may have them, a creator leaves two things with
//! its segment: a *mark*, which says that the segment may be reclaimed once its owner is dead, and a *life lock*,
//! which the kernel drops when the owner dies, however it dies. On Linux both are the segment's own
//! (`life_lock.rs`). Where segments can be neither locked nor marked (macOS), a lock file a name stands in for both
//! (`lock_file.rs`).

use std::fmt;
use std::os::fd::OwnedFd;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::Mode;
use rustix::io::Errno;

use crate::options::Lifetime;

/// Why a name was not taken over, in words that tell what to do.
pub(super) const ALIVE: &str = "the process that made it is running";
pub(super) const NOT_OURS: &str =
    "another program made it, or it was made to be persistent; remove() removes it";
pub(super) const CHANGING: &str = "other processes are making or removing it just now";

/// Whether the creator removes the name at its end.
#[derive(Debug)]
pub(in crate::os) struct NameLifetime {
    persistent: AtomicBool,
    ended: AtomicBool,
}

impl NameLifetime {
    /// An opener never removes a name: to it, all are [`Lifetime::Persistent`].
    pub(in crate::os) const fn new(lifetime: Lifetime) -> Self {
        let persistent = matches!(lifetime, Lifetime::Persistent);
        Self { persistent: AtomicBool::new(persistent), ended: AtomicBool::new(false) }
    }

    pub(in crate::os) fn set(&self, lifetime: Lifetime) {
        self.persistent.store(lifetime == Lifetime::Persistent, Ordering::Release);
    }

    /// Returns whether the name is to be removed now; true once.
    pub(in crate::os) fn end(&self) -> bool {
        !self.persistent.load(Ordering::Acquire) && !self.ended.swap(true, Ordering::AcqRel)
    }
}

/// How a creator shows that it lives, until this is dropped.
pub(super) trait Keeper: fmt::Debug + Send + Sync + UnwindSafe + RefUnwindSafe {
    /// Sets or removes the mark. `mode` is the segment's, without the mark.
    fn mark(&self, segment: &OwnedFd, mode: Mode, marked: bool) -> Result<(), Errno>;

    /// The name is gone: what stood for its owner may go too.
    fn forget(&self);
}
