//! Locks on single bytes of an open file (`fcntl(2)`, open file description locks): Linux and macOS.
//!
//! Such a lock belongs to the open file, not to the process, and ends when the last descriptor of that open
//! file is closed.

use std::os::fd::{AsFd, AsRawFd};
use std::{io, ptr};

use rustix::io::Errno;

use crate::os::roles::InTheWay;

/// The call that takes a lock, for error texts.
pub(in crate::os) const CALL: &str = "fcntl";

/// Takes the lock on a byte. Returns false if another open file has it. `file` must be open for writing.
pub(in crate::os) fn take(file: impl AsFd, byte: i64) -> Result<bool, Errno> {
    set(file, libc::F_WRLCK, byte)
}

fn set(file: impl AsFd, kind: impl Into<libc::c_int>, byte: i64) -> Result<bool, Errno> {
    match call(file, libc::F_OFD_SETLK, &mut request(kind, byte)) {
        Ok(()) => Ok(true),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Takes a lock on a byte that others may share. Returns false if another open file has one that it doesn't
/// share.
#[cfg(target_os = "linux")]
pub(in crate::os) fn share(file: impl AsFd, byte: i64) -> Result<bool, Errno> {
    set(file, libc::F_RDLCK, byte)
}

/// Gives the lock on a byte back.
pub(in crate::os) fn release(file: impl AsFd, byte: i64) -> Result<(), Errno> {
    call(file, libc::F_OFD_SETLK, &mut request(libc::F_UNLCK, byte))
}

/// Returns the type of the lock that another open file has on exactly this byte: `F_WRLCK`, `F_RDLCK`, or
/// `F_UNLCK` for none.
///
/// Another program may hold a lock on the whole file, but not while a process holds the lock on the byte.
pub(in crate::os) fn find(file: impl AsFd, byte: i64) -> Result<i32, Errno> {
    Ok(kind_at(&look(file, byte)?, byte))
}

#[allow(clippy::useless_conversion, reason = "the types of the constants differ between systems")]
fn kind_at(found: &Lock, byte: i64) -> i32 {
    let is_exact = found.l_start == byte && found.l_len == 1;
    if is_exact { i32::from(found.l_type) } else { libc::F_UNLCK.into() }
}

/// Returns a lock that keeps [`take`] from this byte; `F_UNLCK` if there is none.
fn look(file: impl AsFd, byte: i64) -> Result<Lock, Errno> {
    let mut found = request(libc::F_WRLCK, byte);
    call(file, libc::F_OFD_GETLK, &mut found)?;
    Ok(found)
}

/// Returns whether another open file has the lock on a byte. A process that may only read can place a read
/// lock there, which doesn't count.
#[allow(clippy::useless_conversion, reason = "as in `kind_at`")]
pub(in crate::os) fn is_held(file: impl AsFd, byte: i64) -> Result<bool, Errno> {
    Ok(find(file, byte)? == i32::from(libc::F_WRLCK))
}

/// Returns what keeps [`take`] from this byte.
#[allow(clippy::useless_conversion, reason = "as in `kind_at`")]
pub(in crate::os) fn in_the_way(file: impl AsFd, byte: i64) -> Result<InTheWay, Errno> {
    let found = look(file, byte)?;
    Ok(if kind_at(&found, byte) == i32::from(libc::F_WRLCK) {
        InTheWay::Holder
    } else if i32::from(found.l_type) == i32::from(libc::F_UNLCK) {
        InTheWay::Nothing
    } else {
        InTheWay::Other
    })
}

#[cfg(target_os = "linux")]
type Lock = libc::flock64;
#[cfg(not(target_os = "linux"))]
type Lock = libc::flock;

#[allow(clippy::cast_possible_truncation, reason = "constants that C declares as int, for fields of short")]
#[allow(clippy::unnecessary_cast, reason = "their types differ between systems")]
fn request(kind: impl Into<libc::c_int>, byte: i64) -> Lock {
    Lock {
        l_type: kind.into() as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte,
        l_len: 1,
        // These commands require 0.
        l_pid: 0,
    }
}

fn call(file: impl AsFd, command: libc::c_int, lock: &mut Lock) -> Result<(), Errno> {
    // SAFETY: the descriptor is open for the duration of the borrow. All three commands take a pointer to one
    // lock, which lives until the call returns.
    let result = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), command, ptr::from_mut(lock)) };
    if result == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO))
}
