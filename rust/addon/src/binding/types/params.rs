//! What methods take.

use godot::builtin::{
    AnyArray, PackedByteArray, PackedColorArray, PackedFloat32Array, PackedFloat64Array, PackedInt32Array,
    PackedInt64Array, PackedVector2Array, PackedVector3Array, PackedVector4Array, Variant,
};
use godot::sys::{self, GodotFfi};

use super::{Constructor, DefaultValue, Param, TypeInfo};

/// A parameter whose value the engine stores as `$stored`, and that the method gets as `$arg`.
macro_rules! param {
    ($param:ty: $kind:ident, $stored:ty => $arg:ty, |$value:ident| $lend:expr, |$default:ident| $or:expr) => {
        impl Param for $param {
            const INFO: TypeInfo = TypeInfo::plain(sys::$kind);
            type Arg<'a> = $arg;
            type Held = $stored;

            unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Self::Arg<'a> {
                // SAFETY: a ptrcall passes a pointer to a `$stored`, which lives through `'a` by this function's contract.
                let $value = unsafe { &*value.cast::<$stored>() };
                $lend
            }

            unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<Self::Held> {
                static CONSTRUCTOR: Constructor = Constructor::of(&<$param as Param>::INFO);
                // SAFETY: `value` points to a live `Variant` by this function's contract; the engine stores a `$stored`.
                unsafe { CONSTRUCTOR.convert::<$stored>(value) }
            }

            fn hold_default($default: DefaultValue) -> Option<Self::Held> {
                $or
            }

            fn lend(held: &mut Self::Held) -> Self::Arg<'_> {
                let $value = &*held;
                $lend
            }
        }
    };
}
pub(super) use param;

// Whether a number makes sense is the method's to check.
param!(i64: GDEXTENSION_VARIANT_TYPE_INT, i64 => i64, |value| *value, |default| default.as_int());
param!(f64: GDEXTENSION_VARIANT_TYPE_FLOAT, f64 => f64, |value| *value, |_default| None);
// As `uint8_t`, of which any but 0 is true.
param!(bool: GDEXTENSION_VARIANT_TYPE_BOOL, u8 => bool, |value| *value != 0, |_default| None);

/// Arrays that are borrowed from the caller: types of gdext that hold the engine's value and nothing else.
macro_rules! borrowed {
    ($($type:ident, $opaque:ident, $kind:ident;)+) => {$(
        const _: () = assert_same_layout::<$type, sys::types::$opaque>();
        param!($type: $kind, $type => &'a $type, |value| value, |_default| None);
    )+};
}

borrowed! {
    PackedByteArray, OpaquePackedByteArray, GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY;
    PackedInt32Array, OpaquePackedInt32Array, GDEXTENSION_VARIANT_TYPE_PACKED_INT32_ARRAY;
    PackedInt64Array, OpaquePackedInt64Array, GDEXTENSION_VARIANT_TYPE_PACKED_INT64_ARRAY;
    PackedFloat32Array, OpaquePackedFloat32Array, GDEXTENSION_VARIANT_TYPE_PACKED_FLOAT32_ARRAY;
    PackedFloat64Array, OpaquePackedFloat64Array, GDEXTENSION_VARIANT_TYPE_PACKED_FLOAT64_ARRAY;
    PackedVector2Array, OpaquePackedVector2Array, GDEXTENSION_VARIANT_TYPE_PACKED_VECTOR2_ARRAY;
    PackedVector3Array, OpaquePackedVector3Array, GDEXTENSION_VARIANT_TYPE_PACKED_VECTOR3_ARRAY;
    PackedVector4Array, OpaquePackedVector4Array, GDEXTENSION_VARIANT_TYPE_PACKED_VECTOR4_ARRAY;
    PackedColorArray, OpaquePackedColorArray, GDEXTENSION_VARIANT_TYPE_PACKED_COLOR_ARRAY;
}

/// An `Array`, typed or not.
impl Param for AnyArray {
    const INFO: TypeInfo = TypeInfo::plain(sys::GDEXTENSION_VARIANT_TYPE_ARRAY);
    type Arg<'a> = Self;
    type Held = Self;

    unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Self::Arg<'a> {
        // SAFETY: a ptrcall passes a pointer to a live `Array`. gdext's type keeps more than the engine's, so it can't be
        // borrowed; this shares it.
        unsafe { Self::new_from_sys(value) }
    }

    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<Self> {
        static CONSTRUCTOR: Constructor = Constructor::of(&<AnyArray as Param>::INFO);
        // SAFETY: `value` points to a live `Variant` per this function's contract, which the constructor only reads. It
        // makes an array in a place where there is none yet.
        unsafe {
            let function = CONSTRUCTOR.for_value(value)?;
            Some(Self::new_with_uninit(|place| function(place.cast(), value.cast_mut())))
        }
    }

    fn hold_default(_: DefaultValue) -> Option<Self> {
        None
    }

    fn lend(held: &mut Self) -> Self {
        held.clone()
    }
}

/// Any value.
impl Param for Variant {
    const INFO: TypeInfo = TypeInfo::variant();
    type Arg<'a> = &'a Self;
    type Held = sys::GDExtensionConstVariantPtr;

    unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> &'a Self {
        // SAFETY: a ptrcall passes a pointer to a live `Variant`, and gdext's type is a wrapper around it.
        unsafe { &*value.cast::<Self>() }
    }

    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<sys::GDExtensionConstVariantPtr> {
        Some(value)
    }

    fn hold_default(_: DefaultValue) -> Option<sys::GDExtensionConstVariantPtr> {
        None
    }

    fn lend(held: &mut sys::GDExtensionConstVariantPtr) -> &Self {
        const { assert_same_layout::<Variant, sys::types::OpaqueVariant>() };
        // SAFETY: `hold` got a pointer to a `Variant` that outlives the call.
        unsafe { &*held.cast::<Self>() }
    }
}

pub(super) const fn assert_same_layout<A, B>() {
    assert!(size_of::<A>() == size_of::<B>() && align_of::<A>() == align_of::<B>());
}
