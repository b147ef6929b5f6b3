//! Objects of our own classes: what an object knows of itself, and references from one to another.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use godot::builtin::{StringName, Variant};
use godot::sys::{self, GodotFfi, interface_fn};

use super::engine::Method;
use super::types::{DefaultValue, Param, Return, TypeInfo};
use super::{Class, calls};

/// What the engine keeps a pointer to, for each object of a class.
pub(super) struct Instance<C> {
    this: This,
    pub(super) class: C,
}

/// Where the instance of an object is: the engine doesn't tell. Only asked where one object is given to another.
static INSTANCES: Mutex<BTreeMap<usize, (TypeId, usize)>> = Mutex::new(BTreeMap::new());

fn instances() -> MutexGuard<'static, BTreeMap<usize, (TypeId, usize)>> {
    INSTANCES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<C: Class> Instance<C> {
    /// For an object that the engine is making.
    pub(super) fn create(object: sys::GDExtensionObjectPtr) -> *mut Self {
        let this = This(object);
        let instance = Box::into_raw(Box::new(Self { this, class: C::new(this) }));
        instances().insert(object.addr(), (TypeId::of::<C>(), instance.expose_provenance()));
        instance
    }

    /// # Safety
    /// `instance` came from [`create`](Self::create). Nothing uses it but calls that are under way on this thread.
    pub(super) unsafe fn free(instance: *mut Self) {
        // SAFETY: the instance is there until the next call. Its address is all that is read.
        let object = unsafe { (*instance).this.0 };
        // At once: another object may get the address before this call returns.
        instances().remove(&object.addr());
        // SAFETY: `create` made the box, and this function's contract says what uses it.
        unsafe { calls::free(instance) };
    }
}

/// An object, as its own instance knows it.
#[derive(Clone, Copy)]
pub(crate) struct This(sys::GDExtensionObjectPtr);

// SAFETY: only `emit` uses it, which the engine allows from any thread.
unsafe impl Send for This {}
// SAFETY: as above.
unsafe impl Sync for This {}

impl This {
    /// A reference to the object. Whoever runs a script's code in the middle of a method, as [`emit`](Self::emit) does,
    /// holds one until the method is done: the script may let go of its own.
    pub(crate) fn keep(self) -> Variant {
        // SAFETY: the object lives, as in `emit`.
        unsafe { referenced(self.0) }.unwrap_or_default()
    }

    /// Emits a signal: calls, in this thread, what is connected to it.
    pub(crate) fn emit(self, signal: &str, arguments: &[Variant]) {
        static EMIT: OnceLock<Option<Method>> = OnceLock::new();
        let emit = EMIT.get_or_init(|| Method::find("Object", "emit_signal", 4_047_867_050));
        let Some(emit) = emit else {
            return; // An engine without signals, which is none that we know.
        };
        let signal = Variant::from(StringName::from(signal));
        let arguments: Vec<sys::GDExtensionConstVariantPtr> =
            std::iter::once(&signal).chain(arguments).map(|value| value.sys().cast()).collect();
        let mut result = MaybeUninit::<Variant>::uninit();
        let mut error =
            sys::GDExtensionCallError { error: sys::GDEXTENSION_CALL_OK, argument: 0, expected: 0 };
        // SAFETY: the object lives, as its instance is the only one to have a `This`, and goes before it. The arguments
        // live until the call returns, and the engine always initialises the result.
        unsafe {
            interface_fn!(object_method_bind_call)(
                emit.0,
                self.0,
                arguments.as_ptr(),
                i64::try_from(arguments.len()).unwrap_or(0),
                result.as_mut_ptr().cast(),
                &raw mut error,
            );
            result.assume_init_drop();
        }
    }
}

/// A reference to an object of one of our classes, which keeps it.
pub(crate) struct Reference<C> {
    /// For the engine, this is what counts as the reference.
    object: Variant,
    instance: NonNull<Instance<C>>,
}

// SAFETY: the classes extend `RefCounted`, whose references are counted atomically; what is referred to is `Sync`.
unsafe impl<C: Class> Send for Reference<C> {}
// SAFETY: as above.
unsafe impl<C: Class> Sync for Reference<C> {}

impl<C: Class> Reference<C> {
    /// `None` for null, and for an object of another class.
    ///
    /// # Safety
    /// `object` is null, or a live object.
    unsafe fn of(object: sys::GDExtensionObjectPtr) -> Option<Self> {
        let (class, instance) = *instances().get(&object.addr())?;
        if class != TypeId::of::<C>() {
            return None;
        }
        let instance = NonNull::new(std::ptr::with_exposed_provenance_mut(instance))?;
        // SAFETY: the caller's.
        Some(Self { object: unsafe { referenced(object) }?, instance })
    }
}

/// A `Variant` with the object, which counts as one more reference to it.
///
/// # Safety
/// `object` lives.
unsafe fn referenced(mut object: sys::GDExtensionObjectPtr) -> Option<Variant> {
    let kind = sys::GDEXTENSION_VARIANT_TYPE_OBJECT;
    // SAFETY: a valid type; the constructor initialises a `Variant` from a pointer to the pointer to the object.
    unsafe {
        let from_object = interface_fn!(get_variant_from_type_constructor)(kind)?;
        Some(Variant::new_with_var_uninit(|place| from_object(place, (&raw mut object).cast())))
    }
}

impl<C> Clone for Reference<C> {
    fn clone(&self) -> Self {
        Self { object: self.object.clone(), instance: self.instance }
    }
}

impl<C> Deref for Reference<C> {
    type Target = C;

    fn deref(&self) -> &C {
        // SAFETY: the instance lives as long as the object, which `self` has a reference to.
        unsafe { &self.instance.as_ref().class }
    }
}

impl<C: Class> Param for Reference<C> {
    const INFO: TypeInfo = TypeInfo::object(C::NAME);
    /// `None` for null, and for an object of another class: a script's variable may be declared as a class above it.
    type Arg<'a> = Option<Self>;
    type Held = sys::GDExtensionObjectPtr;

    unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Self::Arg<'a> {
        // SAFETY: ptrcalls pass a pointer to the pointer to the object, or null.
        unsafe { Self::of(value.cast::<sys::GDExtensionObjectPtr>().as_ref().copied()?) }
    }

    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<sys::GDExtensionObjectPtr> {
        // SAFETY: the caller's.
        let object = unsafe { super::types::object_of(value) }?;
        // SAFETY: it came from a live `Variant`.
        (object.is_null() || unsafe { Self::of(object) }.is_some()).then_some(object)
    }

    fn hold_default(_: DefaultValue) -> Option<sys::GDExtensionObjectPtr> {
        None
    }

    fn lend(held: &mut sys::GDExtensionObjectPtr) -> Option<Self> {
        // SAFETY: `hold` got it from a `Variant` that outlives the call.
        unsafe { Self::of(*held) }
    }
}

/// An object of one of our classes, or null.
impl<C: Class> Return for Option<Reference<C>> {
    const INFO: TypeInfo = TypeInfo::object(C::NAME);

    unsafe fn store(self, to: sys::GDExtensionTypePtr) {
        let object = self.as_ref().map_or(std::ptr::null_mut(), |found| {
            // SAFETY: the instance lives, as in `deref`.
            unsafe { found.instance.as_ref() }.this.0
        });
        // The reference goes over to the caller, who will give it up.
        std::mem::forget(self);
        // SAFETY: the caller's; ptrcalls return a pointer to the object.
        unsafe { to.cast::<sys::GDExtensionObjectPtr>().write(object) };
    }

    fn to_variant(self) -> Variant {
        self.map(|found| found.object).unwrap_or_default()
    }

    fn failed() -> Self {
        None
    }
}
