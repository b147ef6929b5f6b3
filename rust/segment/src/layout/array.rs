//! The array of shared-memory-zig: elements of one type behind a count.
//!
//! Total bytes (u64) @0, count (u64) @8, elements from @16 on. The total includes the header and isn't believed: for a
//! slice, Zig's side counts 16 bytes an element, whatever its type. What counts is the count times the size of an
//! element, which both sides must know.
//!
//! There is no lock. An element that is read while somebody writes it may be half of each.
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

use super::fields::{check_room, copy, is_zero, read_u64};
use super::{Error, Result};
use crate::Segment;

const LAYOUT: &str = "array";
const TOTAL: u64 = 0;
const COUNT: u64 = 8;
const ELEMENTS: u64 = 16;

/// An array that was attached to.
#[derive(Debug, Clone, Copy)]
pub struct Array {
    /// Bytes from one element to the next. Never 0.
    stride: u64,
    /// How many elements the header said there were at that time; for nothing but laying it out anew.
    attached: u64,
}

impl Array {
    /// Makes the segment an array of elements of `stride` bytes, or finds that it is one. A new one gets as many elements
    /// as fit.
    ///
    /// # Errors
    /// [`Error::InvalidElementSize`]; [`Error::SegmentTooSmall`]; [`Error::NotLaidOutYet`]; [`Error::Invalid`];
    /// [`Error::Segment`].
    pub fn attach(segment: &Segment, stride: u64) -> Result<Self> {
        check_room(segment, LAYOUT, ELEMENTS)?;
        let mut array = Self { stride, attached: 0 };
        let room = segment.size() - ELEMENTS;
        if stride == 0 {
            return Err(Error::InvalidElementSize { what: "an element", given: stride, limit: room });
        }
        check_room(segment, LAYOUT, ELEMENTS.saturating_add(stride))?;
        if segment.is_created() && is_zero::<16>(segment)? {
            array.attached = room / stride;
            array.reset(segment)?;
        } else {
            array.attached = array.check(segment)?;
        }
        Ok(array)
    }

    /// How many bytes an element has.
    #[must_use]
    pub const fn stride(&self) -> u64 {
        self.stride
    }

    /// Makes the header what it was when this was attached. The elements stay as they are.
    ///
    /// # Errors
    /// [`Error::Segment`].
    pub fn reset(&self, segment: &Segment) -> Result<()> {
        segment.write(COUNT, &self.attached.to_le_bytes())?;
        // The total last: until it is there, the header isn't laid out.
        fence(Ordering::Release);
        let total = ELEMENTS + self.attached * self.stride;
        segment.write(TOTAL, &total.to_le_bytes())?;
        Ok(())
    }

    /// Checks the whole header, and returns the count.
    fn check(&self, segment: &Segment) -> Result<u64> {
        let total = read_u64(segment, TOTAL)?;
        fence(Ordering::Acquire);
        if total == 0 {
            return Err(Error::NotLaidOutYet { layout: LAYOUT });
        }
        if total < ELEMENTS {
            let limit = format!("the header alone takes {ELEMENTS}");
            return Err(Error::Invalid { layout: LAYOUT, what: "the total of bytes", found: total, limit });
        }
        self.count(segment)
    }

    /// How many elements there are.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Segment`].
    pub fn count(&self, segment: &Segment) -> Result<u64> {
        let count = read_u64(segment, COUNT)?;
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

    /// Copies an element out. `into` must have its size.
    ///
    /// # Errors
    /// [`Error::NoSuchElement`]; [`Error::WrongLength`]; [`Error::Invalid`]; [`Error::Segment`].
    pub fn get(&self, segment: &Segment, index: u64, into: &mut [u8]) -> Result<()> {
        self.check_length(into)?;
        segment.read(self.offset(segment, index)?, into)?;
        Ok(())
    }

    /// Copies an element in. `element` must have its size.
    ///
    /// # Errors
    /// As [`get`](Self::get), and nothing has changed.
    pub fn set(&self, segment: &Segment, index: u64, element: &[u8]) -> Result<()> {
        self.check_length(element)?;
        segment.write(self.offset(segment, index)?, element)?;
        Ok(())
    }

    /// Makes `into` the bytes of all elements.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::OutOfMemory`]; [`Error::Segment`].
    pub fn read_into(&self, segment: &Segment, into: &mut Vec<u8>) -> Result<()> {
        copy(segment, ELEMENTS, self.count(segment)? * self.stride, into)
    }

    /// Makes all elements this one.
    ///
    /// # Errors
    /// [`Error::WrongLength`], [`Error::Invalid`]: nothing has changed. [`Error::Segment`].
    pub fn fill(&self, segment: &Segment, element: &[u8]) -> Result<()> {
        // Many at once: a call for each would cost more than the copy.
        const AT_ONCE: usize = 64 << 10;
        self.check_length(element)?;
        let (mut left, mut offset) = (self.count(segment)? * self.stride, ELEMENTS);
        // For all of it: each of the pieces below is too small to be asked for.
        segment.check_supply(left)?;
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

    /// Where an element is. It lies in the mapping.
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
        Err(Error::WrongLength { length, expected: format!("an element, which has {}", self.stride) })
    }
}
