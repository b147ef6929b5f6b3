//! The streams of libsharedmemory: one message, the latest one.
//!
//! Its three versions put the fields in different places (see [`Version`]) and differ in what a reader can know; the
//! types of messages are the same. A message is bytes here, as they are in memory: text in UTF-8, numbers in
//! little-endian order.
//!
//! libsharedmemory has no type for plain bytes. This crate writes them as flags without any type, and takes such flags
//! for bytes; libsharedmemory's readers, which look at no flags by themselves, can read them as a string.
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

/// Which version of libsharedmemory the other side has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// The oldest (0.0.9). No lock: what is read while somebody writes may be half of each message. Only a bit tells
    /// of a new one, which each message flips: of two messages between two looks, a reader notices none.
    V0,
    /// 1.x. As V0, with every type in the same place; and a reader can say that it has read the message.
    V1,
    /// 2.x. A lock, and a number for each message.
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

/// What a message is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Bytes.
    Bytes,
    /// Text in UTF-8. A peer may have written anything: check it.
    String,
    /// Numbers of 32 bits.
    Floats,
    /// Numbers of 64 bits.
    Doubles,
}

/// In the flags, what each message flips.
const CHANGED: u8 = 1;

impl Kind {
    /// How many bytes one element has.
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

    fn of(flags: u8, layout: &'static str) -> Result<Self> {
        match flags & !CHANGED {
            0 => Ok(Self::Bytes),
            2 => Ok(Self::String),
            4 => Ok(Self::Floats),
            8 => Ok(Self::Doubles),
            _ => Err(Error::Invalid {
                layout,
                what: "the flags",
                found: flags.into(),
                limit: "one of 2, 4 and 8, or none, may be set beside 1".to_owned(),
            }),
        }
    }

    /// The flags of a message of this kind that comes after one with the flags `before`.
    const fn flags_after(self, before: u8) -> u8 {
        self.flag() | (!before & CHANGED)
    }

    /// The longest message that fits into `room` bytes.
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
            1 => format!("at most {limit} fit"),
            element => format!("at most {limit} fit, and {element} must divide it"),
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

/// What each version does in its own way. A `mark` tells a message from the one before.
trait Wire: Sync {
    fn layout(&self) -> &'static str;

    /// How many bytes the header takes, at least.
    fn header(&self) -> u64;

    /// Where a message of this kind begins.
    fn data_at(&self, kind: Kind) -> u64;

    /// Checks what is in memory.
    fn check(&self, segment: &Segment) -> Result<()>;

    fn reset(&self, segment: &Segment) -> Result<()>;

    fn write(&self, segment: &Segment, kind: Kind, bytes: &[u8], timeout: Duration) -> Result<()>;

    /// Reads the message, and its mark.
    fn read(&self, segment: &Segment, into: &mut Vec<u8>, timeout: Duration) -> Result<(Kind, u32)>;

    /// The mark of the message that is there, if there is one.
    fn mark(&self, segment: &Segment) -> Result<Option<u32>>;

    /// Lets the writer know that the message of this mark was read. Returns the mark that it has from now on.
    fn acknowledge(&self, segment: &Segment, mark: u32) -> Result<u32>;

    fn is_acknowledged(&self, segment: &Segment) -> Result<bool>;

    fn room(&self, segment: &Segment, kind: Kind) -> u64 {
        segment.size().saturating_sub(self.data_at(kind))
    }
}

/// A stream that was attached to, and what this side has seen of it.
#[derive(Debug)]
pub struct Stream {
    version: Version,
    /// The mark of the message last read, and [`UNMARKED`] until [`Stream::mark_as_read`].
    seen: AtomicU64,
}

const UNMARKED: u64 = 1 << 32;

fn mark_in(seen: u64) -> u32 {
    u32::try_from(seen & !UNMARKED).unwrap_or_default()
}

impl Stream {
    /// Makes the segment a stream, or finds that it is one.
    ///
    /// A stream that nobody has written to is all zeros in each version. So there is nothing to lay out, and no
    /// need to wait for the creator.
    ///
    /// # Errors
    /// [`Error::SegmentTooSmall`]; [`Error::Invalid`], which V0 and V1, having no lock, may also report of a stream
    /// that is being written to; [`Error::Segment`].
    pub fn attach(segment: &Segment, version: Version) -> Result<Self> {
        let wire = version.wire();
        fields::check_room(segment, wire.layout(), wire.header())?;
        wire.check(segment)?;
        Ok(Self { version, seen: AtomicU64::new(0) })
    }

    /// The version it was attached as.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Removes the message, whatever is there. Nobody may be using the stream.
    ///
    /// # Errors
    /// [`Error::Segment`].
    pub fn reset(&self, segment: &Segment) -> Result<()> {
        self.version.wire().reset(segment)?;
        self.seen.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Replaces the message. `bytes` are what is to be in memory: [`Kind`] says what they mean. Waits for the lock of V2
    /// at most `timeout`.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::WrongLength`], [`Error::TimedOut`]: nothing has changed; nor has it after
    /// [`Error::SegmentTooSmall`], for a message of no bytes whose place lies outside. [`Error::Segment`].
    pub fn write(&self, segment: &Segment, kind: Kind, bytes: &[u8], timeout: Duration) -> Result<()> {
        self.version.wire().write(segment, kind, bytes, timeout)
    }

    /// Makes `into` the message that is there, and says what it is. After an error, `into` holds nothing that means
    /// anything. Waits for the lock of V2 at most `timeout`; where memory is read-only, and so no lock can be taken, for
    /// a moment in which nobody writes.
    ///
    /// # Errors
    /// [`Error::Empty`]: nobody has written yet. (To V0 and V1, a message of no bytes looks the same where it doesn't
    /// have the flag for changes.) [`Error::Invalid`], in V0 and V1 also because somebody is writing;
    /// [`Error::TimedOut`]; [`Error::OutOfMemory`]; [`Error::Segment`].
    pub fn read_into(&self, segment: &Segment, into: &mut Vec<u8>, timeout: Duration) -> Result<Kind> {
        let (kind, mark) = self.version.wire().read(segment, into, timeout)?;
        self.note(mark);
        Ok(kind)
    }

    /// As [`read_into`](Self::read_into), and returns what `make` makes of the message. If that is an error, the message
    /// was not read.
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
        let (kind, mark) = self.version.wire().read(segment, &mut bytes, timeout)?;
        let made = make(kind, &bytes)?;
        self.note(mark);
        Ok(made)
    }

    fn note(&self, mark: u32) {
        self.seen.store(UNMARKED | u64::from(mark), Ordering::Relaxed);
    }

    /// Is there a message that this side has not read? V2 knows, those from before it attached included. V0 and V1 see
    /// whether a bit has flipped since this side last read, and take it to have been 0 when it attached.
    ///
    /// # Errors
    /// [`Error::Segment`].
    pub fn has_new_data(&self, segment: &Segment) -> Result<bool> {
        let mark = self.version.wire().mark(segment)?;
        let seen = mark_in(self.seen.load(Ordering::Relaxed));
        Ok(mark.is_some_and(|mark| mark != seen))
    }

    /// Tells the writer that the message last read was read; if none was read since the last time, the one that is
    /// there now. In V0 the writer can't be told.
    ///
    /// # Errors
    /// [`Error::Segment`], read-only memory included (but in V0).
    pub fn mark_as_read(&self, segment: &Segment) -> Result<()> {
        let wire = self.version.wire();
        let seen = self.seen.load(Ordering::Relaxed);
        let mark = if seen & UNMARKED == 0 { wire.mark(segment)? } else { Some(mark_in(seen)) };
        if let Some(mark) = mark {
            let mark = wire.acknowledge(segment, mark)?;
            // Unless another thread has read another one meanwhile.
            let _ = self.seen.compare_exchange(seen, u64::from(mark), Ordering::Relaxed, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Has a reader said that it has read the message that is there? Also true if there is none.
    ///
    /// # Errors
    /// [`Error::NoAcknowledgement`] in V0; [`Error::Segment`].
    pub fn is_message_read(&self, segment: &Segment) -> Result<bool> {
        self.version.wire().is_acknowledged(segment)
    }

    /// How many bytes the longest message of this kind has.
    #[must_use]
    pub fn capacity(&self, segment: &Segment, kind: Kind) -> u64 {
        kind.longest_in(self.version.wire().room(segment, kind))
    }
}
