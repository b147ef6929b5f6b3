//! Waiting until another process, or another thread, changes a word.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
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

/// The longest time of spinning: about as long as the system takes to wake a thread on another processor.
/// So a spin in vain doubles the cost of a wait at most.
const SPIN: Duration = Duration::from_micros(50);

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
                self.note_sleep(elapsed);
                return Ok(Waited::TimedOut);
            }
            let slice = (elapsed / 2).clamp(SLICES.0, SLICES.1).min(rest);
            let woken = self.memory.sleep(offset, expected, slice, elapsed);
            woken.map_err(|fault| self.fault(fault, offset, 4))?;
            if self.load_u32(offset)? != expected {
                self.note_sleep(start.elapsed());
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

    /// Takes the time of a wait that slept, for the next [`spin`](Self::spin).
    pub(crate) fn note_sleep(&self, waited: Duration) {
        self.spins.note_sleep(waited);
    }

    /// Calls `look` for some microseconds until it finds something, if that is likely to help.
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

/// Decides which waits of a segment spin before they sleep.
///
/// Spinning pays off only if the other side runs on another processor and answers soon. Otherwise it does
/// harm: it takes time of a processor, and the system then wakes the other side on a second one, which takes
/// longer. So a wait spins if the last one was short. After each spin in vain, more of the coming waits do
/// without.
#[derive(Debug)]
pub(super) struct Spins {
    /// The number of coming waits that don't spin.
    pause: AtomicU16,
    /// The pause after the last spin in vain. A spin that helps makes it zero.
    penalty: AtomicU16,
    is_last_long: AtomicBool,
}

impl Default for Spins {
    fn default() -> Self {
        // The system's answer takes longer than any spin. So the first wait doesn't ask for it.
        has_processors();
        Self { pause: AtomicU16::new(0), penalty: AtomicU16::new(0), is_last_long: AtomicBool::new(false) }
    }
}

/// Returns whether this process has several processors. With one, the other side can't run while this one
/// spins.
fn has_processors() -> bool {
    static HAS_PROCESSORS: OnceLock<bool> = OnceLock::new();
    *HAS_PROCESSORS.get_or_init(|| std::thread::available_parallelism().is_ok_and(|count| count.get() > 1))
}

impl Spins {
    const LONGEST_PAUSE: u16 = 1023;
    /// A wait that sleeps and takes longer would not have ended in a spin. It includes the time in which the
    /// system wakes this side, and the other one.
    const LONG: Duration = Duration::from_micros(200);

    /// Counts a wait, and returns whether it spins.
    fn take_turn(&self) -> bool {
        if self.is_last_long.load(Ordering::Relaxed) {
            return false;
        }
        let left = self.pause.load(Ordering::Relaxed);
        if left > 0 {
            self.pause.store(left - 1, Ordering::Relaxed);
            return false;
        }
        has_processors()
    }

    fn note(&self, is_success: bool) {
        let last = self.penalty.load(Ordering::Relaxed);
        let penalty = if is_success { 0 } else { (2 * last + 1).min(Self::LONGEST_PAUSE) };
        if penalty != last {
            self.penalty.store(penalty, Ordering::Relaxed);
        }
        if penalty > 0 {
            self.pause.store(penalty, Ordering::Relaxed);
        }
    }

    /// Takes the time of a wait that slept.
    pub(super) fn note_sleep(&self, waited: Duration) {
        self.is_last_long.store(waited > Self::LONG, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Spins;

    /// Returns the number of waits until one spins, if one of many does.
    fn pause(spins: &Spins) -> Option<u32> {
        (0..10_000).find(|_| spins.take_turn())
    }

    #[test]
    fn each_spin_in_vain_makes_the_pause_longer() {
        if !super::has_processors() {
            return;
        }
        let spins = Spins::default();
        let pauses = [0; 12].map(|_| {
            let waits = pause(&spins);
            spins.note(false);
            waits
        });
        assert_eq!(pauses, [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 1023].map(Some));
        assert_eq!(pause(&spins), Some(1023));
        spins.note(true);
        assert_eq!(pause(&spins), Some(0));
        spins.note(false);
        assert_eq!(pause(&spins), Some(1));
    }

    #[test]
    fn after_a_long_wait_none_spins() {
        let spins = Spins::default();
        spins.note_sleep(Duration::from_millis(1));
        assert!((0..10_000).all(|_| !spins.take_turn()));
        spins.note_sleep(Duration::from_micros(60));
        assert_eq!(spins.take_turn(), super::has_processors());
    }
}
