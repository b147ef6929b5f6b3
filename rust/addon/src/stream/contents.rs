//! Messages of the native layout that are read into the script's own array or image, and the size and shape
//! of the newest one.

use godot::builtin::PackedInt32Array;
use godot::global::Error as Code;
use shm_segment::Segment;
use shm_segment::layout::native::{Incoming, Kind, Newest, PixelFormat, Stream as Native};

use super::{SharedMemoryStream, StreamLayout};
use crate::args::signed;
use crate::attachment::Attached;
use crate::binding::{Buffer, BytesOut, Definition, ErrorCode, Image, ImageArg, methods};
use crate::error::{Failure, Result, code_of};
use crate::messages::Picture;
use crate::script_values::to_usize;

pub(super) fn define(class: &mut Definition<SharedMemoryStream>) {
    methods!(class, SharedMemoryStream {
        const fn read_into(buffer: BytesOut) -> ErrorCode;
        const fn read_image(image: Image, format: i64 = AS_SENT) -> ErrorCode;
        const fn get_message_size() -> i64;
        const fn get_message_shape() -> PackedInt32Array;
    });
}

/// The number that stands for the format of the message.
const AS_SENT: i64 = -1;

impl SharedMemoryStream {
    fn read_into(&self, buffer: Buffer<'_>) -> ErrorCode {
        code_of(self.with_native(|stream, segment| {
            let unavailable =
                || Failure::new(Code::ERR_UNAVAILABLE, "this engine can't fill the caller's array");
            buffer.fill(|bytes| stream.read(segment, |message| copy_into(message, bytes)), unavailable)
        }))
    }

    fn read_image(&self, image: Option<ImageArg<'_>>, format: i64) -> ErrorCode {
        code_of(self.with_native(|stream, segment| {
            let mut image = image.ok_or_else(|| Failure::invalid("image is null or not an Image"))?;
            let wanted = wanted(format)?;
            // A message that can't become such an image counts as read. Otherwise, `wait()` would find it
            // again.
            stream.read(segment, |message| match Picture::of(message.descriptor(), wanted) {
                Ok(picture) => show(picture, message, &mut image).map(Ok),
                Err(failure) => Ok(Err(failure)),
            })?
        }))
    }

    fn get_message_size(&self) -> i64 {
        self.newest(|newest| Ok(signed(newest.length))).unwrap_or_default()
    }

    fn get_message_shape(&self) -> PackedInt32Array {
        let shape = self.newest(|newest| {
            let shape = newest.descriptor.shape;
            Ok(match newest.descriptor.kind {
                Kind::Array { dimensions, .. } => shape[..dimensions.into()].to_vec(),
                Kind::Image => {
                    let picture = Picture::of(newest.descriptor, None)?;
                    vec![picture.width, picture.height, picture.format.number()]
                }
                Kind::Bytes | Kind::Text | Kind::Value => Vec::new(),
            })
        });
        let shape = shape.unwrap_or_default();
        // A dimension beyond the limit is that of an array without elements.
        shape.into_iter().map(|number| i32::try_from(number).unwrap_or(i32::MAX)).collect()
    }

    fn newest<T>(&self, get: impl FnOnce(Newest) -> Result<T>) -> Result<T, ErrorCode> {
        self.with_native(|stream, segment| get(stream.newest(segment)?))
    }

    fn with_native<T>(&self, work: impl FnOnce(&Native, &Segment) -> Result<T>) -> Result<T, ErrorCode> {
        self.with_layout(|stream, segment| match stream {
            StreamLayout::Native(stream) => work(stream, segment),
            StreamLayout::Lsm(_) => {
                Err(Failure::new(Code::ERR_UNAVAILABLE, "only messages of LAYOUT_NATIVE have a kind"))
            }
        })
    }
}

fn copy_into(message: &Incoming<'_>, buffer: &mut [u8]) -> Result<()> {
    let (size, room) = (message.length(), buffer.len());
    let Some(buffer) = buffer.get_mut(..to_usize(size)) else {
        let why = format!("the message has {size} bytes, and buffer has room for {room}");
        // The writer decided the length.
        return Err(Failure::invalid(why).unprinted());
    };
    Ok(message.read(0, buffer)?)
}

/// Returns the format that a script asks for.
fn wanted(format: i64) -> Result<Option<PixelFormat>> {
    if format == AS_SENT {
        return Ok(None);
    }
    let formats = [PixelFormat::L8, PixelFormat::RGB8, PixelFormat::RGBA8];
    let found = formats.into_iter().find(|known| i64::from(known.number()) == format);
    let limit = "-1, Image.FORMAT_L8 (0), FORMAT_RGB8 (4) or FORMAT_RGBA8 (5)";
    found.map(Some).ok_or_else(|| Failure::argument("format", format, limit))
}

/// Copies the pixels into the script's image, in place if it has the same size and format already.
fn show(picture: Picture, message: &Incoming<'_>, image: &mut ImageArg<'_>) -> Result<()> {
    let (width, height, format) = (picture.width, picture.height, picture.format.number());
    let is_same = image.width() as u64 == width.into()
        && image.height() as u64 == height.into()
        && image.format() == i64::from(format)
        // Not with mipmaps.
        && image.bytes().len() == picture.size();
    if is_same {
        return picture.copy(message, image.bytes_mut());
    }
    let is_set = image.set_data(width, height, format, &picture.copied(message)?);
    is_set.then_some(()).ok_or_else(|| Failure::new(Code::ERR_UNAVAILABLE, "this engine can't set an image"))
}
