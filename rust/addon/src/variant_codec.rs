//! Values of scripts in the engine's own binary form.
//!
//! The engine only decodes measured copies, which other programs can't change. It therefore prints no error,
//! and allocates no more than the bytes account for, whatever another program has written. A value is
//! measured before it is encode, too: the engine would print an error for one that contains itself.

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
use crate::error::{Failure, Result};
use crate::room::require_room;
use crate::script_values::{resized, to_usize};
use crate::unicode::length_in_utf8;

/// Returns what the running engine can decode.
fn engine() -> Engine {
    let (major, minor, _) = GdextBuild::godot_runtime_version_triple();
    Engine::version(major.into(), minor.into())
}

/// Measures the value at `offset`, which has `limit` bytes at most.
pub(crate) fn measure_value<S: Source + ?Sized>(source: &S, offset: u64, limit: u64) -> Result<Measured> {
    measure(source, offset, limit, engine()).map_err(|error| match error {
        Error::Source(error) => error.into(),
        error => Failure::new(Code::ERR_INVALID_DATA, format!("no value at byte {offset}: {error}")),
    })
}

/// Decodes a value that was `measured` in memory that other programs may change. `copy` copies it from there,
/// and `unpopulated` is [`unpopulated_if_large`](shm_segment::Segment::unpopulated_if_large) of its size.
pub(crate) fn decode(
    measured: Measured,
    unpopulated: u64,
    copy: impl FnOnce(&mut [u8]) -> Result<()>,
) -> Result<Variant> {
    let (size, extra) = (to_usize(measured.size), to_usize(measured.memory.saturating_add(unpopulated)));
    let mut array = PackedByteArray::new();
    let bytes = resized("a value", &mut array, size, extra)?;
    copy(bytes)?;
    // Measured again: another program may have changed the value between measuring and copying.
    match measure(&*bytes, 0, size as u64, engine()) {
        Ok(copied) if copied.size == measured.size && copied.memory <= measured.memory => {
            Ok(bytes_to_var(&array))
        }
        _ => Err(Failure::new(Code::ERR_INVALID_DATA, "another program changed the value while it was read")),
    }
}

/// Encodes a value that has this [`least_size`]. Refuses one that could not be decoded again.
pub(crate) fn encode(value: &Variant, least: u64) -> Result<PackedByteArray> {
    require_room("a value", to_usize(least), 0)?;
    let array = var_to_bytes(value);
    let bytes = packed::bytes(&array);
    match measure(bytes, 0, bytes.len() as u64, engine()) {
        Ok(measured) if measured.size == bytes.len() as u64 => Ok(array),
        Ok(_) => Err(invalid_value("has an encoded form that can't be decoded")),
        Err(error) => Err(invalid_value(&format!("has an encoded form that can't be decoded: {error}"))),
    }
}

/// Returns the least number of bytes that a value can have. Stops counting beyond `enough`.
///
/// Refuses values for which the engine would print an error: those with containers nested too deeply, and
/// those with more bytes than it can count.
pub(crate) fn least_size(value: &Variant, enough: u64) -> Result<u64> {
    const MAX: u64 = i32::MAX.unsigned_abs() as u64;
    let mut size = Size::of(value)?;
    let mut stack = Container::of(value, 0);
    while let Some(container) = stack.last_mut() {
        if size.least > enough {
            break;
        }
        let Some(value) = container.next() else {
            stack.pop();
            continue;
        };
        size.add(Size::of(&value)?);
        let depth = container.depth + 1;
        if depth > MAX_DEPTH {
            return Err(invalid_value(&format!(
                "has more than {MAX_DEPTH} containers inside each other, or contains itself"
            )));
        }
        stack.extend(Container::of(&value, depth));
    }
    if size.least <= enough && size.most > MAX {
        return Err(invalid_value(&format!("may take more than the {MAX} bytes that the engine can count")));
    }
    Ok(size.least)
}

fn invalid_value(why: &str) -> Failure {
    Failure::invalid(format!("value {why}"))
}

/// The bounds of a value's size in bytes, without the values inside it.
#[derive(Clone, Copy)]
struct Size {
    least: u64,
    most: u64,
}

impl Size {
    /// Returns the bounds for a value. Refuses invalid Unicode, for which the engine would print an error.
    fn of(value: &Variant) -> Result<Self> {
        /// The header.
        const LEAST: u64 = 4;
        /// The longest part of fixed size: that of a `Projection` in a build with `precision=double`.
        const MOST: u64 = 4 + 16 * 8;
        let length = |least: usize, most: usize| Self {
            least: LEAST.saturating_add(least as u64),
            most: MOST.saturating_add(most as u64),
        };
        let bytes = |bytes: usize| length(bytes, bytes);
        Ok(match value.get_type() {
            VariantType::STRING | VariantType::STRING_NAME => bytes(utf8_length_in(value)?),
            // Each name in the path has a length and padding.
            VariantType::NODE_PATH => length(0, utf8_length_in(value)?.saturating_mul(12)),
            VariantType::SIGNAL => {
                let name = value.try_to::<Signal>().map(|signal| signal.name()).unwrap_or_default();
                bytes(length_in_utf8("value", &EngineText::from(&name))?)
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
                let lengths = texts.map(|text| length_in_utf8("value", &text));
                let sum = lengths.sum::<Result<usize>>()?;
                // Each text has a length, a NUL and padding.
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
    EngineText::of(value).map_or(Ok(0), |text| length_in_utf8("value", &text))
}

fn packed_size<A: Packed + godot::meta::FromGodot>(value: &Variant) -> usize {
    value.try_to::<A>().map_or(0, |array| packed::bytes(&array).len())
}

/// A container whose values are being measured.
struct Container {
    values: AnyArray,
    index: usize,
    /// The number of containers around it.
    depth: usize,
}

impl Container {
    /// Returns the values inside a value that `depth` containers surround. A dictionary counts as two
    /// containers, of its keys and of its values.
    fn of(value: &Variant, depth: usize) -> Vec<Self> {
        let of = |values| Self { values, index: 0, depth };
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
        self.index += 1;
        self.values.get(self.index - 1)
    }
}
