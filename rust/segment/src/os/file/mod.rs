//! Files as memory: the name is a path, and the content of the file is the memory.
//!
//! A file stays until it is removed. It has no owner that could die, so it is never reclaimed.
//!
//! A path may lead into a folder where other users write. So a link at its end is never followed, opening
//! never blocks (as it would on a FIFO), and only regular files are accepted. Linux has one exception: a link
//! in `/proc/PID/fd` leads to an open file of a process, and no program can plant one there.

#[cfg_attr(windows, path = "windows.rs")]
#[cfg_attr(unix, path = "posix.rs")]
mod system;

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::ErrorKind;
#[cfg(any(target_os = "linux", target_os = "macos"))]
use std::os::fd::AsFd;
#[cfg(windows)]
use std::os::windows::io::AsHandle;
use std::time::Instant;

use self::system::{
    HUGE_PAGES, Identity, describe, has_huge_pages, identity_at, identity_of, is_remote, metadata_of,
    never_block, open_file, open_to, reserve, scope_of, unlink,
};
use super::common::{checked_size, creation_failure, failure, map};
#[cfg(not(target_os = "freebsd"))]
use super::roles::Place;
use super::{NameHandle, Named, OpenSegment, Opened, Provider, RoleLocks};
use crate::error::{Error, Result, Taken};
use crate::info::{OwnerState, SegmentInfo};
use crate::name::{NameProblem, invalid};
use crate::options::{Access, Lifetime, Options, Scope};

/// The error for a file that each machine, or each user, may see in another state.
const REMOTE: Error = Error::Unsupported {
    what: "a native layout in a file that another machine or a program serves (as with NFS, SMB, 9p or FUSE), \
           where neither locks nor wakes reach every process,",
};

pub(super) struct Files;

/// A path, and the file it led to.
#[derive(Debug, Clone)]
struct FilePath {
    path: String,
    identity: Identity,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    path: String,
    scope: Scope,
    /// Another machine serves it, or a program.
    is_remote: bool,
}

impl Provider for Files {
    fn create(&self, options: &Options<'_>, size: u64, _: Instant) -> Result<Opened> {
        let path = checked(options.name)?;
        let file =
            opener(Access::ReadWrite).create_new(true).open(path).map_err(|source| match source.kind() {
                ErrorKind::AlreadyExists => taken(path, size),
                _ => creation_failure(path, size, "open", source),
            })?;
        let name = FilePath::of(&file, path)?;
        let filled = prepare(&file, path, size, options.scope)
            .and_then(|()| opened(file, name.clone(), size, Access::ReadWrite, options.scope));
        if filled.is_err() {
            // No other process has a use for an incomplete file.
            let _ = name.unlink();
        }
        filled
    }

    fn open(&self, options: &Options<'_>, _: Option<Scope>, size: u64, access: Access) -> Result<Opened> {
        let path = checked(options.name)?;
        // Before the file is opened: opening a device may have an effect.
        let found = metadata_of(path).map_err(|e| failure(path, "stat", e))?;
        check_kind(path, &found)?;
        let file = open_file(path, access).map_err(|e| failure(path, "open", e))?;
        #[cfg(unix)]
        super::common::leave_descriptors(&file, path)?;
        let metadata = file.metadata().map_err(|e| failure(path, "fstat", e))?;
        check_kind(path, &metadata)?;
        if has_huge_pages(&file) {
            return Err(Error::NotASegment { name: path.to_owned(), found: HUGE_PAGES });
        }
        let size = checked_size(path, metadata.len(), size, || Some(describe(path, &metadata)))?;
        let name = FilePath::of(&file, path)?;
        opened(file, name, size, access, scope_of(&metadata))
    }

    fn exists(&self, options: &Options<'_>) -> bool {
        checked(options.name).is_ok_and(|path| metadata_of(path).is_ok_and(|found| found.is_file()))
    }

    fn info(&self, options: &Options<'_>) -> Result<(SegmentInfo, Option<File>)> {
        let path = checked(options.name)?;
        let found = metadata_of(path).map_err(|e| failure(path, "stat", e))?;
        check_kind(path, &found)?;
        let Ok(file) = open_to_look(path) else { return Ok((describe(path, &found), None)) };
        let found = file.metadata().map_err(|e| failure(path, "fstat", e))?;
        check_kind(path, &found)?;
        // A file of another machine may keep a reader waiting, and holds no native layout.
        Ok((describe(path, &found), (!is_remote(&file)).then_some(file)))
    }

    #[cfg(target_os = "linux")]
    fn users(&self, options: &Options<'_>) -> Vec<u32> {
        use std::os::unix::fs::MetadataExt;
        let found = checked(options.name).ok().and_then(|path| metadata_of(path).ok());
        found.map_or_else(Vec::new, |found| super::procfs::users_of(found.dev(), found.ino()))
    }

    fn remove(&self, options: &Options<'_>) -> Result<()> {
        let path = checked(options.name)?;
        let found = fs::symlink_metadata(path).map_err(|e| failure(path, "stat", e))?;
        check_kind(path, &found)?;
        fs::remove_file(path).map_err(|e| failure(path, "unlink", e))
    }

    fn can_persist(&self) -> bool {
        true
    }
}

/// Opens a file for a look at its content.
fn open_to_look(path: &str) -> std::io::Result<File> {
    let file = open_file(path, Access::ReadOnly)?;
    #[cfg(target_os = "linux")]
    let file = crate::os::system::leaving_times(file);
    Ok(file)
}

/// Returns the error for a path that is taken.
fn taken(path: &str, requested: u64) -> Error {
    let why = match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Taken::By { info: Box::new(describe(path, &found)), requested },
        _ => Taken::Otherwise("its path is taken, but not by a file"),
    };
    Error::AlreadyExists { name: path.to_owned(), why }
}

/// Gives a new file its permissions, its size and its space on the disk.
fn prepare(file: &File, path: &str, size: u64, scope: Scope) -> Result<()> {
    #[cfg(unix)]
    super::common::leave_descriptors(file, path)?;
    open_to(file, scope).map_err(|e| failure(path, "fchmod", e))?;
    reserve(file, size).map_err(|(call, source)| match source.kind() {
        ErrorKind::InvalidInput => Error::OutOfMemory { name: path.to_owned(), size, call, source },
        _ => creation_failure(path, size, call, source),
    })
}

fn opened(file: File, name: FilePath, size: u64, access: Access, scope: Scope) -> Result<Opened> {
    let map = map(&file, &name.path, size, access)?;
    let is_remote = is_remote(&file);
    Ok(Opened::new(OpenFile { file, path: name.path.clone(), scope, is_remote }, NameHandle::new(name), map))
}

impl OpenSegment for OpenFile {
    fn size(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(|e| failure(&self.path, "fstat", e))?.len())
    }

    #[cfg(target_os = "linux")]
    fn unpopulated(&self) -> u64 {
        // The pages of a file on a disk can be written back, so they take no memory for good.
        if crate::os::system::is_in_memory(&self.file) {
            crate::os::system::unpopulated(&self.file)
        } else {
            0
        }
    }

    #[cfg(unix)]
    fn descriptor(&self) -> Option<std::ffi::c_int> {
        Some(std::os::fd::AsRawFd::as_raw_fd(&self.file))
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    /// Returns [`OwnerState::Unknown`]: a file has no owner that could die.
    fn owner_state(&self) -> OwnerState {
        OwnerState::Unknown
    }

    /// Does nothing: a file stays, whatever the lifetime.
    fn set_lifetime(&self, _: Lifetime) -> Result<()> {
        Ok(())
    }

    fn role_locks(&self) -> Result<RoleLocks<'_>> {
        if self.is_remote {
            return Err(REMOTE);
        }
        #[cfg(target_os = "freebsd")]
        let locks = Err(super::system::NO_ROLES);
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        let locks = Ok(RoleLocks::new(self.file.as_fd(), &self.path, Place::Segment));
        #[cfg(windows)]
        let locks = Ok(RoleLocks::new(self.file.as_handle(), &self.path, Place::Segment));
        locks
    }

    fn release_name(&self) {}
}

impl FilePath {
    fn of(file: &File, path: &str) -> Result<Self> {
        let identity = identity_of(file).map_err(|e| failure(path, "fstat", e))?;
        Ok(Self { path: path.to_owned(), identity })
    }
}

impl Named for FilePath {
    fn as_str(&self) -> &str {
        &self.path
    }

    fn native_name(&self) -> String {
        self.path.clone()
    }

    fn is_current(&self) -> bool {
        identity_at(&self.path).is_ok_and(|found| found == self.identity)
    }

    fn unlink(&self) -> Result<()> {
        match unlink(&self.path, self.identity) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(failure(&self.path, "unlink", e)),
            _ => Ok(()),
        }
    }
}

fn checked(path: &str) -> Result<&str> {
    if path.is_empty() {
        return Err(invalid(path, NameProblem::Empty));
    }
    if path.contains('\0') {
        return Err(invalid(path, NameProblem::Forbidden('\0')));
    }
    Ok(path)
}

fn check_kind(path: &str, metadata: &Metadata) -> Result<()> {
    let kind = metadata.file_type();
    let found = match kind {
        _ if kind.is_file() => return Ok(()),
        _ if kind.is_dir() => "a directory",
        _ if kind.is_symlink() => "a symbolic link",
        _ => "a FIFO, a socket or a device",
    };
    Err(Error::NotASegment { name: path.to_owned(), found })
}

/// Returns the options with which files are opened: no link at the end of a path is followed.
pub(super) fn opener(access: Access) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(access == Access::ReadWrite);
    never_block(&mut options);
    options
}
