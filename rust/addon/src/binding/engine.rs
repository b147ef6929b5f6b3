//! Methods of the engine's own classes. gdext's wrappers of them refuse every thread but the first.

use std::sync::OnceLock;

use godot::builtin::{GString, StringName};
use godot::sys::{self, GodotFfi, interface_fn};

use super::types::EngineText;

/// A method, looked up once.
pub(super) struct Method(pub(super) sys::GDExtensionMethodBindPtr);

// SAFETY: the engine never changes or frees what the pointer leads to.
unsafe impl Send for Method {}
// SAFETY: as above.
unsafe impl Sync for Method {}

impl Method {
    /// `hash` stands for the signature; `extension_api.json` has it. `None` on an engine that lacks the method.
    pub(super) fn find(class: &str, name: &str, hash: i64) -> Option<Self> {
        let (class, name) = (StringName::from(class), StringName::from(name));
        // SAFETY: two live names.
        let found =
            unsafe { interface_fn!(classdb_get_method_bind)(class.sys().cast(), name.sys().cast(), hash) };
        (!found.is_null()).then_some(Self(found))
    }
}

/// Does the object in a `Variant` still live? A variable may outlast what it held.
///
/// # Safety
/// `value` points to a live `Variant`.
pub(super) unsafe fn is_instance_valid(value: sys::GDExtensionConstVariantPtr) -> bool {
    static FUNCTION: OnceLock<sys::GDExtensionPtrUtilityFunction> = OnceLock::new();
    let function = FUNCTION.get_or_init(|| {
        let name = StringName::from("is_instance_valid");
        // SAFETY: a live name.
        unsafe { interface_fn!(variant_get_ptr_utility_function)(name.sys().cast(), 996_128_841) }
    });
    let Some(function) = *function else { return false };
    let (mut answer, arguments) = (0_u8, [value.cast()]);
    // SAFETY: it takes a `Variant` (the caller's) and returns a `bool`.
    unsafe { function((&raw mut answer).cast(), arguments.as_ptr(), 1) };
    answer != 0
}

/// The path that the system knows for one that may begin with `res://` or `user://`.
pub(crate) fn globalize_path(path: &EngineText<'_>) -> EngineText<'static> {
    static METHOD: OnceLock<Option<Method>> = OnceLock::new();
    let method = METHOD.get_or_init(|| Method::find("ProjectSettings", "globalize_path", 3_135_753_539));
    let class = StringName::from("ProjectSettings");
    let mut found = GString::new();
    if let Some(method) = method {
        let arguments = [path.as_gstring().sys()];
        // SAFETY: the singleton is there as long as the engine runs; the method takes a `String` and returns one, into
        // one that is initialised.
        unsafe {
            let settings = interface_fn!(global_get_singleton)(class.sys().cast());
            interface_fn!(object_method_bind_ptrcall)(
                method.0,
                settings,
                arguments.as_ptr(),
                found.sys_mut().cast(),
            );
        }
    }
    EngineText::from(found)
}
