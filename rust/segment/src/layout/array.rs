//! The arrays of shared-memory-zig: elements of one type behind a count.
//!
//! Total bytes (u64) @0, count (u64) @8, elements from @16 on. The total includes the header. It isn't
//! trusted: for a slice, Zig's side counts 16 bytes per element, whatever its type. The real size is the
//! count times the size of an element, which both sides must know.
//!
//! There is no lock. An element that is read while a peer writes it may be half old, half new.
//!
//! ```
//! use shm_segment::layout::array::Array;
//! use shm_segment::{Access, Options};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let name = shm_segment::generate_name("doc")?;
//! let ours = Options::new(&name).create(16 + 10 * 8)?;
//! Array::attach(&ours, 8)?.set(&ours, 3, &2.5f64.to_le_bytes())?;
//!
//! let theirs = Options::new(&name).open(0, Access::ReadOnly)?;
//! let array = Array::attach(&theirs, 8)?;
//! assert_eq!(array.count(&theirs)?, 10);
//! let mut element = [0; 8];
//! array.get(&theirs, 3, &mut element)?;
//! assert_eq!(f64::from_le_bytes(element), 2.5);
//! # Ok(())
//! # }
//! ```

use std::sync::atomic::{Ordering, fence};

use super::fields::{check_room, check_zeros, copy, read_header};
use super::{Error, Result};
use crate::{Access, Segment};

const LAYOUT: &str = "array";
const TOTAL: u64 = 0;
const COUNT: u64 = 8;
const ELEMENTS: u64 = 16;

/// An attached array.
#[derive(Debug, Clone, Copy)]
pub struct Array {
    /// The bytes from one element to the next. Never 0.
    stride: u64,
    /// The number of elements when it was attached. Only `reset` uses it.
    attached: u64,
}

impl Array {
    /// Makes the segment an array of elements of `stride` bytes, or checks that it is one.
    ///
    /// Memory of zeros becomes a new array of as many elements as fit. Any process that may write there makes
    /// it one. Of several at once, exactly one decides the number of elements.
    ///
    /// # Errors
    /// [`Error::InvalidElementSize`]; [`Error::SegmentTooSmall`]; [`Error::NotLaidOutYet`], in read-only
    /// memory; [`Error::NotZeros`]; [`Error::Invalid`]; [`Error::Segment`].
    pub fn attach(segment: &Segment, stride: u64) -> Result<Self> {
        check_room(segment, LAYOUT, ELEMENTS)?;
        let mut array = Self { stride, attached: 0 };
        let room = segment.size() - ELEMENTS;
        if stride == 0 {
            return Err(Error::InvalidElementSize { what: "an element", given: stride, limit: room });
        }
        check_room(segment, LAYOUT, ELEMENTS.saturating_add(stride))?;
        if Header::read(segment)?.total == 0 {
            array.lay_out(segment)?;
        }
        array.attached = array.check(segment)?;
        Ok(array)
    }

    /// Lays out a header that is all zeros, or one whose maker died after the first of its two stores.
    fn lay_out(&self, segment: &Segment) -> Result<()> {
        // The second store is the total. As long as it is 0, the header isn't laid out.
        let found = Header::read(segment)?;
        let is_half_made = found.count != 0;
        if is_half_made {
            self.fitting(segment, found.count)?;
        }
        if segment.access() == Access::ReadOnly {
            return Err(Error::NotLaidOutYet { layout: LAYOUT });
        }
        if is_half_made || !segment.is_created() {
            let others = check_zeros(segment, ELEMENTS, LAYOUT);
            if Header::read(segment)?.total != 0 {
                // Another process was faster, and uses the array already.
                return Ok(());
            }
            others?;
        }
        // The count is the claim: one word, so that one process decides it.
        let fitting = u32::try_from((segment.size() - ELEMENTS) / self.stride).unwrap_or(u32::MAX);
        segment.compare_exchange_u32(COUNT, 0, fitting)?;
        let count = self.fitting(segment, Header::read(segment)?.count)?;
        self.store_total(segment, count)
    }

    /// Returns the size of an element in bytes.
    #[must_use]
    pub const fn stride(&self) -> u64 {
        self.stride
    }

    /// Makes the header what it was when the array was attached. The elements stay unchanged.
    ///
    /// # Errors
    /// [`Error::ResetRefused`]: another process made the memory, and it holds no array.
    /// [`Error::Segment`].
    pub fn reset(&self, segment: &Segment) -> Result<()> {
        // An empty write fails in read-only memory.
        segment.write(COUNT, &[])?;
        if !segment.is_created() {
            let plausible = if Header::read(segment)?.total == 0 {
                check_zeros(segment, ELEMENTS, LAYOUT)
            } else {
                self.check(segment).map(|_| ())
            };
            plausible.map_err(Error::into_reset_refused)?;
        }
        segment.write(COUNT, &self.attached.to_le_bytes())?;
        self.store_total(segment, self.attached)
    }

    fn store_total(&self, segment: &Segment, count: u64) -> Result<()> {
        fence(Ordering::Release);
        let total = ELEMENTS + count * self.stride;
        segment.write(TOTAL, &total.to_le_bytes())?;
        Ok(())
    }

    /// Checks the whole header and returns the count.
    fn check(&self, segment: &Segment) -> Result<u64> {
        let Header { total, count } = Header::read(segment)?;
        if total == 0 {
            return Err(Error::NotLaidOutYet { layout: LAYOUT });
        }
        let count = self.fitting(segment, count)?;
        let (least, most) = (ELEMENTS.saturating_add(count), segment.current_size()?);
        if total < least || total > most {
            let limit =
                format!("{count} elements and the header take at least {least} of the {most} in memory");
            return Err(Error::Invalid { layout: LAYOUT, what: "the total size", found: total, limit });
        }
        Ok(count)
    }

    /// Returns the number of elements.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Segment`].
    pub fn count(&self, segment: &Segment) -> Result<u64> {
        self.fitting(segment, Header::read(segment)?.count)
    }

    /// Returns the count that was found, if so many elements fit.
    fn fitting(&self, segment: &Segment, count: u64) -> Result<u64> {
        let fitting = segment.size().saturating_sub(ELEMENTS) / self.stride;
        if count > fitting {
            let limit = format!("at most {fitting} of {} bytes each fit", self.stride);
            return Err(Error::Invalid {
                layout: LAYOUT,
                what: "the number of elements",
                found: count,
                limit,
            });
        }
        Ok(count)
    }

    /// Copies an element out. `into` must have the size of an element.
    ///
    /// # Errors
    /// [`Error::NoSuchElement`]; [`Error::WrongLength`]; [`Error::Invalid`]; [`Error::Segment`].
    pub fn get(&self, segment: &Segment, index: u64, into: &mut [u8]) -> Result<()> {
        self.check_length(into)?;
        segment.read(self.offset(segment, index)?, into)?;
        Ok(())
    }

    /// Copies an element in. `element` must have the size of an element.
    ///
    /// # Errors
    /// As [`get`](Self::get), and nothing has changed.
    pub fn set(&self, segment: &Segment, index: u64, element: &[u8]) -> Result<()> {
        self.check_length(element)?;
        segment.write(self.offset(segment, index)?, element)?;
        Ok(())
    }

    /// Fills `into` with the bytes of all elements.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::OutOfMemory`]; [`Error::Segment`].
    pub fn read_into(&self, segment: &Segment, into: &mut Vec<u8>) -> Result<()> {
        copy(segment, ELEMENTS, self.count(segment)? * self.stride, into)
    }

    /// Sets all elements to this one.
    ///
    /// # Errors
    /// [`Error::WrongLength`], [`Error::Invalid`]: nothing has changed. [`Error::Segment`].
    pub fn fill(&self, segment: &Segment, element: &[u8]) -> Result<()> {
        // Many elements per copy: a call for each would cost more than the copy.
        const AT_ONCE: usize = 64 << 10;
        self.check_length(element)?;
        let (mut left, mut offset) = (self.count(segment)? * self.stride, ELEMENTS);
        // Checked for the whole range: each piece below is too small to be checked.
        segment.check_room(left)?;
        let repeated;
        let many = if element.len() < AT_ONCE {
            repeated = element.repeat(AT_ONCE / element.len().max(1));
            &repeated
        } else {
            element
        };
        while left > 0 {
            let length = left.min(many.len() as u64);
            let part = usize::try_from(length).ok().and_then(|length| many.get(..length));
            segment.write(offset, part.unwrap_or(many))?;
            offset += length;
            left -= length;
        }
        Ok(())
    }

    /// Returns the offset of an element, which lies in the mapping.
    fn offset(&self, segment: &Segment, index: u64) -> Result<u64> {
        let count = self.count(segment)?;
        if index >= count {
            return Err(Error::NoSuchElement { index, count });
        }
        Ok(ELEMENTS + index * self.stride)
    }

    fn check_length(&self, element: &[u8]) -> Result<()> {
        let length = element.len() as u64;
        if length == self.stride {
            return Ok(());
        }
        Err(Error::WrongLength { length, expected: format!("{}, the size of an element", self.stride) })
    }
}

/// A copy of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    total: u64,
    count: u64,
}

impl Header {
    fn read(segment: &Segment) -> Result<Self> {
        let bytes = read_header::<16>(segment)?;
        fence(Ordering::Acquire);
        let (total, count) = bytes.split_at(8);
        let field = |bytes: &[u8]| u64::from_le_bytes(*bytes.first_chunk().unwrap_or(&[0; 8]));
        Ok(Self { total: field(total), count: field(count) })
    }
}
