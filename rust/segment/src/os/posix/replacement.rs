//! New pages for a place where a peer has taken the memory away, from within a signal handler.
//!
//! A limit of the system may refuse new pages at that moment. It may be the one on mappings
//! (`vm.max_map_count`), on memory that may be committed (`vm.overcommit_memory`), on the data segment or on
//! locked memory (`setrlimit(2)`). So [`prepare`] sets some of each aside beforehand.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::errno::errno;

/// Zeros need no reservation. FreeBSD has no such flag, and reserves none.
#[cfg(not(target_os = "freebsd"))]
const NORESERVE: c_int = libc::MAP_NORESERVE;
#[cfg(target_os = "freebsd")]
const NORESERVE: c_int = 0;

/// The number of bytes that one fault replaces: what follows is most likely missing, too.
const AT_ONCE: usize = 1 << 20;

/// Pages that are mappings of their own, for [`replace`] to give up. At the limit on mappings, a new one can
/// be made only after another is gone.
static SPARES: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];
/// The start of the range with the spares.
static SPARE_RANGE: AtomicUsize = AtomicUsize::new(0);
/// The number of pages of that range: every second one is a spare.
const SPARE_PAGES: usize = 2 * SPARES.len() + 1;

/// Sets aside what [`replace`] may need. Costs little if it is there already. Only one thread may call this
/// at a time.
pub(super) fn prepare() {
    if cfg!(miri) {
        return; // Miri has no signals.
    }
    sink::prepare();
    if SPARES.iter().all(|spare| spare.load(Ordering::Relaxed) == 0) {
        release_spares();
        make_spares();
    }
}

/// Releases what [`prepare`] has set aside. No mapping may be watched any more.
pub(super) fn release() {
    release_spares();
    sink::release();
}

/// Puts pages into the missing part of a mapping around `address`. The mapping reaches from `start`, the
/// start of a page, to `end`. The contents of the new pages mean nothing. Async-signal-safe.
///
/// With `is_again`, the same address faulted before: pages of the sink may be missing as well.
///
/// # Safety
/// The whole range is a mapping that stays until this returns. No Rust reference leads to it.
pub(super) unsafe fn replace(address: usize, (start, end): (usize, usize), is_again: bool) -> bool {
    let from = address & !(page_size() - 1);
    let part = (end - from).min(AT_ONCE);
    let pages = match sink::descriptor() {
        Some(fd) if !is_again => Pages::Sink(fd),
        _ => Pages::Private,
    };
    // SAFETY: each range lies in the mapping, for which this function's contract holds.
    unsafe {
        put(from, part, pages)
            // Replacing a part splits the mapping in two or three. Replacing all of it doesn't.
            || put(start, end - start, Pages::Private)
            || (give_up_a_spare() && put(start, end - start, Pages::Private))
    }
}

#[derive(Clone, Copy)]
enum Pages {
    /// Pages of the sink, which all such places share. They exist already, and count for no limit on
    /// memory. So the system doesn't refuse them after it has unmapped the old pages. For new pages, older
    /// kernels do so, and another thread could map something in between.
    Sink(c_int),
    /// Zeros of this place alone.
    Private,
}

/// # Safety
/// The contract of [`replace`] holds for the range of `length` bytes at `at`.
unsafe fn put(at: usize, length: usize, pages: Pages) -> bool {
    let (flags, fd) = match pages {
        Pages::Sink(fd) => (libc::MAP_SHARED, fd),
        Pages::Private => (libc::MAP_PRIVATE | libc::MAP_ANON | NORESERVE, -1),
    };
    let at: *mut c_void = ptr::without_provenance_mut(at);
    let map = || {
        // SAFETY: by this function's contract, the range is part of a mapping, so nothing else is replaced.
        let mapped = unsafe {
            libc::mmap(at, length, libc::PROT_READ | libc::PROT_WRITE, flags | libc::MAP_FIXED, fd, 0)
        };
        mapped != libc::MAP_FAILED
    };
    // With `MCL_FUTURE` (mlockall(2)), the new pages are locked while the old ones still count.
    // SAFETY: `munlock` changes no byte and no address.
    map() || (errno() == libc::EAGAIN && unsafe { libc::munlock(at, length) } == 0 && map())
}

fn page_size() -> usize {
    // SAFETY: the call asks for a constant of the system. POSIX doesn't list it for signal handlers, but it
    // is a plain look-up in every C library that this runs on.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Makes a range whose pages alternate between two protections, so that each page is a mapping of its own.
/// Unmapping a spare never splits a mapping.
fn make_spares() {
    let (page, flags) = (page_size(), libc::MAP_PRIVATE | libc::MAP_ANON);
    // SAFETY: with a null address, the system finds a free range.
    let range = unsafe { libc::mmap(ptr::null_mut(), page * SPARE_PAGES, libc::PROT_NONE, flags, -1, 0) };
    if range == libc::MAP_FAILED {
        return;
    }
    SPARE_RANGE.store(range.addr(), Ordering::Relaxed);
    for (index, spare) in SPARES.iter().enumerate() {
        let at = range.addr() + page * (2 * index + 1);
        // SAFETY: the page belongs to the range that was just mapped, and nothing uses it.
        unsafe {
            let at = ptr::without_provenance_mut(at);
            if libc::mprotect(at, page, libc::PROT_READ) == 0 {
                spare.store(at.addr(), Ordering::Release);
            } else {
                libc::munmap(at, page);
            }
        }
    }
}

/// Unmaps the spares that are left, and the pages between them.
fn release_spares() {
    while give_up_a_spare() {}
    let (page, range) = (page_size(), SPARE_RANGE.swap(0, Ordering::Relaxed));
    if range != 0 {
        // Page by page: in the place of a spare, there may be a mapping of another part of the program.
        for index in (0..SPARE_PAGES).step_by(2) {
            // SAFETY: the page belongs to the range that `make_spares` mapped, and is not a spare. Nothing
            // uses it.
            unsafe { libc::munmap(ptr::without_provenance_mut(range + page * index), page) };
        }
    }
}

/// Unmaps one spare. Returns false if none is left. Async-signal-safe.
fn give_up_a_spare() -> bool {
    SPARES.iter().any(|spare| {
        let at = spare.swap(0, Ordering::AcqRel);
        // SAFETY: `make_spares` mapped the page, nothing uses it, and the swap gives it to this thread alone.
        at != 0 && unsafe { libc::munmap(ptr::without_provenance_mut(at), page_size()) } == 0
    })
}

/// The sink: memory that is committed and has its pages already. Mapping it again is not charged to any limit
/// on memory.
#[cfg(target_os = "linux")]
mod sink {
    use std::mem::MaybeUninit;
    use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
    use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

    use rustix::fs::{MemfdFlags, SealFlags};
    use rustix::io::Errno;

    static DESCRIPTOR: AtomicI32 = AtomicI32::new(-1);
    /// With the device, tells the sink from a file that another part of the program opened after closing our
    /// descriptor.
    static INODE: AtomicU64 = AtomicU64::new(0);
    static DEVICE: AtomicU64 = AtomicU64::new(0);

    pub(super) fn prepare() {
        if DESCRIPTOR.load(Ordering::Relaxed) < 0
            && let Ok(fd) = make()
            && let Some((device, inode)) = identity(fd.as_raw_fd())
        {
            DEVICE.store(device, Ordering::Relaxed);
            INODE.store(inode, Ordering::Relaxed);
            DESCRIPTOR.store(fd.into_raw_fd(), Ordering::Release);
        }
    }

    pub(super) fn release() {
        if let Some(fd) = descriptor() {
            DESCRIPTOR.store(-1, Ordering::Release);
            // SAFETY: `prepare` made the descriptor, and nothing uses it any more.
            unsafe { libc::close(fd) };
        }
    }

    /// Returns the sink's descriptor. Async-signal-safe.
    pub(super) fn descriptor() -> Option<i32> {
        let fd = DESCRIPTOR.load(Ordering::Acquire);
        let made = (DEVICE.load(Ordering::Relaxed), INODE.load(Ordering::Relaxed));
        (fd >= 0 && identity(fd) == Some(made)).then_some(fd)
    }

    fn make() -> Result<OwnedFd, Errno> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("shared_memory_sink", flags)?;
        // Checks the limit on file sizes, too: beyond it, the kernel would end the process.
        super::super::reserve(&fd, super::AT_ONCE as u64).map_err(|_| Errno::NOMEM)?;
        // Other programs of this user can open the file.
        rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok(fd)
    }

    fn identity(fd: i32) -> Option<(u64, u64)> {
        let mut found = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: `fstat` fills `found` if it returns 0, and refuses a number that is not a descriptor.
        let found = unsafe { (libc::fstat(fd, found.as_mut_ptr()) == 0).then(|| found.assume_init()) }?;
        #[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "32 bits on some processors")]
        Some((u64::from(found.st_dev), u64::from(found.st_ino)))
    }
}

/// The limits that the sink is for exist on Linux only.
#[cfg(not(target_os = "linux"))]
mod sink {
    pub(super) fn prepare() {}

    pub(super) fn release() {}

    pub(super) fn descriptor() -> Option<i32> {
        None
    }
}
