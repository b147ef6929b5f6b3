//! Wire formats in memory that a peer truncates and restores as zeros while they are used.
//!
//! A page may be gone at any access, even when a call takes a lock or changes a count. The result must be an
//! error that says so, or the one that follows from zeros.

use std::fs::File;
use std::time::Duration;

use arbitrary::Arbitrary;
use shm_segment::layout::Error;
use shm_segment::layout::array::Array;
use shm_segment::layout::native;
use shm_segment::layout::queue::{self, Queue};
use shm_segment::layout::stream::{self, Kind, Stream};
use shm_segment::{Access, Options, Segment};

use crate::planted::{NO_WAIT, run_beside};
use crate::scratch::{Scratch, in_bounded_time};

/// A wait for a word, during which the memory goes away.
const SHORT: Duration = Duration::from_micros(200);

/// The size of the memory, the sizes to which the peer truncates it in turn, and the concurrent calls.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    size: u16,
    cuts: Vec<u16>,
    is_read_only: bool,
    calls: Vec<Call>,
}

#[derive(Debug, Arbitrary)]
enum Call {
    Write { version: Version, length: u16 },
    Read { version: Version },
    MarkAsRead { version: Version },
    ResetStream { version: Version },
    Enqueue { is_v2: bool, max_message_size: u8, length: u8 },
    Dequeue { is_v2: bool },
    Peek { is_v2: bool },
    ResetQueue { is_v2: bool },
    Set { stride: u8, index: u16 },
    ReadAll { stride: u8 },
    Fill { stride: u8 },
    NativeWrite { length: u8 },
    NativeRead,
    NativeWait,
    NativeEnqueue { length: u8 },
    NativeDequeue,
    NativeClear,
    NativeReset { is_queue: bool },
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Version {
    V0,
    V1,
    V2,
}

impl Plan {
    /// Runs the plan.
    pub fn run(self) {
        let scratch = Scratch::new("truncated");
        // At most five pages.
        let size = 1 + u64::from(self.size % 20_000);
        let ours = Options::new(&scratch.name).create(size).unwrap();
        let access = if self.is_read_only { Access::ReadOnly } else { Access::ReadWrite };
        let theirs = Options::new(&scratch.name).open(0, access).unwrap();
        let file = File::options().write(true).open(scratch.path()).unwrap();
        let truncate = || {
            for cut in self.cuts.iter().take(8) {
                file.set_len(u64::from(*cut) % size).unwrap();
                file.set_len(size).unwrap();
            }
        };
        run_beside(truncate, || {
            for lap in 0..10 {
                // A sleep takes long on a busy machine, so not in each lap.
                let timeout = if lap == 0 { SHORT } else { NO_WAIT };
                for call in self.calls.iter().take(12) {
                    for segment in [&ours, &theirs] {
                        self.check(in_bounded_time(|| call.make(segment, timeout)), segment);
                    }
                }
            }
        });
    }

    fn check(&self, result: Result<(), Error>, segment: &Segment) {
        use shm_segment::Error as Of;
        match result {
            Err(Error::Segment(Of::Truncated { .. } | Of::PageLost { .. })) => assert!(!self.cuts.is_empty()),
            Err(Error::Segment(Of::ReadOnly { .. })) => assert_eq!(segment.access(), Access::ReadOnly),
            Err(error @ (Error::Segment(_) | Error::OutOfMemory { .. })) => panic!("{error:?}"),
            Ok(()) | Err(_) => {}
        }
    }
}

impl Call {
    fn make(&self, segment: &Segment, timeout: Duration) -> Result<(), Error> {
        let mut into = Vec::new();
        match *self {
            Self::Write { version, length } => {
                stream(segment, version)?.write(segment, Kind::Bytes, &vec![7; length.into()], NO_WAIT)
            }
            Self::Read { version } => {
                stream(segment, version)?.read_into(segment, &mut into, NO_WAIT).map(drop)
            }
            Self::MarkAsRead { version } => stream(segment, version)?.mark_as_read(segment),
            Self::ResetStream { version } => stream(segment, version)?.reset(segment),
            Self::Enqueue { is_v2, max_message_size, length } => {
                let queue = Queue::attach(segment, queue_version(is_v2), max_message_size.into())?;
                queue.enqueue(segment, &vec![7; length.into()], NO_WAIT)
            }
            Self::Dequeue { is_v2 } => queue(segment, is_v2)?.dequeue_into(segment, &mut into, NO_WAIT),
            Self::Peek { is_v2 } => queue(segment, is_v2)?.peek_into(segment, &mut into, NO_WAIT),
            Self::ResetQueue { is_v2 } => queue(segment, is_v2)?.reset(segment),
            Self::Set { stride, index } => {
                let array = Array::attach(segment, stride.into())?;
                array.set(segment, index.into(), &vec![7; stride.into()])
            }
            Self::ReadAll { stride } => {
                Array::attach(segment, stride.into())?.read_into(segment, &mut into)?;
                assert!(into.len() as u64 <= segment.size() - 16);
                Ok(())
            }
            Self::Fill { stride } => {
                Array::attach(segment, stride.into())?.fill(segment, &vec![7; stride.into()])
            }
            Self::NativeWrite { length } => {
                native_stream(segment)?.write(segment, &native_bytes(&vec![7; length.into()]))
            }
            Self::NativeRead => native_stream(segment)?.read(segment, |message| message.to_vec()).map(drop),
            // Asleep while the memory goes away.
            Self::NativeWait => native_stream(segment)?.wait(segment, timeout, || true).map(drop),
            Self::NativeEnqueue { length } => {
                let content = vec![7; length.into()];
                native_queue(segment)?.enqueue(segment, &native_bytes(&content), timeout, || true)
            }
            Self::NativeDequeue => native_queue(segment)?
                .dequeue(segment, timeout, || true, |message| message.to_vec())
                .map(drop),
            Self::NativeClear => native_queue(segment)?.clear(segment),
            Self::NativeReset { is_queue: true } => native_queue(segment)?.reset(segment),
            Self::NativeReset { is_queue: false } => native_stream(segment)?.reset(segment),
        }
    }
}

fn stream(segment: &Segment, version: Version) -> Result<Stream, Error> {
    let version = match version {
        Version::V0 => stream::Version::V0,
        Version::V1 => stream::Version::V1,
        Version::V2 => stream::Version::V2,
    };
    Stream::attach(segment, version)
}

/// An attached native layout. It gives its roles back at the end.
struct Native<'a, T> {
    layout: T,
    segment: &'a Segment,
    release: fn(&T, &Segment),
}

impl<T> std::ops::Deref for Native<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.layout
    }
}

impl<T> Drop for Native<'_, T> {
    fn drop(&mut self) {
        (self.release)(&self.layout, self.segment);
    }
}

fn native_stream(segment: &Segment) -> Result<Native<'_, native::Stream>, Error> {
    let layout = native::Stream::attach(segment, 100, 1)?;
    Ok(Native { layout, segment, release: native::Stream::release })
}

fn native_queue(segment: &Segment) -> Result<Native<'_, native::Queue>, Error> {
    let layout = native::Queue::attach(segment, 1024, 1)?;
    Ok(Native { layout, segment, release: native::Queue::release })
}

fn native_bytes(content: &[u8]) -> native::Message<'_> {
    native::Message { descriptor: native::Descriptor::of(native::Kind::Bytes), content }
}

fn queue_version(is_v2: bool) -> queue::Version {
    if is_v2 { queue::Version::V2 } else { queue::Version::V1 }
}

fn queue(segment: &Segment, is_v2: bool) -> Result<Queue, Error> {
    Queue::attach(segment, queue_version(is_v2), 50)
}
