//! For systems on which nobody can take mapped memory away, or which have none to map: nothing to watch.

/// Watches nothing.
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

/// Nothing to give back.
pub fn uninstall_fault_handler() {}
