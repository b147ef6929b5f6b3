//! The segment crate's errors as exceptions, in one table.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use shm_segment::layout::Error as LayoutError;
use shm_segment::values::variant::{Error as ValueError, WriteError};
use shm_segment::{Error, layout};

/// The cause of an exception, which decides its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    Argument,
    Closed,
    Exists,
    NotFound,
    Permission,
    OutOfMemory,
    Busy,
    InUse,
    Unavailable,
    Data,
    Lost,
    Connection,
    Timeout,
    System,
}

const CLASSES: [(&str, Cause); 14] = [
    ("ArgumentError", Cause::Argument),
    ("ClosedError", Cause::Closed),
    ("ExistsError", Cause::Exists),
    ("NotFoundError", Cause::NotFound),
    ("AccessError", Cause::Permission),
    ("OutOfMemoryError", Cause::OutOfMemory),
    ("BusyError", Cause::Busy),
    ("InUseError", Cause::InUse),
    ("UnavailableError", Cause::Unavailable),
    ("DataError", Cause::Data),
    ("LostError", Cause::Lost),
    ("ConnectionError", Cause::Connection),
    ("TimeoutError", Cause::Timeout),
    ("SystemError", Cause::System),
];

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
        Self::new(Cause::Argument, format!("{name} must be {limit}, not {value}"))
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

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let cause = match &error {
            Error::InvalidName { .. }
            | Error::InvalidPrefix { .. }
            | Error::InvalidSize { .. }
            | Error::TooSmall { .. }
            | Error::OutOfBounds { .. }
            | Error::RowsOutOfBounds { .. }
            | Error::Misaligned { .. } => Cause::Argument,
            Error::AlreadyExists { .. } => Cause::Exists,
            Error::DoesNotExist { .. } => Cause::NotFound,
            Error::NotSizedYet { .. } | Error::Leased { .. } | Error::RoleBlocked { .. } => Cause::Busy,
            Error::PermissionDenied { .. } | Error::ReadOnly { .. } => Cause::Permission,
            Error::OutOfMemory { .. } => Cause::OutOfMemory,
            Error::Truncated { .. } | Error::PageLost { .. } => Cause::Lost,
            Error::Unsupported { .. } => Cause::Unavailable,
            Error::NotASegment { .. } | Error::TooManyFiles { .. } | Error::System { .. } => Cause::System,
        };
        Self::new(cause, error.to_string())
    }
}

impl From<LayoutError> for Failure {
    fn from(error: LayoutError) -> Self {
        use LayoutError as E;
        let cause = match error {
            E::Segment(error) => return error.into(),
            E::Invalid { .. }
            | E::Corrupt { .. }
            | E::NotZeros { .. }
            | E::ResetRefused { .. }
            | E::OtherMemory { .. } => Cause::Data,
            E::NotLaidOutYet { .. }
            | E::Full { .. }
            | E::NoRoom
            | E::Overtaken
            | E::RequestInProgress
            | E::Locked => Cause::Busy,
            E::RoleTaken { .. }
            | E::NoLaneFree { .. }
            | E::BothSidesTaken
            | E::LockHeld
            | E::Unfinished { .. } => Cause::InUse,
            E::LockNotHeld | E::Stopped => Cause::Closed,
            E::PartnerGone { .. } => Cause::Connection,
            E::SegmentTooSmall { .. }
            | E::TooLarge { .. }
            | E::WrongLength { .. }
            | E::InvalidElementSize { .. }
            | E::NoSuchElement { .. }
            | E::InvalidCount { .. }
            | E::LaidOutSmaller { .. } => Cause::Argument,
            E::TimedOut { .. } | E::WaitTimedOut { .. } => Cause::Timeout,
            E::Empty
            | E::NoAcknowledgement { .. }
            | E::NotConnected
            | E::LeftOver
            | E::NameMoved
            | E::NameLost { .. } => Cause::Unavailable,
            E::OutOfMemory { .. } => Cause::OutOfMemory,
        };
        Self::new(cause, error.to_string())
    }
}

impl From<Box<layout::Error>> for Failure {
    fn from(error: Box<layout::Error>) -> Self {
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
                class_of(py, cause)
                    .map_or_else(|error| error, |class| Self::from_type(class.bind(py).clone(), (message,)))
            }),
        }
    }
}

/// Returns the class of exceptions with this cause.
fn class_of(py: Python<'_>, cause: Cause) -> PyResult<&Py<PyType>> {
    static FOUND: PyOnceLock<Vec<(Cause, Py<PyType>)>> = PyOnceLock::new();
    let classes = FOUND.get_or_try_init(py, || {
        let module = py.import("godot_shared_memory._errors")?;
        let found = CLASSES
            .iter()
            .map(|(name, cause)| Ok((*cause, module.getattr(*name)?.cast_into::<PyType>()?.unbind())));
        found.collect::<PyResult<Vec<_>>>()
    })?;
    let found = classes.iter().find(|(of, _)| *of == cause);
    found
        .map(|(_, class)| class)
        .ok_or_else(|| pyo3::exceptions::PySystemError::new_err("an exception has no class"))
}
