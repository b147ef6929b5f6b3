//! `get_last_error()`: the same three methods, with the same meaning, in each class.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use godot::builtin::{GString, Variant};
use godot::global::{Error as Code, push_error};

use crate::binding::{Class, Definition, ErrorCode, current_method, methods};
use crate::error::Failure;

/// The failure of the last call that can fail, if it did.
#[derive(Default)]
pub(crate) struct LastError {
    failure: Mutex<Option<Failure>>,
    /// Set if there is a failure. After a success, a call that succeeds only reads this, without the lock.
    is_set: AtomicBool,
}

/// A class whose objects remember the result of the last call.
pub(crate) trait Fallible: Class {
    fn last_error(&self) -> &LastError;

    /// Remembers the result of a call, and reports a failure that is the script's fault.
    fn remember<T>(&self, result: Result<T, Failure>) -> Result<T, ErrorCode> {
        self.last_error().remember(result.inspect_err(report))
    }

    /// Remembers the result of a call that a script makes each frame, and prints nothing.
    fn remember_quietly<T>(&self, result: Result<T, Failure>) -> Result<T, ErrorCode> {
        self.last_error().remember(result)
    }

    fn get_last_error(&self) -> ErrorCode {
        self.last_error().lock().as_ref().map_or(ErrorCode(Code::OK), |failure| ErrorCode(failure.code()))
    }

    fn get_last_error_message(&self) -> GString {
        self.last_error().lock().as_ref().map(|failure| GString::from(failure.message())).unwrap_or_default()
    }

    fn clear_last_error(&self) {
        self.last_error().clear();
    }
}

/// Declares the methods for scripts.
pub(crate) fn define<C: Fallible>(class: &mut Definition<C>) {
    methods!(class, C {
        const fn get_last_error() -> ErrorCode;
        const fn get_last_error_message() -> GString;
        fn clear_last_error();
    });
}

impl LastError {
    #[inline]
    fn remember<T>(&self, result: Result<T, Failure>) -> Result<T, ErrorCode> {
        match result {
            Ok(value) => {
                self.clear();
                Ok(value)
            }
            Err(failure) => Err(self.set(failure)),
        }
    }

    #[cold]
    fn set(&self, failure: Failure) -> ErrorCode {
        let code = ErrorCode(failure.code());
        let mut place = self.lock();
        *place = Some(failure);
        self.is_set.store(true, Ordering::Relaxed);
        code
    }

    #[inline]
    fn clear(&self) {
        if self.is_set.load(Ordering::Relaxed) {
            self.forget();
        }
    }

    #[cold]
    fn forget(&self) {
        let mut place = self.lock();
        *place = None;
        self.is_set.store(false, Ordering::Relaxed);
    }

    /// Locks the failure. A panic can't leave it half stored, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Option<Failure>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prints a failure of the current call if it is the script's fault.
#[cold]
pub(crate) fn report(failure: &Failure) {
    if failure.is_misuse() {
        let (class, method) = current_method();
        push_error(&[Variant::from(format!("{class}.{method}(): {failure}"))]);
    }
}
