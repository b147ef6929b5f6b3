//! Messages of libsharedmemory's streams as values of scripts.

use godot::builtin::{PackedByteArray, PackedFloat32Array, PackedFloat64Array, Variant, VariantType};
use shm_segment::layout::stream::Kind;
use shm_segment::layout::{Error, Result as LayoutResult};

use crate::binding::packed;
use crate::error::{Failure, Result};
use crate::script_values::packed_message;
use crate::unicode::{decode_utf8, variant_to_utf8};

/// Returns a message as a script's value.
pub(super) fn value_of(kind: Kind, bytes: &[u8]) -> LayoutResult<Variant> {
    let size = bytes.len() as u64;
    Ok(match kind {
        Kind::String => Variant::from(decode_utf8(bytes).map_err(|_| Error::OutOfMemory { size })?),
        Kind::Bytes => Variant::from(packed_message::<PackedByteArray>(bytes)?),
        Kind::Floats => Variant::from(packed_message::<PackedFloat32Array>(bytes)?),
        Kind::Doubles => Variant::from(packed_message::<PackedFloat64Array>(bytes)?),
    })
}

/// A script's value as a message of the stream.
pub(super) enum Message {
    Text(String),
    Bytes(PackedByteArray),
    Floats(PackedFloat32Array),
    Doubles(PackedFloat64Array),
}

impl Message {
    pub(super) fn of(value: &Variant) -> Result<Self> {
        Ok(match value.get_type() {
            VariantType::STRING => Self::Text(variant_to_utf8("value", value)?),
            VariantType::PACKED_BYTE_ARRAY => Self::Bytes(value.to()),
            VariantType::PACKED_FLOAT32_ARRAY => Self::Floats(value.to()),
            VariantType::PACKED_FLOAT64_ARRAY => Self::Doubles(value.to()),
            other => {
                let wanted = "a String, PackedByteArray, PackedFloat32Array or PackedFloat64Array";
                return Err(Failure::argument("value", format!("{other:?}"), wanted));
            }
        })
    }

    pub(super) fn parts(&self) -> (Kind, &[u8]) {
        match self {
            Self::Text(text) => (Kind::String, text.as_bytes()),
            Self::Bytes(bytes) => (Kind::Bytes, packed::bytes(bytes)),
            Self::Floats(floats) => (Kind::Floats, packed::bytes(floats)),
            Self::Doubles(doubles) => (Kind::Doubles, packed::bytes(doubles)),
        }
    }
}
