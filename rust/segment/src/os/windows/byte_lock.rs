//! Locks on single bytes of an open file (`LockFileEx`). The system drops them with the handle.
//!
//! No call tells whether another process has a lock. A process that looks takes a shared lock for some
//! microseconds, which would keep another process from taking the lock. Therefore, each lock has two bytes:
//! one that decides, and one to look at.

use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::ERROR_LOCK_VIOLATION;
use windows_sys::Win32::Storage::FileSystem::{
    LOCK_FILE_FLAGS, LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx, UnlockFileEx,
};
use windows_sys::Win32::System::IO::{OVERLAPPED, OVERLAPPED_0, OVERLAPPED_0_0};

use crate::os::roles::InTheWay;

/// The call that takes a lock, for error texts.
pub(in crate::os) const CALL: &str = "LockFileEx";

/// The time for which the byte to look at is tried again.
const LOOKED_AT: Duration = Duration::from_millis(20);

/// Takes a lock: the byte behind `byte` decides, `byte` itself is to look at. Returns false if another handle
/// has it.
pub(in crate::os) fn take(file: BorrowedHandle<'_>, byte: i64) -> io::Result<bool> {
    if !lock(file, byte + 1, LOCKFILE_EXCLUSIVE_LOCK)? {
        return Ok(false);
    }
    let start = Instant::now();
    // At last without: a process that looks may have been suspended. Then others don't see this holder.
    while !lock(file, byte, LOCKFILE_EXCLUSIVE_LOCK).unwrap_or(true) && start.elapsed() < LOOKED_AT {
        yield_now();
    }
    Ok(true)
}

/// Returns what keeps [`take`] from its byte. A process that looks doesn't lock the byte that decides.
#[allow(clippy::unnecessary_wraps, reason = "the same as on other systems")]
pub(in crate::os) const fn in_the_way(_: BorrowedHandle<'_>, _: i64) -> io::Result<InTheWay> {
    Ok(InTheWay::Holder)
}

/// Returns whether another handle has the lock on a byte.
pub(in crate::os) fn is_held(file: BorrowedHandle<'_>, byte: i64) -> io::Result<bool> {
    let is_free = lock(file, byte, 0)?;
    if is_free {
        unlock(file, byte)?;
    }
    Ok(!is_free)
}

fn lock(file: BorrowedHandle<'_>, byte: i64, kind: LOCK_FILE_FLAGS) -> io::Result<bool> {
    let flags = kind | LOCKFILE_FAIL_IMMEDIATELY;
    let mut at = at(byte);
    // SAFETY: the handle is open for the duration of the borrow. It was not opened for overlapped operations,
    // so the call is done with the structure when it returns.
    if unsafe { LockFileEx(file.as_raw_handle(), flags, 0, 1, 0, &raw mut at) } != 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    let is_refused = error.raw_os_error().map(i32::cast_unsigned) == Some(ERROR_LOCK_VIOLATION);
    if is_refused { Ok(false) } else { Err(error) }
}

/// Gives a lock back.
pub(in crate::os) fn release(file: BorrowedHandle<'_>, byte: i64) -> io::Result<()> {
    // First the byte to look at, which may not be locked: the next holder must find it free.
    let _ = unlock(file, byte);
    unlock(file, byte + 1)
}

fn unlock(file: BorrowedHandle<'_>, byte: i64) -> io::Result<()> {
    let mut at = at(byte);
    // SAFETY: the handle is open for the duration of the borrow, and `at` lives until the call returns.
    let done = unsafe { UnlockFileEx(file.as_raw_handle(), 0, 1, 0, &raw mut at) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Returns the structure in which these calls take an offset.
#[allow(clippy::cast_possible_truncation, reason = "the two halves of the number")]
const fn at(byte: i64) -> OVERLAPPED {
    let byte = byte.cast_unsigned();
    let offset = OVERLAPPED_0_0 { Offset: byte as u32, OffsetHigh: (byte >> 32) as u32 };
    OVERLAPPED {
        Internal: 0,
        InternalHigh: 0,
        Anonymous: OVERLAPPED_0 { Anonymous: offset },
        hEvent: std::ptr::null_mut(),
    }
}
