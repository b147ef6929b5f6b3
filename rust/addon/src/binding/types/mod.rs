//! What a method may take and return, and how each looks to the engine.
//!
//! A value arrives in one of two ways. In a *ptrcall* (typed GDScript, C#) it is a pointer to the value itself, of
//! exactly the declared type. In a *varcall* (untyped GDScript, `call()`) it is a pointer to a `Variant`, which
//! may hold something else; it is converted where the engine's own methods would, and refused otherwise.

mod buffer;
mod enums;
mod image;
mod params;
mod returns;
mod text;

use std::mem::MaybeUninit;
use std::sync::OnceLock;

use godot::builtin::{GString, Variant};
use godot::sys::{self, interface_fn};

use super::engine;
pub(crate) use buffer::{Buffer, BytesOut};
pub(crate) use enums::{Enum, EnumArg, ScriptEnum};
pub(crate) use image::{Image, Picture};
pub(crate) use returns::ErrorCode;
pub(crate) use text::EngineText;

/// `PROPERTY_USAGE_DEFAULT`
pub(super) const PROPERTY_USAGE_DEFAULT: u32 = 2 | 4;
/// `PROPERTY_USAGE_CLASS_IS_ENUM`
const PROPERTY_USAGE_CLASS_IS_ENUM: u32 = 1 << 16;
/// `PROPERTY_USAGE_NIL_IS_VARIANT`
const PROPERTY_USAGE_NIL_IS_VARIANT: u32 = 1 << 17;
/// `PROPERTY_HINT_ENUM`
const PROPERTY_HINT_ENUM: u32 = 2;

/// How the engine describes a type.
pub(crate) struct TypeInfo {
    pub(super) kind: sys::GDExtensionVariantType,
    pub(super) class_name: &'static str,
    pub(super) hint: u32,
    pub(super) hint_string: &'static str,
    pub(super) usage: u32,
}

impl TypeInfo {
    const fn plain(kind: sys::GDExtensionVariantType) -> Self {
        Self { kind, class_name: "", hint: 0, hint_string: "", usage: 0 }
    }

    /// Any type.
    pub(crate) const fn variant() -> Self {
        Self { usage: PROPERTY_USAGE_NIL_IS_VARIANT, ..Self::plain(sys::GDEXTENSION_VARIANT_TYPE_NIL) }
    }

    pub(super) const fn object(class_name: &'static str) -> Self {
        Self { class_name, ..Self::plain(sys::GDEXTENSION_VARIANT_TYPE_OBJECT) }
    }

    /// Is it the type of what returns nothing?
    pub(super) const fn is_void(&self) -> bool {
        self.kind == sys::GDEXTENSION_VARIANT_TYPE_NIL && self.usage & PROPERTY_USAGE_NIL_IS_VARIANT == 0
    }

    const fn enumeration(class_name: &'static str, hint_string: &'static str) -> Self {
        Self {
            kind: sys::GDEXTENSION_VARIANT_TYPE_INT,
            class_name,
            hint: if hint_string.is_empty() { 0 } else { PROPERTY_HINT_ENUM },
            hint_string,
            usage: PROPERTY_USAGE_CLASS_IS_ENUM,
        }
    }
}

/// The type of a parameter.
pub(crate) trait Param: 'static {
    /// How the engine describes it.
    const INFO: TypeInfo;
    /// What the method gets.
    type Arg<'a>;
    /// What keeps a varcall's value while the method runs.
    type Held;

    /// The argument of a ptrcall.
    ///
    /// # Safety
    /// `value` points to a value of this type, as ptrcalls pass it, that lives through `'a`.
    unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Self::Arg<'a>;

    /// The argument of a varcall, or `None` if it isn't of this type and can't become one.
    ///
    /// # Safety
    /// `value` points to a `Variant` that lives as long as what is returned.
    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<Self::Held>;

    /// What is held for an argument that the caller has left out.
    fn hold_default(value: DefaultValue) -> Option<Self::Held>;

    /// Lends what was held to the method.
    fn lend(held: &mut Self::Held) -> Self::Arg<'_>;
}

/// The value of a parameter that the caller may leave out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DefaultValue {
    /// An integer.
    Int(i64),
    /// A string.
    Text(&'static str),
}

impl From<i64> for DefaultValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&'static str> for DefaultValue {
    fn from(text: &'static str) -> Self {
        Self::Text(text)
    }
}

impl DefaultValue {
    fn as_int(self) -> Option<i64> {
        if let Self::Int(value) = self { Some(value) } else { None }
    }

    fn as_text(self) -> Option<GString> {
        if let Self::Text(text) = self { Some(GString::from(text)) } else { None }
    }

    pub(super) fn to_variant(self) -> Variant {
        match self {
            Self::Int(value) => Variant::from(value),
            Self::Text(text) => Variant::from(GString::from(text)),
        }
    }
}

/// The type of a return value.
pub(crate) trait Return: Sized + 'static {
    /// How the engine describes it. `NIL` is no value.
    const INFO: TypeInfo;

    /// Stores the value where a ptrcall wants it.
    ///
    /// # Safety
    /// `to` points to an initialised value of this type, as ptrcalls return it.
    unsafe fn store(self, to: sys::GDExtensionTypePtr);

    /// The value for a varcall.
    fn to_variant(self) -> Variant;

    /// What to return where the method could not run to its end.
    fn failed() -> Self;
}

/// The object in a `Variant`, or null; `None` if it holds something else, or an object that was freed.
///
/// # Safety
/// `value` points to a live `Variant`.
pub(super) unsafe fn object_of(value: sys::GDExtensionConstVariantPtr) -> Option<sys::GDExtensionObjectPtr> {
    static CONSTRUCTOR: Constructor = Constructor::of(&TypeInfo::object(""));
    // SAFETY: the caller's; the engine stores an object as a pointer to it.
    let object: sys::GDExtensionObjectPtr = unsafe { CONSTRUCTOR.convert(value) }?;
    // The pointer says nothing of it. (In a ptrcall it is declared as a class whose objects are counted, and so it lives.)
    // SAFETY: the caller's.
    (object.is_null() || unsafe { engine::is_instance_valid(value) }).then_some(object)
}

/// The engine's constructors of a type's values from a `Variant`, looked up once a type.
struct Constructor {
    kind: sys::GDExtensionVariantType,
    function: OnceLock<sys::GDExtensionTypeFromVariantConstructorFunc>,
}

impl Constructor {
    const fn of(info: &TypeInfo) -> Self {
        Self { kind: info.kind, function: OnceLock::new() }
    }

    /// What makes a value of this type from the `Variant`, if it is one or the engine's own methods would take it for one.
    ///
    /// # Safety
    /// `value` points to a live `Variant`.
    unsafe fn for_value(
        &self,
        value: sys::GDExtensionConstVariantPtr,
    ) -> sys::GDExtensionTypeFromVariantConstructorFunc {
        // SAFETY: the caller's.
        let found = unsafe { interface_fn!(variant_get_type)(value) };
        // SAFETY: two valid types.
        if found != self.kind && unsafe { interface_fn!(variant_can_convert_strict)(found, self.kind) } == 0 {
            return None;
        }
        // SAFETY: a valid type.
        *self.function.get_or_init(|| unsafe { interface_fn!(get_variant_to_type_constructor)(self.kind) })
    }

    /// The value of a `Variant` as `T`, if it can be had.
    ///
    /// # Safety
    /// `value` points to a live `Variant`. `T` is what the engine stores for a value of this type.
    unsafe fn convert<T>(&self, value: sys::GDExtensionConstVariantPtr) -> Option<T> {
        // SAFETY: the caller's.
        let function = unsafe { self.for_value(value) }?;
        let mut converted = MaybeUninit::<T>::uninit();
        // SAFETY: the constructor initialises a value of this type from the variant, which it only reads.
        unsafe {
            function(converted.as_mut_ptr().cast(), value.cast_mut());
            Some(converted.assume_init())
        }
    }
}
