//! Methods that the engine itself calls: virtual methods of the class that a class of this addon extends.
//!
//! The engine looks a method up by its name, and keeps what it gets for the object. It passes arguments as in
//! a ptrcall, but also pointers, which no script can pass.

use std::cell::RefCell;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::{ptr, slice};

use godot::builtin::StringName;
use godot::sys;

use super::Class;
use super::call::{MethodData, function, guard, object_in};
use super::types::{Return, assert_same_layout};

type Call = unsafe fn(
    &'static MethodData,
    sys::GDExtensionClassInstancePtr,
    *const sys::GDExtensionConstTypePtr,
    sys::GDExtensionTypePtr,
);

/// A virtual method.
pub(super) struct VirtualMethod {
    name: &'static str,
    /// With the name of the engine's method that calls this one.
    data: MethodData,
    call: Call,
}

/// The arguments of a virtual method, as the engine passes them.
pub(crate) trait Arguments: 'static {
    /// The argument that the method gets.
    type Arg<'a>;

    /// Returns the argument.
    ///
    /// # Safety
    /// `pointers` are to the arguments of the method, which live through `'a`.
    unsafe fn from_ptrs<'a>(pointers: *const sys::GDExtensionConstTypePtr) -> Self::Arg<'a>;
}

impl VirtualMethod {
    /// Returns the virtual method that `_function` is.
    pub(super) fn new<C: Class, A: Arguments, R: Return, F>(name: &'static str, _function: F) -> Self
    where
        F: for<'a> Fn(&C, A::Arg<'a>) -> R + Copy + 'static,
    {
        let data = MethodData { name: (C::NAME, name.trim_start_matches('_')), defaults: Vec::new() };
        Self { name, data, call: call_function::<C, A, R, F> }
    }
}

/// Calls a method.
///
/// # Safety
/// The engine calls the virtual method of the class with this signature, and passes these pointers.
unsafe fn call_function<C: Class, A: Arguments, R: Return, F>(
    data: &'static MethodData,
    instance: sys::GDExtensionClassInstancePtr,
    arguments: *const sys::GDExtensionConstTypePtr,
    result: sys::GDExtensionTypePtr,
) where
    F: for<'a> Fn(&C, A::Arg<'a>) -> R + Copy + 'static,
{
    let call = |result: &mut R| {
        guard(instance, data, result, |result| {
            // SAFETY: by this function's contract, the arguments are those of the method. `instance` is an
            // object of the class.
            *result = unsafe { function::<F>()(object_in::<C>(instance), A::from_ptrs(arguments)) };
        });
    };
    // SAFETY: the engine passes a place for a value of the method's type.
    unsafe { R::store(result, call) };
}

/// The virtual methods of a class, with their names.
struct Virtuals(Vec<(StringName, VirtualMethod)>);

/// Returns the user data of a class with these virtual methods. Leaked, once per class: the engine may use it
/// until it exits.
pub(super) fn leak(methods: Vec<VirtualMethod>) -> *mut c_void {
    let named = methods.into_iter().map(|method| (StringName::from(method.name), method));
    Box::into_raw(Box::new(Virtuals(named.collect()))).cast()
}

/// Returns the user data of a virtual method, or null if the class has none of this name.
pub(super) unsafe extern "C" fn find(
    class_userdata: *mut c_void,
    name: sys::GDExtensionConstStringNamePtr,
) -> *mut c_void {
    const { assert_same_layout::<StringName, sys::types::OpaqueStringName>() };
    // SAFETY: `register` passed the pointer that `leak` returned. The engine passes a live `StringName`, of
    // which gdext's type has the layout.
    let (virtuals, name) = unsafe { (&*class_userdata.cast::<Virtuals>(), &*name.cast::<StringName>()) };
    let found = virtuals.0.iter().find(|(own, _)| own == name);
    found.map_or(ptr::null_mut(), |(_, method)| ptr::from_ref(method).cast_mut().cast())
}

/// Calls the virtual method that [`find`] returned.
pub(super) unsafe extern "C" fn call(
    instance: sys::GDExtensionClassInstancePtr,
    _name: sys::GDExtensionConstStringNamePtr,
    method: *mut c_void,
    arguments: *const sys::GDExtensionConstTypePtr,
    result: sys::GDExtensionTypePtr,
) {
    // SAFETY: `find` returned this pointer, to a method that is never freed.
    let method = unsafe { &*method.cast::<VirtualMethod>() };
    // SAFETY: the engine passes what belongs to the method.
    unsafe { (method.call)(&method.data, instance, arguments, result) };
}

/// No arguments.
impl Arguments for () {
    type Arg<'a> = ();

    unsafe fn from_ptrs<'a>(_: *const sys::GDExtensionConstTypePtr) -> Self::Arg<'a> {}
}

/// Bytes from the engine: a pointer, and how many there are (`const uint8_t *`, `int32_t`).
pub(crate) struct PacketIn;

impl Arguments for PacketIn {
    type Arg<'a> = &'a [u8];

    unsafe fn from_ptrs<'a>(pointers: *const sys::GDExtensionConstTypePtr) -> &'a [u8] {
        // SAFETY: there are two arguments by this function's contract. The engine passes a number as 64 bits.
        // The bytes live, and don't change, until the call returns.
        unsafe {
            let (bytes, count) =
                ((*pointers).cast::<*const u8>().read(), (*pointers.add(1)).cast::<i64>().read());
            match usize::try_from(count) {
                Ok(count) if count > 0 && !bytes.is_null() => slice::from_raw_parts(bytes, count),
                _ => &[],
            }
        }
    }
}

/// Places for the address of bytes and for their number (`const uint8_t **`, `int32_t *`).
pub(crate) struct PacketOut;

/// The argument for [`PacketOut`].
pub(crate) struct PacketPlace<'a> {
    bytes: *mut *const u8,
    count: *mut i32,
    lifetime: PhantomData<&'a ()>,
}

impl Arguments for PacketOut {
    type Arg<'a> = PacketPlace<'a>;

    unsafe fn from_ptrs<'a>(pointers: *const sys::GDExtensionConstTypePtr) -> PacketPlace<'a> {
        // SAFETY: there are two arguments by this function's contract, both of them pointers.
        let (bytes, count) = unsafe {
            ((*pointers).cast::<*mut *const u8>().read(), (*pointers.add(1)).cast::<*mut i32>().read())
        };
        PacketPlace { bytes, count, lifetime: PhantomData }
    }
}

thread_local! {
    /// The bytes that this thread has handed out last. The engine copies them, or decodes them, before the
    /// thread asks for others.
    // On Windows, clippy doesn't see that it is const.
    #[cfg_attr(windows, allow(clippy::missing_const_for_thread_local))]
    static PACKET: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl PacketPlace<'_> {
    /// Hands bytes out, which stay as they are until this thread hands out others. Returns false if the
    /// engine's number can't hold as many, or if the thread is ending.
    pub(crate) fn hand_out(self, bytes: Vec<u8>) -> bool {
        let Ok(count) = i32::try_from(bytes.len()) else { return false };
        PACKET
            .try_with(|packet| {
                *packet.borrow_mut() = bytes;
                // SAFETY: the engine's places live until the call returns, which `'_` is.
                unsafe {
                    *self.bytes = packet.borrow().as_ptr();
                    *self.count = count;
                }
            })
            .is_ok()
    }
}
