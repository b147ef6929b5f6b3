//! POSIX shared memory.
//!
//! Where the names live is a [`Namespace`]: on Linux the directory `/dev/shm`, which can do more than the calls
//! of POSIX (see `directory.rs`); elsewhere `shm_open(3)` and `shm_unlink(3)` (`calls.rs`).

mod calls;
#[cfg(target_os = "linux")]
mod directory;
mod errno;
mod fault;
#[cfg(all(fuzzing, target_os = "linux"))]
mod fuzzing;
#[cfg(target_os = "linux")]
mod life_lock;
mod lock_file;
mod owner;
mod replacement;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use memmap2::MmapOptions;
pub(crate) use memmap2::MmapRaw as Mapping;
use rustix::fs::{FileType, Mode, Stat};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::name;
use crate::options::{Access, Lifetime, Scope};
pub(crate) use fault::Watch;
pub use fault::uninstall as uninstall_fault_handler;
#[cfg(all(fuzzing, target_os = "linux"))]
pub use fuzzing::ByCalls;

pub(crate) const CAN_PERSIST: bool = true;

/// Where names lead to segments. Names are plain.
trait Namespace: Sync + Send {
    /// Never blocks.
    fn open(&self, plain: &str, access: Access) -> Result<OwnedFd, Errno>;

    /// What the name leads to now, links not followed.
    fn stat(&self, plain: &str) -> Result<Stat, Errno>;

    fn exists(&self, plain: &str) -> bool;

    /// All names, sorted, where the system can list them.
    fn list(&self) -> Vec<String>;

    fn unlink(&self, plain: &str) -> Result<(), Errno>;

    fn create(&self, new: &New<'_>) -> Result<Made>;

    /// Does the name lead to this segment now?
    fn leads_to(&self, plain: &str, segment: &Stat) -> bool {
        self.stat(plain).is_ok_and(|there| Identity::of(&there) == Identity::of(segment))
    }
}

/// The one namespace of this system.
fn namespace() -> &'static dyn Namespace {
    static NAMESPACE: OnceLock<Box<dyn Namespace>> = OnceLock::new();
    &**NAMESPACE.get_or_init(|| {
        #[cfg(target_os = "linux")]
        if let Some(directory) = directory::Directory::of_the_system() {
            return Box::new(directory);
        }
        Box::new(calls::Calls::new(lock_file::private_folder()))
    })
}

/// Which segment it is, whatever its name: device and inode number (on macOS all segments have the same).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    // The types of `st_dev` and `st_ino` differ between systems; only equality counts.
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss)]
    const fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev as u64, inode: stat.st_ino as u64 }
    }
}

/// A name, and the segment it led to when it was created or opened.
///
/// It may outlive the [`Segment`](crate::Segment).
#[derive(Debug, Clone)]
pub(crate) struct Link {
    plain: String,
    identity: Identity,
}

impl Link {
    /// The plain name, without `/`.
    pub(crate) fn name(&self) -> &str {
        &self.plain
    }

    /// The form of the name that `shm_open(3)` takes: `/frames`.
    pub(crate) fn native_name(&self) -> String {
        format!("/{}", self.plain)
    }

    /// Does the name still lead to the segment it led to?
    ///
    /// False once somebody has removed the name, or made it anew.
    pub(crate) fn is_current(&self) -> bool {
        namespace().stat(&self.plain).is_ok_and(|stat| Identity::of(&stat) == self.identity)
    }

    /// Removes the name, if it still leads there; otherwise does nothing.
    ///
    /// Between the look and the removal, somebody else may remove the name and make it anew; theirs is lost
    /// then. POSIX has no call that does both at once.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`], [`Error::System`].
    pub(crate) fn unlink(&self) -> Result<()> {
        if !self.is_current() {
            return Ok(());
        }
        match namespace().unlink(&self.plain) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failure(&self.plain, "unlink", errno)),
        }
    }
}

/// An open segment.
pub(crate) struct Object {
    fd: OwnedFd,
    link: Link,
    scope: Scope,
    /// The creator's proof of life, and how it is held.
    keeper: Option<Box<dyn owner::Keeper>>,
    persistent: AtomicBool,
    name_released: AtomicBool,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("link", &self.link).field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl Object {
    /// While the name is changing hands, tries until `end`.
    pub(crate) fn create(
        plain: &str,
        size: u64,
        scope: Scope,
        lifetime: Lifetime,
        end: Instant,
    ) -> Result<(Self, Mapping)> {
        let new = New { plain, size, mode: mode_of(scope), marked: lifetime == Lifetime::Owner, end };
        let made = namespace().create(&new)?;
        let stat = rustix::fs::fstat(&made.fd).map_err(|e| failure(plain, "fstat", e))?;
        let object = Self {
            fd: made.fd,
            link: Link { plain: plain.to_owned(), identity: Identity::of(&stat) },
            scope,
            keeper: made.keeper,
            persistent: AtomicBool::new(lifetime == Lifetime::Persistent),
            name_released: AtomicBool::new(false),
        };
        Ok((object, made.map))
    }

    /// All scopes share one namespace.
    pub(crate) fn open(name: &str, size: u64, access: Access, _: Option<Scope>) -> Result<(Self, Mapping)> {
        let plain = name::foreign(name)?;
        let fd = namespace().open(plain, access).map_err(|e| failure(plain, "shm_open", e))?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| failure(plain, "fstat", e))?;
        if let Some(found) = not_memory(&stat) {
            return Err(Error::NotASegment { name: plain.to_owned(), found });
        }
        let actual = u64::try_from(stat.st_size).unwrap_or(0);
        if actual == 0 {
            return Err(Error::NotSizedYet { name: plain.to_owned() });
        }
        if size > actual {
            return Err(Error::TooSmall { name: plain.to_owned(), actual, requested: size });
        }
        let size = if size == 0 { actual } else { size };
        let map = map(&fd, plain, size, access)?;
        let others_write = Mode::from_raw_mode(stat.st_mode).contains(Mode::WOTH);
        let object = Self {
            fd,
            link: Link { plain: plain.to_owned(), identity: Identity::of(&stat) },
            scope: if others_write { Scope::Global } else { Scope::Local },
            keeper: None,
            persistent: AtomicBool::new(true),
            name_released: AtomicBool::new(false),
        };
        Ok((object, map))
    }

    pub(crate) fn size(&self) -> Result<u64> {
        let stat = rustix::fs::fstat(&self.fd).map_err(|e| failure(&self.link.plain, "fstat", e))?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn unsupplied(&self) -> u64 {
        unsupplied(&self.fd)
    }

    pub(crate) const fn scope(&self) -> Scope {
        self.scope
    }

    pub(crate) const fn link(&self) -> &Link {
        &self.link
    }

    pub(crate) fn set_lifetime(&self, lifetime: Lifetime) -> Result<()> {
        let persistent = lifetime == Lifetime::Persistent;
        if let Some(keeper) = &self.keeper {
            keeper
                .mark(&self.fd, mode_of(self.scope), !persistent)
                .map_err(|e| failure(&self.link.plain, "fchmod", e))?;
        }
        self.persistent.store(persistent, Ordering::Release);
        Ok(())
    }

    pub(crate) fn release_name(&self) {
        if self.persistent.load(Ordering::Acquire) || self.name_released.swap(true, Ordering::AcqRel) {
            return;
        }
        // While the lock is still held: nobody takes the name for a dead owner's meanwhile.
        // Nothing can be done about a failure here, and the next creator reclaims what is left.
        let _ = self.link.unlink();
        if let Some(keeper) = &self.keeper {
            keeper.forget();
        }
    }
}

/// What is wanted of a namespace's `create`.
struct New<'a> {
    plain: &'a str,
    size: u64,
    mode: Mode,
    /// May be reclaimed once its owner is dead.
    marked: bool,
    /// How long to wait for a name that is changing hands.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only the directory lets one see that"))]
    end: Instant,
}

impl New<'_> {
    fn taken(&self, why: &'static str) -> Error {
        Error::AlreadyExists { name: self.plain.to_owned(), why }
    }

    /// What a failed system call means to who makes a segment.
    fn failure(&self, call: &'static str, errno: Errno) -> Error {
        let (name, source) = (self.plain.to_owned(), errno.into());
        match errno {
            Errno::NOSPC | Errno::NOMEM | Errno::FBIG | Errno::DQUOT => {
                Error::OutOfMemory { name, size: self.size, call, source }
            }
            // Not the segment, which nobody expects to exist, but the place for it.
            Errno::NOENT => Error::System { name, call, source },
            _ => failure(self.plain, call, errno),
        }
    }
}

/// What a namespace's `create` made: named, sized, locked, mapped.
struct Made {
    fd: OwnedFd,
    map: Mapping,
    keeper: Option<Box<dyn owner::Keeper>>,
}

const fn mode_of(scope: Scope) -> Mode {
    match scope {
        Scope::Local => Mode::from_raw_mode(0o600),
        Scope::Global => Mode::from_raw_mode(0o666),
    }
}

/// Gives a new, empty segment its size and its pages, and maps it.
fn allocate(fd: &OwnedFd, new: &New<'_>) -> Result<Mapping> {
    reserve(fd, new.size)
        .map_err(|(call, source)| new.failure(call, Errno::from_io_error(&source).unwrap_or(Errno::NOMEM)))?;
    map(fd, new.plain, new.size, Access::ReadWrite)
}

/// Gives a new, empty file its size and, where the system can, its pages. An error names the call.
pub(crate) fn reserve(fd: impl AsFd, size: u64) -> Result<(), (&'static str, io::Error)> {
    // Beyond this limit the kernel doesn't just refuse: it sends SIGXFSZ, which ends the process.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    if limit.is_some_and(|limit| size > limit) {
        return Err(("RLIMIT_FSIZE", Errno::FBIG.into()));
    }
    // Nor is a process refused that reserves more memory than there is: it is killed.
    #[cfg(target_os = "linux")]
    if !crate::available::has_room_for(size) && is_in_memory(&fd) {
        return Err(("MemAvailable", Errno::NOMEM.into()));
    }
    // Nobody has an address space for more, and macOS must not be asked: it makes an object of any size, from parts of
    // 4 GiB, and nothing stops it while it does.
    #[cfg(target_os = "macos")]
    if size > 1 << 47 {
        return Err(("ftruncate", Errno::NOMEM.into()));
    }
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    {
        // Reserves the pages, so that no later store can fail for want of one. A file system may take its time for
        // it, piece by piece; whoever finds the file meanwhile must find no size yet (FreeBSD has no such way).
        #[cfg(target_os = "linux")]
        let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
        #[cfg(target_os = "freebsd")]
        let flags = rustix::fs::FallocateFlags::empty();
        match rustix::io::retry_on_intr(|| rustix::fs::fallocate(&fd, flags, 0, size)) {
            Ok(()) if flags.is_empty() => return Ok(()),
            Ok(()) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::NODEV) => {}
            Err(errno) => return Err(("fallocate", errno.into())),
        }
    }
    // Once: macOS lets nobody change a size, not even back to what it is.
    rustix::io::retry_on_intr(|| rustix::fs::ftruncate(&fd, size)).map_err(|e| ("ftruncate", e.into()))
}

fn map(fd: &OwnedFd, plain: &str, size: u64, access: Access) -> Result<Mapping> {
    let no_room = |source| Error::OutOfMemory { name: plain.to_owned(), size, call: "mmap", source };
    let length = usize::try_from(size).map_err(|_| no_room(Errno::NOMEM.into()))?;
    let mut options = MmapOptions::new();
    let options = options.len(length);
    let mapped = match access {
        Access::ReadWrite => options.map_raw(fd),
        Access::ReadOnly => options.map_raw_read_only(fd),
    };
    mapped.map_err(|source| match Errno::from_io_error(&source) {
        // The second: more locked memory than the process may have (`mlockall(2)`).
        Some(Errno::NOMEM | Errno::AGAIN) | None => no_room(source),
        Some(errno) => failure(plain, "mmap", errno),
    })
}

/// How many bytes of a file in memory (tmpfs) have no page yet.
#[cfg(target_os = "linux")]
pub(crate) fn unsupplied(fd: impl AsFd) -> u64 {
    /// The unit of `st_blocks` (`stat(3type)`).
    const BLOCK: u64 = 512;
    rustix::fs::fstat(fd).map_or(0, |stat| {
        let number = |value| u64::try_from(value).unwrap_or(0);
        number(stat.st_size).saturating_sub(number(stat.st_blocks).saturating_mul(BLOCK))
    })
}

/// Is the file memory, of which each page takes one of the machine's?
#[cfg(target_os = "linux")]
pub(crate) fn is_in_memory(fd: impl AsFd) -> bool {
    const TMPFS_MAGIC: u64 = 0x0102_1994; // linux/magic.h
    rustix::fs::fstatfs(fd).is_ok_and(|found| u64::try_from(found.f_type) == Ok(TMPFS_MAGIC))
}

/// Is it memory of huge pages (hugetlbfs)? Of these, the fault handler can't replace one of the system's own.
pub(crate) fn has_huge_pages(fd: &impl AsFd) -> bool {
    #[cfg(target_os = "linux")]
    {
        const HUGETLBFS_MAGIC: u64 = 0x9584_58f6; // linux/magic.h
        rustix::fs::fstatfs(fd).is_ok_and(|found| u64::try_from(found.f_type) == Ok(HUGETLBFS_MAGIC))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = fd;
        false
    }
}

/// What [`has_huge_pages`].
pub(crate) const HUGE_PAGES: &str = "memory of huge pages";

/// What it is, if it isn't memory.
fn not_memory(stat: &Stat) -> Option<&'static str> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        FileType::Symlink => Some("a symbolic link"),
        FileType::Fifo => Some("a FIFO"),
        FileType::Socket => Some("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        // FreeBSD and macOS don't say what a segment is: it has no type.
        FileType::Unknown if cfg!(not(target_os = "linux")) => None,
        _ => Some("of an unknown type"),
    }
}

/// What a failed system call on an existing or wanted name means.
fn failure(plain: &str, call: &'static str, errno: Errno) -> Error {
    let name = plain.to_owned();
    match errno {
        Errno::NOENT => Error::DoesNotExist { name, call, source: errno.into() },
        Errno::EXIST => Error::AlreadyExists { name, why: owner::CHANGING },
        Errno::ACCESS | Errno::PERM => Error::PermissionDenied { name, call, source: errno.into() },
        Errno::LOOP => Error::NotASegment { name, found: "a symbolic link" },
        Errno::ISDIR => Error::NotASegment { name, found: "a directory" },
        Errno::NXIO => Error::NotASegment { name, found: "a FIFO, a socket or a device" },
        // A call that must not block would have to wait for the holder of the lease.
        Errno::WOULDBLOCK if call.ends_with("open") => Error::Leased { name },
        _ => Error::System { name, call, source: errno.into() },
    }
}

pub(crate) fn exists(name: &str, _: Scope) -> bool {
    name::foreign(name).is_ok_and(|plain| namespace().exists(plain))
}

pub(crate) fn remove(name: &str, _: Scope) -> Result<()> {
    let plain = name::foreign(name)?;
    let stat = namespace().stat(plain).map_err(|e| failure(plain, "stat", e))?;
    if let Some(found) = not_memory(&stat) {
        return Err(Error::NotASegment { name: plain.to_owned(), found });
    }
    namespace().unlink(plain).map_err(|e| failure(plain, "shm_unlink", e))
}

pub(crate) fn list_names() -> Vec<String> {
    namespace().list()
}

/// Milliseconds or so, from an arbitrary start; a few nanoseconds to ask for (`clock_gettime(2)`,
/// `CLOCK_MONOTONIC_COARSE`).
pub(crate) fn coarse_clock() -> u64 {
    #[cfg(target_os = "linux")]
    let clock = libc::CLOCK_MONOTONIC_COARSE;
    #[cfg(not(target_os = "linux"))]
    let clock = libc::CLOCK_MONOTONIC;
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // Not through rustix, which takes twice as long to find the kernel's page for it.
    // SAFETY: writes one `timespec`; where it fails, the value stays as it is.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    // Only equality counts: what wraps around does no harm.
    #[allow(clippy::cast_sign_loss)]
    let (seconds, nanoseconds) = (now.tv_sec as u64, now.tv_nsec as u64);
    seconds.wrapping_mul(1000).wrapping_add(nanoseconds >> 20)
}

/// Memory without a name.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) fn anonymous(length: usize) -> Mapping {
    memmap2::MmapMut::map_anon(length).unwrap().into()
}
