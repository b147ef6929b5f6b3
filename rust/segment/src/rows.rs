//! Rows of bytes at equal distances, such as those of a picture inside a larger one.

use crate::error::{Error, Result};

/// The place of rows in a segment. They don't overlap.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    pub(crate) offset: u64,
    pub(crate) length: usize,
    pub(crate) stride: i64,
}

impl Rows {
    /// Returns rows of `length` bytes, of which the first begins at `offset`. Each further one begins
    /// `stride` bytes behind the beginning of its predecessor. A negative stride leads to lower offsets.
    ///
    /// Returns `None` if the rows would overlap or are empty.
    #[must_use]
    pub fn new(offset: u64, length: usize, stride: i64) -> Option<Self> {
        let are_apart = length > 0 && stride.unsigned_abs() >= length as u64;
        are_apart.then_some(Self { offset, length, stride })
    }

    /// Checks that rows of `length` bytes in all, at least one row, lie in a segment of `size` bytes.
    /// Returns the number of bytes from the beginning of the lowest row to the end of the highest one.
    pub(crate) fn span(&self, length: usize, size: u64) -> Result<u64> {
        // None of this overflows: each factor is less than 2^64.
        let further = (length / self.length).saturating_sub(1) as i128;
        let first = i128::from(self.offset);
        let last = first + i128::from(self.stride) * further;
        let (lowest, end) = (first.min(last), first.max(last) + self.length as i128);
        match u64::try_from(end - lowest) {
            Ok(span) if lowest >= 0 && end <= i128::from(size) => Ok(span),
            _ => Err(Error::RowsOutOfBounds { lowest, highest: end - 1, size }),
        }
    }
}
