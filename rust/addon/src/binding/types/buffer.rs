//! An array of the caller's that a method fills.

use std::mem::MaybeUninit;
use std::sync::OnceLock;

use godot::builtin::{PackedByteArray, StringName, Variant};
use godot::meta::ToGodot;
use godot::sys::{self, GodotFfi, interface_fn};

use super::{DefaultValue, Param, TypeInfo};
use crate::binding::packed;

/// A `PackedByteArray` whose elements the method sets, in the caller's own array.
pub(crate) struct BytesOut;

/// The caller's array.
pub(crate) enum Buffer<'a> {
    /// The array itself.
    InPlace(&'a mut PackedByteArray),
    /// The variable that holds it, on engines that don't let one at what a variable holds (before 4.4).
    Variable(sys::GDExtensionVariantPtr),
}

impl Buffer<'_> {
    /// Calls `fill` with the bytes of the array. If it fails, they may have been changed.
    pub(crate) fn fill<T, E>(
        self,
        fill: impl FnOnce(&mut [u8]) -> Result<T, E>,
        lost: impl FnOnce() -> E,
    ) -> Result<T, E> {
        match self {
            Self::InPlace(array) => fill(packed::bytes_mut(array)),
            Self::Variable(variable) => {
                // SAFETY: `BytesOut::hold` made it from a pointer to a `Variant` that outlives the call.
                let mut copy = unsafe { &*variable.cast::<Variant>() }.to::<PackedByteArray>();
                let done = fill(packed::bytes_mut(&mut copy))?;
                // SAFETY: as above. The array in the variable is the caller's own, so that its methods change
                // what the caller sees.
                let replaced = unsafe {
                    call_builtin(variable, "clear", &[])
                        && call_builtin(variable, "append_array", &[copy.to_variant()])
                };
                if replaced { Ok(done) } else { Err(lost()) }
            }
        }
    }
}

impl Param for BytesOut {
    const INFO: TypeInfo = TypeInfo::plain(sys::GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY);
    type Arg<'a> = Buffer<'a>;
    type Held = sys::GDExtensionVariantPtr;

    unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Buffer<'a> {
        // SAFETY: the caller's. The pointer is declared const, but it leads to the array that the caller's
        // variable holds, which GDScript passes by reference; nothing else reads or writes it during the call
        // unless the script shares the array between threads, which the engine's own methods don't allow either.
        Buffer::InPlace(unsafe { &mut *value.cast_mut().cast::<PackedByteArray>() })
    }

    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<sys::GDExtensionVariantPtr> {
        // SAFETY: the caller's. No conversion: filling a converted copy would pretend.
        (unsafe { interface_fn!(variant_get_type)(value) } == Self::INFO.kind).then_some(value.cast_mut())
    }

    fn hold_default(_: DefaultValue) -> Option<Self::Held> {
        None
    }

    fn lend(held: &mut sys::GDExtensionVariantPtr) -> Buffer<'_> {
        match internal_array_getter() {
            // SAFETY: `hold` made sure that it is a `PackedByteArray`, which is what the getter is for.
            Some(getter) => Buffer::InPlace(unsafe { &mut *getter(*held).cast::<PackedByteArray>() }),
            None => Buffer::Variable(*held),
        }
    }
}

type InternalGetter = unsafe extern "C" fn(sys::GDExtensionVariantPtr) -> *mut std::ffi::c_void;

/// The engine's way to the `PackedByteArray` inside a `Variant`; since Godot 4.4, so not in the 4.3 interface.
fn internal_array_getter() -> Option<InternalGetter> {
    type Lookup =
        unsafe extern "C" fn(sys::GDExtensionVariantType) -> sys::GDExtensionVariantGetInternalPtrFunc;
    static GETTER: OnceLock<Option<InternalGetter>> = OnceLock::new();
    *GETTER.get_or_init(|| {
        if cfg!(feature = "without-internal-getter") {
            return None;
        }
        // SAFETY: the library is initialised; with gdext's `experimental-threads` any thread may ask.
        let lookup = unsafe { sys::get_ffi_ptr_by_cstr(b"variant_get_ptr_internal_getter\0") }?;
        // SAFETY: the engine's header declares the function of this name with this type.
        let lookup: Lookup = unsafe { std::mem::transmute(lookup) };
        // SAFETY: a valid type.
        unsafe { lookup(sys::GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY) }
    })
}

/// Calls a method of the value in a variable, on that value. True if it ran.
///
/// # Safety
/// `variable` points to a live `Variant`.
unsafe fn call_builtin(variable: sys::GDExtensionVariantPtr, method: &str, arguments: &[Variant]) -> bool {
    let method = StringName::from(method);
    let arguments: Vec<sys::GDExtensionConstVariantPtr> = arguments.iter().map(|a| a.sys().cast()).collect();
    let mut result = MaybeUninit::<Variant>::uninit();
    let mut error = sys::GDExtensionCallError { error: sys::GDEXTENSION_CALL_OK, argument: 0, expected: 0 };
    // SAFETY: the arguments live until the call returns, and the engine always initialises the result.
    unsafe {
        interface_fn!(variant_call)(
            variable,
            method.sys().cast(),
            arguments.as_ptr(),
            i64::try_from(arguments.len()).unwrap_or(0),
            result.as_mut_ptr().cast(),
            &raw mut error,
        );
        result.assume_init_drop();
    }
    error.error == sys::GDEXTENSION_CALL_OK
}
