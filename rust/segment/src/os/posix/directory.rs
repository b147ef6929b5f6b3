//! Linux: `/dev/shm`, a directory whose regular files are the segments (`shm_overview(7)`).
//!
//! The directory has three advantages over `shm_open(3)`. A planted link is not followed, a FIFO doesn't
//! block, and a new segment gets its name only when it is complete. It is made without a name (`O_TMPFILE`),
//! given its mode, its pages and its owner's lock, mapped, and only then linked to its name. So no other
//! process ever sees it half made, and a creator that is killed before leaves nothing.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat, linkat, openat, statat, unlinkat};
use rustix::io::Errno;

use super::life_lock::{self, LifeLock};
use super::owner::OwnerLock;
use super::{
    Created, Namespace, Request, allocate, can_remove, leaving_times, not_memory, other_user, scope_of,
};
use crate::error::{Error, Result};
use crate::info::{Maker, OwnerState, SegmentInfo};
use crate::options::{Access, Lifetime};
use crate::os::common::{CHANGING, failure};
use crate::os::procfs;

/// glibc keeps named semaphores in the same directory (`sem_overview(7)`).
const SEMAPHORE_PREFIX: &str = "sem.";

#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Makes segments as on a system without `O_TMPFILE`.
    #[cfg(test)]
    named_only: bool,
}

/// The state of a name, after an attempt to reclaim it.
enum NameState {
    /// No segment has it.
    Free,
    /// A segment keeps it.
    Taken(Box<SegmentInfo>),
    /// Something else has it.
    Other(&'static str),
    /// It is changing hands: look again.
    Changing,
}

impl Directory {
    /// Returns `None` where the directory doesn't exist, as in some containers.
    pub(super) fn of_the_system() -> Option<Self> {
        let path = Path::new("/dev/shm");
        path.is_dir().then(|| Self {
            path: path.to_owned(),
            #[cfg(test)]
            named_only: false,
        })
    }

    /// Makes a file without a name, or returns `None` where the file system can't.
    fn unnamed(&self, request: &Request<'_>) -> Result<Option<OwnedFd>> {
        #[cfg(test)]
        if self.named_only {
            return Ok(None);
        }
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::io::retry_on_intr(|| openat(CWD, &self.path, flags, Mode::RUSR | Mode::WUSR)) {
            Ok(fd) => Ok(Some(fd)),
            // open(2): the file system or the kernel doesn't support it.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => Ok(None),
            Err(errno) if is_forbidden(errno) => Ok(None),
            Err(errno) => Err(request.failure("open", errno)),
        }
    }

    /// Creates the segment without unnamed files: the name comes first, so openers may see an empty segment.
    fn create_named(&self, request: &Request<'_>) -> Result<Created> {
        let path = self.path.join(request.plain);
        // Marked from the start: if this process is killed at any later instruction, the name can be
        // reclaimed.
        let is_owned = request.lifetime == Lifetime::Owner;
        let mark = if is_owned { life_lock::OLD_MARK } else { Mode::empty() };
        let mode = Mode::RUSR | Mode::WUSR | mark;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            let fd = match rustix::io::retry_on_intr(|| openat(CWD, &path, flags, mode)) {
                Ok(fd) => fd,
                Err(Errno::EXIST) => {
                    self.vacate(request)?;
                    continue;
                }
                Err(errno) => return Err(request.failure("open", errno)),
            };
            let stat = rustix::fs::fstat(&fd).map_err(|e| request.failure("fstat", e))?;
            match self.complete(fd, &stat, request) {
                Ok(Some(made)) => return Ok(made),
                Ok(None) => pause(request)?,
                Err(e) => {
                    if self.leads_to(request.plain, &stat) {
                        let _ = self.unlink(request.plain);
                    }
                    return Err(e);
                }
            }
        }
    }

    /// Locks, sizes and maps a file that has its name already. Returns `None` if another process took it for
    /// a dead owner's, and has removed its name or is about to.
    fn complete(&self, fd: OwnedFd, stat: &Stat, request: &Request<'_>) -> Result<Option<Created>> {
        // First the lock that a reclaimer needs, then the one that shows a living owner. A reclaimer that was
        // faster checks the latter again.
        if request.lifetime == Lifetime::Owner {
            match life_lock::take_reclaim_lock(&fd) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(errno) if has_no_locks(errno) => {}
                Err(errno) => return Err(request.failure("fcntl", errno)),
            }
        }
        let owner_lock = lock_and_mark(&fd, request)?;
        if !self.leads_to(request.plain, stat) {
            return Ok(None);
        }
        // The life lock is enough from now on.
        life_lock::release_reclaim_lock(&fd);
        let map = allocate(&fd, request)?;
        Ok(Some(Created { fd, map, owner_lock }))
    }

    /// Makes sure that no segment has the name: removes it if its owner is dead.
    fn vacate(&self, request: &Request<'_>) -> Result<()> {
        loop {
            match self.try_reclaim(request.plain).map_err(|e| request.failure("open", e))? {
                NameState::Free => return Ok(()),
                NameState::Taken(info) => return Err(request.taken_by(info)),
                NameState::Other(found) => return Err(request.taken(found)),
                NameState::Changing => pause(request)?,
            }
        }
    }

    /// Removes the name if its owner is dead.
    fn try_reclaim(&self, plain: &str) -> Result<NameState, Errno> {
        let info = match self.look_at(plain, Self::open_own) {
            Ok(Ok((info, _))) => info,
            Ok(Err(found)) => return Ok(NameState::Other(found)),
            Err(Errno::NOENT) => return Ok(NameState::Free),
            Err(errno) if is_of_a_change(errno) => return Ok(NameState::Changing),
            Err(errno) => return Err(errno),
        };
        if !is_reclaimable(&info) {
            return Ok(NameState::Taken(Box::new(info)));
        }
        let fd = match self.open_own(plain, Access::ReadWrite) {
            Ok(fd) => fd,
            Err(errno) if is_of_a_change(errno) => return Ok(NameState::Changing),
            Err(errno) => return Err(errno),
        };
        // Of all processes that saw it dead, one at a time goes on.
        if !life_lock::take_reclaim_lock(&fd)? {
            return Ok(NameState::Changing);
        }
        // Everything is checked again, now that it can't change any more. A creator that had not locked the
        // segment yet may live. An owner may have made it persistent before it died. The previous reclaimer
        // may have given the name a new owner.
        let stat = rustix::fs::fstat(&fd)?;
        if !is_reclaimable(&self.describe(&stat, Some(&fd))) || !self.leads_to(plain, &stat) {
            return Ok(NameState::Changing);
        }
        match self.unlink(plain) {
            Ok(()) | Err(Errno::NOENT) => Ok(NameState::Free),
            Err(errno) => Err(errno),
        }
    }
}

/// The result of an attempt to adopt a segment.
enum Adoption {
    /// The locks of its owner are held, and the one of a reclaimer.
    Held(OwnedFd),
    /// There is none to adopt.
    None,
    /// The name is changing hands: look again.
    Changing,
}

impl Directory {
    /// Takes the locks of a segment that had the name when it was opened.
    fn try_adopt(&self, fd: OwnedFd, request: &Request<'_>) -> Result<Adoption, Errno> {
        let fits = || -> Result<_, Errno> {
            let stat = rustix::fs::fstat(&fd)?;
            let permissions = Mode::RWXU | Mode::RWXG | Mode::RWXO;
            let has_mode = Mode::from_raw_mode(stat.st_mode) & permissions == request.mode;
            let is_ours = not_memory(&stat).is_none() && is_reclaimable(&self.describe(&stat, Some(&fd)));
            Ok((has_mode && is_ours, stat))
        };
        if !fits()?.0 {
            return Ok(Adoption::None);
        }
        // In the order of a reclaimer: of all processes that saw it dead, one at a time goes on.
        if !life_lock::take_reclaim_lock(&fd)? || !life_lock::take_life_lock(&fd)? {
            return Ok(Adoption::Changing);
        }
        // Again, now that it can't change any more. Another process may have removed it, or given the name to
        // another segment.
        let (fits, stat) = fits()?;
        let is_there = fits && self.leads_to(request.plain, &stat);
        Ok(if is_there { Adoption::Held(fd) } else { Adoption::Changing })
    }
}

// The facts about a segment.
impl Directory {
    /// Looks at a segment that `open` opens. Returns what else has the name, if it isn't one.
    fn look_at(
        &self,
        plain: &str,
        open: impl Fn(&Self, &str, Access) -> Result<OwnedFd, Errno>,
    ) -> Result<Result<(SegmentInfo, Option<OwnedFd>), &'static str>, Errno> {
        let found = self.stat(plain)?;
        if let Some(other) = not_memory(&found) {
            return Ok(Err(other));
        }
        match open(self, plain, Access::ReadOnly) {
            Ok(fd) => {
                let stat = rustix::fs::fstat(&fd)?;
                match not_memory(&stat) {
                    None => Ok(Ok((self.describe(&stat, Some(&fd)), Some(fd)))),
                    Some(other) => Ok(Err(other)),
                }
            }
            Err(Errno::ACCESS | Errno::PERM) => Ok(Ok((self.describe(&found, None), None))),
            Err(errno) => Err(errno),
        }
    }

    fn describe(&self, stat: &Stat, fd: Option<&OwnedFd>) -> SegmentInfo {
        let maker = fd.map_or(Maker::Unknown, life_lock::maker_of);
        SegmentInfo {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            scope: scope_of(stat.st_mode),
            owner: fd.map_or(OwnerState::Unknown, |fd| life_lock::owner_state(fd, maker)),
            maker,
            other_user: other_user(stat.st_uid),
            can_remove: can_remove(&self.path, stat.st_uid),
            messages: None,
        }
    }

    /// Opens a segment for a creator that wants its name. The mode of a segment of this user may forbid that,
    /// so it is changed for the time of this call.
    ///
    /// Several processes may do so at once. Each of them restores the mode that forbade it, so that mode
    /// remains. A process that comes too late to open the segment fails, and tries again.
    fn open_own(&self, plain: &str, access: Access) -> Result<OwnedFd, Errno> {
        match self.open(plain, access) {
            Err(Errno::ACCESS) => {}
            other => return other,
        }
        let found = procfs::look_at(self.path.join(plain), OFlags::NOFOLLOW)?;
        let stat = rustix::fs::fstat(&found)?;
        if other_user(stat.st_uid).is_some() || not_memory(&stat).is_some() {
            return Err(Errno::ACCESS);
        }
        let (path, mode) = (procfs::path_of(&found), Mode::from_raw_mode(stat.st_mode));
        let own = Mode::RUSR | Mode::WUSR;
        if mode.contains(own) {
            // Another process has changed it, and is about to restore it.
            return procfs::open(&found, access);
        }
        rustix::fs::chmod(&path, mode | own)?;
        let opened = procfs::open(&found, access);
        rustix::fs::chmod(&path, mode)?;
        opened
    }
}

impl Namespace for Directory {
    fn look(&self, plain: &str) -> Result<(SegmentInfo, Option<File>)> {
        match self.look_at(plain, Self::open) {
            Ok(Ok((info, fd))) => Ok((info, fd.map(leaving_times))),
            Ok(Err(found)) => Err(Error::NotASegment { name: plain.to_owned(), found }),
            Err(errno) => Err(failure(plain, "open", errno)),
        }
    }

    fn owner_state(&self, _: &str, segment: &OwnedFd) -> OwnerState {
        life_lock::owner_state(segment, life_lock::maker_of(segment))
    }

    fn open(&self, plain: &str, access: Access) -> Result<OwnedFd, Errno> {
        let access = match access {
            Access::ReadWrite => OFlags::RDWR,
            Access::ReadOnly => OFlags::RDONLY,
        };
        // The call never waits for the other end of a FIFO, and a terminal never becomes this process's own.
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

    fn create(&self, request: &Request<'_>) -> Result<Created> {
        // Before any page is reserved: most often, the name is free or stays taken.
        self.vacate(request)?;
        let Some(fd) = self.unnamed(request)? else { return self.create_named(request) };
        let owner_lock = lock_and_mark(&fd, request)?;
        let map = allocate(&fd, request)?;
        let unnamed = format!("/proc/self/fd/{}", fd.as_raw_fd());
        loop {
            match linkat(CWD, &unnamed, CWD, self.path.join(request.plain), AtFlags::SYMLINK_FOLLOW) {
                Ok(()) => return Ok(Created { fd, map, owner_lock }),
                Err(Errno::EXIST) => self.vacate(request)?,
                // There is no `/proc` here. The pages are needed again.
                Err(errno) if errno == Errno::NOENT || is_forbidden(errno) => {
                    drop((fd, map));
                    return self.create_named(request);
                }
                Err(errno) => return Err(request.failure("linkat", errno)),
            }
        }
    }

    fn adopt(&self, request: &Request<'_>) -> Option<(OwnedFd, Box<dyn OwnerLock>)> {
        loop {
            let opened = self.open(request.plain, Access::ReadWrite);
            match opened.and_then(|fd| self.try_adopt(fd, request)) {
                Ok(Adoption::Held(fd)) => return Some((fd, Box::new(LifeLock))),
                Ok(Adoption::Changing) => pause(request).ok()?,
                // Creating the segment tells what has the name.
                Ok(Adoption::None) | Err(_) => return None,
            }
        }
    }

    fn is_left_over(&self, _: &str, segment: &OwnedFd) -> bool {
        // In this order. A process that adopts the segment takes the locks in the other one, and gives the
        // reclaim lock back when it has decided.
        life_lock::maker_of(segment) == Maker::Ours(Lifetime::Owner)
            && (life_lock::is_life_lock_free(segment).unwrap_or(false)
                || life_lock::is_reclaim_lock_held(segment).unwrap_or(false))
    }
}

/// Returns whether the name may be removed, since its owner is dead.
fn is_reclaimable(info: &SegmentInfo) -> bool {
    info.maker == Maker::Ours(Lifetime::Owner) && info.owner == OwnerState::Dead && info.other_user.is_none()
}

/// Returns whether the call failed on what had got the name since the last look, or on its absence.
fn is_of_a_change(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::LOOP | Errno::ISDIR | Errno::NXIO | Errno::ACCESS)
}

/// Takes the life lock of a new segment and sets its mode. Some sandboxes have no such locks. There, the
/// segment gets no mark either, as no process could tell whether its owner lives.
fn lock_and_mark(fd: &OwnedFd, request: &Request<'_>) -> Result<Option<Box<dyn OwnerLock>>> {
    let lockable = match life_lock::take_life_lock(fd) {
        Ok(taken) => taken,
        Err(errno) if has_no_locks(errno) => false,
        Err(errno) => return Err(request.failure("fcntl", errno)),
    };
    let mut mode = request.mode;
    if lockable {
        LifeLock.mark(fd, request.lifetime).map_err(|e| request.failure("fchmod", e))?;
        let stat = rustix::fs::fstat(fd).map_err(|e| request.failure("fstat", e))?;
        mode |= Mode::from_raw_mode(stat.st_mode) & life_lock::OLD_MARK;
    }
    rustix::fs::fchmod(fd, mode).map_err(|e| request.failure("fchmod", e))?;
    Ok(lockable.then(|| Box::new(LifeLock) as Box<dyn OwnerLock>))
}

/// Returns whether a sandbox refuses the call: AppArmor does with `EACCES`, seccomp with `EPERM` or `ENOSYS`.
/// Another way of creating may be allowed. If it isn't either, its own error tells.
fn is_forbidden(errno: Errno) -> bool {
    matches!(errno, Errno::ACCESS | Errno::PERM | Errno::NOSYS)
}

/// Returns whether the system, or a sandbox, has no locks of open file descriptions.
fn has_no_locks(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM)
}

fn pause(request: &Request<'_>) -> Result<()> {
    if Instant::now() >= request.end {
        return Err(request.taken(CHANGING));
    }
    sleep(Duration::from_micros(200));
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
mod tests {
    //! Races, one step at a time, and systems that lack what Linux has: neither can be tested from outside.
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

        fn create(&self, size: u64, lifetime: Lifetime) -> Result<Created> {
            let mode = mode_of(Scope::Global);
            let end = Instant::now() + Duration::from_millis(20);
            self.directory.create(&Request { plain: &self.name, size, mode, lifetime, end })
        }

        /// Returns whether a living owner keeps the name.
        fn is_owners(&self) -> bool {
            let found = self.directory.try_reclaim(&self.name);
            matches!(found, Ok(NameState::Taken(info)) if info.owner == OwnerState::Alive)
        }

        /// Makes what a dead owner leaves.
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
    fn one_reclaimer_at_a_time_removes_a_name() {
        let scratch = Scratch::new(false);
        let first = scratch.leave();
        assert!(
            life_lock::is_life_lock_free(&first).unwrap() && life_lock::take_reclaim_lock(&first).unwrap()
        );
        assert!(matches!(scratch.directory.try_reclaim(&scratch.name), Ok(NameState::Changing)));
        assert!(matches!(scratch.create(1, Lifetime::Owner), Err(Error::AlreadyExists { .. })));
        assert!(scratch.path().exists());
        drop(first);
        assert!(matches!(scratch.directory.try_reclaim(&scratch.name), Ok(NameState::Free)));
        assert!(!scratch.path().exists());
    }

    /// So no segment is ever seen half made.
    #[test]
    fn this_system_makes_files_without_a_name() {
        let scratch = Scratch::new(false);
        let request = Request {
            plain: &scratch.name,
            size: 1,
            mode: mode_of(Scope::Local),
            lifetime: Lifetime::Owner,
            end: Instant::now(),
        };
        let unnamed = scratch.directory.unnamed(&request).unwrap().unwrap();
        assert_eq!(rustix::fs::fstat(&unnamed).unwrap().st_nlink, 0);
        assert!(!scratch.path().exists());
    }

    #[test]
    fn asking_for_the_life_lock_keeps_no_other_process_from_asking() {
        let scratch = Scratch::new(false);
        let first = scratch.leave();
        assert!(life_lock::is_life_lock_free(&first).unwrap());
        assert!(matches!(scratch.directory.try_reclaim(&scratch.name), Ok(NameState::Free)));
    }

    #[test]
    fn a_living_owner_keeps_its_name() {
        let scratch = Scratch::new(false);
        let owner = scratch.leave();
        assert!(life_lock::take_life_lock(&owner).unwrap());
        assert!(scratch.is_owners());
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
    fn named_and_unnamed_creation_give_the_same_segment() {
        for named_only in [false, true] {
            let scratch = Scratch::new(named_only);
            for lifetime in [Lifetime::Owner, Lifetime::Persistent] {
                let made = scratch.create(5000, lifetime).unwrap();
                let there = fs::metadata(scratch.path()).unwrap();
                assert_eq!((there.mode() & 0o777, there.size()), (0o666, 5000), "{named_only}");
                assert_eq!(life_lock::maker_of(&made.fd), Maker::Ours(lifetime), "{named_only}");
                assert_eq!(made.map.len(), 5000);
                assert!(matches!(scratch.create(1, Lifetime::Owner), Err(Error::AlreadyExists { .. })));
                assert!(!life_lock::is_life_lock_free(File::open(scratch.path()).unwrap()).unwrap());
                drop(made);
                assert!(life_lock::is_life_lock_free(File::open(scratch.path()).unwrap()).unwrap());
                if lifetime == Lifetime::Persistent {
                    assert!(matches!(scratch.create(1, Lifetime::Owner), Err(Error::AlreadyExists { .. })));
                    fs::remove_file(scratch.path()).unwrap();
                }
            }
        }
    }

    #[test]
    fn an_adopter_and_a_reclaimer_keep_each_other_out() {
        let scratch = Scratch::new(false);
        let mode = Mode::RUSR | Mode::WUSR;
        let (end, lifetime) = (Instant::now(), Lifetime::Owner);
        let request = Request { plain: &scratch.name, size: 0, mode, lifetime, end };
        let open = || scratch.directory.open(&scratch.name, Access::ReadWrite).unwrap();
        let try_adopt = |fd| scratch.directory.try_adopt(fd, &request);
        drop(scratch.leave());
        let reclaimer = open();
        assert!(life_lock::take_reclaim_lock(&reclaimer).unwrap());
        assert!(matches!(try_adopt(open()), Ok(Adoption::Changing)));
        drop(reclaimer);
        // The reclaimer, and another creator, were faster.
        let late = open();
        fs::remove_file(scratch.path()).unwrap();
        drop(scratch.leave());
        assert!(matches!(try_adopt(late), Ok(Adoption::Changing)));
        // Until the adopter has decided, the segment is nobody's, and nobody else's.
        let held = |adoption| if let Ok(Adoption::Held(fd)) = adoption { Some(fd) } else { None };
        let adopted = held(try_adopt(open())).unwrap();
        assert!(scratch.directory.is_left_over(&scratch.name, &open()));
        assert!(matches!(try_adopt(open()), Ok(Adoption::None)) && scratch.is_owners());
        life_lock::release_reclaim_lock(&adopted);
        assert!(!scratch.directory.is_left_over(&scratch.name, &open()) && scratch.is_owners());
        drop(adopted);
        assert!(scratch.directory.is_left_over(&scratch.name, &open()));
        let other = Request { mode: mode_of(Scope::Global), ..request };
        assert!(matches!(scratch.directory.try_adopt(open(), &other), Ok(Adoption::None)), "another mode");
    }

    #[test]
    fn a_creator_without_unnamed_files_is_found_by_openers() {
        let scratch = Scratch::new(true);
        let made = scratch.create(5000, Lifetime::Owner).unwrap();
        let opened = scratch.directory.open(&scratch.name, Access::ReadOnly).unwrap();
        assert!(!scratch.directory.is_left_over(&scratch.name, &opened));
        drop(made);
        assert!(scratch.directory.is_left_over(&scratch.name, &opened));
    }

    #[test]
    fn create_without_room_leaves_no_name() {
        for named_only in [false, true] {
            let scratch = Scratch::new(named_only);
            assert!(matches!(scratch.create(1 << 50, Lifetime::Owner), Err(Error::OutOfMemory { .. })));
            assert!(!scratch.path().exists(), "{named_only}");
        }
    }

    #[test]
    fn a_creator_that_locks_after_naming_keeps_its_segment_or_leaves_it_to_a_reclaimer() {
        let scratch = Scratch::new(true);
        // A reclaimer has found the new file without a lock, and may remove it.
        let new = scratch.leave();
        let stat = rustix::fs::fstat(&new).unwrap();
        let reclaimer = File::options().read(true).write(true).open(scratch.path()).unwrap();
        assert!(
            life_lock::is_life_lock_free(&reclaimer).unwrap()
                && life_lock::take_reclaim_lock(&reclaimer).unwrap()
        );
        let end = Instant::now();
        let wanted = Request {
            plain: &scratch.name,
            size: 1,
            mode: mode_of(Scope::Local),
            lifetime: Lifetime::Owner,
            end,
        };
        assert!(matches!(scratch.directory.complete(new.into(), &stat, &wanted), Ok(None)));
        drop(reclaimer);
        // The other way round: the creator is faster.
        fs::remove_file(scratch.path()).unwrap();
        let new = scratch.leave();
        let stat = rustix::fs::fstat(&new).unwrap();
        let made = scratch.directory.complete(new.into(), &stat, &wanted).unwrap().unwrap();
        assert!(scratch.is_owners());
        drop(made);
        assert!(matches!(scratch.directory.try_reclaim(&scratch.name), Ok(NameState::Free)));
    }

    #[test]
    fn a_lock_on_the_whole_file_is_not_a_life_lock() {
        let scratch = Scratch::new(false);
        let left = scratch.leave();
        let other = File::options().read(true).write(true).open(scratch.path()).unwrap();
        use std::os::fd::AsRawFd as _;
        // From the byte of the life lock on, and from the first byte on.
        for start in [1 << 62, 0] {
            let lock =
                libc::flock64 { l_type: libc::F_WRLCK as _, l_whence: 0, l_start: start, l_len: 0, l_pid: 0 };
            // SAFETY: the descriptor is open, and the call takes one `flock64`.
            assert_eq!(unsafe { libc::fcntl(other.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }, 0);
            assert!(life_lock::is_life_lock_free(&left).unwrap(), "{start:#x}");
        }
        // But no process can take the reclaim lock while the other lock is held.
        assert!(matches!(scratch.directory.try_reclaim(&scratch.name), Ok(NameState::Changing)));
    }
}
