//! The pixels of an `Image`, copied straight from the memory and into it.

use shm_segment::{Rows, Segment};

use super::args::unsigned;
use super::{Result, SharedMemory};
use crate::binding::{Definition, ErrorCode, Image, ImageArg, methods};
use crate::error::{Failure, code_of};

pub(super) fn define(class: &mut Definition<SharedMemory>) {
    methods!(class, SharedMemory {
        const fn read_image(image: Image, byte_offset: i64 = 0, row_stride: i64 = 0) -> ErrorCode;
        fn write_image(image: Image, byte_offset: i64 = 0, row_stride: i64 = 0) -> ErrorCode;
    });
}

impl SharedMemory {
    fn read_image(&self, image: Option<ImageArg<'_>>, byte_offset: i64, row_stride: i64) -> ErrorCode {
        code_of(self.with_segment(|segment| {
            let mut image = usable(image)?;
            // Before `bytes_mut`, which copies pixels that another image shares: a failure would waste that.
            match place(segment, &image, byte_offset, row_stride)? {
                ImageRows::Packed(offset) => Ok(segment.read(offset, image.bytes_mut())?),
                ImageRows::Rows(rows) => Ok(segment.read_rows(rows, image.bytes_mut())?),
            }
        }))
    }

    fn write_image(&self, image: Option<ImageArg<'_>>, byte_offset: i64, row_stride: i64) -> ErrorCode {
        code_of(self.with_segment(|segment| {
            let image = usable(image)?;
            match place(segment, &image, byte_offset, row_stride)? {
                ImageRows::Packed(offset) => Ok(segment.write(offset, image.bytes())?),
                ImageRows::Rows(rows) => Ok(segment.write_rows(rows, image.bytes())?),
            }
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

/// The place of an image's pixels in a segment.
enum ImageRows {
    /// All bytes in one piece, from this offset on.
    Packed(u64),
    /// Row by row.
    Rows(Rows),
}

/// Returns the place that a script means, if it lies in the segment.
fn place(segment: &Segment, image: &ImageArg<'_>, byte_offset: i64, row_stride: i64) -> Result<ImageRows> {
    let offset = unsigned("byte_offset", byte_offset)?;
    let pixels = image.bytes().len();
    if row_stride != 0 {
        return rows(segment, image, offset, row_stride);
    }
    let left = segment.size().saturating_sub(offset);
    if pixels as u64 > left {
        return Err(Failure::invalid(format!(
            "the image has {pixels} bytes of pixels; from byte {offset} on the segment has {left}"
        )));
    }
    Ok(ImageRows::Packed(offset))
}

fn rows(segment: &Segment, image: &ImageArg<'_>, offset: u64, row_stride: i64) -> Result<ImageRows> {
    if image.has_mipmaps() {
        let advice = "call clear_mipmaps() on it, or leave row_stride at 0";
        return Err(Failure::invalid(format!(
            "image has mipmaps, which have rows of other lengths; {advice}"
        )));
    }
    let pixels = image.bytes().len();
    // Without mipmaps, all rows have the same length.
    let row = pixels / image.height().max(1);
    let Some(rows) = Rows::new(offset, row, row_stride) else {
        let limit = format!("0, {row} or more, or -{row} or less (an image's row has {row} bytes)");
        return Err(Failure::argument("row_stride", row_stride, &limit));
    };
    segment.check_rows(rows, pixels).map_err(|error| {
        Failure::invalid(format!("byte_offset {offset} and row_stride {row_stride}: {error}"))
    })?;
    Ok(ImageRows::Rows(rows))
}
