//! What methods return.

use godot::builtin::{
    GString, PackedByteArray, PackedColorArray, PackedFloat32Array, PackedFloat64Array, PackedInt32Array,
    PackedInt64Array, PackedStringArray, PackedVector2Array, PackedVector3Array, PackedVector4Array,
    VarArray, Variant,
};
use godot::meta::ToGodot;
use godot::sys::{self, GodotFfi, PtrcallType};

use super::{Return, TypeInfo};

/// Nothing.
impl Return for () {
    const INFO: TypeInfo = TypeInfo::plain(sys::GDEXTENSION_VARIANT_TYPE_NIL);

    unsafe fn store(self, _: sys::GDExtensionTypePtr) {}

    fn to_variant(self) -> Variant {
        Variant::nil()
    }

    fn failed() -> Self {}
}

/// An integer.
impl Return for i64 {
    const INFO: TypeInfo = TypeInfo::plain(sys::GDEXTENSION_VARIANT_TYPE_INT);

    unsafe fn store(self, to: sys::GDExtensionTypePtr) {
        // SAFETY: the caller's.
        unsafe { to.cast::<Self>().write(self) };
    }

    fn to_variant(self) -> Variant {
        Variant::from(self)
    }

    fn failed() -> Self {
        0
    }
}

/// A number with a fraction.
impl Return for f64 {
    const INFO: TypeInfo = TypeInfo::plain(sys::GDEXTENSION_VARIANT_TYPE_FLOAT);

    unsafe fn store(self, to: sys::GDExtensionTypePtr) {
        // SAFETY: the caller's.
        unsafe { to.cast::<Self>().write(self) };
    }

    fn to_variant(self) -> Variant {
        Variant::from(self)
    }

    fn failed() -> Self {
        0.0
    }
}

/// Any value.
impl Return for Variant {
    const INFO: TypeInfo = TypeInfo::variant();

    unsafe fn store(self, to: sys::GDExtensionTypePtr) {
        // SAFETY: the caller's; a ptrcall returns it as a `Variant`.
        unsafe { *to.cast::<Self>() = self };
    }

    fn to_variant(self) -> Variant {
        self
    }

    fn failed() -> Self {
        Self::nil()
    }
}

/// A truth value.
impl Return for bool {
    const INFO: TypeInfo = TypeInfo::plain(sys::GDEXTENSION_VARIANT_TYPE_BOOL);

    unsafe fn store(self, to: sys::GDExtensionTypePtr) {
        // SAFETY: the caller's; ptrcalls return booleans as `uint8_t`.
        unsafe { to.cast::<u8>().write(u8::from(self)) };
    }

    fn to_variant(self) -> Variant {
        Variant::from(self)
    }

    fn failed() -> Self {
        false
    }
}

/// The engine's `Error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ErrorCode(pub(crate) godot::global::Error);

impl Return for ErrorCode {
    const INFO: TypeInfo = TypeInfo::enumeration("Error", "");

    unsafe fn store(self, to: sys::GDExtensionTypePtr) {
        // SAFETY: the caller's.
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

/// An enum of a class of this addon.
pub(crate) trait OwnEnum: Copy + 'static {
    /// `Class.Enum`
    const NAME: &'static str;
    /// Its constants in words, for the inspector.
    const HINT: &'static str;
    /// The value where there is none to tell.
    const FALLBACK: Self;

    /// The value that scripts see.
    fn value(self) -> i64;
}

/// A value of an [`OwnEnum`].
pub(crate) struct EngineEnum<E>(pub(crate) E);

impl<E: OwnEnum> Return for EngineEnum<E> {
    const INFO: TypeInfo = TypeInfo::enumeration(E::NAME, E::HINT);

    unsafe fn store(self, to: sys::GDExtensionTypePtr) {
        // SAFETY: the caller's.
        unsafe { self.0.value().store(to) };
    }

    fn to_variant(self) -> Variant {
        Variant::from(self.0.value())
    }

    fn failed() -> Self {
        Self(E::FALLBACK)
    }
}

/// Types of gdext that are what the engine returns.
macro_rules! engine_return {
    ($($type:ty => $kind:ident),+ $(,)?) => {$(
        impl Return for $type {
            const INFO: TypeInfo = TypeInfo::plain(sys::$kind);

            unsafe fn store(self, to: sys::GDExtensionTypePtr) {
                // SAFETY: the caller's.
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
