//! Waiting until another process, or another thread, changes a word.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use super::Segment;
use crate::error::Result;

/// The longest sleep. Nothing wakes a thread after a store without a notify, after a truncation, or when its
/// caller no longer wants to wait. So it looks for these.
const SLICE: Duration = Duration::from_millis(20);

/// The longest time of spinning: about as long as the system takes to wake a thread.
const SPIN: Duration = Duration::from_micros(10);

/// The way in which a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The word is another one.
    Changed,
    /// The time is over.
    TimedOut,
    /// The caller didn't want to go on.
    Stopped,
}

impl Segment {
    /// Waits until the word of 4 bytes at `offset` is no longer `expected`. A `timeout` of zero only looks.
    ///
    /// The other side stores the word, then calls [`notify_u32`](Self::notify_u32). Without that call, the
    /// change is noticed up to 20 ms later. The wait also ends within that time if `is_wanted` returns false.
    /// A word that changed and is `expected` again when this looks has not changed.
    ///
    /// The thread sleeps, so waiting costs no processor time. That is true for a read-only segment as well.
    /// On Windows, FreeBSD, and macOS before 14.4, no call waits for other processes. There the thread looks
    /// every millisecond, and more often in the first milliseconds.
    ///
    /// # Errors
    /// As [`load_u32`](Self::load_u32).
    pub fn wait_u32(
        &self,
        offset: u64,
        expected: u32,
        timeout: Duration,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Waited> {
        if self.load_u32(offset)? != expected {
            return Ok(Waited::Changed);
        }
        let start = Instant::now();
        if self.spins.are_worth_it() {
            let limit = SPIN.min(timeout);
            let spun = self.spin(offset, expected, start, limit)?;
            self.spins.note_spin(spun);
            if spun {
                return Ok(Waited::Changed);
            }
        }
        loop {
            let elapsed = start.elapsed();
            let rest = timeout.saturating_sub(elapsed);
            if rest.is_zero() {
                return Ok(Waited::TimedOut);
            }
            let slept = self.memory.sleep(offset, expected, rest.min(SLICE), elapsed);
            slept.map_err(|fault| self.fault(fault, offset, 4))?;
            if self.load_u32(offset)? != expected {
                self.spins.note_sleep(start.elapsed());
                return Ok(Waited::Changed);
            }
            if !is_wanted() {
                return Ok(Waited::Stopped);
            }
        }
    }

    /// Wakes every thread of every process that waits for the word of 4 bytes at `offset` to change. Call it
    /// after the change. It changes no byte, and so also works on a read-only segment.
    ///
    /// # Errors
    /// As [`load_u32`](Self::load_u32).
    pub fn notify_u32(&self, offset: u64) -> Result<()> {
        self.check_truncation()?;
        self.memory.wake(offset).map_err(|fault| self.fault(fault, offset, 4))
    }

    /// Returns whether the word changed within `limit`.
    fn spin(&self, offset: u64, expected: u32, start: Instant, limit: Duration) -> Result<bool> {
        const LOADS: u32 = 16; // Between two looks at the clock, which is slower than a load.
        while start.elapsed() < limit {
            for _ in 0..LOADS {
                let word: u32 = self.memory.load(offset).map_err(|fault| self.fault(fault, offset, 4))?;
                if word != expected {
                    return Ok(true);
                }
                std::hint::spin_loop();
            }
        }
        Ok(false)
    }
}

/// The number of spins that may still fail on this segment until no wait spins. A wait that was short without
/// a spin gives the next one another try.
#[derive(Debug)]
pub(super) struct Spins(AtomicU8);

impl Default for Spins {
    fn default() -> Self {
        Self(AtomicU8::new(Self::FAILURES))
    }
}

impl Spins {
    const FAILURES: u8 = 2;
    /// A partner that answers at once takes about this long if both sides sleep.
    const SHORT: Duration = Duration::from_micros(50);

    fn are_worth_it(&self) -> bool {
        // With one processor, the other side can't run while this one spins.
        static HAS_PROCESSORS: OnceLock<bool> = OnceLock::new();
        self.0.load(Ordering::Relaxed) > 0
            && *HAS_PROCESSORS
                .get_or_init(|| std::thread::available_parallelism().is_ok_and(|count| count.get() > 1))
    }

    fn note_spin(&self, is_success: bool) {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(if is_success { Self::FAILURES } else { left.saturating_sub(1) }, Ordering::Relaxed);
    }

    fn note_sleep(&self, time: Duration) {
        if time < Self::SHORT {
            self.0.store(1, Ordering::Relaxed);
        }
    }
}
