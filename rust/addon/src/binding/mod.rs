//! Classes whose instance pointer leads straight to their state.
//!
//! gdext's own `#[derive(GodotClass)]` puts a cell around each object. With threads enabled, that cell costs
//! a mutex and two hash maps per call (about 400 ns). Calls from several threads also wait for each other.
//! The classes of this addon need no cell: their methods take `&self`, and their state can be used from any
//! thread. Therefore, this module registers classes with the engine itself. The pointer that the engine keeps
//! for an object, and passes to each method, is a `Box` with the state. A typed call from GDScript goes from
//! the engine straight into the method.
//!
//! A class implements [`Class`]: its name, and a [`Definition`] that lists enums, methods and properties.
//! [`methods!`] declares methods as scripts see them. Each is an ordinary Rust function of the same name:
//!
//! ```ignore
//! methods!(class, SharedMemory {
//!     fn open(name: StringName, size: i64 = 0, access: Enum<Access> = ACCESS_READ_WRITE) -> ErrorCode;
//! });
//! fn open(&self, name: EngineText<'_>, size: i64, access: EnumArg<Access>) -> ErrorCode
//! ```
//!
//! `types/` has the types of parameters and results, and `call.rs` the way of a call into a method.
//!
//! All of the addon's `unsafe` code is in this folder, except for the entry point's one word. Only this
//! folder uses the parts of gdext that its documentation hides (`godot::sys`). They are the reason why
//! gdext's version is pinned.

mod call;
pub(crate) mod containers;
mod engine;
mod frames;
mod object;
pub(crate) mod packed;
mod types;
mod virtuals;

use std::ffi::c_void;
use std::ptr;

use godot::builtin::{GString, StringName};
use godot::sys::{self, GodotFfi, interface_fn};

pub(crate) use call::{InPlace, MethodKind, OfClass, OfObject, Parameters};
pub(crate) use engine::globalize_path;
pub(crate) use frames::current_method;
use object::Instance;
pub(crate) use object::{Reference, This};
pub(crate) use types::*;
use types::{PROPERTY_USAGE_DEFAULT, TypeInfo};
use virtuals::{Arguments, VirtualMethod};
pub(crate) use virtuals::{PacketIn, PacketOut, PacketPlace};

/// A class that scripts can use. All threads share its instances.
pub(crate) trait Class: Sized + Send + Sync + 'static {
    /// The name in scripts.
    const NAME: &'static str;
    /// The engine's class that this one extends.
    const PARENT: &'static str;

    /// Returns the state of a new object.
    fn new(this: This) -> Self;

    /// Adds the members that scripts see.
    fn define(definition: &mut Definition<Self>);
}

/// The members of a class that scripts see, in the order of the help.
pub(crate) struct Definition<C> {
    enums: Vec<(&'static str, Vec<(&'static str, i64)>)>,
    methods: Vec<call::MethodDef>,
    virtuals: Vec<VirtualMethod>,
    properties: Vec<Property>,
    signals: Vec<Signal>,
    class: std::marker::PhantomData<C>,
}

struct Property {
    name: &'static str,
    info: TypeInfo,
    setter: &'static str,
    getter: &'static str,
}

struct Signal {
    name: &'static str,
    argument: Option<(&'static str, TypeInfo)>,
}

impl<C: Class> Definition<C> {
    /// Adds an enum with its constants. The name of `E` is `Class.Enum`.
    pub(crate) fn enumeration<E: ScriptEnum>(&mut self) {
        let name = E::NAME.rsplit('.').next().unwrap_or_default();
        self.enums.push((name, E::CONSTANTS.iter().map(|constant| (constant.0, constant.1)).collect()));
    }

    /// Adds a method; [`methods!`] calls this. `defaults` are the default values of the last parameters.
    pub(crate) fn method<P: Parameters, R: Return, T: call::Target<C, P, R>>(
        &mut self,
        kind: MethodKind,
        name: &'static str,
        parameters: &[&'static str],
        defaults: Vec<DefaultValue>,
        _target: T,
    ) {
        self.methods.push(call::MethodDef::new::<C, T, P, R>(kind, (C::NAME, name), parameters, defaults));
    }

    /// Adds a signal with one argument.
    pub(crate) fn signal<T: Return>(&mut self, name: &'static str, argument: &'static str) {
        self.signals.push(Signal { name, argument: Some((argument, T::INFO)) });
    }

    /// Adds a signal without arguments.
    pub(crate) fn plain_signal(&mut self, name: &'static str) {
        self.signals.push(Signal { name, argument: None });
    }

    /// Adds a virtual method of the engine's class, which the engine itself calls.
    pub(crate) fn virtual_method<A: Arguments, R: Return>(
        &mut self,
        name: &'static str,
        function: impl for<'a> Fn(&C, A::Arg<'a>) -> R + Copy + 'static,
    ) {
        self.virtuals.push(VirtualMethod::new::<C, A, R, _>(name, function));
    }

    /// Adds a property. Its setter and its getter are methods that have been added before.
    pub(crate) fn property<T: Return>(
        &mut self,
        name: &'static str,
        setter: &'static str,
        getter: &'static str,
    ) {
        self.properties.push(Property { name, info: T::INFO, setter, getter });
    }
}

/// Adds methods to the [`Definition`] of a class, in the syntax of an interface description: parameters with
/// their types and defaults, and the result. A `const fn` changes nothing, a `static fn` needs no object.
/// With `-> &mut Type`, the function gets the result as its last parameter, and sets it in place.
macro_rules! methods {
    ($class:ident, $Class:ty {}) => {};
    ($class:ident, $Class:ty { const fn $($rest:tt)* }) => {
        methods!(@method Const OfObject $class, $Class { $($rest)* });
    };
    ($class:ident, $Class:ty { static fn $($rest:tt)* }) => {
        methods!(@method Static OfClass $class, $Class { $($rest)* });
    };
    ($class:ident, $Class:ty { fn $($rest:tt)* }) => {
        methods!(@method Method OfObject $class, $Class { $($rest)* });
    };
    (@method $kind:ident OfObject $class:ident, $Class:ty {
        $name:ident($($parameter:ident: $type:ty $(= $default:expr)?),*) -> &mut $result:ty; $($rest:tt)*
    }) => {
        methods!(@method $kind InPlace $class, $Class {
            $name($($parameter: $type $(= $default)?),*) -> $result; $($rest)*
        });
    };
    (@method $kind:ident $target:ident $class:ident, $Class:ty {
        $name:ident($($parameter:ident: $type:ty $(= $default:expr)?),*) $(-> $result:ty)?; $($rest:tt)*
    }) => {
        $class.method::<($($type,)*), methods!(@result $($result)?), _>(
            $crate::binding::MethodKind::$kind,
            stringify!($name),
            &[$(stringify!($parameter)),*],
            vec![$($($crate::binding::DefaultValue::from($default),)?)*],
            $crate::binding::$target(<$Class>::$name),
        );
        methods!($class, $Class { $($rest)* });
    };
    (@result $result:ty) => { $result };
    (@result) => { () };
}
pub(crate) use methods;

/// Registers `C` with the engine. Must be called once, at the scene level.
pub(crate) fn register<C: Class>() {
    let mut definition = Definition::<C> {
        enums: Vec::new(),
        methods: Vec::new(),
        virtuals: Vec::new(),
        properties: Vec::new(),
        signals: Vec::new(),
        class: std::marker::PhantomData,
    };
    C::define(&mut definition);

    let (class, parent) = (StringName::from(C::NAME), StringName::from(C::PARENT));
    let has_virtuals = !definition.virtuals.is_empty();
    let info = sys::GDExtensionClassCreationInfo3 {
        is_virtual: 0,
        is_abstract: 0,
        is_exposed: 1,
        is_runtime: 0,
        set_func: None,
        get_func: None,
        get_property_list_func: None,
        free_property_list_func: None,
        property_can_revert_func: None,
        property_get_revert_func: None,
        validate_property_func: None,
        notification_func: None,
        to_string_func: None,
        reference_func: None,
        unreference_func: None,
        create_instance_func: Some(create_instance::<C>),
        free_instance_func: Some(free_instance::<C>),
        recreate_instance_func: Some(recreate_instance::<C>),
        get_virtual_func: None,
        get_virtual_call_data_func: has_virtuals.then_some(virtuals::find),
        call_virtual_with_data_func: has_virtuals.then_some(virtuals::call),
        get_rid_func: None,
        class_userdata: virtuals::leak(definition.virtuals),
    };
    // SAFETY: the engine has initialised this library, as this runs at its scene level, on the main thread.
    // The engine uses the pointers only until the call returns, and their values live as long. The functions
    // in `info` are for instances that `create_instance::<C>` made.
    unsafe {
        interface_fn!(classdb_register_extension_class3)(
            sys::get_library(),
            name_ptr(&class),
            name_ptr(&parent),
            &raw const info,
        );
    }
    for (enumeration, constants) in &definition.enums {
        let enumeration = StringName::from(*enumeration);
        for (constant, value) in constants {
            let constant = StringName::from(*constant);
            // SAFETY: as above.
            unsafe {
                interface_fn!(classdb_register_extension_class_integer_constant)(
                    sys::get_library(),
                    name_ptr(&class),
                    name_ptr(&enumeration),
                    name_ptr(&constant),
                    *value,
                    0,
                );
            }
        }
    }
    for method in definition.methods {
        method.register(&class);
    }
    for signal in &definition.signals {
        let name = StringName::from(signal.name);
        let argument = signal.argument.as_ref();
        let mut arguments: Vec<PropertyInfo> = argument
            .map(|(name, info)| PropertyInfo::new(name, info, PROPERTY_USAGE_DEFAULT))
            .into_iter()
            .collect();
        let mut arguments: Vec<_> = arguments.iter_mut().map(PropertyInfo::as_sys).collect();
        // SAFETY: as above.
        unsafe {
            interface_fn!(classdb_register_extension_class_signal)(
                sys::get_library(),
                name_ptr(&class),
                name_ptr(&name),
                first_or_null(&mut arguments),
                i64::try_from(arguments.len()).unwrap_or(0),
            );
        }
    }
    for property in &definition.properties {
        let (setter, getter) = (StringName::from(property.setter), StringName::from(property.getter));
        let mut info = PropertyInfo::new(property.name, &property.info, PROPERTY_USAGE_DEFAULT);
        let info = info.as_sys();
        // SAFETY: as above.
        unsafe {
            interface_fn!(classdb_register_extension_class_property)(
                sys::get_library(),
                name_ptr(&class),
                &raw const info,
                name_ptr(&setter),
                name_ptr(&getter),
            );
        }
    }
}

/// Unregisters `C`. Its objects are already gone, or at least their instances if the library is reloaded.
pub(crate) fn unregister<C: Class>() {
    let class = StringName::from(C::NAME);
    // SAFETY: this library has registered the class. This runs at the end of the scene level, on the main
    // thread.
    unsafe { interface_fn!(classdb_unregister_extension_class)(sys::get_library(), name_ptr(&class)) };
}

/// Loads the help of a class into the editor, from XML as in the engine's `doc/classes/`.
pub(crate) fn load_help(xml: &str) {
    let length = i64::try_from(xml.len()).unwrap_or(0);
    // SAFETY: `xml` is `length` bytes of UTF-8, which the engine copies.
    unsafe { interface_fn!(editor_help_load_xml_from_utf8_chars_and_len)(xml.as_ptr().cast(), length) };
}

unsafe extern "C" fn create_instance<C: Class>(_class_userdata: *mut c_void) -> sys::GDExtensionObjectPtr {
    let (class, parent) = (StringName::from(C::NAME), StringName::from(C::PARENT));
    // SAFETY: `parent` names a class of the engine, and the engine expects a new instance of it here.
    let object = unsafe { sys::classdb_construct_object(name_ptr(&parent)) };
    let instance = Instance::<C>::create(object);
    // SAFETY: `object` is new, and `instance` lives until the engine passes it to `free_instance`.
    unsafe { interface_fn!(object_set_instance)(object, name_ptr(&class), instance.cast()) };
    object
}

/// Makes a new instance for an object that outlived the library, after the library was reloaded.
unsafe extern "C" fn recreate_instance<C: Class>(
    _class_userdata: *mut c_void,
    object: sys::GDExtensionObjectPtr,
) -> sys::GDExtensionClassInstancePtr {
    Instance::<C>::create(object).cast()
}

unsafe extern "C" fn free_instance<C: Class>(
    _class_userdata: *mut c_void,
    instance: sys::GDExtensionClassInstancePtr,
) {
    if !instance.is_null() {
        // SAFETY: `create_instance` or `recreate_instance` made it. The engine frees it once, when no new
        // call of the object's methods can begin.
        unsafe { Instance::free(instance.cast::<Instance<C>>()) };
    }
}

/// Returns the engine's pointer to a name. The engine declares it mutable, even where it only reads the name.
fn name_ptr(name: &StringName) -> sys::GDExtensionStringNamePtr {
    name.sys().cast_mut().cast()
}

/// The values that the engine's description of a property, a parameter or a return value points to.
struct PropertyInfo {
    name: StringName,
    class_name: StringName,
    hint_string: GString,
    kind: sys::GDExtensionVariantType,
    hint: u32,
    usage: u32,
}

impl PropertyInfo {
    fn new(name: &str, info: &TypeInfo, usage: u32) -> Self {
        Self {
            name: StringName::from(name),
            class_name: StringName::from(info.class_name),
            hint_string: GString::from(info.hint_string),
            kind: info.kind,
            hint: info.hint,
            usage: usage | info.usage,
        }
    }

    fn as_sys(&mut self) -> sys::GDExtensionPropertyInfo {
        sys::GDExtensionPropertyInfo {
            type_: self.kind,
            name: name_ptr(&self.name),
            class_name: name_ptr(&self.class_name),
            hint: self.hint,
            hint_string: self.hint_string.sys_mut().cast(),
            usage: self.usage,
        }
    }
}

/// Returns a pointer to the first element of an array. For an empty array it is null, as the engine expects.
const fn first_or_null<T>(slice: &mut [T]) -> *mut T {
    if slice.is_empty() { ptr::null_mut() } else { slice.as_mut_ptr() }
}
