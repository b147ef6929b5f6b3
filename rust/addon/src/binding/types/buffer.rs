//! An array of the script that a method fills in place.

use std::mem::MaybeUninit;
use std::sync::OnceLock;

use godot::builtin::{PackedByteArray, StringName, Variant};
use godot::meta::ToGodot;
use godot::sys::{self, GodotFfi, interface_fn};

use super::{DefaultValue, Param, TypeInfo};
use crate::binding::packed;

/// The type of a parameter: a `PackedByteArray` whose elements the method sets in the script's own array.
pub(crate) struct BytesOut;

/// The script's array.
pub(crate) enum Buffer<'a> {
    /// The array itself.
    InPlace(&'a mut PackedByteArray),
    /// The `Variant` that holds the array. Before 4.4, the engine gives no access to the array itself.
    Variable(sys::GDExtensionVariantPtr),
}

impl Buffer<'_> {
    /// Calls `fill` with the bytes of the array, which may change even if it fails. If the engine can't store
    /// them in the script's array, returns the error of `unavailable`.
    pub(crate) fn fill<T, E>(
        self,
        fill: impl FnOnce(&mut [u8]) -> Result<T, E>,
        unavailable: impl FnOnce() -> E,
    ) -> Result<T, E> {
        match self {
            Self::InPlace(array) => fill(packed::bytes_mut(array)),
            Self::Variable(variable) => {
                // SAFETY: `BytesOut::hold` got a pointer to a `Variant` that outlives the call.
                let mut copy = unsafe { &*variable.cast::<Variant>() }.to::<PackedByteArray>();
                let filled = fill(packed::bytes_mut(&mut copy))?;
                // The `Variant` shares its array with the script's variable: the script sees the changes.
                // SAFETY: `variable` points to the live `Variant` that `hold` got.
                let is_stored = unsafe {
                    call_builtin(variable, "clear", &[])
                        && call_builtin(variable, "append_array", &[copy.to_variant()])
                };
                if is_stored { Ok(filled) } else { Err(unavailable()) }
            }
        }
    }
}

impl Param for BytesOut {
    const INFO: TypeInfo = TypeInfo::plain(sys::GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY);
    type Arg<'a> = Buffer<'a>;
    type Held = sys::GDExtensionVariantPtr;

    unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Buffer<'a> {
        // SAFETY: a ptrcall passes a pointer to an array that lives through `'a` by this function's contract.
        // It is declared const, but GDScript passes the array of the script's variable by reference. Nothing
        // else uses the array during the call, unless the script shares it between threads, which the
        // engine's own methods don't allow either.
        Buffer::InPlace(unsafe { &mut *value.cast_mut().cast::<PackedByteArray>() })
    }

    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<sys::GDExtensionVariantPtr> {
        // Not converted: the script would not see the bytes in a converted copy.
        // SAFETY: `value` points to a live `Variant` by this function's contract.
        (unsafe { interface_fn!(variant_get_type)(value) } == Self::INFO.kind).then_some(value.cast_mut())
    }

    fn hold_default(_: DefaultValue) -> Option<Self::Held> {
        None
    }

    fn lend(held: &mut sys::GDExtensionVariantPtr) -> Buffer<'_> {
        match internal_array_getter() {
            // SAFETY: `hold` got a live `Variant` with a `PackedByteArray`, for which the getter is.
            Some(getter) => Buffer::InPlace(unsafe { &mut *getter(*held).cast::<PackedByteArray>() }),
            None => Buffer::Variable(*held),
        }
    }
}

type InternalGetter = unsafe extern "C" fn(sys::GDExtensionVariantPtr) -> *mut std::ffi::c_void;

/// Returns the engine's function for the `PackedByteArray` inside a `Variant`. It exists since Godot 4.4, so
/// gdext's interface of 4.3 lacks it.
fn internal_array_getter() -> Option<InternalGetter> {
    type Lookup =
        unsafe extern "C" fn(sys::GDExtensionVariantType) -> sys::GDExtensionVariantGetInternalPtrFunc;
    static GETTER: OnceLock<Option<InternalGetter>> = OnceLock::new();
    *GETTER.get_or_init(|| {
        if cfg!(feature = "without-internal-getter") {
            return None;
        }
        // SAFETY: the library is initialised. With gdext's `experimental-threads`, any thread may call this.
        let lookup = unsafe { sys::get_ffi_ptr_by_cstr(b"variant_get_ptr_internal_getter\0") }?;
        // SAFETY: the engine's header declares the function of this name with this type.
        let lookup: Lookup = unsafe { std::mem::transmute(lookup) };
        // SAFETY: the argument is a valid type.
        unsafe { lookup(sys::GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY) }
    })
}

/// Calls a method on the value in a `Variant`, in place. Returns whether the engine made the call.
///
/// # Safety
/// `variable` points to a live `Variant`.
unsafe fn call_builtin(variable: sys::GDExtensionVariantPtr, method: &str, arguments: &[Variant]) -> bool {
    let method = StringName::from(method);
    let arguments: Vec<sys::GDExtensionConstVariantPtr> = arguments.iter().map(|a| a.sys().cast()).collect();
    let mut result = MaybeUninit::<Variant>::uninit();
    let mut error = sys::GDExtensionCallError { error: sys::GDEXTENSION_CALL_OK, argument: 0, expected: 0 };
    // SAFETY: `variable` points to a live `Variant` by this function's contract. The arguments live until the
    // call returns, and the engine always initialises the result.
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
