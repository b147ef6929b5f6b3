//! Files as memory: the name is a path, and what is in the file are the bytes.
//!
//! A file stays until somebody removes it. It has no owner that could die, and so nothing is ever reclaimed.
//!
//! A path may lead into a folder where others write. So the last part of it is never followed if it is a link, opening
//! never blocks (as it would on a FIFO), and what isn't a regular file is refused.

#[cfg_attr(windows, path = "windows.rs")]
#[cfg_attr(unix, path = "posix.rs")]
mod system;

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Instant;

use memmap2::{MmapOptions, MmapRaw};

use self::system::{HUGE_PAGES, Identity, has_huge_pages, never_block, open_to, reserve, scope_of, unlink};
use super::{Object, Opened, Provider, Target};
use crate::error::{Error, Result};
use crate::name::{NameProblem, invalid};
use crate::options::{Access, Lifetime, Scope};

pub(super) struct Files;

/// A path, and the file it led to.
#[derive(Debug, Clone)]
struct Link {
    path: String,
    identity: Identity,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    path: String,
    scope: Scope,
}

impl Provider for Files {
    fn create(&self, path: &str, size: u64, scope: Scope, _: Lifetime, _: Instant) -> Result<Opened> {
        let path = checked(path)?;
        let file = options(Access::ReadWrite).create_new(true).open(path).map_err(|source| {
            match source.kind() {
                // Not the file, which nobody expects to exist, but the folder for it.
                ErrorKind::NotFound | ErrorKind::NotADirectory => {
                    Error::System { name: path.to_owned(), call: "open", source }
                }
                _ => failure(path, "open", source),
            }
        })?;
        let link = link_of(&file, path)?;
        let filled = prepare(&file, path, size, scope)
            .and_then(|()| opened(file, link.clone(), size, Access::ReadWrite, scope));
        if filled.is_err() {
            // No other process can have found any use for it yet.
            let _ = link.unlink();
        }
        filled
    }

    fn open(&self, path: &str, size: u64, access: Access, _: Option<Scope>) -> Result<Opened> {
        let path = checked(path)?;
        // Before it is opened, as that may do something to what is no file.
        let found = fs::symlink_metadata(path).map_err(|e| failure(path, "stat", e))?;
        check_kind(path, &found)?;
        let file = options(access).open(path).map_err(|e| failure(path, "open", e))?;
        let metadata = file.metadata().map_err(|e| failure(path, "fstat", e))?;
        check_kind(path, &metadata)?;
        if has_huge_pages(&file) {
            return Err(Error::NotASegment { name: path.to_owned(), found: HUGE_PAGES });
        }
        let actual = metadata.len();
        if actual == 0 {
            return Err(Error::NotSizedYet { name: path.to_owned() });
        }
        if size > actual {
            return Err(Error::TooSmall { name: path.to_owned(), actual, requested: size });
        }
        let size = if size == 0 { actual } else { size };
        let link = link_of(&file, path)?;
        opened(file, link, size, access, scope_of(&metadata))
    }

    fn exists(&self, path: &str, _: Scope) -> bool {
        checked(path).is_ok_and(|path| fs::symlink_metadata(path).is_ok_and(|found| found.is_file()))
    }

    fn remove(&self, path: &str, _: Scope) -> Result<()> {
        let path = checked(path)?;
        let found = fs::symlink_metadata(path).map_err(|e| failure(path, "stat", e))?;
        check_kind(path, &found)?;
        fs::remove_file(path).map_err(|e| failure(path, "unlink", e))
    }

    fn can_persist(&self) -> bool {
        true
    }
}

/// Gives a new file its permissions, its size and its bytes on the disk.
fn prepare(file: &File, path: &str, size: u64, scope: Scope) -> Result<()> {
    open_to(file, scope).map_err(|e| failure(path, "fchmod", e))?;
    reserve(file, size).map_err(|(call, source)| match source.kind() {
        ErrorKind::StorageFull
        | ErrorKind::QuotaExceeded
        | ErrorKind::FileTooLarge
        | ErrorKind::OutOfMemory
        | ErrorKind::InvalidInput => Error::OutOfMemory { name: path.to_owned(), size, call, source },
        _ => failure(path, call, source),
    })
}

fn opened(file: File, link: Link, size: u64, access: Access, scope: Scope) -> Result<Opened> {
    let map = map(&file, &link.path, size, access)?;
    Ok(Opened::new(OpenFile { file, path: link.path.clone(), scope }, link, map))
}

fn link_of(file: &File, path: &str) -> Result<Link> {
    let identity = Identity::of(file).map_err(|e| failure(path, "fstat", e))?;
    Ok(Link { path: path.to_owned(), identity })
}

fn map(file: &File, path: &str, size: u64, access: Access) -> Result<MmapRaw> {
    let no_room = |source| Error::OutOfMemory { name: path.to_owned(), size, call: "mmap", source };
    let length = usize::try_from(size).map_err(|_| no_room(ErrorKind::OutOfMemory.into()))?;
    let mut options = MmapOptions::new();
    let options = options.len(length);
    let mapped = match access {
        Access::ReadWrite => options.map_raw(file),
        Access::ReadOnly => options.map_raw_read_only(file),
    };
    mapped.map_err(|source| match source.kind() {
        // The second: more locked memory than the process may have (`mlockall(2)`).
        ErrorKind::OutOfMemory | ErrorKind::WouldBlock => no_room(source),
        _ => failure(path, "mmap", source),
    })
}

impl Object for OpenFile {
    fn size(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(|e| failure(&self.path, "fstat", e))?.len())
    }

    #[cfg(target_os = "linux")]
    fn unsupplied(&self) -> u64 {
        // On a disk, the system can do without the pages.
        if crate::os::system::is_in_memory(&self.file) {
            crate::os::system::unsupplied(&self.file)
        } else {
            0
        }
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    /// It always stays.
    fn set_lifetime(&self, _: Lifetime) -> Result<()> {
        Ok(())
    }

    fn release_name(&self) {}
}

impl Target for Link {
    fn name(&self) -> &str {
        &self.path
    }

    fn native_name(&self) -> String {
        self.path.clone()
    }

    fn is_current(&self) -> bool {
        Identity::at(&self.path).is_ok_and(|found| found == self.identity)
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

/// What a failed system call on an existing or wanted file means.
fn failure(path: &str, call: &'static str, source: io::Error) -> Error {
    let name = path.to_owned();
    match source.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Error::DoesNotExist { name, call, source },
        ErrorKind::AlreadyExists => Error::AlreadyExists { name, why: "there is a file of this name" },
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Error::PermissionDenied { name, call, source }
        }
        ErrorKind::WouldBlock if call == "open" => Error::Leased { name },
        _ if Path::new(path).is_symlink() => Error::NotASegment { name, found: "a symbolic link" },
        _ => Error::System { name, call, source },
    }
}

fn options(access: Access) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(access == Access::ReadWrite);
    never_block(&mut options);
    options
}
