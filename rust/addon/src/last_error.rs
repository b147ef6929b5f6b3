//! What `get_last_error()` tells: the same three methods in each class.

use std::sync::{Mutex, MutexGuard, PoisonError};

use godot::builtin::{GString, Variant};
use godot::global::{Error as Code, push_error};

use crate::class::{Class, Definition, ErrorCode};
use crate::error::Failure;

/// The failure that an object remembers.
#[derive(Default)]
pub(crate) struct LastError(Mutex<Option<Failure>>);

/// A class whose objects remember one.
pub(crate) trait Fallible: Class {
    fn last_error(&self) -> &LastError;
}

/// The methods that tell of it.
pub(crate) fn define<C: Fallible>(class: &mut Definition<C>) {
    class.method::<(), ErrorCode>("get_last_error", &[], &[], |object: &C| object.last_error().code());
    class.method::<(), GString>("get_last_error_message", &[], &[], |object: &C| {
        object.last_error().message()
    });
    class.method::<(), ()>("clear_last_error", &[], &[], |object: &C| object.last_error().clear());
}

impl LastError {
    /// Remembers a failure, and says it if it is the script's fault.
    #[cold]
    pub(crate) fn fail<C: Class>(&self, method: &str, failure: Failure) -> ErrorCode {
        report::<C>(method, &failure);
        self.remember(failure)
    }

    pub(crate) fn remember(&self, failure: Failure) -> ErrorCode {
        let code = failure.code();
        *self.get() = Some(failure);
        code
    }

    pub(crate) fn clear(&self) {
        *self.get() = None;
    }

    fn code(&self) -> ErrorCode {
        self.get().as_ref().map_or(ErrorCode(Code::OK), Failure::code)
    }

    fn message(&self) -> GString {
        self.get().as_ref().map(|failure| GString::from(&failure.message)).unwrap_or_default()
    }

    /// A failure is stored whole, so one who panicked has left none half done.
    fn get(&self) -> MutexGuard<'_, Option<Failure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prints a failure if it is the script's fault.
pub(crate) fn report<C: Class>(method: &str, failure: &Failure) {
    if failure.is_misuse() {
        push_error(&[Variant::from(format!("{}.{method}(): {failure}", C::NAME))]);
    }
}
