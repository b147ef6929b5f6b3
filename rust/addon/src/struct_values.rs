//! Conversions between values of scripts and the bytes of structs.

use std::fmt;

use godot::builtin::{
    AnyArray, AnyDictionary, PackedByteArray, VarArray, VarDictionary, Variant, VariantType,
};
use shm_segment::values::structs::{Field, Format, Value};

use crate::binding::EngineText;
use crate::binding::containers::{array_of, dictionary_of};
use crate::binding::packed;
use crate::error::{Failure, Result};
use crate::script_values::zeros;
use crate::unicode::{engine_text, to_utf8, variant_to_utf8};

/// The place of a value in the argument of a script, such as `values["cars"][3]`.
pub(crate) enum Place<'a> {
    Argument(&'static str),
    /// An element of an `Array`.
    Element(&'a Self, usize),
    /// The value of a key of a `Dictionary`.
    Key(&'a Self, &'a str),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(name) => f.write_str(name),
            Self::Element(array, index) => write!(f, "{array}[{index}]"),
            Self::Key(dictionary, name) => write!(f, "{dictionary}[{name:?}]"),
        }
    }
}

/// Parses the format that a script gave as `argument`.
pub(crate) fn parse_format(argument: &str, format: &EngineText<'_>) -> Result<Format> {
    Format::parse(&to_utf8(argument, format)?).map_err(|e| Failure::invalid(format!("{argument}: {e}")))
}

/// Returns the bytes of a struct with these values: an `Array`, or a `Dictionary` if the format has names.
pub(crate) fn pack_struct(format: &Format, argument: &'static str, values: &Variant) -> Result<Vec<u8>> {
    let mut bytes = zeros(format.size())?;
    put_struct(format, &Place::Argument(argument), values, &mut bytes)?;
    Ok(bytes)
}

/// Returns the bytes of an element of an array. As [`pack_struct`], but a struct of one value is that value,
/// without an `Array` around it.
pub(crate) fn pack_element(format: &Format, argument: &'static str, value: &Variant) -> Result<Vec<u8>> {
    let place = Place::Argument(argument);
    match format.fields() {
        // A `Dictionary` is a struct by names, unless the one value is a group: then it is that group.
        [field] if format.outer_count() == 1 && (field.group().is_some() || !is_dictionary(value)) => {
            let mut bytes = zeros(format.size())?;
            if field.group().is_some() {
                put_field(field, &place, value, &mut bytes)?;
            } else {
                put_value(field, 0, &place, value, &mut bytes)?;
            }
            Ok(bytes)
        }
        _ => pack_struct(format, argument, value),
    }
}

fn is_dictionary(value: &Variant) -> bool {
    value.get_type() == VariantType::DICTIONARY
}

fn put_struct(format: &Format, place: &Place<'_>, values: &Variant, bytes: &mut [u8]) -> Result<()> {
    if is_dictionary(values) {
        return put_named(format, place, &values.to(), bytes);
    }
    let values = elements(place, values, format.outer_count())?;
    let mut indices = 0..;
    let mut next = || indices.next().map(|index| (Place::Element(place, index), element(&values, index)));
    for field in format.fields() {
        if field.group().is_some() {
            if let Some((place, value)) = next() {
                put_field(field, &place, &value, bytes)?;
            }
        } else {
            for (nth, (place, value)) in (0..field.count()).zip(std::iter::from_fn(&mut next)) {
                put_value(field, nth, &place, &value, bytes)?;
            }
        }
    }
    Ok(())
}

fn put_named(format: &Format, place: &Place<'_>, values: &AnyDictionary, bytes: &mut [u8]) -> Result<()> {
    for field in format.fields() {
        let Some(name) = field.name() else {
            return Err(Failure::invalid(format!(
                "{place} is a Dictionary, but not every value of its struct has a name in format"
            )));
        };
        let Some(value) = values.get(&key(name)) else {
            return Err(Failure::invalid(format!("{place} must have the key {name:?}")));
        };
        put_field(field, &Place::Key(place, name), &value, bytes)?;
    }
    if values.len() > format.fields().len() {
        let is_unknown = |key: &Variant| {
            !format.fields().iter().any(|field| field.name().map(self::key).as_ref() == Some(key))
        };
        if let Some(key) = values.keys_array().iter_shared().find(is_unknown) {
            return Err(Failure::invalid(format!("{place} has the key {key:?}, a name that format lacks")));
        }
    }
    Ok(())
}

/// Packs the value of a field as a `Dictionary` has it: an `Array`, if it has a repeat count.
fn put_field(field: &Field, place: &Place<'_>, value: &Variant, bytes: &mut [u8]) -> Result<()> {
    if !field.is_array() {
        return put_value(field, 0, place, value, bytes);
    }
    let values = elements(place, value, field.count())?;
    for nth in 0..field.count() {
        put_value(field, nth, &Place::Element(place, nth), &element(&values, nth), bytes)?;
    }
    Ok(())
}

/// Packs one of the values of a field.
fn put_value(field: &Field, nth: usize, place: &Place<'_>, value: &Variant, bytes: &mut [u8]) -> Result<()> {
    if let Some(group) = field.group() {
        return put_struct(group, place, value, field.bytes_mut(nth, bytes));
    }
    let mut put = |value| {
        field.put(nth, &value, bytes).map_err(|problem| Failure::invalid(format!("{place} {problem}")))
    };
    match value.get_type() {
        VariantType::BOOL => put(Value::Bool(value.to())),
        VariantType::INT => put(Value::Int(value.to())),
        VariantType::FLOAT => put(Value::Float(value.to())),
        VariantType::PACKED_BYTE_ARRAY => put(Value::Bytes(packed::bytes(&value.to::<PackedByteArray>()))),
        VariantType::STRING => put(Value::Bytes(variant_to_utf8(&place.to_string(), value)?.as_bytes())),
        other => {
            let expected = "a number, a bool, a String or a PackedByteArray";
            Err(Failure::argument(&place.to_string(), format!("{other:?}"), expected))
        }
    }
}

/// Returns the elements of an array of any type, which must be as many as `expected`.
fn elements(place: &Place<'_>, value: &Variant, expected: usize) -> Result<AnyArray> {
    let array = match value.get_type() {
        VariantType::ARRAY => value.try_to::<AnyArray>().ok(),
        VariantType::DICTIONARY | VariantType::NIL => None,
        _ => value.try_to_relaxed::<VarArray>().ok().map(VarArray::upcast_any_array),
    };
    let Some(array) = array else {
        let limit = format!("an Array of {expected} elements");
        return Err(Failure::argument(&place.to_string(), format!("{:?}", value.get_type()), &limit));
    };
    if array.len() != expected {
        let message = format!("{place} must have {expected} elements, not {}", array.len());
        return Err(Failure::invalid(message));
    }
    Ok(array)
}

/// Returns an element, or null if another thread has made the array shorter.
fn element(values: &AnyArray, index: usize) -> Variant {
    values.get(index).unwrap_or_default()
}

/// Returns the values in the bytes of a struct, each group in an `Array` of its own.
pub(crate) fn unpack_struct(format: &Format, bytes: &[u8]) -> VarArray {
    array_of(format.outer_count(), |push| {
        for field in format.fields() {
            match field.group() {
                None => field.values(bytes).map(to_script).for_each(&mut *push),
                Some(group) => push(all(field, bytes, |bytes| Variant::from(unpack_struct(group, bytes)))),
            }
        }
    })
}

/// As [`unpack_struct`], but a struct of one value is that value.
pub(crate) fn unpack_element(format: &Format, bytes: &[u8]) -> Variant {
    let values = unpack_struct(format, bytes);
    if format.outer_count() == 1 { values.get(0).unwrap_or_default() } else { Variant::from(values) }
}

/// Returns the result of `convert` for the bytes of a field, or an `Array` of those for each of its values.
fn all(field: &Field, bytes: &[u8], convert: impl Fn(&[u8]) -> Variant) -> Variant {
    let mut values = field.each(bytes).map(convert);
    if field.is_array() {
        return Variant::from(array_of(field.count(), |push| values.for_each(push)));
    }
    values.next().unwrap_or_default()
}

fn to_script(value: Value<'_>) -> Variant {
    match value {
        Value::Int(value) => Variant::from(value),
        Value::Bool(value) => Variant::from(value),
        Value::Float(value) => Variant::from(value),
        Value::Bytes(bytes) => Variant::from(PackedByteArray::from(bytes)),
    }
}

/// The named fields of a struct, with their keys. The keys are made once, and used for each of many structs.
pub(crate) struct NamedFormat<'f> {
    fields: Vec<(Variant, &'f Field, Option<Self>)>,
}

impl<'f> NamedFormat<'f> {
    /// Returns the named fields, or `None` if there is none.
    pub(crate) fn of(format: &'f Format) -> Option<Self> {
        let of = |field: &'f Field| Some((key(field.name()?), field, field.group().and_then(Self::of)));
        let fields: Vec<_> = format.fields().iter().filter_map(of).collect();
        if fields.is_empty() { None } else { Some(Self { fields }) }
    }

    /// Returns the values in the bytes of a struct, by name.
    pub(crate) fn unpack(&self, bytes: &[u8]) -> VarDictionary {
        dictionary_of(self.fields.iter().map(|(key, field, named)| {
            let value = match (named, field.group()) {
                (Some(named), _) => all(field, bytes, |bytes| Variant::from(named.unpack(bytes))),
                (None, Some(group)) => all(field, bytes, |bytes| Variant::from(unpack_struct(group, bytes))),
                (None, None) if field.is_array() => {
                    let values = field.values(bytes).map(to_script);
                    Variant::from(array_of(field.count(), |push| values.for_each(push)))
                }
                (None, None) => field.values(bytes).next().map(to_script).unwrap_or_default(),
            };
            (key, value)
        }))
    }
}

fn key(name: &str) -> Variant {
    Variant::from(engine_text(name))
}

/// The form of a struct in a script.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Array,
    /// A `Dictionary` where there are names, otherwise an `Array`.
    Dictionary,
}
