//! The system's calls on sections and on views of them.
//!
//! Invariants that the `unsafe` here and in `memory.rs` rests on:
//! - A [`Section`] has an open handle; `OwnedHandle` closes it once.
//! - A [`Mapping`] has a view that starts at `start`. Dropping the mapping unmaps the view, and nothing else
//!   does.
//! - At least `committed` bytes of the view are there, and `length` is at most `committed`.

use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};

use windows_sys::Win32::Foundation as errors;
use windows_sys::Win32::Foundation::{GetLastError, HANDLE, INVALID_HANDLE_VALUE, SetLastError};
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MEM_COMMIT, MEM_MAPPED, MEMORY_BASIC_INFORMATION,
    MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile, OpenFileMappingW, PAGE_EXECUTE_READ, PAGE_EXECUTE_READWRITE,
    PAGE_NOCACHE, PAGE_READONLY, PAGE_READWRITE, PAGE_WRITECOMBINE, SEC_COMMIT, UnmapViewOfFile,
    VirtualQuery,
};
use windows_sys::Win32::System::SystemInformation::GetTickCount64;

use super::failed::{Failed, wide};
use super::security::Descriptor;
use crate::options::Access;

/// An open section.
#[derive(Debug)]
pub(super) struct Section(OwnedHandle);

impl Section {
    /// Makes a section and reserves all of its memory. Returns `None` if the name is taken: its section is
    /// left alone.
    pub(super) fn create(native: &str, size: u64, descriptor: &Descriptor) -> Result<Option<Self>, Failed> {
        let native = wide(native);
        #[allow(clippy::cast_possible_truncation, reason = "a structure of three fields")]
        let attributes = SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: descriptor.as_ptr(),
            bInheritHandle: 0,
        };
        // SAFETY: `attributes` and `native`, which ends with a zero, live until the call returns; the former
        // points to a valid descriptor. An invalid handle instead of a file's asks for memory that the page
        // file backs.
        let (handle, code) = unsafe {
            SetLastError(errors::ERROR_SUCCESS);
            let handle = CreateFileMappingW(
                INVALID_HANDLE_VALUE,
                &raw const attributes,
                PAGE_READWRITE | SEC_COMMIT,
                high(size),
                low(size),
                native.as_ptr(),
            );
            (handle, GetLastError())
        };
        if handle.is_null() {
            return Err(Failed::new("CreateFileMappingW", code));
        }
        let section = Self::from_raw(handle);
        // If the name is taken, this call opens the existing section, whatever its size.
        Ok((code != errors::ERROR_ALREADY_EXISTS).then_some(section))
    }

    pub(super) fn open(native: &str, access: Access) -> Result<Self, Failed> {
        let native = wide(native);
        // SAFETY: `native` ends with a zero, and lives until the call returns.
        let handle = unsafe { OpenFileMappingW(rights(access), 0, native.as_ptr()) };
        if handle.is_null() { Err(Failed::last("OpenFileMappingW")) } else { Ok(Self::from_raw(handle)) }
    }

    /// Maps the whole section: only a view tells how large it is.
    pub(super) fn map(&self, access: Access) -> Result<Mapping, Failed> {
        // SAFETY: the handle is that of an open section, and the system chooses the address.
        let view = unsafe { MapViewOfFile(self.0.as_raw_handle(), rights(access), 0, 0, 0) };
        if view.Value.is_null() {
            return Err(Failed::last("MapViewOfFile"));
        }
        // Made now, so that an error below unmaps the view.
        let mut mapping = Mapping { start: view.Value.cast(), committed: 0, length: 0, flaw: None };
        let mut found = MEMORY_BASIC_INFORMATION::default();
        // SAFETY: the call writes at most one such structure, and takes any address.
        let written =
            unsafe { VirtualQuery(view.Value, &raw mut found, size_of::<MEMORY_BASIC_INFORMATION>()) };
        if written == 0 {
            return Err(Failed::last("VirtualQuery"));
        }
        match usable(&found, access) {
            Ok(bytes) => (mapping.committed, mapping.length) = (bytes, bytes),
            Err(flaw) => mapping.flaw = Some(flaw),
        }
        Ok(mapping)
    }

    fn from_raw(handle: HANDLE) -> Self {
        // SAFETY: a call of this module has just returned the handle, and nothing else owns it.
        Self(unsafe { OwnedHandle::from_raw_handle(handle) })
    }
}

/// Returns how many bytes at the beginning of a view can be used with this access, or why it isn't shared
/// memory.
///
/// `found` is what `VirtualQuery` returns: a run of pages with the same state and the same protection.
fn usable(found: &MEMORY_BASIC_INFORMATION, access: Access) -> Result<usize, &'static str> {
    if found.Type != MEM_MAPPED {
        // `SEC_IMAGE`: each process gets its own copy of a page that it writes to.
        return Err("the image of a program");
    }
    // A peer may have reserved addresses without memory behind them.
    if found.State != MEM_COMMIT {
        return Ok(0);
    }
    // It makes no difference whether the processor caches the pages. Any other bit or value means a guard
    // (`PAGE_GUARD`), a private copy (`PAGE_WRITECOPY`) or no access.
    match (found.Protect & !(PAGE_NOCACHE | PAGE_WRITECOMBINE), access) {
        (PAGE_READWRITE | PAGE_EXECUTE_READWRITE, _)
        | (PAGE_READONLY | PAGE_EXECUTE_READ, Access::ReadOnly) => Ok(found.RegionSize),
        _ => Err("memory whose first page does not allow the access"),
    }
}

/// Returns the rights to ask for. Asking for more than needed would fail if this user may only read.
const fn rights(access: Access) -> u32 {
    match access {
        Access::ReadWrite => FILE_MAP_READ | FILE_MAP_WRITE,
        Access::ReadOnly => FILE_MAP_READ,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "32 bits are left")]
const fn high(size: u64) -> u32 {
    (size >> 32) as u32
}

#[allow(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
const fn low(size: u64) -> u32 {
    size as u32
}

/// A view of a section, from its beginning.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: *mut u8,
    committed: usize,
    length: usize,
    flaw: Option<&'static str>,
}

// SAFETY: a view belongs to the process, not to a thread, and these fields change only through `&mut`. For
// the bytes themselves see `memory.rs`.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Returns how many bytes there are, in whole pages.
    pub(super) const fn committed(&self) -> usize {
        self.committed
    }

    /// Returns why the memory may not be used. If there is such a reason, no byte counts as committed.
    pub(super) const fn flaw(&self) -> Option<&'static str> {
        self.flaw
    }

    /// Limits the mapping to the first `size` bytes, or to all of them for 0. If there are fewer, returns
    /// false and changes nothing.
    pub(super) fn limit(&mut self, size: u64) -> bool {
        match usize::try_from(size) {
            Ok(0) => true,
            Ok(size) if size <= self.committed => {
                self.length = size;
                true
            }
            _ => false,
        }
    }
}

// SAFETY: the view is unmapped when the value is dropped, and at least `length` bytes of it are committed.
unsafe impl crate::os::Mapping for Mapping {
    fn as_mut_ptr(&self) -> *mut u8 {
        self.start
    }

    fn len(&self) -> usize {
        self.length
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the view is mapped, and only this function unmaps it.
        unsafe { UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: self.start.cast() }) };
    }
}

/// Returns milliseconds since the system started, in steps of 10 to 16. A call takes a few nanoseconds.
pub(crate) fn coarse_clock() -> u64 {
    // SAFETY: the call has no preconditions.
    unsafe { GetTickCount64() }
}

/// Maps memory without a name.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) fn anonymous(length: usize) -> Mapping {
    let size = length as u64;
    // SAFETY: both pointers are null, which stands for no descriptor and no name.
    let handle = unsafe {
        CreateFileMappingW(
            INVALID_HANDLE_VALUE,
            std::ptr::null(),
            PAGE_READWRITE,
            high(size),
            low(size),
            std::ptr::null(),
        )
    };
    assert!(!handle.is_null());
    let mut mapping = Section::from_raw(handle).map(Access::ReadWrite).unwrap();
    assert!(mapping.limit(size));
    mapping
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::Mapping as _;

    #[test]
    fn a_size_is_split_into_halves() {
        assert_eq!((high(0x1_2345_6789), low(0x1_2345_6789)), (1, 0x2345_6789));
        assert_eq!((high(u64::MAX >> 1), low(u64::MAX >> 1)), (0x7FFF_FFFF, u32::MAX));
    }

    #[test]
    fn only_pages_that_allow_the_access_are_used() {
        use windows_sys::Win32::System::Memory::{
            MEM_IMAGE, MEM_PRIVATE, MEM_RESERVE, PAGE_GUARD, PAGE_NOACCESS, PAGE_WRITECOPY,
        };
        let query = |kind, state, protect, access| {
            let found = MEMORY_BASIC_INFORMATION {
                RegionSize: 4096,
                Type: kind,
                State: state,
                Protect: protect,
                ..Default::default()
            };
            usable(&found, access).ok()
        };
        for (protect, write, read) in [
            (PAGE_READWRITE, Some(4096), Some(4096)),
            (PAGE_EXECUTE_READWRITE, Some(4096), Some(4096)),
            (PAGE_READWRITE | PAGE_NOCACHE, Some(4096), Some(4096)),
            (PAGE_READONLY, None, Some(4096)),
            (PAGE_NOACCESS, None, None),
            (PAGE_WRITECOPY, None, None),
            (PAGE_READWRITE | PAGE_GUARD, None, None),
        ] {
            assert_eq!(query(MEM_MAPPED, MEM_COMMIT, protect, Access::ReadWrite), write, "{protect:#x}");
            assert_eq!(query(MEM_MAPPED, MEM_COMMIT, protect, Access::ReadOnly), read, "{protect:#x}");
        }
        assert_eq!(query(MEM_MAPPED, MEM_RESERVE, 0, Access::ReadWrite), Some(0));
        for kind in [MEM_IMAGE, MEM_PRIVATE] {
            assert_eq!(query(kind, MEM_COMMIT, PAGE_READWRITE, Access::ReadWrite), None);
        }
    }

    #[test]
    fn a_mapping_is_limited_to_committed_bytes() {
        let mut mapping = anonymous(5000);
        assert_eq!((mapping.len(), mapping.committed() % 4096), (5000, 0));
        let committed = mapping.committed();
        assert!(!mapping.limit(committed as u64 + 1) && !mapping.limit(u64::MAX));
        assert_eq!(mapping.len(), 5000);
        assert!(mapping.limit(committed as u64));
        assert_eq!(mapping.len(), committed);
    }
}
