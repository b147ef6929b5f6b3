//! The `Watch` of systems where mapped memory can't vanish, or where there is none to map. They also have no
//! `fork(2)`.

use std::sync::atomic::{Ordering, compiler_fence, fence};

/// A watch that does nothing.
#[derive(Debug)]
pub(crate) struct Watch;

impl Watch {
    pub(crate) fn new(_: *const u8, _: usize) -> Self {
        Self
    }

    pub(crate) fn faulted(&self) -> bool {
        let _ = self;
        // As where memory can vanish: a later read of a copy must not become one of the shared bytes.
        compiler_fence(Ordering::SeqCst);
        // The text of `memory.rs` promises this order to readers.
        fence(Ordering::Acquire);
        false
    }
}

/// Does nothing: no handler is needed.
#[allow(clippy::unnecessary_wraps, reason = "the contract of all systems")]
pub(crate) fn install_fault_handler() -> std::io::Result<()> {
    Ok(())
}

/// Does nothing: no handler is installed.
pub fn uninstall_fault_handler() {}

/// An entry that stands for nothing: there is no `fork`.
#[derive(Debug)]
pub(crate) struct Inherited;

impl Inherited {
    pub(crate) fn new(_: Option<std::ffi::c_int>, _: *const u8, _: usize, _: bool) -> Self {
        Self
    }
}

/// Returns 0: there is no `fork`.
pub(crate) const fn forks() -> u32 {
    0
}

/// Does nothing: there is no `fork`.
#[allow(clippy::unnecessary_wraps, reason = "the contract of all systems")]
pub(crate) fn guard_forks() -> std::io::Result<()> {
    Ok(())
}
