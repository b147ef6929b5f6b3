//! What went wrong with a wire format, and what was found.

use std::time::Duration;

/// Every way in which an operation on a wire format fails.
///
/// As in [`crate::Error`], the text of each fits after "`write`: " as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The segment itself: read-only, truncated.
    #[error(transparent)]
    Segment(#[from] crate::Error),
    /// What is in memory can't be.
    #[error("the memory holds no valid {layout}: {what} is {found}, where {limit}")]
    Invalid {
        /// What the memory should hold.
        layout: &'static str,
        /// Which part of it is wrong.
        what: &'static str,
        /// What was found there.
        found: u64,
        /// What may be there.
        limit: String,
    },
    /// The creator of the segment has not laid the header out yet.
    #[error("the memory holds no {layout} yet: its creator has not laid it out")]
    NotLaidOutYet {
        /// What the memory should hold.
        layout: &'static str,
    },
    /// The segment has no room for the header and one element.
    #[error("{size} bytes of memory are too few: the {layout} takes at least {needed}")]
    SegmentTooSmall {
        /// What the memory should hold.
        layout: &'static str,
        /// How many bytes the segment has.
        size: u64,
        /// The fewest it must have.
        needed: u64,
    },
    /// The value does not fit; nothing was written.
    #[error("{size} bytes are too many: at most {limit} fit")]
    TooLarge {
        /// How many bytes were to be written.
        size: u64,
        /// How many may be.
        limit: u64,
    },
    /// The length is no whole number of elements, or not that of one.
    #[error("{length} bytes are not {expected}")]
    WrongLength {
        /// How many bytes there were.
        length: u64,
        /// How many there should be, in words.
        expected: String,
    },
    /// An element must have a size, and a queue's longest message.
    #[error("{what} must be from 1 to {limit} bytes, not {given}")]
    InvalidElementSize {
        /// What has this size.
        what: &'static str,
        /// The size that was given.
        given: u64,
        /// The largest that fits.
        limit: u64,
    },
    /// The array has no such element.
    #[error("there is no element {index}: the array has {count}")]
    NoSuchElement {
        /// Which was asked for.
        index: u64,
        /// How many there are.
        count: u64,
    },
    /// Another process holds the lock (or died with it, or writes without a pause); nothing was written.
    #[error("another process kept the {lock} locked for {waited:?}; if it is dead, reset() is the way out")]
    TimedOut {
        /// Whose lock.
        lock: &'static str,
        /// How long it was waited for.
        waited: Duration,
    },
    /// There is no message.
    #[error("there is no message")]
    Empty,
    /// There is no room for another message before one is taken out.
    #[error("the queue is full: it holds all the {capacity} messages that it can")]
    Full {
        /// How many it can hold.
        capacity: u64,
    },
    /// In this format, readers can't say that they have read a message.
    #[error("a reader of a {layout} leaves no sign that it has read a message")]
    NoAcknowledgement {
        /// The format.
        layout: &'static str,
    },
    /// There is no memory for a copy of what was found.
    #[error("there is no memory for a copy of {size} bytes")]
    OutOfMemory {
        /// How many bytes were to be copied.
        size: u64,
    },
}

/// What every fallible function of the wire formats returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;
