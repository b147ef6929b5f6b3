//! Waiting until another process, or another thread, changes a word.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use super::Segment;
use crate::error::Result;

/// The shortest and the longest sleep. Nothing wakes a thread after a store without a notify, after a
/// truncation, or when its caller no longer wants to wait. So it looks for these. Each look takes some 30 µs
/// of processor time, most of it for the system's timer.
///
/// A sleep that is shorter than a tick of the system makes it program its timer, which doubles the time of a
/// round trip.
const SLICES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(40));

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
    /// change is noticed 10 to 40 ms later. The wait also ends within that time if `is_wanted` returns false.
    /// A word that changed and is `expected` again when this looks has not changed.
    ///
    /// The thread sleeps, except for a look now and then, which takes about 0.1 % of a processor. That is
    /// true for a read-only segment as well.
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
        let look = || {
            let word: u32 = self.memory.load(offset).map_err(|fault| self.fault(fault, offset, 4))?;
            Ok((word != expected).then_some(()))
        };
        if self.spin(timeout, look)?.is_some() {
            return Ok(Waited::Changed);
        }
        loop {
            let elapsed = start.elapsed();
            let rest = timeout.saturating_sub(elapsed);
            if rest.is_zero() {
                return Ok(Waited::TimedOut);
            }
            let slice = (elapsed / 2).clamp(SLICES.0, SLICES.1).min(rest);
            let slept = self.memory.sleep(offset, expected, slice, elapsed);
            slept.map_err(|fault| self.fault(fault, offset, 4))?;
            if self.load_u32(offset)? != expected {
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

    /// Calls `look` for some microseconds until it finds something, if spinning has helped lately.
    pub(crate) fn spin<T, E>(
        &self,
        timeout: Duration,
        mut look: impl FnMut() -> std::result::Result<Option<T>, E>,
    ) -> std::result::Result<Option<T>, E> {
        const LOOKS: u32 = 16; // Between two looks at the clock, which is slower.
        if !self.spins.take_turn() {
            return Ok(None);
        }
        let (start, limit) = (Instant::now(), SPIN.min(timeout));
        loop {
            for _ in 0..LOOKS {
                if let Some(found) = look()? {
                    self.spins.note(true);
                    return Ok(Some(found));
                }
                std::hint::spin_loop();
            }
            if start.elapsed() >= limit {
                self.spins.note(false);
                return Ok(None);
            }
        }
    }
}

/// The number of coming waits of a segment that don't spin.
///
/// Spinning pays off only if the other side runs on another processor and answers without sleeping. Otherwise
/// it does harm: the system then wakes the other side on a second processor, which takes longer. So after a
/// spin that failed, most waits do without.
#[derive(Debug)]
pub(super) struct Spins(AtomicU8);

impl Default for Spins {
    fn default() -> Self {
        // The system's answer takes longer than any spin. So the first wait doesn't ask for it.
        has_processors();
        Self(AtomicU8::new(0))
    }
}

/// Returns whether this process has several processors. With one, the other side can't run while this one
/// spins.
fn has_processors() -> bool {
    static HAS_PROCESSORS: OnceLock<bool> = OnceLock::new();
    *HAS_PROCESSORS.get_or_init(|| std::thread::available_parallelism().is_ok_and(|count| count.get() > 1))
}

impl Spins {
    const PAUSE: u8 = 63;

    /// Counts a wait, and returns whether it spins.
    fn take_turn(&self) -> bool {
        let left = self.0.load(Ordering::Relaxed);
        if left > 0 {
            self.0.store(left - 1, Ordering::Relaxed);
            return false;
        }
        has_processors()
    }

    fn note(&self, is_success: bool) {
        self.0.store(if is_success { 0 } else { Self::PAUSE }, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Spins;

    #[test]
    fn after_a_failed_spin_most_waits_do_without() {
        let has_processors = std::thread::available_parallelism().is_ok_and(|count| count.get() > 1);
        let spins = Spins::default();
        assert_eq!(spins.take_turn(), has_processors);
        spins.note(false);
        for _ in 0..Spins::PAUSE {
            assert!(!spins.take_turn());
        }
        assert_eq!(spins.take_turn(), has_processors);
        spins.note(true);
        assert_eq!(spins.take_turn(), has_processors);
    }
}
