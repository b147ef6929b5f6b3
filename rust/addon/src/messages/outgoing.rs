//! Values on their way into the memory.

use godot::builtin::{
    PackedByteArray, PackedColorArray, PackedFloat32Array, PackedFloat64Array, PackedInt32Array,
    PackedInt64Array, PackedVector2Array, PackedVector3Array, PackedVector4Array, Variant, VariantType, real,
};
use godot::meta::FromGodot;
use shm_segment::layout;
use shm_segment::layout::native::{Descriptor, Element, Kind, Meaning, Message, PixelFormat};

use crate::binding::ImageArg;
use crate::binding::packed::{self, Packed};
use crate::error::{Failure, Result};
use crate::unicode::variant_to_utf8;
use crate::{variant_codec, variant_size};

/// A value that is to be sent.
pub(crate) struct Outgoing {
    descriptor: Descriptor,
    content: Content,
}

/// The bytes. Packed arrays share them with the script's value.
enum Content {
    Text(String),
    Bytes(PackedByteArray),
    Int32(PackedInt32Array),
    Int64(PackedInt64Array),
    Float32(PackedFloat32Array),
    Float64(PackedFloat64Array),
    Vector2(PackedVector2Array),
    Vector3(PackedVector3Array),
    Vector4(PackedVector4Array),
    Color(PackedColorArray),
}

/// The numbers of this engine's vectors.
pub(super) const REAL: Element = if size_of::<real>() == 8 { Element::F64 } else { Element::F32 };

impl Outgoing {
    /// Returns the message for a value, which the script gave as `value`. Refuses one that is longer than
    /// `limit` bytes.
    pub(crate) fn of(value: &Variant, limit: u64) -> Result<Self> {
        let outgoing = Self::of_any_length(value, limit)?;
        let size = outgoing.message().content.len() as u64;
        if size > limit {
            return Err(Failure::of_message("value", &layout::Error::TooLarge { size, limit }));
        }
        Ok(outgoing)
    }

    /// Returns the message for a value. Refuses one that can't be encoded in `limit` bytes, but not every
    /// longer one.
    fn of_any_length(value: &Variant, limit: u64) -> Result<Self> {
        use VariantType as T;
        Ok(match value.get_type() {
            T::STRING => Self::plain(Kind::Text, Content::Text(variant_to_utf8("value", value)?)),
            T::PACKED_BYTE_ARRAY => Self::plain(Kind::Bytes, Content::Bytes(value.to())),
            T::PACKED_INT32_ARRAY => array(value, Element::I32, Content::Int32)?,
            T::PACKED_INT64_ARRAY => array(value, Element::I64, Content::Int64)?,
            T::PACKED_FLOAT32_ARRAY => array(value, Element::F32, Content::Float32)?,
            T::PACKED_FLOAT64_ARRAY => array(value, Element::F64, Content::Float64)?,
            T::PACKED_VECTOR2_ARRAY => rows(value, (REAL, Meaning::Vectors, 2), Content::Vector2)?,
            T::PACKED_VECTOR3_ARRAY => rows(value, (REAL, Meaning::Vectors, 3), Content::Vector3)?,
            T::PACKED_VECTOR4_ARRAY => rows(value, (REAL, Meaning::Vectors, 4), Content::Vector4)?,
            // Colours have single precision in every engine.
            T::PACKED_COLOR_ARRAY => rows(value, (Element::F32, Meaning::Colors, 4), Content::Color)?,
            T::OBJECT => match ImageArg::in_variant(value) {
                Some(image) => picture(&image)?,
                None => Self::encoded(value, limit)?,
            },
            _ => Self::encoded(value, limit)?,
        })
    }

    const fn plain(kind: Kind, content: Content) -> Self {
        Self { descriptor: Descriptor::of(kind), content }
    }

    fn encoded(value: &Variant, limit: u64) -> Result<Self> {
        let least = variant_size::least_plain_size(value, limit)?;
        if least > limit {
            // The rest wasn't counted.
            return Err(Failure::invalid(format!(
                "value: {least} bytes or more are too many: at most {limit} fit"
            )));
        }
        Ok(Self::plain(Kind::Value, Content::Bytes(variant_codec::encode_plain(value, least)?)))
    }

    pub(crate) fn message(&self) -> Message<'_> {
        let content = match &self.content {
            Content::Text(text) => text.as_bytes(),
            Content::Bytes(array) => packed::bytes(array),
            Content::Int32(array) => packed::bytes(array),
            Content::Int64(array) => packed::bytes(array),
            Content::Float32(array) => packed::bytes(array),
            Content::Float64(array) => packed::bytes(array),
            Content::Vector2(array) => packed::bytes(array),
            Content::Vector3(array) => packed::bytes(array),
            Content::Vector4(array) => packed::bytes(array),
            Content::Color(array) => packed::bytes(array),
        };
        Message { descriptor: self.descriptor, content }
    }
}

/// Returns the message for an array of numbers.
fn array<A: Packed + FromGodot>(
    value: &Variant,
    element: Element,
    content: fn(A) -> Content,
) -> Result<Outgoing> {
    let array: A = value.to();
    let kind = Kind::Array { element, meaning: Meaning::Plain, dimensions: 1 };
    let shape = [count(&array)?, 0, 0, 0];
    Ok(Outgoing { descriptor: Descriptor { kind, shape }, content: content(array) })
}

/// Returns the message for an array whose elements have `width` numbers each.
fn rows<A: Packed + FromGodot>(
    value: &Variant,
    (element, meaning, width): (Element, Meaning, u32),
    content: fn(A) -> Content,
) -> Result<Outgoing> {
    let array: A = value.to();
    let kind = Kind::Array { element, meaning, dimensions: 2 };
    let shape = [count(&array)?, width, 0, 0];
    Ok(Outgoing { descriptor: Descriptor { kind, shape }, content: content(array) })
}

fn count<A: Packed>(array: &A) -> Result<u32> {
    let count = packed::bytes(array).len() / A::STRIDE;
    u32::try_from(count).map_err(|_| {
        Failure::argument("value", format!("{count} elements"), &format!("an array of at most {}", u32::MAX))
    })
}

/// Returns the message for an image. Its pixels are those of this moment: the image may change while the call
/// waits for room.
fn picture(image: &ImageArg<'_>) -> Result<Outgoing> {
    let invalid = |why: &str| Failure::invalid(format!("value is an Image that {why}"));
    if image.is_compressed() {
        return Err(invalid("is compressed; decompress() it first"));
    }
    if image.has_mipmaps() {
        return Err(invalid("has mipmaps; call clear_mipmaps() on it first"));
    }
    let (pixels, height) = (image.data(), image.height());
    let size = packed::bytes(&pixels).len();
    if size == 0 || height == 0 {
        return Err(invalid("is empty"));
    }
    let number = image.format();
    let format = u32::try_from(number).ok().filter(|number| *number < PixelFormat::BGR8.number());
    let Some(format) = format.and_then(PixelFormat::new) else {
        return Err(invalid(&format!("has the format {number}, which messages lack; convert() it first")));
    };
    let numbers = [image.width(), height, size / height].map(|number| u32::try_from(number).unwrap_or(0));
    let shape = [numbers[0], numbers[1], format.number(), numbers[2]];
    let descriptor = Descriptor { kind: Kind::Image, shape };
    Ok(Outgoing { descriptor, content: Content::Bytes(pixels) })
}
