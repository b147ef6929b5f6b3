//! The causes of the segment crate's errors as classes of exceptions.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use shm_segment::layout::Error as LayoutError;
use shm_segment::layout::native::Caused;
use shm_segment::values::variant::{Error as ValueError, WriteError};
use shm_segment::{Error, argument_text};

/// The cause of an exception, which decides its class.
pub(crate) use shm_segment::Cause;

/// Returns the name of the class of exceptions with this cause.
const fn class_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Argument => "ArgumentError",
        Cause::Closed => "ClosedError",
        Cause::Exists => "ExistsError",
        Cause::NotFound => "NotFoundError",
        Cause::Permission => "AccessError",
        Cause::OutOfMemory => "OutOfMemoryError",
        Cause::Busy => "BusyError",
        Cause::InUse => "InUseError",
        Cause::Empty | Cause::Unavailable => "UnavailableError",
        Cause::Data => "DataError",
        Cause::Lost => "LostError",
        Cause::Connection => "ConnectionError",
        Cause::Timeout => "TimeoutError",
        Cause::NotMemory | Cause::System => "SystemError",
    }
}

/// A failed call.
#[derive(Debug)]
pub(crate) enum Failure {
    Ours(Cause, String),
    /// An exception of Python itself.
    Python(PyErr),
    /// A signal has ended the wait, and its handler has raised an exception, which [`crate::waits`] keeps.
    Interrupted,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(crate) fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self::Ours(cause, message.into())
    }

    /// Returns the failure of a call with a wrong argument. The message names it, its value and the limit.
    pub(crate) fn argument(name: &str, value: impl std::fmt::Display, limit: &str) -> Self {
        Self::new(Cause::Argument, argument_text(name, value, limit))
    }

    pub(crate) fn closed() -> Self {
        Self::new(Cause::Closed, "this object is closed")
    }

    /// Returns the failure of data in a message that this side can't use.
    pub(crate) fn data(message: impl Into<String>) -> Self {
        Self::new(Cause::Data, message)
    }

    pub(crate) fn out_of_memory(bytes: u64) -> Self {
        Self::new(Cause::OutOfMemory, format!("there is no memory for {bytes} bytes"))
    }

    pub(crate) const fn cause(&self) -> Option<Cause> {
        match self {
            Self::Ours(cause, _) => Some(*cause),
            Self::Python(_) | Self::Interrupted => None,
        }
    }
}

impl Caused for Failure {
    fn cause(&self) -> Option<Cause> {
        self.cause()
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.cause(), error.to_string())
    }
}

impl From<LayoutError> for Failure {
    fn from(error: LayoutError) -> Self {
        match error {
            LayoutError::Stopped => crate::waits::stopped(),
            _ => Self::new(error.cause(), error.to_string()),
        }
    }
}

impl From<Box<LayoutError>> for Failure {
    fn from(error: Box<LayoutError>) -> Self {
        (*error).into()
    }
}

impl From<ValueError> for Failure {
    fn from(error: ValueError) -> Self {
        match error {
            ValueError::Source(error) => error.into(),
            other => Self::data(format!("the message is not a value: {other}")),
        }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        let cause = match error {
            WriteError::OutOfMemory { .. } => Cause::OutOfMemory,
            WriteError::TooLong { .. } | WriteError::TooMany { .. } | WriteError::Nul { .. } => {
                Cause::Argument
            }
        };
        Self::new(cause, error.to_string())
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Python(error) => error,
            Failure::Interrupted => crate::waits::take_interrupt(),
            // The class is found when Python looks at the exception.
            Failure::Ours(cause, message) => Python::attach(|py| {
                class_of(py, cause).map_or_else(|error| error, |class| Self::from_type(class, (message,)))
            }),
        }
    }
}

/// Returns the class of exceptions with this cause.
fn class_of(py: Python<'_>, cause: Cause) -> PyResult<Bound<'_, PyType>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module =
        MODULE.get_or_try_init(py, || Ok::<_, PyErr>(py.import("godot_shared_memory._errors")?.unbind()))?;
    Ok(module.bind(py).getattr(class_name(cause))?.cast_into()?)
}
