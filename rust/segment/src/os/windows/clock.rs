//! The monotonic clock.

use std::sync::OnceLock;

use windows_sys::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};

/// Returns the time of the performance counter in nanoseconds. All processes have the same counter.
pub(crate) fn monotonic_nanoseconds() -> u64 {
    /// The number of counts per second. It never changes.
    static FREQUENCY: OnceLock<u64> = OnceLock::new();
    let frequency = *FREQUENCY.get_or_init(|| {
        let mut frequency = 0;
        // SAFETY: the call writes one number. It never fails on a system that Godot runs on.
        unsafe { QueryPerformanceFrequency(&raw mut frequency) };
        frequency.unsigned_abs().max(1)
    });
    let mut count = 0;
    // SAFETY: the call writes one integer, which lives until it returns.
    unsafe { QueryPerformanceCounter(&raw mut count) };
    in_nanoseconds(count.unsigned_abs(), frequency)
}

/// Whole seconds come first: the product of the count and a billion has more than 64 bits.
const fn in_nanoseconds(count: u64, frequency: u64) -> u64 {
    const BILLION: u64 = 1_000_000_000;
    let rest = count % frequency * BILLION / frequency;
    (count / frequency).wrapping_mul(BILLION).wrapping_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_counts_nanoseconds() {
        assert_eq!(in_nanoseconds(10_000_001, 10_000_000), 1_000_000_100);
        assert_eq!(in_nanoseconds(3_000_000_000 * 3600 * 24 * 365, 3_000_000_000), 31_536_000_000_000_000);
        let (start, before) = (std::time::Instant::now(), monotonic_nanoseconds());
        std::thread::sleep(std::time::Duration::from_millis(50));
        let (counted, elapsed) = (monotonic_nanoseconds() - before, start.elapsed());
        assert!(
            counted >= 50_000_000 && u128::from(counted) <= elapsed.as_nanos(),
            "{counted} of {elapsed:?}"
        );
    }
}
