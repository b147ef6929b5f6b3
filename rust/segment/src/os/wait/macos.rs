//! macOS 14.4 and later: `os_sync_wait_on_address`. It is looked up at run time, since this library also runs
//! on older systems.
//!
//! On both sides the call has the flag SHARED: the word is then found in every process that maps it.

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::mem::transmute;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

type Wait = unsafe extern "C" fn(*mut c_void, u64, usize, u32, u32, u64) -> c_int;
type Wake = unsafe extern "C" fn(*mut c_void, usize, u32) -> c_int;

/// Returns the system's two functions, where it has both.
fn calls() -> Option<(Wait, Wake)> {
    static CALLS: OnceLock<Option<(Wait, Wake)>> = OnceLock::new();
    *CALLS.get_or_init(|| {
        let wait = look_up(c"os_sync_wait_on_address_with_timeout")?;
        let wake = look_up(c"os_sync_wake_by_address_all")?;
        // SAFETY: these are the types in <os/os_sync_wait_on_address.h>.
        Some(unsafe { (transmute::<*mut c_void, Wait>(wait), transmute::<*mut c_void, Wake>(wake)) })
    })
}

fn look_up(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name ends with a NUL. The call only looks for it in what is loaded.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

pub(super) fn sleep(word: &AtomicU32, expected: u32, limit: Duration) -> bool {
    let Some((wait, _)) = calls() else { return false };
    let nanoseconds = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    let (flags, clock) = (libc::OS_SYNC_WAIT_ON_ADDRESS_SHARED, libc::OS_CLOCK_MACH_ABSOLUTE_TIME);
    // SAFETY: the reference keeps four bytes mapped for as long as the call lasts, and the call only reads
    // them.
    let result = unsafe {
        wait(word.as_ptr().cast(), u64::from(expected), size_of::<u32>(), flags, clock, nanoseconds)
    };
    // Otherwise the page is gone, or the system doesn't wait on memory that is mapped read-only.
    result >= 0 || matches!(io::Error::last_os_error().raw_os_error(), Some(libc::ETIMEDOUT | libc::EINTR))
}

pub(crate) fn wake(word: &AtomicU32) {
    if let Some((_, wake)) = calls() {
        let flags = libc::OS_SYNC_WAKE_BY_ADDRESS_SHARED;
        // SAFETY: the address is only an address for the call. It fails if no thread sleeps there.
        unsafe { wake(word.as_ptr().cast(), size_of::<u32>(), flags) };
    }
}
