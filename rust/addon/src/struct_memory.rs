//! The memory that the engine needs for the values of structs, reckoned before they are made.

use godot::builtin::Variant;
use shm_segment::values::structs::{Field, Format};

use crate::struct_values::Form;

/// Returns the most bytes of memory that the engine uses for the values of a struct.
pub(crate) fn struct_memory(format: &Format, form: Form) -> usize {
    let names = format.fields().iter().filter(|field| field.name().is_some()).count();
    let container = if form == Form::Dictionary && names > 0 {
        dictionary_memory(names)
    } else {
        array_memory(format.outer_count())
    };
    format.fields().iter().fold(container, |sum, field| sum.saturating_add(field_memory(field, form)))
}

/// Returns the most bytes of memory that the engine uses for an `Array` of `count` structs as
/// [`unpack_element`] returns them.
pub(crate) fn elements_memory(format: &Format, count: usize) -> usize {
    let each = match format.fields() {
        [field] if format.outer_count() == 1 => field_memory(field, Form::Array),
        _ => struct_memory(format, Form::Array),
    };
    array_memory(count).saturating_add(count.saturating_mul(each))
}

/// Returns the most bytes of memory that the engine uses for what the values of a field point to.
fn field_memory(field: &Field, form: Form) -> usize {
    /// A `PackedByteArray`, its reference, and the overhead of two allocations.
    const PACKED: usize = 160;
    let is_list = field.is_array() && (field.group().is_some() || form == Form::Dictionary);
    let list = if is_list { array_memory(field.count()) } else { 0 };
    let each = match field.group() {
        Some(group) => struct_memory(group, form),
        // Rounding up to a power of two may double the bytes.
        None if field.is_bytes() => (field.size() / field.count()).saturating_mul(2).saturating_add(PACKED),
        None => 0,
    };
    list.saturating_add(field.count().saturating_mul(each))
}

/// Returns the most bytes of memory that the engine uses for an `Array` of `count` values, without the memory
/// that the values point to. A growing array allocates up to the next power of two, since Godot 4.6 half as
/// much again (`CowData`, core/templates/cowdata.h).
fn array_memory(count: usize) -> usize {
    /// An `ArrayPrivate`, and the overhead of two allocations.
    const ARRAY: usize = 192;
    count.saturating_mul(2 * size_of::<Variant>()).saturating_add(ARRAY)
}

/// Returns the most bytes of memory that the engine uses for a `Dictionary` of `count` values. The memory
/// that the values point to is not counted (`HashMap`, core/templates/hash_map.h).
fn dictionary_memory(count: usize) -> usize {
    /// A `DictionaryPrivate`, the smallest table, and the overhead of three allocations.
    const DICTIONARY: usize = 640;
    /// Two pointers, a key and a value, and the overhead of an allocation. Then a pointer and a hash in the
    /// table, which is filled to a third at least.
    const ENTRY: usize = 2 * size_of::<usize>() + 2 * size_of::<Variant>() + 32 + 3 * 12;
    count.saturating_mul(ENTRY).saturating_add(DICTIONARY)
}
