//! Messages of a stream that Python reads, or draws, in the memory itself.

use std::ffi::c_int;
use std::sync::Mutex;

use pyo3::exceptions::{PyBufferError, PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyMemoryView, PyTuple};
use shm_segment::layout::Error as LayoutError;
use shm_segment::layout::native::{
    Descriptor, Draft as NativeDraft, Element, Frame as NativeFrame, Kind, Meaning, PixelFormat,
    Stream as Native,
};

use crate::arrays::described;
use crate::attached::Target;
use crate::error::{Failure, Result};
use crate::exports::{self, Layout};
use crate::forks::{Kept, lock};
use crate::memory::{prepare_view, region_of};
use crate::received::{Received, layout_of};
use crate::stream::Stream;

/// A part of a segment, which Python views.
#[pyclass(frozen, module = "godot_shared_memory._native")]
struct Window {
    target: Kept<Target<Native>>,
    offset: u64,
    length: u64,
    layout: Layout,
    is_writable: bool,
}

#[pymethods]
impl Window {
    /// # Safety
    /// Python passes a valid view.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let this = slf.get();
        let segment = this.target.segment();
        if segment.is_inherited() {
            return Err(PyBufferError::new_err("a parent of this process has opened the memory"));
        }
        let mut region = region_of(segment, this.offset, this.length);
        region.is_writable &= this.is_writable;
        // SAFETY: the region is mapped for as long as the target is kept, which the view does. It lies in
        // the segment: the layout was checked against its size.
        unsafe {
            exports::fill(slf.as_any(), view, flags, &region, &this.layout, Box::new(this.target.clone()))
        }
    }

    /// # Safety
    /// Python passes a view that `__getbuffer__` has filled.
    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: see above.
        unsafe { exports::release(view) };
    }
}

impl Window {
    /// Returns an array of numpy over the window. Without numpy, and for bytes, returns a memoryview.
    fn view<'py>(self, py: Python<'py>, is_array: bool) -> PyResult<Bound<'py, PyAny>> {
        prepare_view(self.target.segment())?;
        let window = Bound::new(py, self)?;
        if is_array {
            exports::view_of(window.as_any())
        } else {
            Ok(PyMemoryView::from(window.as_any())?.into_any())
        }
    }
}

/// A message of a stream in the memory, for a `with` block. See `Stream.frame`.
#[pyclass(frozen, module = "godot_shared_memory")]
pub(crate) struct Frame {
    stream: Py<Stream>,
    state: Mutex<Option<(Kept<Target<Native>>, NativeFrame)>>,
}

impl Frame {
    pub(crate) const fn new(stream: Py<Stream>) -> Self {
        Self { stream, state: Mutex::new(None) }
    }

    fn end(&self) -> Result<()> {
        match lock(&self.state).take() {
            Some((target, frame)) if !target.segment().is_inherited() => {
                Ok(target.layout.end_frame(target.segment(), &frame)?)
            }
            _ => Ok(()),
        }
    }
}

#[pymethods]
impl Frame {
    fn __enter__<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyAny>>> {
        if lock(&self.state).is_some() {
            return Err(PyRuntimeError::new_err("the frame is in use already").into());
        }
        let target = self.stream.get().target()?;
        let frame = match py.detach(|| target.layout.frame(target.segment())) {
            Ok(frame) => frame,
            Err(LayoutError::Empty) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(frame) = frame else { return self.copied(py) };
        let (offset, length) = (frame.offset, frame.length);
        let (layout, is_array) = view_layout(frame.descriptor, length);
        // Rows with something between them are no array in C order.
        let fits =
            !is_array || layout.shape.iter().product::<usize>() as u64 * layout.item_size as u64 == length;
        *lock(&self.state) = Some((target.clone(), frame));
        if !fits {
            self.end()?;
            return self.copied(py);
        }
        let window = Window { target, offset, length, layout, is_writable: false };
        match window.view(py, is_array) {
            Ok(view) => Ok(Some(view)),
            Err(error) => {
                self.end()?;
                Err(error.into())
            }
        }
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyTuple>) -> Result<()> {
        self.end()
    }
}

impl Frame {
    /// Returns a copy of the message, for a reader that can't pin it.
    fn copied<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyAny>>> {
        let target = self.stream.get().target()?;
        let read = py.detach(|| target.layout.read(target.segment(), Received::copy));
        match read {
            Ok(received) => Ok(Some(received.into_array(py)?)),
            Err(LayoutError::Empty) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Returns the array in which Python sees a message, and whether it is one of numbers.
pub(crate) fn view_layout(descriptor: Descriptor, length: u64) -> (Layout, bool) {
    match layout_of(descriptor) {
        Ok(layout) => (layout, true),
        Err(_) => (Layout::bytes(usize::try_from(length).unwrap_or(0)), false),
    }
}

/// The next message of a stream, drawn in the memory in a `with` block. See `Stream.begin`.
#[pyclass(frozen, module = "godot_shared_memory")]
pub(crate) struct Draft {
    stream: Py<Stream>,
    descriptor: Descriptor,
    length: u64,
    state: Mutex<Option<Open>>,
}

struct Open {
    target: Kept<Target<Native>>,
    draft: NativeDraft,
    view: Py<PyAny>,
}

impl Draft {
    pub(crate) fn new(
        stream: &Bound<'_, Stream>,
        shape: &Bound<'_, PyAny>,
        dtype: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self> {
        let shape: Vec<usize> = match shape.extract::<usize>() {
            Ok(length) => vec![length],
            Err(_) => shape.extract()?,
        };
        let (descriptor, length) = drawn(&shape, dtype)?;
        Ok(Self { stream: stream.clone().unbind(), descriptor, length, state: Mutex::new(None) })
    }
}

/// Returns the message of an array with this shape and type of elements, and its bytes.
fn drawn(shape: &[usize], dtype: Option<&Bound<'_, PyAny>>) -> Result<(Descriptor, u64)> {
    let refused = |limit: &str| Failure::argument("shape", format!("{shape:?}"), limit);
    let count = shape.iter().fold(1_u64, |count, dimension| count.saturating_mul(*dimension as u64));
    let element = match name_of(dtype)?.as_str() {
        "uint8" => {
            return match *shape {
                [length] => Ok((Descriptor::of(Kind::Bytes), length as u64)),
                [height, width, channels @ 1..=4] => {
                    let formats = [PixelFormat::L8, PixelFormat::LA8, PixelFormat::RGB8, PixelFormat::RGBA8];
                    let number = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
                    let format = formats.get(channels - 1).copied().unwrap_or(PixelFormat::RGBA8);
                    let row = number(width.saturating_mul(channels));
                    let shape = [number(width), number(height), format.number(), row];
                    let descriptor = Descriptor { kind: Kind::Image, shape };
                    let limit = "that of a picture, of at most 2 ** 28 pixels";
                    descriptor.check(count).map_err(|_| refused(limit))?;
                    Ok((descriptor, count))
                }
                _ => Err(refused("(length,) or (height, width, 1 to 4) for uint8")),
            };
        }
        "int32" => Element::I32,
        "int64" => Element::I64,
        "float32" => Element::F32,
        "float64" => Element::F64,
        other => {
            let told = format!("dtype must be uint8, int32, int64, float32 or float64, not {other:?}");
            return Err(PyTypeError::new_err(told).into());
        }
    };
    let descriptor = described(&|| "shape".to_owned(), element, Meaning::Plain, shape)?;
    Ok((descriptor, count.saturating_mul(element.size())))
}

/// Returns the name of a type of elements: a text, or a type or dtype of numpy.
fn name_of(dtype: Option<&Bound<'_, PyAny>>) -> Result<String> {
    let Some(dtype) = dtype else { return Ok("uint8".to_owned()) };
    if let Ok(name) = dtype.extract::<String>() {
        return Ok(name);
    }
    let name = dtype.getattr("name").or_else(|_| dtype.getattr("__name__"))?;
    Ok(name.extract()?)
}

#[pymethods]
impl Draft {
    fn __enter__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        if lock(&self.state).is_some() {
            return Err(PyRuntimeError::new_err("the draft is in use already").into());
        }
        let target = self.stream.get().target()?;
        let draft = py.detach(|| target.layout.begin(target.segment(), self.length));
        let draft = draft.map_err(crate::outgoing::failure)?;
        let (layout, is_array) = view_layout(self.descriptor, self.length);
        let (offset, length) = (draft.offset, draft.length);
        let window = Window { target: target.clone(), offset, length, layout, is_writable: true };
        match window.view(py, is_array) {
            Ok(view) => {
                *lock(&self.state) = Some(Open { target, draft, view: view.clone().unbind() });
                Ok(view)
            }
            Err(error) => {
                target.layout.discard(target.segment(), &draft);
                Err(error.into())
            }
        }
    }

    #[pyo3(signature = (exception_type = None, *_exception))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exception_type: Option<&Bound<'_, PyAny>>,
        _exception: &Bound<'_, PyTuple>,
    ) -> Result<()> {
        let Some(Open { target, draft, view }) = lock(&self.state).take() else { return Ok(()) };
        if target.segment().is_inherited() {
            return Err(Failure::closed());
        }
        // The message is for readers now. An array of numpy refuses further stores.
        let view = view.bind(py);
        let _ = match view.getattr("flags") {
            Ok(flags) => flags.setattr("writeable", false),
            Err(_) => view.call_method0("release").map(drop),
        };
        if exception_type.is_some_and(|exception| !exception.is_none()) {
            target.layout.discard(target.segment(), &draft);
            return Ok(());
        }
        Ok(target.layout.publish(target.segment(), &draft, self.descriptor)?)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(Open { target, draft, .. }) = lock(&self.state).take()
            && !target.segment().is_inherited()
        {
            target.layout.discard(target.segment(), &draft);
        }
    }
}
