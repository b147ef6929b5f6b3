//! Pictures: the pixels of an `Image`, straight from the memory and into it.

use godot::global::Error as Code;

use super::args::unsigned;
use super::{Result, SharedMemory};
use crate::binding::{Definition, ErrorCode, Image, Picture, methods};
use crate::error::{Failure, code_of};

pub(super) fn define(class: &mut Definition<SharedMemory>) {
    methods!(class, SharedMemory {
        const fn read_image(image: Image, byte_offset: i64 = 0) -> ErrorCode;
        fn write_image(image: Image, byte_offset: i64 = 0) -> ErrorCode;
    });
}

impl SharedMemory {
    fn read_image(&self, image: Option<Picture<'_>>, byte_offset: i64) -> ErrorCode {
        code_of(self.with(|segment| {
            let mut image = usable(image)?;
            let offset = unsigned("byte_offset", byte_offset)?;
            // Before the pixels are asked for: an image that shares them with a copy would get its own for nothing.
            check(segment, offset, image.bytes().len())?;
            Ok(segment.read(offset, image.bytes_mut())?)
        }))
    }

    fn write_image(&self, image: Option<Picture<'_>>, byte_offset: i64) -> ErrorCode {
        code_of(self.with(|segment| {
            let image = usable(image)?;
            let offset = unsigned("byte_offset", byte_offset)?;
            check(segment, offset, image.bytes().len())?;
            Ok(segment.write(offset, image.bytes())?)
        }))
    }
}

fn usable(image: Option<Picture<'_>>) -> Result<Picture<'_>> {
    let refused = |why: &str| Err(Failure::new(Code::ERR_INVALID_PARAMETER, format!("image {why}")));
    match image {
        None => refused("is null, or no Image"),
        Some(image) if image.bytes().is_empty() => refused("is empty"),
        Some(image) if image.is_compressed() => refused("is compressed; decompress() it first"),
        Some(image) => Ok(image),
    }
}

fn check(segment: &shm_segment::Segment, offset: u64, pixels: usize) -> Result<()> {
    let left = segment.size().saturating_sub(offset);
    if pixels as u64 <= left {
        return Ok(());
    }
    let message =
        format!("the image has {pixels} bytes of pixels; from byte {offset} on the segment has {left}");
    Err(Failure::new(Code::ERR_INVALID_PARAMETER, message))
}
