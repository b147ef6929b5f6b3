//! Fields that are not aligned words, and copies of a checked length.

use std::ops::Range;

use crate::Segment;
use crate::available::has_room_for;
use crate::layout::{Error, Result};

/// Reads a field of 8 bits.
pub(super) fn read_u8(segment: &Segment, offset: u64) -> Result<u8> {
    let mut bytes = [0; 1];
    segment.read(offset, &mut bytes)?;
    Ok(bytes[0])
}

/// Reads a field of 32 bits at any offset.
pub(super) fn read_u32(segment: &Segment, offset: u64) -> Result<u32> {
    let mut bytes = [0; 4];
    segment.read(offset, &mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// Returns the first `LENGTH` bytes, which the segment must have, as one copy.
#[inline]
pub(super) fn read_header<const LENGTH: usize>(segment: &Segment) -> Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    segment.read(0, &mut bytes)?;
    Ok(bytes)
}

/// Returns the field of 32 bits at `offset` of a header.
#[inline]
pub(super) fn u32_at<const LENGTH: usize>(header: &[u8; LENGTH], offset: u64) -> u32 {
    let field = usize::try_from(offset).ok().and_then(|at| header.get(at..)?.first_chunk());
    u32::from_le_bytes(field.copied().unwrap_or_default())
}

/// Checks that all bytes from `from` on are zero: only such memory is laid out by another process than its
/// creator.
pub(super) fn check_zeros(segment: &Segment, from: u64, layout: &'static str) -> Result<()> {
    check_zeros_in(segment, from..segment.size(), layout)
}

/// Checks that all bytes of a part are zero.
pub(super) fn check_zeros_in(segment: &Segment, part: Range<u64>, layout: &'static str) -> Result<()> {
    // Checked for the whole range: each piece below is too small to be checked.
    segment.check_room(part.end.saturating_sub(part.start))?;
    let mut piece = [0; 4096];
    let mut offset = part.start;
    while offset < part.end {
        let left = usize::try_from(part.end - offset).unwrap_or(usize::MAX);
        let piece = &mut piece[..left.min(4096)];
        segment.read(offset, piece)?;
        if piece.iter().any(|byte| *byte != 0) {
            let before = piece.iter().take_while(|byte| **byte == 0).count() as u64;
            return Err(Error::NotZeros { layout, offset: offset + before });
        }
        offset += piece.len() as u64;
    }
    Ok(())
}

/// Checks that the segment has `needed` bytes.
pub(super) fn check_room(segment: &Segment, layout: &'static str, needed: u64) -> Result<()> {
    if segment.size() < needed { Err(too_small(segment, layout, needed)) } else { Ok(()) }
}

/// Returns the error of a segment that has less than `needed` bytes.
pub(super) fn too_small(segment: &Segment, layout: &'static str, needed: u64) -> Error {
    Error::SegmentTooSmall { layout, size: segment.size(), needed, is_created: segment.is_created() }
}

/// Checks the length of a value that is about to be written, and returns it.
pub(super) fn check_length(bytes: &[u8], limit: u64) -> Result<u32> {
    let size = bytes.len() as u64;
    match u32::try_from(size) {
        Ok(length) if size <= limit => Ok(length),
        _ => Err(Error::TooLarge { size, limit: limit.min(u64::from(u32::MAX)) }),
    }
}

/// Fills `into` with `length` bytes from `offset` on. `length` must have been checked against the mapping:
/// otherwise, a peer would decide how much is allocated.
pub(super) fn copy(segment: &Segment, offset: u64, length: u64, into: &mut Vec<u8>) -> Result<()> {
    let out_of_memory = Error::OutOfMemory { size: length };
    if !has_room_for(length.saturating_add(segment.unpopulated_if_large(length))) {
        return Err(out_of_memory);
    }
    let Ok(length) = usize::try_from(length) else { return Err(out_of_memory) };
    into.clear();
    if into.try_reserve_exact(length).is_err() {
        return Err(out_of_memory);
    }
    Ok(segment.append(offset, length, into)?)
}
