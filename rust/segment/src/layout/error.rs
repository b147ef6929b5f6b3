//! Errors of wire formats: what failed, and what was found.

use std::time::Duration;

/// A failed operation on a wire format.
///
/// As in [`crate::Error`], each text fits after "`write`: " unchanged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error of the segment itself, such as read-only or truncated memory.
    #[error(transparent)]
    Segment(#[from] crate::Error),
    /// The bytes in memory are not valid in this format.
    #[error("the memory does not hold a valid {layout}: {what} is {found}, but {limit}")]
    Invalid {
        /// The format that the memory should hold.
        layout: &'static str,
        /// The field that is wrong.
        what: &'static str,
        /// The value that was found there.
        found: u64,
        /// The values that are allowed, in words.
        limit: String,
    },
    /// The header is all zeros, or half made, and this call may not lay it out.
    #[error("the memory does not hold a {layout} yet: no program has finished laying it out")]
    NotLaidOutYet {
        /// The format that the memory should hold.
        layout: &'static str,
    },
    /// The header is all zeros, or half made, but other bytes are not zero. Nothing was written.
    #[error(
        "the memory holds other bytes, and no {layout}: the one at {offset} is not 0; if no program needs \
         them, call fill(0) of the memory and attach() again"
    )]
    NotZeros {
        /// The format that the memory should hold.
        layout: &'static str,
        /// The offset of the first byte that is not 0.
        offset: u64,
    },
    /// The bytes in memory are not what this format leaves there, and another program made the memory.
    /// Nothing was written.
    #[error("{cause}; if no program needs these bytes, call fill(0) of the memory and attach() again")]
    ResetRefused {
        /// The wrong field.
        cause: Box<Self>,
    },
    /// The memory is laid out already, for less than was asked for.
    #[error("{what} of the {layout} in memory is {found}, less than {wanted}")]
    LaidOutSmaller {
        /// The format in memory.
        layout: &'static str,
        /// The size or number.
        what: &'static str,
        /// The value in the header.
        found: u64,
        /// The value that was asked for.
        wanted: u64,
    },
    /// The segment has no room for the header and one element.
    #[error("{size} bytes of memory are too few: the {layout} needs at least {needed}")]
    SegmentTooSmall {
        /// The format that the memory should hold.
        layout: &'static str,
        /// The size of the segment in bytes.
        size: u64,
        /// The smallest size that is enough.
        needed: u64,
        /// True if this side made the segment.
        is_created: bool,
    },
    /// The value does not fit. Nothing was written.
    #[error("{size} bytes are too many: at most {limit} fit")]
    TooLarge {
        /// The number of bytes to be written.
        size: u64,
        /// The number of bytes that fit.
        limit: u64,
    },
    /// The length is not a whole number of elements, or not that of one element.
    #[error("the length must be {expected}, not {length} bytes")]
    WrongLength {
        /// The number of bytes given.
        length: u64,
        /// The expected length, in words.
        expected: String,
    },
    /// The size of an element or of the longest message is 0, or more than fits.
    #[error("{what} must have from 1 to {limit} bytes, not {given}")]
    InvalidElementSize {
        /// The part that has this size.
        what: &'static str,
        /// The size that was given.
        given: u64,
        /// The largest size that fits.
        limit: u64,
    },
    /// The array has no such element.
    #[error("there is no element {index}: the array has {count} elements, counted from 0")]
    NoSuchElement {
        /// The index that was asked for.
        index: u64,
        /// The number of elements.
        count: u64,
    },
    /// Another process holds the lock, died with it, or writes without a pause. Nothing was written.
    #[error("another process {}; if it is dead, {advice}", locked(lock, *waited))]
    TimedOut {
        /// The part that the lock belongs to.
        lock: &'static str,
        /// The time waited for it.
        waited: Duration,
        /// The way to release the lock of a dead process.
        advice: &'static str,
    },
    /// There is no message.
    #[error("there is no message")]
    Empty,
    /// There is no room for another message until one is taken out.
    #[error("the queue is full: it holds {capacity} messages")]
    Full {
        /// The number of messages that it can hold.
        capacity: u64,
    },
    /// A field that the sides change says what can't be. Only a reset helps.
    #[error(
        "the {layout} is damaged: {what} can't be {found}; reset() empties it when no other program uses it"
    )]
    Corrupt {
        /// The format.
        layout: &'static str,
        /// The field that is wrong.
        what: &'static str,
        /// The value that was found there.
        found: u64,
    },
    /// Another object or process has the role that the call needs.
    #[error("another program or object is {role} already")]
    RoleTaken {
        /// The role.
        role: &'static str,
    },
    /// The program still uses the memory itself.
    #[error("this object has {what} that has not ended")]
    Unfinished {
        /// The thing that it uses.
        what: &'static str,
    },
    /// Each lane of the queue has a producer.
    #[error("the queue is for {count} producers at a time, and has as many already")]
    NoLaneFree {
        /// The number of lanes.
        count: u32,
    },
    /// The number of roles is not possible.
    #[error("{what} must be from {} to {}, not {given}", .limits.0, .limits.1)]
    InvalidCount {
        /// The roles.
        what: &'static str,
        /// The number that was given.
        given: u32,
        /// The smallest and the largest one.
        limits: (u32, u32),
    },
    /// Other processes changed what was read, each time.
    #[error("other programs changed it faster than it could be read")]
    Overtaken,
    /// The partner has ended during a wait.
    #[error("{partner} has ended")]
    PartnerGone {
        /// The partner's role.
        partner: &'static str,
    },
    /// Two programs or objects have the sides of a pair.
    #[error("two programs or objects use this name already, and a third one can't")]
    BothSidesTaken,
    /// There is no partner.
    #[error("no partner is connected")]
    NotConnected,
    /// Another thread waits for an answer.
    #[error("another thread of this object waits for the answer to its request")]
    RequestInProgress,
    /// There is no room for the message until others are taken out.
    #[error("the buffer is full: there is no room for the message until others are taken out")]
    NoRoom,
    /// The owner of the memory has ended, and no process has a role in it.
    #[error("it is left over from a program that has ended")]
    LeftOver,
    /// The name has left the memory, which this side uses until it has what is left there.
    #[error("the name leads elsewhere, and this object still takes out what is left where it led before")]
    NameMoved,
    /// Another object or process holds the lock.
    #[error("another program or object holds the lock")]
    Locked,
    /// The same object holds the lock already.
    #[error("this object holds the lock already; call unlock() first, or use another object")]
    LockHeld,
    /// The object doesn't hold the lock.
    #[error("this object does not hold the lock; call lock() or try_lock() first")]
    LockNotHeld,
    /// A program has removed the name, or put another segment in its place. So programs that open the name
    /// now don't see this lock.
    #[error(
        "the name {name:?} leads to other memory, or to none, since another program removed it; call \
         close() and open() again"
    )]
    NameLost {
        /// The name.
        name: String,
    },
    /// The name leads to memory that was not made for locks. Nothing was written.
    #[error("the name {name:?} leads to memory of another kind, {why}")]
    OtherMemory {
        /// The name.
        name: String,
        /// The sign of that, in words.
        why: String,
    },
    /// The time is over.
    #[error("{}", absent(what, *waited))]
    WaitTimedOut {
        /// The thing waited for.
        what: &'static str,
        /// The time waited. If it is 0, the call only looked.
        waited: Duration,
    },
    /// The caller didn't want to wait any longer.
    #[error("the wait was ended")]
    Stopped,
    /// In this format, readers can't acknowledge a message.
    #[error("a {layout} has no read acknowledgement")]
    NoAcknowledgement {
        /// The format.
        layout: &'static str,
    },
    /// There is no memory for a copy of the bytes.
    #[error("there is no memory for a copy of {size} bytes")]
    OutOfMemory {
        /// The number of bytes to be copied.
        size: u64,
    },
}

impl Error {
    /// Returns whether a lock is in the way of a role that nobody holds.
    pub(super) const fn is_role_blocked(&self) -> bool {
        matches!(self, Self::Segment(crate::Error::RoleBlocked { .. }))
    }

    /// Returns the error of a `reset` that leaves bytes alone because of this one.
    pub(super) fn into_reset_refused(self) -> Self {
        match self {
            Self::Segment(_) => self,
            cause => Self::ResetRefused { cause: Box::new(cause) },
        }
    }
}

impl From<crate::Error> for Box<Error> {
    #[cold]
    fn from(error: crate::Error) -> Self {
        Self::new(error.into())
    }
}

impl From<Box<Self>> for Error {
    #[cold]
    fn from(error: Box<Self>) -> Self {
        *error
    }
}

impl crate::Waited {
    /// Returns the result of a wait for `what`, which could take the time `timeout`.
    ///
    /// # Errors
    /// [`Error::WaitTimedOut`] if the time is over, and [`Error::Stopped`] if the caller didn't want to go
    /// on.
    pub const fn for_what(self, what: &'static str, timeout: Duration) -> Result<()> {
        match self {
            Self::Changed => Ok(()),
            Self::Stopped => Err(Error::Stopped),
            Self::TimedOut => Err(Error::WaitTimedOut { what, waited: timeout }),
        }
    }
}

fn absent(what: &str, waited: Duration) -> String {
    if waited.is_zero() {
        return format!("there is no {what}, and the call didn't wait for one, as its timeout is 0");
    }
    format!("there was no {what} within {waited:?}")
}

fn locked(lock: &str, waited: Duration) -> String {
    if waited.is_zero() {
        return format!("has locked the {lock}, and the call didn't wait, as its timeout is 0");
    }
    format!("kept the {lock} locked for {waited:?}")
}

/// The result of a fallible function on wire formats.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(what: &'static str, waited: u64) -> String {
        Error::WaitTimedOut { what, waited: Duration::from_millis(waited) }.to_string()
    }

    #[test]
    fn time_of_a_wait_is_given_unless_there_was_none() {
        assert_eq!(text("answer", 30), "there was no answer within 30ms");
        assert_eq!(text("answer", 1500), "there was no answer within 1.5s");
        let at_once = text("new message", 0);
        assert!(at_once.starts_with("there is no new message, ") && !at_once.contains("0ns"), "{at_once}");
    }

    #[test]
    fn time_of_a_lock_is_given_unless_there_was_none() {
        let text = |msec| {
            let waited = Duration::from_millis(msec);
            Error::TimedOut { lock: "queue", waited, advice: "reset() frees it" }.to_string()
        };
        assert_eq!(
            text(10),
            "another process kept the queue locked for 10ms; if it is dead, reset() frees it"
        );
        assert!(text(0).starts_with("another process has locked the queue, "), "{}", text(0));
        assert!(text(0).ends_with("; if it is dead, reset() frees it") && !text(0).contains("0ns"));
    }
}
