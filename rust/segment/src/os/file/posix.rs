//! Files of POSIX systems.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};

use crate::options::Scope;
pub(super) use crate::os::system::{HUGE_PAGES, has_huge_pages, reserve};

/// Which file it is, whatever its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|found| Self::from_metadata(&found))
    }

    /// Of what `path` leads to now, links not followed.
    pub(super) fn at(path: &str) -> io::Result<Self> {
        fs::symlink_metadata(path).map(|found| Self::from_metadata(&found))
    }

    fn from_metadata(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// Removes `path` if it still leads to this file; otherwise does nothing.
pub(super) fn unlink(path: &str, identity: Identity) -> io::Result<()> {
    if Identity::at(path)? == identity { fs::remove_file(path) } else { Ok(()) }
}

/// No link is followed, no call waits for the other end of a FIFO or for the holder of a lease, and no terminal becomes
/// this process's own.
pub(super) fn never_block(options: &mut OpenOptions) {
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY).mode(0o600);
}

/// Whatever the umask says.
pub(super) fn open_to(file: &File, scope: Scope) -> io::Result<()> {
    match scope {
        Scope::Local => Ok(()),
        Scope::Global => file.set_permissions(Permissions::from_mode(0o666)),
    }
}

pub(super) fn scope_of(metadata: &Metadata) -> Scope {
    if metadata.mode() & 0o002 == 0 { Scope::Local } else { Scope::Global }
}
