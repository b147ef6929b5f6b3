//! Values on their way into the memory.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use shm_segment::layout;
use shm_segment::layout::native::{Descriptor, Kind, Message};

use crate::arrays::{self, Array, Bytes, Found, Purpose};
use crate::encode::encode;
use crate::error::{Cause, Failure, Result};
use crate::wrapped::{self, Text};

/// A value that is to be sent.
pub(crate) struct Outgoing<'py> {
    py: Python<'py>,
    descriptor: Descriptor,
    content: Content<'py>,
}

enum Content<'py> {
    Text(Bound<'py, PyString>),
    Bytes(Bound<'py, PyBytes>),
    Array(Bytes),
    Value(Vec<u8>),
}

/// A value that is to be sent, and that no thread of Python can change.
pub(crate) struct Fixed {
    descriptor: Descriptor,
    content: Vec<u8>,
}

impl Fixed {
    pub(crate) fn message(&self) -> Message<'_> {
        Message { descriptor: self.descriptor, content: &self.content }
    }
}

impl<'py> Outgoing<'py> {
    /// Returns the message for a value. `limit` finds the bytes that it may have, if it must be encoded.
    pub(crate) fn of(value: &Bound<'py, PyAny>, limit: impl FnOnce() -> Result<u64>) -> Result<Self> {
        let py = value.py();
        let of = |descriptor, content| Ok(Self { py, descriptor, content });
        if value.is_none() {
            let why = "value is None, which stands for no message; put it into a list to send it";
            return Err(Failure::new(Cause::Argument, why));
        }
        if let Ok(bytes) = value.cast::<PyBytes>() {
            return of(Descriptor::of(Kind::Bytes), Content::Bytes(bytes.clone()));
        }
        if let Ok(text) = value.cast::<PyString>()
            && wrapped::text_kind(text)? == Text::Plain
        {
            text.to_str().map_err(|error| {
                Failure::new(Cause::Argument, format!("value is not valid Unicode: {error}"))
            })?;
            return of(Descriptor::of(Kind::Text), Content::Text(text.clone()));
        }
        let is_container = value.is_instance_of::<PyDict>()
            || value.is_instance_of::<PyList>()
            || value.is_instance_of::<PyTuple>();
        if !is_container {
            let path = || "value".to_owned();
            if arrays::has_buffer(value) {
                if let Found::Array(array) = arrays::find(value, &path)? {
                    return Self::array(py, array, Purpose::Any);
                }
            } else if let Some((data, purpose)) = wrapped::unwrap(value)? {
                return Self::array(py, Array::of(&data, &path)?, purpose);
            }
        }
        of(Descriptor::of(Kind::Value), Content::Value(encode(value, limit()?)?))
    }

    fn array(py: Python<'py>, array: Array<'_, 'py>, purpose: Purpose) -> Result<Self> {
        let (descriptor, bytes) = array.into_message(purpose)?;
        Ok(Self { py, descriptor, content: Content::Array(bytes) })
    }

    /// Returns the message. The interpreter stays attached while it is used.
    pub(crate) fn message(&self) -> Message<'_> {
        let content = match &self.content {
            // It was checked.
            Content::Text(text) => text.to_str().map_or(&[][..], str::as_bytes),
            Content::Bytes(bytes) => bytes.as_bytes(),
            Content::Array(bytes) => bytes.get(self.py),
            Content::Value(bytes) => bytes,
        };
        Message { descriptor: self.descriptor, content }
    }

    /// Returns the value for a call that waits without the interpreter.
    pub(crate) fn fix(self) -> Result<Fixed> {
        let descriptor = self.descriptor;
        if let Content::Value(content) = self.content {
            return Ok(Fixed { descriptor, content });
        }
        let from = self.message().content;
        let mut content = Vec::new();
        content.try_reserve_exact(from.len()).map_err(|_| Failure::out_of_memory(from.len() as u64))?;
        content.extend_from_slice(from);
        Ok(Fixed { descriptor, content })
    }
}

/// Returns the failure of a call that got a message, and names it if its length is wrong.
pub(crate) fn failure(error: layout::Error) -> Failure {
    Failure::new(error.cause(), error.text_for("value"))
}
