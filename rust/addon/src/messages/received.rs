//! Messages on their way to the script.

use godot::builtin::{
    PackedByteArray, PackedColorArray, PackedFloat32Array, PackedFloat64Array, PackedInt32Array,
    PackedInt64Array, PackedVector2Array, PackedVector3Array, PackedVector4Array, Variant,
};
use godot::global::Error as Code;
use godot::meta::ToGodot;
use shm_segment::layout::native::{Element, Incoming, Kind, Meaning};

use super::outgoing::REAL;
use super::pixels::{Picture, convert};
use crate::binding::new_image;
use crate::binding::packed::Packed;
use crate::error::{Failure, Result};
use crate::script_values::{resized, to_usize};
use crate::unicode::decode_message_text;
use crate::variant_codec;

/// A message that was copied out of the memory.
pub(crate) enum Received {
    Text(Vec<u8>),
    Image(Picture, PackedByteArray),
    /// A value in the engine's binary form.
    Encoded(PackedByteArray),
    /// A packed array.
    Value(Variant),
}

impl Received {
    /// Copies a message.
    pub(crate) fn copy(message: &Incoming<'_>) -> Result<Self> {
        Ok(match message.descriptor().kind {
            Kind::Text => Self::Text(message.to_vec()?),
            Kind::Bytes => array::<PackedByteArray>(message)?,
            Kind::Value => Self::Encoded(copied(message)?),
            Kind::Array { element, meaning, .. } => array_of(message, element, meaning)?,
            Kind::Image => {
                let picture = Picture::of(message.descriptor(), None)?;
                Self::Image(picture, picture.copied(message)?)
            }
        })
    }

    /// Makes the script's value.
    pub(crate) fn into_value(self) -> Result<Variant> {
        match self {
            Self::Text(bytes) => Ok(Variant::from(decode_message_text(bytes)?)),
            Self::Image(picture, pixels) => {
                let image = new_image(picture.width, picture.height, picture.format.number(), &pixels);
                image.ok_or_else(|| Failure::new(Code::ERR_UNAVAILABLE, "this engine can't make an image"))
            }
            Self::Encoded(bytes) => variant_codec::decode_plain(&bytes),
            Self::Value(value) => Ok(value),
        }
    }
}

/// Copies a message into an array of the engine, as it is.
fn copied<A: Packed>(message: &Incoming<'_>) -> Result<A> {
    let mut array = A::default();
    let count = to_usize(message.length()) / A::STRIDE;
    if count > 0 {
        message.read(0, resized("a message", &mut array, count, to_usize(message.unpopulated()))?)?;
    }
    Ok(array)
}

fn array<A: Packed + ToGodot>(message: &Incoming<'_>) -> Result<Received> {
    Ok(Received::Value(copied::<A>(message)?.to_variant()))
}

fn array_of(message: &Incoming<'_>, element: Element, meaning: Meaning) -> Result<Received> {
    let width = message.descriptor().shape[1];
    match (meaning, element, width) {
        (Meaning::Plain, Element::I32, _) => array::<PackedInt32Array>(message),
        (Meaning::Plain, Element::I64, _) => array::<PackedInt64Array>(message),
        (Meaning::Plain, Element::F32, _) => array::<PackedFloat32Array>(message),
        (Meaning::Plain, Element::F64, _) => array::<PackedFloat64Array>(message),
        (Meaning::Colors, ..) => floats::<PackedColorArray>(message, element, Element::F32),
        (Meaning::Vectors, _, 2) => floats::<PackedVector2Array>(message, element, REAL),
        (Meaning::Vectors, _, 3) => floats::<PackedVector3Array>(message, element, REAL),
        (Meaning::Vectors, ..) => floats::<PackedVector4Array>(message, element, REAL),
    }
}

/// Returns an array whose numbers are `own` in this engine. Those of the message may have the other
/// precision.
fn floats<A: Packed + ToGodot>(message: &Incoming<'_>, element: Element, own: Element) -> Result<Received> {
    let numbers = message.length() / element.size();
    if element == own || numbers == 0 {
        return array::<A>(message);
    }
    let mut array = A::default();
    let count = to_usize(numbers * own.size()) / A::STRIDE;
    let into = resized("a message", &mut array, count, to_usize(message.unpopulated()))?;
    if own == Element::F64 {
        convert(message, 0, into, |number| f64::from(f32::from_le_bytes(number)).to_le_bytes())?;
    } else {
        #[allow(clippy::cast_possible_truncation, reason = "becomes the nearest number")]
        convert(message, 0, into, |number| (f64::from_le_bytes(number) as f32).to_le_bytes())?;
    }
    Ok(Received::Value(array.to_variant()))
}
