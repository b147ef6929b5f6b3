//! Linux: `/dev/shm`, a directory whose regular files are the segments (`shm_overview(7)`).
//!
//! Going through the directory instead of `shm_open(3)` buys three things: a link that somebody planted is not
//! followed, a FIFO doesn't block, and a new segment gets its name only when it is complete. It is made without a
//! name (`O_TMPFILE`), given its mode, its pages and its owner's lock, mapped, and only then linked to its name:
//! nobody ever sees it half made, and a creator that is killed before leaves nothing.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat, linkat, openat, statat, unlinkat};
use rustix::io::Errno;

use super::life_lock::{self, LifeLock};
use super::owner::{self, Keeper};
use super::{Made, Namespace, New, allocate, not_memory};
use crate::error::Result;
use crate::options::Access;

/// glibc keeps named semaphores in the same directory (`sem_overview(7)`).
const SEMAPHORE_PREFIX: &str = "sem.";

#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Make segments as on a system without `O_TMPFILE`.
    #[cfg(test)]
    named_only: bool,
}

/// What became of a name that was taken.
enum Claim {
    /// It is free now.
    Free,
    /// It stays, and why.
    Taken(&'static str),
    /// It is changing hands: look again.
    Changing,
}

impl Directory {
    /// `None` where it isn't there, as in some containers.
    pub(super) fn of_the_system() -> Option<Self> {
        let path = Path::new("/dev/shm");
        path.is_dir().then(|| Self {
            path: path.to_owned(),
            #[cfg(test)]
            named_only: false,
        })
    }

    /// A file without a name, or `None` where the file system has no such thing.
    fn unnamed(&self, new: &New<'_>) -> Result<Option<OwnedFd>> {
        #[cfg(test)]
        if self.named_only {
            return Ok(None);
        }
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::io::retry_on_intr(|| openat(CWD, &self.path, flags, Mode::RUSR | Mode::WUSR)) {
            Ok(fd) => Ok(Some(fd)),
            // open(2): no support in the file system, or in the kernel.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => Ok(None),
            Err(errno) => Err(new.failure("open", errno)),
        }
    }

    /// The way without unnamed files: the name is there before the rest, and openers may see it empty.
    fn create_named(&self, new: &New<'_>) -> Result<Made> {
        let path = self.path.join(new.plain);
        // The mark from the start: killed at any later instruction, it can be reclaimed.
        let mode =
            if new.marked { Mode::RUSR | Mode::WUSR | life_lock::MARK } else { Mode::RUSR | Mode::WUSR };
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            let fd = match rustix::io::retry_on_intr(|| openat(CWD, &path, flags, mode)) {
                Ok(fd) => fd,
                Err(Errno::EXIST) => {
                    self.vacate(new)?;
                    continue;
                }
                Err(errno) => return Err(new.failure("open", errno)),
            };
            let stat = rustix::fs::fstat(&fd).map_err(|e| new.failure("fstat", e))?;
            match self.complete(fd, &stat, new) {
                Ok(Some(made)) => return Ok(made),
                Ok(None) => pause(new)?,
                Err(e) => {
                    if self.leads_to(new.plain, &stat) {
                        let _ = self.unlink(new.plain);
                    }
                    return Err(e);
                }
            }
        }
    }

    /// Locks, sizes and maps a file that has its name already. `None` if it was taken for a dead owner's meanwhile,
    /// by somebody who removes its name.
    fn complete(&self, fd: OwnedFd, stat: &Stat, new: &New<'_>) -> Result<Option<Made>> {
        // First what a reclaimer needs, then what shows that we live: a reclaimer that was faster asks once more.
        if new.marked && !life_lock::take_remains(&fd).map_err(|e| new.failure("fcntl", e))? {
            return Ok(None);
        }
        let keeper = lock_and_mark(&fd, new)?;
        if !self.leads_to(new.plain, stat) {
            return Ok(None);
        }
        let map = allocate(&fd, new)?;
        Ok(Some(Made { fd, map, keeper }))
    }

    /// Makes sure that nothing has the name, removing it where its owner is dead.
    fn vacate(&self, new: &New<'_>) -> Result<()> {
        loop {
            match self.claim(new.plain).map_err(|e| new.failure("open", e))? {
                Claim::Free => return Ok(()),
                Claim::Taken(why) => return Err(new.taken(why)),
                Claim::Changing => pause(new)?,
            }
        }
    }

    fn claim(&self, plain: &str) -> Result<Claim, Errno> {
        let found = match self.stat(plain) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Claim::Free),
            Err(errno) => return Err(errno),
        };
        if let Some(other) = not_memory(&found) {
            return Ok(Claim::Taken(other));
        }
        if !life_lock::is_reclaimable(&found) {
            return Ok(Claim::Taken(owner::NOT_OURS));
        }
        let fd = match self.open(plain, Access::ReadWrite) {
            Ok(fd) => fd,
            // Gone, or replaced by what can't be opened, since we looked.
            Err(Errno::NOENT | Errno::LOOP | Errno::ISDIR | Errno::NXIO | Errno::ACCESS) => {
                return Ok(Claim::Changing);
            }
            Err(errno) => return Err(errno),
        };
        if !life_lock::is_dead(&fd)? {
            return Ok(Claim::Taken(owner::ALIVE));
        }
        // Of all who saw it dead, one at a time goes on.
        if !life_lock::take_remains(&fd)? {
            return Ok(Claim::Changing);
        }
        // All of what follows is looked at again, now that nothing of it can change any more: a creator that had not
        // locked it yet may live; an owner may have made it persistent before it died; and the reclaimer before us
        // may have given the name a new owner.
        let stat = rustix::fs::fstat(&fd)?;
        if !life_lock::is_dead(&fd)? || !life_lock::is_reclaimable(&stat) || !self.leads_to(plain, &stat) {
            return Ok(Claim::Changing);
        }
        match self.unlink(plain) {
            Ok(()) | Err(Errno::NOENT) => Ok(Claim::Free),
            Err(errno) => Err(errno),
        }
    }
}

impl Namespace for Directory {
    fn open(&self, plain: &str, access: Access) -> Result<OwnedFd, Errno> {
        let access = match access {
            Access::ReadWrite => OFlags::RDWR,
            Access::ReadOnly => OFlags::RDONLY,
        };
        // Never waits for the other end of a FIFO, never becomes the owner of a terminal.
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::io::retry_on_intr(|| openat(CWD, self.path.join(plain), flags, Mode::empty()))
    }

    fn stat(&self, plain: &str) -> Result<Stat, Errno> {
        statat(CWD, self.path.join(plain), AtFlags::SYMLINK_NOFOLLOW)
    }

    fn unlink(&self, plain: &str) -> Result<(), Errno> {
        unlinkat(CWD, self.path.join(plain), AtFlags::empty())
    }

    fn exists(&self, plain: &str) -> bool {
        self.stat(plain).is_ok_and(|stat| not_memory(&stat).is_none())
    }

    fn list(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.path) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with(SEMAPHORE_PREFIX))
            .collect();
        names.sort_unstable();
        names
    }

    fn create(&self, new: &New<'_>) -> Result<Made> {
        // Before any page is reserved: most often the name is simply free, or simply taken.
        self.vacate(new)?;
        let Some(fd) = self.unnamed(new)? else { return self.create_named(new) };
        let keeper = lock_and_mark(&fd, new)?;
        let map = allocate(&fd, new)?;
        let unnamed = format!("/proc/self/fd/{}", fd.as_raw_fd());
        loop {
            match linkat(CWD, &unnamed, CWD, self.path.join(new.plain), AtFlags::SYMLINK_FOLLOW) {
                Ok(()) => return Ok(Made { fd, map, keeper }),
                Err(Errno::EXIST) => self.vacate(new)?,
                // No `/proc` here. The pages are needed again.
                Err(Errno::NOENT) => {
                    drop((fd, map));
                    return self.create_named(new);
                }
                Err(errno) => return Err(new.failure("linkat", errno)),
            }
        }
    }
}

/// Takes the life lock of a new segment and sets its mode. Where there are no such locks (some sandboxes), it gets no
/// mark either: nobody could tell whether its owner lives.
fn lock_and_mark(fd: &OwnedFd, new: &New<'_>) -> Result<Option<Box<dyn Keeper>>> {
    let lockable = match life_lock::take_life(fd) {
        Ok(taken) => taken,
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => false,
        Err(errno) => return Err(new.failure("fcntl", errno)),
    };
    let mode = if new.marked && lockable { new.mode | life_lock::MARK } else { new.mode };
    rustix::fs::fchmod(fd, mode).map_err(|e| new.failure("fchmod", e))?;
    Ok(lockable.then(|| Box::new(LifeLock) as Box<dyn Keeper>))
}

fn pause(new: &New<'_>) -> Result<()> {
    if Instant::now() >= new.end {
        return Err(new.taken(owner::CHANGING));
    }
    sleep(Duration::from_micros(200));
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
mod tests {
    //! What can't be seen from outside: one step of a race at a time, and systems with less than Linux has.
    use super::super::mode_of;
    use super::*;
    use crate::error::Error;
    use crate::options::Scope;
    use std::fs::File;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    struct Scratch {
        directory: Directory,
        name: String,
    }

    impl Scratch {
        fn new(named_only: bool) -> Self {
            let mut directory = Directory::of_the_system().unwrap();
            directory.named_only = named_only;
            Self { directory, name: crate::generate_name("dir-test").unwrap() }
        }

        fn path(&self) -> PathBuf {
            self.directory.path.join(&self.name)
        }

        fn create(&self, size: u64, marked: bool) -> Result<Made> {
            let mode = mode_of(Scope::Global);
            let end = Instant::now() + Duration::from_millis(20);
            self.directory.create(&New { plain: &self.name, size, mode, marked, end })
        }

        /// What a dead owner leaves.
        fn leave(&self) -> File {
            let file = File::options().read(true).write(true).create_new(true).open(self.path()).unwrap();
            file.set_permissions(fs::Permissions::from_mode(0o1600)).unwrap();
            file
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(self.path());
        }
    }

    #[test]
    fn one_reclaimer_at_a_time() {
        let scratch = Scratch::new(false);
        let first = scratch.leave();
        assert!(life_lock::is_dead(&first).unwrap() && life_lock::take_remains(&first).unwrap());
        assert!(matches!(scratch.directory.claim(&scratch.name), Ok(Claim::Changing)));
        assert!(matches!(scratch.create(1, true), Err(Error::AlreadyExists { .. })));
        assert!(scratch.path().exists());
        drop(first);
        assert!(matches!(scratch.directory.claim(&scratch.name), Ok(Claim::Free)));
        assert!(!scratch.path().exists());
    }

    /// So nothing is ever seen half made.
    #[test]
    fn a_file_without_a_name_can_be_made_here() {
        let scratch = Scratch::new(false);
        let new = New {
            plain: &scratch.name,
            size: 1,
            mode: mode_of(Scope::Local),
            marked: true,
            end: Instant::now(),
        };
        let unnamed = scratch.directory.unnamed(&new).unwrap().unwrap();
        assert_eq!(rustix::fs::fstat(&unnamed).unwrap().st_nlink, 0);
        assert!(!scratch.path().exists());
    }

    #[test]
    fn who_only_looks_keeps_nobody_else_from_looking() {
        let scratch = Scratch::new(false);
        let first = scratch.leave();
        assert!(life_lock::is_dead(&first).unwrap());
        assert!(matches!(scratch.directory.claim(&scratch.name), Ok(Claim::Free)));
    }

    #[test]
    fn a_living_owner_keeps_its_name() {
        let scratch = Scratch::new(false);
        let owner = scratch.leave();
        assert!(life_lock::take_life(&owner).unwrap());
        assert!(matches!(scratch.directory.claim(&scratch.name), Ok(Claim::Taken(owner::ALIVE))));
    }

    #[test]
    fn a_name_that_changed_hands_is_left_alone() {
        let scratch = Scratch::new(false);
        let old = rustix::fs::fstat(scratch.leave()).unwrap();
        fs::remove_file(scratch.path()).unwrap();
        assert!(!scratch.directory.leads_to(&scratch.name, &old));
        let new = scratch.leave();
        assert!(!scratch.directory.leads_to(&scratch.name, &old));
        assert!(scratch.directory.leads_to(&scratch.name, &rustix::fs::fstat(&new).unwrap()));
    }

    #[test]
    fn both_ways_of_making_one_come_to_the_same() {
        for named_only in [false, true] {
            let scratch = Scratch::new(named_only);
            for (marked, mode) in [(true, 0o1666), (false, 0o666)] {
                let made = scratch.create(5000, marked).unwrap();
                let there = fs::metadata(scratch.path()).unwrap();
                assert_eq!((there.mode() & 0o7777, there.size()), (mode, 5000), "{named_only}");
                assert_eq!(made.map.len(), 5000);
                assert!(matches!(scratch.create(1, true), Err(Error::AlreadyExists { .. })));
                assert!(!life_lock::is_dead(File::open(scratch.path()).unwrap()).unwrap());
                drop(made);
                assert!(life_lock::is_dead(File::open(scratch.path()).unwrap()).unwrap());
                if !marked {
                    assert!(matches!(scratch.create(1, true), Err(Error::AlreadyExists { .. })));
                    fs::remove_file(scratch.path()).unwrap();
                }
            }
        }
    }

    #[test]
    fn no_room_leaves_no_name_either_way() {
        for named_only in [false, true] {
            let scratch = Scratch::new(named_only);
            assert!(matches!(scratch.create(1 << 50, true), Err(Error::OutOfMemory { .. })));
            assert!(!scratch.path().exists(), "{named_only}");
        }
    }

    #[test]
    fn a_creator_that_has_its_name_before_its_lock_loses_neither() {
        let scratch = Scratch::new(true);
        // A reclaimer has seen the new file without a lock, and has the right to remove it.
        let new = scratch.leave();
        let stat = rustix::fs::fstat(&new).unwrap();
        let reclaimer = File::options().read(true).write(true).open(scratch.path()).unwrap();
        assert!(life_lock::is_dead(&reclaimer).unwrap() && life_lock::take_remains(&reclaimer).unwrap());
        let end = Instant::now();
        let wanted = New { plain: &scratch.name, size: 1, mode: mode_of(Scope::Local), marked: true, end };
        assert!(matches!(scratch.directory.complete(new.into(), &stat, &wanted), Ok(None)));
        drop(reclaimer);
        // The other way round: the creator was faster.
        fs::remove_file(scratch.path()).unwrap();
        let new = scratch.leave();
        let stat = rustix::fs::fstat(&new).unwrap();
        let made = scratch.directory.complete(new.into(), &stat, &wanted).unwrap().unwrap();
        assert!(matches!(scratch.directory.claim(&scratch.name), Ok(Claim::Taken(owner::ALIVE))));
        drop(made);
        assert!(matches!(scratch.directory.claim(&scratch.name), Ok(Claim::Free)));
    }

    #[test]
    fn a_lock_on_all_of_the_file_is_not_taken_for_a_living_owner() {
        let scratch = Scratch::new(false);
        let left = scratch.leave();
        let other = File::options().read(true).write(true).open(scratch.path()).unwrap();
        use std::os::fd::AsRawFd as _;
        // From where a living owner's is, and from the first byte on.
        for start in [1 << 62, 0] {
            let lock =
                libc::flock64 { l_type: libc::F_WRLCK as _, l_whence: 0, l_start: start, l_len: 0, l_pid: 0 };
            // SAFETY: an open descriptor, and one `flock64`.
            assert_eq!(unsafe { libc::fcntl(other.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }, 0);
            assert!(life_lock::is_dead(&left).unwrap(), "{start:#x}");
        }
        // But nobody can settle who may remove it meanwhile.
        assert!(matches!(scratch.directory.claim(&scratch.name), Ok(Claim::Changing)));
    }
}
