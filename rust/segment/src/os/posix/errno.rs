//! The C library's own variable for what went wrong, of this thread. A signal handler leaves it as it was.

use std::ffi::c_int;

#[cfg(target_os = "linux")]
fn location() -> *mut c_int {
    // SAFETY: no preconditions.
    unsafe { libc::__errno_location() }
}

#[cfg(not(target_os = "linux"))]
fn location() -> *mut c_int {
    // SAFETY: no preconditions.
    unsafe { libc::__error() }
}

pub(super) fn errno() -> c_int {
    // SAFETY: the address of an integer of this thread.
    unsafe { *location() }
}

pub(super) fn set_errno(value: c_int) {
    // SAFETY: the address of an integer of this thread.
    unsafe { *location() = value };
}
