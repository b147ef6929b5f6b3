//! What went wrong, with which name, in which system call.

use std::io;

/// Every way in which an operation on a segment fails.
///
/// The text of each says which value was refused and what the limit is, or which system call failed and what
/// the system said; it fits after "`create`: " as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name can't be the name of a segment.
    #[error("the name {} {problem}", short(name))]
    InvalidName {
        /// The name as it was given.
        name: String,
        /// What is wrong with it.
        problem: crate::NameProblem,
    },
    /// The prefix leaves no room for the random part of a generated name.
    #[error("the prefix {} is {} bytes long; at most {limit} fit", short(prefix), prefix.len())]
    InvalidPrefix {
        /// The prefix as it was given.
        prefix: String,
        /// How many bytes it may have.
        limit: usize,
    },
    /// A segment of this size can't exist.
    #[error("the size must be from 1 to {limit} bytes, not {size}")]
    InvalidSize {
        /// The size that was asked for, in bytes.
        size: u64,
        /// The largest size there can be, in bytes.
        limit: u64,
    },
    /// The segment is there, but smaller than what was asked for.
    #[error("{name:?} holds {actual} bytes, fewer than the {requested} asked for")]
    TooSmall {
        /// The segment's name.
        name: String,
        /// Its size in bytes.
        actual: u64,
        /// The size that was asked for, in bytes.
        requested: u64,
    },
    /// The bytes asked for don't all lie in the segment.
    #[error("offset {offset} and length {length} reach past the end of the {size} bytes there are")]
    OutOfBounds {
        /// Where the access would have begun.
        offset: u64,
        /// How many bytes it would have touched.
        length: u64,
        /// The size of the segment in bytes.
        size: u64,
    },
    /// A word of 32 bits that is read or written in one step must lie where 4 divides the offset.
    #[error("offset {offset} is no multiple of 4, as that of a word must be")]
    Misaligned {
        /// The offset as it was given.
        offset: u64,
    },
    /// The name is taken by something that may not be reclaimed.
    #[error("{name:?} exists already: {why}")]
    AlreadyExists {
        /// The name that is taken.
        name: String,
        /// Why it was not taken over.
        why: &'static str,
    },
    /// Nothing has this name.
    #[error("{name:?} does not exist, says {call}: {source}")]
    DoesNotExist {
        /// The name that leads nowhere.
        name: String,
        /// The system call that found nothing.
        call: &'static str,
        /// The system's own words.
        source: io::Error,
    },
    /// The segment has no size yet: its creator is between its two system calls (or died there).
    #[error("{name:?} has been made, but its creator has not given it a size yet")]
    NotSizedYet {
        /// The segment's name.
        name: String,
    },
    /// Another process holds a lease on the file (`F_SETLEASE`, `fcntl(2)`), and to open it would block.
    ///
    /// The system asks the holder to give it up. So a later call may succeed.
    #[error("{name:?} can't be opened now: another process holds a lease on it")]
    Leased {
        /// The segment's name.
        name: String,
    },
    /// Something has this name, but it isn't shared memory.
    #[error("{name:?} is no shared memory but {found}")]
    NotASegment {
        /// The name.
        name: String,
        /// What it leads to.
        found: &'static str,
    },
    /// The system refused this user.
    #[error("{name:?}: {call} was refused: {source}")]
    PermissionDenied {
        /// The segment's name.
        name: String,
        /// The system call that was refused.
        call: &'static str,
        /// The system's own words.
        source: io::Error,
    },
    /// There is no room for it: memory, or a limit on it.
    #[error("{name:?}: no room for {size} bytes, says {call}: {source}")]
    OutOfMemory {
        /// The segment's name.
        name: String,
        /// The size that was asked for, in bytes.
        size: u64,
        /// The system call that failed.
        call: &'static str,
        /// The system's own words.
        source: io::Error,
    },
    /// The segment was opened for reading only.
    #[error("{name:?} is open for reading only")]
    ReadOnly {
        /// The segment's name.
        name: String,
    },
    /// Another process has cut the memory short since it was mapped.
    #[error("{name:?} was truncated by another process: {actual} of {expected} bytes are left")]
    Truncated {
        /// The segment's name.
        name: String,
        /// How many bytes the segment has now.
        actual: u64,
        /// How many were mapped.
        expected: u64,
    },
    /// The segment has its size, but the system could not supply a page of it: there was no memory left for one
    /// that its creator had not reserved, or the storage behind it failed.
    #[error("{name:?}: the system could not supply a page of it (no memory left, or a memory error)")]
    PageLost {
        /// The segment's name.
        name: String,
    },
    /// This system (or this build) can't do that.
    #[error("{what} is not available on this system")]
    Unsupported {
        /// What isn't there.
        what: &'static str,
    },
    /// Any other failure of a system call.
    #[error("{name:?}: {call} failed: {source}")]
    System {
        /// The segment's name.
        name: String,
        /// The system call that failed.
        call: &'static str,
        /// The system's own words.
        source: io::Error,
    },
}

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A text that may be of any length, as much of it as a message can do with.
fn short(text: &str) -> String {
    const CHARACTERS: usize = 300;
    match text.char_indices().nth(CHARACTERS) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[test]
    fn a_message_does_not_repeat_a_name_of_any_length() {
        let message = |name: &str| crate::generate_name(name).unwrap_err().to_string();
        assert!(message("a/b").contains("\"a/b\""));
        assert!(message(&"ä".repeat(70_000)).len() < 1000);
    }
}
