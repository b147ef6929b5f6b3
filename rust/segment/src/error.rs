//! Errors of segments: what failed, with which name, in which system call.

use std::{fmt, io};

use crate::info::SegmentInfo;

/// A failed operation on a segment.
///
/// Each text names the refused value and the limit, or the failed system call and the system's own words. It
/// fits after "`create`: " unchanged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name can't be the name of a segment.
    #[error("the name {} {problem}", short(name))]
    InvalidName {
        /// The name as it was given.
        name: String,
        /// The rule that it breaks.
        problem: crate::NameProblem,
    },
    /// The prefix leaves no room for the random part of a generated name.
    #[error("the prefix {} is {} bytes long; at most {limit} fit", short(prefix), prefix.len())]
    InvalidPrefix {
        /// The prefix as it was given.
        prefix: String,
        /// The longest prefix, in bytes.
        limit: usize,
    },
    /// A segment of this size can't exist.
    #[error("the size must be from 1 to {limit} bytes, not {size}")]
    InvalidSize {
        /// The size that was asked for, in bytes.
        size: u64,
        /// The largest size, in bytes.
        limit: u64,
    },
    /// The segment is smaller than the size asked for.
    #[error("{name:?} has {actual} bytes, fewer than the {requested} asked for{}", after(": ", info))]
    TooSmall {
        /// The segment's name.
        name: String,
        /// Its size in bytes.
        actual: u64,
        /// The size that was asked for, in bytes.
        requested: u64,
        /// The facts that are known of the segment, on systems that give them.
        info: Option<Box<SegmentInfo>>,
    },
    /// The bytes asked for don't all lie in the segment.
    #[error("offset {offset} and length {length} reach past the end of the {size} bytes")]
    OutOfBounds {
        /// The offset of the first byte asked for.
        offset: u64,
        /// The number of bytes asked for.
        length: u64,
        /// The size of the segment in bytes.
        size: u64,
    },
    /// The rows asked for don't all lie in the segment.
    #[error("the rows take bytes {lowest} to {highest}, and the segment has bytes 0 to {}", size - 1)]
    RowsOutOfBounds {
        /// The offset of the first byte asked for. It may lie before the segment.
        lowest: i128,
        /// The offset of the last byte asked for.
        highest: i128,
        /// The size of the segment in bytes.
        size: u64,
    },
    /// The offset of a word is not a multiple of its size.
    #[error("the offset of a word of {alignment} bytes must be a multiple of {alignment}, not {offset}")]
    Misaligned {
        /// The offset as it was given.
        offset: u64,
        /// The size of the word, in bytes.
        alignment: u64,
    },
    /// The name is taken, and may not be reclaimed.
    #[error("{name:?} exists already: {why}")]
    AlreadyExists {
        /// The name that is taken.
        name: String,
        /// The reason why it was not reclaimed.
        why: Taken,
    },
    /// Nothing has this name.
    #[error("{name:?} does not exist ({call}: {source})")]
    DoesNotExist {
        /// The name that leads nowhere.
        name: String,
        /// The system call that found nothing.
        call: &'static str,
        /// The system's own words.
        source: io::Error,
    },
    /// The segment has no size yet: its creator is between two system calls, or died there.
    #[error("{name:?} exists, but its creator has not given it a size yet")]
    NotSizedYet {
        /// The segment's name.
        name: String,
    },
    /// Another process holds a lease on the file (`F_SETLEASE`, `fcntl(2)`), so opening it would block.
    ///
    /// The system asks the holder to give the lease up. So a later call may succeed.
    #[error("{name:?} can't be opened now: another process holds a lease on it")]
    Leased {
        /// The segment's name.
        name: String,
    },
    /// Another program keeps a lock on the byte of a role, but holds no role: a read lock, or a lock on the
    /// whole file.
    #[error("{name:?}: a lock of another program is in the way of the role, although it holds none")]
    RoleBlocked {
        /// The segment's name.
        name: String,
    },
    /// Something has this name, but it isn't shared memory.
    #[error("{name:?} is not shared memory, but {found}")]
    NotASegment {
        /// The name.
        name: String,
        /// The thing that it leads to.
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
    /// There is not enough memory, or a limit on it is reached.
    #[error("{name:?}: no room for {size} bytes ({call}: {source})")]
    OutOfMemory {
        /// The segment's name.
        name: String,
        /// The size that was asked for, in bytes.
        size: u64,
        /// The system call that failed, or the limit that forbade it, such as `MemAvailable`.
        call: &'static str,
        /// The system's own words.
        source: io::Error,
    },
    /// This process, or the whole system, can open no more files. Each open segment keeps one.
    #[error("{name:?}: {call} failed: too many files are open ({limit}), and each open segment keeps one")]
    TooManyFiles {
        /// The segment's name.
        name: String,
        /// The system call that failed.
        call: &'static str,
        /// The limit that is reached: its name, and its value if that is known.
        limit: String,
    },
    /// The segment was opened for reading only.
    #[error("{name:?} is open for reading only")]
    ReadOnly {
        /// The segment's name.
        name: String,
    },
    /// Another process has truncated the memory since it was mapped.
    #[error("{name:?} was truncated by another process: {actual} of {expected} bytes are left")]
    Truncated {
        /// The segment's name.
        name: String,
        /// The current size of the segment, in bytes.
        actual: u64,
        /// The number of mapped bytes.
        expected: u64,
    },
    /// The segment has its size, but the system could not supply a page of it. No memory was left for a page
    /// that the creator had not reserved, or the storage behind it failed.
    #[error("{name:?}: the system could not supply a page of it (no memory left, or a memory error)")]
    PageLost {
        /// The segment's name.
        name: String,
    },
    /// This system, or this build, can't do that.
    #[error("{what} is not available on this system")]
    Unsupported {
        /// The missing feature.
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

/// The reason why a name is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// A segment has it.
    By {
        /// The facts that are known of that segment.
        info: Box<SegmentInfo>,
        /// The size that was asked for, in bytes.
        requested: u64,
    },
    /// Anything else.
    Otherwise(&'static str),
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By { info, requested } if info.size != *requested => {
                write!(f, "{info} (it has {} bytes, and {requested} were asked for)", info.size)
            }
            Self::By { info, .. } => write!(f, "{info}"),
            Self::Otherwise(why) => f.write_str(why),
        }
    }
}

/// The result of a fallible function on segments.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Returns `what` with `start` before it, if there is something.
fn after(start: &str, what: &Option<impl fmt::Display>) -> String {
    what.as_ref().map_or_else(String::new, |what| format!("{start}{what}"))
}

/// Quotes a text, and shortens it if it is long: a name may be of any length.
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
    fn a_message_shortens_a_long_name() {
        let message = |name: &str| crate::generate_name(name).unwrap_err().to_string();
        assert!(message("a/b").contains("\"a/b\""));
        assert!(message(&"ä".repeat(70_000)).len() < 1000);
    }
}
