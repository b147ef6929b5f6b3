//! Access lists of sections, written out: a process's default list may not match the scope.

use std::ffi::c_void;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{
    GetTokenInformation, PSECURITY_DESCRIPTOR, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::failed::{Failed, wide};
use crate::options::Scope;

/// The access list of a new section.
pub(super) struct Descriptor(PSECURITY_DESCRIPTOR);

impl Descriptor {
    pub(super) fn new(scope: Scope) -> Result<Self, Failed> {
        let text = wide(&access_list(scope, &user()?));
        let mut descriptor = ptr::null_mut();
        // SAFETY: `text` ends with a zero and lives until the call returns, which writes one pointer.
        let done = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                ptr::null_mut(),
            )
        };
        if done == 0 {
            return Err(Failed::last("ConvertStringSecurityDescriptorToSecurityDescriptorW"));
        }
        Ok(Self(descriptor))
    }

    /// Returns the descriptor, which is valid for as long as `self` lives.
    pub(super) const fn as_ptr(&self) -> *mut c_void {
        self.0
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the system allocated it with `LocalAlloc` and left it to this value. Nothing uses it any
        // more.
        unsafe { LocalFree(self.0) };
    }
}

/// Returns an access list in the Security Descriptor Definition Language. Nothing is inherited (`P`). The
/// user, the system (`SY`) and, with [`Scope::Global`], everybody (`WD`) have all rights.
///
/// For everybody, the rights to read and write would not be enough. Most programs open with
/// `FILE_MAP_ALL_ACCESS`. Python's `mmap` opens through `CreateFileMappingW`, which also asks for
/// `STANDARD_RIGHTS_REQUIRED`. Even so, nothing can be executed, because the section isn't made for that.
fn access_list(scope: Scope, user: &str) -> String {
    let everybody = match scope {
        Scope::Local => "",
        Scope::Global => "(A;;GA;;;WD)",
    };
    format!("D:P(A;;GA;;;{user})(A;;GA;;;SY){everybody}")
}

/// Returns the security identifier of this process's user.
fn user() -> Result<String, Failed> {
    let mut token = ptr::null_mut();
    // SAFETY: the handle of this process is always valid, and the call writes one handle.
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) } == 0 {
        return Err(Failed::last("OpenProcessToken"));
    }
    // SAFETY: the call has just made the handle, and nothing else owns it.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };

    // For the structure, and behind it the identifier that it points to, of at most 68 bytes. Aligned for the
    // structure.
    let mut buffer = [0u64; 32];
    #[allow(clippy::cast_possible_truncation, reason = "it has 256 bytes")]
    let (size, mut length) = (size_of_val(&buffer) as u32, 0);
    // SAFETY: the call writes at most `size` bytes, the size of the buffer.
    let done = unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            buffer.as_mut_ptr().cast(),
            size,
            &raw mut length,
        )
    };
    if done == 0 {
        return Err(Failed::last("GetTokenInformation"));
    }
    // SAFETY: for `TokenUser`, the call has written such a structure to the start of the buffer, which is
    // aligned for it.
    let identifier = unsafe { buffer.as_ptr().cast::<TOKEN_USER>().read() }.User.Sid;
    let mut text = ptr::null_mut();
    // SAFETY: the identifier lies in the buffer, which still lives, and the call writes one pointer.
    if unsafe { ConvertSidToStringSidW(identifier, &raw mut text) } == 0 {
        return Err(Failed::last("ConvertSidToStringSidW"));
    }
    // SAFETY: the system has written a text that ends with a zero, allocated it with `LocalAlloc`, and left
    // it to us.
    unsafe {
        let length = (0..).take_while(|&i| *text.add(i) != 0).count();
        let user = String::from_utf16_lossy(std::slice::from_raw_parts(text, length));
        LocalFree(text.cast());
        Ok(user)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_the_global_scope_admits_other_users() {
        assert_eq!(access_list(Scope::Local, "S-1-5-7"), "D:P(A;;GA;;;S-1-5-7)(A;;GA;;;SY)");
        assert!(access_list(Scope::Global, "S-1-5-7").ends_with(";WD)"));
    }

    #[test]
    fn the_user_has_an_identifier() {
        let user = user().unwrap();
        assert!(user.starts_with("S-1-5-"), "{user}");
        assert!(!Descriptor::new(Scope::Global).unwrap().as_ptr().is_null());
    }
}
