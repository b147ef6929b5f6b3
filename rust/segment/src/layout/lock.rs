//! A lock in shared memory: a word that is 0 while nobody holds it and 1 while somebody does.
//!
//! Whoever dies with it leaves it at 1 for ever, and a peer may store anything there. So nobody waits longer than he
//! said, and who gave up has changed nothing.

use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use crate::Segment;
use crate::layout::{Error, Result};

/// Held as long as this lives.
#[derive(Debug)]
pub(super) struct Lock<'a> {
    segment: &'a Segment,
    offset: u64,
}

impl<'a> Lock<'a> {
    /// Takes the lock at `offset`, which is that of `what`. A `timeout` of zero tries once.
    pub(super) fn take(
        segment: &'a Segment,
        offset: u64,
        what: &'static str,
        timeout: Duration,
    ) -> Result<Self> {
        let mut patience = Patience::new(what, timeout);
        while !segment.compare_exchange_u32(offset, 0, 1)? {
            patience.wait()?;
        }
        // Who reads without the lock must not see what is written under it before seeing that it is held.
        fence(Ordering::Release);
        Ok(Self { segment, offset })
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // Fails only where there is no memory any more, and so no lock.
        let _ = self.segment.store_u32(self.offset, 0);
    }
}

/// Waits again and again, but not longer than `timeout` in all.
#[derive(Debug)]
pub(super) struct Patience {
    what: &'static str,
    timeout: Duration,
    /// Not asked for before it is needed: most locks are free.
    start: Option<Instant>,
    waits: u32,
}

impl Patience {
    pub(super) const fn new(what: &'static str, timeout: Duration) -> Self {
        Self { what, timeout, start: None, waits: 0 }
    }

    /// Gives others a little time. An error if there is none left.
    pub(super) fn wait(&mut self) -> Result<()> {
        // A lock is held for as long as a copy takes: some spinning, then other threads, and if its holder doesn't
        // get to run for a millisecond, a pause that costs no processor.
        const SPINS: u32 = 100;
        const YIELDING: Duration = Duration::from_millis(1);
        const PAUSE: Duration = Duration::from_micros(100);
        let elapsed = self.start.get_or_insert_with(Instant::now).elapsed();
        if elapsed >= self.timeout {
            return Err(Error::TimedOut { lock: self.what, waited: self.timeout });
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
