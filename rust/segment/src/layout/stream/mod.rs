//! The streams of libsharedmemory: one message, the latest one.
//!
//! The three versions have their fields at different offsets (see [`Version`]), and differ in what a reader
//! can know. The types of messages are the same. Here, a message is the bytes in memory: text in UTF-8,
//! numbers in little-endian order.
//!
//! libsharedmemory has no type for plain bytes. This crate writes them with flags that name no type, and
//! reads such a message as bytes. The readers of libsharedmemory don't look at flags by themselves, and can
//! read it as a string.
//!
//! ```
//! use std::time::Duration;
//!
//! use shm_segment::layout::stream::{Kind, Stream, Version};
//! use shm_segment::{Access, Options};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let name = shm_segment::generate_name("doc")?;
//! let wait = Duration::from_millis(10);
//! let ours = Options::new(&name).create(1024)?;
//! let writer = Stream::attach(&ours, Version::V2)?;
//! writer.write(&ours, Kind::String, "hello".as_bytes(), wait)?;
//!
//! let theirs = Options::new(&name).open(0, Access::ReadWrite)?;
//! let reader = Stream::attach(&theirs, Version::V2)?;
//! let mut text = Vec::new();
//! assert!(reader.has_new_data(&theirs)?);
//! assert_eq!(reader.read_into(&theirs, &mut text, wait)?, Kind::String);
//! assert_eq!(text, b"hello");
//! reader.mark_as_read(&theirs)?;
//! assert!(writer.is_message_read(&ours)?);
//! # Ok(())
//! # }
//! ```

mod unlocked;
mod v0;
mod v1;
mod v2;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Segment;
use crate::layout::fields;
use crate::layout::{Error, Result};

/// The version of libsharedmemory that the other side has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// The oldest (0.0.9). No lock: a message that is read while a peer writes may be half old, half new. One
    /// bit announces a new message, and each message flips it. If two messages come between two checks,
    /// a reader notices none.
    V0,
    /// 1.x. Like V0, but all types have the same offsets, and a reader can acknowledge the message.
    V1,
    /// 2.x. A lock, and a revision for each message.
    V2,
}

impl Version {
    const fn wire(self) -> &'static dyn Wire {
        match self {
            Self::V0 => &v0::V0,
            Self::V1 => &v1::V1,
            Self::V2 => &v2::V2,
        }
    }
}

/// The type of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Bytes.
    Bytes,
    /// Text in UTF-8. A peer may have written anything, so check it.
    String,
    /// Floats of 32 bits.
    Floats,
    /// Floats of 64 bits.
    Doubles,
}

/// The flag that each message flips.
const CHANGED: u8 = 1;

impl Kind {
    /// Returns the size of an element in bytes.
    #[must_use]
    pub const fn element_size(self) -> u64 {
        match self {
            Self::Bytes | Self::String => 1,
            Self::Floats => 4,
            Self::Doubles => 8,
        }
    }

    const fn flag(self) -> u8 {
        match self {
            Self::Bytes => 0,
            Self::String => 2,
            Self::Floats => 4,
            Self::Doubles => 8,
        }
    }

    const fn of_flags(flags: u8) -> Option<Self> {
        match flags & !CHANGED {
            0 => Some(Self::Bytes),
            2 => Some(Self::String),
            4 => Some(Self::Floats),
            8 => Some(Self::Doubles),
            _ => None,
        }
    }

    fn of(flags: u8, layout: &'static str) -> Result<Self> {
        Self::of_flags(flags).ok_or_else(|| Error::Invalid {
            layout,
            what: "the flags field",
            found: flags.into(),
            limit: "besides 1, at most one of 2, 4 and 8 may be set".to_owned(),
        })
    }

    /// Returns the flags of a message of this kind that follows one with the flags `before`.
    const fn flags_after(self, before: u8) -> u8 {
        self.flag() | (!before & CHANGED)
    }

    /// Returns the length of the longest message that fits into `room` bytes.
    const fn longest_in(self, room: u64) -> u64 {
        let room = if room > u32::MAX as u64 { u32::MAX as u64 } else { room };
        room - room % self.element_size()
    }

    /// Checks a size that was found in memory.
    fn check_found(self, size: u32, room: u64, layout: &'static str) -> Result<u64> {
        let (size, limit) = (u64::from(size), self.longest_in(room));
        if size <= limit && size % self.element_size() == 0 {
            return Ok(size);
        }
        let limit = match self.element_size() {
            1 => format!("at most {limit} bytes fit"),
            element => format!("it must be a multiple of {element}, and at most {limit} bytes fit"),
        };
        Err(Error::Invalid { layout, what: "the size of the message", found: size, limit })
    }

    /// Checks a value that is about to be written.
    fn check_given(self, bytes: &[u8], room: u64) -> Result<u32> {
        let (length, element) = (bytes.len() as u64, self.element_size());
        if length % element != 0 {
            return Err(Error::WrongLength { length, expected: format!("a multiple of {element}") });
        }
        fields::check_length(bytes, self.longest_in(room))
    }
}

/// The operations that differ between the versions. A *stamp* tells a message from the one before it.
trait Wire: Sync {
    fn layout(&self) -> &'static str;

    /// Returns the smallest size of the header.
    fn header(&self) -> u64;

    /// Returns the offset of a message of this kind.
    fn data_at(&self, kind: Kind) -> u64;

    /// Checks the bytes in memory.
    fn check(&self, segment: &Segment) -> Result<()>;

    /// Checks that the bytes may be a message, even one whose writer died in the middle.
    fn check_before_reset(&self, segment: &Segment) -> Result<()>;

    fn reset(&self, segment: &Segment) -> Result<()>;

    fn write(&self, segment: &Segment, kind: Kind, bytes: &[u8], timeout: Duration) -> Result<()>;

    /// Reads the message into `into`, and returns its kind and stamp.
    fn read(&self, segment: &Segment, into: &mut Vec<u8>, timeout: Duration) -> Result<(Kind, u32)>;

    /// Returns the stamp of the message, if there is one.
    fn stamp(&self, segment: &Segment) -> Result<Option<u32>>;

    /// Tells the writer that the message with this stamp was read. Returns the stamp that the message has
    /// from then on.
    fn acknowledge(&self, segment: &Segment, stamp: u32) -> Result<u32>;

    fn is_acknowledged(&self, segment: &Segment) -> Result<bool>;

    fn room(&self, segment: &Segment, kind: Kind) -> u64 {
        segment.size().saturating_sub(self.data_at(kind))
    }
}

/// An attached stream, and what this side has read.
#[derive(Debug)]
pub struct Stream {
    version: Version,
    /// The stamp of the message last read, and [`UNACKNOWLEDGED`] until [`Stream::mark_as_read`].
    seen: AtomicU64,
}

const UNACKNOWLEDGED: u64 = 1 << 32;

fn stamp_in(seen: u64) -> u32 {
    u32::try_from(seen & !UNACKNOWLEDGED).unwrap_or_default()
}

impl Stream {
    /// Makes the segment a stream, or checks that it is one.
    ///
    /// An empty stream is all zeros in each version. So there is nothing to lay out, and no need to wait for
    /// the creator.
    ///
    /// # Errors
    /// [`Error::SegmentTooSmall`]; [`Error::Invalid`]; [`Error::Segment`]. As V0 and V1 have no lock,
    /// `Invalid` may also mean that a peer is writing to the stream.
    pub fn attach(segment: &Segment, version: Version) -> Result<Self> {
        let wire = version.wire();
        fields::check_room(segment, wire.layout(), wire.header())?;
        wire.check(segment)?;
        Ok(Self { version, seen: AtomicU64::new(0) })
    }

    /// Returns the version that it was attached as.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Removes the message. No process may use the stream at that time.
    ///
    /// The creator of the memory does so whatever is there.
    ///
    /// # Errors
    /// [`Error::ResetRefused`]: another process made the memory, and it holds no stream. [`Error::Segment`].
    pub fn reset(&self, segment: &Segment) -> Result<()> {
        // An empty write fails in read-only memory.
        segment.write(0, &[])?;
        let wire = self.version.wire();
        if !segment.is_created() {
            wire.check_before_reset(segment).map_err(Error::into_reset_refused)?;
        }
        wire.reset(segment)?;
        self.seen.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Replaces the message. `bytes` are the bytes to be in memory: [`Kind`] tells what they mean. Waits at
    /// most `timeout` for the lock of V2.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::WrongLength`], [`Error::TimedOut`]: nothing has changed.
    /// [`Error::SegmentTooSmall`]: an empty message whose fields lie outside; nothing has changed.
    /// [`Error::Invalid`]: the memory holds no stream; nothing has changed. [`Error::Segment`].
    pub fn write(&self, segment: &Segment, kind: Kind, bytes: &[u8], timeout: Duration) -> Result<()> {
        self.version.wire().write(segment, kind, bytes, timeout)
    }

    /// Copies the message into `into`, and returns its kind. After an error, the bytes in `into` mean
    /// nothing.
    ///
    /// Waits at most `timeout` for the lock of V2. In read-only memory, no lock can be taken. There, it waits
    /// for a moment in which no peer writes.
    ///
    /// # Errors
    /// [`Error::Empty`]: there is no message yet. To V0 and V1, an empty message looks the same unless the
    /// flag for changes is set. [`Error::Invalid`], in V0 and V1 also while a peer writes;
    /// [`Error::TimedOut`]; [`Error::OutOfMemory`]; [`Error::Segment`].
    pub fn read_into(&self, segment: &Segment, into: &mut Vec<u8>, timeout: Duration) -> Result<Kind> {
        let (kind, stamp) = self.version.wire().read(segment, into, timeout)?;
        self.remember(stamp);
        Ok(kind)
    }

    /// Reads as [`read_into`](Self::read_into) does, and returns what `make` makes of the message. If `make`
    /// fails, the message counts as unread.
    ///
    /// # Errors
    /// As [`read_into`](Self::read_into); those of `make`.
    pub fn read_as<T>(
        &self,
        segment: &Segment,
        timeout: Duration,
        make: impl FnOnce(Kind, &[u8]) -> Result<T>,
    ) -> Result<T> {
        let mut bytes = Vec::new();
        let (kind, stamp) = self.version.wire().read(segment, &mut bytes, timeout)?;
        let made = make(kind, &bytes)?;
        self.remember(stamp);
        Ok(made)
    }

    fn remember(&self, stamp: u32) {
        self.seen.store(UNACKNOWLEDGED | u64::from(stamp), Ordering::Relaxed);
    }

    /// Returns whether there is a message that this side has not read.
    ///
    /// V2 knows, even of messages from before this side attached. V0 and V1 compare a bit with its value when
    /// this side last read, or with 0 if it has not read.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Segment`].
    pub fn has_new_data(&self, segment: &Segment) -> Result<bool> {
        let stamp = self.version.wire().stamp(segment)?;
        let seen = stamp_in(self.seen.load(Ordering::Relaxed));
        Ok(stamp.is_some_and(|stamp| stamp != seen))
    }

    /// Tells the writer that the message last read was read. If none was read since the last call, that is
    /// the message that is there now. In V0, the writer can't be told.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Segment`], also for read-only memory, except in V0.
    pub fn mark_as_read(&self, segment: &Segment) -> Result<()> {
        let wire = self.version.wire();
        let seen = self.seen.load(Ordering::Relaxed);
        let stamp = if seen & UNACKNOWLEDGED == 0 { wire.stamp(segment)? } else { Some(stamp_in(seen)) };
        if let Some(stamp) = stamp {
            let stamp = wire.acknowledge(segment, stamp)?;
            // Unless another thread has read another message concurrently.
            let _ = self.seen.compare_exchange(seen, u64::from(stamp), Ordering::Relaxed, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Returns whether a reader has acknowledged the message. Also true if there is none.
    ///
    /// # Errors
    /// [`Error::NoAcknowledgement`] in V0; [`Error::Invalid`]; [`Error::Segment`].
    pub fn is_message_read(&self, segment: &Segment) -> Result<bool> {
        self.version.wire().is_acknowledged(segment)
    }

    /// Returns the size of the longest message of this kind, in bytes.
    #[must_use]
    pub fn capacity(&self, segment: &Segment, kind: Kind) -> u64 {
        kind.longest_in(self.version.wire().room(segment, kind))
    }
}
