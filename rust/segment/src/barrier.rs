//! Two memory barriers that work as a pair: one that costs nothing, and one that pays for both.
//!
//! Where two threads each store something and then look at what the other one has stored, both need a full barrier
//! between the store and the look; otherwise both may miss the other's. Here one side does so all the time (the *light*
//! one) and the other hardly ever (the *heavy* one). The heavy barrier makes every processor that runs a thread of this
//! process execute one, so that the light one only has to keep the compiler from changing the order.
//!
//! Linux: `membarrier(2)`, since 4.14. Elsewhere, and where the system refuses that call, each side executes a fence
//! of its own.
//!
//! The crate `membarrier` offers the same; but it ends the process if the system call fails.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, compiler_fence};

#[cfg(loom)]
use loom::sync::atomic::fence;
#[cfg(not(loom))]
use std::sync::atomic::fence;

/// Each side fences for itself. Set before anything that barriers are needed for is shared, and never changed.
static EACH_FENCES: AtomicBool = AtomicBool::new(true);

/// To be called before the first [`light`] that counts; what is published afterwards must be published with `Release`.
pub(crate) fn prepare() {
    static PREPARED: OnceLock<()> = OnceLock::new();
    PREPARED.get_or_init(|| EACH_FENCES.store(!system::register(), Ordering::Relaxed));
}

/// For the side that is in a hurry.
#[inline]
pub(crate) fn light() {
    if EACH_FENCES.load(Ordering::Relaxed) {
        fence(Ordering::SeqCst);
    } else {
        compiler_fence(Ordering::SeqCst);
    }
}

/// For the other side. False if nothing can be concluded from what is seen after it.
#[must_use]
pub(crate) fn heavy() -> bool {
    fence(Ordering::SeqCst);
    EACH_FENCES.load(Ordering::Relaxed) || system::barrier()
}

#[cfg(all(target_os = "linux", not(miri), not(loom)))]
mod system {
    use std::ffi::{c_int, c_long};

    // `enum membarrier_cmd` of linux/membarrier.h; the crate `libc` has only the number of the call.
    const PRIVATE_EXPEDITED: c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: c_int = 1 << 4;

    fn membarrier(command: c_int) -> c_long {
        const NO_FLAGS: c_int = 0;
        const ANY_CPU: c_int = 0;
        // SAFETY: the call takes numbers only, and touches no memory of ours. A kernel without it says so.
        unsafe { libc::syscall(libc::SYS_membarrier, command, NO_FLAGS, ANY_CPU) }
    }

    /// Asks for the use of [`barrier`]. False if it isn't to be had.
    pub(super) fn register() -> bool {
        // Also tries it: a sandbox may allow the one and not the other.
        membarrier(REGISTER_PRIVATE_EXPEDITED) == 0 && barrier()
    }

    pub(super) fn barrier() -> bool {
        membarrier(PRIVATE_EXPEDITED) == 0
    }
}

#[cfg(not(all(target_os = "linux", not(miri), not(loom))))]
mod system {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn barrier() -> bool {
        false
    }
}
