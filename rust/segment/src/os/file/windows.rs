//! Files of Windows.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;

use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, DELETE, FILE_DISPOSITION_FLAG_DELETE, FILE_DISPOSITION_FLAG_POSIX_SEMANTICS,
    FILE_DISPOSITION_INFO, FILE_DISPOSITION_INFO_EX, FILE_FLAG_BACKUP_SEMANTICS,
    FILE_FLAG_OPEN_REPARSE_POINT, FILE_INFO_BY_HANDLE_CLASS, FILE_READ_ATTRIBUTES, FILE_REMOTE_PROTOCOL_INFO,
    FileDispositionInfo, FileDispositionInfoEx, FileRemoteProtocolInfo, GetFileInformationByHandle,
    GetFileInformationByHandleEx, SetFileInformationByHandle,
};

use crate::info::{Maker, OwnerState, SegmentInfo};
use crate::options::{Access, Scope};

/// The identity of a file, which its path is not: an open file can be renamed, and another file can take its
/// name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    volume: u32,
    index: [u32; 2],
}

pub(super) fn identity_of(file: &File) -> io::Result<Identity> {
    let mut found = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open, and the call fills the structure.
    if unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut found) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Identity { volume: found.dwVolumeSerialNumber, index: [found.nFileIndexHigh, found.nFileIndexLow] })
}

/// Returns the metadata of what `path` leads to, links not followed.
pub(super) fn metadata_of(path: &str) -> io::Result<Metadata> {
    fs::symlink_metadata(path)
}

/// Returns whether another machine serves the file. The call fails for a file of this one.
pub(super) fn is_remote(file: &File) -> bool {
    let mut found = FILE_REMOTE_PROTOCOL_INFO::default();
    #[allow(clippy::cast_possible_truncation, reason = "a structure of a hundred bytes")]
    let size = size_of_val(&found) as u32;
    // SAFETY: the handle is open, and the call writes at most this structure.
    let told = unsafe {
        let found = (&raw mut found).cast();
        GetFileInformationByHandleEx(file.as_raw_handle(), FileRemoteProtocolInfo, found, size)
    };
    told != 0
}

/// Opens an existing file.
pub(super) fn open_file(path: &str, access: Access) -> io::Result<File> {
    super::opener(access).open(path)
}

/// Returns what is known of a file. Its user is not asked for.
pub(super) fn describe(_: &str, found: &Metadata) -> SegmentInfo {
    SegmentInfo {
        size: found.len(),
        scope: Scope::Local,
        owner: OwnerState::Unknown,
        maker: Maker::File,
        other_user: None,
        can_remove: true,
        messages: None,
    }
}

/// Returns the file that `path` leads to now, links not followed.
pub(super) fn identity_at(path: &str) -> io::Result<Identity> {
    identity_of(&open_itself(path, FILE_READ_ATTRIBUTES)?)
}

/// Opens a file with these rights only. A link or a folder is opened itself.
fn open_itself(path: &str, rights: u32) -> io::Result<File> {
    let flags = FILE_FLAG_OPEN_REPARSE_POINT | FILE_FLAG_BACKUP_SEMANTICS;
    OpenOptions::new().access_mode(rights).custom_flags(flags).open(path)
}

/// Removes `path` if it still leads to this file; otherwise does nothing. The open handle is checked and
/// removed, so no other process can come in between.
pub(super) fn unlink(path: &str, identity: Identity) -> io::Result<()> {
    let file = open_itself(path, DELETE | FILE_READ_ATTRIBUTES)?;
    if identity_of(&file)? != identity {
        return Ok(());
    }
    // Where the file system supports it, the name goes at once, as in `std::fs::remove_file`, not with the
    // last handle.
    let flags = FILE_DISPOSITION_FLAG_DELETE | FILE_DISPOSITION_FLAG_POSIX_SEMANTICS;
    let at_once = FILE_DISPOSITION_INFO_EX { Flags: flags };
    let with_the_last_handle = FILE_DISPOSITION_INFO { DeleteFile: true };
    // SAFETY: each class takes the structure that is given.
    unsafe {
        set_information(&file, FileDispositionInfoEx, &at_once)
            .or_else(|_| set_information(&file, FileDispositionInfo, &with_the_last_handle))
    }
}

/// # Safety
/// `information` is the structure that `class` takes.
unsafe fn set_information<T>(
    file: &File,
    class: FILE_INFO_BY_HANDLE_CLASS,
    information: &T,
) -> io::Result<()> {
    let size = u32::try_from(size_of::<T>()).unwrap_or(0);
    let information = std::ptr::from_ref(information).cast();
    // SAFETY: the handle is open. The structure has `size` bytes, and fits the class by this function's
    // contract.
    match unsafe { SetFileInformationByHandle(file.as_raw_handle(), class, information, size) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Does nothing: links are refused before, and a file that a cloud service supplies is opened like any other.
pub(super) fn never_block(_: &mut OpenOptions) {}

/// Does nothing: a file inherits the access list of its folder, which decides about other users.
#[allow(clippy::unnecessary_wraps, reason = "the contract of all systems")]
pub(super) fn open_to(_: &File, _: Scope) -> io::Result<()> {
    Ok(())
}

pub(super) fn scope_of(_: &Metadata) -> Scope {
    Scope::Local
}

/// Unused: on Windows, huge pages are not files.
pub(super) const HUGE_PAGES: &str = "";

pub(super) fn has_huge_pages(_: &File) -> bool {
    false
}

pub(super) fn reserve(file: &File, size: u64) -> Result<(), (&'static str, io::Error)> {
    file.set_len(size).map_err(|source| ("SetEndOfFile", source))
}
