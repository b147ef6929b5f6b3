//! Memory that holds any bytes, and a peer that changes it while it is used.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use arbitrary::Arbitrary;
use shm_segment::layout::Error;
use shm_segment::{Access, Options, Segment};

use crate::scratch::{Scratch, in_bounded_time};

/// The timeout of all calls. A lock that is taken stays taken forever, so waiting for it is useless.
pub(crate) const NO_WAIT: Duration = Duration::ZERO;

/// The initial memory, the side that uses it, and the stores of a concurrent peer.
#[derive(Debug, Arbitrary)]
pub struct Memory {
    size: u16,
    bytes: Vec<u8>,
    fields: Vec<Store>,
    side: Side,
    concurrent: Vec<Store>,
}

#[derive(Debug, Arbitrary, PartialEq)]
enum Side {
    Creator,
    Opener,
    ReadOnlyOpener,
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
    /// The size plus this number.
    NearSize(i8),
    Near32Bits(i8),
    Any(u64),
}

/// A segment with planted bytes, and the peer that planted them.
pub(crate) struct Planted {
    pub(crate) segment: Segment,
    peer: Segment,
    concurrent: Vec<Store>,
    _scratch: Scratch,
}

impl Memory {
    pub(crate) fn plant(self) -> Planted {
        let scratch = Scratch::new("planted");
        let size = 1 + u64::from(self.size % 512);
        let created = Options::new(&scratch.name).create(size).unwrap();
        let open = |access| Options::new(&scratch.name).open(0, access).unwrap();
        let (segment, peer) = match self.side {
            Side::Creator => (created, open(Access::ReadWrite)),
            Side::Opener => (open(Access::ReadWrite), created),
            Side::ReadOnlyOpener => (open(Access::ReadOnly), created),
        };
        let length = self.bytes.len().min(peer.size() as usize);
        peer.write(0, &self.bytes[..length]).unwrap();
        for field in &self.fields {
            field.put(&peer);
        }
        let concurrent = self.concurrent;
        Planted { segment, peer, concurrent, _scratch: scratch }
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
    /// Returns whether no peer changes the memory. Only then, the result of a call is known.
    pub(crate) fn is_quiet(&self) -> bool {
        self.concurrent.is_empty()
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.segment.access() == Access::ReadOnly
    }

    /// Returns all bytes of the memory.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.peer.size() as usize];
        self.peer.read(0, &mut bytes).unwrap();
        bytes
    }

    /// Stores a number as the peer.
    pub(crate) fn store(&self, store: &Store) {
        store.put(&self.peer);
    }

    /// Makes the calls: once, or many times while the peer stores.
    pub(crate) fn run_calls(&self, mut calls: impl FnMut()) {
        // A call takes less than a microsecond. Only many of them take long enough for the peer to run.
        const LAPS: usize = 20;
        if self.is_quiet() {
            return in_bounded_time(calls);
        }
        let store_all = || self.concurrent.iter().for_each(|store| self.store(store));
        run_beside(store_all, || in_bounded_time(|| (0..LAPS).for_each(|_| calls())));
    }

    /// Panics if the result is an error that no bytes may cause.
    pub(crate) fn check<T>(&self, result: &Result<T, Error>) {
        let Err(error) = result else { return };
        match error {
            Error::Segment(shm_segment::Error::ReadOnly { .. }) => assert!(self.is_read_only()),
            Error::Segment(_) | Error::OutOfMemory { .. } => panic!("{error:?}"),
            _ => {}
        }
        assert!(!error.to_string().is_empty());
    }
}

/// Runs `calls` while another thread calls `peer` again and again. It has called it at least once before.
pub(crate) fn run_beside(peer: impl Fn() + Sync, calls: impl FnOnce()) {
    let (has_begun, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                peer();
                has_begun.store(true, Ordering::Relaxed);
            }
        });
        while !has_begun.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        // A panic ends the process, and not only this thread.
        calls();
        is_over.store(true, Ordering::Relaxed);
        // Wait for the end of the thread: LeakSanitizer would report memory that it has not freed yet.
        thread.join().unwrap();
    });
}

/// Returns the 32-bit field at `at`.
pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}
