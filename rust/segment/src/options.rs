//! Options for creating and opening a segment, shared by the public API and the backends.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::os::{self, Provider};
use crate::segment::Segment;

/// The users that may open a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// This user only. POSIX: mode 0600, whatever the umask. Windows: a name of this session, and an access
    /// list with this user and the system.
    #[default]
    Local,
    /// Every user of the machine. POSIX: mode 0666, whatever the umask. Windows: a name of the machine, and
    /// an access list that lets everybody read and write. Such a name needs the privilege to create global
    /// objects.
    Global,
}

/// The accesses that an opener needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and write.
    ReadWrite,
    /// Read; writing is [`Error::ReadOnly`].
    ReadOnly,
}

/// The time when a segment's name goes. On Windows, that is always when the last handle is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lifetime {
    /// When its creator closes the segment. If the creator is killed, the next creator of that name reclaims
    /// it.
    #[default]
    Owner,
    /// When it is removed, or the system restarts. Not every backend supports this: see
    /// [`Backend::can_persist`].
    Persistent,
}

/// The source of a segment's memory. Each backend has names of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// The system's own named shared memory: `shm_open(3)`, or a section that the page file backs.
    #[default]
    Native,
    /// A file: its path is the name, its content the memory. For programs that can only map files.
    ///
    /// The file stays until it is removed, whatever the [`Lifetime`]. A symbolic link in its place is never
    /// followed.
    File,
    /// System V (`shmget(2)`), on Linux: the key is the hash of the name that the Node package
    /// `@markusjx/shared_memory` computes.
    ///
    /// Unless it is persistent, the name goes with its creator. If the creator is killed, the name stays, and
    /// is never reclaimed.
    SystemV,
    /// Memory without a name (`memfd_create(2)`), on Linux, as in shared-memory-zig: a meta file in
    /// `$XDG_RUNTIME_DIR` names the process that has it. Only this user can open it, and it goes with its
    /// creator.
    Memfd,
}

impl Backend {
    /// All backends, whether this system has them or not.
    pub const ALL: [Self; 4] = [Self::Native, Self::File, Self::SystemV, Self::Memfd];

    /// Returns whether this system has the backend.
    #[must_use]
    pub fn is_available(self) -> bool {
        os::provider(self).is_some()
    }

    /// Returns whether a name can outlive its creator. If not, [`Lifetime::Persistent`] is
    /// [`Error::Unsupported`].
    #[must_use]
    pub fn can_persist(self) -> bool {
        os::provider(self).is_some_and(Provider::can_persist)
    }
}

/// Creates, opens and removes segments.
///
/// ```
/// use shm_segment::{Access, Options};
///
/// # fn main() -> Result<(), shm_segment::Error> {
/// let name = shm_segment::generate_name("doc")?;
/// let ours = Options::new(&name).create(1024)?;
/// let theirs = Options::new(&name).open(0, Access::ReadOnly)?;
/// assert!(theirs.size() >= 1024); // Whole pages on Windows.
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Options<'a> {
    pub(crate) name: &'a str,
    pub(crate) backend: Backend,
    pub(crate) scope: Scope,
    pub(crate) lifetime: Lifetime,
}

/// The time for which a call retries while the name is changing hands.
const RACE: Duration = Duration::from_millis(if cfg!(fuzzing) { 2 } else { 50 });

impl<'a> Options<'a> {
    /// Returns the default options: a native segment for this user, whose name goes with its creator.
    pub const fn new(name: &'a str) -> Self {
        Self { name, backend: Backend::Native, scope: Scope::Local, lifetime: Lifetime::Owner }
    }

    /// Sets the source of the memory.
    pub const fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Sets which users may open the segment. For [`exists`](Self::exists) and [`remove`](Self::remove), the
    /// scope selects where to look on Windows; POSIX has one namespace for all scopes.
    pub const fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets when the name goes. Only creators use it.
    pub const fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Creates a segment of `size` zero bytes under a free name, and owns it.
    ///
    /// A name also counts as free if its creator was a [`Lifetime::Owner`] of this user and is dead. A
    /// process that has the old memory open keeps it, but the name leads to the new segment.
    ///
    /// # Errors
    /// After an error, nothing is left behind.
    /// - [`Error::InvalidName`]; [`Error::InvalidSize`].
    /// - [`Error::AlreadyExists`] if the name is taken, and is not a dead owner's.
    /// - [`Error::Leased`] if another process holds a lease on a dead owner's file.
    /// - [`Error::OutOfMemory`]: on Linux and Windows, every page is reserved before the name appears.
    /// - [`Error::PermissionDenied`]; [`Error::TooManyFiles`]; [`Error::System`].
    /// - [`Error::Unsupported`] if this system lacks the backend, or the backend the scope or lifetime.
    pub fn create(&self, size: u64) -> Result<Segment> {
        self.create_until(Instant::now() + RACE, size)
    }

    fn create_until(&self, end: Instant, size: u64) -> Result<Segment> {
        let provider = self.provider()?;
        let limit = u64::try_from(isize::MAX).unwrap_or(u64::MAX);
        if size == 0 || size > limit {
            return Err(Error::InvalidSize { size, limit });
        }
        self.catch_faults()?;
        Ok(Segment::new(provider.create(self, size, end)?, Access::ReadWrite, true))
    }

    /// Opens the first `size` bytes of an existing segment, or all of it for 0.
    ///
    /// Any name that the system itself takes is allowed. On Windows the name is looked up as given, then
    /// without a leading `/`, in the session and then in the machine. The call never blocks, and never
    /// follows a symbolic link.
    ///
    /// # Errors
    /// - [`Error::InvalidName`]; [`Error::DoesNotExist`].
    /// - [`Error::NotSizedYet`] if its creator has not given it a size; [`Error::TooSmall`] if it has fewer
    ///   than `size` bytes.
    /// - [`Error::NotASegment`] if the name leads to something else, such as a link.
    /// - [`Error::Leased`] if another process holds a lease on the file.
    /// - [`Error::PermissionDenied`]; [`Error::TooManyFiles`]; [`Error::System`].
    /// - [`Error::Unsupported`] if this system lacks the backend.
    pub fn open(&self, size: u64, access: Access) -> Result<Segment> {
        self.open_in(None, size, access)
    }

    /// Does the same, in one scope where scopes have names of their own.
    pub(crate) fn open_in(&self, scope: Option<Scope>, size: u64, access: Access) -> Result<Segment> {
        let provider = self.provider()?;
        self.catch_faults()?;
        let opened = provider.open(self, scope, size, access).map_err(|error| match error {
            // An opener needs no new memory: addresses are missing.
            Error::OutOfMemory { name, call, source, .. } => Error::System { name, call, source },
            other => other,
        })?;
        Ok(Segment::new(opened, access, false))
    }

    /// Opens all of an existing segment: for writing, or read-only if this user may only read it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_to_write_or_read(&self) -> Result<Segment> {
        match self.open(0, Access::ReadWrite) {
            Err(Error::PermissionDenied { .. }) => self.open(0, Access::ReadOnly),
            other => other,
        }
    }

    /// Becomes the owner of the segment that a dead [`Lifetime::Owner`] of this user left, if it has the
    /// scope and `is_wanted` returns true for it. Returns `None` if there is no such segment. One that isn't
    /// wanted loses its name, as it does when its owner ends in an orderly way.
    ///
    /// `is_wanted` is called with the locks of an owner. So no other process can adopt or reclaim the
    /// segment. Retries for at most 50 ms while the name is changing hands. On macOS and FreeBSD, nothing can
    /// be adopted. On Windows, where the system doesn't know the owner, `is_wanted` must find out.
    ///
    /// # Errors
    /// As [`open`](Self::open), except for what a name leads to that can't be adopted.
    pub(crate) fn adopt(&self, is_wanted: impl FnOnce(&Segment) -> bool) -> Result<Option<Segment>> {
        let provider = self.provider()?;
        self.catch_faults()?;
        let Some(opened) = provider.adopt(self, Instant::now() + RACE)? else { return Ok(None) };
        let segment = Segment::new(opened, Access::ReadWrite, true);
        if !is_wanted(&segment) {
            return Ok(None);
        }
        segment.end_adoption();
        Ok(Some(segment))
    }

    /// Opens the segment, or creates it if there is none: for two sides that may start in any order.
    ///
    /// Retries for at most 50 ms while the name appears and vanishes, or the segment has no size yet. So two
    /// sides that race never both fail.
    ///
    /// # Errors
    /// Those of [`create`](Self::create) and [`open`](Self::open). [`Error::AlreadyExists`] and
    /// [`Error::NotSizedYet`] only come after the 50 ms.
    pub fn open_or_create(&self, size: u64) -> Result<Segment> {
        let end = Instant::now() + RACE;
        loop {
            let lost = match self.create_until(end, size) {
                Err(taken @ Error::AlreadyExists { .. }) => taken,
                other => return other,
            };
            // The wanted scope only: a segment of another scope has another name.
            let lost = match self.open_in(Some(self.scope), size, Access::ReadWrite) {
                Err(Error::DoesNotExist { .. }) => lost,
                Err(unsized_yet @ Error::NotSizedYet { .. }) => unsized_yet,
                other => return other,
            };
            if Instant::now() >= end {
                return Err(lost);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Returns whether there is a segment of this name. A symbolic link, a FIFO or a directory is not one.
    #[must_use]
    pub fn exists(&self) -> bool {
        os::provider(self.backend).is_some_and(|provider| provider.exists(self))
    }

    /// Returns the PIDs of this user's processes that have the segment mapped, in ascending order. Root gets
    /// those of every user. Empty on other systems than Linux.
    #[must_use]
    pub fn users(&self) -> Vec<u32> {
        os::provider(self.backend).map_or_else(Vec::new, |provider| provider.users(self))
    }

    /// Removes the name, regardless of its creator. A process that has the segment open keeps it.
    ///
    /// # Errors
    /// - [`Error::InvalidName`]; [`Error::DoesNotExist`].
    /// - [`Error::NotASegment`] if the name leads to something else, which is left alone.
    /// - [`Error::PermissionDenied`]; [`Error::TooManyFiles`]; [`Error::System`].
    /// - [`Error::Unsupported`] if this system lacks the backend. Also for native segments on Windows, where
    ///   only the processes that have a segment open can end it.
    pub fn remove(&self) -> Result<()> {
        self.provider()?.remove(self)
    }

    fn catch_faults(&self) -> Result<()> {
        os::install_fault_handler().map_err(|source| Error::PermissionDenied {
            name: self.name.to_owned(),
            call: "sigaction(SIGBUS)",
            source,
        })
    }

    pub(crate) fn provider(&self) -> Result<&'static dyn Provider> {
        os::provider(self.backend).ok_or(Error::Unsupported {
            what: match self.backend {
                Backend::Native => "named shared memory",
                Backend::File => "shared memory in a file",
                Backend::SystemV => "System V shared memory",
                Backend::Memfd => "shared memory without a name",
            },
        })
    }
}

/// Returns the names of all native segments that this user can see, sorted; none where the system can't list
/// them.
#[must_use]
pub fn list_names() -> Vec<String> {
    os::provider(Backend::Native).map(Provider::list_names).unwrap_or_default()
}
