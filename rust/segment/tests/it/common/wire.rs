//! Wire formats for the tests that kill processes, while other processes store anything into the same memory.

use std::time::Duration;

use shm_segment::layout::array::Array;
use shm_segment::layout::native;
use shm_segment::layout::queue::{self, Queue};
use shm_segment::layout::stream::{self, Kind, Stream};
use shm_segment::layout::{Error, Result};
use shm_segment::{Error as SegmentError, Segment};

/// The holder of a lock may be dead already.
const NO_WAIT: Duration = Duration::ZERO;
/// A ring of a native queue in which such messages fit.
const RING: u64 = 1 << 17;
/// A few slots of a queue fit. Each is so long that a kill may well hit in the middle of its copy.
const LONGEST: u32 = 50_000;
const STRIDE: u64 = 8;

/// The operations of one format.
pub(crate) struct Format {
    /// The beginning of the names of its operations.
    pub(crate) label: &'static str,
    write: fn(&Segment, &[u8]) -> Result<()>,
    read: fn(&Segment, &mut Vec<u8>) -> Result<()>,
    reset: fn(&Segment) -> Result<()>,
}

const FORMATS: &[Format] = &[
    stream_of("stream_v0", |s, b| write(s, stream::Version::V0, b), |s, b| read(s, stream::Version::V0, b)),
    stream_of("stream_v1", |s, b| write(s, stream::Version::V1, b), |s, b| read(s, stream::Version::V1, b)),
    stream_of("stream_v2", |s, b| write(s, stream::Version::V2, b), |s, b| read(s, stream::Version::V2, b)),
    queue_of("queue_v1", |s, b| enqueue(s, queue::Version::V1, b), |s, b| dequeue(s, queue::Version::V1, b)),
    queue_of("queue_v2", |s, b| enqueue(s, queue::Version::V2, b), |s, b| dequeue(s, queue::Version::V2, b)),
    Format {
        label: "array",
        write: |segment, bytes| Array::attach(segment, STRIDE)?.fill(segment, &bytes[..8]),
        read: |segment, into| Array::attach(segment, STRIDE)?.read_into(segment, into),
        reset: |segment| {
            let count = (segment.size() - 16) / STRIDE;
            Ok(segment.write(0, &[16 + count * STRIDE, count].map(u64::to_le_bytes).concat())?)
        },
    },
    native_of("native_stream", native_write, native_read),
    native_of("native_queue", native_enqueue, native_dequeue),
];

type Write = fn(&Segment, &[u8]) -> Result<()>;
type Read = fn(&Segment, &mut Vec<u8>) -> Result<()>;

const fn stream_of(label: &'static str, write: Write, read: Read) -> Format {
    // An empty stream is all zeros.
    Format { label, write, read, reset: |segment| Ok(segment.fill(0, 40, 0)?) }
}

const fn queue_of(label: &'static str, write: Write, read: Read) -> Format {
    // Lays the header out by hand: the crate does that only in memory of zeros.
    let reset = |segment: &Segment| {
        let slots = u32::try_from((segment.size() - 28) / u64::from(4 + LONGEST)).unwrap();
        Ok(segment.write(0, &[0, 0, slots, 0, LONGEST, 0, 0].map(u32::to_le_bytes).concat())?)
    };
    Format { label, write, read, reset }
}

const fn native_of(label: &'static str, write: Write, read: Read) -> Format {
    // The next call lays memory of zeros out.
    Format { label, write, read, reset: |segment| Ok(segment.fill(0, segment.size(), 0)?) }
}

/// Calls `call` with a stream, and gives its roles back, as the segment keeps them.
fn with_native_stream(segment: &Segment, call: impl FnOnce(&native::Stream) -> Result<()>) -> Result<()> {
    let stream = native::Stream::attach(segment, LONGEST.into(), 1)?;
    let result = call(&stream);
    stream.release(segment);
    result
}

fn with_native_queue(segment: &Segment, call: impl FnOnce(&native::Queue) -> Result<()>) -> Result<()> {
    let queue = native::Queue::attach(segment, RING, 1)?;
    let result = call(&queue);
    queue.release(segment);
    result
}

fn native_message(bytes: &[u8]) -> native::Message<'_> {
    let content = &bytes[..LONGEST as usize];
    native::Message { descriptor: native::Descriptor::of(native::Kind::Bytes), content }
}

fn native_write(segment: &Segment, bytes: &[u8]) -> Result<()> {
    with_native_stream(segment, |stream| stream.write(segment, &native_message(bytes)))
}

fn native_read(segment: &Segment, into: &mut Vec<u8>) -> Result<()> {
    with_native_stream(segment, |stream| {
        *into = stream.read(segment, |message| message.to_vec())?;
        Ok(())
    })
}

fn native_enqueue(segment: &Segment, bytes: &[u8]) -> Result<()> {
    with_native_queue(segment, |queue| queue.enqueue(segment, &native_message(bytes), NO_WAIT, || true))
}

fn native_dequeue(segment: &Segment, into: &mut Vec<u8>) -> Result<()> {
    with_native_queue(segment, |queue| {
        *into = queue.dequeue(segment, NO_WAIT, || true, |message| message.to_vec())?;
        Ok(())
    })
}

fn write(segment: &Segment, version: stream::Version, bytes: &[u8]) -> Result<()> {
    Stream::attach(segment, version)?.write(segment, Kind::Bytes, &bytes[..200_000], NO_WAIT)
}

fn read(segment: &Segment, version: stream::Version, into: &mut Vec<u8>) -> Result<()> {
    let stream = Stream::attach(segment, version)?;
    stream.read_into(segment, into, NO_WAIT)?;
    stream.mark_as_read(segment)
}

fn enqueue(segment: &Segment, version: queue::Version, bytes: &[u8]) -> Result<()> {
    Queue::attach(segment, version, LONGEST.into())?.enqueue(segment, &bytes[..LONGEST as usize], NO_WAIT)
}

fn dequeue(segment: &Segment, version: queue::Version, into: &mut Vec<u8>) -> Result<()> {
    Queue::attach(segment, version, LONGEST.into())?.dequeue_into(segment, into, NO_WAIT)
}

/// Returns the format of an operation.
pub(crate) fn format_of(operation: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| operation.starts_with(format.label))
}

impl Format {
    /// Writes `bytes`, or a part of them. If the bytes in memory don't allow that, lays them out, so that the
    /// next call works.
    pub(crate) fn write(&self, segment: &Segment, bytes: &[u8]) -> std::result::Result<(), SegmentError> {
        self.documented(segment, (self.write)(segment, bytes))
    }

    /// Reads a message, or writes one if there is none.
    pub(crate) fn read(&self, segment: &Segment, bytes: &[u8]) -> std::result::Result<(), SegmentError> {
        let mut into = Vec::new();
        match (self.read)(segment, &mut into) {
            Err(Error::Empty) => self.write(segment, bytes),
            result => self.documented(segment, result),
        }
    }

    /// Accepts every error that memory in concurrent use may cause.
    fn documented(&self, segment: &Segment, result: Result<()>) -> std::result::Result<(), SegmentError> {
        match result {
            Ok(()) => Ok(()),
            Err(Error::Segment(error)) => Err(error),
            Err(
                Error::Invalid { .. }
                | Error::NotLaidOutYet { .. }
                | Error::NotZeros { .. }
                | Error::TimedOut { .. }
                | Error::Full { .. }
                | Error::NoRoom
                | Error::Corrupt { .. }
                | Error::Overtaken
                | Error::LaidOutSmaller { .. },
            ) => {
                (self.reset)(segment).unwrap();
                Ok(())
            }
            // The other process does the same at this moment.
            Err(Error::RoleTaken { .. } | Error::NoLaneFree { .. }) => Ok(()),
            Err(other) => panic!("{other}"),
        }
    }

    /// Does what a survivor does after a kill: no call may hang, and everything works after a reset. Returns
    /// whether the dead process has left a lock taken.
    pub(crate) fn recover(&self, segment: &Segment, bytes: &[u8]) -> bool {
        let mut back = Vec::new();
        let is_locked = [(self.read)(segment, &mut back), (self.write)(segment, bytes)]
            .iter()
            .any(|found| matches!(found, Err(Error::TimedOut { .. })));
        (self.reset)(segment).unwrap();
        (self.write)(segment, bytes).unwrap();
        (self.read)(segment, &mut back).unwrap();
        assert!(!back.is_empty() && back.iter().zip(bytes).all(|(there, given)| there == given));
        is_locked
    }
}
