//! Windows: names are those of sections, which exist while a process has them open.

use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::{GetLastError, HANDLE, INVALID_HANDLE_VALUE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;
use windows_sys::Win32::System::Memory::{CreateFileMappingW, PAGE_READWRITE};

use super::Name;

/// The call that finds that there is no room.
pub const RESERVING: &str = "CreateFileMappingW";

/// Returns the size that a segment of `size` bytes has.
pub fn whole(size: u64) -> u64 {
    size.next_multiple_of(4096)
}

impl Name {
    /// Returns whether a section has this name, in either scope.
    pub fn is_there(&self) -> bool {
        self.exists() || shm_segment::Options::new(self).scope(shm_segment::Scope::Global).exists()
    }
}

pub fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// A segment of another program.
pub struct Foreign(OwnedHandle);

impl Foreign {
    pub fn make(name: &str, size: usize) -> Self {
        Self::with_flags(name, size, PAGE_READWRITE)
    }

    pub fn with_flags(name: &str, size: usize, flags: u32) -> Self {
        Self::with_attributes(name, size, flags, ptr::null())
    }

    pub fn with_access_list(name: &str, size: usize, list: &str) -> Self {
        let (list, mut descriptor) = (wide(list), ptr::null_mut());
        // SAFETY: `list` ends with a zero. The call makes a descriptor, which is freed after its use.
        unsafe {
            let done = ConvertStringSecurityDescriptorToSecurityDescriptorW(
                list.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                ptr::null_mut(),
            );
            assert_ne!(done, 0);
            let attributes = SECURITY_ATTRIBUTES {
                nLength: size_of::<SECURITY_ATTRIBUTES>().try_into().unwrap(),
                lpSecurityDescriptor: descriptor,
                bInheritHandle: 0,
            };
            let made = Self::with_attributes(name, size, PAGE_READWRITE, &raw const attributes);
            LocalFree(descriptor);
            made
        }
    }

    fn with_attributes(name: &str, size: usize, flags: u32, attributes: *const SECURITY_ATTRIBUTES) -> Self {
        let name = wide(name);
        let size = u64::try_from(size).unwrap();
        let high = u32::try_from(size >> 32).unwrap();
        let low = u32::try_from(size & u64::from(u32::MAX)).unwrap();
        // SAFETY: `name` ends with a zero. `attributes` is null, or leads to valid attributes.
        unsafe {
            let handle =
                CreateFileMappingW(INVALID_HANDLE_VALUE, attributes, flags, high, low, name.as_ptr());
            assert!(!handle.is_null(), "{}", GetLastError());
            assert_eq!(GetLastError(), 0, "the name is taken");
            Self(OwnedHandle::from_raw_handle(handle))
        }
    }

    pub fn handle(&self) -> HANDLE {
        self.0.as_raw_handle()
    }
}

/// Does nothing: a killed creator leaves nothing here.
pub fn leave_a_dead_owner(_: &Name) {}

/// Returns whether the name leads to a segment of the session.
pub fn is_as_created(name: &Name) -> bool {
    name.exists() && !shm_segment::Options::new(name).scope(shm_segment::Scope::Global).exists()
}
