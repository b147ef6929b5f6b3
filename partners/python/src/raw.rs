//! Messages as they are in memory, for programs that pass them on without a look inside.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyTuple};
use shm_segment::layout::native::{Descriptor, Incoming, Message, Place};
use shm_segment::layout::{self, Error as LayoutError};

use crate::error::{Cause, Failure, Result};

/// A message that was copied out of the memory.
#[derive(Debug)]
pub(crate) struct Raw {
    /// `None` for a message that this version can't read.
    descriptor: Option<Descriptor>,
    content: Vec<u8>,
    age: Option<Duration>,
    place: Option<Place>,
}

impl Raw {
    /// Copies a message of a stream.
    pub(crate) fn of_stream(message: &Incoming<'_>, age: Option<Duration>) -> layout::Result<Self> {
        let content = message.to_vec()?;
        Ok(Self { descriptor: Some(message.descriptor()), content, age, place: None })
    }

    /// Copies a message of a queue.
    pub(crate) fn of_queue(place: Place, message: layout::Result<&Incoming<'_>>) -> layout::Result<Self> {
        let (descriptor, content) = match message {
            Ok(message) => (Some(message.descriptor()), message.to_vec()?),
            Err(_) => (None, Vec::new()),
        };
        Ok(Self { descriptor, content, age: None, place: Some(place) })
    }

    /// Returns the `RawMessage` of Python.
    pub(crate) fn into_python(self, py: Python<'_>) -> Result<Bound<'_, PyAny>> {
        let tag = self.descriptor.map_or(0, |descriptor| descriptor.tag());
        let shape = PyTuple::new(py, self.descriptor.map_or([0; 4], |descriptor| descriptor.shape))?;
        let content = PyBytes::new(py, &self.content);
        let age = self.age.map(|age| age.as_secs_f64());
        let place = self.place.map(|place| (place.incarnation, place.lane, place.end));
        Ok(class(py)?.bind(py).call1((tag, shape, content, age, place))?)
    }
}

/// A message that the program gave. No thread can change its content.
pub(crate) struct Given<'py> {
    descriptor: Descriptor,
    content: Bound<'py, PyBytes>,
    age: Option<Duration>,
}

impl<'py> Given<'py> {
    /// Checks a `RawMessage` of Python.
    pub(crate) fn of(value: &Bound<'py, PyAny>) -> Result<Self> {
        let part = |name: &str, limit: &str| {
            value
                .getattr(name)
                .map_err(|_| Failure::new(Cause::Argument, format!("message.{name} must be {limit}")))
        };
        let wrong = |name: &str, limit: &str| {
            Failure::new(Cause::Argument, format!("message.{name} must be {limit}"))
        };
        let limit = "an integer of 32 bits";
        let tag = part("tag", limit)?.extract().map_err(|_| wrong("tag", limit))?;
        let limit = "four integers of 32 bits";
        let shape: (u32, u32, u32, u32) =
            part("shape", limit)?.extract().map_err(|_| wrong("shape", limit))?;
        let content = part("content", "bytes")?;
        let content = content.cast_into::<PyBytes>().map_err(|_| wrong("content", "bytes"))?;
        let limit = "None, or a number of seconds from 0 on";
        let age: Option<f64> = part("age", limit)?.extract().map_err(|_| wrong("age", limit))?;
        let age = match age {
            None => None,
            Some(age) if age.is_nan() || age < 0.0 => return Err(wrong("age", limit)),
            Some(age) => Some(Duration::try_from_secs_f64(age).unwrap_or(Duration::MAX)),
        };
        let shape = [shape.0, shape.1, shape.2, shape.3];
        let descriptor = Descriptor::new(tag, shape, content.as_bytes().len() as u64).map_err(failure)?;
        Ok(Self { descriptor, content, age })
    }

    pub(crate) fn message(&self) -> Message<'_> {
        Message { descriptor: self.descriptor, content: self.content.as_bytes() }
    }

    pub(crate) const fn age(&self) -> Option<Duration> {
        self.age
    }
}

/// Returns the place in a `RawMessage` of Python, which was read from a queue.
pub(crate) fn place_of(value: &Bound<'_, PyAny>) -> Result<Place> {
    let place = value.getattr("place").and_then(|place| place.extract::<(u64, u32, u64)>());
    match place {
        Ok((incarnation, lane, end)) => Ok(Place { incarnation, lane, end }),
        Err(_) => {
            Err(Failure::new(Cause::Argument, "message.place must be that of a message from peek_raw()"))
        }
    }
}

/// Returns the failure of a call that got a message, and names it if the message is wrong.
pub(crate) fn failure(error: LayoutError) -> Failure {
    match error {
        LayoutError::TooLarge { .. } | LayoutError::Invalid { layout: "native message", .. } => {
            Failure::new(Cause::Argument, format!("message: {error}"))
        }
        other => other.into(),
    }
}

fn class(py: Python<'_>) -> PyResult<&Py<PyAny>> {
    static FOUND: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let find = || Ok(py.import("godot_shared_memory._types")?.getattr("RawMessage")?.unbind());
    FOUND.get_or_try_init(py, find)
}
