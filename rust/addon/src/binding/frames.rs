//! The calls in progress on each thread. An instance lives until none of them uses it.
//!
//! A method may run a script: one that is connected to a signal, a `Logger`, or the `NOTIFICATION_PREDELETE`
//! of an object that the method releases. The script may drop the last reference to the object whose method
//! is running, and the engine frees that object at once. Therefore, an instance that is freed during a call
//! of its own, on the same thread, is kept until the outermost of these calls returns. Any other instance is
//! dropped at once.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ptr;

use super::call::MethodData;

/// A call in progress, in the stack frame of the call itself.
struct Frame {
    /// Null for a static method.
    instance: *const (),
    method: &'static MethodData,
    /// The call that has led to this one, or null.
    outer: *const Self,
}

/// The calls in progress on one thread.
struct Calls {
    innermost: Cell<*const Frame>,
    /// Set while [`DEFERRED`] has an instance.
    has_deferred: Cell<bool>,
}

thread_local! {
    /// Without a destructor, so that access to it needs no check.
    // On Windows, clippy doesn't see that both are const.
    #[cfg_attr(windows, allow(clippy::missing_const_for_thread_local))]
    static CALLS: Calls = const {
        Calls { innermost: Cell::new(ptr::null()), has_deferred: Cell::new(false) }
    };
    #[cfg_attr(windows, allow(clippy::missing_const_for_thread_local))]
    static DEFERRED: RefCell<Vec<Freed>> = const { RefCell::new(Vec::new()) };
}

impl Calls {
    /// Returns whether a call in progress uses this instance.
    fn uses(&self, instance: *const ()) -> bool {
        let mut frame = self.innermost.get();
        // SAFETY: null, or the frame of a call in progress: `End` unlinks a frame before its stack frame
        // goes.
        while let Some(call) = unsafe { frame.as_ref() } {
            if ptr::addr_eq(call.instance, instance) {
                return true;
            }
            frame = call.outer;
        }
        false
    }
}

/// An instance that the engine has freed. A raw pointer, since a method may still have a reference to it.
struct Freed(*mut dyn Any);

impl Freed {
    /// Drops the instance.
    ///
    /// # Safety
    /// No call uses the instance.
    unsafe fn drop(self) {
        // SAFETY: the pointer came from `Box::into_raw` by the contract of `free`, and this is the only
        // `Freed` of it. No call uses it by this function's contract.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// The end of a frame's call, even if the method panics.
struct End<'a> {
    calls: &'a Calls,
    frame: &'a Frame,
}

impl Drop for End<'_> {
    #[inline]
    fn drop(&mut self) {
        self.calls.innermost.set(self.frame.outer);
        if self.calls.has_deferred.get() {
            drop_deferred(self.calls);
        }
    }
}

/// Runs `call`, which is a call of `method` of `instance`.
#[inline]
pub(super) fn during<R>(instance: *const (), method: &'static MethodData, call: impl FnOnce() -> R) -> R {
    // Once per call: in a library, finding a thread's variable is a call of the linker's.
    CALLS.with(|calls| {
        let frame = Frame { instance, method, outer: calls.innermost.get() };
        let _end = End { calls, frame: &frame };
        calls.innermost.set(&raw const frame);
        call()
    })
}

/// Returns the names of the class and of the innermost method that this thread is running.
#[cold]
pub(crate) fn current_method() -> (&'static str, &'static str) {
    // SAFETY: null, or the frame of a call in progress, as in `uses`.
    let frame = CALLS.with(|calls| unsafe { calls.innermost.get().as_ref() });
    frame.map_or(("", ""), |frame| frame.method.name)
}

/// Drops the deferred instances that no call uses any more.
#[cold]
fn drop_deferred(calls: &Calls) {
    let unused = DEFERRED.try_with(|deferred| {
        let mut deferred = deferred.borrow_mut();
        let unused: Vec<_> = deferred.extract_if(.., |freed| !calls.uses(freed.0.cast())).collect();
        calls.has_deferred.set(!deferred.is_empty());
        unused
    });
    // Outside of the borrow: dropping an instance may run a script, which may call methods and free
    // instances.
    for freed in unused.unwrap_or_default() {
        // SAFETY: `uses` found no call of this thread, and no other thread uses it by the contract of `free`.
        unsafe { freed.drop() };
    }
}

/// Drops an instance as soon as no call of this thread uses it.
///
/// # Safety
/// `instance` came from `Box::into_raw` and is freed once. Only calls in progress on this thread use it.
pub(super) unsafe fn free(instance: *mut dyn Any) {
    CALLS.with(|calls| {
        if calls.uses(instance.cast()) {
            calls.has_deferred.set(true);
            // While a thread ends, its list is already gone. The instance then leaks, as it is still in use.
            let _ = DEFERRED.try_with(|deferred| deferred.borrow_mut().push(Freed(instance)));
        } else {
            // SAFETY: no call of this thread uses it, and nothing else does by this function's contract.
            unsafe { Freed(instance).drop() };
        }
    });
}
