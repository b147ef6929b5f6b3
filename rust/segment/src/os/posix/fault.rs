//! The handler for SIGBUS: a peer may take pages away in the middle of a copy.
//!
//! Touching a mapped page behind the end of its file raises SIGBUS (`mmap(2)`), which ends the process. A
//! check before the access doesn't help: the file may be truncated between the check and the access. So every
//! mapping is *watched*. The handler looks up the address of a fault. If it lies in a watched mapping, the
//! handler sets a flag and puts other pages in place, so that the copy can end. After the copy, the copying
//! function reads the flag. libwayland treats the buffers of its clients in the same way
//! (`wl_shm_buffer_begin_access`).
//!
//! Only this crate touches watched mappings, so a fault in one of them always comes from one of its copies.
//! Any other fault goes on to the handler that was installed before, or ends the process as it would have
//! without this one.
//!
//! The handler may run at any instruction of any thread. So it takes no lock, allocates nothing, and reads
//! only atomics: a list of blocks of slots, one slot per mapping, which only ever grows.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, compiler_fence, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::errno::{errno, set_errno};
use super::replacement;

/// A mapping whose faults are caught for as long as this lives.
#[derive(Debug)]
pub(crate) struct Watch {
    slot: &'static Slot,
}

/// The entry of one mapping. `start` is 0 while the slot is free or about to change.
#[derive(Debug)]
struct Slot {
    taken: AtomicBool,
    start: AtomicUsize,
    end: AtomicUsize,
    faulted: AtomicBool,
    /// The address of the last fault.
    last: AtomicUsize,
}

impl Slot {
    const fn new() -> Self {
        Self {
            taken: AtomicBool::new(false),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            faulted: AtomicBool::new(false),
            last: AtomicUsize::new(0),
        }
    }
}

const SLOTS_IN_BLOCK: usize = 64;

/// A block of slots, and the next block.
struct Block {
    slots: [Slot; SLOTS_IN_BLOCK],
    next: AtomicPtr<Self>,
}

impl Block {
    const fn new() -> Self {
        Self { slots: [const { Slot::new() }; SLOTS_IN_BLOCK], next: AtomicPtr::new(ptr::null_mut()) }
    }

    fn next(&self) -> Option<&'static Self> {
        // SAFETY: the pointer is null, or leads to a block that was leaked for this list.
        unsafe { self.next.load(Ordering::Acquire).as_ref() }
    }
}

static FIRST: Block = Block::new();

/// Held while a thread installs a handler, or appends or removes entries. The handler never takes it.
static CHANGES: Mutex<()> = Mutex::new(());

/// The guard of [`CHANGES`] during a fork.
struct Held(UnsafeCell<Option<MutexGuard<'static, ()>>>);

// SAFETY: only the thread that holds `CHANGES` uses the value: `hold_changes` after it has locked, and
// `end_hold` before it unlocks.
unsafe impl Sync for Held {}

static HELD: Held = Held(UnsafeCell::new(None));

/// Locks the list until [`end_hold`], which the same thread calls, or the one thread of its child.
pub(super) fn hold_changes() {
    let guard = CHANGES.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: this thread holds the lock, so no other thread uses the value.
    unsafe { *HELD.0.get() = Some(guard) };
}

/// Ends what [`hold_changes`] began.
pub(super) fn end_hold() {
    // SAFETY: this thread holds the lock, or has inherited it, so no other thread uses the value.
    drop(unsafe { (*HELD.0.get()).take() });
}

fn blocks() -> impl Iterator<Item = &'static Block> {
    std::iter::successors(Some(&FIRST), |block| block.next())
}

impl Watch {
    /// Watches `length` bytes from `start` on, which must stay mapped for as long as this lives.
    pub(crate) fn new(start: *const u8, length: usize) -> Self {
        let _guard = CHANGES.lock().unwrap_or_else(PoisonError::into_inner);
        // Only a handler of another part of the program may be there. It can't be replaced now, but ours is
        // below it.
        let _ = install();
        replacement::prepare();
        let slot = blocks()
            .flat_map(|block| &block.slots)
            .find(|slot| !slot.taken.load(Ordering::Acquire))
            .unwrap_or_else(append);
        slot.taken.store(true, Ordering::Relaxed);
        slot.faulted.store(false, Ordering::Relaxed);
        slot.last.store(0, Ordering::Relaxed);
        slot.end.store(start.addr().saturating_add(length), Ordering::Release);
        slot.start.store(start.addr(), Ordering::Release);
        Self { slot }
    }

    /// Returns whether memory was found to be missing. If so, the bytes copied before this call mean nothing.
    #[inline]
    pub(crate) fn faulted(&self) -> bool {
        // The bytes must be copied before the flag is read. The compiler must keep that order for a fault of
        // this thread, and the processor for a fault of another one. The text of `memory.rs` rests on the
        // second fence, too.
        compiler_fence(Ordering::SeqCst);
        fence(Ordering::Acquire);
        self.slot.faulted.load(Ordering::Relaxed)
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

/// Returns the slot of the mapping that contains `address`, with the start and the end of the mapping.
fn watched(address: usize) -> Option<(&'static Slot, (usize, usize))> {
    blocks().flat_map(|block| &block.slots).find_map(|slot| {
        let start = slot.start.load(Ordering::Acquire);
        let end = slot.end.load(Ordering::Acquire);
        // A slot that is being given to another mapping has another start already.
        let stable = slot.start.load(Ordering::Acquire) == start;
        (start != 0 && stable && (start..end).contains(&address)).then_some((slot, (start, end)))
    })
}

/// The handler that was there when ours was first installed: the end of every chain. Set once.
static BELOW: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());
/// The last handler that another part of the program installed over ours, before ours was put on top again.
/// It may pass signals on to ours.
static ABOVE: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

/// Makes `on_fault` the handler. Fails if the system, or a sandbox, refuses that.
///
/// Without the handler, a truncation would end the process. So a segment is made or opened only with it.
pub(crate) fn install_fault_handler() -> io::Result<()> {
    let _guard = CHANGES.lock().unwrap_or_else(PoisonError::into_inner);
    install()
}

/// Called at each new mapping: another handler may have been installed since, and ours must be asked first.
/// `CHANGES` must be held.
fn install() -> io::Result<()> {
    if cfg!(miri) {
        return Ok(()); // Miri has no signals.
    }
    let current = match current_action() {
        Some(current) if current.sa_sigaction == handler_address() => return Ok(()),
        Some(current) => current,
        // The sandbox came after ours was installed.
        None if !BELOW.load(Ordering::Acquire).is_null() => return Ok(()),
        None => return Err(io::Error::last_os_error()),
    };
    // Never changed and never freed: a handler may read it at any time.
    let current: *mut libc::sigaction = Box::into_raw(Box::new(current));
    let first_time = BELOW.load(Ordering::Acquire).is_null();
    (if first_time { &BELOW } else { &ABOVE }).store(current, Ordering::Release);
    // SAFETY: all zeros is a valid `sigaction`: no flags, an empty mask.
    let mut ours: libc::sigaction = unsafe { std::mem::zeroed() };
    ours.sa_sigaction = handler_address();
    // Runs on the thread's alternative stack if it has one, as the engine's crash handler may expect.
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `ours` is complete, and its handler keeps the rules of signal handlers.
    match unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Puts the previous handler back, if ours is the current one. For a library that is about to be unloaded.
///
/// While memory is mapped, the handler stays, and the library stays loaded: somebody is left who uses both.
pub fn uninstall() {
    let _guard = CHANGES.lock().unwrap_or_else(PoisonError::into_inner);
    if blocks().flat_map(|block| &block.slots).any(|slot| slot.taken.load(Ordering::Acquire)) {
        pin();
        return;
    }
    replacement::release();
    // SAFETY: the pointer is null, or leads to an action that is never freed.
    let Some(below) = (unsafe { BELOW.load(Ordering::Acquire).as_ref() }) else { return };
    if current_action().is_some_and(|current| current.sa_sigaction == handler_address()) {
        // SAFETY: the action came from the system.
        unsafe { libc::sigaction(libc::SIGBUS, ptr::from_ref(below), ptr::null_mut()) };
    } else {
        // A handler above ours may still pass signals on to ours: then its code must stay.
        pin();
    }
}

/// Keeps the library with this code from being unloaded.
fn pin() {
    // SAFETY: `dladdr` fills `found` if it doesn't return 0, with a path that lives as long as the library.
    // Opening a library that is already loaded runs none of its code.
    unsafe {
        let mut found: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(handler_address() as *const c_void, &raw mut found) != 0 && !found.dli_fname.is_null()
        {
            libc::dlopen(found.dli_fname, libc::RTLD_NOW | libc::RTLD_NODELETE);
        }
    }
}

fn handler_address() -> libc::sighandler_t {
    on_fault as *const () as libc::sighandler_t
}

fn current_action() -> Option<libc::sigaction> {
    let mut current = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the call only asks. The system fills `current` if it returns 0.
    unsafe {
        (libc::sigaction(libc::SIGBUS, ptr::null(), current.as_mut_ptr()) == 0).then(|| current.assume_init())
    }
}

unsafe extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: with SA_SIGINFO, the system passes a valid `info`.
    let code = unsafe { (*info).si_code };
    // Only the kernel's own faults have an address. A signal that a process sends has its sender there
    // (sigaction(2)).
    if code > 0 {
        // SAFETY: `info` is valid, and has an address for a fault.
        let address = unsafe { (*info).si_addr() }.addr();
        if let Some((slot, range)) = watched(address)
            && replace(slot, address, range)
        {
            return;
        }
    }
    // SAFETY: the arguments are passed on unchanged.
    unsafe { pass_on(signal, info, context) };
}

/// Sets the flag, and puts pages where the mapping has none. Their contents mean nothing.
fn replace(slot: &Slot, address: usize, range: (usize, usize)) -> bool {
    let saved = errno();
    // The flag first: a thread that sees the new pages must be able to see it.
    slot.faulted.store(true, Ordering::SeqCst);
    fence(Ordering::SeqCst);
    // Two threads may find the same page missing. Then it is replaced twice, which does no harm.
    let is_again = slot.last.swap(address, Ordering::AcqRel) == address;
    // SAFETY: a watched mapping stays mapped until its `Watch` is dropped. The thread that faulted uses the
    // mapping right now, which keeps the `Watch` alive. No Rust reference leads to these bytes.
    let replaced = unsafe { replacement::replace(address, range, is_again) };
    set_errno(saved);
    replaced
}

/// The threads whose fault is with a handler above ours. If all places are taken, a fault goes below
/// directly.
static WITH_ABOVE: [AtomicUsize; 8] = [const { AtomicUsize::new(0) }; 8];

/// Does what would have happened without this handler.
///
/// # Safety
/// The arguments are those that the system passed to the handler.
unsafe fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: both pointers are null, or lead to actions that are never freed.
    let (above, below) =
        unsafe { (ABOVE.load(Ordering::Acquire).as_ref(), BELOW.load(Ordering::Acquire).as_ref()) };
    if let Some(above) = above {
        // An id of this thread. Not a `thread_local!`, which may allocate at its first use.
        #[allow(
            clippy::unnecessary_cast,
            clippy::cast_possible_truncation,
            reason = "a pointer on some systems, a number as large on others"
        )]
        // SAFETY: the call has no preconditions.
        let thread = unsafe { libc::pthread_self() } as usize;
        // The handler above passes what it doesn't want back to ours: the second time, the signal goes below.
        let is_back = WITH_ABOVE.iter().any(|place| place.load(Ordering::Acquire) == thread);
        let free = |place: &&AtomicUsize| {
            place.compare_exchange(0, thread, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        if !is_back && let Some(place) = WITH_ABOVE.iter().find(free) {
            // SAFETY: the arguments are passed on unchanged.
            unsafe { act(above, signal, info, context) };
            place.store(0, Ordering::Release);
            return;
        }
    }
    if let Some(below) = below {
        // SAFETY: the arguments are passed on unchanged.
        unsafe { act(below, signal, info, context) };
    }
}

/// Does what the system would have done if `action` were the current one.
///
/// # Safety
/// The arguments are those that the system passed to the handler.
unsafe fn act(action: &libc::sigaction, signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: `info` is valid.
    let code = unsafe { (*info).si_code };
    // A process sent it, or it reports a memory error in a page that no thread has touched: no instruction
    // faults again.
    let is_sent = code <= 0 || code == BUS_MCEERR_AO;
    match action.sa_sigaction {
        libc::SIG_IGN if is_sent => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // When the handler returns, the instruction faults again, and SIGBUS ends the process.
            // SAFETY: the default action has no handler that could be wrong.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
            if is_sent {
                // SAFETY: the signal goes to this process, and arrives when the handler returns.
                unsafe { libc::raise(signal) };
            }
        }
        handler if action.sa_flags & libc::SA_SIGINFO != 0 => {
            type Detailed = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
            // SAFETY: with this flag, the handler has this type.
            unsafe { std::mem::transmute::<usize, Detailed>(handler)(signal, info, context) };
        }
        handler => {
            // SAFETY: without the flag, the handler has this type.
            unsafe { std::mem::transmute::<usize, unsafe extern "C" fn(c_int)>(handler)(signal) };
        }
    }
}

/// The code of a memory error in a page that no thread is touching; "action optional" (sigaction(2)).
#[cfg(target_os = "linux")]
const BUS_MCEERR_AO: c_int = libc::BUS_MCEERR_AO;
#[cfg(not(target_os = "linux"))]
const BUS_MCEERR_AO: c_int = 0;
