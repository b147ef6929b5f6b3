//! The causes of errors, for programs that have codes or classes of their own.

use crate::{Error, layout};

/// The topic of an error, whichever call returned it.
///
/// A binding for another language has one code or class for each cause. So the list of errors is in one
/// place only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "each binding must have an answer for a new cause")]
pub enum Cause {
    /// An argument has a wrong value.
    Argument,
    /// The object is closed, or doesn't hold what the call needs.
    Closed,
    /// The name is taken.
    Exists,
    /// Nothing has the name.
    NotFound,
    /// Something else than shared memory has the name.
    NotMemory,
    /// The system refused this user, or the memory is open for reading only.
    Permission,
    /// There is not enough memory.
    OutOfMemory,
    /// Another program or thread is in the middle of something. A later call may succeed.
    Busy,
    /// Another program or object has what the call needs, and keeps it.
    InUse,
    /// There is no message.
    Empty,
    /// The memory, the format or the system doesn't have what the call needs.
    Unavailable,
    /// The bytes in memory are not valid.
    Data,
    /// Pages of the memory are gone.
    Lost,
    /// The partner has ended.
    Connection,
    /// The time is over.
    Timeout,
    /// A system call failed for another reason.
    System,
}

impl Error {
    /// Returns the cause of this error.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        match self {
            Self::InvalidName { .. }
            | Self::InvalidPrefix { .. }
            | Self::InvalidSize { .. }
            | Self::TooSmall { .. }
            | Self::OutOfBounds { .. }
            | Self::RowsOutOfBounds { .. }
            | Self::Misaligned { .. } => Cause::Argument,
            Self::AlreadyExists { .. } => Cause::Exists,
            Self::DoesNotExist { .. } => Cause::NotFound,
            Self::NotASegment { .. } => Cause::NotMemory,
            Self::NotSizedYet { .. } | Self::Leased { .. } | Self::RoleBlocked { .. } => Cause::Busy,
            Self::PermissionDenied { .. } | Self::ReadOnly { .. } => Cause::Permission,
            Self::OutOfMemory { .. } => Cause::OutOfMemory,
            Self::Truncated { .. } | Self::PageLost { .. } => Cause::Lost,
            Self::Unsupported { .. } => Cause::Unavailable,
            Self::TooManyFiles { .. } | Self::System { .. } => Cause::System,
        }
    }

    /// Returns whether another program may have caused this error, although its cause is one of the caller's
    /// own mistakes.
    #[must_use]
    pub const fn may_be_of_others(&self) -> bool {
        // The other program may be about to replace it by a larger one.
        matches!(self, Self::TooSmall { .. })
    }
}

impl layout::Error {
    /// Returns the cause of this error.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        match self {
            Self::Segment(error) => error.cause(),
            Self::Invalid { .. }
            | Self::Corrupt { .. }
            | Self::NotZeros { .. }
            | Self::ResetRefused { .. }
            | Self::OtherMemory { .. } => Cause::Data,
            Self::NotLaidOutYet { .. }
            | Self::Full { .. }
            | Self::NoRoom
            | Self::Overtaken
            | Self::RequestInProgress
            | Self::Locked => Cause::Busy,
            Self::RoleTaken { .. }
            | Self::NoLaneFree { .. }
            | Self::BothSidesTaken
            | Self::LockHeld
            | Self::Unfinished { .. } => Cause::InUse,
            Self::LockNotHeld | Self::Stopped => Cause::Closed,
            Self::PartnerGone { .. } => Cause::Connection,
            Self::SegmentTooSmall { .. }
            | Self::TooLarge { .. }
            | Self::WrongLength { .. }
            | Self::InvalidElementSize { .. }
            | Self::NoSuchElement { .. }
            | Self::InvalidCount { .. }
            | Self::LaidOutSmaller { .. } => Cause::Argument,
            Self::TimedOut { .. } | Self::WaitTimedOut { .. } => Cause::Timeout,
            Self::Empty => Cause::Empty,
            Self::NoAcknowledgement { .. }
            | Self::NotConnected
            | Self::LeftOver
            | Self::NameMoved
            | Self::NameLost { .. } => Cause::Unavailable,
            Self::OutOfMemory { .. } => Cause::OutOfMemory,
        }
    }

    /// Returns whether another program may have caused this error, although its cause is one of the caller's
    /// own mistakes.
    #[must_use]
    pub const fn may_be_of_others(&self) -> bool {
        match self {
            Self::Segment(error) => error.may_be_of_others(),
            // Another program decided the size, or has the role.
            Self::LaidOutSmaller { .. }
            | Self::RoleTaken { .. }
            | Self::NoLaneFree { .. }
            | Self::BothSidesTaken
            | Self::SegmentTooSmall { is_created: false, .. } => true,
            _ => false,
        }
    }

    /// Returns the text for a call that got the bytes as `argument`. It names the argument if their length is
    /// wrong.
    #[must_use]
    pub fn text_for(&self, argument: &str) -> String {
        match self {
            Self::TooLarge { .. } | Self::WrongLength { .. } => format!("{argument}: {self}"),
            _ => self.to_string(),
        }
    }
}

/// Returns the text for an argument with a wrong value. `limit` says which values are allowed, in words.
pub fn argument_text(name: &str, value: impl std::fmt::Display, limit: &str) -> String {
    format!("{name} must be {limit}, not {value}")
}

/// Returns the text for a call that finds no memory under the name that its object follows. `cause` is the
/// text of the error that the last look returned, if it did.
#[must_use]
pub fn no_memory_text(name: &str, cause: Option<&str>) -> String {
    format!("there is no memory to use under the name {name:?}: {}", cause.unwrap_or("it is gone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_of_a_segment_keeps_its_cause_in_a_layout() {
        let error = || Error::ReadOnly { name: String::new() };
        assert_eq!(error().cause(), Cause::Permission);
        assert_eq!(layout::Error::from(error()).cause(), Cause::Permission);
    }

    #[test]
    fn text_names_the_argument_only_if_its_length_is_wrong() {
        let error = layout::Error::TooLarge { size: 3, limit: 2 };
        assert_eq!(error.text_for("value"), "value: 3 bytes are too many: at most 2 fit");
        assert_eq!(layout::Error::Empty.text_for("value"), "there is no message");
    }
}
