//! The size of a script's value in the engine's binary form, before it is encoded.
//!
//! The walk looks at each value in each container. So it also finds the values that can't be encoded, or that
//! mean nothing to the other side.

use godot::builtin::{
    AnyArray, AnyDictionary, PackedByteArray, PackedColorArray, PackedFloat32Array, PackedFloat64Array,
    PackedInt32Array, PackedInt64Array, PackedStringArray, PackedVector2Array, PackedVector3Array,
    PackedVector4Array, Signal, Variant, VariantType,
};
use godot::global::is_same;
use shm_segment::values::variant::MAX_DEPTH;

use crate::binding::EngineText;
use crate::binding::packed::{self, Packed};
use crate::error::{Failure, Result};
use crate::unicode::{length_in_utf8, variant_to_utf8};
use crate::variant_codec::invalid_value;

/// Returns the least number of bytes that a value can have. Stops counting beyond `enough`.
///
/// Refuses values for which the engine would print an error: those with containers nested too deeply, and
/// those with more bytes than it can count.
pub(crate) fn least_size(value: &Variant, enough: u64) -> Result<u64> {
    least_size_of(value, enough, |_| false)
}

/// Returns the least size as [`least_size`] does, for a value in a message. Refuses null alone, and values
/// that mean nothing in another process.
pub(crate) fn least_plain_size(value: &Variant, enough: u64) -> Result<u64> {
    use VariantType as T;
    if value.is_nil() {
        return Err(invalid_value("is null; put it into an Array to send it"));
    }
    least_size_of(value, enough, |of| matches!(of, T::OBJECT | T::RID | T::CALLABLE | T::SIGNAL))
}

fn least_size_of(root: &Variant, enough: u64, is_refused: fn(VariantType) -> bool) -> Result<u64> {
    const MAX: u64 = i32::MAX.unsigned_abs() as u64;
    let refused = |path: &str, of: VariantType| {
        let name = match of {
            VariantType::OBJECT => "an Object",
            VariantType::RID => "a RID",
            VariantType::CALLABLE => "a Callable",
            _ => "a Signal",
        };
        Err(Failure::invalid(format!("{path} is {name}, which means nothing in another program")))
    };
    if is_refused(root.get_type()) {
        return refused("value", root.get_type());
    }
    let mut size = Size::of(root)?;
    let mut stack: Vec<Container> = Container::of(root).into_iter().collect();
    while let Some(container) = stack.last_mut() {
        if size.least > enough {
            // A value that contains itself has no end, so its size would be a misleading reason.
            refuse_recursion(root, &stack)?;
            break;
        }
        let Some(value) = container.next() else {
            stack.pop();
            continue;
        };
        let of = value.get_type();
        if is_refused(of) {
            return refused(&path_to(&stack), of);
        }
        size.add(Size::of(&value)?);
        if stack.len() > MAX_DEPTH {
            refuse_recursion(root, &stack)?;
            let inside = "arrays and dictionaries inside each other";
            return Err(invalid_value(&format!("has more than {MAX_DEPTH} {inside}")));
        }
        stack.extend(Container::of(&value));
    }
    if size.least <= enough && size.most > MAX {
        return Err(invalid_value(&format!("may take more than the {MAX} bytes that the engine can count")));
    }
    Ok(size.least)
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
    /// Of a dictionary, the keys. They come after the values.
    keys: Option<AnyArray>,
    index: usize,
}

impl Container {
    fn of(value: &Variant) -> Option<Self> {
        let (values, keys) = match value.get_type() {
            VariantType::ARRAY => (value.try_to().ok()?, None),
            VariantType::DICTIONARY => {
                let dictionary = value.try_to::<AnyDictionary>().ok()?;
                (dictionary.values_array(), Some(dictionary.keys_array()))
            }
            _ => return None,
        };
        Some(Self { values, keys, index: 0 })
    }

    fn next(&mut self) -> Option<Variant> {
        self.index += 1;
        self.last()
    }

    /// Returns the value that `next` has returned last.
    fn last(&self) -> Option<Variant> {
        let index = self.index.checked_sub(1)?;
        self.values.get(index).or_else(|| self.keys.as_ref()?.get(index.checked_sub(self.values.len())?))
    }

    /// Returns the expression that leads from the container to the last value.
    fn step(&self) -> String {
        let index = self.index.saturating_sub(1);
        let Some(keys) = &self.keys else { return format!("[{index}]") };
        if let Some(key) = index.checked_sub(self.values.len()) {
            return format!(".keys()[{key}]");
        }
        let key = keys.get(index).unwrap_or_default();
        match key.get_type() {
            VariantType::INT | VariantType::BOOL => format!("[{key}]"),
            VariantType::STRING | VariantType::STRING_NAME => {
                let text = variant_to_utf8("value", &key).unwrap_or_default();
                format!("[{:?}]", text.chars().take(MAX_KEY_SHOWN).collect::<String>())
            }
            _ => format!(".values()[{index}]"),
        }
    }
}

/// The characters of a key that an error text shows.
const MAX_KEY_SHOWN: usize = 40;
/// The containers around a value that an error text shows.
const MAX_STEPS_SHOWN: usize = 8;

/// Refuses a value if one of the containers that the walk is in is also one of those around it.
#[cold]
fn refuse_recursion(root: &Variant, stack: &[Container]) -> Result<()> {
    // The container at each depth.
    let mut containers = vec![root.clone()];
    containers.extend(stack.iter().map_while(Container::last));
    containers.truncate(stack.len());
    for inner in 1..containers.len() {
        let is_inner = |container: &Variant| is_same(container, &containers[inner]);
        if let Some(outer) = containers[..inner].iter().position(is_inner) {
            let (inside, around) = (path_to(&stack[..inner]), path_to(&stack[..outer]));
            return Err(Failure::invalid(format!(
                "{inside} is {around} itself, and a value that contains itself can't be encoded"
            )));
        }
    }
    Ok(())
}

/// Returns the expression for the last value of the innermost container, such as `value["a"][3]`.
fn path_to(stack: &[Container]) -> String {
    let steps: String = stack.iter().take(MAX_STEPS_SHOWN).map(Container::step).collect();
    let more = if stack.len() > MAX_STEPS_SHOWN { "…" } else { "" };
    format!("value{steps}{more}")
}
