//! Mark and lock on the segment itself: Linux.
//!
//! The mark is the sticky bit of the segment's mode: it means nothing on a regular file, and no other program sets
//! it. The life lock is an open file description lock (`F_OFD_SETLK`, fcntl(2)) on a byte far behind the end of any
//! segment; who wants the name asks whether it is held (`F_OFD_GETLK`), and takes nothing by asking. Which of those
//! who found it free may remove the name is settled by a second byte. (`flock(2)` would be simpler, but .NET takes
//! one on every file it opens, and would fail to open a segment whose owner lives.)

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::{io, ptr};

use rustix::fs::{Mode, Stat};
use rustix::io::Errno;

use super::not_memory;
use super::owner::Keeper;

/// The sticky bit.
pub(super) const MARK: Mode = Mode::SVTX;

/// The lock on the segment's own file, which is held as long as that is open.
#[derive(Debug)]
pub(super) struct LifeLock;

impl Keeper for LifeLock {
    fn mark(&self, segment: &OwnedFd, mode: Mode, marked: bool) -> Result<(), Errno> {
        rustix::fs::fchmod(segment, if marked { mode | MARK } else { mode })
    }

    fn forget(&self) {}
}

/// Where the locks are. No segment is as large, so that a lock on a part of its contents is never in the way. One on
/// all of the file is (the default of `lockf`): while such a lock is held, nobody can take ours; and while the owner
/// lives, nobody can take such a lock.
const LIFE_BYTE: i64 = 1 << 62;
/// Not the next one: the kernel makes one lock of two that touch.
const REMAINS_BYTE: i64 = LIFE_BYTE + 2;

/// Takes the life lock of a new segment. False if another process has been first.
pub(super) fn take_life(segment: impl AsFd) -> Result<bool, Errno> {
    take(segment, LIFE_BYTE)
}

/// Is this a segment of this user, which may be taken once its owner is dead?
pub(super) fn is_reclaimable(stat: &Stat) -> bool {
    not_memory(stat).is_none()
        && Mode::from_raw_mode(stat.st_mode).contains(MARK)
        && stat.st_uid == rustix::process::geteuid().as_raw()
}

/// Is nobody holding the life lock?
pub(super) fn is_dead(segment: impl AsFd) -> Result<bool, Errno> {
    let mut found = lock_of(LIFE_BYTE);
    fcntl_lock(segment, libc::F_OFD_GETLK, &mut found)?;
    // Another program may hold a lock on all of the file; only where nobody holds ours.
    let is_life = found.l_start == LIFE_BYTE && found.l_len == 1;
    Ok(i32::from(found.l_type) == libc::F_UNLCK || !is_life)
}

/// Takes the right to remove the name of a dead owner's segment. False if another process has it.
///
/// Held until `segment`, which must be open for writing, is closed.
pub(super) fn take_remains(segment: impl AsFd) -> Result<bool, Errno> {
    take(segment, REMAINS_BYTE)
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
        // Must be 0 for these commands.
        l_pid: 0,
    }
}

fn fcntl_lock(segment: impl AsFd, command: libc::c_int, lock: &mut libc::flock64) -> Result<(), Errno> {
    // SAFETY: the descriptor is open for the duration of the borrow; both commands take a pointer to one `flock64`,
    // which lives until the call returns.
    let result = unsafe { libc::fcntl(segment.as_fd().as_raw_fd(), command, ptr::from_mut(lock)) };
    if result == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO))
}
