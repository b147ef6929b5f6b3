//! One contract, one file a system for the memory that it names itself, and one a backend for other memory.
//!
//! Each [`Provider`] makes, opens and removes segments: what is open is [`Opened`]. The system's own offers the same as
//! plain types and functions:
//! - `Object`: an open segment. `create` and `open` return it with its mapping, `size` asks the system for the
//!   size it has now, `release_name` and `set_lifetime` are the creator's.
//! - `Mapping`: the bytes, `len` of them from `as_mut_ptr` on, for as long as it lives.
//! - `Link`: a name and the segment it led to: `is_current`, `unlink`.
//! - `Watch`: keeps memory that vanishes from ending the process.
//! - `coarse_clock`: a number that changes every few milliseconds, and costs next to nothing to ask for.
//! - `exists`, `remove`, `list_names`, and `CAN_PERSIST`: is there a [`Lifetime`] but its owner's?
//! - For tests, `anonymous`: a mapping that has no name.

#[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd", windows))]
mod file;
#[cfg(target_os = "linux")]
mod memfd;
#[cfg(target_os = "linux")]
mod sysv;
#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "freebsd")))]
mod unwatched;

// Where a system is in none of the lists, everything compiles, and nothing is there. Such are Android, iOS and the Web:
// the first two are Unix, but keep apps from sharing memory by name, the last has no processes.
#[cfg_attr(any(target_os = "linux", target_os = "macos", target_os = "freebsd"), path = "posix/mod.rs")]
#[cfg_attr(windows, path = "windows/mod.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "macos", target_os = "freebsd", windows)),
    path = "stub.rs"
)]
mod system;

use std::fmt::Debug;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Instant;

use crate::error::Result;
use crate::name;
use crate::options::{Access, Backend, Lifetime, Scope};

#[cfg(all(fuzzing, target_os = "linux"))]
pub use system::ByCalls;
#[cfg(test)]
pub(crate) use system::anonymous;
pub use system::uninstall_fault_handler;
pub(crate) use system::{Watch, coarse_clock, list_names};

/// Where segments come from.
pub(crate) trait Provider: Sync {
    /// Makes a new segment of `size` zero bytes, 1 or more. While the name is changing hands, tries until `end`.
    fn create(&self, name: &str, size: u64, scope: Scope, lifetime: Lifetime, end: Instant)
    -> Result<Opened>;

    /// Opens what is there; `size` bytes of it, or all if that is 0. With a scope: only what has that one, where
    /// scopes have names of their own. Never blocks.
    fn open(&self, name: &str, size: u64, access: Access, scope: Option<Scope>) -> Result<Opened>;

    fn exists(&self, name: &str, scope: Scope) -> bool;

    fn remove(&self, name: &str, scope: Scope) -> Result<()>;

    /// Is there a [`Lifetime`] but its owner's?
    fn can_persist(&self) -> bool;
}

/// A segment that was just created or opened.
pub(crate) struct Opened {
    pub(crate) object: Box<dyn Object>,
    pub(crate) link: Link,
    pub(crate) map: Box<dyn Mapping>,
}

impl Opened {
    fn new(object: impl Object + 'static, link: impl Target + 'static, map: impl Mapping + 'static) -> Self {
        Self { object: Box::new(object), link: Link(Arc::new(link)), map: Box::new(map) }
    }
}

/// An open segment.
pub(crate) trait Object: Debug + Send + Sync + UnwindSafe + RefUnwindSafe {
    /// How many bytes it has now.
    fn size(&self) -> Result<u64>;

    /// How many bytes of it take memory once they are read, and none before. 0 where that isn't known.
    fn unsupplied(&self) -> u64 {
        0
    }

    fn scope(&self) -> Scope;

    /// For its creator.
    fn set_lifetime(&self, lifetime: Lifetime) -> Result<()>;

    /// For its creator: does to the name what its lifetime says.
    fn release_name(&self);
}

/// The bytes of a segment.
///
/// # Safety
/// From [`as_mut_ptr`](Self::as_mut_ptr) on, [`len`](Self::len) bytes are mapped for as long as this lives, and both
/// never change. They may be written to if the segment was opened for that.
pub(crate) unsafe trait Mapping: Debug + Send + Sync + UnwindSafe + RefUnwindSafe {
    fn as_mut_ptr(&self) -> *mut u8;

    fn len(&self) -> usize;
}

// SAFETY: that is what it is for; nothing is unmapped before it is dropped.
unsafe impl Mapping for memmap2::MmapRaw {
    fn as_mut_ptr(&self) -> *mut u8 {
        Self::as_mut_ptr(self)
    }

    fn len(&self) -> usize {
        Self::len(self)
    }
}

// SAFETY: a view of a section, unmapped when it is dropped, of which no more than was committed is told.
#[cfg(windows)]
unsafe impl Mapping for system::Mapping {
    fn as_mut_ptr(&self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn len(&self) -> usize {
        self.len()
    }
}

/// What a name leads to.
pub(crate) trait Target: Debug + Send + Sync + UnwindSafe + RefUnwindSafe {
    fn name(&self) -> &str;

    fn native_name(&self) -> String;

    fn is_current(&self) -> bool;

    fn unlink(&self) -> Result<()>;
}

/// A name, and the segment it led to when it was created or opened.
///
/// It may outlive the [`Segment`](crate::Segment).
#[derive(Debug, Clone)]
pub struct Link(Arc<dyn Target>);

impl Link {
    /// The name as others give it, without a `/` at its start that is no part of it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// The form of the name that the system's own calls take: `/frames` for `shm_open(3)`, `Local\frames` on Windows;
    /// a file's path; the key of a System V segment; the path of a memfd's meta file.
    #[must_use]
    pub fn native_name(&self) -> String {
        self.0.native_name()
    }

    /// Does the name still lead to the segment it led to?
    ///
    /// False once somebody has removed the name, or made it anew.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.0.is_current()
    }

    /// Removes the name, if it still leads there; otherwise does nothing.
    ///
    /// Between the look and the removal, somebody else may remove the name and make it anew; theirs is lost
    /// then. No system has a call that does both at once. On Windows, where a name goes with the last handle of any
    /// process, this does nothing.
    ///
    /// # Errors
    /// [`PermissionDenied`](crate::Error::PermissionDenied), [`System`](crate::Error::System).
    pub fn unlink(&self) -> Result<()> {
        self.0.unlink()
    }
}

/// What makes segments of this kind, if this system has any.
pub(crate) fn provider(backend: Backend) -> Option<&'static dyn Provider> {
    match backend {
        Backend::Native => Some(&Native),
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

/// The shared memory that the system names itself.
struct Native;

impl Provider for Native {
    fn create(
        &self,
        name: &str,
        size: u64,
        scope: Scope,
        lifetime: Lifetime,
        end: Instant,
    ) -> Result<Opened> {
        let (object, map) = system::Object::create(name::portable(name)?, size, scope, lifetime, end)?;
        let link = object.link().clone();
        Ok(Opened::new(object, link, map))
    }

    fn open(&self, name: &str, size: u64, access: Access, scope: Option<Scope>) -> Result<Opened> {
        let (object, map) = system::Object::open(name, size, access, scope)?;
        let link = object.link().clone();
        Ok(Opened::new(object, link, map))
    }

    fn exists(&self, name: &str, scope: Scope) -> bool {
        system::exists(name, scope)
    }

    fn remove(&self, name: &str, scope: Scope) -> Result<()> {
        system::remove(name, scope)
    }

    fn can_persist(&self) -> bool {
        system::CAN_PERSIST
    }
}

impl Object for system::Object {
    fn size(&self) -> Result<u64> {
        self.size()
    }

    #[cfg(target_os = "linux")]
    fn unsupplied(&self) -> u64 {
        self.unsupplied()
    }

    fn scope(&self) -> Scope {
        self.scope()
    }

    fn set_lifetime(&self, lifetime: Lifetime) -> Result<()> {
        self.set_lifetime(lifetime)
    }

    fn release_name(&self) {
        self.release_name();
    }
}

impl Target for system::Link {
    fn name(&self) -> &str {
        self.name()
    }

    fn native_name(&self) -> String {
        self.native_name()
    }

    fn is_current(&self) -> bool {
        self.is_current()
    }

    fn unlink(&self) -> Result<()> {
        self.unlink()
    }
}
