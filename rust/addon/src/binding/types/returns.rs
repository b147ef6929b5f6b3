//! The types of results.

use godot::builtin::{
    GString, PackedByteArray, PackedColorArray, PackedFloat32Array, PackedFloat64Array, PackedInt32Array,
    PackedInt64Array, PackedStringArray, PackedVector2Array, PackedVector3Array, PackedVector4Array,
    StringName, VarArray, Variant,
};
use godot::meta::ToGodot;
use godot::sys::{self, GodotFfi, PtrcallType};

use super::{Return, TypeInfo};

/// No result.
impl Return for () {
    const INFO: TypeInfo = TypeInfo::plain(sys::GDEXTENSION_VARIANT_TYPE_NIL);

    unsafe fn store(self, _: sys::GDExtensionTypePtr) {}

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

            unsafe fn store(self, to: sys::GDExtensionTypePtr) {
                // SAFETY: `to` points to a `$stored` by this function's contract.
                unsafe { to.cast::<$stored>().write(self.into()) };
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

    unsafe fn store(self, to: sys::GDExtensionTypePtr) {
        // SAFETY: `to` points to an initialised `Variant` by this function's contract.
        unsafe { *to.cast::<Self>() = self };
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

    unsafe fn store(self, to: sys::GDExtensionTypePtr) {
        // SAFETY: `to` points to an integer by this function's contract.
        unsafe { self.code().store(to) };
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

/// Implements [`Return`] for types of gdext.
macro_rules! engine_return {
    ($($type:ty => $kind:ident),+ $(,)?) => {$(
        impl Return for $type {
            const INFO: TypeInfo = TypeInfo::plain(sys::$kind);

            unsafe fn store(self, to: sys::GDExtensionTypePtr) {
                // SAFETY: `to` points to an initialised value of this type by this function's contract.
                unsafe { self.move_return_ptr(to, PtrcallType::Standard) };
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

engine_return! {
    GString => GDEXTENSION_VARIANT_TYPE_STRING,
    StringName => GDEXTENSION_VARIANT_TYPE_STRING_NAME,
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
    VarArray => GDEXTENSION_VARIANT_TYPE_ARRAY,
}
