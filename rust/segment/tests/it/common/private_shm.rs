//! A `/dev/shm` for one process, without segments of other programs.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Makes `command` start with an empty `/dev/shm` that only it and its children see. Many containers don't
/// allow that. There, it starts with the common one.
pub(crate) fn private_shm(command: &mut Command) -> &mut Command {
    // SAFETY: the calls have no preconditions.
    let (user, group) = unsafe { (libc::getuid(), libc::getgid()) };
    let user = CString::new(format!("{user} {user} 1")).unwrap();
    let group = CString::new(format!("{group} {group} 1")).unwrap();
    let isolate = move || {
        // A failure here changes nothing for the program, except the result of `is_private`.
        let _ = mount_own(&user, &group);
        Ok(())
    };
    // SAFETY: `isolate` makes only system calls that may be made between `fork` and `exec`.
    unsafe { command.pre_exec(isolate) }
}

/// Returns whether it worked. Called in the started process: `outside` is the [`device`] of its parent.
pub(crate) fn is_private(outside: u64) -> bool {
    device() != outside
}

/// Returns the number of the file system `/dev/shm`.
pub(crate) fn device() -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/dev/shm").unwrap().dev()
}

fn mount_own(user: &CStr, group: &CStr) -> io::Result<()> {
    // SAFETY: the call takes flags only.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        // Only root may do this; in a user namespace of its own, every user is root.
        // SAFETY: as above.
        checked(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) })?;
        put(c"/proc/self/setgroups", c"deny")?;
        put(c"/proc/self/uid_map", user)?;
        put(c"/proc/self/gid_map", group)?;
    }
    let mount = |kind: Option<&CStr>, at: &CStr, flags, options: Option<&CStr>| {
        let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
        // SAFETY: each pointer leads to a string that ends in NUL, or is null where the call takes none.
        checked(unsafe {
            libc::mount(pointer(kind), at.as_ptr(), pointer(kind), flags, pointer(options).cast())
        })
    };
    // These mounts must not propagate to the parent's namespace.
    mount(None, c"/", libc::MS_REC | libc::MS_PRIVATE, None)?;
    mount(Some(c"tmpfs"), c"/dev/shm", libc::MS_NOSUID | libc::MS_NODEV, Some(c"size=64m,mode=1777"))
}

fn put(path: &CStr, text: &CStr) -> io::Result<()> {
    // SAFETY: the path ends in NUL, the text has the given number of bytes, and the descriptor is this
    // function's own.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        checked(file)?;
        let written = libc::write(file, text.as_ptr().cast(), text.count_bytes());
        libc::close(file);
        checked(if written < 0 { -1 } else { 0 })
    }
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
