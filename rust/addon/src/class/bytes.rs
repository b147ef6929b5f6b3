//! The bytes of a `PackedByteArray`, in as few calls into the engine as there can be.
//!
//! gdext's own `as_slice` asks for the size twice and for the address once, each through its general machinery; for
//! 64 bytes, that costs more than all the rest of a call.

use std::sync::OnceLock;

use godot::builtin::{PackedByteArray, StringName};
use godot::sys::{self, GodotFfi, interface_fn};

type Method = unsafe extern "C" fn(
    sys::GDExtensionTypePtr,
    *const sys::GDExtensionConstTypePtr,
    sys::GDExtensionTypePtr,
    i32,
);

/// The engine's functions, looked up once.
struct Functions {
    size: Method,
    resize: Method,
    at: sys::GDExtensionInterfacePackedByteArrayOperatorIndexConst,
    at_mut: sys::GDExtensionInterfacePackedByteArrayOperatorIndex,
}

/// `None` on an engine that lacks one of them, which is none that we know.
fn functions() -> Option<&'static Functions> {
    static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();
    FUNCTIONS
        .get_or_init(|| {
            // The hashes stand for the signatures; `extension_api.json` has them, the same since 4.0.
            let method = |name: &str, hash| {
                let name = StringName::from(name);
                let kind = sys::GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY;
                // SAFETY: a valid type and a live name.
                unsafe { interface_fn!(variant_get_ptr_builtin_method)(kind, name.sys().cast(), hash) }
            };
            Some(Functions {
                size: method("size", 3_173_160_232)?,
                resize: method("resize", 848_867_239)?,
                at: interface_fn!(packed_byte_array_operator_index_const),
                at_mut: interface_fn!(packed_byte_array_operator_index),
            })
        })
        .as_ref()
}

fn size(array: &PackedByteArray, functions: &Functions) -> usize {
    let mut size = 0_i64;
    // SAFETY: `size` takes no argument, returns an `int`, and changes nothing.
    unsafe { (functions.size)(array.sys().cast_mut(), std::ptr::null(), (&raw mut size).cast(), 0) };
    usize::try_from(size).unwrap_or(0)
}

/// The array's bytes.
pub(crate) fn slice(array: &PackedByteArray) -> &[u8] {
    let Some(functions) = functions() else { return array.as_slice() };
    let size = size(array, functions);
    if size == 0 {
        return &[];
    }
    // SAFETY: an index below `size`; the array's bytes follow one another, and it is borrowed as long as they are.
    unsafe { std::slice::from_raw_parts((functions.at)(array.sys(), 0), size) }
}

/// The array's bytes, to be changed. If it shares them with another array, it gets its own first.
pub(crate) fn slice_mut(array: &mut PackedByteArray) -> &mut [u8] {
    let Some(functions) = functions() else { return array.as_mut_slice() };
    let size = size(array, functions);
    if size == 0 {
        return &mut [];
    }
    // SAFETY: as in `slice`; `array` is ours alone, and the engine has made its bytes so too.
    unsafe { std::slice::from_raw_parts_mut((functions.at_mut)(array.sys_mut(), 0), size) }
}

/// Makes an empty array `size` zero bytes long, and returns them. `None` if there is no room for them.
pub(crate) fn resize(array: &mut PackedByteArray, size: usize) -> Option<&mut [u8]> {
    let (functions, wanted) = (functions()?, i64::try_from(size).ok()?);
    let mut error = 0_i64;
    let argument: sys::GDExtensionConstTypePtr = (&raw const wanted).cast();
    // SAFETY: `resize` takes one `int` and returns one.
    unsafe { (functions.resize)(array.sys_mut(), &raw const argument, (&raw mut error).cast(), 1) };
    if error != 0 || size == 0 {
        return None;
    }
    // SAFETY: an index below the size that the array has now; otherwise as in `slice_mut`.
    Some(unsafe { std::slice::from_raw_parts_mut((functions.at_mut)(array.sys_mut(), 0), size) })
}
