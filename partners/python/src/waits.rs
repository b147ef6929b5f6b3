//! Timeouts, and the signals that end a wait.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

use shm_segment::Waited;

use crate::error::{Cause, Failure, Result};
use crate::exit::Waiting;

/// The time that stands for a wait without a limit: some hundred years.
const ENDLESS: Duration = Duration::from_secs(u32::MAX as u64);

thread_local! {
    /// The exception of a signal's handler that has ended a wait of this thread.
    static INTERRUPT: RefCell<Option<PyErr>> = const { RefCell::new(None) };
    /// True in the main thread, which alone runs the handlers. The number tells in which process that was
    /// found.
    static IS_MAIN: Cell<Option<(u32, bool)>> = const { Cell::new(None) };
}

/// Returns the timeout that a program gave in seconds. `None` stands for no limit.
pub(crate) fn timeout(seconds: Option<f64>) -> Result<Duration> {
    let Some(seconds) = seconds else { return Ok(ENDLESS) };
    if seconds.is_nan() || seconds < 0.0 {
        return Err(Failure::argument("timeout", seconds, "None, or a number of seconds from 0 on"));
    }
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(ENDLESS).min(ENDLESS))
}

/// Prepares a wait of this thread, which holds the interpreter.
pub(crate) fn prepare(py: Python<'_>) -> Result<()> {
    let forks = shm_segment::forks();
    if IS_MAIN.get().is_none_or(|(found_in, _)| found_in != forks) {
        let threading = py.import("threading")?;
        let main: u64 = threading.call_method0("main_thread")?.getattr("ident")?.extract()?;
        let this: u64 = threading.call_method0("get_ident")?.extract()?;
        IS_MAIN.set(Some((forks, main == this)));
    }
    Ok(())
}

/// Runs the handlers of signals that have come during a wait. Returns false if one has raised an exception.
pub(crate) fn goes_on() -> bool {
    if !IS_MAIN.get().is_some_and(|(_, is_main)| is_main) {
        return true;
    }
    let checked = Python::try_attach(|py| py.check_signals());
    match checked {
        Some(Err(error)) => {
            INTERRUPT.set(Some(error));
            false
        }
        // Without an interpreter, there is nothing to wait for.
        None => false,
        Some(Ok(())) => true,
    }
}

/// Returns whether a signal has ended the last wait of this thread.
pub(crate) fn is_interrupted() -> bool {
    INTERRUPT.with_borrow(Option::is_some)
}

/// Returns the exception of the signal's handler.
pub(crate) fn take_interrupt() -> PyErr {
    INTERRUPT.take().unwrap_or_else(|| PyKeyboardInterrupt::new_err(()))
}

/// Calls `work`, which may wait, while other threads of Python go on. Its closures call [`goes_on`].
///
/// # Errors
/// [`Failure::Interrupted`] if the handler of a signal has raised an exception.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> Result<T> {
    prepare(py)?;
    // One that no call has taken is of an earlier wait.
    INTERRUPT.set(None);
    let result = py.detach(|| {
        let _waiting = Waiting::begin();
        work()
    });
    if is_interrupted() { Err(Failure::Interrupted) } else { Ok(result) }
}

/// Returns the result of a call that has waited for something.
pub(crate) fn finish(waited: Waited, what: &'static str, timeout: Duration) -> Result<()> {
    Ok(waited.for_what(what, timeout)?)
}

pub(crate) fn stopped() -> Failure {
    Failure::new(Cause::Closed, "this object was closed during the wait")
}
