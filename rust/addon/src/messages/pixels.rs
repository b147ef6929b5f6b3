//! The pixels of images: copied out of the memory, and converted on the way if need be.

use godot::builtin::PackedByteArray;
use godot::global::Error as Code;
use shm_segment::layout::native::{Descriptor, Incoming, Kind, PixelFormat};

use crate::error::{Failure, Result};
use crate::script_values::{resized, to_usize};

/// The elements that are converted at once: few enough for the stack, and to stay in the processor's cache.
const PIECE: usize = 1024;

/// An image as a script gets it, and the way there from the message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// The format for the script: one that the engine knows.
    pub(crate) format: PixelFormat,
    sent: PixelFormat,
    stride: u32,
}

impl Picture {
    /// Returns the image that a message is, in the format that is `wanted`, or else in its own. A format that
    /// the engine lacks becomes the one of the same channels.
    pub(crate) fn of(descriptor: Descriptor, wanted: Option<PixelFormat>) -> Result<Self> {
        let [width, height, number, stride] = descriptor.shape;
        let invalid = |why: String| Failure::new(Code::ERR_INVALID_DATA, why);
        let sent = PixelFormat::new(number).filter(|_| descriptor.kind == Kind::Image);
        let sent = sent.ok_or_else(|| invalid("the message is not an image".to_owned()))?;
        let format = wanted.unwrap_or(match sent {
            PixelFormat::BGR8 => PixelFormat::RGB8,
            PixelFormat::BGRA8 => PixelFormat::RGBA8,
            other => other,
        });
        let picture = Self { width, height, format, sent, stride };
        if sent != format && !picture.is_convertible() {
            let advice = "read it with the format -1, and call convert() on it";
            return Err(invalid(format!("the image has the format {number}; {advice}")));
        }
        Ok(picture)
    }

    /// Returns the bytes of its pixels.
    pub(crate) fn size(&self) -> usize {
        to_usize(u64::from(self.width) * u64::from(self.height) * self.format.pixel_size())
    }

    /// Copies the pixels into a new array.
    pub(crate) fn copied(&self, message: &Incoming<'_>) -> Result<PackedByteArray> {
        let mut pixels = PackedByteArray::new();
        let unpopulated = to_usize(message.unpopulated());
        self.copy(message, resized("an image", &mut pixels, self.size(), unpopulated)?)?;
        Ok(pixels)
    }

    /// Copies the pixels. `into` has [`size`](Self::size) bytes.
    pub(crate) fn copy(&self, message: &Incoming<'_>, into: &mut [u8]) -> Result<()> {
        match self.sent {
            sent if sent == self.format => {
                let row = to_usize(u64::from(self.width) * sent.pixel_size());
                if row as u64 == u64::from(self.stride) {
                    message.read(0, into)?;
                } else {
                    message.read_rows(row, into)?;
                }
                Ok(())
            }
            PixelFormat::L8 => self.convert(message, into, |[l]| [l, l, l, 255]),
            PixelFormat::LA8 => self.convert(message, into, |[l, a]| [l, l, l, a]),
            PixelFormat::RGB8 => self.convert(message, into, |[r, g, b]| [r, g, b, 255]),
            PixelFormat::BGR8 => self.convert(message, into, |[b, g, r]| [r, g, b, 255]),
            PixelFormat::BGRA8 => self.convert(message, into, |[b, g, r, a]| [r, g, b, a]),
            // RGBA8: no other format is convertible.
            _ => self.convert(message, into, |pixel: [u8; 4]| pixel),
        }
    }

    const fn is_convertible(&self) -> bool {
        use PixelFormat as F;
        matches!(self.sent, F::L8 | F::LA8 | F::RGB8 | F::RGBA8 | F::BGR8 | F::BGRA8)
    }

    /// Converts the pixels, of which `rgba` returns the channels.
    fn convert<const I: usize>(
        &self,
        message: &Incoming<'_>,
        into: &mut [u8],
        rgba: impl Fn([u8; I]) -> [u8; 4],
    ) -> Result<()> {
        match self.format {
            PixelFormat::L8 => self.convert_rows(message, into, |pixel| [grey(rgba(pixel))]),
            PixelFormat::RGB8 => self.convert_rows(message, into, |pixel| {
                let [r, g, b, _] = rgba(pixel);
                [r, g, b]
            }),
            _ => self.convert_rows(message, into, rgba),
        }
    }

    fn convert_rows<const I: usize, const O: usize>(
        &self,
        message: &Incoming<'_>,
        into: &mut [u8],
        convert_pixel: impl Fn([u8; I]) -> [u8; O],
    ) -> Result<()> {
        let mut offset = 0;
        for row in into.chunks_exact_mut(to_usize(self.width.into()) * O) {
            convert(message, offset, row, &convert_pixel)?;
            offset += u64::from(self.stride);
        }
        Ok(())
    }
}

/// Returns the luminance as `Image.convert()` does (core/io/image.cpp, `_convert`). Of grey, that is the same
/// grey.
fn grey([r, g, b, _]: [u8; 4]) -> u8 {
    let [_, _, grey, _] =
        (13938 * u32::from(r) + 46869 * u32::from(g) + 4729 * u32::from(b) + 32768).to_le_bytes();
    grey
}

/// Converts elements of a message, from `offset` on, until `into` is full.
pub(super) fn convert<const I: usize, const O: usize>(
    message: &Incoming<'_>,
    mut offset: u64,
    into: &mut [u8],
    convert: impl Fn([u8; I]) -> [u8; O],
) -> Result<()> {
    // Another program may change the bytes at any time, so each piece is copied first.
    let mut buffer = [[0; I]; PIECE];
    for piece in into.as_chunks_mut().0.chunks_mut(PIECE) {
        let copied = &mut buffer[..piece.len()];
        message.read(offset, copied.as_flattened_mut())?;
        for (to, from) in piece.iter_mut().zip(&*copied) {
            *to = convert(*from);
        }
        offset += copied.as_flattened().len() as u64;
    }
    Ok(())
}
