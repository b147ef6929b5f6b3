//! The owner of a name, and how other processes can tell whether it lives.
//!
//! A killed process can't remove its names. So a creator leaves two things with its segment. A *mark* says
//! that the segment may be reclaimed once its owner is dead. A *life lock* is dropped by the kernel when the
//! owner dies, however it dies. On Linux, both are on the segment itself (`life_lock.rs`). Where segments can
//! be neither locked nor marked (macOS), a lock file per name stands in for both (`lock_file.rs`).

use std::fmt;
use std::os::fd::OwnedFd;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use crate::options::Lifetime;

/// Decides whether the creator removes the name at its end.
#[derive(Debug)]
pub(in crate::os) struct NameLifetime {
    persistent: AtomicBool,
    ended: AtomicBool,
}

impl NameLifetime {
    /// Returns the state of a new name. An opener passes [`Lifetime::Persistent`]: it never removes a name.
    pub(in crate::os) const fn new(lifetime: Lifetime) -> Self {
        let persistent = matches!(lifetime, Lifetime::Persistent);
        Self { persistent: AtomicBool::new(persistent), ended: AtomicBool::new(false) }
    }

    pub(in crate::os) fn set(&self, lifetime: Lifetime) {
        self.persistent.store(lifetime == Lifetime::Persistent, Ordering::Release);
    }

    /// Returns true if the name is to be removed now, and only once.
    pub(in crate::os) fn end(&self) -> bool {
        !self.persistent.load(Ordering::Acquire) && !self.ended.swap(true, Ordering::AcqRel)
    }
}

/// The mark of a creator, whose life lock is held.
pub(super) trait OwnerLock: fmt::Debug + Send + Sync + UnwindSafe + RefUnwindSafe {
    /// Sets the mark, and changes nothing else.
    fn mark(&self, segment: &OwnedFd, lifetime: Lifetime) -> Result<(), Errno>;

    /// Removes what stood for the owner, after the name was removed.
    fn discard(&self);
}
