//! A pair of memory fences of which one side pays for both.
//!
//! Two threads each store one value, then load the other's. Both need a full fence between store and load;
//! otherwise both may miss the other's store. Here one side does this all the time (the *light* fence), and
//! the other rarely (the *heavy* fence). The heavy fence makes every processor that runs a thread of this
//! process execute a full fence. So the light fence only has to restrain the compiler.
//!
//! Linux: `membarrier(2)`, since 4.14. Elsewhere, and where the system refuses that call, both sides execute
//! a full fence. The crate `membarrier` offers the same, but it aborts the process if the system call fails.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, compiler_fence};

use super::atomic::fence;

/// True if both sides execute a full fence. Set before a value that needs fences is shared, and never
/// changed.
static IS_SYMMETRIC: AtomicBool = AtomicBool::new(true);

/// Chooses the kind of fence, before the first value is published (with `Release`).
pub(super) fn prepare() {
    static PREPARED: OnceLock<()> = OnceLock::new();
    PREPARED.get_or_init(|| IS_SYMMETRIC.store(!system::register(), Ordering::Relaxed));
}

/// Executes the cheap half of the pair: a compiler fence where `membarrier` is available, otherwise a full
/// fence.
#[inline]
pub(super) fn light() {
    if IS_SYMMETRIC.load(Ordering::Relaxed) {
        fence(Ordering::SeqCst);
    } else {
        compiler_fence(Ordering::SeqCst);
    }
}

/// Executes the expensive half of the pair. Returns whether the system allowed it.
#[must_use]
pub(super) fn heavy() -> bool {
    fence(Ordering::SeqCst);
    IS_SYMMETRIC.load(Ordering::Relaxed) || system::barrier()
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
        // SAFETY: the call takes numbers only. A kernel that lacks it returns ENOSYS.
        unsafe { libc::syscall(libc::SYS_membarrier, command, NO_FLAGS, ANY_CPU) }
    }

    /// Registers for [`barrier`], and tries it: a sandbox may allow one of the two.
    pub(super) fn register() -> bool {
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
