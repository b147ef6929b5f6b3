//! Messages on their way to the program. They are copied without the interpreter, and decoded with it.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use shm_segment::layout::native::{Descriptor, Element, Incoming, Kind, PixelFormat};
use shm_segment::layout::{self, Error as LayoutError};

use crate::decode::decode;
use crate::error::{Failure, Result};
use crate::exports::{self, Layout};

/// A message that was copied out of the memory.
#[derive(Debug)]
pub(crate) struct Received {
    descriptor: Descriptor,
    content: Vec<u8>,
}

impl Received {
    /// Copies a message.
    pub(crate) fn copy(message: &Incoming<'_>) -> layout::Result<Self> {
        let descriptor = message.descriptor();
        let content = match padding(descriptor) {
            Some((row, size)) => {
                let mut pixels = Vec::new();
                let bytes = size as u64;
                pixels.try_reserve_exact(size).map_err(|_| LayoutError::OutOfMemory { size: bytes })?;
                pixels.resize(size, 0);
                message.read_rows(row, &mut pixels)?;
                pixels
            }
            None => message.to_vec()?,
        };
        Ok(Self { descriptor, content })
    }

    /// Makes the program's value, which may take `max_memory` bytes if it is one in the engine's form.
    pub(crate) fn into_value<'py>(
        mut self,
        py: Python<'py>,
        max_memory: Option<u64>,
    ) -> Result<Bound<'py, PyAny>> {
        match self.descriptor.kind {
            Kind::Bytes => Ok(PyBytes::new(py, &self.content).into_any()),
            Kind::Text => Ok(PyString::new(py, &String::from_utf8_lossy(&self.content)).into_any()),
            Kind::Value => decode(py, &self.content, max_memory),
            Kind::Array { .. } => exports::array(py, self.content, layout_of(self.descriptor)?),
            Kind::Image => {
                swap_channels(self.descriptor, &mut self.content);
                exports::array(py, self.content, layout_of(self.descriptor)?)
            }
        }
    }
}

impl Received {
    /// Makes an array over the content as it was sent. Of a message that is no array, makes a memoryview.
    pub(crate) fn into_array(self, py: Python<'_>) -> Result<Bound<'_, PyAny>> {
        let (layout, is_array) = crate::views::view_layout(self.descriptor, self.content.len() as u64);
        if is_array {
            return exports::array(py, self.content, layout);
        }
        let bytes = PyBytes::new(py, &self.content);
        Ok(pyo3::types::PyMemoryView::from(bytes.as_any())?.into_any())
    }
}

/// Returns the bytes of a row and of all rows of an image, if there is something between the rows.
fn padding(descriptor: Descriptor) -> Option<(usize, usize)> {
    let [width, height, number, stride] = descriptor.shape;
    let format = PixelFormat::new(number).filter(|_| descriptor.kind == Kind::Image)?;
    let row = u64::from(width).checked_mul(format.pixel_size())?;
    let size = usize::try_from(row.checked_mul(height.into())?).ok()?;
    (row != u64::from(stride)).then_some((usize::try_from(row).ok()?, size))
}

/// Makes RGB of BGR, as each reader does.
fn swap_channels(descriptor: Descriptor, pixels: &mut [u8]) {
    let size = match PixelFormat::new(descriptor.shape[2]) {
        Some(PixelFormat::BGR8) => 3,
        Some(PixelFormat::BGRA8) => 4,
        _ => return,
    };
    for pixel in pixels.chunks_exact_mut(size) {
        pixel.swap(0, 2);
    }
}

/// Returns the array in which Python sees a message. The rows of an image follow each other.
pub(crate) fn layout_of(descriptor: Descriptor) -> Result<Layout> {
    let number = |dimension: &u32| usize::try_from(*dimension).unwrap_or(usize::MAX);
    match descriptor.kind {
        Kind::Array { element, dimensions, .. } => {
            let (format, item_size) = match element {
                Element::I32 => (c"i", 4),
                Element::I64 => (c"q", 8),
                Element::F32 => (c"f", 4),
                Element::F64 => (c"d", 8),
            };
            let shape = descriptor.shape.iter().take(dimensions.into()).map(number).collect();
            Ok(Layout { format, item_size, shape })
        }
        Kind::Image => {
            let [width, height, format, _] = descriptor.shape;
            let (format, item_size, channels) = match format {
                // RGBA4444, RGB565; RGBE9995.
                6 | 7 => (c"H", 2, 0),
                16 => (c"I", 4, 0),
                // RF to RGBAF; RH to RGBAH.
                8..=11 => (c"f", 4, format as usize - 7),
                12..=15 => (c"e", 2, format as usize - 11),
                _ => {
                    let size = PixelFormat::new(format).map_or(1, PixelFormat::pixel_size);
                    (c"B", 1, usize::try_from(size).unwrap_or(1))
                }
            };
            let mut shape = vec![number(&height), number(&width)];
            shape.extend(Some(channels).filter(|channels| *channels > 0));
            Ok(Layout { format, item_size, shape })
        }
        Kind::Bytes | Kind::Text | Kind::Value => Err(Failure::data("the message is not an array")),
    }
}
