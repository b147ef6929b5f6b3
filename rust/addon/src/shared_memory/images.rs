//! The pixels of an `Image`, copied straight from the memory and into it.

use super::args::unsigned;
use super::{Result, SharedMemory};
use crate::binding::{Definition, ErrorCode, Image, ImageArg, methods};
use crate::error::{Failure, code_of};

pub(super) fn define(class: &mut Definition<SharedMemory>) {
    methods!(class, SharedMemory {
        const fn read_image(image: Image, byte_offset: i64 = 0) -> ErrorCode;
        fn write_image(image: Image, byte_offset: i64 = 0) -> ErrorCode;
    });
}

impl SharedMemory {
    fn read_image(&self, image: Option<ImageArg<'_>>, byte_offset: i64) -> ErrorCode {
        code_of(self.with_segment(|segment| {
            let mut image = usable(image)?;
            let offset = unsigned("byte_offset", byte_offset)?;
            // Before `bytes_mut`, which copies pixels that another image shares: a failure would waste that.
            check(segment, offset, image.bytes().len())?;
            Ok(segment.read(offset, image.bytes_mut())?)
        }))
    }

    fn write_image(&self, image: Option<ImageArg<'_>>, byte_offset: i64) -> ErrorCode {
        code_of(self.with_segment(|segment| {
            let image = usable(image)?;
            let offset = unsigned("byte_offset", byte_offset)?;
            check(segment, offset, image.bytes().len())?;
            Ok(segment.write(offset, image.bytes())?)
        }))
    }
}

/// Returns the image if it has pixels that can be copied.
fn usable(image: Option<ImageArg<'_>>) -> Result<ImageArg<'_>> {
    let invalid = |why: &str| Err(Failure::invalid(format!("image {why}")));
    match image {
        None => invalid("is null or not an Image"),
        Some(image) if image.bytes().is_empty() => invalid("is empty"),
        Some(image) if image.is_compressed() => invalid("is compressed; decompress() it first"),
        Some(image) => Ok(image),
    }
}

/// Fails if the segment has fewer bytes from `offset` on than the image has.
fn check(segment: &shm_segment::Segment, offset: u64, pixels: usize) -> Result<()> {
    let left = segment.size().saturating_sub(offset);
    if pixels as u64 <= left {
        return Ok(());
    }
    Err(Failure::invalid(format!(
        "the image has {pixels} bytes of pixels; from byte {offset} on the segment has {left}"
    )))
}
