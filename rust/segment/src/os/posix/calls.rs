//! `shm_open(3)` and `shm_unlink(3)`: for systems where segments are no files that one can see.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{Mode, Stat};
use rustix::io::Errno;
use rustix::shm;

use super::owner::{Keeper, LockFile};
use super::{Made, New, allocate, failure};
use crate::error::{Error, Result};
use crate::segment::Access;

#[derive(Debug)]
pub(super) struct Calls {
    /// Where the lock files are; without it, nothing is ever reclaimed.
    lock_folder: Option<PathBuf>,
}

impl Calls {
    pub(super) const fn new(lock_folder: Option<PathBuf>) -> Self {
        Self { lock_folder }
    }

    pub(super) fn open(&self, plain: &str, access: Access) -> Result<OwnedFd, Errno> {
        let _ = self;
        let flags = match access {
            Access::ReadWrite => shm::OFlags::RDWR,
            Access::ReadOnly => shm::OFlags::RDONLY,
        };
        rustix::io::retry_on_intr(|| shm::open(format!("/{plain}"), flags, Mode::empty()))
    }

    pub(super) fn stat(&self, plain: &str) -> Result<Stat, Errno> {
        rustix::fs::fstat(self.open(plain, Access::ReadOnly)?)
    }

    pub(super) fn unlink(&self, plain: &str) -> Result<(), Errno> {
        let _ = self;
        shm::unlink(format!("/{plain}"))
    }

    pub(super) fn create(&self, new: &New<'_>) -> Result<Made> {
        let taken = || Error::AlreadyExists { name: new.plain.to_owned() };
        let lock = match &self.lock_folder {
            // A folder that can't be written to costs the reclaiming, not the segment.
            Some(folder) => match LockFile::take(folder, new.plain) {
                Ok(Some(lock)) => Some(lock),
                Ok(None) => return Err(taken()),
                Err(_) => None,
            },
            None => None,
        };
        let fd = match self.create_exclusive(new) {
            Err(Errno::EXIST) => {
                let is_dead_owners = |stat| lock.as_ref().is_some_and(|lock| lock.is_mark_of(&stat));
                if !self.stat(new.plain).is_ok_and(is_dead_owners) {
                    return Err(taken());
                }
                self.unlink(new.plain).map_err(|e| failure(new.plain, "shm_unlink", e))?;
                self.create_exclusive(new)
            }
            other => other,
        }
        .map_err(|e| failure(new.plain, "shm_open", e))?;
        let finish = || {
            // Whatever the umask took away; macOS can't, and refuses with EINVAL.
            match rustix::fs::fchmod(&fd, new.mode) {
                Ok(()) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(failure(new.plain, "fchmod", errno)),
            }
            let map = allocate(&fd, new)?;
            let keeper = lock.map(Keeper::File);
            if let (Some(keeper), true) = (&keeper, new.marked) {
                keeper.mark(&fd, new.mode, true).map_err(|e| failure(new.plain, "write", e))?;
            }
            Ok((map, keeper))
        };
        match finish() {
            Ok((map, keeper)) => Ok(Made { fd, map, keeper }),
            Err(e) => {
                let _ = self.unlink(new.plain);
                Err(e)
            }
        }
    }

    fn create_exclusive(&self, new: &New<'_>) -> Result<OwnedFd, Errno> {
        let _ = self;
        let flags = shm::OFlags::CREATE | shm::OFlags::EXCL | shm::OFlags::RDWR;
        rustix::io::retry_on_intr(|| shm::open(format!("/{}", new.plain), flags, new.mode))
    }
}
