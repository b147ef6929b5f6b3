//! Files of Windows.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;

use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, DELETE, FILE_DISPOSITION_FLAG_DELETE, FILE_DISPOSITION_FLAG_POSIX_SEMANTICS,
    FILE_DISPOSITION_INFO, FILE_DISPOSITION_INFO_EX, FILE_FLAG_BACKUP_SEMANTICS,
    FILE_FLAG_OPEN_REPARSE_POINT, FILE_INFO_BY_HANDLE_CLASS, FILE_READ_ATTRIBUTES, FileDispositionInfo,
    FileDispositionInfoEx, GetFileInformationByHandle, SetFileInformationByHandle,
};

use crate::options::Scope;

/// Which file it is, whatever its path: an open file can be renamed, and another one take its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    volume: u32,
    index: [u32; 2],
}

pub(super) fn identity_of(file: &File) -> io::Result<Identity> {
    let mut found = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: an open handle, and a structure that the call fills.
    if unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut found) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Identity { volume: found.dwVolumeSerialNumber, index: [found.nFileIndexHigh, found.nFileIndexLow] })
}

/// Returns the file that `path` leads to now, links not followed.
pub(super) fn identity_at(path: &str) -> io::Result<Identity> {
    identity_of(&open_itself(path, FILE_READ_ATTRIBUTES)?)
}

/// Opens a file with no more than these rights. A link or a folder is opened itself.
fn open_itself(path: &str, rights: u32) -> io::Result<File> {
    let flags = FILE_FLAG_OPEN_REPARSE_POINT | FILE_FLAG_BACKUP_SEMANTICS;
    OpenOptions::new().access_mode(rights).custom_flags(flags).open(path)
}

/// Removes `path` if it still leads to this file; otherwise does nothing. By handle, so that nothing comes in between.
pub(super) fn unlink(path: &str, identity: Identity) -> io::Result<()> {
    let file = open_itself(path, DELETE | FILE_READ_ATTRIBUTES)?;
    if identity_of(&file)? != identity {
        return Ok(());
    }
    // The name goes at once, and not with the last handle: as `std::fs::remove_file` does it, where the file system can.
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
/// `information` is what `class` takes.
unsafe fn set_information<T>(
    file: &File,
    class: FILE_INFO_BY_HANDLE_CLASS,
    information: &T,
) -> io::Result<()> {
    let size = u32::try_from(size_of::<T>()).unwrap_or(0);
    let information = std::ptr::from_ref(information).cast();
    // SAFETY: an open handle, and a structure of `size` bytes, which fits the class per this function's contract.
    match unsafe { SetFileInformationByHandle(file.as_raw_handle(), class, information, size) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Nothing to ask for: a link is recognised before, and a file that a cloud service supplies is opened as any other.
pub(super) fn never_block(_: &mut OpenOptions) {}

/// A file inherits the access list of its folder, which is where others are let in.
#[allow(clippy::unnecessary_wraps, reason = "the contract of all systems")]
pub(super) fn open_to(_: &File, _: Scope) -> io::Result<()> {
    Ok(())
}

pub(super) fn scope_of(_: &Metadata) -> Scope {
    Scope::Local
}

/// They are no files here.
pub(super) const HUGE_PAGES: &str = "";

pub(super) fn has_huge_pages(_: &File) -> bool {
    false
}

pub(super) fn reserve(file: &File, size: u64) -> Result<(), (&'static str, io::Error)> {
    file.set_len(size).map_err(|source| ("SetEndOfFile", source))
}
