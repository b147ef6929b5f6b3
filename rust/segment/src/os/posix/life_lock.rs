//! The mark and the life lock on the segment itself: Linux.
//!
//! The mark is two inode flags (`ioctl_iflags(2)`), which no other program sets on shared memory, and which a
//! change of the mode leaves alone. `FS_NODUMP_FL` says that this library made the segment. `FS_NOATIME_FL`
//! beside it says that the segment is persistent. Linux before 6.0 has no such flags in memory. There, the
//! mark is the sticky bit of the mode, which means nothing on a regular file, but goes when a user changes
//! the mode. It stands for a segment that is not persistent.
//!
//! The life lock is an open file description lock (`F_OFD_SETLK`, fcntl(2)) on a byte far behind the end of
//! any segment. A process that wants the name asks whether the lock is held (`F_OFD_GETLK`), which takes
//! nothing. Of the processes that find it free, the one that takes the *reclaim lock*, on a second byte, may
//! remove the name. `flock(2)` would be simpler, but .NET takes one on every file it opens, and would fail to
//! open a segment whose owner lives.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{IFlags, Mode};
use rustix::io::Errno;

use super::byte_lock;
use super::owner::OwnerLock;
use crate::info::{Maker, OwnerState};
use crate::options::Lifetime;

/// The mark where there are no inode flags: the sticky bit.
pub(super) const OLD_MARK: Mode = Mode::SVTX;
const OURS: IFlags = IFlags::NODUMP;
const PERSISTENT: IFlags = IFlags::NOATIME;

/// Stands for the life lock on the segment's own file, which is held for as long as that file is open.
#[derive(Debug)]
pub(super) struct LifeLock;

impl OwnerLock for LifeLock {
    fn mark(&self, segment: &OwnedFd, lifetime: Lifetime) -> Result<(), Errno> {
        let has_flags = set_flags(segment, lifetime).is_ok();
        let mode = Mode::from_raw_mode(rustix::fs::fstat(segment)?.st_mode);
        let wanted = match lifetime {
            Lifetime::Owner if !has_flags => mode | OLD_MARK,
            Lifetime::Owner | Lifetime::Persistent => mode - OLD_MARK,
        };
        // Otherwise untouched: its user may have chosen it.
        if wanted == mode { Ok(()) } else { rustix::fs::fchmod(segment, wanted) }
    }

    fn discard(&self) {}
}

fn set_flags(segment: &OwnedFd, lifetime: Lifetime) -> Result<(), Errno> {
    let others = rustix::fs::ioctl_getflags(segment)? - (OURS | PERSISTENT);
    let mark = match lifetime {
        Lifetime::Owner => OURS,
        Lifetime::Persistent => OURS | PERSISTENT,
    };
    rustix::fs::ioctl_setflags(segment, others | mark)
}

/// Returns what the mark says.
pub(super) fn maker_of(segment: impl AsFd) -> Maker {
    let flags = rustix::fs::ioctl_getflags(&segment).unwrap_or_else(|_| IFlags::empty());
    if flags.contains(OURS | PERSISTENT) {
        return Maker::Ours(Lifetime::Persistent);
    }
    let has_old_mark =
        || rustix::fs::fstat(&segment).is_ok_and(|stat| Mode::from_raw_mode(stat.st_mode).contains(OLD_MARK));
    if flags.contains(OURS) || has_old_mark() { Maker::Ours(Lifetime::Owner) } else { Maker::Other }
}

/// Returns whether the system has flags for the mark. Where it hasn't, a persistent segment has no mark.
pub(super) fn has_flags(segment: impl AsFd) -> bool {
    rustix::fs::ioctl_getflags(segment).is_ok()
}

/// The offset of the life lock. No segment is that large, so a lock on a part of its contents is never in the
/// way. A lock on the whole file is, as `lockf` takes by default. While it is held, no process can take ours.
/// While the owner lives, no process can take such a lock.
pub(super) const LIFE_BYTE: i64 = 1 << 62;
/// Not the next byte: the kernel merges locks that touch.
const RECLAIM_BYTE: i64 = LIFE_BYTE + 2;

/// Takes the life lock of a new segment. Returns false if another process has it.
pub(super) fn take_life_lock(segment: impl AsFd) -> Result<bool, Errno> {
    byte_lock::take(segment, LIFE_BYTE)
}

/// Returns whether no process holds the life lock.
pub(super) fn is_life_lock_free(segment: impl AsFd) -> Result<bool, Errno> {
    Ok(byte_lock::find(segment, LIFE_BYTE)? == libc::F_UNLCK)
}

/// Returns the state of the owner of a segment that `maker` made.
pub(super) fn owner_state(segment: impl AsFd, maker: Maker) -> OwnerState {
    match is_life_lock_free(segment) {
        Ok(false) => OwnerState::Alive,
        Ok(true) if matches!(maker, Maker::Ours(_)) => OwnerState::Dead,
        _ => OwnerState::Unknown,
    }
}

/// Takes the right to remove the name of a dead owner's segment. Returns false if another process has it.
///
/// It is held until `segment`, which must be open for writing, is closed, or the lock is given back.
pub(super) fn take_reclaim_lock(segment: impl AsFd) -> Result<bool, Errno> {
    byte_lock::take(segment, RECLAIM_BYTE)
}

/// Returns whether another process is about to remove or adopt the segment.
pub(super) fn is_reclaim_lock_held(segment: impl AsFd) -> Result<bool, Errno> {
    byte_lock::is_held(segment, RECLAIM_BYTE)
}

pub(super) fn release_reclaim_lock(segment: impl AsFd) {
    // Fails only where it can't be taken either.
    let _ = byte_lock::release(segment, RECLAIM_BYTE);
}
