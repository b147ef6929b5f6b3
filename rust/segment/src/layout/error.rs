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
    #[error("the memory does not hold a {layout} yet: no program has laid it out")]
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
    #[error("the {layout} in memory is for {what} of {found} bytes, not of {wanted}")]
    LaidOutSmaller {
        /// The format in memory.
        layout: &'static str,
        /// The part that has this size.
        what: &'static str,
        /// The size in the header.
        found: u64,
        /// The size that was asked for.
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
    #[error("another process kept the {lock} locked for {waited:?}; if it is dead, {advice}")]
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
    /// Returns the error of a `reset` that leaves bytes alone because of this one.
    pub(super) fn into_reset_refused(self) -> Self {
        match self {
            Self::Segment(_) => self,
            cause => Self::ResetRefused { cause: Box::new(cause) },
        }
    }
}

/// The result of a fallible function on wire formats.
pub type Result<T, E = Error> = std::result::Result<T, E>;
