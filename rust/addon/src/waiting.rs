//! The waits of streams and queues.

use std::thread;
use std::time::{Duration, Instant};

use shm_segment::Waited;
use shm_segment::layout::{Error, Result as LayoutResult};

use crate::args::unsigned;
use crate::error::Result;

/// The time between two looks at a layout whose partners wake nobody.
const PAUSE: Duration = Duration::from_millis(1);

/// The timeout of a call that doesn't wait.
pub(crate) const NOW: Duration = Duration::ZERO;

/// Returns the timeout that a script gave.
pub(crate) fn timeout(timeout_msec: i64) -> Result<Duration> {
    Ok(Duration::from_millis(unsigned("timeout_msec", timeout_msec)?))
}

/// Returns the result of `wait()` for the way in which a wait for a message ended.
pub(crate) fn result_of(waited: Waited, timeout: Duration) -> Result<()> {
    Ok(waited.for_what("new message", timeout)?)
}

/// Calls `attempt` every millisecond until there is a message or room, for a layout whose partners wake
/// nobody. `is_wanted` returns false once the object was detached. Without a timeout, `attempt` decides.
pub(crate) fn retry<T>(
    timeout: Duration,
    is_wanted: &dyn Fn() -> bool,
    mut attempt: impl FnMut() -> LayoutResult<T>,
) -> LayoutResult<T> {
    let start = Instant::now();
    loop {
        let what = match attempt() {
            Err(Error::Empty) if !timeout.is_zero() => "message",
            Err(Error::Full { .. }) if !timeout.is_zero() => "room for the message",
            other => return other,
        };
        let rest = timeout.saturating_sub(start.elapsed());
        if rest.is_zero() {
            return Err(Error::WaitTimedOut { what, waited: timeout });
        }
        thread::sleep(PAUSE.min(rest));
        if !is_wanted() {
            return Err(Error::Stopped);
        }
    }
}

/// Waits as [`retry`] does, until `is_there` returns true.
pub(crate) fn until(
    timeout: Duration,
    is_wanted: &dyn Fn() -> bool,
    is_there: impl Fn() -> LayoutResult<bool>,
) -> Result<()> {
    match retry(timeout, is_wanted, || if is_there()? { Ok(()) } else { Err(Error::Empty) }) {
        Err(Error::Empty | Error::WaitTimedOut { .. }) => result_of(Waited::TimedOut, timeout),
        other => Ok(other?),
    }
}
