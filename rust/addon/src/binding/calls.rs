//! Instances live as long as a call uses them.
//!
//! A method may run a script: what is connected to a signal, a `Logger`, the `NOTIFICATION_PREDELETE` of an object that
//! the method lets go of. The script may drop the last reference to the object whose method is running, and the engine
//! then frees the object on the spot. So an instance that the engine gives back during a call of its own, on this
//! thread, stays until the outermost of these calls returns. Any other instance is dropped at once.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ptr;

use super::call::MethodData;

/// A call that is under way, in the stack frame of the call itself.
struct Frame {
    /// Null for a static method.
    instance: *const (),
    method: &'static MethodData,
    /// The call that has led to this one, or null.
    outer: *const Self,
}

/// A thread's calls that are under way.
struct Calls {
    innermost: Cell<*const Frame>,
    /// Whether [`GIVEN_BACK`] has an instance.
    has_given_back: Cell<bool>,
}

thread_local! {
    /// Without a destructor, so that access to it needs no check.
    // On Windows, clippy doesn't see that both are const.
    #[cfg_attr(windows, allow(clippy::missing_const_for_thread_local))]
    static CALLS: Calls = const {
        Calls { innermost: Cell::new(ptr::null()), has_given_back: Cell::new(false) }
    };
    #[cfg_attr(windows, allow(clippy::missing_const_for_thread_local))]
    static GIVEN_BACK: RefCell<Vec<GivenBack>> = const { RefCell::new(Vec::new()) };
}

impl Calls {
    /// Returns whether a call that is under way uses this instance.
    fn uses(&self, instance: *const ()) -> bool {
        let mut frame = self.innermost.get();
        // SAFETY: null, or the frame of a call that is under way: `End` takes it off the list before it goes.
        while let Some(call) = unsafe { frame.as_ref() } {
            if ptr::addr_eq(call.instance, instance) {
                return true;
            }
            frame = call.outer;
        }
        false
    }
}

/// An instance that the engine has given back. A raw pointer, since a method may still have a reference to it.
struct GivenBack(*mut dyn Any);

impl GivenBack {
    /// # Safety
    /// No call uses the instance.
    unsafe fn drop(self) {
        // SAFETY: `free` got the pointer from `Box::into_raw`, and there is one `GivenBack` of it. Nothing uses it, by
        // this function's contract.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// Ends the call of a frame, also where the method has panicked.
struct End<'a>(&'a Frame);

impl Drop for End<'_> {
    #[inline]
    fn drop(&mut self) {
        CALLS.with(|calls| {
            calls.innermost.set(self.0.outer);
            if calls.has_given_back.get() {
                drop_given_back(calls);
            }
        });
    }
}

/// Makes a call of `method` of `instance`.
#[inline]
pub(super) fn during<R>(instance: *const (), method: &'static MethodData, call: impl FnOnce() -> R) -> R {
    let frame = CALLS.with(|calls| Frame { instance, method, outer: calls.innermost.get() });
    let _end = End(&frame);
    CALLS.with(|calls| calls.innermost.set(&raw const frame));
    call()
}

/// Returns the class and the name of the method that is under way on this thread.
#[cold]
pub(crate) fn current_method() -> (&'static str, &'static str) {
    // SAFETY: null, or the frame of a call that is under way, as in `uses`.
    let frame = CALLS.with(|calls| unsafe { calls.innermost.get().as_ref() });
    frame.map_or(("", ""), |frame| frame.method.name)
}

/// Drops the instances that no call uses any more.
#[cold]
fn drop_given_back(calls: &Calls) {
    let unused = GIVEN_BACK.try_with(|given_back| {
        let mut given_back = given_back.borrow_mut();
        let unused: Vec<_> = given_back.extract_if(.., |one| !calls.uses(one.0.cast())).collect();
        calls.has_given_back.set(!given_back.is_empty());
        unused
    });
    // The list is not borrowed any more: to drop one may run a script, which may call methods and give back more.
    for instance in unused.unwrap_or_default() {
        // SAFETY: no call of this thread uses it, as was just found. `free` says why no other thread does.
        unsafe { instance.drop() };
    }
}

/// Drops an instance once no call of this thread uses it any more.
///
/// # Safety
/// `instance` came from `Box::into_raw`, and nothing uses it but calls that are under way on this thread.
pub(super) unsafe fn free(instance: *mut dyn Any) {
    CALLS.with(|calls| {
        if calls.uses(instance.cast()) {
            calls.has_given_back.set(true);
            // Where the thread is ending, the list is gone: the instance is never dropped, rather than too early.
            let _ = GIVEN_BACK.try_with(|given_back| given_back.borrow_mut().push(GivenBack(instance)));
        } else {
            // SAFETY: no call of this thread uses it, and by this function's contract nothing else does.
            unsafe { GivenBack(instance).drop() };
        }
    });
}
