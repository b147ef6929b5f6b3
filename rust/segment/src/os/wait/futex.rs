//! Linux: futex(2), which takes a page that this process may only read as well.
//!
//! The calls are those without `FUTEX_PRIVATE_FLAG`: the kernel then finds the word by its place in the file,
//! in every process that maps it. On a page that was truncated both return EFAULT, without a signal. A thread
//! that already sleeps there is woken by its timeout only.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex;

pub(super) fn sleep(word: &AtomicU32, expected: u32, limit: Duration) -> bool {
    // Fails for more seconds than the kernel can count. A wait is cut into slices far shorter.
    let Ok(limit) = limit.try_into() else { return false };
    match futex::wait(word, futex::Flags::empty(), expected, Some(&limit)) {
        // Woken; or the word is another one; or a signal came; or the time is over.
        Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => true,
        // The page is gone, or a sandbox forbids the call.
        Err(_) => false,
    }
}

pub(crate) fn wake(word: &AtomicU32) {
    const ALL: u32 = i32::MAX.unsigned_abs();
    // A thread that is not woken looks at its word a little later.
    let _ = futex::wake(word, futex::Flags::empty(), ALL);
}
