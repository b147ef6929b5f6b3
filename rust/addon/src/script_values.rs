//! Values of scripts from bytes that are in our own memory, and back.

use godot::builtin::{PackedByteArray, Variant, VariantType};
use godot::global::Error as Code;
use shm_segment::values::structs::{Format, Value};
use shm_segment::{Segment, has_room_for, layout};

use crate::binding::EngineText;
use crate::binding::packed::{self, Packed};
use crate::error::Failure;
use crate::unicode::{utf8_in, utf8_of};

type Result<T, E = Failure> = std::result::Result<T, E>;

/// An array with these bytes as its elements.
pub(crate) fn packed_from<A: Packed>(bytes: &[u8]) -> Result<A> {
    let mut array = A::default();
    if !bytes.is_empty() {
        match resized(&mut array, bytes.len() / A::STRIDE, 0) {
            Some(room) if room.len() == bytes.len() => room.copy_from_slice(bytes),
            _ => return Err(no_room("an array", bytes.len())),
        }
    }
    Ok(array)
}

/// A message's bytes as an array of bytes.
pub(crate) fn packed_message<A: Packed>(bytes: &[u8]) -> layout::Result<A> {
    // Nothing else can be wrong with it.
    packed_from(bytes).map_err(|_| layout::Error::OutOfMemory { size: bytes.len() as u64 })
}

/// So many bytes of UTF-8 the engine takes: it counts them in an `int`.
pub(crate) const LONGEST_TEXT: usize = i32::MAX as usize;

/// Can the engine have a text of so many bytes of UTF-8?
pub(crate) fn is_room_for_text(length: usize) -> bool {
    /// The engine's strings take so many for each character,
    const ENGINE_BYTES: usize = 4;
    // and the engine takes as many at once as a power of two has.
    let taken = (length + 1).checked_mul(ENGINE_BYTES).and_then(usize::checked_next_power_of_two);
    length <= LONGEST_TEXT && taken.is_some_and(is_room_for)
}

/// A script's value that is to be packed into a struct, as long as it is needed.
pub(crate) enum Given {
    Number(Value<'static>),
    Bytes(PackedByteArray),
    Text(String),
}

impl Given {
    /// `name` is what a refusal calls it.
    pub(crate) fn of(name: impl FnOnce() -> String, value: &Variant) -> Result<Self> {
        Ok(match value.get_type() {
            VariantType::BOOL => Self::Number(Value::Bool(value.to())),
            VariantType::INT => Self::Number(Value::Int(value.to())),
            VariantType::FLOAT => Self::Number(Value::Float(value.to())),
            VariantType::PACKED_BYTE_ARRAY => Self::Bytes(value.to()),
            VariantType::STRING => Self::Text(utf8_in(&name(), value)?),
            other => {
                let wanted = "a number, a bool, a String or a PackedByteArray";
                return Err(Failure::argument(&name(), format!("{other:?}"), wanted));
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

/// The format that a script gave as `argument`.
pub(crate) fn parsed(argument: &str, format: &EngineText<'_>) -> Result<Format> {
    Format::parse(&utf8_of(argument, format)?)
        .map_err(|e| Failure::new(Code::ERR_INVALID_PARAMETER, format!("{argument}: {e}")))
}

/// The bytes of a struct with these values.
pub(crate) fn packed_struct(format: &Format, values: &[Given]) -> Result<Vec<u8>> {
    let values: Vec<Value<'_>> = values.iter().map(Given::as_value).collect();
    let mut bytes = zeros(format.size())?;
    format.pack(&values, &mut bytes).map_err(|e| refused(&e))?;
    Ok(bytes)
}

/// The values in the bytes of a struct.
pub(crate) fn unpacked_struct<'b>(
    format: &'b Format,
    bytes: &'b [u8],
) -> Result<impl Iterator<Item = Variant> + 'b> {
    Ok(format.unpack(bytes).map_err(|e| refused(&e))?.map(to_script))
}

fn to_script(value: Value<'_>) -> Variant {
    match value {
        Value::Int(value) => Variant::from(value),
        Value::Bool(value) => Variant::from(value),
        Value::Float(value) => Variant::from(value),
        Value::Bytes(bytes) => Variant::from(PackedByteArray::from(bytes)),
    }
}

fn refused(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Code::ERR_INVALID_PARAMETER, error.to_string())
}

/// As many as fit into a segment are perhaps more than there is memory for once more.
pub(crate) fn zeros(size: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if !is_room_for(size) {
        return Err(no_room("a copy", size));
    }
    bytes.try_reserve_exact(size).map_err(|_| no_room("a copy", size))?;
    bytes.resize(size, 0);
    Ok(bytes)
}

/// Can so many bytes be had? Another program decides how much is asked for. The engine prints an error when it can't
/// have memory; Linux gives it out, and ends the process once there is none behind it.
pub(crate) fn is_room_for(length: usize) -> bool {
    has_room_for(length as u64) && can_be_reserved(length)
}

fn can_be_reserved(length: usize) -> bool {
    const SMALL: usize = 1 << 24;
    length < SMALL || Vec::<u8>::new().try_reserve_exact(length).is_ok()
}

/// Makes an empty array `count` elements long, and returns their bytes: if there is memory for them, and for as many
/// bytes `besides`.
pub(crate) fn resized<A: Packed>(array: &mut A, count: usize, besides: usize) -> Option<&mut [u8]> {
    let length = count.checked_mul(A::STRIDE)?;
    // The engine's arrays take as many bytes at once as a power of two has.
    let is_room =
        is_room_for(length.checked_add(besides)?) && can_be_reserved(length.checked_next_power_of_two()?);
    is_room.then(|| packed::resize(array, count)).flatten()
}

/// How many bytes of memory the engine takes for an `Array` of so many values, at the most and without what they lead
/// to. An array that grows has room for more: for a power of two of bytes, and for half as many again since Godot 4.6
/// (`CowData`, core/templates/cowdata.h).
fn array_memory(count: usize) -> usize {
    /// An `ArrayPrivate` and what goes with two allocations.
    const ARRAY: usize = 192;
    count.saturating_mul(2 * size_of::<Variant>()).saturating_add(ARRAY)
}

/// How many bytes of memory the values of a struct lead to: a `PackedByteArray` for each that is bytes.
fn bytes_memory(format: &Format) -> usize {
    /// The array, its reference, and what goes with two allocations.
    const PACKED: usize = 160;
    let arrays = format.byte_values().saturating_mul(PACKED);
    // All of them together have no more bytes than the struct, and each takes a power of two.
    if arrays == 0 { 0 } else { arrays.saturating_add(format.size().saturating_mul(2)) }
}

/// How many bytes of memory the engine takes for an `Array` of the values of a struct.
pub(crate) fn struct_memory(format: &Format) -> usize {
    array_memory(format.count()).saturating_add(bytes_memory(format))
}

/// How many bytes of memory the engine takes for an `Array` of so many structs: one value each, or an `Array` each.
pub(crate) fn structs_memory(format: &Format, count: usize) -> usize {
    let each = if format.count() == 1 { bytes_memory(format) } else { struct_memory(format) };
    array_memory(count).saturating_add(count.saturating_mul(each))
}

/// `count` elements of the memory as an array, from `offset` on, where they lie in the segment.
pub(crate) fn array_from<A: Packed>(segment: &Segment, offset: u64, count: u64) -> Result<A> {
    let mut array = A::default();
    let length = count.saturating_mul(A::STRIDE as u64);
    let whole = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
    let bytes = resized(&mut array, whole(count), whole(segment.to_supply(length)));
    let bytes = bytes.ok_or_else(|| no_room("an array", whole(length)))?;
    segment.read(offset, bytes)?;
    Ok(array)
}

/// `what` is to be made of so many bytes.
pub(crate) fn no_room(what: &str, size: usize) -> Failure {
    Failure::new(Code::ERR_OUT_OF_MEMORY, format!("no room for {what} of {size} bytes"))
}
