//! A `/dev/shm` of a process's own, where nobody else's segments come and go.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Has `command` started with an empty `/dev/shm` that only it and its children see. Where the system allows this to
/// nobody (as in many containers), it is started with the common one.
pub(crate) fn private_shm(command: &mut Command) -> &mut Command {
    // SAFETY: no preconditions.
    let (user, group) = unsafe { (libc::getuid(), libc::getgid()) };
    let user = CString::new(format!("{user} {user} 1")).unwrap();
    let group = CString::new(format!("{group} {group} 1")).unwrap();
    let isolate = move || {
        // What fails here changes nothing that the program would notice, but for what `is_private` tells.
        let _ = mount_own(&user, &group);
        Ok(())
    };
    // SAFETY: `isolate` makes nothing but system calls, of which each may be made between `fork` and `exec`.
    unsafe { command.pre_exec(isolate) }
}

/// Whether it worked, asked in the process that was started: `outside` is what [`device`] said to its parent.
pub(crate) fn is_private(outside: u64) -> bool {
    device() != outside
}

/// Which file system `/dev/shm` is.
pub(crate) fn device() -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/dev/shm").unwrap().dev()
}

fn mount_own(user: &CStr, group: &CStr) -> io::Result<()> {
    // SAFETY: flags only.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        // Only root may; in a user namespace of its own, everybody is.
        // SAFETY: as above.
        checked(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) })?;
        put(c"/proc/self/setgroups", c"deny")?;
        put(c"/proc/self/uid_map", user)?;
        put(c"/proc/self/gid_map", group)?;
    }
    let mount = |kind: Option<&CStr>, at: &CStr, flags, options: Option<&CStr>| {
        let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
        // SAFETY: strings that end in NUL, or null where the call takes none.
        checked(unsafe {
            libc::mount(pointer(kind), at.as_ptr(), pointer(kind), flags, pointer(options).cast())
        })
    };
    // Nothing of this goes back to where we come from.
    mount(None, c"/", libc::MS_REC | libc::MS_PRIVATE, None)?;
    mount(Some(c"tmpfs"), c"/dev/shm", libc::MS_NOSUID | libc::MS_NODEV, Some(c"size=64m,mode=1777"))
}

fn put(path: &CStr, text: &CStr) -> io::Result<()> {
    // SAFETY: a string that ends in NUL; as many bytes as there are; a descriptor of our own.
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
