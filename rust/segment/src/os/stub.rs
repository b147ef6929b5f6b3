//! Systems without named shared memory: everything compiles, and no backend is available.

#[cfg(test)]
use memmap2::{MmapMut, MmapRaw};

use super::{Provider, unwatched};
pub use unwatched::uninstall_fault_handler;
pub(crate) use unwatched::{Inherited, Watch, forks, guard_forks, install_fault_handler};

pub(super) const NATIVE: Option<&dyn Provider> = None;

pub(crate) const fn monotonic_nanoseconds() -> u64 {
    0
}

pub(crate) fn coarse_clock() -> u64 {
    0
}

/// Memory without a name.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) fn anonymous(length: usize) -> MmapRaw {
    MmapMut::map_anon(length).unwrap().into()
}
