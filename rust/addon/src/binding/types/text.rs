//! Text that a script gives.
//!
//! The engine's strings hold any 32-bit numbers, while gdext hands them out as `char`s, which must be Unicode. So a
//! method gets an [`EngineText`], whose only content is the bare numbers.

use std::borrow::Cow;
use std::ptr;

use godot::builtin::{GString, StringName, Variant, VariantType};
use godot::sys::{self, GodotFfi, interface_fn};

use super::params::{assert_same_layout, param};
use super::{Constructor, DefaultValue, Param, TypeInfo};

/// A text of the engine, which may not be valid Unicode.
pub(crate) struct EngineText<'a>(Cow<'a, GString>);

impl EngineText<'_> {
    /// The text in a `String`, a `StringName` or a `NodePath`; `None` for a value of another type.
    pub(crate) fn of(value: &Variant) -> Option<EngineText<'static>> {
        match value.get_type() {
            // Of these types, no script runs to make the text.
            VariantType::STRING | VariantType::STRING_NAME | VariantType::NODE_PATH => {
                Some(EngineText::from(value.stringify()))
            }
            _ => None,
        }
    }

    /// Its 32-bit units, as they are.
    pub(crate) fn units(&self) -> &[u32] {
        let text = self.0.sys().cast();
        // SAFETY: a live string; with room for no unit, the call only returns the length.
        let length = unsafe { interface_fn!(string_to_utf32_chars)(text, ptr::null_mut(), 0) };
        match usize::try_from(length) {
            Ok(length) if length > 0 => {
                // SAFETY: index 0 lies in a string that is not empty, whose `length` units follow one another. They
                // are not changed while the string is borrowed. Any bits are a `u32`.
                unsafe {
                    let first = interface_fn!(string_operator_index_const)(text, 0);
                    std::slice::from_raw_parts(first.cast::<u32>(), length)
                }
            }
            _ => &[],
        }
    }

    /// The string itself, to be given to the engine.
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

// A `String` becomes a `StringName`. gdext's types are wrappers of the engine's, of the same layout.
const _: () = assert_same_layout::<StringName, sys::types::OpaqueStringName>();
const _: () = assert_same_layout::<GString, sys::types::OpaqueString>();
param!(StringName: GDEXTENSION_VARIANT_TYPE_STRING_NAME, StringName => EngineText<'a>, |value| EngineText::from(value),
    |_default| None);
param!(GString: GDEXTENSION_VARIANT_TYPE_STRING, GString => EngineText<'a>, |value| EngineText::from(value),
    |default| default.as_text());
