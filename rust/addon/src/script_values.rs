//! Conversions between values of scripts and bytes in own memory.

use godot::builtin::{AnyArray, PackedByteArray, Variant, VariantType};
use shm_segment::layout;
use shm_segment::values::structs::{Format, Value};

use crate::binding::EngineText;
use crate::binding::packed::{self, Packed};
use crate::error::{Failure, Result};
use crate::room::{can_allocate, can_reserve, no_room, require_room};
use crate::unicode::{utf8_in, utf8_of};

/// Returns an array with these bytes as its elements.
pub(crate) fn packed_from<A: Packed>(bytes: &[u8]) -> Result<A> {
    let mut array = A::default();
    if !bytes.is_empty() {
        let elements = resized("an array", &mut array, bytes.len() / A::STRIDE, 0)?;
        // Not a part of the bytes: their number must be a multiple of an element's.
        if elements.len() != bytes.len() {
            return Err(no_room("an array", bytes.len()));
        }
        elements.copy_from_slice(bytes);
    }
    Ok(array)
}

/// Returns a message's bytes as an array, for a layout to call. It only fails for lack of memory.
pub(crate) fn packed_message<A: Packed>(bytes: &[u8]) -> layout::Result<A> {
    packed_from(bytes).map_err(|_| layout::Error::OutOfMemory { size: bytes.len() as u64 })
}

/// A script's value for a struct. It owns the text or bytes that a [`Value`] borrows.
pub(crate) enum StructValue {
    Number(Value<'static>),
    Bytes(PackedByteArray),
    Text(String),
}

impl StructValue {
    /// Converts an `Array` of values. Error messages number them from 0.
    pub(crate) fn all(values: &AnyArray) -> Result<Vec<Self>> {
        let of = |(index, value)| Self::of(|| format!("value {index}"), &value);
        values.iter_shared().enumerate().map(of).collect()
    }

    /// Converts a value. `name` stands for it in error messages.
    pub(crate) fn of(name: impl FnOnce() -> String, value: &Variant) -> Result<Self> {
        Ok(match value.get_type() {
            VariantType::BOOL => Self::Number(Value::Bool(value.to())),
            VariantType::INT => Self::Number(Value::Int(value.to())),
            VariantType::FLOAT => Self::Number(Value::Float(value.to())),
            VariantType::PACKED_BYTE_ARRAY => Self::Bytes(value.to()),
            VariantType::STRING => Self::Text(utf8_in(&name(), value)?),
            other => {
                let expected = "a number, a bool, a String or a PackedByteArray";
                return Err(Failure::argument(&name(), format!("{other:?}"), expected));
            }
        })
    }

    fn as_value(&self) -> Value<'_> {
        match self {
            Self::Number(value) => *value,
            Self::Bytes(bytes) => Value::Bytes(packed::bytes(bytes)),
            Self::Text(text) => Value::Bytes(text.as_bytes()),
        }
    }
}

/// Parses the format that a script gave as `argument`.
pub(crate) fn parse_format(argument: &str, format: &EngineText<'_>) -> Result<Format> {
    Format::parse(&utf8_of(argument, format)?).map_err(|e| Failure::invalid(format!("{argument}: {e}")))
}

/// Returns the bytes of a struct with these values.
pub(crate) fn pack_struct(format: &Format, values: &[StructValue]) -> Result<Vec<u8>> {
    let values: Vec<Value<'_>> = values.iter().map(StructValue::as_value).collect();
    let mut bytes = zeros(format.size())?;
    format.pack(&values, &mut bytes).map_err(|e| Failure::invalid(e.to_string()))?;
    Ok(bytes)
}

/// Returns the values in the bytes of a struct.
pub(crate) fn unpack_struct<'b>(
    format: &'b Format,
    bytes: &'b [u8],
) -> Result<impl Iterator<Item = Variant> + 'b> {
    Ok(format.unpack(bytes).map_err(|e| Failure::invalid(e.to_string()))?.map(to_script))
}

fn to_script(value: Value<'_>) -> Variant {
    match value {
        Value::Int(value) => Variant::from(value),
        Value::Bool(value) => Variant::from(value),
        Value::Float(value) => Variant::from(value),
        Value::Bytes(bytes) => Variant::from(PackedByteArray::from(bytes)),
    }
}

/// Returns `size` zeros, if there is room: a second copy of a segment's bytes may not fit in memory.
pub(crate) fn zeros(size: usize) -> Result<Vec<u8>> {
    require_room("a copy", size, 0)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| no_room("a copy", size))?;
    bytes.resize(size, 0);
    Ok(bytes)
}

/// Makes an array `count` elements long, and returns their bytes. Fails, in the name of `what`, if there is
/// no room for them and for `extra` bytes more.
pub(crate) fn resized<'a, A: Packed>(
    what: &str,
    array: &'a mut A,
    count: usize,
    extra: usize,
) -> Result<&'a mut [u8]> {
    let length = count.saturating_mul(A::STRIDE);
    // Godot rounds an array's allocation up to a power of two.
    let is_room = can_allocate(length.saturating_add(extra))
        && length.checked_next_power_of_two().is_some_and(can_reserve);
    let bytes = is_room.then(|| packed::resize(array, count)).flatten();
    bytes.ok_or_else(|| no_room(what, length))
}

/// Returns the most bytes of memory that the engine uses for an `Array` of `count` values, without the memory
/// that the values point to. A growing array allocates up to the next power of two, since Godot 4.6 half as
/// much again (`CowData`, core/templates/cowdata.h).
fn array_memory(count: usize) -> usize {
    /// An `ArrayPrivate`, and the overhead of two allocations.
    const ARRAY: usize = 192;
    count.saturating_mul(2 * size_of::<Variant>()).saturating_add(ARRAY)
}

/// Returns the most bytes of memory that the values of a struct point to: those of its `PackedByteArray`s.
fn bytes_memory(format: &Format) -> usize {
    /// The array, its reference, and the overhead of two allocations.
    const PACKED: usize = 160;
    let arrays = format.byte_values().saturating_mul(PACKED);
    // The arrays together have the struct's bytes at most. Rounding up to a power of two may double them.
    if arrays == 0 { 0 } else { arrays.saturating_add(format.size().saturating_mul(2)) }
}

/// Returns the most bytes of memory that the engine uses for an `Array` of a struct's values.
pub(crate) fn struct_memory(format: &Format) -> usize {
    array_memory(format.count()).saturating_add(bytes_memory(format))
}

/// Returns the most bytes of memory that the engine uses for an `Array` of `count` structs. A struct of one
/// value is that value, any other an `Array`.
pub(crate) fn structs_memory(format: &Format, count: usize) -> usize {
    let each = if format.count() == 1 { bytes_memory(format) } else { struct_memory(format) };
    array_memory(count).saturating_add(count.saturating_mul(each))
}

/// Converts a number of bytes. One beyond the address space becomes `usize::MAX`: there is never room for it.
pub(crate) fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
