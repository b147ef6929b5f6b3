//! Checks and conversions of scripts' arguments. A failure names the argument, its value and the limit.

use shm_segment::{Backend, Segment};

use crate::binding::{EngineText, globalize_path};
use crate::error::{Failure, Result};
use crate::unicode::to_utf8;

/// Returns a name as the backend takes it. A file's name may begin with `user://` or `res://`.
pub(crate) fn name_in(backend: Backend, name: &EngineText<'_>) -> Result<String> {
    let checked = to_utf8("name", name)?;
    match backend {
        Backend::File => to_utf8("name", &globalize_path(name)),
        Backend::Native | Backend::SystemV | Backend::Memfd => Ok(checked),
    }
}

pub(crate) fn unsigned(argument: &str, value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| Failure::argument(argument, value, "0 or more"))
}

pub(crate) fn positive(argument: &str, value: i64) -> Result<u64> {
    match u64::try_from(value) {
        Ok(value) if value > 0 => Ok(value),
        _ => Err(Failure::argument(argument, value, "1 or more")),
    }
}

/// Returns a number that a script gave as `argument`, within these limits.
pub(crate) fn number_to(argument: &str, value: i64, least: u32, most: u32) -> Result<u32> {
    let number = u32::try_from(value).ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| Failure::argument(argument, value, &format!("from {least} to {most}")))
}

/// Returns a size as scripts see it. No mapping is larger than `isize::MAX`.
pub(crate) fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Returns the offset if it lies in `segment`.
pub(crate) fn offset_inside(segment: &Segment, argument: &str, offset: i64) -> Result<u64> {
    let (value, end) = (unsigned(argument, offset)?, segment.size());
    if value < end {
        return Ok(value);
    }
    Err(Failure::argument(argument, offset, &format!("less than the segment's {end} bytes")))
}

/// Returns the offset and the length of a part of `segment`. A size of 0 stands for all the rest.
pub(crate) fn range(segment: &Segment, offset: i64, size: i64) -> Result<(u64, u64)> {
    let offset = offset_inside(segment, "byte_offset", offset)?;
    let size = match unsigned("size", size)? {
        0 => segment.size() - offset,
        size => size,
    };
    segment.check_bounds(offset, size)?;
    Ok((offset, size))
}
