//! Values of scripts from bytes that are in our own memory, and back.

use godot::builtin::{GString, PackedByteArray, Variant, VariantType};
use godot::global::Error as Code;
use shm_segment::layout::{
    self,
    structs::{Format, Value},
};

use crate::class::packed::{self, Packed};
use crate::error::Failure;

type Result<T, E = Failure> = std::result::Result<T, E>;

/// An array with these bytes as its elements.
pub(crate) fn packed_from<A: Packed>(bytes: &[u8]) -> Result<A> {
    let mut array = A::default();
    if !bytes.is_empty() {
        let room = is_room_for(bytes.len()).then(|| packed::resize(&mut array, bytes.len() / A::STRIDE));
        match room.flatten() {
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

/// The text that these bytes are in UTF-8, up to the first NUL: the engine's strings can't hold one. What is no UTF-8 is
/// U+FFFD.
pub(crate) fn text_from(bytes: &[u8]) -> Result<GString> {
    const REPLACEMENT: &str = "\u{FFFD}";
    const BYTE_ORDER_MARK: &str = "\u{FEFF}";
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let bytes = &bytes[..end];
    let mut made = String::new();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with(BYTE_ORDER_MARK) => text,
        _ => {
            // The engine drops one at the start; it is a part of the text as any other.
            let marks = [BYTE_ORDER_MARK].into_iter().filter(|mark| bytes.starts_with(mark.as_bytes()));
            let chunks = bytes
                .utf8_chunks()
                .flat_map(|chunk| [chunk.valid(), if chunk.invalid().is_empty() { "" } else { REPLACEMENT }]);
            for part in marks.chain(chunks) {
                made.try_reserve(part.len()).map_err(|_| no_room("a text", end))?;
                made.push_str(part);
            }
            &made
        }
    };
    if !is_room_for_text(text.len()) {
        return Err(no_room("a text", end));
    }
    Ok(GString::from(text))
}

/// So many bytes of UTF-8 the engine takes: it counts them in an `int`.
pub(crate) const LONGEST_TEXT: usize = i32::MAX as usize;

/// Can the engine have a text of so many bytes of UTF-8?
fn is_room_for_text(length: usize) -> bool {
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
            VariantType::STRING => Self::Text(value.to::<GString>().to_string()),
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
pub(crate) fn parsed(argument: &str, format: &GString) -> Result<Format> {
    Format::parse(&format.to_string())
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
    bytes.try_reserve_exact(size).map_err(|_| no_room("a copy", size))?;
    bytes.resize(size, 0);
    Ok(bytes)
}

/// The engine prints errors when it can't have memory; another program decides how much is asked for here.
pub(crate) fn is_room_for(length: usize) -> bool {
    const SMALL: usize = 1 << 24;
    length < SMALL || Vec::<u8>::new().try_reserve_exact(length).is_ok()
}

/// `what` is to be made of so many bytes.
pub(crate) fn no_room(what: &str, size: usize) -> Failure {
    Failure::new(Code::ERR_OUT_OF_MEMORY, format!("no room for {what} of {size} bytes"))
}
