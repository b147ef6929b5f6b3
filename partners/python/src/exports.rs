//! Memory that Python sees through the buffer protocol, and numpy without a copy.

use std::any::Any;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyMemoryView;

use crate::error::{Failure, Result};

/// The type and the dimensions of an array in memory, in C order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The format of an element, as in Python's module `struct`.
    pub(crate) format: &'static CStr,
    /// The bytes of an element.
    pub(crate) item_size: usize,
    /// The dimensions, the outermost first.
    pub(crate) shape: Vec<usize>,
}

impl Layout {
    pub(crate) fn bytes(length: usize) -> Self {
        Self { format: c"B", item_size: 1, shape: vec![length] }
    }

    fn size(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        self.shape.iter().try_fold(self.item_size, |size, dimension| size.checked_mul(*dimension))
    }
}

/// Memory to be exported.
pub(crate) struct Region {
    pub(crate) address: *mut u8,
    pub(crate) length: usize,
    pub(crate) is_writable: bool,
}

/// The parts of a view that must live as long as the view.
struct Export {
    shape: Vec<isize>,
    strides: Vec<isize>,
    _keep: Box<dyn Any + Send>,
}

/// Fills a view with a region, which stays valid for as long as `keep` lives.
///
/// # Errors
/// `BufferError` if the consumer asks for more than there is.
///
/// # Safety
/// `view` is the pointer that Python has passed to `__getbuffer__` of `owner`. The region is valid memory.
pub(crate) unsafe fn fill(
    owner: &Bound<'_, PyAny>,
    view: *mut ffi::Py_buffer,
    flags: c_int,
    region: &Region,
    layout: &Layout,
    keep: Box<dyn Any + Send>,
) -> PyResult<()> {
    if view.is_null() {
        return Err(PyBufferError::new_err("there is no view to fill"));
    }
    // SAFETY: the pointer is that of Python's own view.
    unsafe { (*view).obj = ptr::null_mut() };
    if flags & ffi::PyBUF_WRITABLE != 0 && !region.is_writable {
        return Err(PyBufferError::new_err("the memory is read-only"));
    }
    let is_fortran = flags & ffi::PyBUF_F_CONTIGUOUS == ffi::PyBUF_F_CONTIGUOUS;
    if is_fortran && layout.shape.len() > 1 && flags & ffi::PyBUF_ANY_CONTIGUOUS != ffi::PyBUF_ANY_CONTIGUOUS
    {
        return Err(PyBufferError::new_err("the memory is in C order"));
    }
    if layout.size() != Some(region.length) {
        return Err(PyBufferError::new_err("the shape does not fit the memory"));
    }
    let signed = |number: usize| isize::try_from(number).unwrap_or(isize::MAX);
    let shape: Vec<isize> = layout.shape.iter().copied().map(signed).collect();
    let mut strides = vec![0; shape.len()];
    let mut step = signed(layout.item_size);
    for (stride, dimension) in strides.iter_mut().zip(&shape).rev() {
        *stride = step;
        step = step.saturating_mul((*dimension).max(1));
    }
    let export = Box::into_raw(Box::new(Export { shape, strides, _keep: keep }));
    let wants = |flag: c_int| flags & flag == flag;
    // SAFETY: `view` is valid for writes. `export` was just made, and lives until `release`. The format is
    // never changed by consumers (`Py_buffer`), and lives forever.
    unsafe {
        (*view).buf = region.address.cast::<c_void>();
        (*view).len = signed(region.length);
        (*view).readonly = c_int::from(!region.is_writable);
        (*view).itemsize = signed(layout.item_size);
        (*view).format = if wants(ffi::PyBUF_FORMAT) {
            layout.format.as_ptr().cast::<c_char>().cast_mut()
        } else {
            ptr::null_mut()
        };
        (*view).ndim = c_int::try_from(layout.shape.len()).unwrap_or(1);
        (*view).shape = if wants(ffi::PyBUF_ND) { (*export).shape.as_mut_ptr() } else { ptr::null_mut() };
        (*view).strides =
            if wants(ffi::PyBUF_STRIDES) { (*export).strides.as_mut_ptr() } else { ptr::null_mut() };
        (*view).suboffsets = ptr::null_mut();
        (*view).internal = export.cast::<c_void>();
        (*view).obj = owner.clone().into_ptr();
    }
    Ok(())
}

/// Ends a view.
///
/// # Safety
/// `view` is the pointer that Python has passed to `__releasebuffer__`, and [`fill`] has filled it.
pub(crate) unsafe fn release(view: *mut ffi::Py_buffer) {
    // SAFETY: `fill` has stored the pointer of a `Box`, and Python calls this once for each view.
    unsafe {
        let export = (*view).internal.cast::<Export>();
        (*view).internal = ptr::null_mut();
        if !export.is_null() {
            drop(Box::from_raw(export));
        }
    }
}

/// The bytes of an array that was received, which Python may change.
#[pyclass(frozen, module = "godot_shared_memory._native")]
pub(crate) struct Content {
    start: *mut u8,
    length: usize,
    layout: Layout,
}

// SAFETY: the memory belongs to the value. Only Python reads and writes it, by its own rules.
unsafe impl Send for Content {}
// SAFETY: as above; no method of this crate touches the bytes.
unsafe impl Sync for Content {}

impl Content {
    fn new(bytes: Vec<u8>, layout: Layout) -> Self {
        let bytes = bytes.into_boxed_slice();
        let length = bytes.len();
        Self { start: Box::into_raw(bytes).cast::<u8>(), length, layout }
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        // SAFETY: the pointer and the length are those of a boxed slice, and no view is left: each has a
        // reference to this value.
        drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(self.start, self.length)) });
    }
}

#[pymethods]
impl Content {
    /// # Safety
    /// Python passes a valid view.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let this = slf.get();
        let region = Region { address: this.start, length: this.length, is_writable: true };
        let layout = this.layout.clone();
        // SAFETY: the view has a reference to this value, which has the memory.
        unsafe { fill(slf.as_any(), view, flags, &region, &layout, Box::new(())) }
    }

    /// # Safety
    /// Python passes a view that `__getbuffer__` has filled.
    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: see above.
        unsafe { release(view) };
    }
}

/// Returns numpy's `asarray`, if numpy is there.
fn numpy(py: Python<'_>) -> Option<&Py<PyAny>> {
    static FOUND: PyOnceLock<Option<Py<PyAny>>> = PyOnceLock::new();
    let found = FOUND.get_or_init(py, || Some(py.import("numpy").ok()?.getattr("asarray").ok()?.unbind()));
    found.as_ref()
}

/// Returns a numpy array over an object's buffer, without a copy. Without numpy, returns a memoryview.
pub(crate) fn view_of<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let view = PyMemoryView::from(object)?.into_any();
    match numpy(object.py()) {
        Some(asarray) => asarray.bind(object.py()).call1((view,)),
        None => Ok(view),
    }
}

/// Returns an array with these bytes.
pub(crate) fn array<'py>(py: Python<'py>, bytes: Vec<u8>, layout: Layout) -> Result<Bound<'py, PyAny>> {
    if layout.size() != Some(bytes.len()) {
        return Err(Failure::data("the shape of an array does not fit its length"));
    }
    let content = Bound::new(py, Content::new(bytes, layout))?;
    match numpy(py) {
        // Numpy makes the view itself. It would ignore an error of that, but there is none here.
        Some(asarray) => Ok(asarray.bind(py).call1((content,))?),
        None => Ok(PyMemoryView::from(content.as_any())?.into_any()),
    }
}
