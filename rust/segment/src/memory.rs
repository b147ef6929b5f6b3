//! The mapped bytes, and the only code that touches them.
//!
//! # Why there is no `&[u8]`
//! Another process may store into these bytes while this one reads them. A Rust reference promises that this
//! can't happen, so none is ever made. Bytes are copied through raw pointers, in six of the functions
//! below, to or from memory that only this process has. Two reads of the same byte may differ, so a caller
//! checks its copy, never the original. A copy that races with a writer may be torn (part old, part new), as
//! in C.
//!
//! # Words
//! Counters and locks that several processes change are words of 32 or 64 bits, at a multiple of their size.
//! They are accessed as atomics, whose operations allow for any concurrent store (`words.rs`).
//!
//! # Order
//! Reads take effect in the order of a thread's calls, and so do writes. So a number that is written last can
//! tell that a picture is whole, and one that is read again, that it still was. The copies are plain
//! accesses. Therefore, a fence that releases stands before each write, and one that acquires behind each
//! read, in `Watch::faulted`. On x86, neither is an instruction. A read may still overtake a write before it.
//!
//! # When the memory goes away
//! Another process may truncate the segment, so that mapped pages vanish. [`Watch`] keeps that from ending
//! this process. Each function asks it, after an access, whether pages were missing.

mod words;

use std::sync::atomic::{self, Ordering, fence};
use std::time::Duration;

use crate::os::{self, Mapping, Watch};
use crate::rows::Rows;
pub(crate) use words::Word;

/// A mapping of `len` bytes.
#[derive(Debug)]
pub(crate) struct Memory {
    // Before `map`, so that it is dropped first.
    watch: Watch,
    start: *mut u8,
    len: usize,
    _map: Box<dyn Mapping>,
}

// SAFETY: the mapping may be used and dropped in any thread, and `start` is only its address.
unsafe impl Send for Memory {}
// SAFETY: no method changes the value itself. The module's text says why concurrent accesses to the bytes
// are sound.
unsafe impl Sync for Memory {}

/// The reason why an access failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The bytes asked for don't all lie in the mapping. None was touched.
    OutOfBounds,
    /// The offset of a word is not a multiple of its size. No byte was touched.
    Misaligned,
    /// Pages of the mapping were missing.
    Gone,
}

// Invariants that the `unsafe` below rests on:
// - `len` bytes are mapped from `start` on, for as long as `self` lives: the contract of `Mapping`.
// - `range` is the only source of an address, and returns none outside the mapping.
// - All functions except `read`, `append`, `read_rows`, `load`, `sleep` and `wake` need a writable mapping:
//   `Segment` checks its access before it calls them.
impl Memory {
    pub(crate) fn new(map: Box<dyn Mapping>) -> Self {
        let (start, len) = (map.as_mut_ptr(), map.len());
        Self { watch: Watch::new(start, len), start, len, _map: map }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn start(&self) -> *mut u8 {
        self.start
    }

    /// Copies `into.len()` bytes out of the mapping, from `offset` on.
    #[inline]
    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Fault> {
        let from = self.range(offset, into.len())?;
        // SAFETY: `range` returned the start of `into.len()` bytes in the mapping. `into` is borrowed
        // exclusively, so the two can't overlap. The module's text says why concurrent stores of other
        // processes are accepted.
        unsafe { std::ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len()) };
        self.check()
    }

    /// Appends `length` bytes of the mapping, from `offset` on, to `into`, which has room for them. After an
    /// error, `into` is unchanged.
    ///
    /// A vector would have to be filled for `read`, which takes as long as the copy.
    pub(crate) fn append(&self, offset: u64, length: usize, into: &mut Vec<u8>) -> Result<(), Fault> {
        let from = self.range(offset, length)?;
        let room = into.spare_capacity_mut().get_mut(..length).ok_or(Fault::OutOfBounds)?;
        // SAFETY: `range` returned the start of `length` bytes in the mapping. `room` has as many, and is
        // borrowed exclusively, so the two can't overlap. Otherwise as in `read`.
        unsafe { std::ptr::copy_nonoverlapping(from, room.as_mut_ptr().cast::<u8>(), length) };
        self.check()?;
        // SAFETY: the vector has the capacity, as there was room, and these bytes were just written.
        unsafe { into.set_len(into.len() + length) };
        Ok(())
    }

    /// Copies `from` into the mapping, at `offset`. The mapping must be writable.
    #[inline]
    pub(crate) fn write(&self, offset: u64, from: &[u8]) -> Result<(), Fault> {
        let into = self.range(offset, from.len())?;
        fence(Ordering::Release);
        // SAFETY: `range` returned the start of `from.len()` bytes in the mapping, which is writable by the
        // invariants. `from` is memory of this process alone, so the two can't overlap.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), into, from.len()) };
        self.check()
    }

    /// Copies as many rows out of the mapping as `into` has whole ones.
    pub(crate) fn read_rows(&self, rows: Rows, into: &mut [u8]) -> Result<(), Fault> {
        let (mut from, step) = self.first_row(rows, into.len())?;
        for row in into.chunks_exact_mut(rows.length) {
            // SAFETY: `first_row` has checked that each of these rows lies in the mapping. Otherwise as in
            // `read`.
            unsafe { std::ptr::copy_nonoverlapping(from, row.as_mut_ptr(), row.len()) };
            from = from.wrapping_offset(step);
        }
        self.check()
    }

    /// Copies the rows in `from` into the mapping, and nothing between them. The mapping must be writable.
    pub(crate) fn write_rows(&self, rows: Rows, from: &[u8]) -> Result<(), Fault> {
        let (mut into, step) = self.first_row(rows, from.len())?;
        fence(Ordering::Release);
        for row in from.chunks_exact(rows.length) {
            // SAFETY: `first_row` has checked that each of these rows lies in the mapping. Otherwise as in
            // `write`.
            unsafe { std::ptr::copy_nonoverlapping(row.as_ptr(), into, row.len()) };
            into = into.wrapping_offset(step);
        }
        self.check()
    }

    /// Sets `length` bytes from `offset` on to `value`. The mapping must be writable.
    pub(crate) fn fill(&self, offset: u64, length: u64, value: u8) -> Result<(), Fault> {
        let length = usize::try_from(length).map_err(|_| Fault::OutOfBounds)?;
        let into = self.range(offset, length)?;
        fence(Ordering::Release);
        // SAFETY: as in `write`.
        unsafe { std::ptr::write_bytes(into, value, length) };
        self.check()
    }

    /// Returns the word at `offset`.
    #[inline]
    pub(crate) fn load<W: Word>(&self, offset: u64) -> Result<W, Fault> {
        self.with_word::<W, _>(offset, W::load)
    }

    /// Stores the word at `offset`. The mapping must be writable.
    #[inline]
    pub(crate) fn store<W: Word>(&self, offset: u64, value: W) -> Result<(), Fault> {
        self.with_word::<W, _>(offset, |word| W::store(word, value))
    }

    /// Stores the word at `offset`, and returns the previous one. The mapping must be writable.
    pub(crate) fn swap<W: Word>(&self, offset: u64, value: W) -> Result<W, Fault> {
        self.with_word::<W, _>(offset, |word| W::swap(word, value))
    }

    /// Adds `value` to the word at `offset`, wrapping around, and returns the previous word. The mapping must
    /// be writable.
    pub(crate) fn fetch_add<W: Word>(&self, offset: u64, value: W) -> Result<W, Fault> {
        self.with_word::<W, _>(offset, |word| W::fetch_add(word, value))
    }

    /// Stores `new` at `offset` if `current` is there, and returns the previous word. The mapping must be
    /// writable.
    pub(crate) fn compare_exchange<W: Word>(&self, offset: u64, current: W, new: W) -> Result<W, Fault> {
        self.with_word::<W, _>(offset, |word| W::compare_exchange(word, current, new))
    }

    /// Sleeps while the word at `offset` is `expected`, for `limit` at most: see [`os::wait::sleep`].
    pub(crate) fn sleep(
        &self,
        offset: u64,
        expected: u32,
        limit: Duration,
        elapsed: Duration,
    ) -> Result<(), Fault> {
        self.with_word::<u32, _>(offset, |word| os::wait::sleep(word, expected.to_le(), limit, elapsed))
    }

    /// Wakes every thread of every process that sleeps on the word at `offset`.
    pub(crate) fn wake(&self, offset: u64) -> Result<(), Fault> {
        self.with_word::<u32, _>(offset, |word| {
            os::wait::wake(word);
            // The system's call raises no fault, so an access must find out whether the page is there.
            u32::load(word);
        })
    }

    #[inline]
    fn with_word<W: Word, T>(&self, offset: u64, access: impl FnOnce(&W::Atomic) -> T) -> Result<T, Fault> {
        let at = self.range(offset, size_of::<W::Atomic>())?.cast::<W::Atomic>();
        if !at.is_aligned() {
            return Err(Fault::Misaligned);
        }
        // SAFETY: `range` returned the start of as many bytes in the mapping as the atomic has. The mapping
        // lives as long as `self`, and so longer than this reference. They are aligned, and any bytes are an
        // integer. An atomic allows for concurrent stores. Stores of other processes, and of `write` in other
        // threads, may be non-atomic: accepted as in `read`. The functions above store only into a writable
        // mapping.
        let result = access(unsafe { &*at });
        self.check().map(|()| result)
    }

    /// Checks that rows of `length` bytes in all lie in the mapping. Returns the address of the first one,
    /// and the distance from each to the next.
    fn first_row(&self, rows: Rows, length: usize) -> Result<(*mut u8, isize), Fault> {
        rows.span(length, self.len as u64).map_err(|_| Fault::OutOfBounds)?;
        let first = self.range(rows.offset, rows.length)?;
        // If there is a second row, the distance to it is less than the mapping's length.
        Ok((first, isize::try_from(rows.stride).unwrap_or(0)))
    }

    #[inline]
    fn check(&self) -> Result<(), Fault> {
        if self.watch.faulted() { Err(Fault::Gone) } else { Ok(()) }
    }

    #[inline]
    fn range(&self, offset: u64, length: usize) -> Result<*mut u8, Fault> {
        let offset = usize::try_from(offset).map_err(|_| Fault::OutOfBounds)?;
        let end = offset.checked_add(length).ok_or(Fault::OutOfBounds)?;
        if end > self.len {
            return Err(Fault::OutOfBounds);
        }
        Ok(self.start.wrapping_add(offset))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    //! Also run under Miri, where an anonymous mapping stands in for shared memory.
    use super::*;

    fn memory(len: usize) -> Memory {
        Memory::new(Box::new(os::anonymous(len)))
    }

    #[test]
    fn written_bytes_are_read_back() {
        let memory = memory(64);
        memory.write(61, &[1, 2, 3]).unwrap();
        memory.fill(0, 2, 9).unwrap();
        let mut all = [0; 64];
        memory.read(0, &mut all).unwrap();
        assert_eq!(all[..3], [9, 9, 0]);
        assert_eq!(all[60..], [0, 1, 2, 3]);
    }

    #[test]
    fn appended_bytes_stand_behind_those_that_were_there() {
        let memory = memory(16);
        memory.write(4, b"bytes").unwrap();
        let mut into = Vec::with_capacity(8);
        into.push(b'=');
        memory.append(4, 5, &mut into).unwrap();
        assert_eq!(into, b"=bytes");
    }

    #[test]
    fn nothing_is_appended_without_room_or_from_outside() {
        let memory = memory(16);
        let mut into = Vec::with_capacity(4);
        for (offset, length) in [(0, into.capacity() + 1), (13, 4), (16, 1), (u64::MAX, 1)] {
            assert_eq!(memory.append(offset, length, &mut into), Err(Fault::OutOfBounds));
            assert!(into.is_empty());
        }
        memory.append(16, 0, &mut into).unwrap();
    }

    #[test]
    fn nothing_outside_the_mapping_is_touched() {
        let memory = memory(64);
        let mut into = [7; 8];
        for offset in [57, 64, 65, u64::from(u32::MAX), u64::MAX - 7, u64::MAX] {
            assert_eq!(memory.read(offset, &mut into), Err(Fault::OutOfBounds), "{offset}");
            assert_eq!(memory.write(offset, &into), Err(Fault::OutOfBounds), "{offset}");
            assert_eq!(memory.fill(offset, 8, 1), Err(Fault::OutOfBounds), "{offset}");
        }
        assert_eq!(memory.fill(0, u64::MAX, 1), Err(Fault::OutOfBounds));
        assert_eq!(memory.fill(64, 1, 1), Err(Fault::OutOfBounds));
        assert_eq!(into, [7; 8]);
        let mut all = [1; 64];
        memory.read(0, &mut all).unwrap();
        assert_eq!(all, [0; 64]);
    }

    #[test]
    fn an_empty_access_is_allowed_up_to_the_end() {
        let memory = memory(64);
        assert_eq!(memory.read(64, &mut []), Ok(()));
        assert_eq!(memory.write(64, &[]), Ok(()));
        assert_eq!(memory.read(65, &mut []), Err(Fault::OutOfBounds));
    }

    #[test]
    fn rows_are_copied_up_and_down_to_the_edges() {
        let memory = memory(64);
        for (offset, stride) in [(0, 30), (60, -30), (5, 4), (8, -4)] {
            let rows = Rows::new(offset, 4, stride).unwrap();
            memory.fill(0, 64, 0).unwrap();
            // The last byte fills no row.
            memory.write_rows(rows, &[1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap();
            let mut all = [0; 64];
            memory.read(0, &mut all).unwrap();
            let first = usize::try_from(offset).unwrap();
            let second = first.checked_add_signed(isize::try_from(stride).unwrap()).unwrap();
            assert_eq!([&all[first..first + 4], &all[second..second + 4]].concat(), [1, 2, 3, 4, 5, 6, 7, 8]);
            assert_eq!(all.iter().filter(|byte| **byte != 0).count(), 8, "nothing between them");
            let mut back = [0; 9];
            memory.read_rows(rows, &mut back).unwrap();
            assert_eq!(back, [1, 2, 3, 4, 5, 6, 7, 8, 0]);
        }
    }

    #[test]
    fn no_row_outside_the_mapping_is_touched() {
        let memory = memory(64);
        for (offset, stride) in
            [(61, 4), (57, 4), (3, -4), (0, 61), (0, i64::MAX), (60, -61), (60, i64::MIN), (u64::MAX, -4)]
        {
            let rows = Rows::new(offset, 4, stride).unwrap();
            let mut into = [7; 8];
            assert_eq!(memory.read_rows(rows, &mut into), Err(Fault::OutOfBounds), "{offset}, {stride}");
            assert_eq!(memory.write_rows(rows, &into), Err(Fault::OutOfBounds), "{offset}, {stride}");
            assert_eq!(into, [7; 8]);
        }
        let mut all = [1; 64];
        memory.read(0, &mut all).unwrap();
        assert_eq!(all, [0; 64]);
        // The stride of a single row leads nowhere.
        for stride in [i64::MIN, i64::MAX] {
            assert_eq!(memory.read_rows(Rows::new(60, 4, stride).unwrap(), &mut [7; 4]), Ok(()));
        }
    }

    #[test]
    fn words_are_little_endian() {
        let memory = memory(64);
        memory.store(60, 0x0403_0201_u32).unwrap();
        let mut bytes = [0; 4];
        memory.read(60, &mut bytes).unwrap();
        assert_eq!(bytes, [1, 2, 3, 4]);
        assert_eq!(memory.load(60), Ok(0x0403_0201_u32));
        assert_eq!(memory.fetch_add(60, 0x0100_0000), Ok(0x0403_0201_u32));
        assert_eq!(memory.fetch_add(60, u32::MAX), Ok(0x0503_0201));
        assert_eq!(memory.compare_exchange(60, 1, 9), Ok(0x0503_0200_u32));
        assert_eq!(memory.compare_exchange(60, 0x0503_0200, 9_u32), Ok(0x0503_0200));
        assert_eq!(memory.swap(60, 0x0807_0605_u32), Ok(9));
        assert_eq!(memory.load(60), Ok(0x0807_0605_u32));

        memory.store(48, 0x0807_0605_0403_0201_u64).unwrap();
        let mut bytes = [0; 8];
        memory.read(48, &mut bytes).unwrap();
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(memory.fetch_add(48, 0xFF << 56), Ok(0x0807_0605_0403_0201_u64));
        assert_eq!(memory.compare_exchange(48, 1, 9), Ok(0x0707_0605_0403_0201_u64));
        assert_eq!(memory.compare_exchange(48, 0x0707_0605_0403_0201_u64, 9), Ok(0x0707_0605_0403_0201));
        assert_eq!(memory.swap(48, u64::MAX), Ok(9));
        assert_eq!(memory.load(48), Ok(u64::MAX));
        assert_eq!(memory.load(56), Ok(0_u32), "its neighbour");
    }

    fn check_refusals<W: Word + From<u8> + std::fmt::Debug>(refused: &[(u64, Fault)]) {
        let memory = memory(64);
        let (zero, one) = (W::from(0), W::from(1));
        for &(offset, fault) in refused {
            assert_eq!(memory.load::<W>(offset), Err(fault), "{offset}");
            assert_eq!(memory.store(offset, one), Err(fault), "{offset}");
            assert_eq!(memory.swap(offset, one), Err(fault), "{offset}");
            assert_eq!(memory.compare_exchange(offset, zero, one), Err(fault), "{offset}");
            assert_eq!(memory.fetch_add(offset, one), Err(fault), "{offset}");
        }
        let mut all = [1; 64];
        memory.read(0, &mut all).unwrap();
        assert_eq!(all, [0; 64]);
    }

    #[test]
    fn a_word_outside_or_misaligned_is_refused() {
        let both = [
            (61, Fault::OutOfBounds),
            (64, Fault::OutOfBounds),
            (u64::MAX - 3, Fault::OutOfBounds),
            (u64::MAX, Fault::OutOfBounds),
            (1, Fault::Misaligned),
            (6, Fault::Misaligned),
            (55, Fault::Misaligned),
        ];
        check_refusals::<u32>(&both);
        check_refusals::<u64>(&both);
        check_refusals::<u64>(&[(4, Fault::Misaligned), (52, Fault::Misaligned), (60, Fault::OutOfBounds)]);
        let memory = memory(64);
        for (offset, fault) in both {
            assert_eq!(memory.sleep(offset, 0, Duration::MAX, Duration::ZERO), Err(fault), "{offset}");
            assert_eq!(memory.wake(offset), Err(fault), "{offset}");
        }
    }

    #[test]
    fn threads_count_concurrently() {
        let memory = memory(64);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        memory.fetch_add(8, 1_u32).unwrap();
                        memory.fetch_add(16, 1_u64).unwrap();
                        while memory.compare_exchange(4, 0_u32, 1).unwrap() != 0 {
                            std::thread::yield_now();
                        }
                        let count: u32 = memory.load(12).unwrap();
                        memory.store(12, count + 1).unwrap();
                        memory.store(4, 0_u32).unwrap();
                    }
                });
            }
        });
        assert_eq!((memory.load(8), memory.load(12)), (Ok(100_u32), Ok(100_u32)));
        assert_eq!(memory.load(16), Ok(100_u64));
    }

    #[test]
    fn threads_copy_concurrently() {
        let memory = memory(64);
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let memory = &memory;
                scope.spawn(move || {
                    let at = u64::from(thread) * 16;
                    memory.write(at, &[thread; 16]).unwrap();
                    let mut back = [0; 16];
                    memory.read(at, &mut back).unwrap();
                    assert_eq!(back, [thread; 16]);
                });
            }
        });
    }
}
