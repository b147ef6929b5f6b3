//! The types of results.

use godot::builtin::{
    GString, PackedArray, PackedByteArray, PackedColorArray, PackedFloat32Array, PackedFloat64Array,
    PackedInt32Array, PackedInt64Array, PackedStringArray, PackedVector2Array, PackedVector3Array,
    PackedVector4Array, StringName, VarArray, VarDictionary, Variant,
};
use godot::meta::{PackedElement, ToGodot};
use godot::sys::{self, GodotFfi, PtrcallType};

use super::{Return, TypeInfo, result_of};

/// No result.
impl Return for () {
    const INFO: TypeInfo = TypeInfo::plain(sys::GDEXTENSION_VARIANT_TYPE_NIL);

    unsafe fn store(_: sys::GDExtensionTypePtr, call: impl FnOnce(&mut Self)) {
        call(&mut ());
    }

    fn to_variant(self) -> Variant {
        Variant::nil()
    }

    fn failed() -> Self {}
}

/// Implements [`Return`] for numbers and booleans, which a ptrcall returns as `$stored`.
macro_rules! plain_return {
    ($($type:ty as $stored:ty: $kind:ident, $failed:expr;)+) => {$(
        impl Return for $type {
            const INFO: TypeInfo = TypeInfo::plain(sys::$kind);

            unsafe fn store(to: sys::GDExtensionTypePtr, call: impl FnOnce(&mut Self)) {
                // SAFETY: `to` points to a `$stored` by this function's contract.
                unsafe { to.cast::<$stored>().write(result_of::<Self>(call).into()) };
            }

            fn to_variant(self) -> Variant {
                Variant::from(self)
            }

            fn failed() -> Self {
                $failed
            }
        }
    )+};
}

plain_return! {
    i64 as i64: GDEXTENSION_VARIANT_TYPE_INT, 0;
    f64 as f64: GDEXTENSION_VARIANT_TYPE_FLOAT, 0.0;
    bool as u8: GDEXTENSION_VARIANT_TYPE_BOOL, false;
}

/// Any value.
impl Return for Variant {
    const INFO: TypeInfo = TypeInfo::variant();

    unsafe fn store(to: sys::GDExtensionTypePtr, call: impl FnOnce(&mut Self)) {
        // SAFETY: `to` points to an initialised `Variant` by this function's contract.
        call(unsafe { &mut *to.cast::<Self>() });
    }

    fn to_variant(self) -> Variant {
        self
    }

    fn failed() -> Self {
        Self::nil()
    }
}

/// The engine's `Error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ErrorCode(pub(crate) godot::global::Error);

impl Return for ErrorCode {
    const INFO: TypeInfo = TypeInfo::enumeration("Error", "");

    unsafe fn store(to: sys::GDExtensionTypePtr, call: impl FnOnce(&mut Self)) {
        // SAFETY: a ptrcall returns an enum as an integer, to which `to` points by this function's contract.
        unsafe { to.cast::<i64>().write(result_of::<Self>(call).code()) };
    }

    fn to_variant(self) -> Variant {
        Variant::from(self.code())
    }

    fn failed() -> Self {
        Self(godot::global::Error::FAILED)
    }
}

impl ErrorCode {
    fn code(self) -> i64 {
        use godot::obj::EngineEnum as _;
        i64::from(self.0.ord())
    }
}

/// Implements [`Return`] for types of gdext. `$store` is one of the two functions below.
macro_rules! engine_return {
    ($store:ident: $($type:ty => $kind:ident),+ $(,)?) => {$(
        impl Return for $type {
            const INFO: TypeInfo = TypeInfo::plain(sys::$kind);

            unsafe fn store(to: sys::GDExtensionTypePtr, call: impl FnOnce(&mut Self)) {
                // SAFETY: `to` points to an initialised value of this type by this function's contract.
                unsafe { $store(to, call) };
            }

            fn to_variant(self) -> Variant {
                ToGodot::to_variant(&self)
            }

            fn failed() -> Self {
                Self::default()
            }
        }
    )+};
}

engine_return! { moved:
    GString => GDEXTENSION_VARIANT_TYPE_STRING,
    StringName => GDEXTENSION_VARIANT_TYPE_STRING_NAME,
    VarArray => GDEXTENSION_VARIANT_TYPE_ARRAY,
    VarDictionary => GDEXTENSION_VARIANT_TYPE_DICTIONARY,
}
engine_return! { in_place:
    PackedByteArray => GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY,
    PackedInt32Array => GDEXTENSION_VARIANT_TYPE_PACKED_INT32_ARRAY,
    PackedInt64Array => GDEXTENSION_VARIANT_TYPE_PACKED_INT64_ARRAY,
    PackedFloat32Array => GDEXTENSION_VARIANT_TYPE_PACKED_FLOAT32_ARRAY,
    PackedFloat64Array => GDEXTENSION_VARIANT_TYPE_PACKED_FLOAT64_ARRAY,
    PackedStringArray => GDEXTENSION_VARIANT_TYPE_PACKED_STRING_ARRAY,
    PackedVector2Array => GDEXTENSION_VARIANT_TYPE_PACKED_VECTOR2_ARRAY,
    PackedVector3Array => GDEXTENSION_VARIANT_TYPE_PACKED_VECTOR3_ARRAY,
    PackedColorArray => GDEXTENSION_VARIANT_TYPE_PACKED_COLOR_ARRAY,
    PackedVector4Array => GDEXTENSION_VARIANT_TYPE_PACKED_VECTOR4_ARRAY,
}

/// Moves the value to its place.
///
/// # Safety
/// `to` points to an initialised value of this type.
unsafe fn moved<T: GodotFfi + Return>(to: sys::GDExtensionTypePtr, call: impl FnOnce(&mut T)) {
    // SAFETY: `to` points to a value of this type by this function's contract.
    unsafe { result_of(call).move_return_ptr(to, PtrcallType::Standard) };
}

/// Lets `call` set the value in its place, which saves two calls of the engine.
///
/// # Safety
/// `to` points to an initialised value of this type.
unsafe fn in_place<E: PackedElement>(to: sys::GDExtensionTypePtr, call: impl FnOnce(&mut PackedArray<E>)) {
    type Stored = sys::types::OpaquePackedByteArray;
    const { assert!(size_of::<PackedArray<E>>() == size_of::<Stored>(), "it has fields besides the engine's") };
    // SAFETY: `to` points to a value of this type by this function's contract, and gdext's type has nothing
    // but that value.
    call(unsafe { &mut *to.cast() });
}
