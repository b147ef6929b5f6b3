//! The enums of the addon's classes.

use std::marker::PhantomData;

use godot::builtin::Variant;
use godot::sys;

use super::{DefaultValue, Param, Return, TypeInfo, result_of};

/// An enum that scripts see as constants of a class.
pub(crate) trait ScriptEnum: Copy + PartialEq + 'static {
    /// The name, as `Class.Enum`.
    const NAME: &'static str;
    /// The values in the inspector. Empty for an enum that is the type of no property.
    const HINT: &'static str = "";
    /// The constants: name and number in scripts, and value. A method that panics returns the first one.
    const CONSTANTS: &'static [(&'static str, i64, Self)];

    /// Returns the constant with this number.
    fn from_number(number: i64) -> Option<Self> {
        Self::CONSTANTS.iter().find(|constant| constant.1 == number).map(|constant| constant.2)
    }

    /// Returns the number that scripts see.
    fn number(self) -> i64 {
        Self::CONSTANTS.iter().find(|constant| constant.2 == self).map_or(0, |constant| constant.1)
    }
}

/// A [`ScriptEnum`] as the type of a parameter or a result.
pub(crate) struct Enum<E>(pub(crate) E);

impl<E: ScriptEnum> Return for Enum<E> {
    const INFO: TypeInfo = TypeInfo::enumeration(E::NAME, E::HINT);

    unsafe fn store(to: sys::GDExtensionTypePtr, call: impl FnOnce(&mut Self)) {
        // SAFETY: a ptrcall returns an enum as an integer, to which `to` points by this function's contract.
        unsafe { to.cast::<i64>().write(result_of::<Self>(call).0.number()) };
    }

    fn to_variant(self) -> Variant {
        Variant::from(self.0.number())
    }

    fn failed() -> Self {
        Self(const { E::CONSTANTS[0].2 })
    }
}

/// The number that a script gave for a [`ScriptEnum`]. The engine doesn't check it: it may be any integer.
pub(crate) struct EnumArg<E> {
    pub(crate) number: i64,
    kind: PhantomData<E>,
}

impl<E: ScriptEnum> EnumArg<E> {
    /// Returns the constant with this number, if there is one.
    pub(crate) fn get(&self) -> Option<E> {
        E::from_number(self.number)
    }
}

impl<E: ScriptEnum> Param for Enum<E> {
    const INFO: TypeInfo = <Self as Return>::INFO;
    type Arg<'a> = EnumArg<E>;
    type Held = i64;

    unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Self::Arg<'a> {
        // SAFETY: a ptrcall passes an enum as an integer; the rest is this function's contract.
        EnumArg { number: unsafe { <i64 as Param>::from_ptr(value) }, kind: PhantomData }
    }

    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<i64> {
        // SAFETY: this function's contract is the same.
        unsafe { <i64 as Param>::hold(value) }
    }

    fn hold_default(value: DefaultValue) -> Option<i64> {
        <i64 as Param>::hold_default(value)
    }

    fn lend(held: &mut i64) -> Self::Arg<'_> {
        EnumArg { number: *held, kind: PhantomData }
    }
}
