//! Steps that several backends share.

use std::io::{self, ErrorKind};
#[cfg(unix)]
use std::os::fd::AsRawFd;

use memmap2::{MmapAsRawDesc, MmapOptions, MmapRaw};

use crate::error::{Error, Result, Taken};
use crate::info::SegmentInfo;
use crate::options::Access;

/// Returns a name as a part of the name of a file. The names of segments differ in upper and lower case
/// everywhere, those of files on macOS and Windows don't. So small letters, digits and a few signs stay; any
/// other byte becomes `%` and its hexadecimal number.
pub(super) fn escaped(plain: &str) -> String {
    let mut name = String::new();
    for byte in plain.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name
}

/// The reason why a name is neither free nor taken for good.
pub(super) const CHANGING: &str = "other processes are creating or removing it right now";

/// Returns how many bytes to map of a segment that has `actual`: `requested`, or all of them for 0. An error
/// tells what is known of the segment.
pub(super) fn checked_size(
    name: &str,
    actual: u64,
    requested: u64,
    info: impl FnOnce() -> Option<SegmentInfo>,
) -> Result<u64> {
    match requested {
        _ if actual == 0 => Err(Error::NotSizedYet { name: name.to_owned() }),
        0 => Ok(actual),
        _ if requested > actual => {
            Err(Error::TooSmall { name: name.to_owned(), actual, requested, info: info().map(Box::new) })
        }
        _ => Ok(requested),
    }
}

/// Returns an error if an open file, a segment's, is among the last that this process may open.
///
/// A few stay free: the program must still open a file after it has opened too many segments.
#[cfg(unix)]
pub(super) fn leave_descriptors(file: &impl AsRawFd, name: &str) -> Result<()> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let Some(limit) = limit else { return Ok(()) };
    let left = (limit / 8).min(32);
    // The system gives the lowest number that is free.
    if u64::try_from(file.as_raw_fd()).unwrap_or(0) < limit - left {
        return Ok(());
    }
    let limit = format!("RLIMIT_NOFILE is {limit}, of which {left} stay free for the rest of the program");
    Err(Error::TooManyFiles { name: name.to_owned(), call: "open", limit })
}

/// Maps the first `size` bytes of a file.
pub(super) fn map(file: impl MmapAsRawDesc, name: &str, size: u64, access: Access) -> Result<MmapRaw> {
    let no_room = |source| Error::OutOfMemory { name: name.to_owned(), size, call: "mmap", source };
    let length = usize::try_from(size).map_err(|_| no_room(ErrorKind::OutOfMemory.into()))?;
    let mut options = MmapOptions::new();
    let options = options.len(length);
    let mapped = match access {
        Access::ReadWrite => options.map_raw(file),
        Access::ReadOnly => options.map_raw_read_only(file),
    };
    mapped.map_err(|source| match source.kind() {
        // `WouldBlock`: the process may not lock that much memory (`mlockall(2)`).
        ErrorKind::OutOfMemory | ErrorKind::WouldBlock => no_room(source),
        _ => failure(name, "mmap", source),
    })
}

/// Returns the error for a failed system call on a name that exists or is to exist.
pub(super) fn failure(name: &str, call: &'static str, source: impl Into<io::Error>) -> Error {
    let (name, source) = (name.to_owned(), source.into());
    #[cfg(unix)]
    match source.raw_os_error() {
        Some(libc::ELOOP) => return Error::NotASegment { name, found: "a symbolic link" },
        // FreeBSD's word for a symbolic link that is not to be followed.
        Some(libc::EMLINK) if cfg!(target_os = "freebsd") => {
            return Error::NotASegment { name, found: "a symbolic link" };
        }
        Some(libc::EMFILE) => {
            let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
            let limit = format!("RLIMIT_NOFILE is {}", limit.unwrap_or(u64::MAX));
            return Error::TooManyFiles { name, call, limit };
        }
        Some(libc::ENFILE) => {
            return Error::TooManyFiles { name, call, limit: "the whole system's".to_owned() };
        }
        Some(libc::ENXIO) => return Error::NotASegment { name, found: "a FIFO, a socket or a device" },
        _ => {}
    }
    match source.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Error::DoesNotExist { name, call, source },
        ErrorKind::AlreadyExists => Error::AlreadyExists { name, why: Taken::Otherwise(CHANGING) },
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Error::PermissionDenied { name, call, source }
        }
        ErrorKind::IsADirectory => Error::NotASegment { name, found: "a directory" },
        // The call was told not to block, and would have to wait for the holder of the lease.
        ErrorKind::WouldBlock if call.ends_with("open") => Error::Leased { name },
        _ => Error::System { name, call, source },
    }
}

/// Returns the error for a failed system call of a creator.
pub(super) fn creation_failure(
    name: &str,
    size: u64,
    call: &'static str,
    source: impl Into<io::Error>,
) -> Error {
    let source = source.into();
    match source.kind() {
        ErrorKind::StorageFull
        | ErrorKind::QuotaExceeded
        | ErrorKind::FileTooLarge
        | ErrorKind::OutOfMemory => Error::OutOfMemory { name: name.to_owned(), size, call, source },
        // The place for the segment is missing, not the segment, which does not exist yet. (`IsADirectory`:
        // the path ends in a slash.)
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            Error::System { name: name.to_owned(), call, source }
        }
        _ => failure(name, call, source),
    }
}
