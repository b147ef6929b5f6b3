//! A lock in shared memory: a word that is 1 while a process holds it, and 0 otherwise.
//!
//! A process that dies with the lock leaves it at 1 forever, and a peer may store anything there. So each
//! wait has a limit, and a process that gives up has changed nothing.

use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use crate::Segment;
use crate::layout::{Error, Result};

/// A lock that is held for as long as this lives.
#[derive(Debug)]
pub(super) struct Lock<'a> {
    segment: &'a Segment,
    offset: u64,
}

impl<'a> Lock<'a> {
    /// Takes the lock at `offset`, which belongs to `what`. A `timeout` of zero tries once.
    pub(super) fn take(
        segment: &'a Segment,
        offset: u64,
        what: &'static str,
        timeout: Duration,
    ) -> Result<Self> {
        let mut backoff = Backoff::new(what, timeout, "call reset()");
        while segment.compare_exchange_u32(offset, 0, 1)? != 0 {
            // Waiting for another word to become a free lock would only take time.
            check(segment.load_u32(offset)?, what)?;
            backoff.wait()?;
        }
        // A reader without the lock must see that the lock is held before it sees what is written under it.
        fence(Ordering::Release);
        Ok(Self { segment, offset })
    }
}

/// Checks that the word, which was found where `layout` has a lock, is one.
pub(super) fn check(word: u32, layout: &'static str) -> Result<()> {
    if word <= 1 {
        return Ok(());
    }
    let limit = "it must be 0 or 1".to_owned();
    Err(Error::Invalid { layout, what: "the lock", found: word.into(), limit })
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // Fails only where the memory is gone, and the lock with it.
        let _ = self.segment.store_u32(self.offset, 0);
    }
}

/// A series of waits that takes at most `timeout` in all.
#[derive(Debug)]
pub(super) struct Backoff {
    what: &'static str,
    timeout: Duration,
    /// The way to release the lock of a dead process, for the error.
    advice: &'static str,
    /// The time of the first wait. Set late: most locks are free, and asking for the time costs.
    start: Option<Instant>,
    waits: u32,
}

impl Backoff {
    pub(super) const fn new(what: &'static str, timeout: Duration, advice: &'static str) -> Self {
        Self { what, timeout, advice, start: None, waits: 0 }
    }

    /// Gives other threads a little time, or returns an error if the time is over.
    pub(super) fn wait(&mut self) -> Result<()> {
        // A lock is held for the time of a copy. First some spinning, then turns for other threads. If the
        // holder doesn't get to run for a millisecond, a pause that costs no processor time.
        const SPINS: u32 = 100;
        const YIELDING: Duration = Duration::from_millis(1);
        const PAUSE: Duration = Duration::from_micros(100);
        let elapsed = self.start.get_or_insert_with(Instant::now).elapsed();
        if elapsed >= self.timeout {
            return Err(Error::TimedOut { lock: self.what, waited: self.timeout, advice: self.advice });
        }
        self.waits = self.waits.saturating_add(1);
        if self.waits <= SPINS {
            std::hint::spin_loop();
        } else if elapsed < YIELDING {
            std::thread::yield_now();
        } else {
            std::thread::sleep(PAUSE.min(self.timeout - elapsed));
        }
        Ok(())
    }
}
