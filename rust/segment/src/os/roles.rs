//! The locks of roles: single bytes of a file (`docs/FORMAT.md`, *Locks*).

#[cfg(unix)]
use std::os::fd::BorrowedFd as Handle;
#[cfg(windows)]
use std::os::windows::io::BorrowedHandle as Handle;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::common::failure;
use super::system::byte_lock;
use crate::error::{Error, Result};
use crate::roles::{Role, RoleLock};

/// The lock number 0 on the segment's own file. The life lock and the reclaim lock are before it.
const FIRST_BYTE: u64 = (1 << 62) + 4;
/// The bytes of an incarnation in a file that stands for a name, and the number of incarnations that have
/// bytes of their own.
const INCARNATION_BYTES: u64 = 512;
const INCARNATIONS: u64 = 1 << 44;

/// The kernel merges locks that touch, so a byte between two locks is left out.
const BYTES_BETWEEN: u64 = 2;

/// Returns the offset of the lock of a role on the segment's own file.
pub(super) const fn byte_on_segment(role: Role) -> i64 {
    (FIRST_BYTE + BYTES_BETWEEN * role.number()).cast_signed()
}

/// The time for which a lock is tried again while a lock is in the way that holds no role.
const BLOCKED_FOR: Duration = Duration::from_millis(20);

/// The thing that keeps a process from a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InTheWay {
    /// The holder of the role.
    Holder,
    /// A read lock, or one on the whole file. It holds no role, and may stay there.
    #[cfg_attr(windows, allow(dead_code, reason = "only a holder locks the byte that decides"))]
    Other,
    #[cfg_attr(windows, allow(dead_code, reason = "the same"))]
    Nothing,
}

/// The file whose bytes are the locks of a segment's roles. It is open for writing.
#[derive(Debug)]
pub(crate) struct RoleLocks<'a> {
    file: Handle<'a>,
    /// The name of the segment, for error texts.
    name: &'a str,
    place: Place,
}

/// The kind of such a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The segment itself.
    Segment,
    /// A file that stands for all segments of a name, one after the other.
    #[cfg_attr(target_os = "linux", allow(dead_code, reason = "for tests"))]
    Name,
}

impl<'a> RoleLocks<'a> {
    pub(super) const fn new(file: Handle<'a>, name: &'a str, place: Place) -> Self {
        Self { file, name, place }
    }

    /// Takes the lock of a role. Returns false if another open file has it.
    pub(crate) fn take(&self, lock: RoleLock) -> Result<bool> {
        let byte = self.byte_of(lock);
        // A lock of `locks` is tried again by the wait for it, which ends in the caller's time.
        let patience = if matches!(lock.role, Role::Lock(_)) { Duration::ZERO } else { BLOCKED_FOR };
        let start = Instant::now();
        loop {
            if byte_lock::take(self.file, byte).map_err(|e| self.failure(e))? {
                return Ok(true);
            }
            match byte_lock::in_the_way(self.file, byte).map_err(|e| self.failure(e))? {
                InTheWay::Holder => return Ok(false),
                // It has gone since then.
                InTheWay::Nothing if patience.is_zero() => return Ok(false),
                InTheWay::Nothing | InTheWay::Other => {}
            }
            if start.elapsed() >= patience {
                return Err(Error::RoleBlocked { name: self.name.to_owned() });
            }
            sleep(Duration::from_millis(1));
        }
    }

    /// Gives the lock of a role back.
    pub(crate) fn release(&self, lock: RoleLock) {
        // Fails only if the file can't be locked at all, and then there is nothing to give back.
        let _ = byte_lock::release(self.file, self.byte_of(lock));
    }

    /// Returns whether another open file has the lock of a role.
    pub(crate) fn is_taken(&self, lock: RoleLock) -> Result<bool> {
        byte_lock::is_held(self.file, self.byte_of(lock)).map_err(|e| self.failure(e))
    }

    const fn byte_of(&self, lock: RoleLock) -> i64 {
        match self.place {
            Place::Segment => byte_on_segment(lock.role),
            Place::Name => {
                let first = lock.incarnation % INCARNATIONS * INCARNATION_BYTES;
                (first + BYTES_BETWEEN * lock.role.number()).cast_signed()
            }
        }
    }

    fn failure(&self, source: impl Into<std::io::Error>) -> Error {
        failure(self.name, byte_lock::CALL, source)
    }
}
