//! Values of scripts in the engine's own binary form.
//!
//! The engine decodes nothing but bytes that only we have and that were measured: so it prints nothing, and makes
//! nothing that the bytes don't account for, whatever another program has written. It encodes nothing that was not
//! looked at either: of a value that contains itself it would print an error.

use godot::builtin::{
    AnyArray, AnyDictionary, PackedByteArray, PackedColorArray, PackedFloat32Array, PackedFloat64Array,
    PackedInt32Array, PackedInt64Array, PackedStringArray, PackedVector2Array, PackedVector3Array,
    PackedVector4Array, Signal, Variant, VariantType,
};
use godot::global::{Error as Code, bytes_to_var, var_to_bytes};
use godot::init::GdextBuild;
use shm_segment::values::Source;
use shm_segment::values::variant::{Engine, Error, MAX_DEPTH, Measured, measure};

use crate::binding::EngineText;
use crate::binding::packed::{self, Packed};
use crate::error::Failure;
use crate::script_values::{is_room_for, no_room, resized};
use crate::unicode::utf8_length_of;

type Result<T, E = Failure> = std::result::Result<T, E>;

/// The engine that runs us.
fn engine() -> Engine {
    let (major, minor, _) = GdextBuild::godot_runtime_version_triple();
    Engine::version(major.into(), minor.into())
}

/// Measures what is at `offset`, where `limit` bytes are left.
pub(crate) fn measured<S: Source + ?Sized>(source: &S, offset: u64, limit: u64) -> Result<Measured> {
    measure(source, offset, limit, engine()).map_err(|error| match error {
        Error::Source(error) => error.into(),
        error => Failure::new(Code::ERR_INVALID_DATA, format!("no value at byte {offset}: {error}")),
    })
}

/// The value in bytes that were `measured` where others may change them; `copy` copies them from there.
/// `unsupplied` is what [`Segment::to_supply`](shm_segment::Segment::to_supply) says of as many.
pub(crate) fn decoded(
    measured: Measured,
    unsupplied: u64,
    copy: impl FnOnce(&mut [u8]) -> Result<()>,
) -> Result<Variant> {
    let Measured { size, memory } = measured;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let besides = usize::try_from(memory.saturating_add(unsupplied)).unwrap_or(usize::MAX);
    let mut array = PackedByteArray::new();
    let bytes = resized(&mut array, size, besides);
    let bytes = bytes.ok_or_else(|| no_room("a value", size))?;
    copy(bytes)?;
    // Measured anew: only what is true of the copy will be true when the engine looks at it.
    match measure(&*bytes, 0, size as u64, engine()) {
        Ok(copied) if copied.size == measured.size && copied.memory <= measured.memory => {
            Ok(bytes_to_var(&array))
        }
        _ => Err(Failure::new(Code::ERR_INVALID_DATA, "another program changed the value while it was read")),
    }
}

/// The bytes of a value that has this [`least_size`]. What can't be read again is refused.
pub(crate) fn encoded(value: &Variant, least: u64) -> Result<PackedByteArray> {
    let least = usize::try_from(least).unwrap_or(usize::MAX);
    if !is_room_for(least) {
        return Err(no_room("a value", least));
    }
    let array = var_to_bytes(value);
    let bytes = packed::bytes(&array);
    match measure(bytes, 0, bytes.len() as u64, engine()) {
        Ok(measured) if measured.size == bytes.len() as u64 => Ok(array),
        Ok(_) => Err(refused("could not be read again")),
        Err(error) => Err(refused(&format!("could not be read again: {error}"))),
    }
}

/// How many bytes a value takes, at the least; some more than `enough` if it is more than that.
///
/// Refuses what the engine would print an error about: too many containers one in the other, and more bytes than it
/// can count.
pub(crate) fn least_size(value: &Variant, enough: u64) -> Result<u64> {
    const MOST: u64 = i32::MAX.unsigned_abs() as u64;
    let mut size = Size::of(value)?;
    let mut open = Open::of(value, 0);
    while let Some(container) = open.last_mut() {
        if size.least > enough {
            break;
        }
        let Some(value) = container.next() else {
            open.pop();
            continue;
        };
        size.add(Size::of(&value)?);
        let depth = container.depth + 1;
        if depth > MAX_DEPTH {
            return Err(refused(&format!(
                "has containers in containers, more than {MAX_DEPTH}, or contains itself"
            )));
        }
        open.extend(Open::of(&value, depth));
    }
    if size.least <= enough && size.most > MOST {
        return Err(refused(&format!("may take more than the {MOST} bytes that the engine can count")));
    }
    Ok(size.least)
}

fn refused(why: &str) -> Failure {
    Failure::new(Code::ERR_INVALID_PARAMETER, format!("value {why}"))
}

/// The bytes of a value, without those of the values in it.
#[derive(Clone, Copy)]
struct Size {
    least: u64,
    most: u64,
}

impl Size {
    /// Refuses text that is not valid Unicode, about which the engine would print an error.
    fn of(value: &Variant) -> Result<Self> {
        /// The header.
        const LEAST: u64 = 4;
        /// A projection in a build with `precision=double`. What has a name and an id has no longer one.
        const MOST: u64 = 4 + 16 * 8;
        let length = |least: usize, most: usize| Self {
            least: LEAST.saturating_add(least as u64),
            most: MOST.saturating_add(most as u64),
        };
        let bytes = |bytes: usize| length(bytes, bytes);
        Ok(match value.get_type() {
            VariantType::STRING | VariantType::STRING_NAME => bytes(utf8_length_in(value)?),
            // Each name has a length and padding.
            VariantType::NODE_PATH => length(0, utf8_length_in(value)?.saturating_mul(12)),
            VariantType::SIGNAL => {
                let name = value.try_to::<Signal>().map(|signal| signal.name()).unwrap_or_default();
                bytes(utf8_length_of("value", &EngineText::from(&name))?)
            }
            VariantType::PACKED_BYTE_ARRAY => bytes(packed_size::<PackedByteArray>(value)),
            VariantType::PACKED_INT32_ARRAY => bytes(packed_size::<PackedInt32Array>(value)),
            VariantType::PACKED_INT64_ARRAY => bytes(packed_size::<PackedInt64Array>(value)),
            VariantType::PACKED_FLOAT32_ARRAY => bytes(packed_size::<PackedFloat32Array>(value)),
            VariantType::PACKED_FLOAT64_ARRAY => bytes(packed_size::<PackedFloat64Array>(value)),
            VariantType::PACKED_VECTOR2_ARRAY => bytes(packed_size::<PackedVector2Array>(value)),
            VariantType::PACKED_VECTOR3_ARRAY => bytes(packed_size::<PackedVector3Array>(value)),
            VariantType::PACKED_VECTOR4_ARRAY => bytes(packed_size::<PackedVector4Array>(value)),
            VariantType::PACKED_COLOR_ARRAY => bytes(packed_size::<PackedColorArray>(value)),
            VariantType::PACKED_STRING_ARRAY => {
                let array = value.try_to::<PackedStringArray>().unwrap_or_default();
                let texts = array.as_slice().iter().map(EngineText::from);
                let lengths = texts.map(|text| utf8_length_of("value", &text));
                let sum = lengths.sum::<Result<usize>>()?;
                // Each has a length, a NUL and padding.
                let each = |bytes: usize| array.len().saturating_mul(bytes).saturating_add(sum);
                length(each(8), each(12))
            }
            _ => length(0, 0),
        })
    }

    fn add(&mut self, other: Self) {
        self.least = self.least.saturating_add(other.least);
        self.most = self.most.saturating_add(other.most);
    }
}

fn utf8_length_in(value: &Variant) -> Result<usize> {
    EngineText::of(value).map_or(Ok(0), |text| utf8_length_of("value", &text))
}

fn packed_size<A: Packed + godot::meta::FromGodot>(value: &Variant) -> usize {
    value.try_to::<A>().map_or(0, |array| packed::bytes(&array).len())
}

/// A container whose values are being looked at.
struct Open {
    values: AnyArray,
    at: usize,
    depth: usize,
}

impl Open {
    /// What is in a value that is in `depth` containers. A dictionary's keys are looked at as its values are.
    fn of(value: &Variant, depth: usize) -> Vec<Self> {
        let of = |values| Self { values, at: 0, depth };
        match value.get_type() {
            VariantType::ARRAY => value.try_to().map(of).into_iter().collect(),
            VariantType::DICTIONARY => {
                let dictionary = value.try_to::<AnyDictionary>().ok();
                dictionary.iter().flat_map(|d| [d.keys_array(), d.values_array()]).map(of).collect()
            }
            _ => Vec::new(),
        }
    }

    fn next(&mut self) -> Option<Variant> {
        self.at += 1;
        self.values.get(self.at - 1)
    }
}
