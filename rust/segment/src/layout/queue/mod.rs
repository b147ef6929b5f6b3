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

mod ring;
mod v1;
mod v2;

use std::time::Duration;

use crate::Segment;
use crate::layout::{Error, Result};
use ring::{Ring, Shape};

/// Which version of libsharedmemory the other side has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// 1.7 to 1.10. No lock: one producer and one consumer. With more of either, messages are lost.
    V1,
    /// 2.x. A lock for the producers, another for the consumers: any number of each.
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

/// What each version does in its own way, around the ring.
trait Wire: Sync {
    fn ring(&self) -> &Ring;

    fn enqueue(&self, segment: &Segment, message: &[u8], timeout: Duration) -> Result<()>;

    fn dequeue(&self, segment: &Segment, into: &mut Vec<u8>, take: Take<'_>, timeout: Duration)
    -> Result<()>;

    fn peek(&self, segment: &Segment, into: &mut Vec<u8>, timeout: Duration) -> Result<()>;
}

/// What is done with a message before it is gone from the queue.
type Take<'a> = &'a mut dyn FnMut(&[u8]) -> Result<()>;

/// A queue that was attached to.
#[derive(Debug, Clone, Copy)]
pub struct Queue {
    version: Version,
    /// What the header said at that time; for nothing but laying it out anew.
    attached: Shape,
}

impl Queue {
    /// Makes the segment a queue, or finds that it is one.
    ///
    /// Where the header is made, messages may have up to `max_message` bytes, and the queue holds as many as fit into
    /// the segment. Otherwise the header says so, and `max_message` means nothing.
    ///
    /// # Errors
    /// [`Error::InvalidElementSize`] and [`Error::SegmentTooSmall`]; [`Error::NotLaidOutYet`]; [`Error::Invalid`];
    /// [`Error::Segment`].
    pub fn attach(segment: &Segment, version: Version, max_message: u64) -> Result<Self> {
        let ring = version.wire().ring();
        ring.check_room(segment)?;
        if segment.is_created() && ring.is_zero(segment)? {
            ring.lay_out(segment, ring.shape_for(segment, max_message)?)?;
        }
        let attached = ring.shape(segment)?;
        ring.check(segment, attached)?;
        Ok(Self { version, attached })
    }

    /// The version it was attached as.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Removes all messages, releases the locks, and makes the header what it was when this was attached. Nobody may be
    /// using the queue.
    ///
    /// # Errors
    /// [`Error::Segment`].
    pub fn reset(&self, segment: &Segment) -> Result<()> {
        self.version.wire().ring().reset(segment, self.attached)
    }

    /// Adds a message at the end. Waits for the producers' lock of V2 at most `timeout`.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::TooLarge`], [`Error::TimedOut`]: nothing has changed. [`Error::Invalid`];
    /// [`Error::Segment`].
    pub fn enqueue(&self, segment: &Segment, message: &[u8], timeout: Duration) -> Result<()> {
        self.version.wire().enqueue(segment, message, timeout)
    }

    /// Takes the first message out, and returns what `make` makes of its bytes. After an error, be it one of `make`'s
    /// own, the message, if there is one, is still in the queue. Waits for the consumers' lock of V2 at most `timeout`, and
    /// holds it while `make` is at work.
    ///
    /// # Errors
    /// [`Error::Empty`]; [`Error::TimedOut`]; [`Error::Invalid`]; [`Error::OutOfMemory`]; [`Error::Segment`]; those of
    /// `make`.
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

    /// Takes the first message out, and makes `into` its bytes; as [`dequeue_as`](Self::dequeue_as).
    ///
    /// # Errors
    /// As [`dequeue_as`](Self::dequeue_as).
    pub fn dequeue_into(&self, segment: &Segment, into: &mut Vec<u8>, timeout: Duration) -> Result<()> {
        self.version.wire().dequeue(segment, into, &mut |_| Ok(()), timeout)
    }

    /// Makes `into` the bytes of the first message, and leaves it in the queue. It takes the same lock; so it can't be
    /// done in read-only memory of V2, while in V1 it can.
    ///
    /// # Errors
    /// As [`dequeue_into`](Self::dequeue_into).
    pub fn peek_into(&self, segment: &Segment, into: &mut Vec<u8>, timeout: Duration) -> Result<()> {
        self.version.wire().peek(segment, into, timeout)
    }

    /// How many messages there are.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Segment`].
    pub fn count(&self, segment: &Segment) -> Result<u32> {
        let ring = self.version.wire().ring();
        ring.count(segment, ring.shape(segment)?)
    }

    /// Is there no message?
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub fn is_empty(&self, segment: &Segment) -> Result<bool> {
        Ok(self.count(segment)? == 0)
    }

    /// Is there no room for another message?
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub fn is_full(&self, segment: &Segment) -> Result<bool> {
        let ring = self.version.wire().ring();
        let shape = ring.shape(segment)?;
        Ok(ring.count(segment, shape)? == shape.capacity)
    }

    /// How many messages there can be.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub fn capacity(&self, segment: &Segment) -> Result<u32> {
        Ok(self.version.wire().ring().shape(segment)?.capacity)
    }

    /// How many bytes a message may have.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub fn max_message_size(&self, segment: &Segment) -> Result<u32> {
        Ok(self.version.wire().ring().shape(segment)?.max_message)
    }
}
