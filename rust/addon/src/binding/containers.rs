//! An `Array` or a `Dictionary` of many values, with as few calls into the engine as possible.
//!
//! gdext's own `push` and `set` ask whether the container is read-only, copy each value and drop the copy.
//! For the values of a struct, that takes twice as long as the rest.

use std::sync::OnceLock;

use godot::builtin::{VarArray, VarDictionary, Variant};
use godot::sys::{self, GodotFfi, interface_fn};

use super::packed::{BuiltinFn, method};

const _: () = assert!(
    size_of::<Variant>() == size_of::<sys::types::OpaqueVariant>(),
    "it has fields besides the engine's"
);

/// Returns an `Array` of `count` values, which `fill` passes to its argument one after the other. If there
/// are fewer, the others are null.
pub(crate) fn array_of(count: usize, fill: impl FnOnce(&mut dyn FnMut(Variant))) -> VarArray {
    static RESIZE: OnceLock<Option<BuiltinFn>> = OnceLock::new();
    let mut array = VarArray::new();
    // The hash is that of `extension_api.json`, the same since 4.0.
    let resize = RESIZE.get_or_init(|| method(sys::GDEXTENSION_VARIANT_TYPE_ARRAY, "resize", 848_867_239));
    let Some(resize) = resize else {
        // No known engine lacks it.
        fill(&mut |value| array.push(&value));
        return array;
    };
    let (wanted, mut error) = (i64::try_from(count).unwrap_or(i64::MAX), 0i64);
    let argument: sys::GDExtensionConstTypePtr = (&raw const wanted).cast();
    // SAFETY: `resize` takes one `int` and returns one.
    unsafe { resize(array.sys_mut(), &raw const argument, (&raw mut error).cast(), 1) };
    if error != 0 || count == 0 {
        return array;
    }
    // SAFETY: index 0 is below the array's size.
    let first = unsafe { interface_fn!(array_operator_index)(array.sys_mut(), 0) }.cast::<Variant>();
    let mut index = 0;
    fill(&mut |value| {
        if index < count {
            // SAFETY: the index is below the array's size, its elements are contiguous, and gdext's type has
            // the layout of the engine's. The element is null since `resize`: there is nothing to drop.
            unsafe { first.add(index).write(value) };
            index += 1;
        }
    });
    array
}

/// Returns a `Dictionary` of these values by their keys, which must differ.
pub(crate) fn dictionary_of<'k>(values: impl Iterator<Item = (&'k Variant, Variant)>) -> VarDictionary {
    let mut dictionary = VarDictionary::new();
    for (key, value) in values {
        // SAFETY: `dictionary` is a live `Dictionary`, and `key` a live `Variant`. The engine copies the key.
        let place = unsafe { interface_fn!(dictionary_operator_index)(dictionary.sys_mut(), key.var_sys()) };
        if !place.is_null() {
            // SAFETY: `place` points to the value of the key, and gdext's type has the layout of the
            // engine's. The value is null since the key is new. If it were not, it would only leak.
            unsafe { place.cast::<Variant>().write(value) };
        }
    }
    dictionary
}
