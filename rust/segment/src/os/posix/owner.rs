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

use rustix::fs::Mode;
use rustix::io::Errno;

/// Why a name was not taken over, in words that tell what to do.
pub(super) const ALIVE: &str = "the process that made it is running";
pub(super) const NOT_OURS: &str =
    "another program made it, or it was made to be persistent; remove() removes it";
pub(super) const CHANGING: &str = "other processes are making or removing it just now";

/// How a creator shows that it lives, until this is dropped.
pub(super) trait Keeper: fmt::Debug + Send + Sync + UnwindSafe + RefUnwindSafe {
    /// Sets or removes the mark. `mode` is the segment's, without the mark.
    fn mark(&self, segment: &OwnedFd, mode: Mode, marked: bool) -> Result<(), Errno>;

    /// The name is gone: what stood for its owner may go too.
    fn forget(&self);
}
