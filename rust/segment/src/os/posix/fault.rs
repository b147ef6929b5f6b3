//! What happens when a peer takes pages away in the middle of a copy.
//!
//! Touching a mapped page behind the end of its file raises SIGBUS (`mmap(2)`), which ends the process. There is no
//! way to ask beforehand: the file may be truncated between the question and the touch. So every mapping is
//! *watched*: a handler for SIGBUS looks up the address, and if it lies in a watched mapping, puts pages of zeros
//! there, notes that the memory is gone, and lets the copy go on to its end; who copied looks at the note
//! afterwards. libwayland does the same for the buffers of its clients (`wl_shm_buffer_begin_access`).
//!
//! Only this crate touches watched mappings, so a fault in one of them is always that of one of its copies. Any
//! other fault goes on to the handler that was installed before, or ends the process as it would have.
//!
//! The handler may run at any instruction of any thread. It therefore takes no lock, allocates nothing, and reads
//! nothing but atomics: a list of blocks of slots, one slot a mapping, which is only ever appended to.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, PoisonError};

/// A mapping whose faults are caught, as long as this lives.
#[derive(Debug)]
pub(crate) struct Watch {
    slot: &'static Slot,
}

/// Where one mapping is noted. `start` is 0 while the slot is free or about to change.
#[derive(Debug)]
struct Slot {
    taken: AtomicBool,
    start: AtomicUsize,
    end: AtomicUsize,
    faulted: AtomicBool,
}

impl Slot {
    const fn new() -> Self {
        Self {
            taken: AtomicBool::new(false),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            faulted: AtomicBool::new(false),
        }
    }
}

const SLOTS_IN_BLOCK: usize = 64;

/// Slots, and where the next ones are.
struct Block {
    slots: [Slot; SLOTS_IN_BLOCK],
    next: AtomicPtr<Self>,
}

impl Block {
    const fn new() -> Self {
        Self { slots: [const { Slot::new() }; SLOTS_IN_BLOCK], next: AtomicPtr::new(ptr::null_mut()) }
    }

    fn next(&self) -> Option<&'static Self> {
        // SAFETY: null, or a block that was leaked for this list and is never freed.
        unsafe { self.next.load(Ordering::Acquire).as_ref() }
    }
}

static FIRST: Block = Block::new();

/// Who installs, appends or removes. Never taken by the handler.
static CHANGES: Mutex<()> = Mutex::new(());

fn blocks() -> impl Iterator<Item = &'static Block> {
    std::iter::successors(Some(&FIRST), |block| block.next())
}

impl Watch {
    /// Watches `length` bytes from `start` on, which must be mapped as long as this lives.
    pub(crate) fn new(start: *const u8, length: usize) -> Self {
        let _guard = CHANGES.lock().unwrap_or_else(PoisonError::into_inner);
        install();
        let slot = blocks()
            .flat_map(|block| &block.slots)
            .find(|slot| !slot.taken.load(Ordering::Relaxed))
            .unwrap_or_else(append);
        slot.taken.store(true, Ordering::Relaxed);
        slot.faulted.store(false, Ordering::Relaxed);
        slot.end.store(start.addr().saturating_add(length), Ordering::Release);
        slot.start.store(start.addr(), Ordering::Release);
        Self { slot }
    }

    /// Was memory found to be missing? Then what was copied before this call is not to be believed.
    pub(crate) fn faulted(&self) -> bool {
        self.slot.faulted.load(Ordering::Acquire)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.slot.start.store(0, Ordering::Release);
        fence(Ordering::SeqCst);
        self.slot.taken.store(false, Ordering::Release);
    }
}

/// Adds a block to the list, and returns its first slot.
fn append() -> &'static Slot {
    let block: &'static Block = Box::leak(Box::new(Block::new()));
    if let Some(last) = blocks().last() {
        last.next.store(ptr::from_ref(block).cast_mut(), Ordering::Release);
    }
    &block.slots[0]
}

/// The slot of the mapping that `address` lies in.
fn watched(address: usize) -> Option<(&'static Slot, usize)> {
    blocks().flat_map(|block| &block.slots).find_map(|slot| {
        let start = slot.start.load(Ordering::Acquire);
        let end = slot.end.load(Ordering::Acquire);
        // A slot that is being given to another mapping has another start by now.
        let stable = slot.start.load(Ordering::Acquire) == start;
        (start != 0 && stable && (start..end).contains(&address)).then_some((slot, end))
    })
}

/// The handler that was there before ours.
struct Previous(UnsafeCell<MaybeUninit<libc::sigaction>>);

// SAFETY: written under `CHANGES`, before `INSTALLED` says that it may be read.
unsafe impl Sync for Previous {}

static PREVIOUS: Previous = Previous(UnsafeCell::new(MaybeUninit::uninit()));
static INSTALLED: AtomicBool = AtomicBool::new(false);
/// A fault that isn't ours is with the previous handler.
static PASSING_ON: AtomicBool = AtomicBool::new(false);

/// Makes `on_fault` the handler. Called at each new mapping: somebody may have installed another one meanwhile, and
/// ours must be asked first. `CHANGES` must be held.
fn install() {
    if cfg!(miri) {
        return; // It has no signals.
    }
    let Some(current) = current_action() else { return };
    if current.sa_sigaction == handler_address() {
        return;
    }
    // SAFETY: all zeros is a valid `sigaction`: no flags, an empty mask.
    let mut ours: libc::sigaction = unsafe { std::mem::zeroed() };
    ours.sa_sigaction = handler_address();
    // On the thread's alternative stack if it has one, as the engine's crash handler may want.
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `CHANGES` is held. A handler that runs meanwhile reads it only if we were installed before; then it
    // is the same value but for the case that somebody else replaced us, whose handler runs instead of ours.
    unsafe { (*PREVIOUS.0.get()).write(current) };
    // SAFETY: `ours` is complete, and its handler keeps the rules of signal handlers.
    if unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut()) } == 0 {
        INSTALLED.store(true, Ordering::Release);
    }
}

/// Puts the previous handler back, if ours is the current one. For a library that is about to be unloaded.
pub fn uninstall() {
    let _guard = CHANGES.lock().unwrap_or_else(PoisonError::into_inner);
    let is_ours = current_action().is_some_and(|current| current.sa_sigaction == handler_address());
    if is_ours && INSTALLED.load(Ordering::Acquire) {
        // SAFETY: `INSTALLED` says that it was written; it came from the system.
        unsafe { libc::sigaction(libc::SIGBUS, (*PREVIOUS.0.get()).as_ptr(), ptr::null_mut()) };
    }
}

fn handler_address() -> libc::sighandler_t {
    on_fault as *const () as libc::sighandler_t
}

fn current_action() -> Option<libc::sigaction> {
    let mut current = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: asks only; the system fills `current` where it returns 0.
    unsafe {
        (libc::sigaction(libc::SIGBUS, ptr::null(), current.as_mut_ptr()) == 0).then(|| current.assume_init())
    }
}

unsafe extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: with SA_SIGINFO, the system passes a valid `info`; for SIGBUS it holds an address.
    let address = unsafe { (*info).si_addr() }.addr();
    if let Some((slot, end)) = watched(address)
        && replace(slot, address, end)
    {
        return;
    }
    // SAFETY: as received.
    unsafe { pass_on(signal, info, context) };
}

/// Puts zeros where there is nothing any more, from the page of `address` on to the mapping's end.
fn replace(slot: &Slot, address: usize, end: usize) -> bool {
    let saved = errno();
    // Before the pages change: whoever sees the zeros must be able to see the note.
    slot.faulted.store(true, Ordering::SeqCst);
    fence(Ordering::SeqCst);
    // SAFETY: asks for a constant of the system. Not on POSIX's list of what a handler may call, but a plain look-up
    // in every C library we run on.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    let from = address & !(page - 1);
    // SAFETY: replaces pages of a watched mapping, which stays mapped until its `Watch` is dropped, and the thread
    // that faulted is using it right now. No Rust reference leads to these bytes. `mmap` is a plain system call.
    let mapped = unsafe {
        libc::mmap(
            ptr::without_provenance_mut(from),
            end - from,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    set_errno(saved);
    mapped != libc::MAP_FAILED
}

/// What would have happened without us.
///
/// # Safety
/// The arguments are those that the system passed to the handler.
unsafe fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // Somebody who installed a handler after ours may hand the fault back to us. Once around is enough.
    let first_time = !PASSING_ON.swap(true, Ordering::AcqRel);
    if first_time && INSTALLED.load(Ordering::Acquire) {
        // SAFETY: `INSTALLED` says that it was written.
        let previous = unsafe { (*PREVIOUS.0.get()).assume_init_ref() };
        if previous.sa_sigaction != libc::SIG_DFL && previous.sa_sigaction != libc::SIG_IGN {
            if previous.sa_flags & libc::SA_SIGINFO != 0 {
                type Detailed = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
                // SAFETY: with this flag, the system would have called it with this type.
                unsafe {
                    std::mem::transmute::<usize, Detailed>(previous.sa_sigaction)(signal, info, context)
                };
            } else {
                // SAFETY: without the flag, with this one.
                unsafe {
                    std::mem::transmute::<usize, unsafe extern "C" fn(c_int)>(previous.sa_sigaction)(signal);
                }
            }
            PASSING_ON.store(false, Ordering::Release);
            return;
        }
    }
    // Nobody wants it: when this returns, the instruction faults again, and the process ends with SIGBUS.
    // SAFETY: the default action has no handler that could be wrong.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
}

#[cfg(any(target_os = "linux", target_os = "emscripten", target_os = "redox"))]
fn errno_location() -> *mut c_int {
    // SAFETY: no preconditions.
    unsafe { libc::__errno_location() }
}

#[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
fn errno_location() -> *mut c_int {
    // SAFETY: no preconditions.
    unsafe { libc::__errno() }
}

#[cfg(any(target_vendor = "apple", target_os = "freebsd", target_os = "dragonfly"))]
fn errno_location() -> *mut c_int {
    // SAFETY: no preconditions.
    unsafe { libc::__error() }
}

fn errno() -> c_int {
    // SAFETY: the C library's own variable of this thread.
    unsafe { *errno_location() }
}

fn set_errno(value: c_int) {
    // SAFETY: as above.
    unsafe { *errno_location() = value };
}
