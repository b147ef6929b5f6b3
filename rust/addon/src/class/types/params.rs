//! What methods take.

use godot::builtin::{
    AnyArray, PackedByteArray, PackedColorArray, PackedFloat32Array, PackedFloat64Array, PackedInt32Array,
    PackedInt64Array, PackedVector2Array, PackedVector3Array, PackedVector4Array, Variant,
};
use godot::sys::{self, GodotFfi};

use super::{Constructor, DefaultValue, Param, TypeInfo};

/// Numbers, as ptrcalls and the engine's constructors store them.
macro_rules! numbers {
    ($($(#[$doc:meta])* $param:ident: $type:ty, $kind:ident, $default:expr;)+) => {$(
        $(#[$doc])*
        pub(crate) struct $param;

        impl Param for $param {
            const INFO: TypeInfo = TypeInfo::plain(sys::$kind);
            type Arg<'a> = $type;
            type Held = $type;

            unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Self::Arg<'a> {
                // SAFETY: the caller's; ptrcalls pass numbers as these types.
                unsafe { value.cast::<$type>().read() }
            }

            unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<$type> {
                static CONSTRUCTOR: Constructor = Constructor::of(&$param::INFO);
                // SAFETY: the caller's.
                unsafe { CONSTRUCTOR.convert::<$type>(value) }
            }

            fn hold_default(value: DefaultValue) -> Option<$type> {
                let default: fn(DefaultValue) -> Option<$type> = $default;
                default(value)
            }

            fn lend(held: &mut $type) -> $type {
                *held
            }
        }
    )+};
}

numbers! {
    /// A 64-bit integer. Whether its value makes sense is the method's to check.
    Int: i64, GDEXTENSION_VARIANT_TYPE_INT, |value| match value {
        DefaultValue::Int(value) => Some(value),
        DefaultValue::Text(_) => None,
    };
    /// A 64-bit number with a fraction.
    Float: f64, GDEXTENSION_VARIANT_TYPE_FLOAT, |_| None;
}

/// A truth value.
pub(crate) struct Bool;

impl Param for Bool {
    const INFO: TypeInfo = TypeInfo::plain(sys::GDEXTENSION_VARIANT_TYPE_BOOL);
    type Arg<'a> = bool;
    type Held = u8;

    unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Self::Arg<'a> {
        // SAFETY: the caller's; ptrcalls pass booleans as `uint8_t`, of which any but 0 is true.
        unsafe { value.cast::<u8>().read() != 0 }
    }

    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<u8> {
        static CONSTRUCTOR: Constructor = Constructor::of(&Bool::INFO);
        // SAFETY: the caller's.
        unsafe { CONSTRUCTOR.convert::<u8>(value) }
    }

    fn hold_default(_: DefaultValue) -> Option<Self::Held> {
        None
    }

    fn lend(held: &mut u8) -> bool {
        *held != 0
    }
}

/// Parameters that are borrowed from the caller: types of gdext that hold the engine's value and nothing else.
macro_rules! borrowed {
    ($($(#[$doc:meta])* $param:ident: $type:ty, $opaque:ty, $kind:ident, $default:expr;)+) => {$(
        $(#[$doc])*
        pub(crate) struct $param;

        impl Param for $param {
            const INFO: TypeInfo = TypeInfo::plain(sys::$kind);
            type Arg<'a> = &'a $type;
            type Held = $type;

            unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> &'a $type {
                const { assert_same_layout::<$type, $opaque>() };
                // SAFETY: the caller's; the type is a wrapper around the engine's, of the same size.
                unsafe { &*value.cast::<$type>() }
            }

            unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<$type> {
                static CONSTRUCTOR: Constructor = Constructor::of(&$param::INFO);
                // SAFETY: the caller's.
                unsafe { CONSTRUCTOR.convert::<$type>(value) }
            }

            fn hold_default(value: DefaultValue) -> Option<$type> {
                let default: fn(DefaultValue) -> Option<$type> = $default;
                default(value)
            }

            fn lend(held: &mut $type) -> &$type {
                held
            }
        }
    )+};
}

borrowed! {
    /// A `PackedByteArray` that the method reads.
    BytesIn: PackedByteArray, sys::types::OpaquePackedByteArray, GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY, |_| None;
    /// A `PackedInt32Array`.
    Ints32In: PackedInt32Array, sys::types::OpaquePackedInt32Array, GDEXTENSION_VARIANT_TYPE_PACKED_INT32_ARRAY, |_| None;
    /// A `PackedInt64Array`.
    Ints64In: PackedInt64Array, sys::types::OpaquePackedInt64Array, GDEXTENSION_VARIANT_TYPE_PACKED_INT64_ARRAY, |_| None;
    /// A `PackedFloat32Array`.
    Floats32In: PackedFloat32Array, sys::types::OpaquePackedFloat32Array,
        GDEXTENSION_VARIANT_TYPE_PACKED_FLOAT32_ARRAY, |_| None;
    /// A `PackedFloat64Array`.
    Floats64In: PackedFloat64Array, sys::types::OpaquePackedFloat64Array,
        GDEXTENSION_VARIANT_TYPE_PACKED_FLOAT64_ARRAY, |_| None;
    /// A `PackedVector2Array`.
    Vectors2In: PackedVector2Array, sys::types::OpaquePackedVector2Array,
        GDEXTENSION_VARIANT_TYPE_PACKED_VECTOR2_ARRAY, |_| None;
    /// A `PackedVector3Array`.
    Vectors3In: PackedVector3Array, sys::types::OpaquePackedVector3Array,
        GDEXTENSION_VARIANT_TYPE_PACKED_VECTOR3_ARRAY, |_| None;
    /// A `PackedVector4Array`.
    Vectors4In: PackedVector4Array, sys::types::OpaquePackedVector4Array,
        GDEXTENSION_VARIANT_TYPE_PACKED_VECTOR4_ARRAY, |_| None;
    /// A `PackedColorArray`.
    ColorsIn: PackedColorArray, sys::types::OpaquePackedColorArray, GDEXTENSION_VARIANT_TYPE_PACKED_COLOR_ARRAY, |_| None;
}

/// An `Array`, typed or not.
pub(crate) struct Values;

impl Param for Values {
    const INFO: TypeInfo = TypeInfo::plain(sys::GDEXTENSION_VARIANT_TYPE_ARRAY);
    type Arg<'a> = AnyArray;
    type Held = AnyArray;

    unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Self::Arg<'a> {
        // SAFETY: the caller's. gdext's type keeps more than the engine's, so it can't be borrowed; this shares it.
        unsafe { AnyArray::new_from_sys(value) }
    }

    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<AnyArray> {
        static CONSTRUCTOR: Constructor = Constructor::of(&Values::INFO);
        // SAFETY: `value` points to a live `Variant` per this function's contract, which the constructor only reads. It
        // makes an array in a place where there is none yet.
        unsafe {
            let function = CONSTRUCTOR.for_value(value)?;
            Some(AnyArray::new_with_uninit(|place| function(place.cast(), value.cast_mut())))
        }
    }

    fn hold_default(_: DefaultValue) -> Option<AnyArray> {
        None
    }

    fn lend(held: &mut AnyArray) -> AnyArray {
        held.clone()
    }
}

/// Any value.
pub(crate) struct AnyValue;

impl Param for AnyValue {
    const INFO: TypeInfo = TypeInfo::variant();
    type Arg<'a> = &'a Variant;
    type Held = sys::GDExtensionConstVariantPtr;

    unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> &'a Variant {
        // SAFETY: the caller's; ptrcalls pass a `Variant` as such, and gdext's type is a wrapper around it.
        unsafe { &*value.cast::<Variant>() }
    }

    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<sys::GDExtensionConstVariantPtr> {
        Some(value)
    }

    fn hold_default(_: DefaultValue) -> Option<sys::GDExtensionConstVariantPtr> {
        None
    }

    fn lend(held: &mut sys::GDExtensionConstVariantPtr) -> &Variant {
        const { assert_same_layout::<Variant, sys::types::OpaqueVariant>() };
        // SAFETY: `hold` got a pointer to a `Variant` that outlives the call.
        unsafe { &*held.cast::<Variant>() }
    }
}

pub(super) const fn assert_same_layout<A, B>() {
    assert!(size_of::<A>() == size_of::<B>() && align_of::<A>() == align_of::<B>());
}
