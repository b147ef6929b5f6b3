//! A message on its way to the program.

use super::message::Descriptor;
use super::{Result, Shared as _};
use crate::layout::{self, Error, fields};
use crate::rows::Rows;
use crate::segment::Direct;
use crate::values::Source;

/// A message in shared memory, whose content another process may change at any time, but not its length. Or a
/// copy of one, that nobody changes.
#[derive(Debug)]
pub struct Incoming<'a> {
    content: Content<'a>,
    length: u64,
    descriptor: Descriptor,
}

#[derive(Debug, Clone, Copy)]
enum Content<'a> {
    /// At this offset of the segment.
    Shared(Direct<'a>, u64),
    Copied(&'a [u8]),
}

impl<'a> Incoming<'a> {
    pub(super) const fn new(direct: Direct<'a>, at: u64, length: u64, descriptor: Descriptor) -> Self {
        Self { content: Content::Shared(direct, at), length, descriptor }
    }

    pub(super) const fn copied(content: &'a [u8], descriptor: Descriptor) -> Self {
        Self { content: Content::Copied(content), length: content.len() as u64, descriptor }
    }

    /// Returns what the content is. It fits the length.
    #[must_use]
    pub const fn descriptor(&self) -> Descriptor {
        self.descriptor
    }

    /// Returns the bytes of the content.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Returns how many bytes of memory a copy of the content may take in addition to the copy itself.
    #[must_use]
    pub fn unpopulated(&self) -> u64 {
        match self.content {
            Content::Shared(direct, _) => direct.segment().unpopulated_if_large(self.length),
            Content::Copied(_) => 0,
        }
    }

    /// Copies `into.len()` bytes of the content out, from `offset` on.
    ///
    /// # Errors
    /// [`Error::Segment`], with `OutOfBounds` beyond the content.
    #[inline]
    pub fn read(&self, offset: u64, into: &mut [u8]) -> layout::Result<()> {
        self.check_bounds(offset, into.len() as u64)?;
        match self.content {
            Content::Shared(direct, at) => Ok(direct.read(at + offset, into)?),
            Content::Copied(content) => {
                copy(content, offset, into);
                Ok(())
            }
        }
    }

    #[inline]
    fn check_bounds(&self, offset: u64, length: u64) -> crate::Result<()> {
        match offset.checked_add(length) {
            Some(end) if end <= self.length => Ok(()),
            _ => Err(self.out_of_bounds(offset, length)),
        }
    }

    /// Copies the rows of an image, without what lies between them: as many as `into` has whole ones of
    /// `row_length` bytes.
    ///
    /// # Errors
    /// [`Error::Segment`], with `RowsOutOfBounds` beyond the content.
    pub fn read_rows(&self, row_length: usize, into: &mut [u8]) -> layout::Result<()> {
        let stride = self.descriptor.shape[3];
        let bounds = || self.out_of_bounds(0, into.len() as u64);
        let rows = |at| Rows::new(at, row_length, stride.into()).ok_or_else(bounds);
        match self.content {
            Content::Shared(direct, at) => {
                let rows = rows(at)?;
                if rows.span(into.len(), direct.segment().size())? > self.length {
                    return Err(bounds().into());
                }
                Ok(direct.segment().read_rows(rows, into)?)
            }
            Content::Copied(content) => {
                rows(0)?.span(into.len(), self.length)?;
                for (index, row) in (0..).zip(into.chunks_exact_mut(row_length)) {
                    copy(content, index * u64::from(stride), row);
                }
                Ok(())
            }
        }
    }

    #[cold]
    const fn out_of_bounds(&self, offset: u64, length: u64) -> crate::Error {
        crate::Error::OutOfBounds { offset, length, size: self.length }
    }

    /// Returns a copy of the content.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; [`Error::Segment`].
    pub fn to_vec(&self) -> layout::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.content {
            Content::Shared(direct, at) => fields::copy(direct.segment(), at, self.length, &mut bytes)?,
            Content::Copied(content) => {
                let size = self.length;
                bytes.try_reserve_exact(content.len()).map_err(|_| Error::OutOfMemory { size })?;
                bytes.extend_from_slice(content);
            }
        }
        Ok(bytes)
    }
}

/// The content alone: offsets are from its beginning.
impl Source for Incoming<'_> {
    #[inline]
    fn copy(&self, offset: u64, into: &mut [u8]) -> crate::Result<()> {
        self.check_bounds(offset, into.len() as u64)?;
        match self.content {
            Content::Shared(direct, at) => direct.segment().read(at + offset, into),
            Content::Copied(content) => {
                copy(content, offset, into);
                Ok(())
            }
        }
    }

    fn check_room(&self, length: u64) -> crate::Result<()> {
        match self.content {
            Content::Shared(direct, _) => direct.segment().check_room(length),
            Content::Copied(_) => Ok(()),
        }
    }
}

/// Copies bytes that the caller has checked to be there.
fn copy(content: &[u8], offset: u64, into: &mut [u8]) {
    let at = usize::try_from(offset).unwrap_or(usize::MAX);
    if let Some(from) = content.get(at..).and_then(|rest| rest.get(..into.len())) {
        into.copy_from_slice(from);
    }
}

/// A message that was copied out of the memory, to be received later.
#[derive(Debug)]
pub(super) struct Kept {
    content: Vec<u8>,
    descriptor: Descriptor,
}

impl Kept {
    pub(super) fn new(message: &Incoming<'_>) -> Result<Self> {
        Ok(Self { content: message.to_vec()?, descriptor: message.descriptor })
    }

    pub(super) fn incoming(&self) -> Incoming<'_> {
        Incoming::copied(&self.content, self.descriptor)
    }

    /// The bytes that a message without content is reckoned with.
    const LEAST: u64 = 64;

    /// Returns the bytes of memory that this takes.
    pub(super) const fn size(&self) -> u64 {
        self.content.len() as u64 + Self::LEAST
    }
}
