//! Conversions between values of scripts and bytes in own memory, and checks that there is room.

use godot::global::Error as Code;
use shm_segment::{has_room_for, layout};

use crate::binding::packed::{self, Packed};
use crate::error::Failure;

type Result<T, E = Failure> = std::result::Result<T, E>;

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

/// The longest text, in bytes of UTF-8: the engine counts them in an `int`.
pub(crate) const MAX_TEXT_BYTES: usize = i32::MAX as usize;

/// Returns whether there is room for the engine's string of `length` bytes of UTF-8.
pub(crate) fn is_room_for_text(length: usize) -> bool {
    // Godot stores UTF-32 with a NUL, and rounds allocations up to a power of two.
    let allocated = (length + 1).checked_mul(size_of::<char>()).and_then(usize::checked_next_power_of_two);
    length <= MAX_TEXT_BYTES && allocated.is_some_and(is_room_for)
}

/// Returns `size` zeros, if there is room: a second copy of a segment's bytes may not fit in memory.
pub(crate) fn zeros(size: usize) -> Result<Vec<u8>> {
    require_room("a copy", size, 0)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| no_room("a copy", size))?;
    bytes.resize(size, 0);
    Ok(bytes)
}

/// Fails if there is no room for `size` bytes of `what` and for `extra` bytes more.
pub(crate) fn require_room(what: &str, size: usize, extra: usize) -> Result<()> {
    if is_room_for(size.saturating_add(extra)) { Ok(()) } else { Err(no_room(what, size)) }
}

/// Returns whether this process can have `length` bytes more.
///
/// A peer chooses the sizes, so they are checked first. Godot prints an error when an allocation fails. Linux
/// allows too large an allocation, and kills the process when it uses the memory.
pub(crate) fn is_room_for(length: usize) -> bool {
    has_room_for(length as u64) && can_be_reserved(length)
}

fn can_be_reserved(length: usize) -> bool {
    const SMALL: usize = 1 << 24;
    length < SMALL || Vec::<u8>::new().try_reserve_exact(length).is_ok()
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
    let is_room = is_room_for(length.saturating_add(extra))
        && length.checked_next_power_of_two().is_some_and(can_be_reserved);
    let bytes = is_room.then(|| packed::resize(array, count)).flatten();
    bytes.ok_or_else(|| no_room(what, length))
}

/// Converts a number of bytes. One beyond the address space becomes `usize::MAX`: there is never room for it.
pub(crate) fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Returns the failure for `what` of `size` bytes that doesn't fit in memory.
pub(crate) fn no_room(what: &str, size: usize) -> Failure {
    Failure::new(Code::ERR_OUT_OF_MEMORY, format!("no room for {what} of {size} bytes"))
}
