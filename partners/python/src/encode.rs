//! Values of Python in the engine's binary form.

use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use shm_segment::layout::native::Element;
use shm_segment::values::variant::{MAX_DEPTH, MAX_KEY_DEPTH, Type, WriteError, Writer};

use crate::arrays::{self, Array, Bytes, Found, Number, Purpose, Scalar};
use crate::error::{Cause, Failure, Result};
use crate::math;
use crate::wrapped::{self, Text};

/// Encodes a value as a message of at most `limit` bytes.
pub(crate) fn encode(value: &Bound<'_, PyAny>, limit: u64) -> Result<Vec<u8>> {
    let mut encoder =
        Encoder { writer: Writer::new(limit), path: Vec::new(), open: Vec::new(), key_depth: 0 };
    encoder.value(value)?;
    Ok(encoder.writer.finish())
}

/// A step from a container to a value in it.
enum Step<'py> {
    Index(usize),
    Key(Bound<'py, PyAny>),
    KeyItself(usize),
}

struct Encoder<'py> {
    writer: Writer,
    path: Vec<Step<'py>>,
    /// The containers around the value.
    open: Vec<*mut ffi::PyObject>,
    /// The containers around the value that are in a dictionary's key.
    key_depth: usize,
}

/// An array of the engine.
struct Packed {
    kind: Type,
    is_wide: bool,
    count: usize,
    bytes: Bytes,
}

impl Packed {
    /// Returns the array of the engine that a buffer is in a container.
    fn of(array: Array<'_, '_>, purpose: Purpose) -> Result<Self> {
        let path = array.path();
        let shape = array.shape().to_vec();
        let is_bytes = array.number() == Number::Unsigned(1);
        let refused =
            |limit: &str| Err(Failure::argument(&path(), format!("an array of the shape {shape:?}"), limit));
        let (kind, is_wide, count, bytes) = match (purpose, &*shape) {
            (Purpose::Image(_), _) => {
                return Err(Failure::new(
                    Cause::Argument,
                    format!("{} is a picture inside a container", path()),
                ));
            }
            (Purpose::Any, [count]) if is_bytes => {
                (Type::BYTES, false, *count, array.into_message(Purpose::Any)?.1)
            }
            (Purpose::Any | Purpose::Numbers, [count]) => {
                let (element, bytes) = array.elements()?;
                let kind = match element {
                    Element::I32 => Type::INT32_ARRAY,
                    Element::I64 => Type::INT64_ARRAY,
                    Element::F32 => Type::FLOAT32_ARRAY,
                    Element::F64 => Type::FLOAT64_ARRAY,
                };
                (kind, false, *count, bytes)
            }
            (Purpose::Vectors, [count, width @ 2..=4]) => {
                let kind = match width {
                    2 => Type::VECTOR2_ARRAY,
                    3 => Type::VECTOR3_ARRAY,
                    _ => Type::VECTOR4_ARRAY,
                };
                match array.elements()? {
                    (Element::F32, bytes) => (kind, false, *count, bytes),
                    (Element::F64, bytes) => (kind, true, *count, bytes),
                    _ => return refused("an array of floats"),
                }
            }
            (Purpose::Colors, [count, 4]) => match array.elements()? {
                (Element::F32, bytes) => (Type::COLOR_ARRAY, false, *count, bytes),
                _ => return refused("an array of floats of 32 bits"),
            },
            (Purpose::Vectors | Purpose::Colors, _) => {
                return refused("of the shape (count, 2), (count, 3) or (count, 4)");
            }
            _ => return refused("of one dimension inside a container; vectors() or ravel() gives one"),
        };
        Ok(Self { kind, is_wide, count, bytes })
    }
}

/// The containers around a value that an error text shows.
const STEPS_SHOWN: usize = 8;

impl<'py> Encoder<'py> {
    /// Returns the expression for the value, such as `value['a'][3]`.
    fn path(&self) -> String {
        let mut path = "value".to_owned();
        for step in self.path.iter().take(STEPS_SHOWN) {
            path.push_str(&match step {
                Step::Index(index) => format!("[{index}]"),
                Step::Key(key) => {
                    let key = key.repr().map_or_else(|_| "…".to_owned(), |text| text.to_string());
                    format!("[{}]", key.chars().take(40).collect::<String>())
                }
                Step::KeyItself(index) => format!(".keys()[{index}]"),
            });
        }
        if self.path.len() > STEPS_SHOWN {
            path.push('…');
        }
        path
    }

    fn wrote(&self, written: std::result::Result<(), WriteError>) -> Result<()> {
        written.map_err(|error| {
            let cause = match error {
                WriteError::OutOfMemory { .. } => Cause::OutOfMemory,
                _ => Cause::Argument,
            };
            Failure::new(cause, format!("{}: {error}", self.path()))
        })
    }

    fn value(&mut self, value: &Bound<'py, PyAny>) -> Result<()> {
        if value.is_none() {
            let written = self.writer.null();
            return self.wrote(written);
        }
        if let Ok(truth) = value.cast::<PyBool>() {
            let written = self.writer.bool(truth.is_true());
            return self.wrote(written);
        }
        if let Ok(integer) = value.cast::<PyInt>() {
            return self.integer(integer.as_any());
        }
        if let Ok(float) = value.cast::<PyFloat>() {
            let written = self.writer.float(float.value());
            return self.wrote(written);
        }
        if let Ok(text) = value.cast::<PyString>() {
            return self.text(text);
        }
        if let Ok(bytes) = value.cast::<PyBytes>() {
            let bytes = bytes.as_bytes();
            let written = self.writer.packed(Type::BYTES, false, bytes.len(), bytes);
            return self.wrote(written);
        }
        if let Ok(list) = value.cast::<PyList>() {
            // A copy: another thread may change the list.
            return self.array(value, &list.to_tuple());
        }
        if let Ok(tuple) = value.cast::<PyTuple>() {
            return match math::numbers(tuple, &|| self.path())? {
                Some((of, numbers)) => {
                    let written = self.writer.numbers(of, &numbers);
                    self.wrote(written)
                }
                None => self.array(value, tuple),
            };
        }
        if let Ok(dict) = value.cast::<PyDict>() {
            return self.dictionary(dict);
        }
        self.other(value)
    }

    fn other(&mut self, value: &Bound<'py, PyAny>) -> Result<()> {
        if arrays::has_buffer(value) {
            let path = || self.path();
            let scalar = match arrays::find(value, &path)? {
                Found::Array(array) => {
                    let packed = Packed::of(array, Purpose::Any)?;
                    return self.packed(value.py(), &packed);
                }
                Found::Scalar(scalar) => scalar,
            };
            let written = match scalar {
                Scalar::Bool(truth) => self.writer.bool(truth),
                Scalar::Float(float) => self.writer.float(float),
                Scalar::Signed(integer) => self.writer.int(integer),
                Scalar::Unsigned(integer) => {
                    let integer = i64::try_from(integer).map_err(|_| self.overflow())?;
                    self.writer.int(integer)
                }
            };
            return self.wrote(written);
        }
        if let Some((data, purpose)) = wrapped::unwrap(value)? {
            let packed = Packed::of(Array::of(&data, &|| self.path())?, purpose)?;
            return self.packed(value.py(), &packed);
        }
        // SAFETY: the object is valid, and the interpreter is attached.
        if unsafe { ffi::PyIndex_Check(value.as_ptr()) } != 0 {
            // SAFETY: as above; the result is a new reference, or null with an exception.
            let integer =
                unsafe { Bound::from_owned_ptr_or_err(value.py(), ffi::PyNumber_Index(value.as_ptr())) }?;
            return self.integer(&integer);
        }
        let class = value.get_type().name().map_or_else(|_| "unknown".to_owned(), |name| name.to_string());
        Err(Failure::Python(PyTypeError::new_err(format!(
            "{} is of the type {class}, which means nothing in another program",
            self.path()
        ))))
    }

    fn overflow(&self) -> Failure {
        let path = self.path();
        Failure::Python(PyOverflowError::new_err(format!("{path} is an integer of more than 64 bits")))
    }

    fn integer(&mut self, integer: &Bound<'py, PyAny>) -> Result<()> {
        let number: i64 = integer.extract().map_err(|_| self.overflow())?;
        let written = self.writer.int(number);
        self.wrote(written)
    }

    fn text(&mut self, text: &Bound<'py, PyString>) -> Result<()> {
        let kind = wrapped::text_kind(text)?;
        let text = text.to_str().map_err(|error| {
            Failure::new(Cause::Argument, format!("{} is not valid Unicode: {error}", self.path()))
        })?;
        let written = match kind {
            Text::Plain => self.writer.string(text),
            Text::StringName => self.writer.string_name(text),
            Text::NodePath => self.writer.node_path(text),
        };
        self.wrote(written)
    }

    fn packed(&mut self, py: Python<'py>, packed: &Packed) -> Result<()> {
        let written = self.writer.packed(packed.kind, packed.is_wide, packed.count, packed.bytes.get(py));
        self.wrote(written)
    }

    /// Calls `work` inside a container.
    fn inside(
        &mut self,
        container: &Bound<'py, PyAny>,
        work: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let refused =
            |this: &Self, why: &str| Err(Failure::new(Cause::Argument, format!("{} {why}", this.path())));
        if self.open.contains(&container.as_ptr()) {
            return refused(self, "contains itself");
        }
        if self.open.len() >= MAX_DEPTH {
            return refused(
                self,
                &format!("is in {MAX_DEPTH} containers inside each other, the most there are"),
            );
        }
        if self.key_depth > MAX_KEY_DEPTH {
            return refused(self, &format!("is in a key of more than {MAX_KEY_DEPTH} containers"));
        }
        self.open.push(container.as_ptr());
        let result = work(self);
        self.open.pop();
        result
    }

    fn array(&mut self, container: &Bound<'py, PyAny>, values: &Bound<'py, PyTuple>) -> Result<()> {
        self.inside(container, |this| {
            let written = this.writer.array(values.len());
            this.wrote(written)?;
            if this.key_depth > 0 {
                this.key_depth += 1;
            }
            for (index, value) in values.iter().enumerate() {
                this.path.push(Step::Index(index));
                this.value(&value)?;
                this.path.pop();
            }
            if this.key_depth > 0 {
                this.key_depth -= 1;
            }
            Ok(())
        })
    }

    fn dictionary(&mut self, dict: &Bound<'py, PyDict>) -> Result<()> {
        self.inside(dict.as_any(), |this| {
            // A copy, as of a list. Nothing changes it, not even code of the program that a value runs.
            let copy = dict.copy()?;
            let written = this.writer.dictionary(copy.len());
            this.wrote(written)?;
            for (index, (key, value)) in copy.iter().enumerate() {
                this.path.push(Step::KeyItself(index));
                let outside = this.key_depth;
                this.key_depth += 1;
                this.value(&key)?;
                this.key_depth = if outside > 0 { outside + 1 } else { 0 };
                this.path.pop();
                this.path.push(Step::Key(key));
                this.value(&value)?;
                this.path.pop();
                this.key_depth = outside;
            }
            Ok(())
        })
    }
}
