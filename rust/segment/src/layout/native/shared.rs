//! The accesses to shared memory that the native layouts need.
//!
//! The steps of the layouts are written over this trait, so that loom runs the same steps over its own memory
//! (`tests/loom_native.rs`). The orders of the accesses are a part of it.

use std::time::Duration;

/// Memory that other processes change at the same time. Offsets are in bytes. A word lies at a multiple of
/// its size, and is stored in little-endian order.
pub(crate) trait Shared {
    type Error;

    /// Loads a word. The load acquires.
    fn load_u32(&self, at: u64) -> Result<u32, Self::Error>;

    /// Stores a word. The store releases.
    fn store_u32(&self, at: u64, value: u32) -> Result<(), Self::Error>;

    /// Adds to a word, wrapping around, and returns the previous one. Acquires and releases.
    fn fetch_add_u32(&self, at: u64, value: u32) -> Result<u32, Self::Error>;

    /// Stores `new` if the word is `current`, and returns the previous one. Acquires and releases.
    fn compare_exchange_u32(&self, at: u64, current: u32, new: u32) -> Result<u32, Self::Error>;

    /// Loads a word. The load acquires.
    fn load_u64(&self, at: u64) -> Result<u64, Self::Error>;

    /// Stores a word. The store releases.
    fn store_u64(&self, at: u64, value: u64) -> Result<(), Self::Error>;

    /// Copies bytes out. A fence that acquires is behind the copy.
    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Self::Error>;

    /// Copies bytes in. A fence that releases is before the copy.
    fn write(&self, at: u64, from: &[u8]) -> Result<(), Self::Error>;

    /// Puts all accesses before it and all after it into one order for all processes.
    fn full_fence(&self);

    /// Sleeps while the word is `expected`, for `limit` at most. May return earlier. `elapsed` is the time
    /// since the wait began.
    fn sleep(&self, at: u64, expected: u32, limit: Duration, elapsed: Duration) -> Result<(), Self::Error>;

    /// Wakes every thread of every process that sleeps on the word.
    fn wake(&self, at: u64) -> Result<(), Self::Error>;
}
