//! Fields that are not aligned words, and copies of a checked length.

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

/// Reads a field of 64 bits at any offset.
pub(super) fn read_u64(segment: &Segment, offset: u64) -> Result<u64> {
    let mut bytes = [0; 8];
    segment.read(offset, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Returns whether the first `LENGTH` bytes, which the segment must have, are all zero.
pub(super) fn is_zero<const LENGTH: usize>(segment: &Segment) -> Result<bool> {
    let mut bytes = [0; LENGTH];
    segment.read(0, &mut bytes)?;
    Ok(bytes == [0; LENGTH])
}

/// Checks that the segment has `needed` bytes.
pub(super) fn check_room(segment: &Segment, layout: &'static str, needed: u64) -> Result<()> {
    let size = segment.size();
    if size < needed { Err(Error::SegmentTooSmall { layout, size, needed }) } else { Ok(()) }
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
    into.resize(length, 0);
    segment.read(offset, into).inspect_err(|_| into.clear())?;
    Ok(())
}
