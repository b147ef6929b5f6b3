//! The types of parameters and results, and their descriptions for the engine.
//!
//! A value arrives in one of two ways. In a *ptrcall* (typed GDScript, C#), it is a pointer to the value
//! itself, of exactly the declared type. In a *varcall* (untyped GDScript, `call()`), it is a pointer to a
//! `Variant`, which may hold a value of another type. That value is converted if the engine's own methods
//! would convert it, and refused otherwise.

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
pub(crate) use image::{Image, ImageArg, new_image};
pub(in crate::binding) use params::assert_same_layout;
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
/// `PROPERTY_HINT_ARRAY_TYPE`
const PROPERTY_HINT_ARRAY_TYPE: u32 = 31;

/// The engine's description of a type.
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

    /// Describes a value of any type.
    pub(crate) const fn variant() -> Self {
        Self { usage: PROPERTY_USAGE_NIL_IS_VARIANT, ..Self::plain(sys::GDEXTENSION_VARIANT_TYPE_NIL) }
    }

    pub(super) const fn object(class_name: &'static str) -> Self {
        Self { class_name, ..Self::plain(sys::GDEXTENSION_VARIANT_TYPE_OBJECT) }
    }

    /// Describes an array of values of one type.
    const fn array(of: &'static str) -> Self {
        let plain = Self::plain(sys::GDEXTENSION_VARIANT_TYPE_ARRAY);
        Self { hint: PROPERTY_HINT_ARRAY_TYPE, hint_string: of, ..plain }
    }

    /// Returns whether it is the type of a method without a result.
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
    /// The description for the engine.
    const INFO: TypeInfo;
    /// The argument that the method gets.
    type Arg<'a>;
    /// The owner of a varcall's value while the method runs.
    type Held;

    /// Returns the argument of a ptrcall.
    ///
    /// # Safety
    /// `value` points to a value of this type, as ptrcalls pass it, that lives through `'a`.
    unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Self::Arg<'a>;

    /// Converts the argument of a varcall, or returns `None` if it has another type and can't be converted.
    ///
    /// # Safety
    /// `value` points to a `Variant` that lives as long as the returned value.
    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<Self::Held>;

    /// Converts the default value, for an argument that the script has left out.
    fn hold_default(value: DefaultValue) -> Option<Self::Held>;

    /// Lends the held value to the method.
    fn lend(held: &mut Self::Held) -> Self::Arg<'_>;
}

/// The default value of a parameter that a script may leave out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DefaultValue {
    /// A bool.
    Bool(bool),
    /// An integer, or a constant of an enum.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string.
    Text(&'static str),
}

impl From<bool> for DefaultValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for DefaultValue {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
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
    fn as_bool(self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(value) } else { None }
    }

    fn as_float(self) -> Option<f64> {
        if let Self::Float(value) = self { Some(value) } else { None }
    }

    fn as_int(self) -> Option<i64> {
        if let Self::Int(value) = self { Some(value) } else { None }
    }

    fn as_text(self) -> Option<GString> {
        if let Self::Text(text) = self { Some(GString::from(text)) } else { None }
    }

    pub(super) fn to_variant(self) -> Variant {
        match self {
            Self::Bool(value) => Variant::from(value),
            Self::Int(value) => Variant::from(value),
            Self::Float(value) => Variant::from(value),
            Self::Text(text) => Variant::from(GString::from(text)),
        }
    }
}

/// The type of a return value.
pub(crate) trait Return: Sized + 'static {
    /// The description for the engine. `NIL` stands for no value.
    const INFO: TypeInfo;

    /// Stores the value that `call` sets as the result of a ptrcall.
    ///
    /// # Safety
    /// `to` points to an initialised value of this type, as ptrcalls return it. It is no argument of the
    /// call, and nothing else uses it until this returns.
    unsafe fn store(to: sys::GDExtensionTypePtr, call: impl FnOnce(&mut Self));

    /// Returns the value as the result of a varcall.
    fn to_variant(self) -> Variant;

    /// Returns the result of a method that has panicked.
    fn failed() -> Self;
}

/// Returns the value that `call` sets.
pub(super) fn result_of<R: Return>(call: impl FnOnce(&mut R)) -> R {
    let mut result = R::failed();
    call(&mut result);
    result
}

/// Returns the object in a `Variant`, or null. `None` if it holds a value of another type, or a freed object.
///
/// # Safety
/// `value` points to a live `Variant`.
pub(super) unsafe fn object_of(value: sys::GDExtensionConstVariantPtr) -> Option<sys::GDExtensionObjectPtr> {
    static CONSTRUCTOR: Constructor = Constructor::of(&TypeInfo::object(""));
    // SAFETY: `value` is live by this function's contract. The engine stores an object as a pointer to it.
    let object: sys::GDExtensionObjectPtr = unsafe { CONSTRUCTOR.convert(value) }?;
    // The pointer may be dangling: a `Variant` of an object that isn't counted doesn't keep it alive.
    // SAFETY: `value` points to a live `Variant` by this function's contract.
    (object.is_null() || unsafe { engine::is_instance_valid(value) }).then_some(object)
}

/// The engine's function that makes a value of one type from a `Variant`.
struct Constructor {
    kind: sys::GDExtensionVariantType,
    function: OnceLock<sys::GDExtensionTypeFromVariantConstructorFunc>,
}

impl Constructor {
    const fn of(info: &TypeInfo) -> Self {
        Self { kind: info.kind, function: OnceLock::new() }
    }

    /// Returns the function if the engine's own methods would accept the `Variant` for this type.
    ///
    /// # Safety
    /// `value` points to a live `Variant`.
    unsafe fn for_value(
        &self,
        value: sys::GDExtensionConstVariantPtr,
    ) -> sys::GDExtensionTypeFromVariantConstructorFunc {
        // SAFETY: `value` points to a live `Variant` by this function's contract.
        let actual = unsafe { interface_fn!(variant_get_type)(value) };
        // SAFETY: both are valid types.
        if actual != self.kind && unsafe { interface_fn!(variant_can_convert_strict)(actual, self.kind) } == 0
        {
            return None;
        }
        // SAFETY: `kind` is a valid type.
        *self.function.get_or_init(|| unsafe { interface_fn!(get_variant_to_type_constructor)(self.kind) })
    }

    /// Converts the value of a `Variant`, if [`for_value`](Self::for_value) has a function for it.
    ///
    /// # Safety
    /// `value` points to a live `Variant`. `T` has the layout of the engine's values of this type.
    unsafe fn convert<T>(&self, value: sys::GDExtensionConstVariantPtr) -> Option<T> {
        // SAFETY: `value` points to a live `Variant` by this function's contract.
        let function = unsafe { self.for_value(value) }?;
        let mut converted = MaybeUninit::<T>::uninit();
        // SAFETY: the function only reads the `Variant`. It initialises a value of this type, and `T` has its
        // layout by this function's contract.
        unsafe {
            function(converted.as_mut_ptr().cast(), value.cast_mut());
            Some(converted.assume_init())
        }
    }
}
