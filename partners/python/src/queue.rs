//! `Queue`: every message, in order.

use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple, PyType};
use shm_segment::layout::native::{MAX_PRODUCERS, Queue as Native};
use shm_segment::layout::{Error as LayoutError, Result as LayoutResult};
use shm_segment::{Options, Segment, Waited};
use std::time::Duration;

use crate::attached::Attached;
use crate::error::{Cause, Failure, Result};
use crate::memory::{SharedMemory, scope, unsigned};
use crate::outgoing::{self, Outgoing};
use crate::raw::{self, Given, Raw};
use crate::received::Received;
use crate::stream::{NotTaken, copy_small, count, creation_failure, end_of_messages, if_any, stopped_if};
use crate::waits;

/// The bytes that `peek_raw()` reckons for a message besides its content.
const RAW_OVERHEAD: u64 = 64;

/// Every message in order, from up to 64 producers to one consumer.
///
/// Iterating takes messages out as they come. It waits for each without a limit, and ends when the object is
/// closed. With memory of the program, it also ends with the last producer.
///
/// ```python
/// >>> name = gsm.generate_name("doc")
/// >>> with gsm.Queue.create(name, 4096) as consumer, gsm.Queue.open(name) as producer:
/// ...     producer.enqueue([1, 2])
/// ...     producer.enqueue("text", timeout=1)
/// ...     consumer.dequeue_all()
/// [[1, 2], 'text']
///
/// ```
#[pyclass(frozen, weakref, subclass, module = "godot_shared_memory")]
pub(crate) struct Queue {
    attached: Attached<Native>,
    max_memory: Option<u64>,
}

impl Queue {
    fn get<R>(&self, py: Python<'_>, get: impl FnOnce(&Native, &Segment) -> LayoutResult<R>) -> Result<R> {
        self.attached.now(py, get)
    }

    /// Takes the first message out.
    fn take(&self, py: Python<'_>) -> Result<Option<Received>> {
        let now = Duration::ZERO;
        let taken = self.attached.now(py, |queue, segment| {
            match queue.dequeue(segment, now, || true, copy_small) {
                Ok(received) => Ok(Some(Some(received))),
                Err(NotTaken::Large) => Ok(None),
                Err(NotTaken::Error(LayoutError::Empty)) => Ok(Some(None)),
                Err(NotTaken::Error(error)) => Err(Failure::from(error)),
            }
        })?;
        match taken {
            Some(taken) => Ok(taken),
            None => self
                .attached
                .copying(py, |queue, segment| if_any(queue.dequeue(segment, now, || true, Received::copy))),
        }
    }
}

#[pymethods]
impl Queue {
    /// Makes memory with a buffer of `buffer_size` bytes for each of `producers` (1 to 64).
    ///
    /// Decoding a value takes at most `max_memory` bytes. By default, that is 32 times the message, and 1 GiB
    /// at most.
    ///
    /// Raises ExistsError if a living program owns the name, ArgumentError, OutOfMemoryError or AccessError.
    #[classmethod]
    #[pyo3(signature = (name, buffer_size, producers = 1, *, scope = 0, max_memory = None))]
    fn create(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        name: &str,
        buffer_size: i64,
        producers: i64,
        scope: i64,
        max_memory: Option<u64>,
    ) -> Result<Self> {
        let options = Options::new(name).scope(self::scope(scope)?);
        let size = u64::try_from(buffer_size).ok().filter(|size| *size > 0);
        let size = size.ok_or_else(|| Failure::argument("buffer_size", buffer_size, "1 or more"))?;
        let producers = count("producers", producers, 1, MAX_PRODUCERS)?;
        let made = py.detach(|| Native::create(&options, size, producers));
        let (segment, queue) = made.map_err(|error| creation_failure("buffer_size", error))?;
        Ok(Self { attached: Attached::made(segment, queue), max_memory })
    }

    /// Follows a name: uses the memory that it leads to, now and later.
    ///
    /// Raises ArgumentError for a bad name. Calls raise UnavailableError while there is no memory.
    #[classmethod]
    #[pyo3(signature = (name, *, max_memory = None))]
    fn open(_class: &Bound<'_, PyType>, py: Python<'_>, name: &str, max_memory: Option<u64>) -> Result<Self> {
        Ok(Self { attached: py.detach(|| Attached::following(name))?, max_memory })
    }

    /// Uses memory of the program, and lays it out if it is all zeros.
    ///
    /// A size of 0 takes what is there. Raises ArgumentError, DataError, BusyError or UnavailableError.
    #[classmethod]
    #[pyo3(signature = (memory, buffer_size = 0, producers = 1, *, max_memory = None))]
    fn attach(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        memory: &Bound<'_, SharedMemory>,
        buffer_size: i64,
        producers: i64,
        max_memory: Option<u64>,
    ) -> Result<Self> {
        let memory = memory.get().memory()?;
        let size = unsigned("buffer_size", buffer_size)?;
        let producers = count("producers", producers, 1, MAX_PRODUCERS)?;
        let queue = py.detach(|| Native::attach(&memory.segment, size, producers));
        let queue = queue.map_err(|error| creation_failure("buffer_size", error))?;
        Ok(Self { attached: Attached::to(memory, queue), max_memory })
    }

    /// Puts a value in. Waits for room, for `timeout` seconds at most; None is no limit.
    ///
    /// Raises BusyError if the queue is full, TimeoutError after waiting, and ConnectionError if the consumer
    /// has ended. InUseError says that each lane has a producer. Otherwise as `Stream.write`.
    #[pyo3(signature = (value, timeout = Some(0.0)))]
    fn enqueue(&self, py: Python<'_>, value: &Bound<'_, PyAny>, timeout: Option<f64>) -> Result<()> {
        let timeout = waits::timeout(timeout)?;
        let limit = || match self.get(py, |queue, _| Ok(queue.max_message_size())) {
            // A message that is too long for the memory to come is refused there.
            Err(failure) if failure.cause() == Some(Cause::Unavailable) && !timeout.is_zero() => Ok(u64::MAX),
            other => other,
        };
        let message = Outgoing::of(value, limit)?;
        let now = self.attached.now(py, |queue, segment| {
            match queue.enqueue(segment, &message.message(), Duration::ZERO, || true) {
                Ok(()) => Ok(true),
                Err(LayoutError::NoRoom) if !timeout.is_zero() => Ok(false),
                Err(error) => Err(outgoing::failure(error)),
            }
        });
        match now {
            Ok(true) => return Ok(()),
            Err(failure) if timeout.is_zero() || failure.cause() != Some(Cause::Unavailable) => {
                return Err(failure);
            }
            Ok(false) | Err(_) => {}
        }
        let message = message.fix()?;
        self.attached.waiting(py, timeout, |queue, segment, rest, is_wanted| {
            queue.enqueue(segment, &message.message(), rest, is_wanted).map_err(outgoing::failure)
        })
    }

    /// Takes the first value out. Waits for one, for `timeout` seconds at most; None is no limit.
    ///
    /// Returns None if there is none, and doesn't wait. Raises TimeoutError after waiting, InUseError if
    /// there is another consumer, and ConnectionError if the last producer has ended. A message that can't be
    /// decoded is taken out, and raises DataError.
    #[pyo3(signature = (timeout = Some(0.0)))]
    fn dequeue<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> Result<Option<Bound<'py, PyAny>>> {
        let timeout = waits::timeout(timeout)?;
        let now = match self.take(py) {
            // Memory may appear in time.
            Err(failure) if failure.cause() == Some(Cause::Unavailable) && !timeout.is_zero() => None,
            other => other?,
        };
        let received = match now {
            Some(received) => received,
            None if timeout.is_zero() => return Ok(None),
            None => self.attached.waiting(py, timeout, |queue, segment, rest, is_wanted| {
                queue.dequeue::<_, LayoutError>(segment, rest, is_wanted, Received::copy)
            })?,
        };
        Ok(Some(received.into_value(py, self.max_memory)?))
    }

    /// Takes all values out that are there.
    ///
    /// Raises the exceptions of `dequeue`.
    fn dequeue_all<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyList>> {
        // Not until the queue is empty: with a fast producer, that would never end. The wait takes the role
        // of the consumer, so that all of them are for this object.
        let pending = self.attached.now(py, |queue, segment| {
            match queue.wait(segment, Duration::ZERO, || true)? {
                Waited::Changed => Ok(queue.filled(segment)?.messages),
                Waited::TimedOut | Waited::Stopped => Ok::<_, LayoutError>(0),
            }
        })?;
        let messages = PyList::empty(py);
        for _ in 0..pending {
            let Some(received) = self.take(py)? else { break };
            messages.append(received.into_value(py, self.max_memory)?)?;
        }
        Ok(messages)
    }

    /// Returns the first value, and leaves it there. None if there is none.
    fn peek<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyAny>>> {
        let peek = |queue: &Native, segment: &Segment| if_any(queue.peek(segment, Received::copy));
        let peeked = self.attached.copying(py, peek)?;
        peeked.map(|received| received.into_value(py, self.max_memory)).transpose()
    }

    /// Returns the messages that wait, as they are in the memory, and leaves them there.
    ///
    /// Returns as many as have `max_bytes` bytes, but at least one if there is any. A message counts 64 bytes
    /// besides its content. The messages of a producer are in order. Nothing is decoded: `enqueue_raw()`
    /// passes any message on, and `take_out()` removes it here. A tag of 0 marks a message that this version
    /// can't read. Raises InUseError if there is another consumer, DataError or OutOfMemoryError.
    #[pyo3(signature = (max_bytes = 1 << 20))]
    fn peek_raw<'py>(&self, py: Python<'py>, max_bytes: i64) -> Result<Bound<'py, PyList>> {
        let max_bytes = unsigned("max_bytes", max_bytes)?;
        let found = self.attached.copying(py, |queue, segment| {
            let (mut found, mut bytes) = (Vec::new(), 0_u64);
            queue.look_ahead::<LayoutError>(segment, |place, message| {
                let length = message.as_ref().map_or(0, |message| message.length());
                bytes = bytes.saturating_add(length).saturating_add(RAW_OVERHEAD);
                let is_wanted = found.is_empty() || bytes <= max_bytes;
                if is_wanted {
                    found.push(Raw::of_queue(place, message)?);
                }
                Ok(is_wanted)
            })?;
            Ok::<_, LayoutError>(found)
        })?;
        let messages = PyList::empty(py);
        for raw in found {
            messages.append(raw.into_python(py)?)?;
        }
        Ok(messages)
    }

    /// Takes a message out that `peek_raw()` has returned, if it is still the first one of its producer.
    ///
    /// Returns whether it was. Raises InUseError if there is another consumer, or ArgumentError.
    fn take_out(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> Result<bool> {
        let place = raw::place_of(message)?;
        self.get(py, |queue, segment| queue.take_out(segment, place))
    }

    /// Puts a message in as it was in other memory. Waits for room, for `timeout` seconds at most; None is no
    /// limit.
    ///
    /// Raises ArgumentError for a message that is too long, or whose tag, shape and content contradict each
    /// other, and otherwise the exceptions of `enqueue`. The bytes of a value are not looked at.
    #[pyo3(signature = (message, timeout = Some(0.0)))]
    fn enqueue_raw(&self, py: Python<'_>, message: &Bound<'_, PyAny>, timeout: Option<f64>) -> Result<()> {
        let timeout = waits::timeout(timeout)?;
        let given = Given::of(message)?;
        let message = given.message();
        if timeout.is_zero() {
            return self.attached.now(py, |queue, segment| {
                queue.enqueue(segment, &message, timeout, || true).map_err(raw::failure)
            });
        }
        self.attached.waiting(py, timeout, |queue, segment, rest, is_wanted| {
            queue.enqueue(segment, &message, rest, is_wanted).map_err(raw::failure)
        })
    }

    /// Takes all messages out.
    fn clear(&self, py: Python<'_>) -> Result<()> {
        self.get(py, Native::clear)
    }

    /// Waits until there is a message to read, for `timeout` seconds at most. None is no limit.
    ///
    /// Raises TimeoutError; ConnectionError if the other side has ended; ClosedError if another thread closes
    /// the object.
    #[pyo3(signature = (timeout))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> Result<()> {
        let timeout = waits::timeout(timeout)?;
        let waited = self.attached.waiting(py, timeout, |queue, segment, rest, is_wanted| {
            stopped_if(queue.wait(segment, rest, is_wanted))
        })?;
        waits::finish(waited, "new message", timeout)
    }

    /// Returns whether there is no message.
    fn is_empty(&self, py: Python<'_>) -> Result<bool> {
        Ok(self.get_message_count(py)? == 0)
    }

    /// Returns how many messages wait.
    fn get_message_count(&self, py: Python<'_>) -> Result<u64> {
        Ok(self.get(py, Native::filled)?.messages)
    }

    /// Returns the bytes of the buffers in use.
    fn get_byte_count(&self, py: Python<'_>) -> Result<u64> {
        Ok(self.get(py, Native::filled)?.bytes)
    }

    /// Returns the bytes of all buffers.
    fn get_byte_capacity(&self, py: Python<'_>) -> Result<u64> {
        self.get(py, |queue, _| Ok(queue.capacity()))
    }

    /// Returns the bytes of the longest message.
    fn get_max_message_size(&self, py: Python<'_>) -> Result<u64> {
        self.get(py, |queue, _| Ok(queue.max_message_size()))
    }

    /// Removes all messages.
    ///
    /// Raises InUseError if another object or program has a role.
    fn reset(&self, py: Python<'_>) -> Result<()> {
        self.get(py, Native::reset)
    }

    /// Gives the roles back, and ends the calls that wait. Lets go of the memory.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.attached.close());
    }

    /// Returns whether there is memory to use.
    fn is_attached(&self) -> bool {
        self.attached.target().is_ok()
    }

    /// Returns whether the object was closed, or belongs to a parent of this process.
    fn is_closed(&self) -> bool {
        self.attached.is_closed()
    }

    /// Returns the memory of the moment.
    fn get_memory(&self) -> Result<SharedMemory> {
        Ok(SharedMemory::of(self.attached.target()?.memory.clone()))
    }

    fn __enter__(slf: Bound<'_, Self>) -> Result<Bound<'_, Self>> {
        if slf.get().attached.is_closed() { Err(Failure::closed()) } else { Ok(slf) }
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) {
        self.close(py);
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyAny>>> {
        loop {
            match self.dequeue(py, None) {
                // Another one may come under the name.
                Err(failure) if self.attached.goes_on_after(&failure) => {}
                Err(failure) => return end_of_messages(failure),
                message => return message,
            }
        }
    }
}
