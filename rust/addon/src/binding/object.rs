//! Objects of the addon's classes: an object's handle to itself, and references from one object to another.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::mem::{self, ManuallyDrop};
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use godot::builtin::{StringName, Variant};
use godot::sys::{self, interface_fn};

use super::engine::EngineMethod;
use super::types::{DefaultValue, Param, Return, TypeInfo, result_of};
use super::{Class, frames};

/// The instance of an object. The engine keeps a pointer to it.
pub(super) struct Instance<C> {
    this: This,
    pub(super) class: C,
}

/// The class and the instance of each object, by its address, as the engine has no function for that. Only
/// read where an object is passed to another one.
static INSTANCES: Mutex<BTreeMap<usize, (TypeId, usize)>> = Mutex::new(BTreeMap::new());

fn instances() -> MutexGuard<'static, BTreeMap<usize, (TypeId, usize)>> {
    INSTANCES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<C: Class> Instance<C> {
    /// Makes the instance of an object that the engine is creating.
    pub(super) fn create(object: sys::GDExtensionObjectPtr) -> *mut Self {
        let this = This(object);
        let instance = Box::into_raw(Box::new(Self { this, class: C::new(this) }));
        instances().insert(object.addr(), (TypeId::of::<C>(), instance.expose_provenance()));
        instance
    }

    /// Frees the instance as soon as no call on this thread uses it.
    ///
    /// # Safety
    /// `instance` came from [`create`](Self::create) and is freed once. Only calls on this thread may use it.
    pub(super) unsafe fn free(instance: *mut Self) {
        // SAFETY: the instance lives at least until `frames::free`.
        let object = unsafe { (*instance).this.0 };
        // First: another object may get the same address before this function returns.
        instances().remove(&object.addr());
        // SAFETY: the pointer came from `Box::into_raw` in `create`; the rest is this function's contract.
        unsafe { frames::free(instance) };
    }
}

/// An object's handle to itself, for its own instance.
#[derive(Clone, Copy)]
pub(crate) struct This(sys::GDExtensionObjectPtr);

// SAFETY: `reference` and `emit` use the pointer, and the engine allows both from any thread.
unsafe impl Send for This {}
// SAFETY: as above.
unsafe impl Sync for This {}

impl This {
    /// Returns a reference to the object. A method that runs scripts, as [`emit`](Self::emit) does, holds one
    /// until it returns: a script may drop all other references.
    pub(crate) fn reference(self) -> Variant {
        // SAFETY: the object lives, as in `emit`.
        unsafe { new_reference(self.0) }.unwrap_or_default()
    }

    /// Emits a signal: calls the connected methods on this thread.
    pub(crate) fn emit(self, signal: &str, arguments: &[Variant]) {
        static EMIT: OnceLock<Option<EngineMethod>> = OnceLock::new();
        let emit = EMIT.get_or_init(|| EngineMethod::find("Object", "emit_signal", 4_047_867_050));
        let Some(emit) = emit else {
            return; // No known engine lacks the method.
        };
        let signal = Variant::from(StringName::from(signal));
        // SAFETY: the object lives: only its own instance has a `This` of it, whose methods run while the
        // object lives. Each class is an `Object`.
        let _ = unsafe { emit.call(self.0, std::iter::once(&signal).chain(arguments)) };
    }
}

/// A counted reference to an object of one of the addon's classes.
pub(crate) struct Reference<C> {
    /// The reference that the engine counts.
    object: ManuallyDrop<Variant>,
    instance: NonNull<Instance<C>>,
    destroy: Destroy,
}

/// The engine's function that drops a `Variant`.
type Destroy = unsafe extern "C" fn(sys::GDExtensionVariantPtr);

// SAFETY: the classes extend `RefCounted`, which counts references atomically. `C` is `Send` and `Sync`.
unsafe impl<C: Class> Send for Reference<C> {}
// SAFETY: as above.
unsafe impl<C: Class> Sync for Reference<C> {}

impl<C: Class> Reference<C> {
    /// Makes an object of the class. `None` if the engine can't.
    pub(crate) fn create() -> Option<Self> {
        let class = StringName::from(C::NAME);
        // SAFETY: the name lives until the call returns. The engine makes a new object of a class that is
        // registered while this library runs, and the first reference takes it over.
        unsafe { Self::of(sys::classdb_construct_object(super::name_ptr(&class))) }
    }

    /// Returns a reference to an object. `None` for null, and for an object of another class.
    ///
    /// # Safety
    /// `object` is null or a live object.
    unsafe fn of(object: sys::GDExtensionObjectPtr) -> Option<Self> {
        let (class, instance) = *instances().get(&object.addr())?;
        if class != TypeId::of::<C>() {
            return None;
        }
        let instance = NonNull::new(std::ptr::with_exposed_provenance_mut(instance))?;
        // SAFETY: `object` lives by this function's contract, and isn't null, as it is in the map.
        let object = ManuallyDrop::new(unsafe { new_reference(object) }?);
        Some(Self { object, instance, destroy: interface_fn!(variant_destroy) })
    }
}

/// Returns a `Variant` with the object, which is one more reference to it.
///
/// # Safety
/// `object` lives.
unsafe fn new_reference(mut object: sys::GDExtensionObjectPtr) -> Option<Variant> {
    let kind = sys::GDEXTENSION_VARIANT_TYPE_OBJECT;
    // SAFETY: `kind` is a valid type. The constructor initialises a `Variant` from a pointer to the pointer
    // to the object, which lives by this function's contract.
    unsafe {
        let from_object = interface_fn!(get_variant_from_type_constructor)(kind)?;
        Some(Variant::new_with_var_uninit(|place| from_object(place, (&raw mut object).cast())))
    }
}

impl<C> Clone for Reference<C> {
    fn clone(&self) -> Self {
        Self { object: self.object.clone(), instance: self.instance, destroy: self.destroy }
    }
}

impl<C> Drop for Reference<C> {
    fn drop(&mut self) {
        // The drop of a `Variant` asks gdext for this function. But an object that the engine itself keeps,
        // as metadata of a singleton, is freed after gdext has forgotten the engine's functions.
        // SAFETY: the `Variant` is initialised, and nothing uses it after this. The engine's code is there as
        // long as the process.
        unsafe { (self.destroy)(self.object.var_sys_mut()) };
    }
}

impl<C> Deref for Reference<C> {
    type Target = C;

    fn deref(&self) -> &C {
        // SAFETY: the instance lives as long as the object, and `self` has a reference to the object.
        unsafe { &self.instance.as_ref().class }
    }
}

impl<C: Class> Param for Reference<C> {
    const INFO: TypeInfo = TypeInfo::object(C::NAME);
    /// `None` for null, and for an object of another class: a script may declare a variable as a base class.
    type Arg<'a> = Option<Self>;
    type Held = sys::GDExtensionObjectPtr;

    unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Self::Arg<'a> {
        // SAFETY: a ptrcall passes null, or a pointer to the pointer to an object that lives by this
        // function's contract.
        unsafe { Self::of(value.cast::<sys::GDExtensionObjectPtr>().as_ref().copied()?) }
    }

    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<sys::GDExtensionObjectPtr> {
        // SAFETY: `value` points to a live `Variant` by this function's contract.
        let object = unsafe { super::types::object_of(value) }?;
        // SAFETY: `object_of` returned it, so it is null or lives.
        (object.is_null() || unsafe { Self::of(object) }.is_some()).then_some(object)
    }

    fn hold_default(_: DefaultValue) -> Option<sys::GDExtensionObjectPtr> {
        None
    }

    fn lend(held: &mut sys::GDExtensionObjectPtr) -> Option<Self> {
        // SAFETY: `hold` got the object from a `Variant` that outlives the call.
        unsafe { Self::of(*held) }
    }
}

/// An object of one of the addon's classes, or null.
impl<C: Class> Return for Option<Reference<C>> {
    const INFO: TypeInfo = TypeInfo::object(C::NAME);

    unsafe fn store(to: sys::GDExtensionTypePtr, call: impl FnOnce(&mut Self)) {
        let value = result_of::<Self>(call);
        let object = value.as_ref().map_or(std::ptr::null_mut(), |reference| {
            // SAFETY: the instance lives, as in `deref`.
            unsafe { reference.instance.as_ref() }.this.0
        });
        // The engine takes over the reference.
        mem::forget(value);
        // SAFETY: a ptrcall returns an object as a pointer, to which `to` points by this function's contract.
        unsafe { to.cast::<sys::GDExtensionObjectPtr>().write(object) };
    }

    fn to_variant(self) -> Variant {
        let take = |reference: Reference<C>| {
            let object = &mut ManuallyDrop::new(reference).object;
            // SAFETY: nothing uses the reference after this, and it isn't dropped.
            unsafe { ManuallyDrop::take(object) }
        };
        self.map(take).unwrap_or_default()
    }

    fn failed() -> Self {
        None
    }
}
