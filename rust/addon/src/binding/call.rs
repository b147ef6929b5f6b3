//! The way of a call from a script into a method.

use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use godot::builtin::{StringName, Variant};
use godot::global::godot_error;
use godot::sys::{self, GodotFfi, interface_fn};

use super::frames;
use super::object::Instance;
use super::types::{DefaultValue, PROPERTY_USAGE_DEFAULT, Param, Return, TypeInfo};
use super::{Class, PropertyInfo, first_or_null, name_ptr};

/// The user data of a method, which the engine passes to each call.
pub(super) struct MethodData {
    /// The names of the class and of the method.
    pub(super) name: (&'static str, &'static str),
    pub(super) defaults: Vec<DefaultValue>,
}

/// The kind of a method.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MethodKind {
    /// May change the object or its memory.
    Method,
    /// Changes neither.
    Const,
    /// Needs no object.
    Static,
}

/// A method that can be registered.
pub(super) struct MethodDef {
    parameters: Vec<(&'static str, TypeInfo)>,
    returns: TypeInfo,
    data: MethodData,
    kind: MethodKind,
    varcall: sys::GDExtensionClassMethodCall,
    ptrcall: sys::GDExtensionClassMethodPtrCall,
}

impl MethodDef {
    pub(super) fn new<C, T: Target<C, P, R>, P: Parameters, R: Return>(
        kind: MethodKind,
        name: (&'static str, &'static str),
        parameters: &[&'static str],
        defaults: Vec<DefaultValue>,
    ) -> Self {
        Self {
            parameters: P::infos(parameters),
            returns: R::INFO,
            data: MethodData { name, defaults },
            kind,
            varcall: Some(varcall::<C, T, P, R>),
            ptrcall: Some(ptrcall::<C, T, P, R>),
        }
    }

    pub(super) fn register(self, class: &StringName) {
        let name = StringName::from(self.data.name.1);
        let flags = sys::GDEXTENSION_METHOD_FLAGS_DEFAULT
            | match self.kind {
                MethodKind::Method => 0,
                MethodKind::Const => sys::GDEXTENSION_METHOD_FLAG_CONST,
                MethodKind::Static => sys::GDEXTENSION_METHOD_FLAG_STATIC,
            };
        let mut infos: Vec<PropertyInfo> = self
            .parameters
            .iter()
            .map(|(name, info)| PropertyInfo::new(name, info, PROPERTY_USAGE_DEFAULT))
            .collect();
        let mut arguments: Vec<_> = infos.iter_mut().map(PropertyInfo::as_sys).collect();
        let metadata = |info: &TypeInfo| {
            if info.kind == sys::GDEXTENSION_VARIANT_TYPE_INT && info.class_name.is_empty() {
                sys::GDEXTENSION_METHOD_ARGUMENT_METADATA_INT_IS_INT64
            } else {
                sys::GDEXTENSION_METHOD_ARGUMENT_METADATA_NONE
            }
        };
        let mut arguments_metadata: Vec<_> = self.parameters.iter().map(|(_, info)| metadata(info)).collect();
        let defaults: Vec<Variant> = self.data.defaults.iter().map(|value| value.to_variant()).collect();
        let mut defaults: Vec<_> = defaults.iter().map(|value| value.sys().cast_mut().cast()).collect();
        let mut returns = PropertyInfo::new("", &self.returns, PROPERTY_USAGE_DEFAULT);
        let mut returns = returns.as_sys();
        let info = sys::GDExtensionClassMethodInfo {
            name: name_ptr(&name),
            // Leaked, once per method: the engine may use it until it exits.
            method_userdata: Box::into_raw(Box::new(self.data)).cast(),
            call_func: self.varcall,
            ptrcall_func: self.ptrcall,
            #[allow(clippy::cast_sign_loss, reason = "a set of flags")]
            method_flags: flags as u32,
            has_return_value: u8::from(!self.returns.is_void()),
            return_value_info: &raw mut returns,
            return_value_metadata: metadata(&self.returns),
            argument_count: u32::try_from(arguments.len()).unwrap_or(0),
            arguments_info: first_or_null(&mut arguments),
            arguments_metadata: first_or_null(&mut arguments_metadata),
            default_argument_count: u32::try_from(defaults.len()).unwrap_or(0),
            default_arguments: first_or_null(&mut defaults),
        };
        // SAFETY: the class is registered. The engine uses the pointers only until the call returns, and
        // their values live as long. The two functions have the types that `info` declares: both come from
        // the same `P` and `R`.
        unsafe {
            interface_fn!(classdb_register_extension_class_method)(
                sys::get_library(),
                name_ptr(class),
                &raw const info,
            );
        }
    }
}

/// The Rust function behind a method.
pub(crate) trait Target<C, P: Parameters, R> {
    /// Calls the function, and puts what it returns in `result`.
    ///
    /// # Safety
    /// `instance` is the pointer that the engine passes for an object of the class, or null if it is static.
    unsafe fn call<'a>(instance: sys::GDExtensionClassInstancePtr, arguments: P::Args<'a>, result: &mut R);
}

/// A function that returns the result of a method.
pub(crate) struct OfObject<F>(pub(crate) F);

/// A function that sets the result of a method in place.
pub(crate) struct InPlace<F>(pub(crate) F);

/// A function that returns the result of a static method.
pub(crate) struct OfClass<F>(pub(crate) F);

/// Returns the state of an object while a call uses it.
///
/// # Safety
/// `instance` is the pointer that the engine passes for an object of `C`. `'a` ends with the call.
pub(super) unsafe fn object_in<'a, C: Class>(instance: sys::GDExtensionClassInstancePtr) -> &'a C {
    // SAFETY: the pointer is the instance that `create_instance::<C>` made. The engine frees it when the last
    // reference to the object goes. If that happens on this thread, `frames::free` waits for the end of this
    // call. Against another thread, the script must hold a reference of its own, as for every method of the
    // engine. The help says so. `C` is `Sync`, so any number of threads may be here at once.
    unsafe { &(*instance.cast::<Instance<C>>()).class }
}

/// Returns the value of a function's own type. The type of a function, or of a closure that captures nothing,
/// has one value, of no bytes. A call therefore needs no pointer to it, and the compiler can inline it.
pub(super) fn function<F>() -> &'static F {
    const { assert!(size_of::<F>() == 0, "a method is a function, or a closure that captures nothing") };
    // SAFETY: `Definition::method` got such a value, which is `Copy` by the bounds on `Target`, and it has no
    // bytes.
    unsafe { NonNull::<F>::dangling().as_ref() }
}

unsafe extern "C" fn ptrcall<C, T: Target<C, P, R>, P: Parameters, R: Return>(
    userdata: *mut c_void,
    instance: sys::GDExtensionClassInstancePtr,
    arguments: *const sys::GDExtensionConstTypePtr,
    result: sys::GDExtensionTypePtr,
) {
    // SAFETY: `MethodDef::register` passed this pointer, to a box that is never freed.
    let method = unsafe { &*userdata.cast::<MethodData>() };
    let call = |result: &mut R| {
        guard(instance, method, result, |result| {
            // SAFETY: the engine passes as many arguments as were declared, each of the declared type.
            unsafe { T::call(instance, P::from_ptrs(arguments), result) };
        });
    };
    // SAFETY: the engine passes a place for a value of the declared type.
    unsafe { R::store(result, call) };
}

unsafe extern "C" fn varcall<C, T: Target<C, P, R>, P: Parameters, R: Return>(
    userdata: *mut c_void,
    instance: sys::GDExtensionClassInstancePtr,
    arguments: *const sys::GDExtensionConstVariantPtr,
    count: sys::GDExtensionInt,
    result: sys::GDExtensionVariantPtr,
    error: *mut sys::GDExtensionCallError,
) {
    // SAFETY: `MethodDef::register` passed this pointer, to a box that is never freed.
    let method = unsafe { &*userdata.cast::<MethodData>() };
    // SAFETY: the engine passes `count` pointers to live `Variant`s, an object of this class, and an
    // initialised `Variant` for the result.
    let outcome = unsafe {
        let given = match usize::try_from(count) {
            Ok(count) if count > 0 => std::slice::from_raw_parts(arguments, count),
            _ => &[],
        };
        called::<C, T, P, R>(instance, given, method).map(|value| *result.cast::<Variant>() = value)
    };
    let ok = sys::GDExtensionCallError { error: sys::GDEXTENSION_CALL_OK, argument: 0, expected: 0 };
    // SAFETY: the engine passes a pointer to the error that the call fills in.
    unsafe { *error = outcome.err().unwrap_or(ok) };
}

/// Calls a method with the arguments given, and with the last defaults for missing ones.
///
/// # Safety
/// `given` are live `Variant`s, and `instance` meets the contract of [`Target::call`].
unsafe fn called<C, T: Target<C, P, R>, P: Parameters, R: Return>(
    instance: sys::GDExtensionClassInstancePtr,
    given: &[sys::GDExtensionConstVariantPtr],
    method: &'static MethodData,
) -> Result<Variant, sys::GDExtensionCallError> {
    let defaults = &*method.defaults;
    let refusal = |error, argument, expected: usize| {
        let expected = i32::try_from(expected).unwrap_or(0);
        Err(sys::GDExtensionCallError { error, argument, expected })
    };
    if given.len() > P::COUNT {
        return refusal(sys::GDEXTENSION_CALL_ERROR_TOO_MANY_ARGUMENTS, 0, P::COUNT);
    }
    if P::COUNT - given.len() > defaults.len() {
        return refusal(sys::GDEXTENSION_CALL_ERROR_TOO_FEW_ARGUMENTS, 0, P::COUNT - defaults.len());
    }
    // SAFETY: `given` are live `Variant`s by this function's contract.
    match unsafe { P::hold(given, defaults) } {
        Ok(mut held) => {
            let mut result = R::failed();
            guard(instance, method, &mut result, |result| {
                // SAFETY: `instance` meets the contract of `Target::call` by this function's contract.
                unsafe { T::call(instance, P::lend(&mut held), result) };
            });
            Ok(result.to_variant())
        }
        Err((argument, expected)) => {
            let expected = usize::try_from(expected).unwrap_or(0);
            refusal(sys::GDEXTENSION_CALL_ERROR_INVALID_ARGUMENT, argument, expected)
        }
    }
}

/// Calls a method. If the method panics, reports the panic and sets the result that stands for a failure.
pub(super) fn guard<R: Return>(
    instance: sys::GDExtensionClassInstancePtr,
    method: &'static MethodData,
    result: &mut R,
    call: impl FnOnce(&mut R),
) {
    frames::during(instance.cast_const().cast(), method, || {
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| call(&mut *result))) {
            let ((class, name), words) = (method.name, panic_words(&*cause));
            godot_error!("{class}.{name}() panicked, please report it: {words}");
            *result = R::failed();
        }
    });
}

fn panic_words(cause: &(dyn Any + Send)) -> &str {
    cause
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| cause.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no words")
}

/// The types of a method's parameters: a tuple of [`Param`]s.
pub(crate) trait Parameters: 'static {
    /// The number of parameters.
    const COUNT: usize;
    /// The arguments that the method gets.
    type Args<'a>;
    /// The owner of a varcall's values while the method runs.
    type Held;

    /// Returns the descriptions of the parameters, with these names.
    fn infos(names: &[&'static str]) -> Vec<(&'static str, TypeInfo)>;

    /// Returns the arguments of a ptrcall.
    ///
    /// # Safety
    /// `arguments` points to `COUNT` pointers to values of these types, which live through `'a`.
    unsafe fn from_ptrs<'a>(arguments: *const sys::GDExtensionConstTypePtr) -> Self::Args<'a>;

    /// Converts the arguments of a varcall, with the last of `defaults` for missing ones. Fails with the
    /// index and the expected type of the first argument that doesn't fit.
    ///
    /// # Safety
    /// `given` are `Variant`s that live as long as the returned value.
    unsafe fn hold(
        given: &[sys::GDExtensionConstVariantPtr],
        defaults: &[DefaultValue],
    ) -> Result<Self::Held, (i32, sys::GDExtensionVariantType)>;

    /// Lends the held values to the method.
    fn lend(held: &mut Self::Held) -> Self::Args<'_>;
}

macro_rules! parameters {
    ($count:literal; $($name:ident $index:tt),*) => {
        #[allow(unused_variables, unused_unsafe, non_snake_case, clippy::unused_unit)]
        impl<$($name: Param),*> Parameters for ($($name,)*) {
            const COUNT: usize = $count;
            type Args<'a> = ($($name::Arg<'a>,)*);
            type Held = ($($name::Held,)*);

            fn infos(names: &[&'static str]) -> Vec<(&'static str, TypeInfo)> {
                vec![$((names[$index], <$name as Param>::INFO)),*]
            }

            unsafe fn from_ptrs<'a>(arguments: *const sys::GDExtensionConstTypePtr) -> Self::Args<'a> {
                // SAFETY: there are `COUNT` arguments of these types by this function's contract.
                unsafe { ($($name::from_ptr(*arguments.add($index)),)*) }
            }

            unsafe fn hold(
                given: &[sys::GDExtensionConstVariantPtr],
                defaults: &[DefaultValue],
            ) -> Result<Self::Held, (i32, sys::GDExtensionVariantType)> {
                Ok(($({
                    let held = match given.get($index) {
                        // SAFETY: a live `Variant` by this function's contract.
                        Some(value) => unsafe { $name::hold(*value) },
                        None => defaults
                            .get(($index + defaults.len()).wrapping_sub($count))
                            .and_then(|value| $name::hold_default(*value)),
                    };
                    held.ok_or(($index, <$name as Param>::INFO.kind))?
                },)*))
            }

            fn lend(held: &mut Self::Held) -> Self::Args<'_> {
                let ($($name,)*) = held;
                ($($name::lend($name),)*)
            }
        }

        #[allow(non_snake_case)]
        impl<C: Class, R, F, $($name: Param),*> Target<C, ($($name,)*), R> for OfObject<F>
        where
            F: for<'a> Fn(&C, $($name::Arg<'a>),*) -> R + Copy + 'static,
        {
            unsafe fn call<'a>(
                instance: sys::GDExtensionClassInstancePtr,
                ($($name,)*): ($($name::Arg<'a>,)*),
                result: &mut R,
            ) {
                // SAFETY: `instance` meets the contract of `object_in` by this function's contract.
                *result = function::<F>()(unsafe { object_in::<C>(instance) }, $($name),*);
            }
        }

        #[allow(non_snake_case)]
        impl<C: Class, R, F, $($name: Param),*> Target<C, ($($name,)*), R> for InPlace<F>
        where
            F: for<'a> Fn(&C, $($name::Arg<'a>,)* &mut R) + Copy + 'static,
        {
            unsafe fn call<'a>(
                instance: sys::GDExtensionClassInstancePtr,
                ($($name,)*): ($($name::Arg<'a>,)*),
                result: &mut R,
            ) {
                // SAFETY: `instance` meets the contract of `object_in` by this function's contract.
                function::<F>()(unsafe { object_in::<C>(instance) }, $($name,)* result);
            }
        }

        #[allow(non_snake_case)]
        impl<C, R, F, $($name: Param),*> Target<C, ($($name,)*), R> for OfClass<F>
        where
            F: for<'a> Fn($($name::Arg<'a>),*) -> R + Copy + 'static,
        {
            unsafe fn call<'a>(
                _: sys::GDExtensionClassInstancePtr,
                ($($name,)*): ($($name::Arg<'a>,)*),
                result: &mut R,
            ) {
                *result = function::<F>()($($name),*);
            }
        }
    };
}

parameters!(0;);
parameters!(1; A 0);
parameters!(2; A 0, B 1);
parameters!(3; A 0, B 1, D 2);
parameters!(4; A 0, B 1, D 2, E 3);
