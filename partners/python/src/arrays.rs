//! Arrays of Python as messages: bytes, numbers and pictures, from anything with a buffer.

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};
use shm_segment::layout::native::{Descriptor, Element, Kind, Meaning, PixelFormat};
use shm_segment::values::half;

use crate::error::{Failure, Result};

/// The type of a buffer's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    Bool,
    /// An integer of this number of bytes.
    Signed(usize),
    Unsigned(usize),
    Float(usize),
}

/// The use of an array that the program has asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Bytes, a picture or numbers, as its type and shape say.
    Any,
    Numbers,
    Vectors,
    Colors,
    Image(Option<PixelFormat>),
}

/// The place of a value in the one that is sent, for error texts. Most values need none.
pub(crate) type Path<'a> = &'a dyn Fn() -> String;

/// An object's buffer.
pub(crate) struct Array<'a, 'py> {
    object: Bound<'py, PyAny>,
    buffer: PyUntypedBuffer,
    number: Number,
    is_swapped: bool,
    path: Path<'a>,
}

/// The contents of an object's buffer.
pub(crate) enum Found<'a, 'py> {
    /// A number, as those of numpy, whose buffers have no dimensions.
    Scalar(Scalar),
    Array(Array<'a, 'py>),
}

/// The bytes of an array, in C order and little-endian.
pub(crate) enum Bytes {
    /// They are in the buffer itself.
    Own(PyUntypedBuffer),
    Copied(Vec<u8>),
}

impl Bytes {
    /// Returns the bytes.
    ///
    /// The interpreter must stay attached while they are used: other threads of Python could change them.
    pub(crate) fn get(&self, _: Python<'_>) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Own(buffer) if buffer.len_bytes() == 0 => &[],
            // SAFETY: a buffer in C order has this number of bytes, and keeps them in place while it lives.
            // The caller holds the interpreter, so no thread of Python changes them.
            Self::Own(buffer) => unsafe {
                std::slice::from_raw_parts(buffer.buf_ptr().cast::<u8>(), buffer.len_bytes())
            },
        }
    }
}

/// Returns whether an object has a buffer.
pub(crate) fn has_buffer(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the object is valid, and the interpreter is attached.
    unsafe { ffi::PyObject_CheckBuffer(object.as_ptr()) != 0 }
}

/// Returns the contents of the buffer of an object, which the value has at `path`.
pub(crate) fn find<'a, 'py>(object: &Bound<'py, PyAny>, path: Path<'a>) -> Result<Found<'a, 'py>> {
    match PyUntypedBuffer::get(object) {
        Ok(buffer) => Ok(Found::Array(Array::with(object, buffer, path)?)),
        // PyO3 refuses buffers without dimensions.
        Err(error) => match scalar(object, path)? {
            Some(scalar) => Ok(Found::Scalar(scalar)),
            None => Err(error.into()),
        },
    }
}

impl<'a, 'py> Array<'a, 'py> {
    /// Returns the buffer of an object, which the value has at `path`.
    pub(crate) fn of(object: &Bound<'py, PyAny>, path: Path<'a>) -> Result<Self> {
        Self::with(object, PyUntypedBuffer::get(object)?, path)
    }

    fn with(object: &Bound<'py, PyAny>, buffer: PyUntypedBuffer, path: Path<'a>) -> Result<Self> {
        let (number, is_swapped) = number_in(buffer.format().to_bytes(), buffer.item_size(), path)?;
        Ok(Self { object: object.clone(), buffer, number, is_swapped, path })
    }

    pub(crate) fn shape(&self) -> &[usize] {
        self.buffer.shape()
    }

    pub(crate) const fn path(&self) -> Path<'a> {
        self.path
    }

    pub(crate) const fn number(&self) -> Number {
        self.number
    }

    /// Copies the elements, in C order and little-endian.
    fn into_bytes(self) -> Result<Vec<u8>> {
        copied(&PyMemoryView::from(&self.object)?, self.buffer.item_size(), self.is_swapped)
    }

    /// Returns the bytes as they are, without a copy if they are in order.
    fn plain(self) -> Result<Bytes> {
        if self.buffer.is_c_contiguous() && !self.is_swapped {
            return Ok(Bytes::Own(self.buffer));
        }
        Ok(Bytes::Copied(self.into_bytes()?))
    }

    /// Returns the numbers as elements of a message, converted if there are no such ones.
    pub(crate) fn elements(self) -> Result<(Element, Bytes)> {
        let convert = |array: Self, element, from: fn(&[u8]) -> Option<[u8; 8]>| {
            let size = array.buffer.item_size();
            let bytes = array.into_bytes()?;
            let width = usize::try_from(Element::size(element)).unwrap_or(8);
            let mut converted = Vec::new();
            let length = (bytes.len() / size).saturating_mul(width);
            converted.try_reserve_exact(length).map_err(|_| Failure::out_of_memory(length as u64))?;
            for number in bytes.chunks_exact(size) {
                converted.extend_from_slice(&from(number).unwrap_or_default()[..width]);
            }
            Ok((element, Bytes::Copied(converted)))
        };
        match self.number {
            Number::Signed(4) => Ok((Element::I32, self.plain()?)),
            Number::Signed(8) => Ok((Element::I64, self.plain()?)),
            Number::Float(4) => Ok((Element::F32, self.plain()?)),
            Number::Float(8) => Ok((Element::F64, self.plain()?)),
            Number::Bool | Number::Unsigned(1) => {
                convert(self, Element::I32, |number| Some(wide(number.first().copied()?.into())))
            }
            Number::Signed(1) => convert(self, Element::I32, |number| {
                Some(wide(i8::from_le_bytes(*number.first_chunk()?).into()))
            }),
            Number::Signed(_) => convert(self, Element::I32, |number| {
                Some(wide(i16::from_le_bytes(*number.first_chunk()?).into()))
            }),
            Number::Unsigned(2) => convert(self, Element::I32, |number| {
                Some(wide(u16::from_le_bytes(*number.first_chunk()?).into()))
            }),
            Number::Unsigned(4) => convert(self, Element::I64, |number| {
                Some(wide(u32::from_le_bytes(*number.first_chunk()?).into()))
            }),
            Number::Float(_) => convert(self, Element::F32, |number| {
                let bits = u16::from_le_bytes(*number.first_chunk()?);
                let mut eight = [0; 8];
                #[allow(clippy::cast_possible_truncation, reason = "it has fewer bits")]
                let float = half::to_f64(bits) as f32;
                eight[..4].copy_from_slice(&float.to_le_bytes());
                Some(eight)
            }),
            Number::Unsigned(_) => Err(Failure::Python(PyTypeError::new_err(format!(
                "{} is an array of unsigned integers of 64 bits, which messages lack; convert it to int64",
                (self.path)()
            )))),
        }
    }

    /// Returns the message that the array is.
    pub(crate) fn into_message(self, purpose: Purpose) -> Result<(Descriptor, Bytes)> {
        let (shape, path) = (self.shape().to_vec(), self.path);
        let is_bytes = self.number == Number::Unsigned(1);
        if purpose == Purpose::Any && is_bytes && shape.len() == 1 {
            return Ok((Descriptor::of(Kind::Bytes), self.plain()?));
        }
        match (purpose, &*shape) {
            (Purpose::Any, [_, _, 1..=4]) if is_bytes => self.into_image(None),
            (Purpose::Image(format), _) => self.into_image(format),
            _ => {
                let meaning = match purpose {
                    Purpose::Vectors => Meaning::Vectors,
                    Purpose::Colors => Meaning::Colors,
                    Purpose::Any | Purpose::Numbers | Purpose::Image(_) => Meaning::Plain,
                };
                let (element, bytes) = self.elements()?;
                let descriptor = described(path, element, meaning, &shape)?;
                Ok((descriptor, bytes))
            }
        }
    }

    fn into_image(self, format: Option<PixelFormat>) -> Result<(Descriptor, Bytes)> {
        let (shape, path) = (self.shape().to_vec(), self.path);
        let refused = || {
            Failure::argument(
                &path(),
                format!("an array of the shape {shape:?}"),
                "a picture of uint8 of the shape (height, width, channels), with 1 to 4 channels",
            )
        };
        let (height, width, channels) = match *shape {
            [height, width] => (height, width, 1),
            [height, width, channels] => (height, width, channels),
            _ => return Err(refused()),
        };
        if self.number != Number::Unsigned(1) {
            return Err(refused());
        }
        let usual = match channels {
            1 => PixelFormat::L8,
            2 => PixelFormat::LA8,
            3 => PixelFormat::RGB8,
            4 => PixelFormat::RGBA8,
            _ => return Err(refused()),
        };
        let format = format.unwrap_or(usual);
        if format.pixel_size() != channels as u64 {
            return Err(refused());
        }
        let row = u32::try_from(width.saturating_mul(channels)).map_err(|_| refused())?;
        let (columns, rows) =
            (u32::try_from(width).map_err(|_| refused())?, u32::try_from(height).map_err(|_| refused())?);
        let descriptor = Descriptor { kind: Kind::Image, shape: [columns, rows, format.number(), row] };
        descriptor.check((height as u64).saturating_mul(row.into())).map_err(|_| refused())?;
        Ok((descriptor, self.plain()?))
    }
}

/// The value of a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

fn wide(number: i64) -> [u8; 8] {
    number.to_le_bytes()
}

/// Returns the type of a buffer's elements, and whether their bytes have the other order.
fn number_in(format: &[u8], size: usize, path: Path<'_>) -> Result<(Number, bool)> {
    let (order, code) = match format {
        [order @ (b'@' | b'=' | b'<' | b'>' | b'!'), code @ ..] => (*order, code),
        code => (b'@', code),
    };
    let number = match code {
        [b'?'] if size == 1 => Some(Number::Bool),
        [b'b' | b'h' | b'i' | b'l' | b'q' | b'n'] => Some(Number::Signed(size)),
        [b'B' | b'c' | b'H' | b'I' | b'L' | b'Q' | b'N'] => Some(Number::Unsigned(size)),
        [b'e' | b'f' | b'd'] => Some(Number::Float(size)),
        _ => None,
    };
    let refused = || {
        let format = String::from_utf8_lossy(format);
        Failure::Python(PyTypeError::new_err(format!(
            "{} has elements of the format {format:?}; convert them to integers or floats",
            path()
        )))
    };
    let number = number.filter(|_| matches!(size, 1 | 2 | 4 | 8)).ok_or_else(refused)?;
    let is_big = matches!(order, b'>' | b'!') || (cfg!(target_endian = "big") && order != b'<');
    Ok((number, is_big && size > 1))
}

fn copied(view: &Bound<'_, PyMemoryView>, size: usize, is_swapped: bool) -> Result<Vec<u8>> {
    let found = view.call_method0("tobytes")?.cast_into::<PyBytes>().map_err(PyErr::from)?;
    let found = found.as_bytes();
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(found.len()).map_err(|_| Failure::out_of_memory(found.len() as u64))?;
    bytes.extend_from_slice(found);
    if is_swapped {
        bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
    Ok(bytes)
}

/// Returns the number that an object is, if its buffer has no dimensions, as those of numpy's numbers.
fn scalar(object: &Bound<'_, PyAny>, path: Path<'_>) -> Result<Option<Scalar>> {
    let view = PyMemoryView::from(object)?;
    if view.getattr("ndim")?.extract::<usize>()? != 0 {
        return Ok(None);
    }
    let format: String = view.getattr("format")?.extract()?;
    let size = view.getattr("itemsize")?.extract()?;
    let (number, is_swapped) = number_in(format.as_bytes(), size, path)?;
    let bytes = copied(&view, size, is_swapped)?;
    let mut eight = [0; 8];
    let length = bytes.len().min(8);
    eight[..length].copy_from_slice(&bytes[..length]);
    let bits = u64::from_le_bytes(eight);
    let low = |bits: u64| u32::try_from(bits & 0xFFFF_FFFF).unwrap_or(0);
    Ok(Some(match number {
        Number::Bool => Scalar::Bool(bits != 0),
        Number::Unsigned(_) => Scalar::Unsigned(bits),
        // Shifted up and down again, so that the sign spreads.
        Number::Signed(_) => {
            let shift = 64 - 8 * length.clamp(1, 8);
            Scalar::Signed((bits << shift).cast_signed() >> shift)
        }
        Number::Float(2) => Scalar::Float(half::to_f64(u16::try_from(bits).unwrap_or(0))),
        Number::Float(4) => Scalar::Float(f32::from_bits(low(bits)).into()),
        Number::Float(_) => Scalar::Float(f64::from_bits(bits)),
    }))
}

/// Returns the descriptor of an array of elements, which the value has at `path`.
pub(crate) fn described(
    path: Path<'_>,
    element: Element,
    meaning: Meaning,
    shape: &[usize],
) -> Result<Descriptor> {
    let limit = match meaning {
        Meaning::Plain => "an array of 1 to 4 dimensions, each below 2 ** 32",
        Meaning::Vectors => "an array of floats of the shape (count, 2), (count, 3) or (count, 4)",
        Meaning::Colors => "an array of floats of the shape (count, 4)",
    };
    let refused = || Failure::argument(&path(), format!("an array of the shape {shape:?}"), limit);
    let mut numbers = [0; 4];
    if shape.is_empty() || shape.len() > numbers.len() {
        return Err(Failure::Python(PyTypeError::new_err(format!(
            "{} is an array of {} dimensions, and a message has 1 to 4",
            path(),
            shape.len()
        ))));
    }
    for (number, dimension) in numbers.iter_mut().zip(shape) {
        *number = u32::try_from(*dimension).map_err(|_| refused())?;
    }
    let dimensions = u8::try_from(shape.len()).unwrap_or(0);
    let descriptor = Descriptor { kind: Kind::Array { element, meaning, dimensions }, shape: numbers };
    let count = shape.iter().fold(1_u64, |count, dimension| count.saturating_mul(*dimension as u64));
    descriptor.check(count.saturating_mul(element.size())).map_err(|_| refused())?;
    Ok(descriptor)
}

/// Returns the bytes of any object with a buffer, in C order.
pub(crate) fn raw_bytes(object: &Bound<'_, PyAny>) -> Result<Bytes> {
    let buffer = PyUntypedBuffer::get(object)?;
    if buffer.is_c_contiguous() {
        return Ok(Bytes::Own(buffer));
    }
    Ok(Bytes::Copied(copied(&PyMemoryView::from(object)?, 1, false)?))
}

/// Calls `work` with the bytes of an object's buffer, which `work` may change. The interpreter stays
/// attached.
pub(crate) fn with_writable<T>(
    _: Python<'_>,
    object: &Bound<'_, PyAny>,
    work: impl FnOnce(&mut [u8]) -> Result<T>,
) -> Result<T> {
    let buffer = PyUntypedBuffer::get(object)?;
    if buffer.readonly() || !buffer.is_c_contiguous() {
        let why = "the buffer must be writable and in C order";
        return Err(Failure::Python(PyTypeError::new_err(why)));
    }
    if buffer.len_bytes() == 0 {
        return work(&mut []);
    }
    // SAFETY: a buffer in C order has this number of bytes, and keeps them in place while it lives. It is
    // writable. The interpreter is attached, so no thread of Python uses them.
    work(unsafe { std::slice::from_raw_parts_mut(buffer.buf_ptr().cast::<u8>(), buffer.len_bytes()) })
}
