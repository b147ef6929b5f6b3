//! Somebody else was there first: a file of any type, mode, size and owner under the name, with any locks on it.
//!
//! What each call must say follows from what is under the name at that moment, which is looked up here without
//! the crate's help.

use std::fs::{self, File, Metadata, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use arbitrary::Arbitrary;
use shm_segment::{Access, Error, Lifetime, Options, Scope, Segment};

use crate::scratch::{Scratch, in_bounded_time};

/// What is planted, how it is locked, and what is called then.
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
    /// So many bytes from just before the byte that shows that the owner lives.
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

/// As in `owner.rs`; a test there would notice if they changed without this.
const LIFE: i64 = 1 << 62;
const REMAINS: i64 = LIFE + 2;

/// A lock that was really taken, from its first byte to its last.
struct Taken {
    _file: File,
    range: Option<(i64, i64)>,
}

impl Plan {
    /// Does it.
    pub fn run(self) {
        let (place, precious) = (Scratch::new("hostile"), Scratch::new("precious"));
        fs::write(precious.path(), b"precious").unwrap();
        let planted = self.plant.put(&place, &precious);
        let locks: Vec<Taken> = self.locks.iter().flatten().filter_map(|lock| lock.take(&place)).collect();
        let mut held = Vec::new();
        for call in self.calls.iter().take(12) {
            let before = look(&place);
            assert_eq!(Options::new(&place.name).exists(), before.as_ref().is_some_and(Metadata::is_file));
            let ours = planted.is_some() && before.as_ref().map(Metadata::ino) == planted;
            let locks: &[Taken] = if ours { &locks } else { &[] };
            in_bounded_time(|| call.make(&place, before.as_ref(), locks, &mut held));
        }
        drop(held);
        assert_eq!(fs::read(precious.path()).unwrap(), b"precious");
    }
}

fn look(place: &Scratch) -> Option<Metadata> {
    fs::symlink_metadata(place.path()).ok()
}

impl Plant {
    /// Puts it there, and returns its inode number. What only root may do is left out for others.
    fn put(&self, place: &Scratch, precious: &Scratch) -> Option<u64> {
        let path = place.path();
        match self {
            Self::Nothing => {}
            Self::File { content, size, mode, of_another_user } => {
                fs::write(&path, content).unwrap();
                let size = size.of(content.len() as u64).min(i64::MAX as u64);
                // The largest are beyond what the file system takes.
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
        look(place).map(|found| found.ino())
    }
}

fn make_node(path: &Path, mode: u32, device: libc::dev_t) {
    let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a string that ends in NUL. Where it is refused, nothing is planted.
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
    fn take(&self, place: &Scratch) -> Option<Taken> {
        if !look(place)?.is_file() {
            return None;
        }
        let file = File::options().read(true).write(true).open(place.path()).ok()?;
        if self.flock {
            if self.exclusive {
                file.try_lock().ok()?
            } else {
                file.try_lock_shared().ok()?
            }
            return Some(Taken { _file: file, range: None });
        }
        let (start, length) = match self.start {
            // To the end of all files if the length is 0.
            Start::Zero => (0, i64::from(self.length)),
            Start::NearLife(more) => (LIFE - 1 + i64::from(more % 6), i64::from(self.length % 6)),
        };
        let kind = if self.exclusive { libc::F_WRLCK } else { libc::F_RDLCK };
        let lock = libc::flock64 { l_type: kind as _, l_whence: 0, l_start: start, l_len: length, l_pid: 0 };
        // SAFETY: an open descriptor, and one `flock64`.
        let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
        let last = if length == 0 { i64::MAX } else { start + length - 1 };
        (result == 0).then_some(Taken { _file: file, range: Some((start, last)) })
    }
}

/// May a creator have the name? `None` where two locks say different things of the owner.
fn is_free(found: Option<&Metadata>, locks: &[Taken], we_own_it: bool) -> Option<bool> {
    let Some(found) = found else { return Some(true) };
    // SAFETY: no preconditions.
    let user = unsafe { libc::geteuid() };
    if !found.is_file() || found.mode() & 0o1000 == 0 || found.uid() != user || we_own_it {
        return Some(false);
    }
    let ranges = || locks.iter().filter_map(|lock| lock.range);
    let covers = |byte: i64| ranges().any(|(first, last)| (first..=last).contains(&byte));
    let is_life = ranges().any(|range| range == (LIFE, LIFE));
    let is_wider = ranges().any(|range| range != (LIFE, LIFE) && (range.0..=range.1).contains(&LIFE));
    match (covers(REMAINS), is_life, is_wider) {
        (true, ..) | (false, true, false) => Some(false),
        (false, false, _) => Some(true),
        (false, true, true) => None,
    }
}

impl Call {
    fn make(&self, place: &Scratch, before: Option<&Metadata>, locks: &[Taken], held: &mut Vec<Segment>) {
        let name = place.name.as_str();
        let we_own_it = held.iter().any(|segment| segment.is_created() && segment.name().is_current());
        match *self {
            Self::List => {
                let is_listed = shm_segment::list_names().iter().any(|listed| listed == name);
                assert_eq!(is_listed, before.is_some_and(Metadata::is_file));
            }
            Self::Open { ref size, read_only } => {
                let access = if read_only { Access::ReadOnly } else { Access::ReadWrite };
                let wanted = size.of(0);
                held.extend(check_opened(Options::new(name).open(wanted, access), wanted, before));
                is_untouched(place, before);
            }
            Self::Create { size, global, persistent } => {
                let (scope, lifetime) = ways(global, persistent);
                let result = Options::new(name).scope(scope).lifetime(lifetime).create(size.into());
                check_created(place, &result, size.into(), before, is_free(before, locks, we_own_it));
                held.extend(result);
            }
            Self::OpenOrCreate { size, global, persistent } => {
                let (scope, lifetime) = ways(global, persistent);
                let result = Options::new(name).scope(scope).lifetime(lifetime).open_or_create(size.into());
                let free = is_free(before, locks, we_own_it);
                if size == 0 || free == Some(true) || result.as_ref().is_ok_and(Segment::is_created) {
                    check_created(place, &result, size.into(), before, free);
                    held.extend(result);
                } else {
                    held.extend(check_opened(result, size.into(), before));
                    is_untouched(place, before);
                }
            }
            Self::Remove => match (Options::new(name).remove(), before) {
                (Ok(()), Some(found)) => assert!(found.is_file() && look(place).is_none()),
                (Err(Error::NotASegment { .. }), Some(found)) => {
                    assert!(!found.is_file());
                    is_untouched(place, before);
                }
                (Err(Error::DoesNotExist { .. }), None) => {}
                other => panic!("{other:?}"),
            },
            Self::CloseAll => {
                held.clear();
                // Ours may be gone now; anything else is not.
                if !we_own_it {
                    is_untouched(place, before);
                }
            }
        }
    }
}

fn ways(global: bool, persistent: bool) -> (Scope, Lifetime) {
    (
        if global { Scope::Global } else { Scope::Local },
        if persistent { Lifetime::Persistent } else { Lifetime::Owner },
    )
}

fn is_untouched(place: &Scratch, before: Option<&Metadata>) {
    let all = |found: &Metadata| (found.dev(), found.ino(), found.mode(), found.uid(), found.size());
    assert_eq!(look(place).as_ref().map(all), before.map(all));
}

fn check_created(
    place: &Scratch,
    result: &Result<Segment, Error>,
    size: u64,
    before: Option<&Metadata>,
    free: Option<bool>,
) {
    match result {
        Ok(segment) => {
            assert!(segment.is_created() && free != Some(false) && segment.size() == size);
            let found = look(place).unwrap();
            assert!(found.is_file() && found.size() == size);
            assert!(before.is_none_or(|before| before.ino() != found.ino()), "a new file");
            let mut all = vec![1; usize::try_from(size).unwrap()];
            segment.read(0, &mut all).unwrap();
            assert!(all.iter().all(|byte| *byte == 0));
            return;
        }
        Err(Error::InvalidSize { .. }) => assert_eq!(size, 0),
        Err(Error::AlreadyExists { .. }) => assert_ne!(free, Some(true)),
        Err(other) => panic!("{other:?}"),
    }
    is_untouched(place, before);
}

fn check_opened(result: Result<Segment, Error>, wanted: u64, before: Option<&Metadata>) -> Option<Segment> {
    match (result, before) {
        (Ok(segment), Some(found)) => {
            assert!(found.is_file() && !segment.is_created());
            let size = if wanted == 0 { found.size() } else { wanted };
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
            assert!(found.is_file() && actual == found.size() && requested == wanted && wanted > actual);
        }
        (Err(Error::NotASegment { .. }), Some(found)) => assert!(!found.is_file()),
        // The file system allows no devices; or the mode allows nothing to this user.
        (Err(Error::PermissionDenied { .. }), Some(found)) => {
            let kind = found.file_type();
            // SAFETY: no preconditions.
            let is_root = unsafe { libc::geteuid() } == 0;
            assert!(kind.is_char_device() || kind.is_block_device() || !is_root);
        }
        // Larger than what can be mapped.
        (Err(Error::System { call: "mmap", .. }), Some(found)) => assert!(found.size() > 1 << 40),
        // `AlreadyExists`, where the name was said to be changing hands and could not be opened either.
        (result, _) => panic!("{result:?}"),
    }
    None
}
