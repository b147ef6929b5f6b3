//! The source of the bytes to measure: a copy that only this process has, or shared memory, each byte of it
//! read once.

use crate::error::{Error, Result};

/// Bytes that can be copied out, a few at a time.
pub trait Source {
    /// Copies `into.len()` bytes out, from `offset` on.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`], and what else the source has.
    fn copy(&self, offset: u64, into: &mut [u8]) -> Result<()>;

    /// Checks that there is memory for `length` more bytes, as far as the source has to supply it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    fn check_room(&self, length: u64) -> Result<()> {
        let _ = length;
        Ok(())
    }
}

impl Source for [u8] {
    fn copy(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let from = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)?.get(..into.len()));
        match from {
            Some(from) => into.copy_from_slice(from),
            None => {
                let (length, size) = (into.len() as u64, self.len() as u64);
                return Err(Error::OutOfBounds { offset, length, size });
            }
        }
        Ok(())
    }
}
