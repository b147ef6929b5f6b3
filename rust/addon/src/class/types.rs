//! What a method may take and return, and how each looks to the engine.
//!
//! A value arrives in one of two ways. In a *ptrcall* (typed GDScript, C#) it is a pointer to the value itself, of
//! exactly the declared type. In a *varcall* (untyped GDScript, `call()`) it is a pointer to a `Variant`, which
//! may hold something else; it is converted where the engine's own methods would, and refused otherwise.

use std::mem::MaybeUninit;
use std::sync::OnceLock;

use godot::builtin::{GString, PackedByteArray, PackedStringArray, StringName, Variant};
use godot::meta::ToGodot;
use godot::sys::{self, GodotFfi, PtrcallType, interface_fn};

use super::bytes;

/// `PROPERTY_USAGE_DEFAULT`
pub(super) const PROPERTY_USAGE_DEFAULT: u32 = 2 | 4;
/// `PROPERTY_USAGE_CLASS_IS_ENUM`
const PROPERTY_USAGE_CLASS_IS_ENUM: u32 = 1 << 16;
/// `PROPERTY_HINT_ENUM`
const PROPERTY_HINT_ENUM: u32 = 2;

/// How the engine describes a type.
pub(crate) struct TypeInfo {
    pub(super) kind: sys::GDExtensionVariantType,
    pub(super) class_name: &'static str,
    pub(super) hint: u32,
    pub(super) hint_string: &'static str,
    pub(super) usage: u32,
}

impl TypeInfo {
    const fn plain(kind: sys::GDExtensionVariantType) -> Self {
        Self { kind, class_name: "", hint: 0, hint_string: "", usage: 0 }
    }

    const fn enumeration(class_name: &'static str, hint_string: &'static str) -> Self {
        Self {
            kind: sys::GDEXTENSION_VARIANT_TYPE_INT,
            class_name,
            hint: if hint_string.is_empty() { 0 } else { PROPERTY_HINT_ENUM },
            hint_string,
            usage: PROPERTY_USAGE_CLASS_IS_ENUM,
        }
    }
}

/// The type of a parameter.
pub(crate) trait Param: 'static {
    /// How the engine describes it.
    const INFO: TypeInfo;
    /// What the method gets.
    type Arg<'a>;
    /// What keeps a varcall's value while the method runs.
    type Held;

    /// The argument of a ptrcall.
    ///
    /// # Safety
    /// `value` points to a value of this type, as ptrcalls pass it, that lives through `'a`.
    unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Self::Arg<'a>;

    /// The argument of a varcall, or `None` if it isn't of this type and can't become one.
    ///
    /// # Safety
    /// `value` points to a `Variant` that lives as long as what is returned.
    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<Self::Held>;

    /// What is held for an argument that the caller has left out.
    fn hold_default(value: DefaultValue) -> Option<Self::Held>;

    /// Lends what was held to the method.
    fn lend(held: &mut Self::Held) -> Self::Arg<'_>;
}

/// The value of a parameter that the caller may leave out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DefaultValue {
    /// An integer.
    Int(i64),
    /// A string.
    Text(&'static str),
}

impl DefaultValue {
    pub(super) fn to_variant(self) -> Variant {
        match self {
            Self::Int(value) => Variant::from(value),
            Self::Text(text) => Variant::from(GString::from(text)),
        }
    }
}

/// The type of a return value.
pub(crate) trait Return: Sized + 'static {
    /// How the engine describes it. `NIL` is no value.
    const INFO: TypeInfo;

    /// Stores the value where a ptrcall wants it.
    ///
    /// # Safety
    /// `to` points to an initialised value of this type, as ptrcalls return it.
    unsafe fn store(self, to: sys::GDExtensionTypePtr);

    /// The value for a varcall.
    fn to_variant(self) -> Variant;

    /// What to return where the method could not run to its end.
    fn failed() -> Self;
}

/// A 64-bit integer. Whether its value makes sense is the method's to check.
pub(crate) struct Int;

impl Param for Int {
    const INFO: TypeInfo = TypeInfo::plain(sys::GDEXTENSION_VARIANT_TYPE_INT);
    type Arg<'a> = i64;
    type Held = i64;

    unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Self::Arg<'a> {
        // SAFETY: the caller's; ptrcalls pass integers as `int64_t`.
        unsafe { value.cast::<i64>().read() }
    }

    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<i64> {
        static CONSTRUCTOR: Constructor = Constructor::of(&Int::INFO);
        // SAFETY: the caller's.
        unsafe { CONSTRUCTOR.convert::<i64>(value) }
    }

    fn hold_default(value: DefaultValue) -> Option<i64> {
        if let DefaultValue::Int(value) = value { Some(value) } else { None }
    }

    fn lend(held: &mut i64) -> i64 {
        *held
    }
}

/// A truth value.
pub(crate) struct Bool;

impl Param for Bool {
    const INFO: TypeInfo = TypeInfo::plain(sys::GDEXTENSION_VARIANT_TYPE_BOOL);
    type Arg<'a> = bool;
    type Held = u8;

    unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Self::Arg<'a> {
        // SAFETY: the caller's; ptrcalls pass booleans as `uint8_t`, of which any but 0 is true.
        unsafe { value.cast::<u8>().read() != 0 }
    }

    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<u8> {
        static CONSTRUCTOR: Constructor = Constructor::of(&Bool::INFO);
        // SAFETY: the caller's.
        unsafe { CONSTRUCTOR.convert::<u8>(value) }
    }

    fn hold_default(_: DefaultValue) -> Option<Self::Held> {
        None
    }

    fn lend(held: &mut u8) -> bool {
        *held != 0
    }
}

/// Parameters that are borrowed from the caller: types of gdext that hold the engine's value and nothing else.
macro_rules! borrowed {
    ($($(#[$doc:meta])* $param:ident: $type:ty, $opaque:ty, $kind:ident, $default:expr;)+) => {$(
        $(#[$doc])*
        pub(crate) struct $param;

        impl Param for $param {
            const INFO: TypeInfo = TypeInfo::plain(sys::$kind);
            type Arg<'a> = &'a $type;
            type Held = $type;

            unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> &'a $type {
                const { assert_same_layout::<$type, $opaque>() };
                // SAFETY: the caller's; the type is a wrapper around the engine's, of the same size.
                unsafe { &*value.cast::<$type>() }
            }

            unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<$type> {
                static CONSTRUCTOR: Constructor = Constructor::of(&$param::INFO);
                // SAFETY: the caller's.
                unsafe { CONSTRUCTOR.convert::<$type>(value) }
            }

            fn hold_default(value: DefaultValue) -> Option<$type> {
                let default: fn(DefaultValue) -> Option<$type> = $default;
                default(value)
            }

            fn lend(held: &mut $type) -> &$type {
                held
            }
        }
    )+};
}

borrowed! {
    /// A `StringName`; a `String` becomes one.
    Name: StringName, sys::types::OpaqueStringName, GDEXTENSION_VARIANT_TYPE_STRING_NAME, |_| None;
    /// A `String`.
    Text: GString, sys::types::OpaqueString, GDEXTENSION_VARIANT_TYPE_STRING, |value| match value {
        DefaultValue::Text(text) => Some(GString::from(text)),
        DefaultValue::Int(_) => None,
    };
    /// A `PackedByteArray` that the method reads.
    BytesIn: PackedByteArray, sys::types::OpaquePackedByteArray, GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY, |_| None;
}

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
            Self::InPlace(array) => fill(bytes::slice_mut(array)),
            Self::Variable(variable) => {
                // SAFETY: `BytesOut::hold` made it from a pointer to a `Variant` that outlives the call.
                let mut copy = unsafe { &*variable.cast::<Variant>() }.to::<PackedByteArray>();
                let done = fill(bytes::slice_mut(&mut copy))?;
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

/// The engine's constructors of a type's values from a `Variant`, looked up once a type.
struct Constructor {
    kind: sys::GDExtensionVariantType,
    function: OnceLock<sys::GDExtensionTypeFromVariantConstructorFunc>,
}

impl Constructor {
    const fn of(info: &TypeInfo) -> Self {
        Self { kind: info.kind, function: OnceLock::new() }
    }

    /// The value of a `Variant` as `T`, if it is one or the engine's own methods would take it for one.
    ///
    /// # Safety
    /// `value` points to a live `Variant`. `T` is what the engine stores for a value of this type.
    unsafe fn convert<T>(&self, value: sys::GDExtensionConstVariantPtr) -> Option<T> {
        // SAFETY: the caller's.
        let found = unsafe { interface_fn!(variant_get_type)(value) };
        // SAFETY: two valid types.
        if found != self.kind && unsafe { interface_fn!(variant_can_convert_strict)(found, self.kind) } == 0 {
            return None;
        }
        // SAFETY: a valid type.
        let look_up = || unsafe { interface_fn!(get_variant_to_type_constructor)(self.kind) };
        let function = (*self.function.get_or_init(look_up))?;
        let mut converted = MaybeUninit::<T>::uninit();
        // SAFETY: the constructor initialises a value of this type from the variant, which it only reads.
        unsafe {
            function(converted.as_mut_ptr().cast(), value.cast_mut());
            Some(converted.assume_init())
        }
    }
}

const fn assert_same_layout<A, B>() {
    assert!(size_of::<A>() == size_of::<B>() && align_of::<A>() == align_of::<B>());
}

/// Nothing.
impl Return for () {
    const INFO: TypeInfo = TypeInfo::plain(sys::GDEXTENSION_VARIANT_TYPE_NIL);

    unsafe fn store(self, _: sys::GDExtensionTypePtr) {}

    fn to_variant(self) -> Variant {
        Variant::nil()
    }

    fn failed() -> Self {}
}

/// An integer.
impl Return for i64 {
    const INFO: TypeInfo = TypeInfo::plain(sys::GDEXTENSION_VARIANT_TYPE_INT);

    unsafe fn store(self, to: sys::GDExtensionTypePtr) {
        // SAFETY: the caller's.
        unsafe { to.cast::<Self>().write(self) };
    }

    fn to_variant(self) -> Variant {
        Variant::from(self)
    }

    fn failed() -> Self {
        0
    }
}

/// A truth value.
impl Return for bool {
    const INFO: TypeInfo = TypeInfo::plain(sys::GDEXTENSION_VARIANT_TYPE_BOOL);

    unsafe fn store(self, to: sys::GDExtensionTypePtr) {
        // SAFETY: the caller's; ptrcalls return booleans as `uint8_t`.
        unsafe { to.cast::<u8>().write(u8::from(self)) };
    }

    fn to_variant(self) -> Variant {
        Variant::from(self)
    }

    fn failed() -> Self {
        false
    }
}

/// The engine's `Error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ErrorCode(pub(crate) godot::global::Error);

impl Return for ErrorCode {
    const INFO: TypeInfo = TypeInfo::enumeration("Error", "");

    unsafe fn store(self, to: sys::GDExtensionTypePtr) {
        // SAFETY: the caller's.
        unsafe { self.code().store(to) };
    }

    fn to_variant(self) -> Variant {
        Variant::from(self.code())
    }

    fn failed() -> Self {
        Self(godot::global::Error::FAILED)
    }
}

impl ErrorCode {
    fn code(self) -> i64 {
        use godot::obj::EngineEnum as _;
        i64::from(self.0.ord())
    }
}

/// An enum of a class of this addon.
pub(crate) trait OwnEnum: Copy + 'static {
    /// `Class.Enum`
    const NAME: &'static str;
    /// Its constants in words, for the inspector.
    const HINT: &'static str;
    /// The value where there is none to tell.
    const FALLBACK: Self;

    /// The value that scripts see.
    fn value(self) -> i64;
}

/// A value of an [`OwnEnum`].
pub(crate) struct EngineEnum<E>(pub(crate) E);

impl<E: OwnEnum> Return for EngineEnum<E> {
    const INFO: TypeInfo = TypeInfo::enumeration(E::NAME, E::HINT);

    unsafe fn store(self, to: sys::GDExtensionTypePtr) {
        // SAFETY: the caller's.
        unsafe { self.0.value().store(to) };
    }

    fn to_variant(self) -> Variant {
        Variant::from(self.0.value())
    }

    fn failed() -> Self {
        Self(E::FALLBACK)
    }
}

/// Types of gdext that are what the engine returns.
macro_rules! engine_return {
    ($($type:ty => $kind:ident),+ $(,)?) => {$(
        impl Return for $type {
            const INFO: TypeInfo = TypeInfo::plain(sys::$kind);

            unsafe fn store(self, to: sys::GDExtensionTypePtr) {
                // SAFETY: the caller's.
                unsafe { self.move_return_ptr(to, PtrcallType::Standard) };
            }

            fn to_variant(self) -> Variant {
                ToGodot::to_variant(&self)
            }

            fn failed() -> Self {
                Self::default()
            }
        }
    )+};
}

engine_return! {
    GString => GDEXTENSION_VARIANT_TYPE_STRING,
    PackedByteArray => GDEXTENSION_VARIANT_TYPE_PACKED_BYTE_ARRAY,
    PackedStringArray => GDEXTENSION_VARIANT_TYPE_PACKED_STRING_ARRAY,
}
