//! Memory that holds anything at all, and a peer who goes on changing it while it is used.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use arbitrary::Arbitrary;
use shm_segment::layout::Error;
use shm_segment::{Access, Options, Segment};

use crate::scratch::{Scratch, in_bounded_time};

/// Nobody waits for a lock: whoever holds it, holds it for ever.
pub(crate) const ONCE: Duration = Duration::ZERO;

/// What is in memory at first, who uses it, and what a peer stores there meanwhile, if there is one.
#[derive(Debug, Arbitrary)]
pub struct Memory {
    size: u16,
    bytes: Vec<u8>,
    fields: Vec<Store>,
    side: Side,
    meanwhile: Vec<Store>,
}

#[derive(Debug, Arbitrary, PartialEq)]
enum Side {
    Creator,
    Opener,
    Looker,
}

/// A number where a field may be.
#[derive(Debug, Arbitrary)]
pub(crate) struct Store {
    at: u8,
    value: Value,
    eight_bytes: bool,
}

#[derive(Debug, Arbitrary)]
enum Value {
    Small(u8),
    /// So many more or less than the size.
    NearSize(i8),
    Near32Bits(i8),
    Any(u64),
}

/// Memory in use.
pub(crate) struct Planted {
    pub(crate) segment: Segment,
    peer: Segment,
    meanwhile: Vec<Store>,
    _place: Scratch,
}

impl Memory {
    pub(crate) fn plant(self) -> Planted {
        let place = Scratch::new("planted");
        let size = 1 + u64::from(self.size % 512);
        let created = Options::new(&place.name).create(size).unwrap();
        let open = |access| Options::new(&place.name).open(0, access).unwrap();
        let (segment, peer) = match self.side {
            Side::Creator => (created, open(Access::ReadWrite)),
            Side::Opener => (open(Access::ReadWrite), created),
            Side::Looker => (open(Access::ReadOnly), created),
        };
        let length = self.bytes.len().min(peer.size() as usize);
        peer.write(0, &self.bytes[..length]).unwrap();
        for field in &self.fields {
            field.put(&peer);
        }
        let meanwhile = self.meanwhile;
        Planted { segment, peer, meanwhile, _place: place }
    }
}

impl Store {
    pub(crate) fn put(&self, peer: &Segment) {
        let size = peer.size();
        let value = match self.value {
            Value::Small(value) => value.into(),
            Value::NearSize(more) => size.wrapping_add_signed(more.into()),
            Value::Near32Bits(more) => (1u64 << 32).wrapping_add_signed(more.into()),
            Value::Any(value) => value,
        };
        let at = u64::from(self.at) % size;
        let length = (if self.eight_bytes { 8 } else { 4 }).min(size - at);
        peer.write(at, &value.to_le_bytes()[..length as usize]).unwrap();
    }
}

impl Planted {
    /// Does nobody else change it? What must come of a call is known only then.
    pub(crate) fn is_quiet(&self) -> bool {
        self.meanwhile.is_empty()
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.segment.access() == Access::ReadOnly
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.peer.size() as usize];
        self.peer.read(0, &mut bytes).unwrap();
        bytes
    }

    /// As the peer does it.
    pub(crate) fn store(&self, store: &Store) {
        store.put(&self.peer);
    }

    /// Makes the calls: once, or many times while the peer stores.
    pub(crate) fn try_out(&self, mut calls: impl FnMut()) {
        // A call takes less than a microsecond: too few of them would end before the peer gets to run.
        const LAPS: usize = 20;
        if self.is_quiet() {
            return in_bounded_time(calls);
        }
        let (has_begun, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            let peer = scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    for store in &self.meanwhile {
                        store.put(&self.peer);
                    }
                    has_begun.store(true, Ordering::Relaxed);
                }
            });
            while !has_begun.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            in_bounded_time(|| (0..LAPS).for_each(|_| calls()));
            // A panic ends the process, not only this thread.
            is_over.store(true, Ordering::Relaxed);
            // To the end of the thread, not only of the closure: what it has not freed yet would be taken for a leak.
            peer.join().unwrap();
        });
    }

    /// Panics at what no bytes may lead to.
    pub(crate) fn check(&self, error: &Error) {
        match error {
            Error::Segment(shm_segment::Error::ReadOnly { .. }) => assert!(self.is_read_only()),
            Error::Segment(_) | Error::OutOfMemory { .. } => panic!("{error:?}"),
            _ => {}
        }
        assert!(!error.to_string().is_empty());
    }
}

/// The field at `at`.
pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}
