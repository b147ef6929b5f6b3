//! Another program was first: under the name is a file of any type, mode, size and owner, with any locks.
//!
//! The expected result of each call follows from the file that is under the name just before. This file looks
//! it up without the crate's help.

use std::fs::{self, File, Metadata, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use arbitrary::Arbitrary;
use shm_segment::{Access, Error, Lifetime, Options, Scope, Segment};

use crate::scratch::{Scratch, in_bounded_time};

/// The planted file, the locks on it, and the calls.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    plant: Plant,
    locks: [Option<Lock>; 2],
    calls: Vec<Call>,
}

#[derive(Debug, Arbitrary)]
enum Plant {
    Nothing,
    File { content: [u8; 8], size: Size, mode: u16, of_another_user: bool },
    Folder,
    Link(Target),
    Fifo { mode: u16 },
    Socket,
    Device { block: bool, number: u8 },
}

#[derive(Debug, Arbitrary)]
enum Size {
    OfTheContent,
    Small(u16),
    Any(u64),
}

#[derive(Debug, Arbitrary)]
enum Target {
    Nowhere,
    Itself,
    Precious,
    Root,
    Zeros,
}

#[derive(Debug, Arbitrary)]
struct Lock {
    exclusive: bool,
    start: Start,
    length: u8,
    flock: bool,
}

#[derive(Debug, Arbitrary, PartialEq)]
enum Start {
    Zero,
    /// A few bytes on, from just before the byte of the life lock.
    NearLife(u8),
}

#[derive(Debug, Arbitrary)]
enum Call {
    List,
    Open { size: Size, read_only: bool },
    Create { size: u16, global: bool, persistent: bool },
    OpenOrCreate { size: u16, global: bool, persistent: bool },
    Remove,
    CloseAll,
}

/// The same bytes as in `life_lock.rs`. Tests of the segment crate fail if those change.
const LIFE: i64 = 1 << 62;
const RECLAIM: i64 = LIFE + 2;

/// A lock on a file, from the first byte of the range to its last.
struct HeldLock {
    _file: File,
    range: Option<(i64, i64)>,
}

impl Plan {
    /// Runs the plan.
    pub fn run(self) {
        let (scratch, precious) = (Scratch::new("hostile"), Scratch::new("precious"));
        fs::write(precious.path(), b"precious").unwrap();
        let planted = self.plant.plant(&scratch, &precious);
        let locks: Vec<HeldLock> =
            self.locks.iter().flatten().filter_map(|lock| lock.take(&scratch)).collect();
        let mut segments = Vec::new();
        for call in self.calls.iter().take(12) {
            let before = scratch.metadata();
            assert_eq!(Options::new(&scratch.name).exists(), before.as_ref().is_some_and(Metadata::is_file));
            let is_planted = planted.is_some() && before.as_ref().map(Metadata::ino) == planted;
            let locks: &[HeldLock] = if is_planted { &locks } else { &[] };
            in_bounded_time(|| call.make(&scratch, before.as_ref(), locks, &mut segments));
        }
        drop(segments);
        assert_eq!(fs::read(precious.path()).unwrap(), b"precious");
    }
}

impl Plant {
    /// Makes the file, and returns its inode number. Does less if this user may not do all of it.
    fn plant(&self, scratch: &Scratch, precious: &Scratch) -> Option<u64> {
        let path = scratch.path();
        match self {
            Self::Nothing => {}
            Self::File { content, size, mode, of_another_user } => {
                fs::write(&path, content).unwrap();
                let size = size.of(content.len() as u64).min(i64::MAX as u64);
                // Fails for a size beyond the file system's limit.
                let _ = File::options().write(true).open(&path).unwrap().set_len(size);
                if *of_another_user {
                    let _ = std::os::unix::fs::chown(&path, Some(65534), Some(65534));
                }
                fs::set_permissions(&path, Permissions::from_mode(u32::from(*mode) & 0o7777)).unwrap();
            }
            Self::Folder => fs::create_dir(&path).unwrap(),
            Self::Link(target) => {
                let nowhere = Path::new("/nowhere/at/all");
                let precious = precious.path();
                let target = match target {
                    Target::Nowhere => nowhere,
                    Target::Itself => &path,
                    Target::Precious => &precious,
                    Target::Root => Path::new("/"),
                    Target::Zeros => Path::new("/dev/zero"),
                };
                symlink(target, &path).unwrap();
            }
            Self::Fifo { mode } => make_node(&path, libc::S_IFIFO | u32::from(*mode) & 0o7777, 0),
            Self::Socket => drop(UnixListener::bind(&path).unwrap()),
            Self::Device { block, number } => {
                let kind = if *block { libc::S_IFBLK } else { libc::S_IFCHR };
                make_node(&path, kind | 0o1600, libc::makedev(1, u32::from(*number)));
            }
        }
        scratch.metadata().map(|found| found.ino())
    }
}

fn make_node(path: &Path, mode: u32, device: libc::dev_t) {
    let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // Nothing is planted if this user may not make the node.
    // SAFETY: `path` is a string that ends in NUL.
    unsafe { libc::mknod(path.as_ptr(), mode, device) };
}

impl Size {
    fn of(&self, content: u64) -> u64 {
        match *self {
            Self::OfTheContent => content,
            Self::Small(size) => size.into(),
            Self::Any(size) => size,
        }
    }
}

impl Lock {
    fn take(&self, scratch: &Scratch) -> Option<HeldLock> {
        if !scratch.metadata()?.is_file() {
            return None;
        }
        let file = File::options().read(true).write(true).open(scratch.path()).ok()?;
        if self.flock {
            if self.exclusive {
                file.try_lock().ok()?
            } else {
                file.try_lock_shared().ok()?
            }
            return Some(HeldLock { _file: file, range: None });
        }
        let (start, length) = match self.start {
            // A length of 0 stands for all bytes up to the largest offset.
            Start::Zero => (0, i64::from(self.length)),
            Start::NearLife(offset) => (LIFE - 1 + i64::from(offset % 6), i64::from(self.length % 6)),
        };
        let kind = if self.exclusive { libc::F_WRLCK } else { libc::F_RDLCK };
        let lock = libc::flock64 { l_type: kind as _, l_whence: 0, l_start: start, l_len: length, l_pid: 0 };
        // SAFETY: `file` is open, and `lock` is a `flock64` that lives until the call returns.
        let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
        let last = if length == 0 { i64::MAX } else { start + length - 1 };
        (result == 0).then_some(HeldLock { _file: file, range: Some((start, last)) })
    }
}

/// Returns whether a creator may have the name. `None` if two locks contradict each other about the owner.
fn is_free(found: Option<&Metadata>, locks: &[HeldLock], is_ours: bool) -> Option<bool> {
    let Some(found) = found else { return Some(true) };
    // SAFETY: `geteuid` has no preconditions.
    let user = unsafe { libc::geteuid() };
    if !found.is_file() || found.mode() & 0o1000 == 0 || found.uid() != user || is_ours {
        return Some(false);
    }
    let ranges = || locks.iter().filter_map(|lock| lock.range);
    let covers = |byte: i64| ranges().any(|(first, last)| (first..=last).contains(&byte));
    let is_life = ranges().any(|range| range == (LIFE, LIFE));
    let is_wider = ranges().any(|range| range != (LIFE, LIFE) && (range.0..=range.1).contains(&LIFE));
    match (covers(RECLAIM), is_life, is_wider) {
        (true, ..) | (false, true, false) => Some(false),
        (false, false, _) => Some(true),
        (false, true, true) => None,
    }
}

impl Call {
    fn make(
        &self,
        scratch: &Scratch,
        before: Option<&Metadata>,
        locks: &[HeldLock],
        segments: &mut Vec<Segment>,
    ) {
        let name = scratch.name.as_str();
        let is_ours = segments.iter().any(|segment| segment.is_created() && segment.name().is_current());
        match *self {
            Self::List => {
                let is_listed = shm_segment::list_names().iter().any(|listed| listed == name);
                assert_eq!(is_listed, before.is_some_and(Metadata::is_file));
            }
            Self::Open { ref size, read_only } => {
                let access = if read_only { Access::ReadOnly } else { Access::ReadWrite };
                let request = size.of(0);
                let result = Options::new(name).open(request, access);
                segments.extend(check_opened(result, request, before));
                assert_untouched(scratch, before);
            }
            Self::Create { size, global, persistent } => {
                let (scope, lifetime) = options(global, persistent);
                let result = Options::new(name).scope(scope).lifetime(lifetime).create(size.into());
                check_created(scratch, &result, size.into(), before, is_free(before, locks, is_ours));
                segments.extend(result);
            }
            Self::OpenOrCreate { size, global, persistent } => {
                let (scope, lifetime) = options(global, persistent);
                let result = Options::new(name).scope(scope).lifetime(lifetime).open_or_create(size.into());
                let is_free = is_free(before, locks, is_ours);
                if size == 0 || is_free == Some(true) || result.as_ref().is_ok_and(Segment::is_created) {
                    check_created(scratch, &result, size.into(), before, is_free);
                    segments.extend(result);
                } else {
                    segments.extend(check_opened(result, size.into(), before));
                    assert_untouched(scratch, before);
                }
            }
            Self::Remove => match (Options::new(name).remove(), before) {
                (Ok(()), Some(found)) => assert!(found.is_file() && scratch.metadata().is_none()),
                (Err(Error::NotASegment { .. }), Some(found)) => {
                    assert!(!found.is_file());
                    assert_untouched(scratch, before);
                }
                (Err(Error::DoesNotExist { .. }), None) => {}
                other => panic!("{other:?}"),
            },
            Self::CloseAll => {
                segments.clear();
                // Only a segment of this process may be gone now.
                if !is_ours {
                    assert_untouched(scratch, before);
                }
            }
        }
    }
}

fn options(global: bool, persistent: bool) -> (Scope, Lifetime) {
    (
        if global { Scope::Global } else { Scope::Local },
        if persistent { Lifetime::Persistent } else { Lifetime::Owner },
    )
}

fn assert_untouched(scratch: &Scratch, before: Option<&Metadata>) {
    let all = |found: &Metadata| (found.dev(), found.ino(), found.mode(), found.uid(), found.size());
    assert_eq!(scratch.metadata().as_ref().map(all), before.map(all));
}

fn check_created(
    scratch: &Scratch,
    result: &Result<Segment, Error>,
    size: u64,
    before: Option<&Metadata>,
    is_free: Option<bool>,
) {
    match result {
        Ok(segment) => {
            assert!(segment.is_created() && is_free != Some(false) && segment.size() == size);
            let found = scratch.metadata().unwrap();
            assert!(found.is_file() && found.size() == size);
            assert!(before.is_none_or(|before| before.ino() != found.ino()), "it must be a new file");
            let mut all = vec![1; usize::try_from(size).unwrap()];
            segment.read(0, &mut all).unwrap();
            assert!(all.iter().all(|byte| *byte == 0));
            return;
        }
        Err(Error::InvalidSize { .. }) => assert_eq!(size, 0),
        Err(Error::AlreadyExists { .. }) => assert_ne!(is_free, Some(true)),
        Err(other) => panic!("{other:?}"),
    }
    assert_untouched(scratch, before);
}

fn check_opened(result: Result<Segment, Error>, request: u64, before: Option<&Metadata>) -> Option<Segment> {
    match (result, before) {
        (Ok(segment), Some(found)) => {
            assert!(found.is_file() && !segment.is_created());
            let size = if request == 0 { found.size() } else { request };
            assert!(segment.size() == size && size <= found.size());
            let mut byte = [0];
            segment.read(size - 1, &mut byte).unwrap();
            assert!(matches!(segment.read(size, &mut byte), Err(Error::OutOfBounds { .. })));
            assert!(matches!(segment.read(u64::MAX, &mut byte), Err(Error::OutOfBounds { .. })));
            return Some(segment);
        }
        (Err(Error::DoesNotExist { .. }), None) => {}
        (Err(Error::NotSizedYet { .. }), Some(found)) => assert!(found.is_file() && found.size() == 0),
        (Err(Error::TooSmall { actual, requested, .. }), Some(found)) => {
            assert!(found.is_file() && actual == found.size());
            assert!(requested == request && requested > actual);
        }
        (Err(Error::NotASegment { .. }), Some(found)) => assert!(!found.is_file()),
        // The file system allows no devices, or the mode denies access to this user.
        (Err(Error::PermissionDenied { .. }), Some(found)) => {
            let kind = found.file_type();
            // SAFETY: `geteuid` has no preconditions.
            let is_root = unsafe { libc::geteuid() } == 0;
            assert!(kind.is_char_device() || kind.is_block_device() || !is_root);
        }
        // The file is larger than the address space.
        (Err(Error::System { call: "mmap", .. }), Some(found)) => assert!(found.size() > 1 << 40),
        // Not even `AlreadyExists`: a call would return it if it could neither open nor create the segment.
        (result, _) => panic!("{result:?}"),
    }
    None
}
