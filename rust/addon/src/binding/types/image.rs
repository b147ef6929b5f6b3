//! An `Image` whose pixels a method reads or sets in place.
//!
//! This is not gdext's `Gd<Image>`, which converts the format into an enum of the formats that it knows. A
//! newer engine may have more.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::sync::OnceLock;

use godot::builtin::{PackedByteArray, StringName, Variant};
use godot::sys::{self, GodotFfi, interface_fn};

use super::{DefaultValue, Param, TypeInfo};
use crate::binding::engine::EngineMethod;

/// The type of a parameter: an `Image` or null.
pub(crate) struct Image;

/// The argument for an [`Image`] parameter.
pub(crate) struct ImageArg<'a> {
    object: sys::GDExtensionObjectPtr,
    lifetime: PhantomData<&'a ()>,
}

impl Param for Image {
    const INFO: TypeInfo = TypeInfo::object("Image");
    type Arg<'a> = Option<ImageArg<'a>>;
    type Held = sys::GDExtensionObjectPtr;

    unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Option<ImageArg<'a>> {
        // SAFETY: a ptrcall passes null, or a pointer to the pointer to an object that lives by this
        // function's contract.
        unsafe { ImageArg::of(value.cast::<sys::GDExtensionObjectPtr>().as_ref().copied()?) }
    }

    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<sys::GDExtensionObjectPtr> {
        // SAFETY: `value` points to a live `Variant` by this function's contract. `object_of` returns null or
        // an object that lives.
        unsafe {
            let object = super::object_of(value)?;
            (object.is_null() || ImageArg::of(object).is_some()).then_some(object)
        }
    }

    fn hold_default(_: DefaultValue) -> Option<sys::GDExtensionObjectPtr> {
        None
    }

    fn lend(held: &mut sys::GDExtensionObjectPtr) -> Option<ImageArg<'_>> {
        (!held.is_null()).then_some(ImageArg { object: *held, lifetime: PhantomData })
    }
}

impl ImageArg<'_> {
    /// Returns the image. `None` for null, and for an object of another class: in a script, the variable's
    /// type may be a base class.
    ///
    /// # Safety
    /// `object` is null, or lives as long as the returned value.
    unsafe fn of(object: sys::GDExtensionObjectPtr) -> Option<Self> {
        if object.is_null() {
            return None;
        }
        static CLASS: OnceLock<ClassTag> = OnceLock::new();
        let class = CLASS.get_or_init(|| {
            let name = StringName::from("Image");
            // SAFETY: `name` lives until the call returns.
            ClassTag(unsafe { interface_fn!(classdb_get_class_tag)(name.sys().cast()) })
        });
        // SAFETY: `object` lives by this function's contract, and the tag is that of a class.
        let object = unsafe { interface_fn!(object_cast_to)(object, class.0) };
        (!object.is_null()).then_some(Self { object, lifetime: PhantomData })
    }

    /// Returns the image in a `Variant`.
    pub(crate) fn in_variant(value: &Variant) -> Option<ImageArg<'_>> {
        // SAFETY: `value` lives, and an image lives as long as a `Variant` refers to it.
        unsafe { ImageArg::of(super::object_of(value.var_sys())?) }
    }

    /// Returns whether the format is a compressed one, without separate pixels.
    pub(crate) fn is_compressed(&self) -> bool {
        static METHOD: OnceLock<Option<EngineMethod>> = OnceLock::new();
        // SAFETY: `is_compressed` returns a `bool`.
        unsafe { self.call_getter::<u8>(&METHOD, "is_compressed", 36_873_697) != Some(0) }
    }

    /// Returns whether the pixels include mipmaps.
    pub(crate) fn has_mipmaps(&self) -> bool {
        static METHOD: OnceLock<Option<EngineMethod>> = OnceLock::new();
        // SAFETY: `has_mipmaps` returns a `bool`.
        unsafe { self.call_getter::<u8>(&METHOD, "has_mipmaps", 36_873_697) != Some(0) }
    }

    /// Returns the number of columns.
    pub(crate) fn width(&self) -> usize {
        static METHOD: OnceLock<Option<EngineMethod>> = OnceLock::new();
        // SAFETY: `get_width` returns an `int`.
        let width = unsafe { self.call_getter::<i64>(&METHOD, "get_width", 3_905_245_786) };
        usize::try_from(width.unwrap_or(0)).unwrap_or(0)
    }

    /// Returns the number of rows.
    pub(crate) fn height(&self) -> usize {
        static METHOD: OnceLock<Option<EngineMethod>> = OnceLock::new();
        // SAFETY: `get_height` returns an `int`.
        let height = unsafe { self.call_getter::<i64>(&METHOD, "get_height", 3_905_245_786) };
        usize::try_from(height.unwrap_or(0)).unwrap_or(0)
    }

    /// Returns the number of the format, one of `Image.Format`.
    pub(crate) fn format(&self) -> i64 {
        static METHOD: OnceLock<Option<EngineMethod>> = OnceLock::new();
        // SAFETY: `get_format` returns an enum, which a ptrcall returns as an `int`.
        unsafe { self.call_getter::<i64>(&METHOD, "get_format", 3_847_873_762) }.unwrap_or(-1)
    }

    /// Returns the pixels, including mipmaps, as an array that shares them until one of both changes.
    pub(crate) fn data(&self) -> PackedByteArray {
        static METHOD: OnceLock<Option<EngineMethod>> = OnceLock::new();
        // SAFETY: `get_data` returns a `PackedByteArray`.
        unsafe { self.call_getter(&METHOD, "get_data", 2_362_200_018) }.unwrap_or_default()
    }

    /// Replaces the image by one without mipmaps that shares these pixels. They must be as many as the size
    /// and the format need. Returns false if the engine lacks the method; no known engine does.
    pub(crate) fn set_data(
        &mut self,
        width: u32,
        height: u32,
        format: u32,
        pixels: &PackedByteArray,
    ) -> bool {
        static METHOD: OnceLock<Option<EngineMethod>> = OnceLock::new();
        let method = METHOD.get_or_init(|| EngineMethod::find("Image", "set_data", 2_740_482_212));
        let arguments = image_arguments(width, height, format, pixels);
        // SAFETY: the image lives as long as `self`.
        method.as_ref().is_some_and(|method| unsafe { method.call(self.object, arguments.iter()) }.is_some())
    }

    /// Returns the number of bytes of the pixels, including mipmaps.
    fn size(&self) -> usize {
        static METHOD: OnceLock<Option<EngineMethod>> = OnceLock::new();
        // SAFETY: `get_data_size` returns an `int`.
        let size = unsafe { self.call_getter::<i64>(&METHOD, "get_data_size", 3_905_245_786) };
        usize::try_from(size.unwrap_or(0)).unwrap_or(0)
    }

    /// Returns the pixels.
    pub(crate) fn bytes(&self) -> &[u8] {
        let size = self.size();
        if size == 0 {
            return &[];
        }
        // SAFETY: the image lives as long as `self`, and its pixels have `size` bytes. The engine doesn't
        // allow another thread to use the image at the same time.
        unsafe { std::slice::from_raw_parts(interface_fn!(image_ptr)(self.object), size) }
    }

    /// Returns the pixels to be set. If another image shares them, the engine copies them first.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let size = self.size();
        if size == 0 {
            return &mut [];
        }
        // SAFETY: the image has `size` bytes of pixels, and the engine shares them with no other image.
        unsafe { std::slice::from_raw_parts_mut(interface_fn!(image_ptrw)(self.object), size) }
    }

    /// Calls a method without parameters. `None` if the engine lacks it; no known engine does.
    ///
    /// # Safety
    /// The method returns a `T`.
    unsafe fn call_getter<T: Default>(
        &self,
        method: &OnceLock<Option<EngineMethod>>,
        name: &str,
        hash: i64,
    ) -> Option<T> {
        let method = method.get_or_init(|| EngineMethod::find("Image", name, hash));
        let mut result = T::default();
        // SAFETY: the image lives as long as `self`. The method takes no arguments, and returns a `T` by this
        // function's contract.
        unsafe {
            interface_fn!(object_method_bind_ptrcall)(
                method.as_ref()?.0,
                self.object,
                std::ptr::null(),
                (&raw mut result).cast(),
            );
        }
        Some(result)
    }
}

/// Returns a new image without mipmaps that shares these pixels. They must be as many as the size and the
/// format need. `None` if the engine lacks the method; no known engine does.
pub(crate) fn new_image(width: u32, height: u32, format: u32, pixels: &PackedByteArray) -> Option<Variant> {
    static METHOD: OnceLock<Option<EngineMethod>> = OnceLock::new();
    let method = METHOD.get_or_init(|| EngineMethod::find("Image", "create_from_data", 299_398_494));
    let arguments = image_arguments(width, height, format, pixels);
    // SAFETY: the method is static.
    unsafe { method.as_ref()?.call(std::ptr::null_mut(), arguments.iter()) }
}

fn image_arguments(width: u32, height: u32, format: u32, pixels: &PackedByteArray) -> [Variant; 5] {
    let [width, height, format] = [width, height, format].map(|number| Variant::from(i64::from(number)));
    [width, height, Variant::from(false), format, Variant::from(pixels.clone())]
}

/// The engine's tag of a class.
struct ClassTag(*mut c_void);

// SAFETY: the engine only compares the pointer.
unsafe impl Send for ClassTag {}
// SAFETY: threads only compare it.
unsafe impl Sync for ClassTag {}
