//! Files of POSIX systems.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::info::{Maker, OwnerState, SegmentInfo};
use crate::options::{Access, Scope};
#[cfg(target_os = "linux")]
use crate::os::procfs::{leads_to_open_file, open_of_process};
pub(super) use crate::os::system::{HUGE_PAGES, Identity, has_huge_pages, reserve};
use crate::os::system::{can_remove, other_user};

/// Returns the metadata of what `path` leads to. A symbolic link is not followed.
pub(super) fn metadata_of(path: &str) -> io::Result<Metadata> {
    if leads_to_open_file(path) { fs::metadata(path) } else { fs::symlink_metadata(path) }
}

/// Opens an existing file.
pub(super) fn open_file(path: &str, access: Access) -> io::Result<File> {
    if leads_to_open_file(path) { open_of_process(path, access) } else { super::opener(access).open(path) }
}

pub(super) fn describe(path: &str, found: &Metadata) -> SegmentInfo {
    let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
    let can_remove = !leads_to_open_file(path) && can_remove(folder.unwrap_or(Path::new(".")), found.uid());
    SegmentInfo {
        size: found.len(),
        scope: scope_of(found),
        owner: OwnerState::Unknown,
        maker: Maker::File,
        other_user: other_user(found.uid()),
        can_remove,
        messages: None,
    }
}

/// Returns the file that `path` leads to now.
pub(super) fn identity_at(path: &str) -> io::Result<Identity> {
    Ok(Identity::at(&metadata_of(path)?))
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

/// Returns whether another machine serves the file, or a program: `f_type` of `statfs(2)`.
#[cfg(target_os = "linux")]
pub(super) fn is_remote(file: &File) -> bool {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the numbers have 32 bits")]
    rustix::fs::fstatfs(file).is_ok_and(|found| REMOTE.contains(&(found.f_type as u32)))
}

/// The numbers of such file systems, in linux/magic.h and in the sources of the kernel.
#[cfg(target_os = "linux")]
const REMOTE: [u32; 13] = [
    0x6969,      // NFS
    0x517B,      // SMB
    0xFF53_4D42, // CIFS
    0xFE53_4D42, // SMB 2
    0x0102_1997, // 9p
    0x6573_5546, // FUSE, also virtiofs
    0x5346_414F, // AFS
    0x6B41_4653, // AFS, the kernel's own
    0x7375_7245, // Coda
    0x00C3_6400, // Ceph
    0x0BD0_0BD0, // Lustre
    0x0116_1970, // GFS2
    0x7461_636F, // OCFS2
];

/// Returns whether another machine serves the file: the flag `MNT_LOCAL` of `statfs(2)` is missing.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_remote(file: &File) -> bool {
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "the types differ between systems")]
    rustix::fs::fstatfs(file).is_ok_and(|found| found.f_flags as u64 & libc::MNT_LOCAL as u64 == 0)
}

/// Returns false: there is no such file system.
#[cfg(not(target_os = "linux"))]
const fn leads_to_open_file(_: &str) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn open_of_process(_: &str, _: Access) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}
