//! The `Watch` of systems where mapped memory can't vanish, or where there is none to map.

/// A watch that does nothing.
#[derive(Debug)]
pub(crate) struct Watch;

impl Watch {
    pub(crate) fn new(_: *const u8, _: usize) -> Self {
        Self
    }

    pub(crate) fn faulted(&self) -> bool {
        let _ = self;
        false
    }
}

/// Does nothing: no handler is installed.
pub fn uninstall_fault_handler() {}
