//! The queues of libsharedmemory: messages in order, in a ring of slots of one size.
//!
//! ```
//! use std::time::Duration;
//!
//! use shm_segment::layout::queue::{Queue, Version};
//! use shm_segment::{Access, Options};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let name = shm_segment::generate_name("doc")?;
//! let wait = Duration::from_millis(10);
//! let ours = Options::new(&name).create(4096)?;
//! let producer = Queue::attach(&ours, Version::V2, 100)?;
//! producer.enqueue(&ours, b"first", wait)?;
//! producer.enqueue(&ours, b"second", wait)?;
//!
//! let theirs = Options::new(&name).open(0, Access::ReadWrite)?;
//! let consumer = Queue::attach(&theirs, Version::V2, 0)?;
//! let mut message = Vec::new();
//! consumer.dequeue_into(&theirs, &mut message, wait)?;
//! assert_eq!(message, b"first");
//! assert_eq!(consumer.count(&theirs)?, 1);
//! # Ok(())
//! # }
//! ```

mod laying_out;
mod ring;
mod v1;
mod v2;

use std::time::Duration;

use crate::Segment;
use crate::layout::{Error, Result};
use ring::{Geometry, Ring};

/// The version of libsharedmemory that the other side has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// 1.7 to 1.10. No lock: one producer and one consumer. With more of either, messages get lost.
    V1,
    /// 2.x. One lock for the producers and one for the consumers: any number of each.
    V2,
}

impl Version {
    const fn wire(self) -> &'static dyn Wire {
        match self {
            Self::V1 => &v1::V1,
            Self::V2 => &v2::V2,
        }
    }
}

/// The operations that differ between the versions.
trait Wire: Sync {
    fn ring(&self) -> &Ring;

    fn enqueue(&self, segment: &Segment, message: &[u8], timeout: Duration) -> Result<()>;

    fn dequeue(&self, segment: &Segment, into: &mut Vec<u8>, take: Take<'_>, timeout: Duration)
    -> Result<()>;

    fn peek(&self, segment: &Segment, into: &mut Vec<u8>, timeout: Duration) -> Result<()>;
}

/// Called with a message before it is gone from the queue. If it fails, the message stays.
type Take<'a> = &'a mut dyn FnMut(&[u8]) -> Result<()>;

/// An attached queue.
#[derive(Debug, Clone, Copy)]
pub struct Queue {
    version: Version,
    /// The geometry when it was attached. Only `reset` uses it.
    attached: Geometry,
}

impl Queue {
    /// Makes the segment a queue, or checks that it is one.
    ///
    /// Memory of zeros becomes a new queue for messages of up to `max_message` bytes, which holds as many as
    /// fit. Any process that may write there makes it one. Of several at once, exactly one decides the size.
    /// For an existing queue, the header decides: it must be for messages of at least `max_message` bytes,
    /// which may be 0.
    ///
    /// # Errors
    /// [`Error::InvalidElementSize`] and [`Error::SegmentTooSmall`]; [`Error::NotLaidOutYet`], with a
    /// `max_message` of 0 for a process that isn't the creator, or in read-only memory;
    /// [`Error::LaidOutSmaller`]; [`Error::NotZeros`]; [`Error::Invalid`]; [`Error::Segment`].
    pub fn attach(segment: &Segment, version: Version, max_message: u64) -> Result<Self> {
        let ring = version.wire().ring();
        ring.check_room(segment)?;
        ring.lay_out(segment, max_message)?;
        let attached = ring.check(segment)?;
        let found = u64::from(attached.max_message);
        if found < max_message {
            let (layout, what) = (ring.layout, "the size of the longest message");
            return Err(Error::LaidOutSmaller { layout, what, found, wanted: max_message });
        }
        Ok(Self { version, attached })
    }

    /// Returns the version that it was attached as.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Removes all messages, releases the locks, and makes the header what it was when the queue was
    /// attached. No process may use the queue at that time.
    ///
    /// # Errors
    /// [`Error::ResetRefused`]: another process made the memory, and it holds no queue. [`Error::Segment`].
    pub fn reset(&self, segment: &Segment) -> Result<()> {
        self.version.wire().ring().reset(segment, self.attached)
    }

    /// Adds a message at the end. Waits at most `timeout` for the producers' lock of V2.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::TooLarge`], [`Error::TimedOut`]: nothing has changed. [`Error::Invalid`];
    /// [`Error::Segment`].
    pub fn enqueue(&self, segment: &Segment, message: &[u8], timeout: Duration) -> Result<()> {
        self.version.wire().enqueue(segment, message, timeout)
    }

    /// Takes the first message out, and returns what `make` makes of its bytes.
    ///
    /// After an error, even one of `make`'s own, the message is still in the queue. Waits at most `timeout`
    /// for the consumers' lock of V2, and holds it while `make` runs.
    ///
    /// # Errors
    /// [`Error::Empty`]; [`Error::TimedOut`]; [`Error::Invalid`]; [`Error::OutOfMemory`]; [`Error::Segment`];
    /// those of `make`.
    pub fn dequeue_as<T>(
        &self,
        segment: &Segment,
        timeout: Duration,
        make: impl Fn(&[u8]) -> Result<T>,
    ) -> Result<T> {
        let mut made = Err(Error::Empty);
        let mut take = |message: &[u8]| {
            made = Ok(make(message)?);
            Ok(())
        };
        self.version.wire().dequeue(segment, &mut Vec::new(), &mut take, timeout)?;
        made
    }

    /// Takes the first message out into `into`, as [`dequeue_as`](Self::dequeue_as) does.
    ///
    /// # Errors
    /// As [`dequeue_as`](Self::dequeue_as).
    pub fn dequeue_into(&self, segment: &Segment, into: &mut Vec<u8>, timeout: Duration) -> Result<()> {
        self.version.wire().dequeue(segment, into, &mut |_| Ok(()), timeout)
    }

    /// Copies the first message into `into`, and leaves it in the queue. Takes the same lock as the other
    /// methods of a consumer, so it fails in read-only memory of V2, but not of V1.
    ///
    /// # Errors
    /// As [`dequeue_into`](Self::dequeue_into).
    pub fn peek_into(&self, segment: &Segment, into: &mut Vec<u8>, timeout: Duration) -> Result<()> {
        self.version.wire().peek(segment, into, timeout)
    }

    /// Returns the number of messages.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Segment`].
    pub fn count(&self, segment: &Segment) -> Result<u32> {
        let ring = self.version.wire().ring();
        ring.count(segment, ring.geometry(segment)?)
    }

    /// Returns whether there is no message.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub fn is_empty(&self, segment: &Segment) -> Result<bool> {
        Ok(self.count(segment)? == 0)
    }

    /// Returns whether there is no room for another message.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub fn is_full(&self, segment: &Segment) -> Result<bool> {
        let ring = self.version.wire().ring();
        let geometry = ring.geometry(segment)?;
        Ok(ring.count(segment, geometry)? == geometry.capacity)
    }

    /// Returns how many messages there can be.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub fn capacity(&self, segment: &Segment) -> Result<u32> {
        Ok(self.version.wire().ring().geometry(segment)?.capacity)
    }

    /// Returns how many bytes a message may have.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub fn max_message_size(&self, segment: &Segment) -> Result<u32> {
        Ok(self.version.wire().ring().geometry(segment)?.max_message)
    }
}
