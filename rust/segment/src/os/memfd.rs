//! Memory without a name, `memfd_create(2)`, on Linux: found through a meta file, as in shared-memory-zig.
//!
//! The creator keeps the memory open. It writes the place of the memory into the meta file,
//! `$XDG_RUNTIME_DIR/.memfd_NAME.meta`. These are 24 bytes: size (u64), time (i64, Unix seconds), PID (i32),
//! file descriptor (i32). Others open `/proc/PID/fd/DESCRIPTOR`, which the system allows to the same user.
//!
//! Nothing in a meta file is trusted. It may lead to any file of any process of this user. So that file is
//! checked before it is opened, through `O_PATH`, which does nothing to a device or a FIFO. The file's own
//! name must be `/memfd:NAME`. Its own size counts, not the one in the meta file.

use std::env;
use std::ffi::c_int;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, FlockOperation, MemfdFlags, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::common::{CHANGING, checked_size, creation_failure, failure, leave_descriptors, map};
use super::roles::Place;
use super::system::{HUGE_PAGES, NameLifetime, has_huge_pages, leaving_times, unpopulated};
use super::{NameHandle, Named, OpenSegment, Opened, Provider, RoleLocks, procfs};
use crate::error::{Error, Result, Taken};
use crate::info::{Maker, OwnerState, SegmentInfo};
use crate::name;
use crate::options::{Access, Backend, Lifetime, Options, Scope};

pub(super) struct Memfds;

const TAKEN: &str = "a running process has memory of this name";
const GLOBAL: Error = Error::Unsupported { what: "memory without a name for other users" };
const PERSISTENT: Error = Error::Unsupported { what: "memory without a name that outlives its creator" };
/// The longest name in bytes (`memfd_create(2)`).
const MAX_BYTES: usize = 249 - ".memfd_.meta".len();

impl Provider for Memfds {
    fn create(&self, options: &Options<'_>, size: u64, end: Instant) -> Result<Opened> {
        let plain = checked(options.name)?;
        match (options.scope, options.lifetime) {
            (Scope::Global, _) => return Err(GLOBAL),
            (_, Lifetime::Persistent) => return Err(PERSISTENT),
            _ => {}
        }
        let path = meta_path(plain)?;
        let fd = rustix::fs::memfd_create(plain, MemfdFlags::CLOEXEC)
            .map_err(|e| failure(plain, "memfd_create", e))?;
        leave_descriptors(&fd, plain)?;
        super::system::reserve(&fd, size)
            .map_err(|(call, source)| creation_failure(plain, size, call, source))?;
        let map = map(&fd, plain, size, Access::ReadWrite)?;
        let meta = Meta::of(&fd, size);
        publish(&path, plain, &meta, end)?;
        let name = MetaName { plain: plain.to_owned(), path, meta };
        let object = OpenMemory { fd, name: name.clone(), lifetime: NameLifetime::new(Lifetime::Owner) };
        Ok(Opened::new(object, NameHandle::new(name), map))
    }

    fn open(&self, options: &Options<'_>, scope: Option<Scope>, size: u64, access: Access) -> Result<Opened> {
        let plain = checked(options.name)?;
        if scope == Some(Scope::Global) {
            return Err(GLOBAL);
        }
        let path = meta_path(plain)?;
        let meta = Meta::read(&path).map_err(|e| failure(plain, "open", e))?;
        let Some(meta) = meta else {
            return Err(Error::NotSizedYet { name: plain.to_owned() });
        };
        let fd = meta.open(plain, access)?;
        leave_descriptors(&fd, plain)?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| failure(plain, "fstat", e))?;
        if has_huge_pages(&fd) {
            return Err(Error::NotASegment { name: plain.to_owned(), found: HUGE_PAGES });
        }
        let info = || Some(describe(&stat));
        let size = checked_size(plain, u64::try_from(stat.st_size).unwrap_or(0), size, info)?;
        let map = map(&fd, plain, size, access)?;
        let name = MetaName { plain: plain.to_owned(), path, meta };
        let object = OpenMemory { fd, name: name.clone(), lifetime: NameLifetime::new(Lifetime::Persistent) };
        Ok(Opened::new(object, NameHandle::new(name), map))
    }

    fn exists(&self, options: &Options<'_>) -> bool {
        let found = || {
            let plain = checked(options.name).ok()?;
            let meta = Meta::read(&meta_path(plain).ok()?).ok()??;
            meta.find(plain).ok()
        };
        options.scope == Scope::Local && found().is_some()
    }

    fn info(&self, options: &Options<'_>) -> Result<(SegmentInfo, Option<File>)> {
        let (stat, found) = look_at(options)?;
        let file = procfs::open(&found, Access::ReadOnly).ok();
        Ok((describe(&stat), file.map(leaving_times)))
    }

    fn users(&self, options: &Options<'_>) -> Vec<u32> {
        look_at(options).map_or_else(|_| Vec::new(), |(stat, _)| procfs::users_of(stat.st_dev, stat.st_ino))
    }

    fn remove(&self, options: &Options<'_>) -> Result<()> {
        let plain = checked(options.name)?;
        if options.scope == Scope::Global {
            return Err(GLOBAL);
        }
        let path = meta_path(plain)?;
        Meta::read(&path).map_err(|e| failure(plain, "open", e))?;
        fs::remove_file(&path).map_err(|e| failure(plain, "unlink", e))
    }

    fn can_persist(&self) -> bool {
        false
    }

    /// Returns the names in meta files that lead to memory.
    fn list_names(&self) -> Vec<String> {
        let Ok(folder) = meta_folder() else { return Vec::new() };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().to_str().and_then(plain_in).map(str::to_owned))
            .filter(|plain| self.exists(&Options::new(plain).backend(Backend::Memfd)))
            .collect();
        names.sort_unstable();
        names
    }
}

/// Looks at the memory that a name leads to.
fn look_at(options: &Options<'_>) -> Result<(Stat, OwnedFd)> {
    let plain = checked(options.name)?;
    let meta = Meta::read(&meta_path(plain)?).map_err(|e| failure(plain, "open", e))?;
    let meta = meta.ok_or_else(|| Error::NotSizedYet { name: plain.to_owned() })?;
    let found = meta.find(plain)?;
    Ok((rustix::fs::fstat(&found).map_err(|e| failure(plain, "fstat", e))?, found))
}

/// The process that the meta file names has the memory open. Otherwise nothing leads there.
fn describe(stat: &Stat) -> SegmentInfo {
    SegmentInfo {
        size: u64::try_from(stat.st_size).unwrap_or(0),
        scope: Scope::Local,
        owner: OwnerState::Alive,
        maker: Maker::Unknown,
        other_user: None,
        can_remove: true,
        messages: None,
    }
}

/// Checks a name as the native backend does, with a lower limit on its length. The path of a meta file stands
/// for the name in it.
fn checked(name: &str) -> Result<&str> {
    let meta_file = meta_folder().ok().and_then(|folder| Path::new(name).strip_prefix(folder).ok()?.to_str());
    let plain = name::portable(meta_file.and_then(plain_in).unwrap_or(name))?;
    name::check_length(name, plain, MAX_BYTES)?;
    Ok(plain)
}

fn meta_folder() -> Result<PathBuf> {
    let folder = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute());
    folder.ok_or(Error::Unsupported { what: "the folder of meta files, which XDG_RUNTIME_DIR names," })
}

fn meta_path(plain: &str) -> Result<PathBuf> {
    Ok(meta_folder()?.join(format!(".memfd_{plain}.meta")))
}

/// Returns the name in the file name of a meta file.
fn plain_in(file_name: &str) -> Option<&str> {
    file_name.strip_prefix(".memfd_")?.strip_suffix(".meta")
}

/// The content of a meta file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Meta {
    size: u64,
    time: i64,
    process: i32,
    descriptor: i32,
}

const META_BYTES: usize = 24;

impl Meta {
    /// Returns the content that leads to memory of this process.
    fn of(fd: &OwnedFd, size: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self {
            size,
            time: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
            process: rustix::process::getpid().as_raw_nonzero().get(),
            descriptor: fd.as_raw_fd(),
        }
    }

    fn to_bytes(self) -> [u8; META_BYTES] {
        let mut bytes = [0; META_BYTES];
        bytes[..8].copy_from_slice(&self.size.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.time.to_ne_bytes());
        bytes[16..20].copy_from_slice(&self.process.to_ne_bytes());
        bytes[20..].copy_from_slice(&self.descriptor.to_ne_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; META_BYTES]) -> Self {
        let word = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        let wide = |at: usize| {
            let (low, high) = (word(at), word(at + 4));
            [low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]]
        };
        Self {
            size: u64::from_ne_bytes(wide(0)),
            time: i64::from_ne_bytes(wide(8)),
            process: i32::from_ne_bytes(word(16)),
            descriptor: i32::from_ne_bytes(word(20)),
        }
    }

    /// Reads a meta file. Returns `None` if it is incomplete.
    fn read(path: &Path) -> Result<Option<Self>, Errno> {
        let file = open_meta(path)?;
        Self::read_from(file.as_fd())
    }

    fn read_from(file: BorrowedFd<'_>) -> Result<Option<Self>, Errno> {
        let mut bytes = [0; META_BYTES];
        let count = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut bytes, 0))?;
        Ok((count == META_BYTES).then(|| Self::from_bytes(&bytes)))
    }

    /// Opens the memory that the meta file leads to, with `O_PATH`: it can be looked at, not used.
    fn find(&self, plain: &str) -> Result<OwnedFd> {
        let absent = |source: io::Error| Error::DoesNotExist {
            name: plain.to_owned(),
            call: "open of the memory that its meta file names",
            source,
        };
        if self.process <= 0 || self.descriptor < 0 {
            return Err(absent(io::ErrorKind::InvalidData.into()));
        }
        let path = format!("/proc/{}/fd/{}", self.process, self.descriptor);
        let found = procfs::look_at(path, OFlags::empty()).map_err(|errno| match errno {
            Errno::ACCESS | Errno::PERM => failure(plain, "open", errno),
            _ => absent(errno.into()),
        })?;
        // The name of the file that was opened: the path may lead elsewhere already.
        let own_name = fs::read_link(procfs::path_of(&found)).map_err(absent)?;
        let own_name = own_name.to_string_lossy();
        let has_name =
            ["/memfd:", "/memfd:/"].iter().any(|start| own_name == format!("{start}{plain} (deleted)"));
        if has_name { Ok(found) } else { Err(absent(io::ErrorKind::InvalidData.into())) }
    }

    fn open(&self, plain: &str, access: Access) -> Result<OwnedFd> {
        procfs::open(&self.find(plain)?, access).map_err(|e| failure(plain, "open", e))
    }
}

fn open_meta(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::io::retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))
}

/// Puts a complete meta file in place, unless there is one that leads to memory.
fn publish(path: &Path, plain: &str, meta: &Meta, end: Instant) -> Result<()> {
    let own = path.with_extension(format!("{}.{}", meta.process, meta.descriptor));
    let written = write_new(&own, meta).and_then(|()| link_when_free(&own, path, plain, end));
    let _ = fs::remove_file(&own);
    written.map_err(|e| match e {
        // The folder is missing, not the memory.
        Error::DoesNotExist { name, call, source } => Error::System { name, call, source },
        other => other,
    })
}

fn write_new(own: &Path, meta: &Meta) -> Result<()> {
    let name = || own.to_string_lossy();
    // A process with the same PID may have left one.
    let _ = fs::remove_file(own);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::io::retry_on_intr(|| rustix::fs::open(own, flags, Mode::from_raw_mode(0o600)))
        .map_err(|e| failure(&name(), "open", e))?;
    let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, &meta.to_bytes()));
    match written {
        Ok(META_BYTES) => Ok(()),
        Ok(_) => Err(failure(&name(), "write", Errno::NOSPC)),
        Err(errno) => Err(failure(&name(), "write", errno)),
    }
}

/// Links the file to `path`, after the removal of a meta file that leads nowhere.
///
/// Only the process that has locked the old file, and finds it still in place, may remove it. Of two
/// processes that find it at once, the second would otherwise remove the file that the first has made.
fn link_when_free(own: &Path, path: &Path, plain: &str, end: Instant) -> Result<()> {
    loop {
        match fs::hard_link(own, path) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(failure(plain, "link", e)),
        }
        match remove_dead(path, plain) {
            Ok(true) => {}
            // Another process is replacing it.
            Ok(false) if Instant::now() < end => std::thread::sleep(Duration::from_millis(1)),
            Ok(false) => {
                return Err(taken(plain, CHANGING));
            }
            Err(e) => return Err(e),
        }
    }
}

/// Removes a meta file that leads nowhere. Returns whether `path` may be free now.
fn remove_dead(path: &Path, plain: &str) -> Result<bool> {
    let file = match open_meta(path) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(true),
        Err(Errno::LOOP | Errno::NXIO) => return Err(not_a_meta_file(plain)),
        Err(errno) => return Err(failure(plain, "open", errno)),
    };
    if !rustix::fs::fstat(&file)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
    {
        return Err(not_a_meta_file(plain));
    }
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(false),
        Err(errno) => return Err(failure(plain, "flock", errno)),
    }
    let stat = |result: Result<Stat, Errno>| result.map(|stat| (stat.st_dev, stat.st_ino)).ok();
    let locked = stat(rustix::fs::fstat(&file));
    if locked != stat(rustix::fs::lstat(path)) {
        return Ok(true);
    }
    let meta = Meta::read_from(file.as_fd()).map_err(|e| failure(plain, "read", e))?;
    match meta.map(|meta| meta.find(plain)) {
        Some(Ok(_)) => return Err(taken(plain, TAKEN)),
        Some(Err(denied @ Error::PermissionDenied { .. })) => return Err(denied),
        // An incomplete file: a peer is writing it, or died while it did.
        None if is_recent(&file) => {
            return Err(taken(plain, "its meta file is being written"));
        }
        None | Some(Err(_)) => {}
    }
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failure(plain, "unlink", e)),
        _ => Ok(true),
    }
}

/// Returns the error for a link, a folder, a FIFO or a socket in the place of the meta file.
fn not_a_meta_file(plain: &str) -> Error {
    taken(plain, "the path of its meta file is taken, but not by a file")
}

fn taken(plain: &str, why: &'static str) -> Error {
    Error::AlreadyExists { name: plain.to_owned(), why: Taken::Otherwise(why) }
}

/// Returns whether the file was changed within the last second or two.
fn is_recent(file: &OwnedFd) -> bool {
    let changed = rustix::fs::fstat(file).map(|stat| stat.st_mtime).unwrap_or(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    now.saturating_sub(u64::try_from(changed).unwrap_or(0)) <= 1
}

#[derive(Debug)]
struct OpenMemory {
    /// The creator's descriptor must stay open: the meta file leads to it.
    fd: OwnedFd,
    name: MetaName,
    lifetime: NameLifetime,
}

impl OpenSegment for OpenMemory {
    fn size(&self) -> Result<u64> {
        let stat = rustix::fs::fstat(&self.fd).map_err(|e| failure("memory of a memfd", "fstat", e))?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    fn unpopulated(&self) -> u64 {
        unpopulated(&self.fd)
    }

    fn descriptor(&self) -> Option<c_int> {
        Some(self.fd.as_raw_fd())
    }

    fn scope(&self) -> Scope {
        Scope::Local
    }

    fn role_locks(&self) -> Result<RoleLocks<'_>> {
        Ok(RoleLocks::new(self.fd.as_fd(), &self.name.plain, Place::Segment))
    }

    /// The meta file leads to the owner for as long as that has the memory open.
    fn owner_state(&self) -> OwnerState {
        if self.name.meta.find(&self.name.plain).is_ok() { OwnerState::Alive } else { OwnerState::Dead }
    }

    fn set_lifetime(&self, lifetime: Lifetime) -> Result<()> {
        match lifetime {
            Lifetime::Owner => Ok(()),
            Lifetime::Persistent => Err(PERSISTENT),
        }
    }

    fn release_name(&self) {
        if self.lifetime.end() {
            // A failure can't be reported here. The next creator removes the meta file.
            let _ = self.name.unlink();
        }
    }
}

/// A name, and the content of its meta file when the memory was opened.
#[derive(Debug, Clone)]
struct MetaName {
    plain: String,
    path: PathBuf,
    meta: Meta,
}

impl Named for MetaName {
    fn as_str(&self) -> &str {
        &self.plain
    }

    fn native_name(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    fn is_current(&self) -> bool {
        Meta::read(&self.path).is_ok_and(|found| found == Some(self.meta))
            && self.meta.find(&self.plain).is_ok()
    }

    fn unlink(&self) -> Result<()> {
        if !Meta::read(&self.path).is_ok_and(|found| found == Some(self.meta)) {
            return Ok(());
        }
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failure(&self.plain, "unlink", e)),
            _ => Ok(()),
        }
    }
}
