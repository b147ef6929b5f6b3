//! The operating-system layer.
//!
//! `system` is the platform's named shared memory; `file`, `sysv` and `memfd` are the other backends. Each is
//! a [`Provider`], which makes, opens and removes segments. An open segment is three parts ([`Opened`]): the
//! [`OpenSegment`], which asks the system about it; the [`NameHandle`]; and the [`Mapping`], its bytes.
//!
//! Each `system` offers besides:
//! - `NATIVE`: its provider.
//! - `Watch`: keeps a fault in vanished memory from ending the process, with `install_fault_handler` and
//!   `uninstall_fault_handler`.
//! - `Inherited`: an entry in the list of descriptors that a child of a fork lets go of, with `guard_forks`
//!   and `forks`.
//! - `coarse_clock`: a number that changes every few milliseconds, and costs next to nothing to ask for.
//! - `monotonic_nanoseconds`: the time that `docs/FORMAT.md` names.
//! - For tests, `anonymous`: a mapping that has no name.
//!
//! `wait` is the way to sleep until another process changes a word.

#[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd", windows))]
mod common;
#[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd", windows))]
mod file;
#[cfg(target_os = "linux")]
mod memfd;
#[cfg(target_os = "linux")]
mod procfs;
// FreeBSD has no locks of open file descriptions. Linux and Windows have all that is needed; on Linux, the
// file is for tests.
#[cfg(any(all(test, target_os = "linux"), target_os = "macos", windows))]
mod role_file;
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
mod roles;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
#[path = "no_roles.rs"]
mod roles;
#[cfg(target_os = "linux")]
mod sysv;
#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "freebsd")))]
mod unwatched;
pub(crate) mod wait;

// On all other systems everything compiles, and no backend is available. Android and iOS are Unix, but keep
// apps from sharing memory by name; the Web has no processes.
#[cfg_attr(any(target_os = "linux", target_os = "macos", target_os = "freebsd"), path = "posix/mod.rs")]
#[cfg_attr(windows, path = "windows/mod.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "macos", target_os = "freebsd", windows)),
    path = "stub.rs"
)]
mod system;

use std::ffi::c_int;
use std::fmt::Debug;
use std::fs::File;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Instant;

use crate::error::Result;
use crate::info::{OwnerState, SegmentInfo};
use crate::options::{Access, Backend, Lifetime, Options, Scope};
pub(crate) use roles::RoleLocks;

#[cfg(all(fuzzing, target_os = "linux"))]
pub use system::ByCalls;
#[cfg(test)]
pub(crate) use system::anonymous;
pub use system::uninstall_fault_handler;
pub(crate) use system::{Inherited, forks, guard_forks};
pub(crate) use system::{Watch, coarse_clock, install_fault_handler, monotonic_nanoseconds};

/// Makes, opens and removes segments of one backend.
pub(crate) trait Provider: Sync {
    /// Creates a segment of `size` zero bytes, at least 1. Retries until `end` while the name is changing
    /// hands.
    fn create(&self, options: &Options<'_>, size: u64, end: Instant) -> Result<Opened>;

    /// Opens `size` bytes of a segment, or all of it for 0. Never blocks. With a scope, opens only a segment
    /// of that scope, where scopes have names of their own.
    fn open(&self, options: &Options<'_>, scope: Option<Scope>, size: u64, access: Access) -> Result<Opened>;

    /// Opens the segment that a dead owner left under the name, with the locks of its owner. So no process
    /// can remove it or become its owner. `None` if there is none with this scope. Retries until `end` while
    /// the name is changing hands.
    ///
    /// On Windows, a section has no such locks. There, this opens any section of this scope.
    fn adopt(&self, _: &Options<'_>, _end: Instant) -> Result<Option<Opened>> {
        Ok(None)
    }

    fn exists(&self, options: &Options<'_>) -> bool;

    /// Looks at the segment that has the name, without changing anything. Also returns its file, open for
    /// reading, if it is one that this user may read.
    fn info(&self, options: &Options<'_>) -> Result<(SegmentInfo, Option<File>)>;

    /// Returns the processes that have the segment mapped, as far as this user may know them, where the
    /// system tells.
    fn users(&self, _: &Options<'_>) -> Vec<u32> {
        Vec::new()
    }

    fn remove(&self, options: &Options<'_>) -> Result<()>;

    /// Returns whether it has [`Lifetime::Persistent`].
    fn can_persist(&self) -> bool;

    /// Returns all names, sorted, where the system can list them.
    fn list_names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A segment that was just created or opened.
pub(crate) struct Opened {
    pub(crate) object: Box<dyn OpenSegment>,
    pub(crate) name: NameHandle,
    pub(crate) map: Box<dyn Mapping>,
}

#[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd", windows))]
impl Opened {
    fn new(object: impl OpenSegment + 'static, name: NameHandle, map: impl Mapping + 'static) -> Self {
        Self { object: Box::new(object), name, map: Box::new(map) }
    }
}

/// An open segment, as the system sees it.
pub(crate) trait OpenSegment: Debug + Send + Sync + UnwindSafe + RefUnwindSafe {
    /// Returns how many bytes it has now.
    fn size(&self) -> Result<u64>;

    /// Returns how many of its bytes will take memory when they are first read; 0 where that isn't known.
    fn unpopulated(&self) -> u64 {
        0
    }

    /// Returns the descriptor that a child of `fork(2)` would inherit, with the locks on it. Some have none.
    fn descriptor(&self) -> Option<c_int> {
        None
    }

    fn scope(&self) -> Scope;

    fn owner_state(&self) -> OwnerState;

    /// Returns whether the segment waits for another creator to reclaim its name. Called for an opener only.
    fn is_left_over(&self) -> bool {
        false
    }

    /// Lets other creators look at a segment that was adopted.
    fn end_adoption(&self) {}

    /// Sets when the name goes. Called for a creator only.
    fn set_lifetime(&self, lifetime: Lifetime) -> Result<()>;

    /// Does to the name what its lifetime says. Called for a creator only.
    fn release_name(&self);

    /// Begins to use memory whose name goes with its last user.
    ///
    /// By default, the name goes with the last handle, or stays.
    fn join(&self) -> Result<Joined> {
        Ok(Joined::Yes)
    }

    /// Ends that use. After the last one, removes the name if `is_done` then returns true. Called once, after
    /// `join`.
    fn leave(&self, _is_done: &dyn Fn() -> bool) {}

    /// Returns the locks of the roles in its layout. An error says why there are none.
    fn role_locks(&self) -> Result<RoleLocks<'_>>;
}

/// The answer of [`OpenSegment::join`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joined {
    Yes,
    /// The name doesn't lead here any more, or is about to be removed.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "names don't move there"))]
    NameMoves,
    /// The memory goes with its owner. After the owner's end, another one may take its name.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "memory has no mark there"))]
    Owned,
    /// The mark doesn't say that it was made to outlive its owner.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "memory has no mark there"))]
    Unmarked,
}

/// The bytes of a segment.
///
/// # Safety
/// From [`as_mut_ptr`](Self::as_mut_ptr) on, [`len`](Self::len) bytes are mapped for as long as this lives,
/// and neither ever changes. The bytes may be written to if the segment was opened for writing.
pub(crate) unsafe trait Mapping: Debug + Send + Sync + UnwindSafe + RefUnwindSafe {
    fn as_mut_ptr(&self) -> *mut u8;

    fn len(&self) -> usize;
}

// SAFETY: memmap2 unmaps the range when it drops the value, and never before.
unsafe impl Mapping for memmap2::MmapRaw {
    fn as_mut_ptr(&self) -> *mut u8 {
        Self::as_mut_ptr(self)
    }

    fn len(&self) -> usize {
        Self::len(self)
    }
}

/// A name that led to a segment.
pub(crate) trait Named: Debug + Send + Sync + UnwindSafe + RefUnwindSafe {
    fn as_str(&self) -> &str;

    fn native_name(&self) -> String;

    fn is_current(&self) -> bool;

    fn unlink(&self) -> Result<()>;
}

/// A name, and the segment it led to when it was created or opened.
///
/// It may outlive the [`Segment`](crate::Segment).
#[derive(Debug, Clone)]
pub struct NameHandle(Arc<dyn Named>);

impl NameHandle {
    #[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd", windows))]
    fn new(named: impl Named + 'static) -> Self {
        Self(Arc::new(named))
    }

    /// Returns the name as other programs write it, without a `/` at its start that is not part of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the form of the name that the system's own calls take.
    ///
    /// That is `/frames` for `shm_open(3)`, and `Local\frames` on Windows. For the other backends, it is a
    /// file's path, the key of a System V segment, or the path of a memfd's meta file.
    #[must_use]
    pub fn native_name(&self) -> String {
        self.0.native_name()
    }

    /// Returns whether the name still leads to the segment it led to.
    ///
    /// False once the name was removed, or given to another segment.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.0.is_current()
    }

    /// Removes the name, if it still leads to the segment; otherwise does nothing.
    ///
    /// Between the check and the removal, another process may remove the name and create it again; its
    /// segment then loses the name. No system has a call that does both at once. On Windows, where a name
    /// goes with the last handle of any process, this does nothing.
    ///
    /// # Errors
    /// [`PermissionDenied`](crate::Error::PermissionDenied), [`System`](crate::Error::System).
    pub fn unlink(&self) -> Result<()> {
        self.0.unlink()
    }
}

/// Returns the provider of a backend, if this system has it.
pub(crate) fn provider(backend: Backend) -> Option<&'static dyn Provider> {
    match backend {
        Backend::Native => system::NATIVE,
        #[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd", windows))]
        Backend::File => Some(&file::Files),
        #[cfg(target_os = "linux")]
        Backend::SystemV => Some(&sysv::SystemV),
        #[cfg(target_os = "linux")]
        Backend::Memfd => Some(&memfd::Memfds),
        #[cfg(not(target_os = "linux"))]
        _ => None,
    }
}
