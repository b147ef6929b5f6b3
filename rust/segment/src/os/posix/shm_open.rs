//! `shm_open(3)` and `shm_unlink(3)`: for systems where segments are no files that one can see.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use memmap2::MmapRaw;
use rustix::fs::{Mode, Stat};
use rustix::io::Errno;
use rustix::shm;

use super::lock_file::LockFile;
use super::owner::{self, Keeper};
use super::{Made, Namespace, New, allocate, not_memory};
use crate::error::Result;
use crate::options::Access;

#[derive(Debug)]
pub(super) struct Calls {
    /// Where the lock files are; without it, nothing is ever reclaimed.
    lock_folder: Option<PathBuf>,
}

impl Calls {
    pub(super) const fn new(lock_folder: Option<PathBuf>) -> Self {
        Self { lock_folder }
    }

    /// With the lock in hand, if there is one.
    fn create_locked(&self, new: &New<'_>, lock: Option<&LockFile>) -> Result<(OwnedFd, MmapRaw)> {
        let fd = match create_exclusive(new) {
            Err(Errno::EXIST) => {
                let is_dead_owners = |stat| lock.is_some_and(|lock| lock.is_mark_of(&stat));
                if !self.stat(new.plain).is_ok_and(is_dead_owners) {
                    return Err(new.taken(owner::NOT_OURS));
                }
                self.unlink(new.plain).map_err(|e| new.failure("shm_unlink", e))?;
                create_exclusive(new)
            }
            other => other,
        }
        .map_err(|e| new.failure("shm_open", e))?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| new.failure("fstat", e))?;
        let finish = || {
            // Whatever the umask took away; macOS can't, and refuses with EINVAL.
            match rustix::fs::fchmod(&fd, new.mode) {
                Ok(()) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(new.failure("fchmod", errno)),
            }
            let map = allocate(&fd, new)?;
            if let (Some(lock), true) = (lock, new.marked) {
                lock.mark(&fd, new.mode, true).map_err(|e| new.failure("write", e))?;
            }
            Ok(map)
        };
        match finish() {
            Ok(map) => Ok((fd, map)),
            Err(e) => {
                self.unlink_if_still(new.plain, &stat);
                Err(e)
            }
        }
    }

    /// Another process may have removed the name since, and given it to a segment of its own.
    fn unlink_if_still(&self, plain: &str, made: &Stat) {
        if self.leads_to(plain, made) {
            // Nothing can be done about a failure here.
            let _ = self.unlink(plain);
        }
    }
}

fn create_exclusive(new: &New<'_>) -> Result<OwnedFd, Errno> {
    let flags = shm::OFlags::CREATE | shm::OFlags::EXCL | shm::OFlags::RDWR;
    rustix::io::retry_on_intr(|| shm::open(format!("/{}", new.plain), flags, new.mode))
}

/// Linux's segments are files, which may be FIFOs, or have a lease. The other systems' are neither, and `shm_open(2)`
/// refuses the flag there.
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

impl Namespace for Calls {
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

    fn exists(&self, plain: &str) -> bool {
        match self.stat(plain) {
            Ok(stat) => not_memory(&stat).is_none(),
            // Looking takes opening: it is there, but not for this user.
            Err(errno) => errno == Errno::ACCESS,
        }
    }

    /// There is no call for it.
    fn list(&self) -> Vec<String> {
        Vec::new()
    }

    fn unlink(&self, plain: &str) -> Result<(), Errno> {
        shm::unlink(format!("/{plain}"))
    }

    fn create(&self, new: &New<'_>) -> Result<Made> {
        let lock = match &self.lock_folder {
            // A folder that can't be written to costs the reclaiming, not the segment.
            Some(folder) => match LockFile::take(folder, new.plain) {
                Ok(Some(lock)) => Some(lock),
                // Its owner lives. If the name is gone all the same, somebody has removed it: it is free.
                Ok(None) if !matches!(self.stat(new.plain), Err(Errno::NOENT)) => {
                    return Err(new.taken(owner::ALIVE));
                }
                Ok(None) | Err(_) => None,
            },
            None => None,
        };
        match self.create_locked(new, lock.as_ref()) {
            Ok((fd, map)) => Ok(Made { fd, map, keeper: lock.map(|lock| Box::new(lock) as Box<dyn Keeper>) }),
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
    //! The way of macOS and FreeBSD; on Linux, too, which has the same calls.
    use super::super::mode_of;
    use super::*;
    use crate::error::Error;
    use crate::options::Scope;
    use std::fs;
    use std::os::unix::fs::DirBuilderExt;
    use std::time::Instant;

    const SIZE: u64 = 5000;

    struct Scratch {
        calls: Calls,
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
            Self { calls: Calls::new(Some(folder.clone())), folder, name }
        }

        fn create(&self, marked: bool) -> Result<Made> {
            self.create_sized(SIZE, marked)
        }

        fn create_sized(&self, size: u64, marked: bool) -> Result<Made> {
            let mode = mode_of(Scope::Global);
            self.calls.create(&New { plain: &self.name, size, mode, marked, end: Instant::now() })
        }

        /// How many lock files there are.
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

    /// What the system says that a segment of so many bytes has: on macOS whole pages, of 16 KiB on Apple's processors.
    fn system_size(size: u64) -> i64 {
        let page = if cfg!(target_os = "macos") { rustix::param::page_size() as u64 } else { 1 };
        i64::try_from(size.next_multiple_of(page)).unwrap()
    }

    #[test]
    fn a_living_owner_keeps_its_name_and_a_dead_one_does_not() {
        let scratch = Scratch::new();
        let first = scratch.create(true).unwrap();
        // SAFETY: the first byte of a mapping that has more, and nobody else has.
        unsafe { first.map.as_mut_ptr().write(1) };
        assert!(matches!(scratch.create(true), Err(Error::AlreadyExists { .. })));
        // Closes the lock without removing anything: what a killed process leaves.
        drop(first);
        let second = scratch.create(true).unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { second.map.as_ptr().read() }, 0, "new memory, not the old");
        second.keeper.as_ref().unwrap().forget();
        assert_eq!(scratch.locks(), 0);
    }

    #[test]
    fn a_segment_has_the_size_and_the_mode_that_were_asked_for() {
        let scratch = Scratch::new();
        for size in [1, SIZE, 16384, 16385, 1_000_003] {
            let made = scratch.create_sized(size, false).unwrap();
            assert_eq!(made.map.len() as u64, size);
            let stat = scratch.calls.stat(&scratch.name).unwrap();
            assert_eq!((stat.st_mode & 0o7777, stat.st_size), (0o666, system_size(size)));
            scratch.calls.unlink(&scratch.name).unwrap();
        }
    }

    #[test]
    fn no_room_leaves_neither_a_name_nor_a_lock() {
        let scratch = Scratch::new();
        for size in [1 << 50, i64::MAX as u64] {
            assert!(matches!(scratch.create_sized(size, true), Err(Error::OutOfMemory { .. })), "{size}");
            assert!(!scratch.calls.exists(&scratch.name));
            assert_eq!(scratch.locks(), 0);
        }
    }

    #[test]
    fn names_have_30_bytes_and_case_matters() {
        let random = crate::generate_name("case-test-").unwrap();
        let lower = Scratch::named(format!("{random:a<30}"));
        let upper = Scratch {
            calls: Calls::new(Some(lower.folder.clone())),
            folder: lower.folder.clone(),
            name: lower.name.to_uppercase(),
        };
        assert_eq!(lower.name.len(), 30);
        let (one, other) = (lower.create(true).unwrap(), upper.create(true).unwrap());
        assert!(one.keeper.is_some() && other.keeper.is_some(), "each has a lock of its own");
        assert_eq!(lower.locks(), 2);
    }

    #[test]
    fn what_bears_no_mark_is_never_reclaimed() {
        let scratch = Scratch::new();
        drop(scratch.create(false).unwrap());
        assert!(matches!(scratch.create(true), Err(Error::AlreadyExists { .. })));
        assert_eq!(scratch.locks(), 0, "nothing is left behind");
    }

    #[test]
    fn what_a_stranger_made_under_a_dead_owners_name_is_not_reclaimed() {
        let scratch = Scratch::new();
        drop(scratch.create(true).unwrap());
        scratch.calls.unlink(&scratch.name).unwrap();
        let flags = shm::OFlags::CREATE | shm::OFlags::EXCL | shm::OFlags::RDWR;
        let strangers = shm::open(format!("/{}", scratch.name), flags, Mode::RUSR | Mode::WUSR).unwrap();
        // Another number of pages: all that tells them apart on macOS.
        rustix::fs::ftruncate(&strangers, SIZE + (1 << 16)).unwrap();
        assert!(matches!(scratch.create(true), Err(Error::AlreadyExists { .. })));
    }

    #[test]
    fn a_living_owners_name_that_is_gone_is_free() {
        let scratch = Scratch::new();
        let first = scratch.create(true).unwrap();
        scratch.calls.unlink(&scratch.name).unwrap();
        let second = scratch.create(true).unwrap();
        assert!(first.keeper.is_some() && second.keeper.is_none(), "the lock is the first one's");
        assert!(matches!(scratch.create(true), Err(Error::AlreadyExists { .. })));
    }

    #[test]
    fn a_segment_is_opened_with_the_access_asked_for() {
        let scratch = Scratch::new();
        let _made = scratch.create(false).unwrap();
        assert_eq!(scratch.calls.list(), Vec::<String>::new(), "there is no call for it");
        for (access, can_write) in [(Access::ReadWrite, true), (Access::ReadOnly, false)] {
            let fd = scratch.calls.open(&scratch.name, access).unwrap();
            let mapped = memmap2::MmapOptions::new().map_raw(&fd);
            assert_eq!(mapped.is_ok(), can_write, "{access:?}");
            memmap2::MmapOptions::new().map_raw_read_only(&fd).unwrap();
        }
    }

    /// In `/dev/shm`, anything may have the name.
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
    fn a_name_that_another_process_took_is_left_to_it() {
        let scratch = Scratch::new();
        let ours = rustix::fs::fstat(&scratch.create(false).unwrap().fd).unwrap();
        scratch.calls.unlink(&scratch.name).unwrap();
        let theirs = rustix::fs::fstat(&scratch.create(false).unwrap().fd).unwrap();
        scratch.calls.unlink_if_still(&scratch.name, &ours);
        assert!(scratch.calls.exists(&scratch.name));
        scratch.calls.unlink_if_still(&scratch.name, &theirs);
        assert!(!scratch.calls.exists(&scratch.name));
    }

    #[test]
    fn a_mark_can_be_taken_back() {
        let scratch = Scratch::new();
        let made = scratch.create(true).unwrap();
        let keeper = made.keeper.as_ref().unwrap();
        keeper.mark(&made.fd, mode_of(Scope::Global), false).unwrap();
        drop(made);
        assert!(matches!(scratch.create(true), Err(Error::AlreadyExists { .. })));
    }

    #[test]
    fn a_planted_lock_file_is_not_followed() {
        let scratch = Scratch::new();
        let precious = scratch.folder.join("precious");
        fs::write(&precious, b"precious").unwrap();
        std::os::unix::fs::symlink(&precious, scratch.folder.join(format!("{}.lock", scratch.name))).unwrap();
        let made = scratch.create(true).unwrap();
        assert!(made.keeper.is_none());
        assert_eq!(fs::read(&precious).unwrap(), b"precious");
    }

    /// What macOS does, and why a segment gets its size in one call, and never another.
    #[cfg(target_os = "macos")]
    #[test]
    fn the_system_lets_nobody_change_a_size() {
        let scratch = Scratch::new();
        let made = scratch.create(false).unwrap();
        for size in [0, 1, 1 << 20] {
            assert_eq!(rustix::fs::ftruncate(&made.fd, size), Err(Errno::INVAL), "{size}");
        }
        assert_eq!(scratch.calls.stat(&scratch.name).unwrap().st_size, system_size(SIZE));
    }

    #[cfg(not(target_os = "linux"))]
    #[test]
    fn this_is_the_way_of_a_system_without_a_directory_of_segments() {
        let scratch = Scratch::new();
        let _made = scratch.create(false).unwrap();
        assert!(crate::Options::new(&scratch.name).exists());
        assert_eq!(crate::list_names(), Vec::<String>::new());
    }
}
