//! `errno`, the C library's error number of this thread. A signal handler must leave it unchanged.

use std::ffi::c_int;

#[cfg(target_os = "linux")]
fn location() -> *mut c_int {
    // SAFETY: the call has no preconditions.
    unsafe { libc::__errno_location() }
}

#[cfg(not(target_os = "linux"))]
fn location() -> *mut c_int {
    // SAFETY: the call has no preconditions.
    unsafe { libc::__error() }
}

pub(super) fn errno() -> c_int {
    // SAFETY: `location` returns the address of an integer of this thread.
    unsafe { *location() }
}

pub(super) fn set_errno(value: c_int) {
    // SAFETY: `location` returns the address of an integer of this thread.
    unsafe { *location() = value };
}
