//! POSIX shared memory.
//!
//! A [`Namespace`] leads from names to segments. On Linux it is the directory `/dev/shm`, which can do more
//! than the calls of POSIX (`directory.rs`). Elsewhere it is `shm_open(3)` and `shm_unlink(3)`
//! (`shm_open.rs`).

#[cfg(any(target_os = "linux", target_os = "macos"))]
pub(super) mod byte_lock;
#[cfg(target_os = "linux")]
mod directory;
mod errno;
mod fault;
mod forked;
#[cfg(all(fuzzing, target_os = "linux"))]
mod fuzzing;
#[cfg(target_os = "linux")]
mod life_lock;
mod lock_file;
mod owner;
mod pages;
mod replacement;
mod shm_open;

use std::ffi::c_int;
use std::fmt;
use std::fs::{File, Metadata};
#[cfg(target_os = "linux")]
use std::os::fd::AsFd;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use memmap2::MmapRaw;
use rustix::fs::{Access as Right, FileType, Mode, Stat};
use rustix::io::Errno;

#[cfg(target_os = "linux")]
use super::Joined;
use super::common::{checked_size, creation_failure, failure, leave_descriptors, map};
#[cfg(target_os = "macos")]
use super::role_file::RoleFile;
#[cfg(target_os = "linux")]
use super::roles::{Place, byte_on_segment};
use super::{NameHandle, Named, OpenSegment, Opened, Provider, RoleLocks};
use crate::error::{Error, Result, Taken};
#[cfg(target_os = "linux")]
use crate::info::Maker;
use crate::info::{OwnerState, SegmentInfo};
use crate::name;
use crate::options::{Access, Lifetime, Options, Scope};
#[cfg(target_os = "linux")]
use crate::roles::Role;
pub use fault::uninstall as uninstall_fault_handler;
pub(crate) use fault::{Watch, install_fault_handler};
pub(crate) use forked::{Inherited, forks, guard_forks};
#[cfg(all(fuzzing, target_os = "linux"))]
pub use fuzzing::ByCalls;
pub(super) use owner::NameLifetime;
pub(super) use pages::{HUGE_PAGES, has_huge_pages, reserve};
#[cfg(target_os = "linux")]
pub(super) use pages::{is_in_memory, leaving_times, unpopulated};

pub(super) const NATIVE: Option<&dyn Provider> = Some(&Posix);

/// A way from names to segments. Names are plain.
trait Namespace: Sync + Send {
    /// Opens a segment, and never blocks.
    fn open(&self, plain: &str, access: Access) -> Result<OwnedFd, Errno>;

    /// Returns the `stat` of what the name leads to now, without following symbolic links.
    fn stat(&self, plain: &str) -> Result<Stat, Errno>;

    fn exists(&self, plain: &str) -> bool;

    /// Looks at a segment without changing anything. Also returns its file, if it is one that can be read.
    fn look(&self, plain: &str) -> Result<(SegmentInfo, Option<File>)>;

    fn info(&self, plain: &str) -> Result<SegmentInfo> {
        Ok(self.look(plain)?.0)
    }

    /// Returns the state of the owner of a segment that was opened under this name.
    fn owner_state(&self, plain: &str, segment: &OwnedFd) -> OwnerState;

    /// Returns all names, sorted, where the system can list them.
    fn list(&self) -> Vec<String>;

    fn unlink(&self, plain: &str) -> Result<(), Errno>;

    fn create(&self, request: &Request<'_>) -> Result<Created>;

    /// Takes the locks of the owner of a segment whose owner is dead. `None` if there is no such segment with
    /// this mode, or the system can't lock it.
    fn adopt(&self, _: &Request<'_>) -> Option<(OwnedFd, Box<dyn owner::OwnerLock>)> {
        None
    }

    /// Returns whether another creator may reclaim the name of a segment.
    fn is_left_over(&self, plain: &str, segment: &OwnedFd) -> bool;

    /// Returns whether the name leads to this segment now.
    fn leads_to(&self, plain: &str, segment: &Stat) -> bool {
        self.stat(plain).is_ok_and(|there| Identity::of(&there) == Identity::of(segment))
    }
}

/// Returns the one namespace of this system.
fn namespace() -> &'static dyn Namespace {
    static NAMESPACE: OnceLock<Box<dyn Namespace>> = OnceLock::new();
    &**NAMESPACE.get_or_init(|| {
        #[cfg(target_os = "linux")]
        if let Some(directory) = directory::Directory::of_the_system() {
            return Box::new(directory);
        }
        Box::new(shm_open::ShmOpen::new(lock_file::private_folder()))
    })
}

/// The device and inode number of a segment or file, whatever its name. On macOS, all segments have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    // The types of `st_dev` and `st_ino` differ between systems; only equality counts.
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss)]
    pub(super) const fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev as u64, inode: stat.st_ino as u64 }
    }

    pub(super) fn at(found: &Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino() }
    }
}

struct Posix;

impl Provider for Posix {
    fn create(&self, options: &Options<'_>, size: u64, end: Instant) -> Result<Opened> {
        let plain = name::portable(options.name)?;
        let mode = mode_of(options.scope);
        let request = Request { plain, size, mode, lifetime: options.lifetime, end };
        let Created { fd, map, owner_lock } = namespace().create(&request)?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| failure(plain, "fstat", e))?;
        let lifetime = NameLifetime::new(options.lifetime);
        Ok(opened(plain, (fd, &stat), options.scope, (owner_lock, lifetime), map))
    }

    fn adopt(&self, options: &Options<'_>, end: Instant) -> Result<Option<Opened>> {
        let plain = name::portable(options.name)?;
        let (mode, lifetime) = (mode_of(options.scope), Lifetime::Owner);
        let request = Request { plain, size: 0, mode, lifetime, end };
        let Some((fd, owner_lock)) = namespace().adopt(&request) else { return Ok(None) };
        leave_descriptors(&fd, plain)?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| failure(plain, "fstat", e))?;
        let Some(size) = u64::try_from(stat.st_size).ok().filter(|size| *size > 0) else { return Ok(None) };
        let map = map(&fd, plain, size, Access::ReadWrite)?;
        let owner = (Some(owner_lock), NameLifetime::new(lifetime));
        Ok(Some(opened(plain, (fd, &stat), options.scope, owner, map)))
    }

    /// Ignores the scope: all scopes share one namespace.
    fn open(&self, options: &Options<'_>, _: Option<Scope>, size: u64, access: Access) -> Result<Opened> {
        let plain = name::foreign(options.name)?;
        let fd = namespace().open(plain, access).map_err(|e| failure(plain, "shm_open", e))?;
        leave_descriptors(&fd, plain)?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| failure(plain, "fstat", e))?;
        if let Some(found) = not_memory(&stat) {
            return Err(Error::NotASegment { name: plain.to_owned(), found });
        }
        let info = || namespace().info(plain).ok();
        let size = checked_size(plain, u64::try_from(stat.st_size).unwrap_or(0), size, info)?;
        let map = map(&fd, plain, size, access)?;
        #[allow(clippy::useless_conversion, reason = "16 bits on macOS")]
        let scope = scope_of(stat.st_mode.into());
        Ok(opened(plain, (fd, &stat), scope, (None, NameLifetime::new(Lifetime::Persistent)), map))
    }

    fn exists(&self, options: &Options<'_>) -> bool {
        name::foreign(options.name).is_ok_and(|plain| namespace().exists(plain))
    }

    fn info(&self, options: &Options<'_>) -> Result<(SegmentInfo, Option<File>)> {
        namespace().look(name::foreign(options.name)?)
    }

    #[cfg(target_os = "linux")]
    fn users(&self, options: &Options<'_>) -> Vec<u32> {
        let stat = name::foreign(options.name).ok().and_then(|plain| namespace().stat(plain).ok());
        stat.map_or_else(Vec::new, |stat| super::procfs::users_of(stat.st_dev, stat.st_ino))
    }

    fn remove(&self, options: &Options<'_>) -> Result<()> {
        let plain = name::foreign(options.name)?;
        let stat = namespace().stat(plain).map_err(|e| failure(plain, "stat", e))?;
        if let Some(found) = not_memory(&stat) {
            return Err(Error::NotASegment { name: plain.to_owned(), found });
        }
        namespace().unlink(plain).map_err(|e| failure(plain, "shm_unlink", e))
    }

    fn can_persist(&self) -> bool {
        true
    }

    fn list_names(&self) -> Vec<String> {
        namespace().list()
    }
}

/// Puts the parts of an open segment together. `owner` is the mark of its creator, and when the name goes.
fn opened(
    plain: &str,
    (fd, stat): (OwnedFd, &Stat),
    scope: Scope,
    owner: (Option<Box<dyn owner::OwnerLock>>, NameLifetime),
    map: MmapRaw,
) -> Opened {
    let name = Name { plain: plain.to_owned(), identity: Identity::of(stat) };
    let (owner_lock, lifetime) = owner;
    let object = PosixSegment {
        fd,
        #[cfg(target_os = "macos")]
        role_file: RoleFile::default(),
        name: name.clone(),
        scope,
        owner_lock,
        lifetime,
    };
    Opened::new(object, NameHandle::new(name), map)
}

/// A plain name, without `/`, and the segment it led to.
#[derive(Debug, Clone)]
struct Name {
    plain: String,
    identity: Identity,
}

impl Named for Name {
    fn as_str(&self) -> &str {
        &self.plain
    }

    fn native_name(&self) -> String {
        format!("/{}", self.plain)
    }

    fn is_current(&self) -> bool {
        namespace().stat(&self.plain).is_ok_and(|stat| Identity::of(&stat) == self.identity)
    }

    fn unlink(&self) -> Result<()> {
        if !self.is_current() {
            return Ok(());
        }
        match namespace().unlink(&self.plain) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failure(&self.plain, "unlink", errno)),
        }
    }
}

struct PosixSegment {
    fd: OwnedFd,
    #[cfg(target_os = "macos")]
    role_file: RoleFile,
    name: Name,
    scope: Scope,
    /// For a creator: shows that it lives, where the system can tell.
    owner_lock: Option<Box<dyn owner::OwnerLock>>,
    lifetime: NameLifetime,
}

impl fmt::Debug for PosixSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PosixSegment")
            .field("name", &self.name)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl OpenSegment for PosixSegment {
    fn size(&self) -> Result<u64> {
        let stat = rustix::fs::fstat(&self.fd).map_err(|e| failure(&self.name.plain, "fstat", e))?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    #[cfg(target_os = "linux")]
    fn unpopulated(&self) -> u64 {
        unpopulated(&self.fd)
    }

    fn descriptor(&self) -> Option<c_int> {
        Some(self.fd.as_raw_fd())
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    fn owner_state(&self) -> OwnerState {
        namespace().owner_state(&self.name.plain, &self.fd)
    }

    #[cfg(target_os = "linux")]
    fn join(&self) -> Result<Joined> {
        match life_lock::maker_of(&self.fd) {
            Maker::Ours(Lifetime::Owner) => return Ok(Joined::Owned),
            // Memory of another program is not for this one to use, nor to remove.
            Maker::Other if life_lock::has_flags(&self.fd) => return Ok(Joined::Unmarked),
            _ => {}
        }
        let shared = byte_lock::share(&self.fd, USER_BYTE);
        let is_shared = shared.map_err(|e| failure(&self.name.plain, byte_lock::CALL, e))?;
        Ok(if is_shared && self.name.is_current() { Joined::Yes } else { Joined::NameMoves })
    }

    #[cfg(target_os = "linux")]
    fn leave(&self, is_done: &dyn Fn() -> bool) {
        // Before the next lock: two that leave at the same time must not keep each other from it.
        let _ = byte_lock::release(&self.fd, USER_BYTE);
        if byte_lock::take(&self.fd, USER_BYTE) == Ok(true) {
            if is_done() {
                // Fails for another user's name. The next program then uses the memory again.
                let _ = self.name.unlink();
            }
            let _ = byte_lock::release(&self.fd, USER_BYTE);
        }
    }

    fn role_locks(&self) -> Result<RoleLocks<'_>> {
        #[cfg(target_os = "linux")]
        return Ok(RoleLocks::new(self.fd.as_fd(), &self.name.plain, Place::Segment));
        #[cfg(target_os = "macos")]
        return self.role_file.locks(lock_file::private_folder, &self.name.plain);
        #[cfg(not(any(target_os = "linux", target_os = "macos")))]
        Err(NO_ROLES)
    }

    fn is_left_over(&self) -> bool {
        namespace().is_left_over(&self.name.plain, &self.fd)
    }

    #[cfg(target_os = "linux")]
    fn end_adoption(&self) {
        life_lock::release_reclaim_lock(&self.fd);
    }

    fn set_lifetime(&self, lifetime: Lifetime) -> Result<()> {
        if let Some(owner_lock) = &self.owner_lock {
            owner_lock.mark(&self.fd, lifetime).map_err(|e| failure(&self.name.plain, "fchmod", e))?;
        }
        self.lifetime.set(lifetime);
        Ok(())
    }

    fn release_name(&self) {
        if !self.lifetime.end() {
            return;
        }
        // While the lock is held, so that no process takes the name for a dead owner's. A failure can't be
        // reported here; the next creator reclaims the name.
        let _ = self.name.unlink();
        if let Some(owner_lock) = &self.owner_lock {
            owner_lock.discard();
        }
    }
}

/// The lock that all users of memory share whose name goes with the last one.
#[cfg(target_os = "linux")]
const USER_BYTE: i64 = byte_on_segment(Role::User);

/// The error of FreeBSD, which has no such locks.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(super) const NO_ROLES: Error =
    Error::Unsupported { what: "a native layout, which needs locks of open file descriptions," };

/// A segment to be created.
struct Request<'a> {
    plain: &'a str,
    size: u64,
    mode: Mode,
    lifetime: Lifetime,
    /// The time until which to wait for a name that is changing hands.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only the directory shows such a name"))]
    end: Instant,
}

impl Request<'_> {
    fn taken(&self, why: &'static str) -> Error {
        Error::AlreadyExists { name: self.plain.to_owned(), why: Taken::Otherwise(why) }
    }

    fn taken_by(&self, info: Box<SegmentInfo>) -> Error {
        Error::AlreadyExists { name: self.plain.to_owned(), why: Taken::By { info, requested: self.size } }
    }

    fn failure(&self, call: &'static str, source: impl Into<std::io::Error>) -> Error {
        creation_failure(self.plain, self.size, call, source)
    }
}

/// A segment that was created: named, sized, locked, mapped.
struct Created {
    fd: OwnedFd,
    map: MmapRaw,
    owner_lock: Option<Box<dyn owner::OwnerLock>>,
}

pub(super) const fn mode_of(scope: Scope) -> Mode {
    match scope {
        Scope::Local => Mode::from_raw_mode(0o600),
        Scope::Global => Mode::from_raw_mode(0o666),
    }
}

/// Returns the scope of a mode: global if others may write.
pub(super) const fn scope_of(mode: u32) -> Scope {
    if mode & 0o002 == 0 { Scope::Local } else { Scope::Global }
}

/// Returns the ID of the user `owner`, if that isn't this process's user.
pub(super) fn other_user(owner: u32) -> Option<u32> {
    (owner != rustix::process::geteuid().as_raw()).then_some(owner)
}

/// Returns whether this process may remove a file of the user `owner` from a directory (`unlink(2)`, the
/// errors `EACCES` and `EPERM`).
pub(super) fn can_remove(directory: &Path, owner: u32) -> bool {
    let user = rustix::process::geteuid();
    let Ok(found) = rustix::fs::stat(directory) else { return false };
    let is_sticky = Mode::from_raw_mode(found.st_mode).contains(Mode::SVTX);
    let may_in_sticky = [owner, found.st_uid].contains(&user.as_raw()) || user.is_root();
    rustix::fs::access(directory, Right::WRITE_OK | Right::EXEC_OK).is_ok() && (!is_sticky || may_in_sticky)
}

/// Gives a new, empty segment its size and its pages, and maps it.
fn allocate(fd: &OwnedFd, request: &Request<'_>) -> Result<MmapRaw> {
    leave_descriptors(fd, request.plain)?;
    reserve(fd, request.size).map_err(|(call, source)| request.failure(call, source))?;
    map(fd, request.plain, request.size, Access::ReadWrite)
}

/// Returns what a file is if it can't be a segment.
fn not_memory(stat: &Stat) -> Option<&'static str> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        FileType::Symlink => Some("a symbolic link"),
        FileType::Fifo => Some("a FIFO"),
        FileType::Socket => Some("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        // FreeBSD and macOS report no type for a segment.
        FileType::Unknown if cfg!(not(target_os = "linux")) => None,
        _ => Some("a file of an unknown type"),
    }
}

/// Returns a time in steps of about a millisecond, from an arbitrary start. A call takes a few nanoseconds
/// (`clock_gettime(2)`, `CLOCK_MONOTONIC_COARSE`).
#[inline]
pub(crate) fn coarse_clock() -> u64 {
    #[cfg(target_os = "linux")]
    let clock = libc::CLOCK_MONOTONIC_COARSE;
    #[cfg(not(target_os = "linux"))]
    let clock = libc::CLOCK_MONOTONIC;
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // Not through rustix, which takes twice as long to find the function in the vDSO.
    // SAFETY: the call writes one `timespec`. If it fails, the value stays unchanged.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    // It wraps around after more years than matter.
    #[allow(clippy::cast_sign_loss)]
    let (seconds, nanoseconds) = (now.tv_sec as u64, now.tv_nsec as u64);
    seconds.wrapping_mul(1000).wrapping_add(nanoseconds >> 20)
}

/// Returns the time of the monotonic clock in nanoseconds.
pub(crate) fn monotonic_nanoseconds() -> u64 {
    // As mach_absolute_time, which stops while the machine sleeps, but in nanoseconds.
    #[cfg(target_os = "macos")]
    let clock = libc::CLOCK_UPTIME_RAW;
    #[cfg(not(target_os = "macos"))]
    let clock = libc::CLOCK_MONOTONIC;
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one `timespec`, which lives until it returns.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    #[allow(clippy::cast_sign_loss, reason = "this clock starts at 0")]
    let (seconds, nanoseconds) = (now.tv_sec as u64, now.tv_nsec as u64);
    seconds.wrapping_mul(1_000_000_000).wrapping_add(nanoseconds)
}

/// Maps memory without a name.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) fn anonymous(length: usize) -> MmapRaw {
    memmap2::MmapMut::map_anon(length).unwrap().into()
}
