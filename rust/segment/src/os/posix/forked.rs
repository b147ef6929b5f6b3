//! The child of a `fork(2)` in a process that has segments open.
//!
//! Parent and child share each file description, and with it the locks on it. An unlock of the child would
//! take a lock from the parent. While the child has a share, the locks outlive the parent. A descriptor is a
//! share, and so is a mapping. So the child replaces each descriptor by one of `/dev/null`, which unlocks
//! nothing. It also maps the same memory again, at the same address, through a description of its own.
//!
//! The handler in the child runs while other threads' locks may be held forever. So it takes none, allocates
//! nothing, and reads only atomics: a list of blocks of entries, which only ever grows.

use std::ffi::{c_int, c_void};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::IntoRawFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::fault;

/// The number of forks that lie between the process that began all this and this process.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// The descriptor of `/dev/null`, once forks are guarded. It stays open.
static NULL: AtomicI32 = AtomicI32::new(FREE);

/// In the place of a descriptor: the entry is free, or about to be one.
const FREE: c_int = -1;
const TAKEN: c_int = -2;
const ENTRIES: usize = 64;

/// The descriptor of a segment, and its mapping.
#[derive(Debug)]
pub(super) struct Entry {
    descriptor: AtomicI32,
    start: AtomicUsize,
    length: AtomicUsize,
    is_writable: AtomicBool,
}

impl Entry {
    const fn new() -> Self {
        Self {
            descriptor: AtomicI32::new(FREE),
            start: AtomicUsize::new(0),
            length: AtomicUsize::new(0),
            is_writable: AtomicBool::new(false),
        }
    }
}

/// A part of the list, and the next part.
struct Block {
    entries: [Entry; ENTRIES],
    next: AtomicPtr<Self>,
}

impl Block {
    const fn new() -> Self {
        let next = AtomicPtr::new(ptr::null_mut());
        Self { entries: [const { Entry::new() }; ENTRIES], next }
    }
}

static FIRST: Block = Block::new();

fn blocks() -> impl Iterator<Item = &'static Block> {
    // SAFETY: the pointer is null, or leads to a block that was leaked for this list.
    std::iter::successors(Some(&FIRST), |block| unsafe { block.next.load(Ordering::Acquire).as_ref() })
}

/// The entry of a segment in the list, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Inherited(Option<&'static Entry>);

impl Inherited {
    /// Adds a segment with this descriptor, which is mapped from `start` on, from its beginning. Both must
    /// stay for as long as this lives. `None` stands for a segment without a descriptor.
    pub(crate) fn new(descriptor: Option<c_int>, start: *const u8, length: usize, is_writable: bool) -> Self {
        Self(descriptor.map(|descriptor| {
            let entry = take_entry();
            entry.start.store(start.addr(), Ordering::Relaxed);
            entry.length.store(length, Ordering::Relaxed);
            entry.is_writable.store(is_writable, Ordering::Relaxed);
            entry.descriptor.store(descriptor, Ordering::Release);
            entry
        }))
    }
}

impl Drop for Inherited {
    fn drop(&mut self) {
        if let Some(entry) = self.0 {
            entry.descriptor.store(FREE, Ordering::Release);
        }
    }
}

fn take_entry() -> &'static Entry {
    let is_taken = |entry: &&Entry| {
        entry.descriptor.compare_exchange(FREE, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    loop {
        if let Some(entry) = blocks().flat_map(|block| &block.entries).find(is_taken) {
            return entry;
        }
        let block = Box::into_raw(Box::new(Block::new()));
        if let Some(last) = blocks().last()
            && last
                .next
                .compare_exchange(ptr::null_mut(), block, Ordering::AcqRel, Ordering::Relaxed)
                .is_err()
        {
            // Another thread was faster.
            // SAFETY: the pointer came from a `Box`, and nothing else has it.
            drop(unsafe { Box::from_raw(block) });
        }
    }
}

/// Returns a number that is another one in each child of a fork, once [`guard_forks`] was called.
pub(crate) fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Makes each child of a fork let go of the segments of its parent, from now on. Only the first call does
/// something.
pub(crate) fn guard_forks() -> io::Result<()> {
    static GUARD: Mutex<()> = Mutex::new(());
    let _guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    if NULL.load(Ordering::Relaxed) != FREE {
        return Ok(());
    }
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    // SAFETY: the handlers keep to their rules: see `hold_changes` and `in_child`.
    match unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) } {
        0 => {
            NULL.store(null.into_raw_fd(), Ordering::Release);
            Ok(())
        }
        number => Err(io::Error::from_raw_os_error(number)),
    }
}

/// Keeps other threads from holding the lock that the child needs for its own segments.
extern "C" fn before() {
    fault::hold_changes();
}

extern "C" fn in_parent() {
    fault::end_hold();
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    let null = NULL.load(Ordering::Acquire);
    for entry in blocks().flat_map(|block| &block.entries) {
        let descriptor = entry.descriptor.load(Ordering::Acquire);
        if descriptor >= 0 && null >= 0 {
            // SAFETY: the entry says that the descriptor and the mapping are those of a segment. Its owner
            // can't let go of them at this moment: the child has no other thread.
            unsafe { let_go(entry, descriptor, null) };
        }
    }
    fault::end_hold();
}

/// Ends the child's shares of the file description of a segment. Async-signal-safe.
///
/// # Safety
/// `descriptor` is open, and `entry` describes its mapping. No other thread exists. No Rust reference leads
/// to the mapping.
unsafe fn let_go(entry: &Entry, descriptor: c_int, null: c_int) {
    let length = entry.length.load(Ordering::Relaxed);
    let start: *mut c_void = ptr::without_provenance_mut(entry.start.load(Ordering::Relaxed));
    let is_writable = entry.is_writable.load(Ordering::Relaxed);
    let protection = if is_writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
    let access = if is_writable { libc::O_RDWR } else { libc::O_RDONLY };
    // SAFETY: by this function's contract, the range is a mapping that only raw pointers lead to. The path
    // ends with a NUL.
    unsafe {
        let again = libc::open(path_of(descriptor).as_ptr().cast(), access | libc::O_CLOEXEC);
        let shared = libc::MAP_SHARED | libc::MAP_FIXED;
        let is_mapped =
            again >= 0 && libc::mmap(start, length, protection, shared, again, 0) != libc::MAP_FAILED;
        if !is_mapped {
            // Without `/proc`, or another user's file. Views see zeros then, and stay valid.
            let private = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
            libc::mmap(start, length, protection, private, -1, 0);
        }
        if again >= 0 {
            libc::close(again);
        }
        libc::dup2(null, descriptor);
        libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
    }
}

/// Returns the path by which the system opens the file of a descriptor again. It ends with a NUL.
fn path_of(descriptor: c_int) -> [u8; 32] {
    const FOLDER: &[u8] = if cfg!(target_os = "linux") { b"/proc/self/fd/" } else { b"/dev/fd/" };
    let mut path = [0; 32];
    path[..FOLDER.len()].copy_from_slice(FOLDER);
    let (mut digits, mut count, mut rest) = ([0; 10], 0, descriptor.unsigned_abs());
    loop {
        digits[count] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        (count, rest) = (count + 1, rest / 10);
        if rest == 0 {
            break;
        }
    }
    for (to, digit) in path[FOLDER.len()..].iter_mut().zip(digits[..count].iter().rev()) {
        *to = *digit;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::path_of;

    #[test]
    fn the_path_of_a_descriptor_ends_with_its_number() {
        for (descriptor, end) in [(0, "/fd/0\0"), (17, "/fd/17\0"), (i32::MAX, "/fd/2147483647\0")] {
            let path = path_of(descriptor);
            let text = String::from_utf8_lossy(&path);
            assert!(text.contains(end), "{text:?}");
        }
    }
}
