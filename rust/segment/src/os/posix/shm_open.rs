//! `shm_open(3)` and `shm_unlink(3)`, for systems where segments are not visible as files.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use memmap2::MmapRaw;
use rustix::fs::{Mode, Stat};
use rustix::io::Errno;
use rustix::shm;

use super::lock_file::{self, LockFile};
use super::owner::OwnerLock;
use super::{Created, Namespace, Request, allocate, not_memory, other_user, scope_of};
use crate::error::{Error, Result};
use crate::info::{Maker, OwnerState, SegmentInfo};
use crate::options::{Access, Lifetime};
use crate::os::common::{CHANGING, failure};

#[derive(Debug)]
pub(super) struct ShmOpen {
    /// The folder of the lock files. Without one, nothing is ever reclaimed.
    lock_folder: Option<PathBuf>,
}

impl ShmOpen {
    pub(super) const fn new(lock_folder: Option<PathBuf>) -> Self {
        Self { lock_folder }
    }

    /// Creates the segment while the lock, if there is one, is held.
    fn create_locked(&self, request: &Request<'_>, lock: Option<&LockFile>) -> Result<(OwnedFd, MmapRaw)> {
        let fd = match create_exclusive(request) {
            Err(Errno::EXIST) => {
                let stat = self.stat(request.plain);
                if !stat.is_ok_and(|stat| lock.is_some_and(|lock| lock.is_mark_of(&stat))) {
                    return Err(self.taken(request));
                }
                self.unlink(request.plain).map_err(|e| request.failure("shm_unlink", e))?;
                create_exclusive(request)
            }
            other => other,
        }
        .map_err(|e| request.failure("shm_open", e))?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| request.failure("fstat", e))?;
        let finish = || {
            // Restores what the umask took away. macOS can't change a mode, and refuses with EINVAL.
            match rustix::fs::fchmod(&fd, request.mode) {
                Ok(()) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(request.failure("fchmod", errno)),
            }
            let map = allocate(&fd, request)?;
            if let (Some(lock), Lifetime::Owner) = (lock, request.lifetime) {
                lock.mark(&fd, request.lifetime).map_err(|e| request.failure("write", e))?;
            }
            Ok(map)
        };
        match finish() {
            Ok(map) => Ok((fd, map)),
            Err(e) => {
                self.unlink_if_still(request.plain, &stat);
                Err(e)
            }
        }
    }

    /// Returns the error for a name that a segment keeps.
    fn taken(&self, request: &Request<'_>) -> Error {
        self.info(request.plain)
            .map_or_else(|_| request.taken(CHANGING), |info| request.taken_by(Box::new(info)))
    }

    /// Returns what the lock file tells about a segment: its maker, and the state of its owner.
    fn maker_and_owner(&self, plain: &str, segment: &Stat) -> (Maker, OwnerState) {
        let found = self.lock_folder.as_deref().and_then(|folder| lock_file::look(folder, plain, segment));
        // The lock files of other users can't be seen.
        found.unwrap_or((Maker::Unknown, OwnerState::Unknown))
    }

    /// Removes the name, unless another process has given it to a segment of its own since.
    fn unlink_if_still(&self, plain: &str, made: &Stat) {
        if self.leads_to(plain, made) {
            // A failure can't be reported here.
            let _ = self.unlink(plain);
        }
    }
}

fn create_exclusive(request: &Request<'_>) -> Result<OwnedFd, Errno> {
    let flags = shm::OFlags::CREATE | shm::OFlags::EXCL | shm::OFlags::RDWR;
    rustix::io::retry_on_intr(|| shm::open(format!("/{}", request.plain), flags, request.mode))
}

/// On Linux, segments are files: one may be a FIFO or have a lease. On other systems they are neither, and
/// `shm_open(2)` refuses the flag.
const NONBLOCK: shm::OFlags = {
    #[cfg(target_os = "linux")]
    {
        shm::OFlags::from_bits_retain(rustix::fs::OFlags::NONBLOCK.bits())
    }
    #[cfg(not(target_os = "linux"))]
    {
        shm::OFlags::empty()
    }
};

impl Namespace for ShmOpen {
    fn open(&self, plain: &str, access: Access) -> Result<OwnedFd, Errno> {
        let flags = match access {
            Access::ReadWrite => shm::OFlags::RDWR,
            Access::ReadOnly => shm::OFlags::RDONLY,
        } | NONBLOCK;
        rustix::io::retry_on_intr(|| shm::open(format!("/{plain}"), flags, Mode::empty()))
    }

    fn stat(&self, plain: &str) -> Result<Stat, Errno> {
        rustix::fs::fstat(self.open(plain, Access::ReadOnly)?)
    }

    /// Returns no file: macOS reads no segment (`read(2)`).
    fn look(&self, plain: &str) -> Result<(SegmentInfo, Option<File>)> {
        let stat = self.stat(plain).map_err(|e| failure(plain, "shm_open", e))?;
        if let Some(found) = not_memory(&stat) {
            return Err(Error::NotASegment { name: plain.to_owned(), found });
        }
        let (maker, owner) = self.maker_and_owner(plain, &stat);
        let other_user = other_user(stat.st_uid);
        let info = SegmentInfo {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            #[allow(clippy::useless_conversion, reason = "16 bits on macOS")]
            scope: scope_of(stat.st_mode.into()),
            owner,
            maker,
            other_user,
            can_remove: other_user.is_none() || rustix::process::geteuid().is_root(),
            messages: None,
        };
        Ok((info, None))
    }

    fn owner_state(&self, plain: &str, segment: &OwnedFd) -> OwnerState {
        rustix::fs::fstat(segment).map_or(OwnerState::Unknown, |stat| self.maker_and_owner(plain, &stat).1)
    }

    fn exists(&self, plain: &str) -> bool {
        match self.stat(plain) {
            Ok(stat) => not_memory(&stat).is_none(),
            // `stat` opens the segment: it is there, but not for this user.
            Err(errno) => errno == Errno::ACCESS,
        }
    }

    fn is_left_over(&self, plain: &str, segment: &OwnedFd) -> bool {
        let left = (Maker::Ours(Lifetime::Owner), OwnerState::Dead);
        rustix::fs::fstat(segment).is_ok_and(|stat| self.maker_and_owner(plain, &stat) == left)
    }

    /// Returns nothing: there is no call that lists segments.
    fn list(&self) -> Vec<String> {
        Vec::new()
    }

    fn unlink(&self, plain: &str) -> Result<(), Errno> {
        shm::unlink(format!("/{plain}"))
    }

    fn create(&self, request: &Request<'_>) -> Result<Created> {
        let lock = match &self.lock_folder {
            // Without a writable folder, the segment is created, but never reclaimed.
            Some(folder) => match LockFile::take(folder, request.plain) {
                Ok(Some(lock)) => Some(lock),
                // Its owner lives. If the name is gone nevertheless, another program has removed it, and it
                // is free.
                Ok(None) if !matches!(self.stat(request.plain), Err(Errno::NOENT)) => {
                    return Err(self.taken(request));
                }
                Ok(None) | Err(_) => None,
            },
            None => None,
        };
        match self.create_locked(request, lock.as_ref()) {
            Ok((fd, map)) => {
                Ok(Created { fd, map, owner_lock: lock.map(|lock| Box::new(lock) as Box<dyn OwnerLock>) })
            }
            Err(e) => {
                if let Some(lock) = &lock {
                    lock.withdraw();
                }
                Err(e)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    //! The namespace of macOS and FreeBSD, also tested on Linux, which has the same calls.
    use super::super::mode_of;
    use super::*;
    use crate::options::Scope;
    use std::fs;
    use std::os::unix::fs::DirBuilderExt;
    use std::time::Instant;

    const SIZE: u64 = 5000;

    struct Scratch {
        calls: ShmOpen,
        folder: PathBuf,
        name: String,
    }

    impl Scratch {
        fn new() -> Self {
            Self::named(crate::generate_name("call-test").unwrap())
        }

        fn named(name: String) -> Self {
            let folder = std::env::temp_dir().join(crate::generate_name("call-test").unwrap());
            fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
            Self { calls: ShmOpen::new(Some(folder.clone())), folder, name }
        }

        fn create(&self, lifetime: Lifetime) -> Result<Created> {
            self.create_sized(SIZE, lifetime)
        }

        fn create_sized(&self, size: u64, lifetime: Lifetime) -> Result<Created> {
            let mode = mode_of(Scope::Global);
            self.calls.create(&Request { plain: &self.name, size, mode, lifetime, end: Instant::now() })
        }

        /// Returns the number of lock files.
        fn locks(&self) -> usize {
            fs::read_dir(&self.folder).unwrap().count()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = self.calls.unlink(&self.name);
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    /// Returns the size that the system reports for a segment of `size` bytes: on macOS whole pages, of 16
    /// KiB on Apple's processors.
    fn system_size(size: u64) -> i64 {
        let page = if cfg!(target_os = "macos") { rustix::param::page_size() as u64 } else { 1 };
        i64::try_from(size.next_multiple_of(page)).unwrap()
    }

    #[test]
    fn a_living_owner_keeps_its_name_and_a_dead_one_does_not() {
        let scratch = Scratch::new();
        let first = scratch.create(Lifetime::Owner).unwrap();
        // SAFETY: the mapping is larger than one byte, and no other process has it.
        unsafe { first.map.as_mut_ptr().write(1) };
        assert!(matches!(scratch.create(Lifetime::Owner), Err(Error::AlreadyExists { .. })));
        // Closes the lock without removing anything, as when a process is killed.
        drop(first);
        let second = scratch.create(Lifetime::Owner).unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { second.map.as_ptr().read() }, 0, "new memory, not the old");
        second.owner_lock.as_ref().unwrap().discard();
        assert_eq!(scratch.locks(), 0);
    }

    #[test]
    fn a_segment_has_the_requested_size_and_mode() {
        let scratch = Scratch::new();
        for size in [1, SIZE, 16384, 16385, 1_000_003] {
            let made = scratch.create_sized(size, Lifetime::Persistent).unwrap();
            assert_eq!(made.map.len() as u64, size);
            let stat = scratch.calls.stat(&scratch.name).unwrap();
            assert_eq!((stat.st_mode & 0o7777, stat.st_size), (0o666, system_size(size)));
            scratch.calls.unlink(&scratch.name).unwrap();
        }
    }

    #[test]
    fn create_without_room_leaves_no_name_and_no_lock() {
        let scratch = Scratch::new();
        for size in [1 << 50, i64::MAX as u64] {
            assert!(
                matches!(scratch.create_sized(size, Lifetime::Owner), Err(Error::OutOfMemory { .. })),
                "{size}"
            );
            assert!(!scratch.calls.exists(&scratch.name));
            assert_eq!(scratch.locks(), 0);
        }
    }

    #[test]
    fn names_of_30_bytes_work_and_case_matters() {
        let random = crate::generate_name("call-test").unwrap();
        let lower = Scratch::named(format!("{random:a<30}"));
        let upper = Scratch {
            calls: ShmOpen::new(Some(lower.folder.clone())),
            folder: lower.folder.clone(),
            name: lower.name.to_uppercase(),
        };
        assert_eq!(lower.name.len(), 30);
        let (one, other) = (lower.create(Lifetime::Owner).unwrap(), upper.create(Lifetime::Owner).unwrap());
        assert!(one.owner_lock.is_some() && other.owner_lock.is_some(), "each has a lock of its own");
        assert_eq!(lower.locks(), 2);
    }

    #[test]
    fn a_segment_without_a_mark_is_never_reclaimed() {
        let scratch = Scratch::new();
        drop(scratch.create(Lifetime::Persistent).unwrap());
        assert!(matches!(scratch.create(Lifetime::Owner), Err(Error::AlreadyExists { .. })));
        assert_eq!(scratch.locks(), 0, "nothing is left behind");
    }

    #[test]
    fn a_strangers_segment_under_a_dead_owners_name_is_not_reclaimed() {
        let scratch = Scratch::new();
        drop(scratch.create(Lifetime::Owner).unwrap());
        scratch.calls.unlink(&scratch.name).unwrap();
        let flags = shm::OFlags::CREATE | shm::OFlags::EXCL | shm::OFlags::RDWR;
        let strangers = shm::open(format!("/{}", scratch.name), flags, Mode::RUSR | Mode::WUSR).unwrap();
        // Another number of pages: on macOS, only that tells them apart.
        rustix::fs::ftruncate(&strangers, SIZE + (1 << 16)).unwrap();
        assert!(matches!(scratch.create(Lifetime::Owner), Err(Error::AlreadyExists { .. })));
    }

    #[test]
    fn a_removed_name_is_free_while_its_owner_lives() {
        let scratch = Scratch::new();
        let first = scratch.create(Lifetime::Owner).unwrap();
        scratch.calls.unlink(&scratch.name).unwrap();
        let second = scratch.create(Lifetime::Owner).unwrap();
        assert!(first.owner_lock.is_some() && second.owner_lock.is_none(), "the lock is the first one's");
        assert!(matches!(scratch.create(Lifetime::Owner), Err(Error::AlreadyExists { .. })));
    }

    #[test]
    fn a_segment_is_opened_with_the_requested_access() {
        let scratch = Scratch::new();
        let _made = scratch.create(Lifetime::Persistent).unwrap();
        assert_eq!(scratch.calls.list(), Vec::<String>::new(), "there is no call for it");
        for (access, can_write) in [(Access::ReadWrite, true), (Access::ReadOnly, false)] {
            let fd = scratch.calls.open(&scratch.name, access).unwrap();
            let mapped = memmap2::MmapOptions::new().map_raw(&fd);
            assert_eq!(mapped.is_ok(), can_write, "{access:?}");
            memmap2::MmapOptions::new().map_raw_read_only(&fd).unwrap();
        }
    }

    /// In `/dev/shm`, any kind of file may have the name.
    #[cfg(target_os = "linux")]
    #[test]
    fn opening_does_not_wait_for_a_fifo() {
        let scratch = Scratch::new();
        let path = PathBuf::from("/dev/shm").join(&scratch.name);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .unwrap();
        assert!(scratch.calls.open(&scratch.name, Access::ReadOnly).is_ok());
        assert!(!scratch.calls.exists(&scratch.name));
    }

    /// On macOS, all segments have the same identity.
    #[cfg(not(target_os = "macos"))]
    #[test]
    fn a_name_that_another_process_took_is_not_removed() {
        let scratch = Scratch::new();
        let ours = rustix::fs::fstat(&scratch.create(Lifetime::Persistent).unwrap().fd).unwrap();
        scratch.calls.unlink(&scratch.name).unwrap();
        let theirs = rustix::fs::fstat(&scratch.create(Lifetime::Persistent).unwrap().fd).unwrap();
        scratch.calls.unlink_if_still(&scratch.name, &ours);
        assert!(scratch.calls.exists(&scratch.name));
        scratch.calls.unlink_if_still(&scratch.name, &theirs);
        assert!(!scratch.calls.exists(&scratch.name));
    }

    #[test]
    fn a_mark_can_be_taken_back() {
        let scratch = Scratch::new();
        let made = scratch.create(Lifetime::Owner).unwrap();
        let owner_lock = made.owner_lock.as_ref().unwrap();
        owner_lock.mark(&made.fd, Lifetime::Persistent).unwrap();
        drop(made);
        assert!(matches!(scratch.create(Lifetime::Owner), Err(Error::AlreadyExists { .. })));
    }

    /// While a process looks, it has a shared lock for some microseconds.
    #[test]
    fn a_look_at_the_owner_keeps_no_creator_from_reclaiming() {
        let scratch = Scratch::new();
        let made = scratch.create(Lifetime::Owner).unwrap();
        let stat = rustix::fs::fstat(&made.fd).unwrap();
        let look = || scratch.calls.maker_and_owner(&scratch.name, &stat);
        let ours = Maker::Ours(Lifetime::Owner);
        assert_eq!(look(), (ours, OwnerState::Alive));
        made.owner_lock.as_ref().unwrap().mark(&made.fd, Lifetime::Persistent).unwrap();
        assert_eq!(look(), (Maker::Ours(Lifetime::Persistent), OwnerState::Alive));
        made.owner_lock.as_ref().unwrap().mark(&made.fd, Lifetime::Owner).unwrap();
        drop(made);
        assert_eq!(look(), (ours, OwnerState::Dead));
        let opened = scratch.calls.open(&scratch.name, Access::ReadOnly).unwrap();
        assert!(scratch.calls.is_left_over(&scratch.name, &opened));
        let info = scratch.calls.info(&scratch.name).unwrap();
        assert_eq!((info.scope, info.owner, info.can_remove), (Scope::Global, OwnerState::Dead, true));
        let ended = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                    look();
                }
            });
            let reclaimed: Vec<bool> = (0..50)
                .map(|_| scratch.create(Lifetime::Owner).is_ok_and(|made| made.owner_lock.is_some()))
                .collect();
            ended.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(reclaimed.iter().all(|reclaimed| *reclaimed), "{reclaimed:?}");
        });
        assert_eq!(look(), (Maker::Unknown, OwnerState::Unknown), "the name leads to another segment");
    }

    #[test]
    fn a_planted_lock_file_is_not_followed() {
        let scratch = Scratch::new();
        let precious = scratch.folder.join("precious");
        fs::write(&precious, b"precious").unwrap();
        std::os::unix::fs::symlink(&precious, scratch.folder.join(format!("{}.lock", scratch.name))).unwrap();
        let made = scratch.create(Lifetime::Owner).unwrap();
        assert!(made.owner_lock.is_none());
        assert_eq!(fs::read(&precious).unwrap(), b"precious");
    }

    /// On macOS, a segment gets its size in one call, and never another.
    #[cfg(target_os = "macos")]
    #[test]
    fn the_system_refuses_to_change_a_size() {
        let scratch = Scratch::new();
        let made = scratch.create(Lifetime::Persistent).unwrap();
        for size in [0, 1, 1 << 20] {
            assert_eq!(rustix::fs::ftruncate(&made.fd, size), Err(Errno::INVAL), "{size}");
        }
        assert_eq!(scratch.calls.stat(&scratch.name).unwrap().st_size, system_size(SIZE));
    }

    #[cfg(not(target_os = "linux"))]
    #[test]
    fn systems_without_a_segment_directory_use_shm_open() {
        let scratch = Scratch::new();
        let _made = scratch.create(Lifetime::Persistent).unwrap();
        assert!(crate::Options::new(&scratch.name).exists());
        assert_eq!(crate::list_names(), Vec::<String>::new());
    }
}
