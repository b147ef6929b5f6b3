//! Roles: the parts in a native layout that one open segment at a time may play.
//!
//! The holder of a role has the kernel's lock for it (`docs/FORMAT.md`, *Locks*). So a role ends with its
//! holder, however that process ends, and a process that is only slow or stopped keeps its roles.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::options::Scope;
use crate::os::OpenSegment;

/// A role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Lays the memory out.
    Layout,
    /// Writes the messages of a stream.
    Writer,
    /// Takes the messages out of a queue.
    Consumer,
    /// Is this side of a pair, 0 or 1.
    Side(u8),
    /// Has made the memory, where that isn't told by a lock of the segment's own.
    #[cfg_attr(not(windows), allow(dead_code, reason = "only sections need it"))]
    Owner(Scope),
    /// Has this pin of a stream.
    Reader(u8),
    /// Puts messages into this lane of a queue.
    Producer(u8),
    /// Has locks in use. Any number of programs share it.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "names don't move there"))]
    User,
    /// Holds this lock.
    Lock(u8),
}

impl Role {
    /// Returns the number of the lock.
    #[cfg_attr(target_os = "freebsd", allow(dead_code, reason = "no memory there has roles"))]
    pub(crate) const fn number(self) -> u64 {
        match self {
            Self::Layout => 0,
            Self::Writer => 1,
            Self::Consumer => 2,
            Self::User => 3,
            Self::Side(index) => 4 + index as u64,
            // Segments of both scopes may have one file of locks.
            Self::Owner(Scope::Local) => 6,
            Self::Owner(Scope::Global) => 7,
            Self::Reader(index) => 16 + index as u64,
            Self::Producer(index) => 80 + index as u64,
            Self::Lock(index) => 144 + index as u64,
        }
    }
}

/// The lock of a role. Where locks are in a file of their own, the incarnation of the layout is a part of it;
/// it is 0 for [`Role::Layout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RoleLock {
    pub(crate) role: Role,
    pub(crate) incarnation: u64,
}

/// The roles that one open segment holds. The kernel doesn't tell two objects apart that share it.
#[derive(Debug, Default)]
pub(crate) struct HeldRoles(Mutex<Vec<RoleLock>>);

impl HeldRoles {
    /// Takes a role. Returns false if anybody holds it, this segment's other users included.
    pub(crate) fn take(&self, object: &dyn OpenSegment, lock: RoleLock) -> Result<bool> {
        let mut held = self.lock();
        if held.iter().any(|other| other.role == lock.role) || !object.role_locks()?.take(lock)? {
            return Ok(false);
        }
        held.push(lock);
        Ok(true)
    }

    /// Gives a role back. Does nothing if it isn't held here.
    pub(crate) fn release(&self, object: &dyn OpenSegment, lock: RoleLock) {
        let mut held = self.lock();
        if let Some(index) = held.iter().position(|other| other.role == lock.role) {
            let lock = held.swap_remove(index);
            // It was taken, so there are locks.
            if let Ok(locks) = object.role_locks() {
                locks.release(lock);
            }
        }
    }

    /// Returns whether any process holds a role.
    pub(crate) fn is_held(&self, object: &dyn OpenSegment, lock: RoleLock) -> Result<bool> {
        let is_held_here = self.lock().iter().any(|other| other.role == lock.role);
        if is_held_here { Ok(true) } else { object.role_locks()?.is_taken(lock) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<RoleLock>> {
        // A panic of another thread can't leave the list half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
