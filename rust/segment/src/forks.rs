//! The state of the whole process: its forks, and its handler for faults.

use std::io;

use crate::os;

/// Makes each child of a `fork(2)` let go of the segments that its parent has open, from now on.
///
/// Without this call, a child keeps the locks of its parent alive, and may end them. With it, a child closes
/// its share of each descriptor, and touches no name and no lock of the parent. The mappings stay. The child
/// must not use the values that it has inherited, nor drop them. Another thread of the parent may have had a
/// lock in one of them. [`forks`] tells them apart. A segment that another thread is opening at the moment of
/// the fork is missed.
///
/// # Errors
/// If the system has no `/dev/null`, or no memory for its list of handlers.
pub fn guard_forks() -> io::Result<()> {
    os::guard_forks()
}

/// Returns a number that is another one in each child of a fork, once [`guard_forks`] was called.
#[must_use]
pub fn forks() -> u32 {
    os::forks()
}

/// Puts the handler for faults of this crate in front of those of other parts of the program. Each call that
/// opens a segment does so, too.
///
/// # Errors
/// If the system, or a sandbox, refuses that.
pub fn install_fault_handler() -> io::Result<()> {
    os::install_fault_handler()
}
