//! Wire formats whose memory a peer takes away, and gives back empty, while they are used.
//!
//! A page may be gone at any access, also at the one that takes a lock or counts. What must come of it is an error that
//! says so, or what the zeros say that are there afterwards.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use arbitrary::Arbitrary;
use shm_segment::layout::Error;
use shm_segment::layout::array::Array;
use shm_segment::layout::queue::{self, Queue};
use shm_segment::layout::stream::{self, Kind, Stream};
use shm_segment::{Access, Options, Segment};

use crate::planted::ONCE;
use crate::scratch::{Scratch, in_bounded_time};

/// How much memory there is, to which sizes it is cut one after the other, and what is called meanwhile.
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
    Enqueue { is_v2: bool, longest: u8, length: u8 },
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
    /// Does it.
    pub fn run(self) {
        let place = Scratch::new("truncated");
        // At most five pages.
        let size = 1 + u64::from(self.size % 20_000);
        let ours = Options::new(&place.name).create(size).unwrap();
        let access = if self.is_read_only { Access::ReadOnly } else { Access::ReadWrite };
        let theirs = Options::new(&place.name).open(0, access).unwrap();
        let file = File::options().write(true).open(place.path()).unwrap();
        let (has_begun, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            let peer = scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    for cut in self.cuts.iter().take(8) {
                        file.set_len(u64::from(*cut) % size).unwrap();
                        file.set_len(size).unwrap();
                    }
                    has_begun.store(true, Ordering::Relaxed);
                }
            });
            while !has_begun.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            for _ in 0..10 {
                for call in self.calls.iter().take(12) {
                    for segment in [&ours, &theirs] {
                        self.check(in_bounded_time(|| call.make(segment)), segment);
                    }
                }
            }
            is_over.store(true, Ordering::Relaxed);
            // To the end of the thread, not only of the closure: what it has not freed yet would be taken for a leak.
            peer.join().unwrap();
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
                stream(segment, version)?.write(segment, Kind::Bytes, &vec![7; length.into()], ONCE)
            }
            Self::Read { version } => stream(segment, version)?.read_into(segment, &mut into, ONCE).map(drop),
            Self::MarkAsRead { version } => stream(segment, version)?.mark_as_read(segment),
            Self::ResetStream { version } => stream(segment, version)?.reset(segment),
            Self::Enqueue { is_v2, longest, length } => {
                let queue = Queue::attach(segment, queue_version(is_v2), longest.into())?;
                queue.enqueue(segment, &vec![7; length.into()], ONCE)
            }
            Self::Dequeue { is_v2 } => queue(segment, is_v2)?.dequeue_into(segment, &mut into, ONCE),
            Self::Peek { is_v2 } => queue(segment, is_v2)?.peek_into(segment, &mut into, ONCE),
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
