//! Errors of segments as the engine's `Error`, in one table.

use godot::global::Error as Code;
use shm_segment::{Error, layout};

use crate::binding::{EnumArg, ErrorCode, ScriptEnum};

/// A call that failed: what it returns, and what there is to say about it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A wrong argument: names it, its value and the limit.
    pub(crate) fn argument(name: &str, value: impl std::fmt::Display, limit: &str) -> Self {
        Self::new(Code::ERR_INVALID_PARAMETER, format!("{name} must be {limit}, not {value}"))
    }

    /// Nothing is open, because of what went wrong `before`, if anything did.
    pub(crate) fn not_open(before: Option<&Self>) -> Self {
        let message = match before {
            None => "no segment is open; call create() or open() first".to_owned(),
            Some(before) => format!("no segment is open, since an earlier call failed: {before}"),
        };
        Self::new(Code::ERR_UNCONFIGURED, message)
    }

    /// What an object was attached to is no longer there, because of what went wrong `before`, if anything did.
    pub(crate) fn detached(before: Option<&Self>) -> Self {
        let message = match before {
            None => "the memory that it was attached to has been closed; call attach() again".to_owned(),
            Some(before) => format!("the memory that it was attached to is gone: {before}"),
        };
        Self::new(Code::ERR_UNCONFIGURED, message)
    }

    fn of_layout(error: &layout::Error) -> Self {
        use layout::Error as E;
        let code = match error {
            E::Segment(error) => return Self::of(error, Code::FAILED),
            E::Invalid { .. } => Code::ERR_INVALID_DATA,
            E::NotLaidOutYet { .. } | E::Full { .. } => Code::ERR_BUSY,
            E::SegmentTooSmall { .. }
            | E::TooLarge { .. }
            | E::WrongLength { .. }
            | E::InvalidElementSize { .. }
            | E::NoSuchElement { .. } => Code::ERR_INVALID_PARAMETER,
            E::TimedOut { .. } => Code::ERR_TIMEOUT,
            E::Empty => Code::ERR_DOES_NOT_EXIST,
            E::NoAcknowledgement { .. } => Code::ERR_UNAVAILABLE,
            E::OutOfMemory { .. } => Code::ERR_OUT_OF_MEMORY,
            _ => Code::FAILED,
        };
        Self::new(code, error.to_string())
    }

    /// A message, which a script gave as `argument`, was refused.
    pub(crate) fn of_message(argument: &str, error: &layout::Error) -> Self {
        let failure = Self::of_layout(error);
        match error {
            layout::Error::TooLarge { .. } | layout::Error::WrongLength { .. } => {
                Self::new(failure.code, format!("{argument}: {failure}"))
            }
            _ => failure,
        }
    }

    /// A failure of a segment; `other` is the code for one that has none of its own.
    pub(crate) fn of(error: &Error, other: Code) -> Self {
        let code = match error {
            Error::InvalidName { .. }
            | Error::InvalidPrefix { .. }
            | Error::InvalidSize { .. }
            | Error::TooSmall { .. }
            | Error::OutOfBounds { .. } => Code::ERR_INVALID_PARAMETER,
            Error::AlreadyExists { .. } => Code::ERR_ALREADY_EXISTS,
            Error::DoesNotExist { .. } => Code::ERR_DOES_NOT_EXIST,
            Error::NotSizedYet { .. } | Error::Leased { .. } => Code::ERR_BUSY,
            Error::NotASegment { .. } => Code::ERR_CANT_OPEN,
            Error::PermissionDenied { .. } | Error::ReadOnly { .. } => Code::ERR_UNAUTHORIZED,
            Error::OutOfMemory { .. } => Code::ERR_OUT_OF_MEMORY,
            Error::Truncated { .. } | Error::PageLost { .. } => Code::ERR_FILE_CORRUPT,
            Error::Unsupported { .. } => Code::ERR_UNAVAILABLE,
            _ => other,
        };
        Self::new(code, error.to_string())
    }

    /// Is it the script that is wrong, rather than the world? Then the console should say so.
    ///
    /// What a program expects to happen now and then (absent, taken, busy, not permitted, no room) is for the
    /// program to handle: a loop that waits for a peer must not flood the console.
    pub(crate) fn is_misuse(&self) -> bool {
        matches!(self.code, Code::ERR_INVALID_PARAMETER | Code::ERR_UNCONFIGURED | Code::ERR_ALREADY_IN_USE)
    }

    pub(crate) const fn code(&self) -> ErrorCode {
        ErrorCode(self.code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::of(&error, Code::FAILED)
    }
}

impl From<layout::Error> for Failure {
    fn from(error: layout::Error) -> Self {
        Self::of_layout(&error)
    }
}

/// Returns the constant that a script gave as `argument`, or a failure that lists the numbers.
pub(crate) fn constant<E: ScriptEnum>(argument: &str, given: &EnumArg<E>) -> Result<E, Failure> {
    given.get().ok_or_else(|| {
        let numbers = || E::CONSTANTS.iter().map(|constant| constant.1);
        let (first, last) = (numbers().min().unwrap_or_default(), numbers().max().unwrap_or_default());
        let to = if E::CONSTANTS.len() == 2 { "or" } else { "to" };
        let limit = format!("a {} ({first} {to} {last})", E::NAME);
        Failure::argument(argument, given.number, &limit)
    })
}

/// Returns the code for a method that returns nothing else.
pub(crate) fn code_of(result: Result<(), ErrorCode>) -> ErrorCode {
    result.err().unwrap_or(ErrorCode(Code::OK))
}
