//! The elements of packed arrays as bytes, with as few calls into the engine as possible.
//!
//! gdext's own `as_slice` asks for the size twice and for the address once, each in a general way. For 64
//! bytes, that costs more than the rest of a call.

use std::mem::transmute;
use std::sync::OnceLock;

use godot::builtin::{
    Color, PackedByteArray, PackedColorArray, PackedFloat32Array, PackedFloat64Array, PackedInt32Array,
    PackedInt64Array, PackedVector2Array, PackedVector3Array, PackedVector4Array, StringName, Vector2,
    Vector3, Vector4,
};
use godot::sys::{self, GodotFfi, interface_fn};

/// A packed array of elements that consist of numbers, without padding.
pub(crate) trait Packed: GodotFfi + Default + 'static {
    /// The number of bytes of an element.
    const STRIDE: usize;

    /// Returns the engine's functions, or `None` if it lacks one of them. No known engine does.
    fn functions() -> Option<&'static Functions>;
}

/// The engine's functions for one type, looked up once.
pub(crate) struct Functions {
    size: BuiltinFn,
    resize: BuiltinFn,
    at: At,
    at_mut: AtMut,
}

type At = unsafe extern "C" fn(sys::GDExtensionConstTypePtr, i64) -> *const u8;
type AtMut = unsafe extern "C" fn(sys::GDExtensionTypePtr, i64) -> *mut u8;

pub(super) type BuiltinFn = unsafe extern "C" fn(
    sys::GDExtensionTypePtr,
    *const sys::GDExtensionConstTypePtr,
    sys::GDExtensionTypePtr,
    i32,
);

macro_rules! packed {
    ($($array:ty: $element:ty, $kind:ident, $at:ident, $at_mut:ident;)+) => {$(
        impl Packed for $array {
            const STRIDE: usize = size_of::<$element>();

            fn functions() -> Option<&'static Functions> {
                static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();
                FUNCTIONS.get_or_init(|| Some(Functions {
                    // The hashes are those of `extension_api.json`, the same since 4.0.
                    size: method(sys::$kind, "size", 3_173_160_232)?,
                    resize: method(sys::$kind, "resize", 848_867_239)?,
                    // SAFETY: the two types differ only in the type that the returned pointer points to.
                    at: unsafe { transmute::<*const (), At>(interface_fn!($at) as *const ()) },
                    // SAFETY: as above.
                    at_mut: unsafe { transmute::<*const (), AtMut>(interface_fn!($at_mut) as *const ()) },
                })).as_ref()
            }
        }
    )+};
}

packed! {
    PackedByteArray: u8, GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY,
        packed_byte_array_operator_index_const, packed_byte_array_operator_index;
    PackedInt32Array: i32, GDEXTENSION_VARIANT_TYPE_PACKED_INT32_ARRAY,
        packed_int32_array_operator_index_const, packed_int32_array_operator_index;
    PackedInt64Array: i64, GDEXTENSION_VARIANT_TYPE_PACKED_INT64_ARRAY,
        packed_int64_array_operator_index_const, packed_int64_array_operator_index;
    PackedFloat32Array: f32, GDEXTENSION_VARIANT_TYPE_PACKED_FLOAT32_ARRAY,
        packed_float32_array_operator_index_const, packed_float32_array_operator_index;
    PackedFloat64Array: f64, GDEXTENSION_VARIANT_TYPE_PACKED_FLOAT64_ARRAY,
        packed_float64_array_operator_index_const, packed_float64_array_operator_index;
    PackedVector2Array: Vector2, GDEXTENSION_VARIANT_TYPE_PACKED_VECTOR2_ARRAY,
        packed_vector2_array_operator_index_const, packed_vector2_array_operator_index;
    PackedVector3Array: Vector3, GDEXTENSION_VARIANT_TYPE_PACKED_VECTOR3_ARRAY,
        packed_vector3_array_operator_index_const, packed_vector3_array_operator_index;
    PackedVector4Array: Vector4, GDEXTENSION_VARIANT_TYPE_PACKED_VECTOR4_ARRAY,
        packed_vector4_array_operator_index_const, packed_vector4_array_operator_index;
    PackedColorArray: Color, GDEXTENSION_VARIANT_TYPE_PACKED_COLOR_ARRAY,
        packed_color_array_operator_index_const, packed_color_array_operator_index;
}

/// Returns a method of one of the engine's types.
pub(super) fn method(kind: sys::GDExtensionVariantType, name: &str, hash: i64) -> Option<BuiltinFn> {
    let name = StringName::from(name);
    // SAFETY: `kind` is a valid type, and `name` lives until the call returns.
    unsafe { interface_fn!(variant_get_ptr_builtin_method)(kind, name.sys().cast(), hash) }
}

/// Returns the number of bytes of all elements.
fn size<A: Packed>(array: &A, functions: &Functions) -> usize {
    let mut size = 0_i64;
    // SAFETY: `size` takes no arguments, returns an `int`, and doesn't change the array.
    unsafe { (functions.size)(array.sys().cast_mut(), std::ptr::null(), (&raw mut size).cast(), 0) };
    usize::try_from(size).unwrap_or(0).saturating_mul(A::STRIDE)
}

/// Returns the array's elements as bytes.
pub(crate) fn bytes<A: Packed>(array: &A) -> &[u8] {
    let Some(functions) = A::functions() else { return &[] };
    let size = size(array, functions);
    if size == 0 {
        return &[];
    }
    // SAFETY: index 0 is below the array's size, its elements are contiguous and have `size` bytes without
    // padding. The array is borrowed as long as they are.
    unsafe { std::slice::from_raw_parts((functions.at)(array.sys(), 0), size) }
}

/// Returns the array's elements as bytes that can be changed. If it shares them with another array, the
/// engine copies them first.
pub(crate) fn bytes_mut<A: Packed>(array: &mut A) -> &mut [u8] {
    let Some(functions) = A::functions() else { return &mut [] };
    let size = size(array, functions);
    if size == 0 {
        return &mut [];
    }
    // SAFETY: `array` has `size` bytes of elements from index 0 on. It is borrowed exclusively, and the
    // engine shares its elements with no other array. They are numbers, for which all bytes are valid.
    unsafe { std::slice::from_raw_parts_mut((functions.at_mut)(array.sys_mut(), 0), size) }
}

/// Makes an array `count` elements long, and returns their bytes. `None` if there is no room.
pub(crate) fn resize<A: Packed>(array: &mut A, count: usize) -> Option<&mut [u8]> {
    let (functions, wanted) = (A::functions()?, i64::try_from(count).ok()?);
    let mut error = 0_i64;
    let argument: sys::GDExtensionConstTypePtr = (&raw const wanted).cast();
    // SAFETY: `resize` takes one `int` and returns one.
    unsafe { (functions.resize)(array.sys_mut(), &raw const argument, (&raw mut error).cast(), 1) };
    if error != 0 {
        return None;
    }
    if count == 0 {
        // An empty array has no element to point to.
        return Some(&mut []);
    }
    // SAFETY: index 0 is below the array's new size; otherwise as in `bytes_mut`.
    Some(unsafe { std::slice::from_raw_parts_mut((functions.at_mut)(array.sys_mut(), 0), count * A::STRIDE) })
}
