//! The processes of this system and their open files (`proc_pid_fd(5)`, `proc_pid_maps(5)`).

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::options::Access;

/// Returns a path that leads to an open file, whatever has become of its name.
pub(super) fn path_of(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Opens what a path leads to with `O_PATH`: it can be looked at, not used.
pub(super) fn look_at(path: impl AsRef<Path>, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
    rustix::io::retry_on_intr(|| rustix::fs::open(path.as_ref(), flags, Mode::empty()))
}

/// Opens a file that was found by [`look_at`]. Never blocks, even if another process holds a lease on it.
pub(super) fn open(found: &OwnedFd, access: Access) -> Result<OwnedFd, Errno> {
    let access = match access {
        Access::ReadWrite => OFlags::RDWR,
        Access::ReadOnly => OFlags::RDONLY,
    };
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::io::retry_on_intr(|| rustix::fs::open(path_of(found), flags, Mode::empty()))
}

/// Returns whether `path` has the form `/proc/PID/fd/NUMBER`, and is in a `proc` file system. There, no
/// program can plant a link. The system follows it for the users that may trace the process (`ptrace(2)`).
pub(super) fn leads_to_open_file(path: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = path.split('/').collect();
    let ["", "proc", process, "fd", file] = parts[..] else { return false };
    let has_form = is_number(file) && (process == "self" || is_number(process));
    has_form && look_at("/proc", OFlags::DIRECTORY).and_then(rustix::fs::fstatfs).is_ok_and(is_proc)
}

fn is_proc(found: rustix::fs::StatFs) -> bool {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0; // linux/magic.h
    u64::try_from(found.f_type) == Ok(PROC_SUPER_MAGIC)
}

/// Opens a regular file that a process has open. The path has the form that [`leads_to_open_file`] checks.
/// Opening anything else may have an effect, so that is refused before.
pub(super) fn open_of_process(path: &str, access: Access) -> io::Result<File> {
    let found = look_at(path, OFlags::empty())?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode);
    // The words of `open(2)` for a FIFO that nothing has open.
    if kind != FileType::RegularFile {
        return Err(Errno::NXIO.into());
    }
    Ok(open(&found, access)?.into())
}

/// Returns the processes that have this file mapped.
pub(super) fn users_of(device: u64, inode: u64) -> Vec<u32> {
    let device = format!("{:02x}:{:02x}", rustix::fs::major(device), rustix::fs::minor(device));
    let inode = inode.to_string();
    users_where(|mapping| mapping.device == device && mapping.inode == inode)
}

/// A file that is mapped, as the system writes it.
pub(super) struct Mapped<'a> {
    pub(super) device: &'a str,
    pub(super) inode: &'a str,
    pub(super) path: &'a str,
}

/// Returns the processes with such a mapping, in ascending order. Only root can read the mappings of other
/// users' processes.
pub(super) fn users_where(is_it: impl Fn(&Mapped<'_>) -> bool) -> Vec<u32> {
    let maps_it = |maps: &str| {
        maps.lines().any(|line| {
            // Address, access and offset come first.
            let mut fields = line.splitn(6, ' ').skip(3);
            let (device, inode) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            let path = fields.next().unwrap_or_default().trim_start();
            is_it(&Mapped { device, inode, path })
        })
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut users: Vec<u32> = numbers
        .filter(|process| {
            // A name of a file may be any bytes.
            fs::read(format!("/proc/{process}/maps"))
                .is_ok_and(|maps| maps_it(&String::from_utf8_lossy(&maps)))
        })
        .collect();
    users.sort_unstable();
    users
}
