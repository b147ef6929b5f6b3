//! The types of parameters.

use godot::builtin::{
    AnyArray, PackedByteArray, PackedColorArray, PackedFloat32Array, PackedFloat64Array, PackedInt32Array,
    PackedInt64Array, PackedVector2Array, PackedVector3Array, PackedVector4Array, Variant,
};
use godot::sys::{self, GodotFfi};

use super::{Constructor, DefaultValue, Param, TypeInfo};

/// Implements [`Param`] for a type whose values the engine stores as `$stored`. The method gets an `$arg`.
macro_rules! param {
    ($param:ty: $kind:ident, $stored:ty => $arg:ty, |$value:ident| $lend:expr, |$default:ident| $or:expr) => {
        impl Param for $param {
            const INFO: TypeInfo = TypeInfo::plain(sys::$kind);
            type Arg<'a> = $arg;
            type Held = $stored;

            unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Self::Arg<'a> {
                // SAFETY: a ptrcall passes a pointer to a `$stored`, which lives through `'a`.
                let $value = unsafe { &*value.cast::<$stored>() };
                $lend
            }

            unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<Self::Held> {
                static CONSTRUCTOR: Constructor = Constructor::of(&<$param as Param>::INFO);
                // SAFETY: `value` is a live `Variant` by this function's contract. The engine stores a
                // `$stored`.
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

// The method itself checks the range of a number.
param!(i64: GDEXTENSION_VARIANT_TYPE_INT, i64 => i64, |value| *value, |default| default.as_int());
param!(f64: GDEXTENSION_VARIANT_TYPE_FLOAT, f64 => f64, |value| *value, |default| default.as_float());
// The engine passes a `uint8_t`, and any value except 0 is true.
param!(bool: GDEXTENSION_VARIANT_TYPE_BOOL, u8 => bool, |value| *value != 0, |default| default
    .as_bool()
    .map(u8::from));

/// Implements [`Param`] for arrays that the method borrows. gdext's types have the layout of the engine's.
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
        // SAFETY: a ptrcall passes a pointer to a live `Array`. This makes one more reference to it: gdext's
        // type has another layout than the engine's, so it can't be borrowed.
        unsafe { Self::new_from_sys(value) }
    }

    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<Self> {
        static CONSTRUCTOR: Constructor = Constructor::of(&<AnyArray as Param>::INFO);
        // SAFETY: `value` points to a live `Variant` by this function's contract. The constructor only reads
        // it, and initialises the array at `place`.
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
        // SAFETY: a ptrcall passes a pointer to a `Variant`, which lives through `'a` by this function's
        // contract. gdext's type has the same layout.
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
        // SAFETY: `hold` got a pointer to a `Variant` that outlives `held`. gdext's type has the same layout.
        unsafe { &*held.cast::<Self>() }
    }
}

pub(in crate::binding) const fn assert_same_layout<A, B>() {
    assert!(size_of::<A>() == size_of::<B>() && align_of::<A>() == align_of::<B>());
}
