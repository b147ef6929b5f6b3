//! Files of POSIX systems.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};

use crate::options::Scope;
pub(super) use crate::os::system::{HUGE_PAGES, Identity, has_huge_pages, reserve};

/// Returns the file that `path` leads to now, symbolic links not followed.
pub(super) fn identity_at(path: &str) -> io::Result<Identity> {
    Ok(Identity::of(&rustix::fs::lstat(path)?))
}

pub(super) fn identity_of(file: &File) -> io::Result<Identity> {
    Ok(Identity::of(&rustix::fs::fstat(file)?))
}

/// Removes `path` if it still leads to this file; otherwise does nothing.
pub(super) fn unlink(path: &str, identity: Identity) -> io::Result<()> {
    if identity_at(path)? == identity { fs::remove_file(path) } else { Ok(()) }
}

/// Keeps `open` from following a link at the end of the path. It doesn't wait for the other end of a FIFO or
/// for the holder of a lease either. A terminal doesn't become this process's own.
pub(super) fn never_block(options: &mut OpenOptions) {
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY).mode(0o600);
}

/// Opens the file to the users of the scope, whatever the umask.
pub(super) fn open_to(file: &File, scope: Scope) -> io::Result<()> {
    match scope {
        Scope::Local => Ok(()),
        Scope::Global => file.set_permissions(Permissions::from_mode(0o666)),
    }
}

pub(super) fn scope_of(metadata: &Metadata) -> Scope {
    crate::os::system::scope_of(metadata.mode())
}
