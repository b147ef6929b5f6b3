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

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::{io, ptr};

use rustix::fs::{IFlags, Mode};
use rustix::io::Errno;

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

/// The offset of the life lock. No segment is that large, so a lock on a part of its contents is never in the
/// way. A lock on the whole file is, as `lockf` takes by default. While it is held, no process can take ours.
/// While the owner lives, no process can take such a lock.
const LIFE_BYTE: i64 = 1 << 62;
/// Not the next byte: the kernel merges locks that touch.
const RECLAIM_BYTE: i64 = LIFE_BYTE + 2;

/// Takes the life lock of a new segment. Returns false if another process has it.
pub(super) fn take_life_lock(segment: impl AsFd) -> Result<bool, Errno> {
    take(segment, LIFE_BYTE)
}

/// Returns whether no process holds the life lock.
pub(super) fn is_life_lock_free(segment: impl AsFd) -> Result<bool, Errno> {
    let mut found = lock_of(LIFE_BYTE);
    fcntl_lock(segment, libc::F_OFD_GETLK, &mut found)?;
    // Another program may hold a lock on the whole file, but not while a process holds the life lock.
    let is_life = found.l_start == LIFE_BYTE && found.l_len == 1;
    Ok(i32::from(found.l_type) == libc::F_UNLCK || !is_life)
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
/// It is held until `segment`, which must be open for writing, is closed.
pub(super) fn take_reclaim_lock(segment: impl AsFd) -> Result<bool, Errno> {
    take(segment, RECLAIM_BYTE)
}

fn take(segment: impl AsFd, byte: i64) -> Result<bool, Errno> {
    match fcntl_lock(segment, libc::F_OFD_SETLK, &mut lock_of(byte)) {
        Ok(()) => Ok(true),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[allow(clippy::cast_possible_truncation, reason = "constants that C declares as int, for fields of short")]
const fn lock_of(byte: i64) -> libc::flock64 {
    libc::flock64 {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte,
        l_len: 1,
        // These commands require 0.
        l_pid: 0,
    }
}

fn fcntl_lock(segment: impl AsFd, command: libc::c_int, lock: &mut libc::flock64) -> Result<(), Errno> {
    // SAFETY: the descriptor is open for the duration of the borrow; both commands take a pointer to one
    // `flock64`, which lives until the call returns.
    let result = unsafe { libc::fcntl(segment.as_fd().as_raw_fd(), command, ptr::from_mut(lock)) };
    if result == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO))
}
