//! Wire formats in memory that a peer truncates and restores as zeros while they are used.
//!
//! A page may be gone at any access, even when a call takes a lock or changes a count. The result must be an
//! error that says so, or the one that follows from zeros.

use std::fs::File;

use arbitrary::Arbitrary;
use shm_segment::layout::Error;
use shm_segment::layout::array::Array;
use shm_segment::layout::queue::{self, Queue};
use shm_segment::layout::stream::{self, Kind, Stream};
use shm_segment::{Access, Options, Segment};

use crate::planted::{NO_WAIT, run_beside};
use crate::scratch::{Scratch, in_bounded_time};

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
            for call in (0..10).flat_map(|_| self.calls.iter().take(12)) {
                for segment in [&ours, &theirs] {
                    self.check(in_bounded_time(|| call.make(segment)), segment);
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
    fn make(&self, segment: &Segment) -> Result<(), Error> {
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

fn queue_version(is_v2: bool) -> queue::Version {
    if is_v2 { queue::Version::V2 } else { queue::Version::V1 }
}

fn queue(segment: &Segment, is_v2: bool) -> Result<Queue, Error> {
    Queue::attach(segment, queue_version(is_v2), 50)
}
