//! The child of a `fork(2)` in a process that has segments open.
//!
//! Parent and child share each file description, and with it the locks on it. An unlock of the child would
//! take a lock from the parent. While the child keeps a descriptor open, the locks outlive the parent. So the
//! child replaces each descriptor by one of `/dev/null`, which closes its share and unlocks nothing. The
//! mappings stay, so that addresses in them remain valid.
//!
//! The handler in the child runs while other threads' locks may be held forever. So it takes none, allocates
//! nothing, and reads only atomics: a list of blocks of descriptors, which only ever grows.

use std::ffi::c_int;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::IntoRawFd;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::fault;

/// The number of forks that lie between the process that began all this and this process.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// The descriptor of `/dev/null`, once forks are guarded. It stays open.
static NULL: AtomicI32 = AtomicI32::new(NONE);

const NONE: c_int = -1;
const SLOTS: usize = 64;

/// A part of the list, and the next part.
struct Block {
    descriptors: [AtomicI32; SLOTS],
    next: AtomicPtr<Self>,
}

impl Block {
    const fn new() -> Self {
        let next = AtomicPtr::new(ptr::null_mut());
        Self { descriptors: [const { AtomicI32::new(NONE) }; SLOTS], next }
    }
}

static FIRST: Block = Block::new();

fn blocks() -> impl Iterator<Item = &'static Block> {
    // SAFETY: the pointer is null, or leads to a block that was leaked for this list.
    std::iter::successors(Some(&FIRST), |block| unsafe { block.next.load(Ordering::Acquire).as_ref() })
}

/// The entry of a descriptor in the list, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Inherited(Option<&'static AtomicI32>);

impl Inherited {
    /// Adds a descriptor, which must be open for as long as this lives. `None` stands for a segment without
    /// one.
    pub(crate) fn new(descriptor: Option<c_int>) -> Self {
        Self(descriptor.map(add))
    }
}

impl Drop for Inherited {
    fn drop(&mut self) {
        if let Some(slot) = self.0 {
            slot.store(NONE, Ordering::Release);
        }
    }
}

fn add(descriptor: c_int) -> &'static AtomicI32 {
    let free = |slot: &&AtomicI32| {
        slot.compare_exchange(NONE, descriptor, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    loop {
        if let Some(slot) = blocks().flat_map(|block| &block.descriptors).find(free) {
            return slot;
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
    if NULL.load(Ordering::Relaxed) != NONE {
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
    for slot in blocks().flat_map(|block| &block.descriptors) {
        let descriptor = slot.load(Ordering::Acquire);
        if descriptor != NONE && null != NONE {
            // SAFETY: the entry says that the descriptor is one of a segment. Its owner can't close it at
            // this moment: the child has no other thread.
            unsafe {
                libc::dup2(null, descriptor);
                libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
            }
        }
    }
    fault::end_hold();
}
