//! Conversions between values of scripts and bytes in own memory.

use shm_segment::layout;

use crate::binding::packed::{self, Packed};
use crate::error::Result;
use crate::room::{can_allocate, can_reserve, no_room, require_room};

/// Returns an array with these bytes as its elements.
pub(crate) fn packed_from<A: Packed>(bytes: &[u8]) -> Result<A> {
    let mut array = A::default();
    if !bytes.is_empty() {
        let elements = resized("an array", &mut array, bytes.len() / A::STRIDE, 0)?;
        // Not a part of the bytes: their number must be a multiple of an element's.
        if elements.len() != bytes.len() {
            return Err(no_room("an array", bytes.len()));
        }
        elements.copy_from_slice(bytes);
    }
    Ok(array)
}

/// Returns a message's bytes as an array, for a layout to call. It only fails for lack of memory.
pub(crate) fn packed_message<A: Packed>(bytes: &[u8]) -> layout::Result<A> {
    packed_from(bytes).map_err(|_| layout::Error::OutOfMemory { size: bytes.len() as u64 })
}

/// Returns `size` zeros, if there is room: a second copy of a segment's bytes may not fit in memory.
pub(crate) fn zeros(size: usize) -> Result<Vec<u8>> {
    require_room("a copy", size, 0)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| no_room("a copy", size))?;
    bytes.resize(size, 0);
    Ok(bytes)
}

/// Makes an array `count` elements long, and returns their bytes. Fails, in the name of `what`, if there is
/// no room for them and for `extra` bytes more.
pub(crate) fn resized<'a, A: Packed>(
    what: &str,
    array: &'a mut A,
    count: usize,
    extra: usize,
) -> Result<&'a mut [u8]> {
    let length = count.saturating_mul(A::STRIDE);
    // Godot rounds an array's allocation up to a power of two.
    let is_room = can_allocate(length.saturating_add(extra))
        && length.checked_next_power_of_two().is_some_and(can_reserve);
    let bytes = is_room.then(|| packed::resize(array, count)).flatten();
    bytes.ok_or_else(|| no_room(what, length))
}

/// Converts a number of bytes. One beyond the address space becomes `usize::MAX`: there is never room for it.
pub(crate) fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
