//! What keeps an instance while a call uses it.
//!
//! A method may run a script: what is connected to a signal, a `Logger`, the `NOTIFICATION_PREDELETE` of an object that
//! the method lets go of. The script may drop the last reference to the object whose method is running, and the engine
//! then frees the object on the spot. So an instance that the engine gives back during a call of this thread stays
//! until the outermost call returns.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

/// What one thread knows of its calls.
struct Calls {
    /// How many are under way, one inside the other.
    depth: Cell<u32>,
    /// Has an instance been given back to [`GIVEN_BACK`]?
    has_given_back: Cell<bool>,
}

thread_local! {
    /// Without a destructor, so that access to it needs no check.
    // On Windows, clippy doesn't see that both are const.
    #[cfg_attr(windows, allow(clippy::missing_const_for_thread_local))]
    static CALLS: Calls = const { Calls { depth: Cell::new(0), has_given_back: Cell::new(false) } };
    #[cfg_attr(windows, allow(clippy::missing_const_for_thread_local))]
    static GIVEN_BACK: RefCell<Vec<GivenBack>> = const { RefCell::new(Vec::new()) };
}

/// An instance that the engine has given back. A raw pointer, since a method still has a reference to it.
struct GivenBack(*mut dyn Any);

impl Drop for GivenBack {
    fn drop(&mut self) {
        // SAFETY: `free` got the pointer from `Box::into_raw`, and puts it into one `GivenBack` only. No call that could
        // use the instance is under way on this thread.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// A call of a method, until this is dropped.
pub(super) struct Call(PhantomData<*mut ()>);

impl Call {
    #[inline]
    pub(super) fn begin() -> Self {
        CALLS.with(|calls| calls.depth.set(calls.depth.get() + 1));
        Self(PhantomData)
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        CALLS.with(|calls| {
            let depth = calls.depth.get() - 1;
            calls.depth.set(depth);
            if depth == 0 && calls.has_given_back.get() {
                drop_given_back(calls);
            }
        });
    }
}

#[cold]
fn drop_given_back(calls: &Calls) {
    calls.has_given_back.set(false);
    // Taken first: to drop one may run a script, which may call methods and give back more.
    let given_back = GIVEN_BACK.try_with(RefCell::take);
    drop(given_back);
}

/// Drops an instance once no call of this thread can use it any more.
///
/// # Safety
/// `instance` came from `Box::into_raw`, and nothing uses it but calls that are under way on this thread.
pub(super) unsafe fn free(instance: *mut dyn Any) {
    let instance = GivenBack(instance);
    CALLS.with(|calls| {
        if calls.depth.get() == 0 {
            drop(instance);
        } else {
            calls.has_given_back.set(true);
            // Not at all where the thread is ending, rather than too early.
            let _ = GIVEN_BACK.try_with(|given_back| given_back.borrow_mut().push(instance));
        }
    });
}
