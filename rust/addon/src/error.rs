//! The causes of the segment crate's errors as values of the engine's `Error`.

use godot::global::Error as Code;
use shm_segment::layout::native::Caused;
use shm_segment::{Cause, Error, argument_text, layout};

use crate::binding::{EnumArg, ErrorCode, ScriptEnum};

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// The failure of a call: the code that it returns, and a message.
// Boxed, so that the `Result` of a call fits into registers. Each call returns one, and few of them fail.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .0.message)]
pub(crate) struct Failure(Box<Details>);

#[derive(Debug, Clone)]
struct Details {
    code: Code,
    message: String,
    /// The script itself is wrong.
    is_misuse: bool,
}

impl Failure {
    #[cold]
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        use Code as C;
        let is_misuse =
            matches!(code, C::ERR_INVALID_PARAMETER | C::ERR_UNCONFIGURED | C::ERR_ALREADY_IN_USE);
        Self(Box::new(Details { code, message: message.into(), is_misuse }))
    }

    /// Returns the failure as one that is not printed, whatever its code: the state of another program has
    /// caused it.
    pub(crate) fn unprinted(self) -> Self {
        self.unprinted_if(true)
    }

    /// Returns the failure as [`unprinted`](Self::unprinted) does, on this condition.
    pub(crate) fn unprinted_if(mut self, is_caused_elsewhere: bool) -> Self {
        self.0.is_misuse &= !is_caused_elsewhere;
        self
    }

    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the failure of a call whose arguments don't fit.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::ERR_INVALID_PARAMETER, message)
    }

    /// Returns the failure of a call with a wrong argument. The message names it, its value and the limit.
    pub(crate) fn argument(name: &str, value: impl std::fmt::Display, limit: &str) -> Self {
        Self::invalid(argument_text(name, value, limit))
    }

    /// Returns the failure of a call that needs a segment. `cause` is the failure that left none open.
    pub(crate) fn not_open(cause: Option<&Self>) -> Self {
        let message = match cause {
            None => "no segment is open; call create() or open() first".to_owned(),
            Some(cause) => format!("no segment is open, since an earlier call failed: {cause}"),
        };
        Self::new(Code::ERR_UNCONFIGURED, message)
    }

    /// Returns the failure of a call whose segment has been closed. `cause` is the failure that closed it.
    pub(crate) fn detached(cause: Option<&Self>) -> Self {
        let message = match cause {
            None => "the attached memory has been closed; call attach() with memory that is open".to_owned(),
            Some(cause) => format!("the attached memory is gone: {cause}"),
        };
        Self::new(Code::ERR_UNCONFIGURED, message)
    }

    /// Returns the failure of a call that waited when another thread closed the segment. Closing is a way
    /// to end a wait, and not a mistake.
    pub(crate) fn closed_while_waiting() -> Self {
        Self::new(Code::ERR_UNCONFIGURED, "the segment was closed during the wait").unprinted()
    }

    /// Returns the failure of a call that waited when another thread detached or closed the object, or closed
    /// its memory.
    pub(crate) fn detached_while_waiting() -> Self {
        let message = "the object was detached or closed, or its memory closed, during the wait";
        Self::new(Code::ERR_UNCONFIGURED, message).unprinted()
    }

    fn of_layout(error: &layout::Error) -> Self {
        Self::of_layout_as(error, || error.to_string())
    }

    /// Returns the failure of a call that got a message as `argument`, and names it if its length is wrong.
    pub(crate) fn of_message(argument: &str, error: &layout::Error) -> Self {
        Self::of_layout_as(error, || error.text_for(argument))
    }

    fn of_layout_as(error: &layout::Error, text: impl FnOnce() -> String) -> Self {
        match error {
            layout::Error::Segment(error) => Self::of(error, Code::FAILED),
            layout::Error::Stopped => Self::detached_while_waiting(),
            _ => Self::new(code(error.cause(), Code::FAILED), text()).unprinted_if(error.may_be_of_others()),
        }
    }

    /// Returns the failure of a call that makes memory with a layout.
    pub(crate) fn of_creation(error: &layout::Error) -> Self {
        match error {
            layout::Error::Segment(error) => Self::of(error, Code::ERR_CANT_CREATE),
            other => Self::of_layout(other),
        }
    }

    /// Returns the failure for an error of a segment. `other` is the code of failed system calls.
    pub(crate) fn of(error: &Error, other: Code) -> Self {
        Self::new(code(error.cause(), other), error.to_string()).unprinted_if(error.may_be_of_others())
    }

    /// Returns whether the script itself is wrong, so that the console should say so.
    ///
    /// The script has to expect all other failures (absent, taken, busy, not permitted, no room) and handle
    /// them. They are not printed: a loop that waits for a peer must not flood the console.
    pub(crate) fn is_misuse(&self) -> bool {
        self.0.is_misuse
    }
}

/// Returns the code for a cause. `other` is the code of failed system calls.
const fn code(cause: Cause, other: Code) -> Code {
    match cause {
        Cause::Argument => Code::ERR_INVALID_PARAMETER,
        Cause::Closed => Code::ERR_UNCONFIGURED,
        Cause::Exists => Code::ERR_ALREADY_EXISTS,
        Cause::NotFound | Cause::Empty => Code::ERR_DOES_NOT_EXIST,
        Cause::NotMemory => Code::ERR_CANT_OPEN,
        Cause::Permission => Code::ERR_UNAUTHORIZED,
        Cause::OutOfMemory => Code::ERR_OUT_OF_MEMORY,
        Cause::Busy => Code::ERR_BUSY,
        Cause::InUse => Code::ERR_ALREADY_IN_USE,
        Cause::Unavailable => Code::ERR_UNAVAILABLE,
        Cause::Data => Code::ERR_INVALID_DATA,
        Cause::Lost => Code::ERR_FILE_CORRUPT,
        Cause::Connection => Code::ERR_CONNECTION_ERROR,
        Cause::Timeout => Code::ERR_TIMEOUT,
        Cause::System => other,
    }
}

impl Caused for Failure {
    fn cause(&self) -> Option<Cause> {
        let causes = [Cause::Closed, Cause::Lost, Cause::Unavailable, Cause::Connection];
        causes.into_iter().find(|cause| code(*cause, Code::FAILED) == self.code())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::of(&error, Code::FAILED)
    }
}

impl From<Box<layout::Error>> for Failure {
    fn from(error: Box<layout::Error>) -> Self {
        Self::of_layout(&error)
    }
}

impl From<layout::Error> for Failure {
    fn from(error: layout::Error) -> Self {
        Self::of_layout(&error)
    }
}

/// Returns the constant that a script gave as `argument`, or a failure that lists the numbers.
pub(crate) fn constant<E: ScriptEnum>(argument: &str, given: &EnumArg<E>) -> Result<E> {
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
