//! The pages of a file or of memory: how many it has, and of which kind.

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;

/// Gives a new, empty file its size and, where the system can, its pages. An error names the call.
pub(crate) fn reserve(fd: impl AsFd, size: u64) -> Result<(), (&'static str, io::Error)> {
    // Over this limit, the kernel sends SIGXFSZ, which ends the process, instead of just refusing.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    if limit.is_some_and(|limit| size > limit) {
        return Err(("RLIMIT_FSIZE", Errno::FBIG.into()));
    }
    // Likewise, a process that reserves more memory than there is gets killed, not refused.
    #[cfg(target_os = "linux")]
    if !crate::available::has_room_for(size) && is_in_memory(&fd) {
        return Err(("MemAvailable", Errno::NOMEM.into()));
    }
    // No process has addresses for more. macOS must not be asked: it builds an object of any size, from parts
    // of 4 GiB, and can't be interrupted.
    #[cfg(target_os = "macos")]
    if size > 1 << 47 {
        return Err(("ftruncate", Errno::NOMEM.into()));
    }
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    {
        // Reserves the pages, so that no later store fails for lack of one. That may take time, so the size
        // comes last: a process that finds the file before then must find no size. FreeBSD can't do this
        // without setting the size.
        #[cfg(target_os = "linux")]
        let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
        #[cfg(target_os = "freebsd")]
        let flags = rustix::fs::FallocateFlags::empty();
        match rustix::io::retry_on_intr(|| rustix::fs::fallocate(&fd, flags, 0, size)) {
            Ok(()) if flags.is_empty() => return Ok(()),
            Ok(()) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::NODEV) => {}
            Err(errno) => return Err(("fallocate", errno.into())),
        }
    }
    // Once only: macOS never lets a size change, not even to the same value.
    rustix::io::retry_on_intr(|| rustix::fs::ftruncate(&fd, size)).map_err(|e| ("ftruncate", e.into()))
}

/// Returns an open file whose reads don't change the time of its last access. Only its user may do that
/// (`open(2)`, `O_NOATIME`), so the time of another user's file does change.
#[cfg(target_os = "linux")]
pub(crate) fn leaving_times(file: impl Into<std::fs::File>) -> std::fs::File {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let file = file.into();
    let _ = fcntl_getfl(&file).and_then(|flags| fcntl_setfl(&file, flags | OFlags::NOATIME));
    file
}

/// Returns how many bytes of a file in memory (tmpfs) have no page yet.
#[cfg(target_os = "linux")]
pub(crate) fn unpopulated(fd: impl AsFd) -> u64 {
    /// The unit of `st_blocks` (`stat(3type)`).
    const BLOCK: u64 = 512;
    rustix::fs::fstat(fd).map_or(0, |stat| {
        let number = |value| u64::try_from(value).unwrap_or(0);
        number(stat.st_size).saturating_sub(number(stat.st_blocks).saturating_mul(BLOCK))
    })
}

/// Returns whether the file is in memory: each of its pages takes one of the machine's.
#[cfg(target_os = "linux")]
pub(crate) fn is_in_memory(fd: impl AsFd) -> bool {
    const TMPFS_MAGIC: u64 = 0x0102_1994; // linux/magic.h
    rustix::fs::fstatfs(fd).is_ok_and(|found| u64::try_from(found.f_type) == Ok(TMPFS_MAGIC))
}

/// Returns whether it is hugetlbfs memory: the fault handler can't replace a part of a huge page.
pub(crate) fn has_huge_pages(fd: &impl AsFd) -> bool {
    #[cfg(target_os = "linux")]
    {
        const HUGETLBFS_MAGIC: u64 = 0x9584_58f6; // linux/magic.h
        rustix::fs::fstatfs(fd).is_ok_and(|found| u64::try_from(found.f_type) == Ok(HUGETLBFS_MAGIC))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = fd;
        false
    }
}

/// The words of [`Error::NotASegment`](crate::Error::NotASegment) for hugetlbfs memory.
pub(crate) const HUGE_PAGES: &str = "memory of huge pages";
