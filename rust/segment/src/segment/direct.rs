//! The accesses of one operation on a native layout, which checks the segment once and not at each access.

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use super::Segment;
use crate::layout;
use crate::layout::native::Shared;
use crate::memory::{Fault, Word};

type Result<T> = std::result::Result<T, Box<layout::Error>>;

/// A segment that was checked for truncation, and, if it was asked for, for write access.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Direct<'a>(&'a Segment);

impl Segment {
    /// Checks the segment once, for an operation that reads.
    #[inline]
    pub(crate) fn direct(&self) -> Result<Direct<'_>> {
        self.check_truncation()?;
        Ok(Direct(self))
    }

    /// Checks the segment once, for an operation that also writes.
    #[inline]
    pub(crate) fn direct_mut(&self) -> Result<Direct<'_>> {
        self.check_writable()?;
        self.direct()
    }
}

impl<'a> Direct<'a> {
    pub(crate) const fn segment(self) -> &'a Segment {
        self.0
    }

    #[inline]
    fn word<W: Word, T>(self, at: u64, result: std::result::Result<T, Fault>) -> Result<T> {
        result.map_err(|fault| self.fault(fault, at, size_of::<W>()))
    }

    #[cold]
    fn fault(self, fault: Fault, at: u64, length: usize) -> Box<layout::Error> {
        self.0.fault(fault, at, length as u64).into()
    }
}

impl Shared for Direct<'_> {
    // Boxed, so that a result fits into registers.
    type Error = Box<layout::Error>;

    #[inline]
    fn load_u32(&self, at: u64) -> Result<u32> {
        self.word::<u32, _>(at, self.0.memory.load(at))
    }

    #[inline]
    fn store_u32(&self, at: u64, value: u32) -> Result<()> {
        self.word::<u32, _>(at, self.0.memory.store(at, value))
    }

    fn fetch_add_u32(&self, at: u64, value: u32) -> Result<u32> {
        self.word::<u32, _>(at, self.0.memory.fetch_add(at, value))
    }

    #[inline]
    fn compare_exchange_u32(&self, at: u64, current: u32, new: u32) -> Result<u32> {
        self.word::<u32, _>(at, self.0.memory.compare_exchange(at, current, new))
    }

    #[inline]
    fn load_u64(&self, at: u64) -> Result<u64> {
        self.word::<u64, _>(at, self.0.memory.load(at))
    }

    #[inline]
    fn store_u64(&self, at: u64, value: u64) -> Result<()> {
        self.word::<u64, _>(at, self.0.memory.store(at, value))
    }

    #[inline(always)]
    fn read(&self, at: u64, into: &mut [u8]) -> Result<()> {
        self.0.check_room(into.len() as u64)?;
        self.0.memory.read(at, into).map_err(|fault| self.fault(fault, at, into.len()))
    }

    #[inline(always)]
    fn write(&self, at: u64, from: &[u8]) -> Result<()> {
        self.0.check_room(from.len() as u64)?;
        self.0.memory.write(at, from).map_err(|fault| self.fault(fault, at, from.len()))
    }

    #[inline]
    fn full_fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn sleep(&self, at: u64, expected: u32, limit: Duration, elapsed: Duration) -> Result<()> {
        self.word::<u32, _>(at, self.0.memory.sleep(at, expected, limit, elapsed))
    }

    fn wake(&self, at: u64) -> Result<()> {
        self.word::<u32, _>(at, self.0.memory.wake(at))
    }
}
