//! The words beside a lock (`docs/FORMAT.md`, *`locks`*). They tell of deaths, and wake. The kernel alone
//! decides who holds the lock.

use super::bell::Bell;
use super::shared::Shared;

/// The offset of `dirty`, behind the pair of `wanted` and `bell`.
const DIRTY_AT: u64 = 8;

/// The line of a lock, at this offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct LockLine(pub(super) u64);

impl LockLine {
    pub(super) const fn bell(self) -> Bell {
        Bell(self.0)
    }

    /// Begins the holder's work, with the lock. Returns whether the holder before has died in its own.
    pub(super) fn enter<S: Shared>(self, shared: &S) -> Result<bool, S::Error> {
        let is_dirty = self.is_dirty(shared)?;
        shared.store_u32(self.0 + DIRTY_AT, 1)?;
        // Before anything that the holder stores: another process may find it half done.
        shared.full_fence();
        Ok(is_dirty)
    }

    /// Returns whether a holder is inside, or has died there.
    pub(super) fn is_dirty<S: Shared>(self, shared: &S) -> Result<bool, S::Error> {
        Ok(shared.load_u32(self.0 + DIRTY_AT)? != 0)
    }

    /// Ends the holder's work. The caller then gives the lock back, and rings the bell.
    pub(super) fn leave<S: Shared>(self, shared: &S) -> Result<(), S::Error> {
        // Releases what the holder has stored, for the next one to acquire.
        shared.store_u32(self.0 + DIRTY_AT, 0)
    }
}
