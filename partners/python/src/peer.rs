//! `Peer`: two programs talk.

use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use shm_segment::layout::native::{BUFFER_SIZES, Peer as Native};
use shm_segment::layout::{Error as LayoutError, Result as LayoutResult};

use shm_segment::Scope;

use crate::error::{Failure, Result};
use crate::exit::{self, Closable};
use crate::forks::{Kept, Place};
use crate::memory::scope;
use crate::outgoing::{self, Outgoing};
use crate::received::Received;
use crate::stream::{NotTaken, copy_small, end_of_messages};
use crate::waits;
use crate::wrapped::constant;

/// A connection between two programs that open the same name.
///
/// Either may start first, and start again. Iterating gives the messages as they come. It waits for each
/// without a limit, and ends when the partner has ended, or the object is closed.
///
/// ```python
/// >>> name = gsm.generate_name("doc")
/// >>> import threading
/// >>> def game():
/// ...     with gsm.Peer(name) as peer:
/// ...         for message in peer:
/// ...             peer.send({"done": message})
/// >>> threading.Thread(target=game).start()
/// >>> with gsm.Peer(name) as peer:
/// ...     peer.wait_connected(10)
/// ...     peer.request("jump", timeout=10)
/// {'done': 'jump'}
///
/// ```
#[pyclass(frozen, weakref, subclass, module = "godot_shared_memory")]
pub(crate) struct Peer {
    place: Place<Native>,
    max_memory: Option<u64>,
}

impl Closable for Native {
    fn close(&self) {
        Self::close(self);
    }
}

impl Peer {
    fn peer(&self) -> Result<Kept<Native>> {
        self.place.get().ok_or_else(Failure::closed)
    }

    /// Calls `work`, which doesn't wait, and uses no Python.
    fn now<R, E>(&self, work: impl FnOnce(&Native) -> Result<R, E>) -> Result<R>
    where
        Failure: From<E>,
    {
        let peer = self.peer()?;
        Ok(work(&peer)?)
    }

    /// Calls `work`, which may wait, while other threads of Python go on.
    fn waiting<R: Send, E>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&Native) -> Result<R, E> + Send,
    ) -> Result<R>
    where
        Failure: From<E>,
        E: Send,
    {
        let peer = self.peer()?;
        let result = waits::detached(py, || work(&peer))?.map_err(Failure::from);
        if self.place.get().is_none() && result.is_err() {
            return Err(waits::stopped());
        }
        result
    }

    fn value<'py>(&self, py: Python<'py>, received: Received) -> Result<Option<Bound<'py, PyAny>>> {
        Ok(Some(received.into_value(py, self.max_memory)?))
    }
}

/// Opens a peer. Tries again for a while if the other side has made the memory, and has not laid it out. On a
/// busy machine, that takes longer than the one attempt waits.
fn open(name: &str, buffer_size: u64, scope: Scope) -> LayoutResult<Native> {
    const LONGEST: Duration = Duration::from_millis(500);
    let start = Instant::now();
    loop {
        match Native::open(name, buffer_size, scope) {
            Err(LayoutError::NotLaidOutYet { .. }) if start.elapsed() < LONGEST => {}
            other => return other,
        }
    }
}

fn take_small(peer: &Native) -> Result<Option<Option<Received>>> {
    match peer.receive(Duration::ZERO, copy_small) {
        Ok(received) => Ok(Some(Some(received))),
        Err(NotTaken::Large) => Ok(None),
        Err(NotTaken::Error(LayoutError::Empty)) => Ok(Some(None)),
        Err(NotTaken::Error(error)) => Err(error.into()),
    }
}

#[pymethods]
impl Peer {
    #[new]
    #[pyo3(signature = (name, buffer_size = 1 << 20, *, scope = 0, max_memory = None))]
    fn new(
        py: Python<'_>,
        name: &str,
        buffer_size: i64,
        scope: i64,
        max_memory: Option<u64>,
    ) -> Result<Self> {
        let scope = self::scope(scope)?;
        let (least, most) = (*BUFFER_SIZES.start(), *BUFFER_SIZES.end());
        let size = u64::try_from(buffer_size).ok().filter(|size| BUFFER_SIZES.contains(size));
        let limit = || format!("from {least} to {most}");
        let size = size.ok_or_else(|| Failure::argument("buffer_size", buffer_size, &limit()))?;
        let peer = py.detach(|| open(name, size, scope))?;
        let peer = exit::keep(peer.interrupted_unless(waits::goes_on));
        Ok(Self { place: Place::new(Some(peer)), max_memory })
    }

    /// Sends a value. Waits for a partner and for room, for `timeout` seconds at most; None is no limit.
    ///
    /// Raises UnavailableError without a partner and BusyError without room, both without a timeout. Raises
    /// TimeoutError after waiting, and ConnectionError if the partner has ended. Otherwise as `Stream.write`.
    #[pyo3(signature = (value, timeout = Some(0.0)))]
    fn send(&self, py: Python<'_>, value: &Bound<'_, PyAny>, timeout: Option<f64>) -> Result<()> {
        let timeout = waits::timeout(timeout)?;
        let peer = self.peer()?;
        let message = Outgoing::of(value, || Ok(peer.max_message_size()?))?;
        match peer.send(&message.message(), Duration::ZERO) {
            Ok(()) => return Ok(()),
            Err(LayoutError::NoRoom | LayoutError::NotConnected) if !timeout.is_zero() => {}
            Err(error) => return Err(outgoing::failure(error)),
        }
        let message = message.fix()?;
        self.waiting(py, |peer| peer.send(&message.message(), timeout).map_err(outgoing::failure))
    }

    /// Returns the next value. Waits for one, for `timeout` seconds at most; None is no limit.
    ///
    /// Returns None if there is none, and doesn't wait. Raises TimeoutError after waiting. Raises
    /// ConnectionError once after the last message of a partner that has ended, and DataError for a message
    /// that is invalid.
    #[pyo3(signature = (timeout = Some(0.0)))]
    fn receive<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> Result<Option<Bound<'py, PyAny>>> {
        let timeout = waits::timeout(timeout)?;
        match self.now(take_small)? {
            Some(Some(received)) => return self.value(py, received),
            Some(None) if timeout.is_zero() => return Ok(None),
            Some(None) | None => {}
        }
        let received: LayoutResult<Received> =
            self.waiting(py, |peer| Ok::<_, Failure>(peer.receive(timeout, Received::copy)))?;
        match received {
            Ok(received) => self.value(py, received),
            Err(LayoutError::Empty) => Ok(None),
            Err(error) if self.place.get().is_none() => {
                drop(error);
                Err(waits::stopped())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a value, and returns the first one that the partner sends after receiving it.
    ///
    /// Other messages stay for `receive`. Raises BusyError if another thread waits for an answer. Otherwise
    /// as `send` and `receive`.
    #[pyo3(signature = (value, timeout))]
    fn request<'py>(
        &self,
        py: Python<'py>,
        value: &Bound<'py, PyAny>,
        timeout: Option<f64>,
    ) -> Result<Option<Bound<'py, PyAny>>> {
        let timeout = waits::timeout(timeout)?;
        let peer = self.peer()?;
        let message = Outgoing::of(value, || Ok(peer.max_message_size()?))?.fix()?;
        let answer = self.waiting(py, |peer| {
            peer.request::<_, LayoutError>(&message.message(), timeout, Received::copy)
                .map_err(outgoing::failure)
        })?;
        self.value(py, answer)
    }

    /// Waits until `receive` would not wait, for `timeout` seconds at most; None is no limit.
    ///
    /// Raises TimeoutError.
    #[pyo3(signature = (timeout))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> Result<()> {
        let timeout = waits::timeout(timeout)?;
        let waited = self.waiting(py, |peer| peer.wait(timeout))?;
        waits::finish(waited, "message", timeout)
    }

    /// Waits until a partner is connected, for `timeout` seconds at most; None is no limit.
    ///
    /// Raises TimeoutError.
    #[pyo3(signature = (timeout))]
    fn wait_connected(&self, py: Python<'_>, timeout: Option<f64>) -> Result<()> {
        let timeout = waits::timeout(timeout)?;
        let waited = self.waiting(py, |peer| peer.wait_connected(timeout))?;
        waits::finish(waited, "partner", timeout)
    }

    /// Returns whether a partner is connected and lives.
    fn is_connected(&self) -> Result<bool> {
        self.now(Native::is_connected)
    }

    /// Returns whether the object is closed, waits for a partner, or is connected.
    fn get_status<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        let number = match self.place.get() {
            None => 0,
            Some(peer) => match peer.is_connected() {
                Ok(true) => 2,
                Ok(false) => 1,
                Err(LayoutError::Stopped) => 0,
                Err(error) => return Err(error.into()),
            },
        };
        Ok(constant(py, "Status", number)?)
    }

    /// Returns the name.
    fn get_name(&self) -> Result<String> {
        Ok(self.peer()?.name().to_owned())
    }

    /// Returns how many messages can be received before the partner's end.
    fn get_message_count(&self) -> Result<u64> {
        self.now(Native::count)
    }

    /// Returns the bytes that wait to be received.
    fn get_available_bytes(&self) -> Result<u64> {
        self.now(Native::available)
    }

    /// Returns how many answers came after their request had ended.
    fn get_late_answer_count(&self) -> Result<u64> {
        self.now(Native::late_answers)
    }

    /// Returns the bytes of the longest message.
    fn get_max_message_size(&self) -> Result<u64> {
        self.now(Native::max_message_size)
    }

    /// Gives the side back, and ends the calls that wait.
    fn close(&self, py: Python<'_>) {
        if let Some(peer) = self.place.replace(None) {
            py.detach(|| {
                peer.close();
                drop(peer);
            });
        }
    }

    /// Returns whether the object was closed, or belongs to a parent of this process.
    fn is_closed(&self) -> bool {
        self.place.get().is_none()
    }

    fn __enter__(slf: Bound<'_, Self>) -> Result<Bound<'_, Self>> {
        slf.get().peer()?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) {
        self.close(py);
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyAny>>> {
        match self.receive(py, None) {
            Err(failure) => end_of_messages(failure),
            message => message,
        }
    }
}
