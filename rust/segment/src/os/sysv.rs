//! System V shared memory, `shmget(2)` and related calls, on Linux: the memory of the Node package
//! `@markusjx/shared_memory`.
//!
//! A System V segment has a number for a name, its key. The package computes the key as the C++ library of
//! GCC computes a string's hash: [`key_of`]. Two names may have the same key, and then lead to the same
//! segment.
//!
//! The system keeps a segment until it is removed, and doesn't record which process owns it. So the segment
//! of a killed creator stays. It is never reclaimed, and any program that knows the name may remove it.

use std::fs::{self, File};
use std::io;
use std::ptr::{self, NonNull};
use std::time::Instant;

use libc::{c_int, key_t};

use super::common::{self, checked_size};
use super::system::{HUGE_PAGES, NameLifetime, mode_of, other_user, scope_of};
use super::{Mapping, NameHandle, Named, OpenSegment, Opened, Provider, RoleLocks, procfs};
use crate::error::{Error, Result, Taken};
use crate::info::{Maker, OwnerState, SegmentInfo};
use crate::name::{NameProblem, invalid};
use crate::options::{Access, Lifetime, Options, Scope};

pub(super) struct SystemV;

impl Provider for SystemV {
    fn create(&self, options: &Options<'_>, size: u64, _: Instant) -> Result<Opened> {
        let (name, key) = (options.name, key_of(options.name)?);
        let mode = c_int::try_from(mode_of(options.scope).as_raw_mode()).unwrap_or(0);
        let no_room = |call, source| Error::OutOfMemory { name: name.to_owned(), size, call, source };
        let length =
            usize::try_from(size).map_err(|_| no_room("shmget", io::ErrorKind::OutOfMemory.into()))?;
        let id = shmget(key, length, libc::IPC_CREAT | libc::IPC_EXCL | mode).map_err(|source| {
            match source.raw_os_error() {
                // `EINVAL`: over the system's limit for one segment. Nothing else can be wrong here.
                Some(libc::ENOSPC | libc::ENOMEM | libc::EINVAL) => no_room("shmget", source),
                Some(libc::EEXIST) => taken(name, key, size),
                _ => failure(name, "shmget", source),
            }
        })?;
        let name = KeyName { name: name.to_owned(), key, id };
        let memory = match Attachment::new(id, length, Access::ReadWrite) {
            Ok(memory) => memory,
            Err(source) => {
                let _ = name.unlink();
                return Err(match source.raw_os_error() {
                    Some(libc::ENOMEM | libc::EAGAIN) => no_room("shmat", source),
                    _ => failure(&name.name, "shmat", source),
                });
            }
        };
        let object = AttachedSegment {
            name: name.clone(),
            size,
            scope: options.scope,
            lifetime: NameLifetime::new(options.lifetime),
        };
        Ok(Opened::new(object, NameHandle::new(name), memory))
    }

    fn open(&self, options: &Options<'_>, _: Option<Scope>, size: u64, access: Access) -> Result<Opened> {
        let (name, key) = (options.name, key_of(options.name)?);
        let id = shmget(key, 0, 0).map_err(|e| failure(name, "shmget", e))?;
        let found = stat(id).map_err(|e| failure(name, "shmctl", e))?;
        let actual = found.shm_segsz as u64;
        let size = checked_size(name, actual, size, || Some(describe(&found)))?;
        let length = usize::try_from(size).unwrap_or(found.shm_segsz);
        let mut memory =
            Attachment::new(id, found.shm_segsz, access).map_err(|e| failure(name, "shmat", e))?;
        if memory.has_huge_pages().map_err(|e| failure(name, "madvise", e))? {
            return Err(Error::NotASegment { name: name.to_owned(), found: HUGE_PAGES });
        }
        memory.length = length;
        let object = AttachedSegment {
            name: KeyName { name: name.to_owned(), key, id },
            size: actual,
            scope: scope_of(found.shm_perm.mode.into()),
            lifetime: NameLifetime::new(Lifetime::Persistent),
        };
        let name = NameHandle::new(object.name.clone());
        Ok(Opened::new(object, name, memory))
    }

    fn exists(&self, options: &Options<'_>) -> bool {
        key_of(options.name).is_ok_and(|key| match shmget(key, 0, 0) {
            Ok(_) => true,
            // The segment is there, but not for this user.
            Err(e) => e.raw_os_error() == Some(libc::EACCES),
        })
    }

    fn info(&self, options: &Options<'_>) -> Result<(SegmentInfo, Option<File>)> {
        let name = options.name;
        let id = shmget(key_of(name)?, 0, 0).map_err(|e| failure(name, "shmget", e))?;
        Ok((describe(&stat(id).map_err(|e| failure(name, "shmctl", e))?), None))
    }

    fn users(&self, options: &Options<'_>) -> Vec<u32> {
        let Some(id) = key_of(options.name).ok().and_then(|key| shmget(key, 0, 0).ok()) else {
            return Vec::new();
        };
        let id = id.to_string();
        // The kernel shows a segment as a file whose inode is the segment's ID.
        procfs::users_where(|mapping| mapping.inode == id && mapping.path.starts_with("/SYSV"))
    }

    fn remove(&self, options: &Options<'_>) -> Result<()> {
        let name = options.name;
        let id = shmget(key_of(name)?, 0, 0).map_err(|e| failure(name, "shmget", e))?;
        remove(id).map_err(|e| failure(name, "shmctl", e))
    }

    fn can_persist(&self) -> bool {
        true
    }

    /// Returns the keys: the names that they were computed from are nowhere.
    fn list_names(&self) -> Vec<String> {
        // A segment with the key 0 has no name. The list has keys as signed numbers.
        let list = list();
        #[allow(clippy::cast_possible_truncation, reason = "a key has 32 bits")]
        let keys = numbers_of(&list, "key").map(|key| key as key_t).filter(|key| *key != libc::IPC_PRIVATE);
        let mut names: Vec<String> = keys.map(|key| format!("{key:#010x}")).collect();
        names.sort_unstable();
        names
    }
}

/// Returns the error for a name whose key is taken.
fn taken(name: &str, key: key_t, requested: u64) -> Error {
    let info = shmget(key, 0, 0).and_then(stat).map(|found| Box::new(describe(&found)));
    let why = info
        .map_or(Taken::Otherwise("a segment has the key of this name"), |info| Taken::By { info, requested });
    Error::AlreadyExists { name: name.to_owned(), why }
}

fn describe(found: &libc::shmid_ds) -> SegmentInfo {
    let user = rustix::process::geteuid();
    let (owner, creator) = (found.shm_perm.uid, found.shm_perm.cuid);
    SegmentInfo {
        size: found.shm_segsz as u64,
        scope: scope_of(found.shm_perm.mode.into()),
        owner: OwnerState::Unknown,
        maker: Maker::Unknown,
        other_user: other_user(owner),
        // `IPC_RMID`, `shmctl(2)`.
        can_remove: [owner, creator].contains(&user.as_raw()) || user.is_root(),
        messages: None,
    }
}

/// Returns the list of all segments (`proc_sysvipc(5)`), one per line.
fn list() -> String {
    fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default()
}

#[derive(Debug)]
struct AttachedSegment {
    name: KeyName,
    /// A segment never changes its size.
    size: u64,
    scope: Scope,
    lifetime: NameLifetime,
}

impl OpenSegment for AttachedSegment {
    fn size(&self) -> Result<u64> {
        Ok(self.size)
    }

    /// Asks the list of all segments: `shmctl` does not say.
    fn unpopulated(&self) -> u64 {
        supplied(&list(), self.name.id).map_or(0, |supplied| self.size.saturating_sub(supplied))
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    /// Fails: System V memory is not a file.
    fn role_locks(&self) -> Result<RoleLocks<'_>> {
        Err(Error::Unsupported {
            what: "a native layout in System V memory, which has no locks that end with a process,",
        })
    }

    /// Returns [`OwnerState::Unknown`]: the system keeps only the creator's PID, and another process may have
    /// that.
    fn owner_state(&self) -> OwnerState {
        OwnerState::Unknown
    }

    fn set_lifetime(&self, lifetime: Lifetime) -> Result<()> {
        self.lifetime.set(lifetime);
        Ok(())
    }

    fn release_name(&self) {
        if self.lifetime.end() {
            // A failure can't be reported here.
            let _ = self.name.unlink();
        }
    }
}

/// A name, and the segment that its key led to. The system reuses an id only after some 30,000 others.
#[derive(Debug, Clone)]
struct KeyName {
    name: String,
    key: key_t,
    id: c_int,
}

impl Named for KeyName {
    fn as_str(&self) -> &str {
        &self.name
    }

    fn native_name(&self) -> String {
        format!("{:#010x}", self.key)
    }

    /// A removed segment has no key.
    fn is_current(&self) -> bool {
        shmget(self.key, 0, 0).is_ok_and(|id| id == self.id)
    }

    fn unlink(&self) -> Result<()> {
        if !self.is_current() {
            return Ok(());
        }
        match remove(self.id) {
            Err(e) if !matches!(e.raw_os_error(), Some(libc::EINVAL | libc::EIDRM)) => {
                Err(failure(&self.name, "shmctl", e))
            }
            _ => Ok(()),
        }
    }
}

/// The bytes of an attached segment.
#[derive(Debug)]
struct Attachment {
    start: NonNull<u8>,
    /// The size of the whole segment in bytes, in whole pages.
    mapped: usize,
    /// The number of bytes in use.
    length: usize,
}

// SAFETY: the memory belongs to the process, not to a thread. For the bytes themselves see `memory.rs`.
unsafe impl Send for Attachment {}
// SAFETY: as above.
unsafe impl Sync for Attachment {}

impl Attachment {
    /// Attaches a segment of `size` bytes.
    fn new(id: c_int, size: usize, access: Access) -> io::Result<Self> {
        let flags = match access {
            Access::ReadWrite => 0,
            Access::ReadOnly => libc::SHM_RDONLY,
        };
        // SAFETY: with a null address, the system finds a free range.
        let start = unsafe { libc::shmat(id, ptr::null(), flags) };
        match NonNull::new(start.cast::<u8>()) {
            // `(void *) -1`
            _ if start.addr() == usize::MAX => Err(io::Error::last_os_error()),
            Some(start) => {
                let mapped = size.next_multiple_of(rustix::param::page_size());
                Ok(Self { start, mapped, length: size })
            }
            None => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }

    /// Returns whether the memory has huge pages (`SHM_HUGETLB`), which `shmctl` does not say.
    ///
    /// The kernel refuses advice on a part of a huge page (`EINVAL`, `madvise(2)`). The advice is about
    /// read-ahead, which has no meaning here.
    fn has_huge_pages(&self) -> io::Result<bool> {
        // The segment may be smaller than a huge page, but always has a whole one.
        let page = rustix::param::page_size();
        let advise = |advice| {
            // SAFETY: the range is the first page of what is attached. Neither advice changes a byte.
            match unsafe { libc::madvise(self.start.as_ptr().cast(), page, advice) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        match advise(libc::MADV_RANDOM) {
            // Makes the range one mapping again.
            Ok(()) => advise(libc::MADV_NORMAL).map(|()| false),
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => Ok(true),
            Err(e) => Err(e),
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // `shmdt(2)` would leave the pages that the fault handler has put in.
        // SAFETY: the range is what `shmat` mapped, and nothing uses it any more.
        unsafe {
            if libc::munmap(self.start.as_ptr().cast(), self.mapped) != 0 {
                // The range may end in the middle of a huge page.
                libc::shmdt(self.start.as_ptr().cast());
            }
        }
    }
}

// SAFETY: the whole segment stays mapped until the value is dropped. Its size never changes, and `length` is
// at most that size.
unsafe impl Mapping for Attachment {
    fn as_mut_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    fn len(&self) -> usize {
        self.length
    }
}

/// Returns the key of a name. A name such as `0x1234abcd` is the key itself, as `ipcs(1)` prints it.
///
/// The key of any other name is the low 32 bits of `std::hash<std::string>` in the C++ library of GCC, on
/// 64-bit systems. That is `MurmurHash64A` (Austin Appleby, in the public domain) of the UTF-8, with the seed
/// `0xc70f6907`.
fn key_of(name: &str) -> Result<key_t> {
    if name.is_empty() {
        return Err(invalid(name, NameProblem::Empty));
    }
    if name.contains('\0') {
        return Err(invalid(name, NameProblem::Forbidden('\0')));
    }
    let number = key_in(name).map_or_else(|| murmur_hash_64a(name.as_bytes(), 0xc70f_6907), u64::from);
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "as the package has it")]
    match number as key_t {
        // A segment with this key has no name.
        libc::IPC_PRIVATE => Err(invalid(name, NameProblem::NoKey)),
        key => Ok(key),
    }
}

/// Returns the key that a name of the form `0x1234abcd` is, as `ipcs` prints it.
fn key_in(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("0x").filter(|digits| digits.len() == 8)?;
    u32::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn murmur_hash_64a(bytes: &[u8], seed: u64) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(FACTOR);
        word = (word ^ (word >> SHIFT)).wrapping_mul(FACTOR);
        hash = (hash ^ word).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    }
    hash = (hash ^ (hash >> SHIFT)).wrapping_mul(FACTOR);
    hash ^ (hash >> SHIFT)
}

/// Returns how many bytes of a segment have a page, in memory or swapped out, by the `list` of all segments.
fn supplied(list: &str, id: c_int) -> Option<u64> {
    let at = numbers_of(list, "shmid").position(|shmid| shmid == i64::from(id))?;
    let number = |column| u64::try_from(numbers_of(list, column).nth(at)?).ok();
    number("rss")?.checked_add(number("swap")?)
}

/// Returns a column of the `list` of all segments, up to the first line that lacks it.
fn numbers_of(list: &str, column: &str) -> impl Iterator<Item = i64> {
    let mut lines = list.lines();
    let columns = lines.next().unwrap_or_default();
    let at = columns.split_whitespace().position(|name| name == column).unwrap_or(usize::MAX);
    lines.map_while(move |line| line.split_whitespace().nth(at)?.parse().ok())
}

fn shmget(key: key_t, size: usize, flags: c_int) -> io::Result<c_int> {
    // SAFETY: the call takes and returns numbers only.
    match unsafe { libc::shmget(key, size, flags) } {
        -1 => Err(io::Error::last_os_error()),
        id => Ok(id),
    }
}

fn stat(id: c_int) -> io::Result<libc::shmid_ds> {
    // SAFETY: the structure has numbers, and pointers that may be null, so all zeros is a valid value.
    let mut found = unsafe { std::mem::zeroed::<libc::shmid_ds>() };
    // SAFETY: `IPC_STAT` fills one `shmid_ds`.
    match unsafe { libc::shmctl(id, libc::IPC_STAT, &raw mut found) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(found),
    }
}

fn remove(id: c_int) -> io::Result<()> {
    // SAFETY: `IPC_RMID` takes no third argument.
    match unsafe { libc::shmctl(id, libc::IPC_RMID, ptr::null_mut()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Returns the error for a failed system call on a segment that exists or is to exist.
fn failure(name: &str, call: &'static str, source: io::Error) -> Error {
    match source.raw_os_error() {
        // The segment was removed after it had been found.
        Some(libc::EIDRM | libc::EINVAL) => Error::DoesNotExist { name: name.to_owned(), call, source },
        _ => common::failure(name, call, source),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::cast_possible_wrap)]
mod tests {
    use super::*;

    /// The keys are those that `ipcs -m` shows for the package's own segments.
    #[test]
    fn keys_are_those_of_the_node_package() {
        assert_eq!(key_of("SharedMemoryExample").unwrap(), 0xf8b4_8f54_u32 as key_t);
        assert_eq!(key_of("MyMemory").unwrap(), 0xae13_73ac_u32 as key_t);
        assert_eq!(key_of("0x1234abcd").unwrap(), 0x1234_abcd);
        assert_eq!(key_of("0xFFFFFFFF").unwrap(), -1);
        assert!(key_of("0x00000000").is_err(), "no segment has it");
        for other in ["0x1234abc", "0x1234abcde", "0X1234abcd", "0x+234abcd", "1234abcd"] {
            assert_eq!(key_in(other), None, "{other}");
        }
        assert!(key_of("").is_err());
        assert!(key_of("a\0b").is_err());
    }

    #[test]
    fn supplied_pages_are_read_from_the_list_of_segments() {
        let list = "key shmid perms size rss swap\n 0 7 1600 99 4096 0\n 5 8 1600 99 8192 4096\n";
        assert_eq!((supplied(list, 7), supplied(list, 8)), (Some(4096), Some(12288)));
        assert_eq!((supplied(list, 9), supplied("", 7), supplied("shmid\n7\n", 7)), (None, None, None));
    }

    /// Other pages take the place of the first two, as after a fault.
    #[test]
    fn replaced_pages_are_unmapped_with_the_rest() {
        let page = rustix::param::page_size();
        let id = shmget(libc::IPC_PRIVATE, 3 * page, libc::IPC_CREAT | 0o600).unwrap();
        let memory = Attachment::new(id, 3 * page, Access::ReadWrite).unwrap();
        remove(id).unwrap();
        let start = memory.start.as_ptr();
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
        // SAFETY: the range is the first two of the three attached pages, which nothing uses.
        let replaced = unsafe { libc::mmap(start.cast(), 2 * page, libc::PROT_READ, flags, -1, 0) };
        assert_eq!(replaced, start.cast());
        drop(memory);
        let mut residency = [0_u8; 3];
        for index in 0..3 {
            // SAFETY: `mincore` refuses addresses where nothing is mapped, and fills a byte for each page.
            let found = unsafe {
                libc::mincore(start.wrapping_add(index * page).cast(), page, residency.as_mut_ptr())
            };
            assert_eq!((found, io::Error::last_os_error().raw_os_error()), (-1, Some(libc::ENOMEM)));
        }
    }
}
