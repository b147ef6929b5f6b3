//! `Stream`: the newest value.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use shm_segment::layout::native::{Incoming, Kind, MAX_READERS, Newest, Stream as Native, Written};
use shm_segment::layout::{Error as LayoutError, Result as LayoutResult};
use shm_segment::{Options, Segment};

use crate::arrays;
use crate::attached::{Attached, Target};
use crate::error::{Cause, Failure, Result};
use crate::forks::Kept;
use crate::memory::{SMALL, SharedMemory, owner_state, scope, unsigned};
use crate::outgoing::{self, Outgoing};
use crate::raw::{self, Given, Raw};
use crate::received::{Received, layout_of};
use crate::views::{Draft, Frame};
use crate::waits;

/// The newest value, from one writer to any number of readers. The writer never waits.
///
/// Iterating gives the messages as they come. It waits for each without a limit, and ends when the object is
/// closed. With memory of the program, it also ends with the writer.
///
/// ```python
/// >>> name = gsm.generate_name("doc")
/// >>> with gsm.Stream.create(name, 4096) as camera, gsm.Stream.open(name) as viewer:
/// ...     with camera.begin((2, 3, 3)) as pixels:
/// ...         pixels[:] = 255
/// ...     with viewer.frame() as pixels:
/// ...         int(pixels.sum())
/// 4590
///
/// ```
#[pyclass(frozen, weakref, subclass, module = "godot_shared_memory")]
pub(crate) struct Stream {
    attached: Attached<Native>,
    max_memory: Option<u64>,
}

/// The reason why a message was not copied at once.
pub(crate) enum NotTaken {
    /// It is large, so other threads of Python should go on.
    Large,
    Error(LayoutError),
}

impl From<LayoutError> for NotTaken {
    fn from(error: LayoutError) -> Self {
        Self::Error(error)
    }
}

impl From<Box<LayoutError>> for NotTaken {
    fn from(error: Box<LayoutError>) -> Self {
        Self::Error(*error)
    }
}

/// Copies a message unless it is large.
pub(crate) fn copy_small(message: &Incoming<'_>) -> std::result::Result<Received, NotTaken> {
    if message.length() > SMALL { Err(NotTaken::Large) } else { Ok(Received::copy(message)?) }
}

/// Returns the number of a role that Python has given.
pub(crate) fn count(name: &str, number: i64, least: u32, most: u32) -> Result<u32> {
    let found = u32::try_from(number).ok().filter(|number| (least..=most).contains(number));
    found.ok_or_else(|| Failure::argument(name, number, &format!("from {least} to {most}")))
}

/// Returns the failure of a call that makes memory of a size.
pub(crate) fn creation_failure(argument: &str, error: LayoutError) -> Failure {
    match error {
        LayoutError::InvalidElementSize { given, limit, .. } => {
            Failure::argument(argument, given, &format!("from 1 to {limit}"))
        }
        other => other.into(),
    }
}

/// Returns a message, or `None` for the error that there is none.
pub(crate) fn if_any<T>(result: LayoutResult<T>) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(LayoutError::Empty) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Stream {
    fn with(attached: Attached<Native>, max_memory: Option<u64>) -> Self {
        Self { attached, max_memory }
    }

    fn get<R>(&self, py: Python<'_>, get: impl FnOnce(&Native, &Segment) -> LayoutResult<R>) -> Result<R> {
        self.attached.now(py, get)
    }

    fn newest<R>(&self, py: Python<'_>, get: impl FnOnce(Newest) -> R) -> Result<Option<R>> {
        self.attached.now(py, |stream, segment| if_any(stream.newest(segment).map(get)))
    }

    /// Returns the newest message.
    fn take(&self, py: Python<'_>) -> Result<Option<Received>> {
        let taken = self.attached.now(py, |stream, segment| match stream.read(segment, copy_small) {
            Ok(received) => Ok(Some(Some(received))),
            Err(NotTaken::Large) => Ok(None),
            Err(NotTaken::Error(LayoutError::Empty)) => Ok(Some(None)),
            Err(NotTaken::Error(error)) => Err(Failure::from(error)),
        })?;
        match taken {
            Some(taken) => Ok(taken),
            None => self.attached.copying(py, |stream, segment| if_any(stream.read(segment, Received::copy))),
        }
    }

    pub(crate) fn target(&self) -> Result<Kept<Target<Native>>> {
        self.attached.target()
    }
}

#[pymethods]
impl Stream {
    /// Makes memory for messages of up to `max_message_size` bytes, with pins for `readers` (0 to 64).
    ///
    /// Decoding a value takes at most `max_memory` bytes. By default, that is 32 times the message, and 1 GiB
    /// at most.
    ///
    /// Raises ExistsError if a living program owns the name, ArgumentError, OutOfMemoryError or AccessError.
    #[classmethod]
    #[pyo3(signature = (name, max_message_size, readers = 2, *, scope = 0, max_memory = None))]
    fn create(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        name: &str,
        max_message_size: i64,
        readers: i64,
        scope: i64,
        max_memory: Option<u64>,
    ) -> Result<Self> {
        let options = Options::new(name).scope(self::scope(scope)?);
        let size = u64::try_from(max_message_size).ok().filter(|size| *size > 0);
        let size =
            size.ok_or_else(|| Failure::argument("max_message_size", max_message_size, "1 or more"))?;
        let readers = count("readers", readers, 0, MAX_READERS)?;
        let made = py.detach(|| Native::create(&options, size, readers));
        let (segment, stream) = made.map_err(|error| creation_failure("max_message_size", error))?;
        Ok(Self::with(Attached::made(segment, stream), max_memory))
    }

    /// Follows a name: uses the memory that it leads to, now and later.
    ///
    /// Raises ArgumentError for a bad name. Calls raise UnavailableError while there is no memory.
    #[classmethod]
    #[pyo3(signature = (name, *, max_memory = None))]
    fn open(_class: &Bound<'_, PyType>, py: Python<'_>, name: &str, max_memory: Option<u64>) -> Result<Self> {
        Ok(Self::with(py.detach(|| Attached::following(name))?, max_memory))
    }

    /// Uses memory of the program, and lays it out if it is all zeros.
    ///
    /// A size of 0 takes what is there. Raises ArgumentError, DataError, BusyError or UnavailableError.
    #[classmethod]
    #[pyo3(signature = (memory, max_message_size = 0, readers = 2, *, max_memory = None))]
    fn attach(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        memory: &Bound<'_, SharedMemory>,
        max_message_size: i64,
        readers: i64,
        max_memory: Option<u64>,
    ) -> Result<Self> {
        let memory = memory.get().memory()?;
        let size = unsigned("max_message_size", max_message_size)?;
        let readers = count("readers", readers, 0, MAX_READERS)?;
        let stream = py.detach(|| Native::attach(&memory.segment, size, readers));
        let stream = stream.map_err(|error| creation_failure("max_message_size", error))?;
        Ok(Self::with(Attached::to(memory, stream), max_memory))
    }

    /// Publishes a value.
    ///
    /// Raises InUseError if there is another writer, and ArgumentError if the value is too long. Raises
    /// TypeError or OverflowError for a value that no message can hold.
    fn write(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> Result<()> {
        let limit = || self.get(py, |stream, _| Ok(stream.max_message_size()));
        let message = Outgoing::of(value, limit)?;
        // The message lives longer than the result.
        let write = |stream: &Native, segment: &Segment| {
            stream.write(segment, &message.message()).map_err(outgoing::failure)
        };
        self.attached.now(py, write)
    }

    /// Returns the newest value, even if it was read before. None before the first one.
    ///
    /// Raises DataError for an invalid message, OutOfMemoryError, or BusyError if it changes faster than it
    /// is read.
    fn read<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyAny>>> {
        self.take(py)?.map(|received| received.into_value(py, self.max_memory)).transpose()
    }

    /// Returns the newest message as it is in the memory, with its age. None before the first one.
    ///
    /// Nothing is decoded, so `write_raw()` passes any message on. Raises the exceptions of `read`.
    fn read_raw<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyAny>>> {
        let copy = |message: &Incoming<'_>, written: Written| Raw::of_stream(message, written.age());
        let read =
            |stream: &Native, segment: &Segment| if_any(stream.read_written::<_, LayoutError>(segment, copy));
        self.attached.copying(py, read)?.map(|raw| raw.into_python(py)).transpose()
    }

    /// Publishes a message that was written `message.age` seconds ago. None is an unknown age.
    ///
    /// Raises ArgumentError for a message that is too long, or whose tag, shape and content contradict each
    /// other. Raises InUseError if there is another writer. The bytes of a value are not looked at.
    fn write_raw(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> Result<()> {
        let given = Given::of(message)?;
        self.attached.now(py, |stream, segment| {
            stream.write_aged(segment, &given.message(), given.age()).map_err(raw::failure)
        })
    }

    /// Copies the newest content into a writable buffer, and returns its bytes. None before the first
    /// message.
    ///
    /// Raises ArgumentError if the buffer is too small; the message stays unread.
    fn read_into(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> Result<Option<u64>> {
        arrays::with_writable(py, buffer, |bytes| {
            let mut too_small = None;
            let read = self.attached.now(py, |stream, segment| {
                if_any(stream.read(segment, |message| {
                    let (size, room) = (message.length(), bytes.len() as u64);
                    match usize::try_from(size).ok().and_then(|size| bytes.get_mut(..size)) {
                        Some(bytes) => message.read(0, bytes).map(|()| size),
                        None => {
                            too_small = Some((size, room));
                            Err(LayoutError::TooLarge { size, limit: room })
                        }
                    }
                }))
            });
            match too_small {
                Some((size, room)) => {
                    let told = format!("the message has {size} bytes, and buffer has room for {room}");
                    Err(Failure::new(Cause::Argument, told))
                }
                None => read,
            }
        })
    }

    /// Returns the newest message as a view of the memory, without a copy, for a `with` block.
    ///
    /// The view is an array of numpy for numbers and pictures, and otherwise a memoryview of the content. It
    /// is None before the first message. Until the end of the block, the writer leaves the message as it is.
    /// Afterwards, the view stays valid, but later messages may change it. An object has one pin, so a frame
    /// inside another one is a copy. It is one, too, if all pins are taken, or the memory may only be read.
    /// Pictures are as they were sent, also BGR.
    fn frame(slf: &Bound<'_, Self>) -> Frame {
        Frame::new(slf.clone().unbind())
    }

    /// Returns the place of the next message, for a `with` block that draws it without a copy.
    ///
    /// The shape and dtype are those of the message: uint8 for bytes and pictures, int32, int64, float32 or
    /// float64. The block gets an array of numpy, or a memoryview. Its end publishes the message, unless an
    /// exception ends it. Keep no view of it: a later store would change a message that others read.
    #[pyo3(signature = (shape, dtype = None))]
    fn begin(
        slf: &Bound<'_, Self>,
        shape: &Bound<'_, PyAny>,
        dtype: Option<&Bound<'_, PyAny>>,
    ) -> Result<Draft> {
        Draft::new(slf, shape, dtype)
    }

    /// Returns whether there is another message than the one read last.
    fn has_new_data(&self, py: Python<'_>) -> Result<bool> {
        self.get(py, Native::has_new_data)
    }

    /// Returns the bytes of the newest message. None before the first one.
    fn get_message_size(&self, py: Python<'_>) -> Result<Option<u64>> {
        self.newest(py, |newest| newest.length)
    }

    /// Returns the shape of the newest array or picture, () for other messages, and None before the first
    /// one.
    fn get_message_shape<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyTuple>>> {
        let Some(descriptor) = self.newest(py, |newest| newest.descriptor)? else { return Ok(None) };
        let shape = match descriptor.kind {
            Kind::Array { .. } | Kind::Image => layout_of(descriptor)?.shape,
            Kind::Bytes | Kind::Text | Kind::Value => Vec::new(),
        };
        Ok(Some(PyTuple::new(py, shape)?))
    }

    /// Returns the number of the message that was read last; 0 before that.
    fn get_sequence(&self, py: Python<'_>) -> Result<u64> {
        self.get(py, |stream, _| Ok(stream.sequence()))
    }

    /// Returns how many messages were written, but not read here, between those that were.
    fn get_missed_count(&self, py: Python<'_>) -> Result<u64> {
        self.get(py, |stream, _| Ok(stream.missed()))
    }

    /// Returns the seconds since the newest message was written. None if that isn't known.
    fn get_age(&self, py: Python<'_>) -> Result<Option<f64>> {
        let age = self.attached.now(py, |stream, segment| if_any(stream.age(segment)))?;
        Ok(age.flatten().map(|age: Duration| age.as_secs_f64()))
    }

    /// Returns whether there is a writer, or was one.
    fn get_writer_state<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        Ok(owner_state(py, self.get(py, Native::writer_state)?)?)
    }

    /// Returns the bytes of the longest message.
    fn get_capacity(&self, py: Python<'_>) -> Result<u64> {
        self.get(py, |stream, _| Ok(stream.max_message_size()))
    }

    /// Waits until there is a message to read, for `timeout` seconds at most. None is no limit.
    ///
    /// Raises TimeoutError; ConnectionError if the other side has ended; ClosedError if another thread closes
    /// the object.
    #[pyo3(signature = (timeout))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> Result<()> {
        let timeout = waits::timeout(timeout)?;
        let waited = self.attached.waiting(py, timeout, |stream, segment, rest, is_wanted| {
            stopped_if(stream.wait(segment, rest, is_wanted))
        })?;
        waits::finish(waited, "new message", timeout)
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
            match self.wait(py, None) {
                Ok(()) => {}
                // Another one may come under the name.
                Err(failure) if self.attached.goes_on_after(&failure) => continue,
                Err(failure) => return end_of_messages(failure),
            }
            if let Some(message) = self.read(py)? {
                return Ok(Some(message));
            }
        }
    }
}

/// Returns the end of the messages if the other side has ended or the object was closed.
pub(crate) fn end_of_messages<T>(failure: Failure) -> Result<Option<T>> {
    match failure.cause() {
        Some(Cause::Connection | Cause::Closed) => Ok(None),
        _ => Err(failure),
    }
}

/// Returns a wait that was stopped as an error, so that it goes on where a name leads now.
pub(crate) fn stopped_if(waited: LayoutResult<shm_segment::Waited>) -> LayoutResult<shm_segment::Waited> {
    match waited {
        Ok(shm_segment::Waited::Stopped) => Err(LayoutError::Stopped),
        other => other,
    }
}
