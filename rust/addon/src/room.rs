//! Checks that there is memory for a result, before the engine allocates it.

use godot::global::Error as Code;
use shm_segment::{UNCHECKED_BELOW, has_room_for};

use crate::error::{Failure, Result};

/// The longest text, in bytes of UTF-8: the engine counts them in an `int`.
pub(crate) const MAX_TEXT_BYTES: usize = i32::MAX as usize;

/// Returns whether there is room for the engine's string of `length` bytes of UTF-8.
pub(crate) fn can_allocate_text(length: usize) -> bool {
    // Godot stores UTF-32 with a NUL, and rounds allocations up to a power of two.
    let allocated = (length + 1).checked_mul(size_of::<char>()).and_then(usize::checked_next_power_of_two);
    length <= MAX_TEXT_BYTES && allocated.is_some_and(can_allocate)
}

/// Fails if there is no room for `size` bytes of `what` and for `extra` bytes more.
pub(crate) fn require_room(what: &str, size: usize, extra: usize) -> Result<()> {
    if can_allocate(size.saturating_add(extra)) { Ok(()) } else { Err(no_room(what, size)) }
}

/// Returns whether this process can have `length` bytes more.
///
/// A peer chooses the sizes, so they are checked first. Godot prints an error when an allocation fails. Linux
/// allows too large an allocation, and kills the process when it uses the memory.
pub(crate) fn can_allocate(length: usize) -> bool {
    has_room_for(length as u64) && can_reserve(length)
}

/// Returns whether the allocator gives `length` bytes. Below 16 MiB, it is not asked.
pub(crate) fn can_reserve(length: usize) -> bool {
    (length as u64) < UNCHECKED_BELOW || Vec::<u8>::new().try_reserve_exact(length).is_ok()
}

/// Returns the failure for `what` of `size` bytes that doesn't fit in memory.
pub(crate) fn no_room(what: &str, size: usize) -> Failure {
    Failure::new(Code::ERR_OUT_OF_MEMORY, format!("no room for {what} of {size} bytes"))
}
