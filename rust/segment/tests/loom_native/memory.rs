//! Shared memory made of loom's atomics and cells.

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};

use crate::layout;
use crate::shared::Shared;
use crate::words::Word;

type Error = Box<layout::Error>;

/// The bytes beside the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copies {
    /// loom reports a copy that races with a write.
    Exclusive,
    /// A copy may race with a write, and is then torn between two pieces.
    Torn,
}

/// A part of the memory that is copied as a whole.
enum Piece {
    Exclusive(UnsafeCell<Vec<u8>>),
    /// The number of the version that was stored last, and all versions, which loom doesn't have to see.
    Torn(AtomicUsize, std::sync::Mutex<Vec<Vec<u8>>>),
}

pub(crate) struct Memory {
    u32s: HashMap<u64, AtomicU32>,
    u64s: HashMap<u64, AtomicU64>,
    pieces: Vec<(Range<u64>, Piece)>,
    /// A word that each step stores, and none loads. loom changes the order of two steps only if both access
    /// the same word. It remembers only the last access to each, so it would miss orders.
    turn: AtomicU32,
    /// The system's queue of sleeping threads.
    sleepers: (Mutex<()>, Condvar),
}

// SAFETY: loom checks all accesses of the cells.
unsafe impl Sync for Memory {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Memory {}

impl Memory {
    /// Returns memory with these words and pieces.
    pub(crate) fn new(
        u32s: &[(u64, u32)],
        u64s: &[(u64, u64)],
        pieces: impl IntoIterator<Item = Range<u64>>,
        copies: Copies,
    ) -> Arc<Self> {
        let piece = |range: Range<u64>| {
            let zeros = vec![0; (range.end - range.start) as usize];
            let piece = match copies {
                Copies::Exclusive => Piece::Exclusive(UnsafeCell::new(zeros)),
                Copies::Torn => Piece::Torn(AtomicUsize::new(0), std::sync::Mutex::new(vec![zeros])),
            };
            (range, piece)
        };
        Arc::new(Self {
            u32s: u32s.iter().map(|(at, value)| (*at, AtomicU32::new(*value))).collect(),
            u64s: u64s.iter().map(|(at, value)| (*at, AtomicU64::new(*value))).collect(),
            pieces: pieces.into_iter().map(piece).collect(),
            turn: AtomicU32::new(0),
            sleepers: (Mutex::new(()), Condvar::new()),
        })
    }

    /// Calls `access` with each piece of a range, the part of it, and the same part of the copy.
    fn each(&self, at: u64, length: usize, mut access: impl FnMut(&Piece, Range<usize>, Range<usize>)) {
        let end = at + length as u64;
        let mut covered = 0;
        for (range, piece) in &self.pieces {
            let (from, to) = (range.start.max(at), range.end.min(end));
            if from < to {
                let part = |base: u64| (from - base) as usize..(to - base) as usize;
                access(piece, part(range.start), part(at));
                covered += to - from;
            }
        }
        assert_eq!(covered, length as u64, "{at:#x}");
    }
}

/// A mistake that loom must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    NoFullFence,
    /// The words of 4 bytes that are stored to this value are stored without an order.
    RelaxedU32(u32),
    RelaxedU64,
    NoFenceBeforeWrite,
    NoFenceAfterRead,
    NoClear,
}

/// The memory, as one process sees it.
pub(crate) struct View {
    memory: Arc<Memory>,
    flaw: Flaw,
    /// The accesses until the process dies.
    left: Cell<u32>,
}

impl View {
    pub(crate) fn new(memory: &Arc<Memory>, flaw: Flaw) -> Self {
        Self::dying_after(memory, flaw, u32::MAX)
    }

    /// Returns a view that fails from that access on.
    pub(crate) fn dying_after(memory: &Arc<Memory>, flaw: Flaw, accesses: u32) -> Self {
        Self { memory: Arc::clone(memory), flaw, left: Cell::new(accesses) }
    }

    fn step(&self) -> Result<(), Error> {
        let left = self
            .left
            .get()
            .checked_sub(1)
            .ok_or(shm_segment::Error::Unsupported { what: "a step after death" })?;
        self.left.set(left);
        self.memory.turn.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn u32(&self, at: u64) -> Result<&AtomicU32, Error> {
        self.step()?;
        Ok(&self.memory.u32s[&at])
    }

    fn u64(&self, at: u64) -> Result<&AtomicU64, Error> {
        self.step()?;
        Ok(&self.memory.u64s[&at])
    }
}

impl Shared for View {
    type Error = Error;

    fn load_u32(&self, at: u64) -> Result<u32, Error> {
        Ok(u32::load(self.u32(at)?))
    }

    fn store_u32(&self, at: u64, value: u32) -> Result<(), Error> {
        let word = self.u32(at)?;
        if self.flaw == Flaw::RelaxedU32(value) {
            word.store(value, Ordering::Relaxed);
        } else {
            // In the same order as a store. A store can't come between the halves of another thread's
            // compare-exchange. loom doesn't know that, and would take the store to be the older one.
            word.swap(value.to_le(), Ordering::Release);
        }
        Ok(())
    }

    fn fetch_add_u32(&self, at: u64, value: u32) -> Result<u32, Error> {
        Ok(u32::fetch_add(self.u32(at)?, value))
    }

    fn compare_exchange_u32(&self, at: u64, current: u32, new: u32) -> Result<u32, Error> {
        Ok(u32::compare_exchange(self.u32(at)?, current, new))
    }

    fn load_u64(&self, at: u64) -> Result<u64, Error> {
        if !self.memory.u64s.contains_key(&at) {
            // The header of a record: less than an atomic access, so that loom has more to find.
            let mut bytes = [0; 8];
            self.read(at, &mut bytes)?;
            return Ok(u64::from_le_bytes(bytes));
        }
        Ok(u64::load(self.u64(at)?))
    }

    fn store_u64(&self, at: u64, value: u64) -> Result<(), Error> {
        if !self.memory.u64s.contains_key(&at) {
            return self.write(at, &value.to_le_bytes());
        }
        let word = self.u64(at)?;
        if self.flaw == Flaw::RelaxedU64 {
            word.store(value, Ordering::Relaxed);
        } else {
            u64::store(word, value);
        }
        Ok(())
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Error> {
        self.step()?;
        self.memory.each(at, into.len(), |piece, part, copied| match piece {
            // SAFETY: loom reports a concurrent write instead of letting it happen.
            Piece::Exclusive(cell) => {
                cell.with(|all| into[copied].copy_from_slice(unsafe { &(&*all)[part] }))
            }
            Piece::Torn(version, all) => {
                let version = version.load(Ordering::Relaxed);
                into[copied].copy_from_slice(&all.lock().unwrap()[version][part]);
            }
        });
        if self.flaw != Flaw::NoFenceAfterRead {
            fence(Ordering::Acquire);
        }
        Ok(())
    }

    fn write(&self, at: u64, from: &[u8]) -> Result<(), Error> {
        self.step()?;
        if self.flaw != Flaw::NoFenceBeforeWrite {
            fence(Ordering::Release);
        }
        self.memory.each(at, from.len(), |piece, part, copied| match piece {
            Piece::Exclusive(cell) => {
                // SAFETY: loom reports a concurrent access instead of letting it happen.
                cell.with_mut(|all| unsafe { (&mut *all)[part].copy_from_slice(&from[copied]) });
            }
            Piece::Torn(version, all) => {
                let mut all = all.lock().unwrap();
                let mut next = all.last().unwrap().clone();
                next[part].copy_from_slice(&from[copied]);
                all.push(next);
                version.store(all.len() - 1, Ordering::Relaxed);
            }
        });
        Ok(())
    }

    fn full_fence(&self) {
        // A process that dies before its next access may as well die before the fence.
        if self.flaw != Flaw::NoFullFence && self.left.get() > 0 {
            fence(Ordering::SeqCst);
        }
    }

    /// Sleeps until it is woken: no time passes here. As the system does, it compares while no thread wakes.
    fn sleep(&self, at: u64, expected: u32, _: Duration, _: Duration) -> Result<(), Error> {
        let word = self.u32(at)?;
        let (mutex, condition) = &self.memory.sleepers;
        let guard = mutex.lock().unwrap();
        if u32::load(word) == expected {
            drop(condition.wait(guard).unwrap());
        }
        Ok(())
    }

    fn wake(&self, _: u64) -> Result<(), Error> {
        self.step()?;
        let (mutex, condition) = &self.memory.sleepers;
        let guard = mutex.lock().unwrap();
        condition.notify_all();
        drop(guard);
        Ok(())
    }
}
