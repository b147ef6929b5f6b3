//! Waking the processes that wait (`docs/FORMAT.md`, *Waiting and waking*), with a pair of words: `wanted`,
//! and behind it `bell`.
//!
//! `wanted` is a flag and not a count. A process that dies while it waits leaves it set, which costs its
//! partner one call of the system, once.

use super::shared::Shared;

/// The pair of words at this offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bell(pub(super) u64);

impl Bell {
    /// Returns the offset of the word to sleep on.
    pub(super) const fn word(self) -> u64 {
        self.0 + 4
    }

    /// Wakes the processes that wait, after something was published.
    #[inline]
    pub(super) fn ring<S: Shared>(self, shared: &S) -> Result<(), S::Error> {
        // Either the load below finds that a process waits, or that process finds what was published.
        shared.full_fence();
        self.ring_if_wanted(shared)
    }

    /// Does the same without the fence. A process that begins to wait at this moment may be missed.
    #[inline]
    pub(super) fn ring_if_wanted<S: Shared>(self, shared: &S) -> Result<(), S::Error> {
        if shared.load_u32(self.0)? == 0 {
            return Ok(());
        }
        self.wake(shared)
    }

    #[cold]
    fn wake<S: Shared>(self, shared: &S) -> Result<(), S::Error> {
        // Before the bell: a process that is woken may want to be woken again at once.
        shared.store_u32(self.0, 0)?;
        shared.fetch_add_u32(self.word(), 1)?;
        shared.wake(self.word())
    }

    /// Asks to be woken, and returns the word to sleep on as it is now. The caller then looks whether there
    /// is anything to wait for.
    #[inline]
    pub(super) fn want<S: Shared>(self, shared: &S) -> Result<u32, S::Error> {
        let bell = shared.load_u32(self.word())?;
        shared.store_u32(self.0, 1)?;
        shared.full_fence();
        Ok(bell)
    }
}
