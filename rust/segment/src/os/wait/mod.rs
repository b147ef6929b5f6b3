//! Sleeping until another process changes a word.
//!
//! `system` offers two functions:
//! - `sleep`: sleeps while the word is the expected one, and returns whether the system can do that here.
//! - `wake`: wakes all threads of all processes that sleep on the word.
//!
//! A thread looks at the word after each sleep, so both may do less. Where the system can't do it, the thread
//! looks again after a pause. Windows' `WaitOnAddress` reaches no other process, and FreeBSD's `_umtx_op` is
//! in no test.

#[cfg_attr(target_os = "linux", path = "futex.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(not(any(target_os = "linux", target_os = "macos")), path = "unavailable.rs")]
mod system;

use std::sync::atomic::AtomicU32;
use std::thread;
use std::time::Duration;

pub(crate) use system::wake;

/// Sleeps while the word is `expected`, for `limit` at most. May return earlier. `elapsed` is the time since
/// the wait began.
pub(crate) fn sleep(word: &AtomicU32, expected: u32, limit: Duration, elapsed: Duration) {
    if !system::sleep(word, expected, limit) {
        // A fast partner answers within microseconds. One that doesn't is worth a look per millisecond only.
        let pause = (elapsed / 4).clamp(Duration::from_micros(100), Duration::from_millis(1));
        thread::sleep(pause.min(limit));
    }
}
