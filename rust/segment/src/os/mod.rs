//! One contract, one file a system.
//!
//! Each offers
//! - `Object`: an open segment. `create` and `open` return it with its mapping, `size` asks the system for the
//!   size it has now, `release_name` and `set_lifetime` are the creator's.
//! - `Mapping`: the bytes, `len` of them from `as_mut_ptr` on, for as long as it lives.
//! - `Link`: a name and the segment it led to: `is_current`, `unlink`.
//! - `Watch`: keeps memory that vanishes from ending the process.
//! - `coarse_clock`: a number that changes every few milliseconds, and costs next to nothing to ask for.
//! - `exists`, `remove`, `list_names`, and `CAN_PERSIST`: is there a [`Lifetime`](crate::Lifetime) but its owner's?
//! - For tests, `anonymous`: a mapping that has no name.

// Where a system is in none of the lists, everything compiles, and nothing is there. Such are Android, iOS and the Web:
// the first two are Unix, but keep apps from sharing memory by name, the last has no processes.
#[cfg_attr(any(target_os = "linux", target_os = "macos", target_os = "freebsd"), path = "posix/mod.rs")]
#[cfg_attr(windows, path = "windows/mod.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "macos", target_os = "freebsd", windows)),
    path = "stub.rs"
)]
mod system;
#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "freebsd")))]
mod unwatched;

pub use system::Link;
#[cfg(test)]
pub(crate) use system::anonymous;
pub use system::uninstall_fault_handler;
pub(crate) use system::{CAN_PERSIST, Mapping, Object, Watch, coarse_clock, exists, list_names, remove};
