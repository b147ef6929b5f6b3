//! An `Image` whose pixels a method reads or sets, where they are.
//!
//! Without gdext's `Gd<Image>`, which converts the format into an enum of the formats that it knows: a newer engine has
//! more.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::sync::OnceLock;

use godot::builtin::StringName;
use godot::sys::{self, GodotFfi, interface_fn};

use super::{DefaultValue, Param, TypeInfo};
use crate::binding::engine::Method;

/// An `Image`, or null.
pub(crate) struct Image;

/// What an [`Image`] parameter holds while the method runs.
pub(crate) struct Picture<'a> {
    object: sys::GDExtensionObjectPtr,
    life: PhantomData<&'a ()>,
}

impl Param for Image {
    const INFO: TypeInfo = TypeInfo::object("Image");
    type Arg<'a> = Option<Picture<'a>>;
    type Held = sys::GDExtensionObjectPtr;

    unsafe fn from_ptr<'a>(value: sys::GDExtensionConstTypePtr) -> Option<Picture<'a>> {
        // SAFETY: the caller's; ptrcalls pass a pointer to the pointer to the object, or null.
        unsafe { Picture::of(value.cast::<sys::GDExtensionObjectPtr>().as_ref().copied()?) }
    }

    unsafe fn hold(value: sys::GDExtensionConstVariantPtr) -> Option<sys::GDExtensionObjectPtr> {
        // SAFETY: the caller's; the object came from a live `Variant`.
        unsafe {
            let object = super::object_of(value)?;
            (object.is_null() || Picture::of(object).is_some()).then_some(object)
        }
    }

    fn hold_default(_: DefaultValue) -> Option<sys::GDExtensionObjectPtr> {
        None
    }

    fn lend(held: &mut sys::GDExtensionObjectPtr) -> Option<Picture<'_>> {
        (!held.is_null()).then_some(Picture { object: *held, life: PhantomData })
    }
}

impl Picture<'_> {
    /// `None` for null, and for an object that is no `Image`: a script's variable may be declared as a class above it.
    ///
    /// # Safety
    /// `object` is null, or an object that lives as long as what is returned.
    unsafe fn of(object: sys::GDExtensionObjectPtr) -> Option<Self> {
        if object.is_null() {
            return None;
        }
        static CLASS: OnceLock<ClassTag> = OnceLock::new();
        let class = CLASS.get_or_init(|| {
            let name = StringName::from("Image");
            // SAFETY: a live name.
            ClassTag(unsafe { interface_fn!(classdb_get_class_tag)(name.sys().cast()) })
        });
        // SAFETY: a live object, and what stands for a class.
        let object = unsafe { interface_fn!(object_cast_to)(object, class.0) };
        (!object.is_null()).then_some(Self { object, life: PhantomData })
    }

    /// Is it of a format whose pixels can't be set one by one?
    pub(crate) fn is_compressed(&self) -> bool {
        static METHOD: OnceLock<Option<Method>> = OnceLock::new();
        self.ask::<u8>(&METHOD, "is_compressed", 36_873_697) != Some(0)
    }

    /// How many bytes its pixels are, mipmaps included.
    fn size(&self) -> usize {
        static METHOD: OnceLock<Option<Method>> = OnceLock::new();
        let size = self.ask::<i64>(&METHOD, "get_data_size", 3_905_245_786).unwrap_or(0);
        usize::try_from(size).unwrap_or(0)
    }

    /// Its pixels.
    pub(crate) fn bytes(&self) -> &[u8] {
        let size = self.size();
        if size == 0 {
            return &[];
        }
        // SAFETY: the image lives as long as `self`, and has as many bytes as it says. Whoever uses it in another thread
        // at the same time does what the engine does not allow.
        unsafe { std::slice::from_raw_parts(interface_fn!(image_ptr)(self.object), size) }
    }

    /// Its pixels, to be set. If it shares them with a copy, it gets its own first.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let size = self.size();
        if size == 0 {
            return &mut [];
        }
        // SAFETY: as in `bytes`; the engine has made them this image's own.
        unsafe { std::slice::from_raw_parts_mut(interface_fn!(image_ptrw)(self.object), size) }
    }

    /// Calls a method without parameters. `None` on an engine that lacks it, which is none that we know.
    fn ask<T: Default>(&self, method: &OnceLock<Option<Method>>, name: &str, hash: i64) -> Option<T> {
        let method = method.get_or_init(|| Method::find("Image", name, hash));
        let mut answer = T::default();
        // SAFETY: the method takes nothing and returns a `T`, as those who call this know.
        unsafe {
            interface_fn!(object_method_bind_ptrcall)(
                method.as_ref()?.0,
                self.object,
                std::ptr::null(),
                (&raw mut answer).cast(),
            );
        }
        Some(answer)
    }
}

struct ClassTag(*mut c_void);

// SAFETY: it is only compared.
unsafe impl Send for ClassTag {}
// SAFETY: as above.
unsafe impl Sync for ClassTag {}
