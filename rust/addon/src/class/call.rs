//! How a call from a script reaches a method.

use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use godot::builtin::{StringName, Variant};
use godot::global::godot_error;
use godot::sys::{self, GodotFfi, interface_fn};

use super::calls;
use super::object::Instance;
use super::types::{DefaultValue, PROPERTY_USAGE_DEFAULT, Param, Return, TypeInfo};
use super::{Class, PropertyInfo, first_or_null, name_ptr};

/// What a varcall needs to know: the engine passes it back as the method's user data.
struct Defaults(&'static [DefaultValue]);

/// A method, ready to be registered.
pub(super) struct Method {
    name: &'static str,
    parameters: Vec<(&'static str, TypeInfo)>,
    returns: TypeInfo,
    defaults: &'static [DefaultValue],
    flags: i32,
    varcall: sys::GDExtensionClassMethodCall,
    ptrcall: sys::GDExtensionClassMethodPtrCall,
}

impl Method {
    pub(super) fn new<C: Class, P: Parameters, R: Return, F: Function<C, P, R>>(
        name: &'static str,
        parameters: &[&'static str],
        defaults: &'static [DefaultValue],
        _function: F,
    ) -> Self {
        let flags = sys::GDEXTENSION_METHOD_FLAGS_DEFAULT;
        Self::of::<OfObject<C, F>, P, R>(name, parameters, defaults, flags)
    }

    pub(super) fn new_static<P: Parameters, R: Return, F: StaticFunction<P, R>>(
        name: &'static str,
        parameters: &[&'static str],
        defaults: &'static [DefaultValue],
        _function: F,
    ) -> Self {
        let flags = sys::GDEXTENSION_METHOD_FLAGS_DEFAULT | sys::GDEXTENSION_METHOD_FLAG_STATIC;
        Self::of::<OfClass<F>, P, R>(name, parameters, defaults, flags)
    }

    fn of<T: Target<P, R>, P: Parameters, R: Return>(
        name: &'static str,
        parameters: &[&'static str],
        defaults: &'static [DefaultValue],
        flags: i32,
    ) -> Self {
        Self {
            name,
            parameters: P::infos(parameters),
            returns: R::INFO,
            defaults,
            flags,
            varcall: Some(varcall::<T, P, R>),
            ptrcall: Some(ptrcall::<T, P, R>),
        }
    }

    pub(super) fn register(&self, class: &StringName) {
        let name = StringName::from(self.name);
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
        let defaults: Vec<Variant> = self.defaults.iter().map(|value| value.to_variant()).collect();
        let mut defaults: Vec<_> = defaults.iter().map(|value| value.sys().cast_mut().cast()).collect();
        let mut returns = PropertyInfo::new("", &self.returns, PROPERTY_USAGE_DEFAULT);
        let mut returns = returns.as_sys();
        let info = sys::GDExtensionClassMethodInfo {
            name: name_ptr(&name),
            // Leaked, once a method: the engine calls it until the very end.
            method_userdata: Box::into_raw(Box::new(Defaults(self.defaults))).cast(),
            call_func: self.varcall,
            ptrcall_func: self.ptrcall,
            #[allow(clippy::cast_sign_loss, reason = "a set of flags")]
            method_flags: self.flags as u32,
            has_return_value: u8::from(!self.returns.is_void()),
            return_value_info: &raw mut returns,
            return_value_metadata: metadata(&self.returns),
            argument_count: u32::try_from(arguments.len()).unwrap_or(0),
            arguments_info: first_or_null(&mut arguments),
            arguments_metadata: first_or_null(&mut arguments_metadata),
            default_argument_count: u32::try_from(defaults.len()).unwrap_or(0),
            default_arguments: first_or_null(&mut defaults),
        };
        // SAFETY: the class is registered, and all pointers are to values that live until the call returns,
        // which is as long as the engine uses them. The two functions take and return what `info` declares: both
        // come from the same `P` and `R`.
        unsafe {
            interface_fn!(classdb_register_extension_class_method)(
                sys::get_library(),
                name_ptr(class),
                &raw const info,
            );
        }
    }
}

/// Finds the Rust function behind a method, and its object.
trait Target<P: Parameters, R> {
    /// # Safety
    /// `instance` is what the engine passes for an object of the method's class (null for a static method).
    unsafe fn call(instance: sys::GDExtensionClassInstancePtr, arguments: P::Args<'_>) -> R;
}

struct OfObject<C, F>(std::marker::PhantomData<(C, F)>);

impl<C: Class, P: Parameters, R: Return, F: Function<C, P, R>> Target<P, R> for OfObject<C, F> {
    unsafe fn call(instance: sys::GDExtensionClassInstancePtr, arguments: P::Args<'_>) -> R {
        calls::during(instance.cast_const().cast(), || {
            // SAFETY: the pointer is the instance that `create_instance::<C>` made. The engine gives it back when the
            // last reference to the object goes. If that happens on this thread, `during` keeps the instance. Against
            // another thread, the caller needs a reference of its own, as for every method of the engine; the help says
            // so. `C` is `Sync`, so any number of threads may be here at once.
            let object = unsafe { &(*instance.cast::<Instance<C>>()).class };
            function::<F>().call(object, arguments)
        })
    }
}

struct OfClass<F>(std::marker::PhantomData<F>);

impl<P: Parameters, R: Return, F: StaticFunction<P, R>> Target<P, R> for OfClass<F> {
    unsafe fn call(_: sys::GDExtensionClassInstancePtr, arguments: P::Args<'_>) -> R {
        function::<F>().call(arguments)
    }
}

/// The value of a function's own type. Such a type (or that of a closure that captures nothing) has one value,
/// of no bytes; so a call needs no pointer to it, and the compiler can inline it.
fn function<F>() -> &'static F {
    const { assert!(size_of::<F>() == 0, "a method is a function, or a closure that captures nothing") };
    // SAFETY: the caller had an `F` (`Method::new` takes one), so there is such a value, and it has no bytes.
    unsafe { NonNull::<F>::dangling().as_ref() }
}

unsafe extern "C" fn ptrcall<T: Target<P, R>, P: Parameters, R: Return>(
    _userdata: *mut c_void,
    instance: sys::GDExtensionClassInstancePtr,
    arguments: *const sys::GDExtensionConstTypePtr,
    result: sys::GDExtensionTypePtr,
) {
    let returned = guard(|| {
        // SAFETY: the engine passes as many arguments as were declared, each of the declared type.
        unsafe { T::call(instance, P::from_ptrs(arguments)) }
    });
    // SAFETY: the engine passes a place for a value of the declared type.
    unsafe { returned.store(result) };
}

unsafe extern "C" fn varcall<T: Target<P, R>, P: Parameters, R: Return>(
    userdata: *mut c_void,
    instance: sys::GDExtensionClassInstancePtr,
    arguments: *const sys::GDExtensionConstVariantPtr,
    count: sys::GDExtensionInt,
    result: sys::GDExtensionVariantPtr,
    error: *mut sys::GDExtensionCallError,
) {
    // SAFETY: `Method::register` passed this pointer, to a box that is never freed.
    let defaults = unsafe { (*userdata.cast::<Defaults>()).0 };
    // SAFETY: the engine passes `count` pointers to live `Variant`s, an object of this class, and an initialised
    // `Variant` for the result.
    let outcome = unsafe {
        let given = match usize::try_from(count) {
            Ok(count) if count > 0 => std::slice::from_raw_parts(arguments, count),
            _ => &[],
        };
        called::<T, P, R>(instance, given, defaults).map(|value| *result.cast::<Variant>() = value)
    };
    let ok = sys::GDExtensionCallError { error: sys::GDEXTENSION_CALL_OK, argument: 0, expected: 0 };
    // SAFETY: the engine passes a place for the outcome.
    unsafe { *error = outcome.err().unwrap_or(ok) };
}

/// A call with the arguments given, and the last of `defaults` for those that are missing.
///
/// # Safety
/// `given` are live `Variant`s, `instance` is what [`Target::call`] wants.
unsafe fn called<T: Target<P, R>, P: Parameters, R: Return>(
    instance: sys::GDExtensionClassInstancePtr,
    given: &[sys::GDExtensionConstVariantPtr],
    defaults: &[DefaultValue],
) -> Result<Variant, sys::GDExtensionCallError> {
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
    // SAFETY: the caller's.
    match unsafe { P::hold(given, defaults) } {
        Ok(mut held) => {
            let returned = guard(|| {
                // SAFETY: the caller's.
                unsafe { T::call(instance, P::lend(&mut held)) }
            });
            Ok(returned.to_variant())
        }
        Err((argument, expected)) => {
            let expected = usize::try_from(expected).unwrap_or(0);
            refusal(sys::GDEXTENSION_CALL_ERROR_INVALID_ARGUMENT, argument, expected)
        }
    }
}

/// No method may panic. Should one all the same, then it has failed; it doesn't return what means success.
fn guard<R: Return>(call: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|cause| {
        let words = panic_words(&*cause);
        godot_error!("a method of the shared memory addon panicked, please report it: {words}");
        R::failed()
    })
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
    /// How many there are.
    const COUNT: usize;
    /// What the method gets.
    type Args<'a>;
    /// What keeps a varcall's values while the method runs.
    type Held;

    /// Their description, with the names given.
    fn infos(names: &[&'static str]) -> Vec<(&'static str, TypeInfo)>;

    /// # Safety
    /// `arguments` points to `COUNT` pointers to values of these types, which live through `'a`.
    unsafe fn from_ptrs<'a>(arguments: *const sys::GDExtensionConstTypePtr) -> Self::Args<'a>;

    /// The values given, and the last of `defaults` for those that are missing; or the index and the type of the
    /// first that doesn't fit.
    ///
    /// # Safety
    /// `given` are `Variant`s that live as long as what is returned.
    unsafe fn hold(
        given: &[sys::GDExtensionConstVariantPtr],
        defaults: &[DefaultValue],
    ) -> Result<Self::Held, (i32, sys::GDExtensionVariantType)>;

    /// Lends what was held to the method.
    fn lend(held: &mut Self::Held) -> Self::Args<'_>;
}

/// A function that is a method of `C`, with parameters `P`.
pub(crate) trait Function<C, P: Parameters, R>: Copy + 'static {
    /// Calls it.
    fn call<'a>(&self, object: &C, arguments: P::Args<'a>) -> R;
}

/// A function that is a static method, with parameters `P`.
pub(crate) trait StaticFunction<P: Parameters, R>: Copy + 'static {
    /// Calls it.
    fn call<'a>(&self, arguments: P::Args<'a>) -> R;
}

macro_rules! parameters {
    ($count:literal; $($name:ident $index:tt),*) => {
        #[allow(unused_variables, unused_unsafe, non_snake_case, clippy::unused_unit)]
        impl<$($name: Param),*> Parameters for ($($name,)*) {
            const COUNT: usize = $count;
            type Args<'a> = ($($name::Arg<'a>,)*);
            type Held = ($($name::Held,)*);

            fn infos(names: &[&'static str]) -> Vec<(&'static str, TypeInfo)> {
                debug_assert_eq!(names.len(), $count, "{names:?}");
                vec![$((names[$index], $name::INFO)),*]
            }

            unsafe fn from_ptrs<'a>(arguments: *const sys::GDExtensionConstTypePtr) -> Self::Args<'a> {
                // SAFETY: the caller's, argument by argument.
                unsafe { ($($name::from_ptr(*arguments.add($index)),)*) }
            }

            unsafe fn hold(
                given: &[sys::GDExtensionConstVariantPtr],
                defaults: &[DefaultValue],
            ) -> Result<Self::Held, (i32, sys::GDExtensionVariantType)> {
                Ok(($({
                    let held = match given.get($index) {
                        // SAFETY: the caller's.
                        Some(value) => unsafe { $name::hold(*value) },
                        None => defaults
                            .get(($index + defaults.len()).wrapping_sub($count))
                            .and_then(|value| $name::hold_default(*value)),
                    };
                    held.ok_or(($index, $name::INFO.kind))?
                },)*))
            }

            fn lend(held: &mut Self::Held) -> Self::Args<'_> {
                let ($($name,)*) = held;
                ($($name::lend($name),)*)
            }
        }

        #[allow(non_snake_case)]
        impl<C: 'static, R, Fun, $($name: Param),*> Function<C, ($($name,)*), R> for Fun
        where
            Fun: for<'a> Fn(&C, $($name::Arg<'a>),*) -> R + Copy + 'static,
        {
            #[inline(always)]
            fn call<'a>(&self, object: &C, ($($name,)*): ($($name::Arg<'a>,)*)) -> R {
                self(object, $($name),*)
            }
        }

        #[allow(non_snake_case)]
        impl<R, Fun, $($name: Param),*> StaticFunction<($($name,)*), R> for Fun
        where
            Fun: for<'a> Fn($($name::Arg<'a>),*) -> R + Copy + 'static,
        {
            #[inline(always)]
            fn call<'a>(&self, ($($name,)*): ($($name::Arg<'a>,)*)) -> R {
                self($($name),*)
            }
        }
    };
}

parameters!(0;);
parameters!(1; A 0);
parameters!(2; A 0, B 1);
parameters!(3; A 0, B 1, D 2);
