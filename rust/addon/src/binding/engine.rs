//! Calls of the engine's own methods. gdext's wrappers of them only work on the main thread.

use std::mem::MaybeUninit;
use std::sync::OnceLock;

use godot::builtin::{GString, StringName, Variant};
use godot::sys::{self, GodotFfi, interface_fn};

use super::types::EngineText;

/// A method of the engine.
pub(super) struct EngineMethod(pub(super) sys::GDExtensionMethodBindPtr);

// SAFETY: the engine never changes or frees a method bind.
unsafe impl Send for EngineMethod {}
// SAFETY: as above.
unsafe impl Sync for EngineMethod {}

impl EngineMethod {
    /// Looks a method up, or returns `None` if the engine lacks it. `hash` is that of its signature in
    /// `extension_api.json`.
    pub(super) fn find(class: &str, name: &str, hash: i64) -> Option<Self> {
        let (class, name) = (StringName::from(class), StringName::from(name));
        // SAFETY: both names live until the call returns.
        let bind =
            unsafe { interface_fn!(classdb_get_method_bind)(class.sys().cast(), name.sys().cast(), hash) };
        (!bind.is_null()).then_some(Self(bind))
    }

    /// Calls the method. `None` if the engine refuses the arguments.
    ///
    /// # Safety
    /// `object` lives, and has the method's class. For a static method, it is null.
    pub(super) unsafe fn call<'a>(
        &self,
        object: sys::GDExtensionObjectPtr,
        arguments: impl Iterator<Item = &'a Variant>,
    ) -> Option<Variant> {
        let arguments: Vec<sys::GDExtensionConstVariantPtr> =
            arguments.map(|value| value.sys().cast()).collect();
        let mut result = MaybeUninit::<Variant>::uninit();
        let mut error =
            sys::GDExtensionCallError { error: sys::GDEXTENSION_CALL_OK, argument: 0, expected: 0 };
        // SAFETY: `object` is as this function's contract says. The arguments live until the call returns,
        // and the engine always initialises the result.
        let result = unsafe {
            interface_fn!(object_method_bind_call)(
                self.0,
                object,
                arguments.as_ptr(),
                i64::try_from(arguments.len()).unwrap_or(0),
                result.as_mut_ptr().cast(),
                &raw mut error,
            );
            result.assume_init()
        };
        (error.error == sys::GDEXTENSION_CALL_OK).then_some(result)
    }
}

/// Returns whether the object in a `Variant` still lives. It may have been freed.
///
/// # Safety
/// `value` points to a live `Variant`.
pub(super) unsafe fn is_instance_valid(value: sys::GDExtensionConstVariantPtr) -> bool {
    static FUNCTION: OnceLock<sys::GDExtensionPtrUtilityFunction> = OnceLock::new();
    let function = FUNCTION.get_or_init(|| {
        let name = StringName::from("is_instance_valid");
        // SAFETY: `name` lives until the call returns.
        unsafe { interface_fn!(variant_get_ptr_utility_function)(name.sys().cast(), 996_128_841) }
    });
    let Some(function) = *function else { return false };
    let (mut is_valid, arguments) = (0_u8, [value.cast()]);
    // SAFETY: the function takes a `Variant`, which lives by this function's contract, and returns a `bool`.
    unsafe { function((&raw mut is_valid).cast(), arguments.as_ptr(), 1) };
    is_valid != 0
}

/// Returns the system's path for one that may begin with `res://` or `user://`.
pub(crate) fn globalize_path(path: &EngineText<'_>) -> EngineText<'static> {
    static METHOD: OnceLock<Option<EngineMethod>> = OnceLock::new();
    let method =
        METHOD.get_or_init(|| EngineMethod::find("ProjectSettings", "globalize_path", 3_135_753_539));
    let class = StringName::from("ProjectSettings");
    let mut global = GString::new();
    if let Some(method) = method {
        let arguments = [path.as_gstring().sys()];
        // SAFETY: the singleton lives as long as the engine runs. The method takes a `String` and stores one
        // in `global`, which is initialised.
        unsafe {
            let settings = interface_fn!(global_get_singleton)(class.sys().cast());
            interface_fn!(object_method_bind_ptrcall)(
                method.0,
                settings,
                arguments.as_ptr(),
                global.sys_mut().cast(),
            );
        }
    }
    EngineText::from(global)
}
