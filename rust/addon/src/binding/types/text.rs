//! Text from scripts.
//!
//! The engine's strings may hold any 32-bit numbers. gdext returns them as `char`s, which must be valid
//! Unicode. Therefore, a method gets an [`EngineText`], which only gives access to the numbers.

use std::borrow::Cow;
use std::ptr;

use godot::builtin::{GString, StringName, Variant, VariantType};
use godot::sys::{self, GodotFfi, interface_fn};

use super::params::{assert_same_layout, param};
use super::{Constructor, DefaultValue, Param, TypeInfo};

/// A text of the engine, which may not be valid Unicode.
pub(crate) struct EngineText<'a>(Cow<'a, GString>);

impl EngineText<'_> {
    /// Returns the text of a `String`, a `StringName` or a `NodePath`. `None` for another type of value.
    pub(crate) fn of(value: &Variant) -> Option<EngineText<'static>> {
        match value.get_type() {
            // For these types, `stringify` runs no script.
            VariantType::STRING | VariantType::STRING_NAME | VariantType::NODE_PATH => {
                Some(EngineText::from(value.stringify()))
            }
            _ => None,
        }
    }

    /// Returns the 32-bit units.
    pub(crate) fn units(&self) -> &[u32] {
        let text = self.0.sys().cast();
        // SAFETY: the string lives as long as `self`. With no buffer, the call only returns the length.
        let length = unsafe { interface_fn!(string_to_utf32_chars)(text, ptr::null_mut(), 0) };
        match usize::try_from(length) {
            Ok(length) if length > 0 => {
                // SAFETY: the string isn't empty, and its `length` units are contiguous. They don't change
                // while the string is borrowed. All bits are valid in a `u32`.
                unsafe {
                    let first = interface_fn!(string_operator_index_const)(text, 0);
                    std::slice::from_raw_parts(first.cast::<u32>(), length)
                }
            }
            _ => &[],
        }
    }

    /// Returns the string itself, to pass it to the engine.
    pub(crate) fn as_gstring(&self) -> &GString {
        &self.0
    }
}

impl From<GString> for EngineText<'static> {
    fn from(text: GString) -> Self {
        Self(Cow::Owned(text))
    }
}

impl From<&StringName> for EngineText<'static> {
    fn from(name: &StringName) -> Self {
        Self::from(GString::from(name))
    }
}

impl<'a> From<&'a GString> for EngineText<'a> {
    fn from(text: &'a GString) -> Self {
        Self(Cow::Borrowed(text))
    }
}

// In a varcall, a `String` becomes a `StringName`. gdext's types have the layout of the engine's.
const _: () = assert_same_layout::<StringName, sys::types::OpaqueStringName>();
const _: () = assert_same_layout::<GString, sys::types::OpaqueString>();
param!(StringName: GDEXTENSION_VARIANT_TYPE_STRING_NAME, StringName => EngineText<'a>,
    |value| EngineText::from(value), |_default| None);
param!(GString: GDEXTENSION_VARIANT_TYPE_STRING, GString => EngineText<'a>,
    |value| EngineText::from(value), |default| default.as_text());
