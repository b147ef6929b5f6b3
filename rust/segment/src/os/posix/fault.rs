//! What happens when a peer takes pages away in the middle of a copy.
//!
//! Touching a mapped page behind the end of its file raises SIGBUS (`mmap(2)`), which ends the process. There is no
//! way to ask beforehand: the file may be truncated between the question and the touch. So every mapping is
//! *watched*: a handler for SIGBUS looks up the address, and if it lies in a watched mapping, puts other pages
//! there, notes that the memory is gone, and lets the copy go on to its end; who copied looks at the note
//! afterwards. libwayland does the same for the buffers of its clients (`wl_shm_buffer_begin_access`).
//!
//! Only this crate touches watched mappings, so a fault in one of them is always that of one of its copies. Any
//! other fault goes on to the handler that was installed before, or ends the process as it would have.
//!
//! The handler may run at any instruction of any thread. It therefore takes no lock, allocates nothing, and reads
//! nothing but atomics: a list of blocks of slots, one slot a mapping, which is only ever appended to.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, compiler_fence, fence};
use std::sync::{Mutex, PoisonError};

use super::errno::{errno, set_errno};
use super::replacement;

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
    /// Where the last fault was.
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

    /// Was memory found to be missing? Then what was copied before this call is not to be believed.
    pub(crate) fn faulted(&self) -> bool {
        // What was copied before must not be looked at after the note: neither by the compiler, for a fault of this
        // thread, nor by the processor, for one of another.
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

/// The slot of the mapping that `address` lies in, and where that starts and ends.
fn watched(address: usize) -> Option<(&'static Slot, (usize, usize))> {
    blocks().flat_map(|block| &block.slots).find_map(|slot| {
        let start = slot.start.load(Ordering::Acquire);
        let end = slot.end.load(Ordering::Acquire);
        // A slot that is being given to another mapping has another start by now.
        let stable = slot.start.load(Ordering::Acquire) == start;
        (start != 0 && stable && (start..end).contains(&address)).then_some((slot, (start, end)))
    })
}

/// The handler that was there before ours was installed for the first time: the end of every chain. Set once.
static BELOW: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());
/// The last one that somebody installed over ours, before we put ours on top again. It may hand on to ours.
static ABOVE: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

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
    // Never changed and never freed: a handler may be reading it at any time.
    let current: *mut libc::sigaction = Box::into_raw(Box::new(current));
    let first_time = BELOW.load(Ordering::Acquire).is_null();
    (if first_time { &BELOW } else { &ABOVE }).store(current, Ordering::Release);
    // SAFETY: all zeros is a valid `sigaction`: no flags, an empty mask.
    let mut ours: libc::sigaction = unsafe { std::mem::zeroed() };
    ours.sa_sigaction = handler_address();
    // On the thread's alternative stack if it has one, as the engine's crash handler may want.
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `ours` is complete, and its handler keeps the rules of signal handlers.
    unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut()) };
}

/// Puts the handler that was there before back, if ours is the current one. For a library that is about to be
/// unloaded.
pub fn uninstall() {
    let _guard = CHANGES.lock().unwrap_or_else(PoisonError::into_inner);
    replacement::release();
    // SAFETY: null, or an action that is never freed.
    let Some(below) = (unsafe { BELOW.load(Ordering::Acquire).as_ref() }) else { return };
    if current_action().is_some_and(|current| current.sa_sigaction == handler_address()) {
        // SAFETY: it came from the system.
        unsafe { libc::sigaction(libc::SIGBUS, ptr::from_ref(below), ptr::null_mut()) };
    } else {
        // Somebody above us may still hand on to ours: then its code must stay.
        pin();
    }
}

/// Keeps the library that this code is in from being unloaded.
fn pin() {
    // SAFETY: `dladdr` fills `found` where it returns other than 0, with a path that lives as long as the library;
    // opening a library that is loaded already runs none of its code.
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
    // SAFETY: asks only; the system fills `current` where it returns 0.
    unsafe {
        (libc::sigaction(libc::SIGBUS, ptr::null(), current.as_mut_ptr()) == 0).then(|| current.assume_init())
    }
}

unsafe extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: with SA_SIGINFO, the system passes a valid `info`.
    let code = unsafe { (*info).si_code };
    // Only the kernel's own faults have an address: what a process sends has its sender there (sigaction(2)).
    if code > 0 {
        // SAFETY: as above; for a fault it holds an address.
        let address = unsafe { (*info).si_addr() }.addr();
        if let Some((slot, range)) = watched(address)
            && replace(slot, address, range)
        {
            return;
        }
    }
    // SAFETY: as received.
    unsafe { pass_on(signal, info, context) };
}

/// Puts pages where there is nothing any more, and notes it. What they hold means nothing.
fn replace(slot: &Slot, address: usize, range: (usize, usize)) -> bool {
    let saved = errno();
    // Before the pages change: a thread that sees the new ones must be able to see the note.
    slot.faulted.store(true, Ordering::SeqCst);
    fence(Ordering::SeqCst);
    // Two threads at once may find the same place missing: then its pages are replaced twice, which does no harm.
    let is_again = slot.last.swap(address, Ordering::AcqRel) == address;
    // SAFETY: a watched mapping stays mapped until its `Watch` is dropped, which the thread that faulted keeps from
    // happening: it uses the mapping right now. No Rust reference leads to these bytes.
    let replaced = unsafe { replacement::replace(address, range, is_again) };
    set_errno(saved);
    replaced
}

/// Threads whose fault is with a handler above ours. More at once than there are places: they go below.
static WITH_ABOVE: [AtomicUsize; 8] = [const { AtomicUsize::new(0) }; 8];

/// What would have happened without us.
///
/// # Safety
/// The arguments are those that the system passed to the handler.
unsafe fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: both are null, or actions that are never freed.
    let (above, below) =
        unsafe { (ABOVE.load(Ordering::Acquire).as_ref(), BELOW.load(Ordering::Acquire).as_ref()) };
    if let Some(above) = above {
        // A place of this thread's own. Not a `thread_local!`, which may allocate at its first use.
        #[allow(
            clippy::unnecessary_cast,
            clippy::cast_possible_truncation,
            reason = "a pointer on some systems, a number as large on others"
        )]
        // SAFETY: no preconditions.
        let thread = unsafe { libc::pthread_self() } as usize;
        // It hands on to us what it doesn't want; once around is enough.
        let is_back = WITH_ABOVE.iter().any(|place| place.load(Ordering::Acquire) == thread);
        let free = |place: &&AtomicUsize| {
            place.compare_exchange(0, thread, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        if !is_back && let Some(place) = WITH_ABOVE.iter().find(free) {
            // SAFETY: as received.
            unsafe { act(above, signal, info, context) };
            place.store(0, Ordering::Release);
            return;
        }
    }
    if let Some(below) = below {
        // SAFETY: as received.
        unsafe { act(below, signal, info, context) };
    }
}

/// Does what the system would have done, had `action` been the current one.
///
/// # Safety
/// The arguments are those that the system passed to the handler.
unsafe fn act(action: &libc::sigaction, signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: `info` is valid.
    let code = unsafe { (*info).si_code };
    // Sent by a process, or a memory error that nobody has touched yet: no instruction will fault again.
    let is_sent = code <= 0 || code == BUS_MCEERR_AO;
    match action.sa_sigaction {
        libc::SIG_IGN if is_sent => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // When the handler returns, the instruction faults again, and the process ends with SIGBUS.
            // SAFETY: the default action has no handler that could be wrong.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
            if is_sent {
                // SAFETY: a signal to ourselves; it arrives when the handler returns.
                unsafe { libc::raise(signal) };
            }
        }
        handler if action.sa_flags & libc::SA_SIGINFO != 0 => {
            type Detailed = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
            // SAFETY: with this flag, the system would have called it with this type.
            unsafe { std::mem::transmute::<usize, Detailed>(handler)(signal, info, context) };
        }
        handler => {
            // SAFETY: without the flag, with this one.
            unsafe { std::mem::transmute::<usize, unsafe extern "C" fn(c_int)>(handler)(signal) };
        }
    }
}

/// A memory error was found in a page that nobody is touching; "action optional" (sigaction(2)).
#[cfg(target_os = "linux")]
const BUS_MCEERR_AO: c_int = libc::BUS_MCEERR_AO;
#[cfg(not(target_os = "linux"))]
const BUS_MCEERR_AO: c_int = 0;
