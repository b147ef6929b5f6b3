//! The facts about a segment that the system gives without opening it.

use std::fmt;
use std::time::Duration;

use crate::options::{Lifetime, Scope};

/// The state of the process that made a segment. That process holds a lock, which the kernel releases when
/// the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OwnerState {
    /// Another program made it, or the system doesn't say.
    #[default]
    Unknown,
    /// The process that made it has it open.
    Alive,
    /// The process that made it has ended, or has closed it.
    Dead,
}

/// The facts that are known of a segment with a name.
///
/// Displayed, it says whose the segment is, and what this process can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The size in bytes; on Windows, in whole pages.
    pub size: u64,
    /// The users that may open it: [`Scope::Global`] if others may write.
    pub scope: Scope,
    /// The state of its owner.
    pub owner: OwnerState,
    /// The program that made it.
    pub maker: Maker,
    /// The ID of its user, if that is another than this process's.
    pub other_user: Option<u32>,
    /// True if this process may remove it.
    pub can_remove: bool,
    /// The messages of the native layout in it, if it holds a valid one that this process may read.
    pub messages: Option<Messages>,
}

/// The messages of a native layout in a segment.
///
/// The memory says so, and any program that may write to it can make it say anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Messages {
    /// `latest`, a stream; `lanes`, a queue; or `pair`, a peer.
    pub layout: &'static str,
    /// A random number, which is another one after each laying out and each reset. Never 0.
    pub incarnation: u64,
    /// The number of messages that were written since then. In a pair, marks and both directions count.
    pub count: u64,
    /// The time since the newest message was written. `None` if there is no message or no known time, and for
    /// queues and pairs.
    pub newest_age: Option<Duration>,
}

/// The program that made a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// This library, in any process, with this lifetime.
    Ours(Lifetime),
    /// Another program.
    Other,
    /// Any program: it is a file.
    File,
    /// Unknown to the system.
    Unknown,
}

impl fmt::Display for SegmentInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = match self.other_user {
            None => "this user".to_owned(),
            Some(id) => format!("another user (ID {id})"),
        };
        match (self.owner, self.maker) {
            (OwnerState::Alive, _) => write!(f, "a running process of {user} owns it")?,
            (OwnerState::Dead, Maker::Ours(Lifetime::Persistent)) => {
                write!(f, "a process of {user} made it persistent, and has ended")?;
            }
            (OwnerState::Dead, _) => write!(f, "it is left over from a process of {user} that has ended")?,
            (OwnerState::Unknown, Maker::Other) => write!(f, "another program of {user} made it")?,
            (OwnerState::Unknown, Maker::File) => write!(f, "it is a file of {user}")?,
            (OwnerState::Unknown, _) => {
                write!(f, "it belongs to {user}, and the system does not say whether its owner is running")?;
            }
        }
        match (self.can_remove, self.owner) {
            (false, _) => f.write_str("; only that user and root can remove it, so use another name"),
            (true, OwnerState::Alive) => Ok(()),
            (true, _) => f.write_str("; remove() removes it"),
        }
    }
}
