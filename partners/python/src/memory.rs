//! `SharedMemory`: bytes under a name.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use shm_segment::{Access, Backend, Lifetime, Options, OwnerState, Scope, Segment, SegmentInfo};

use crate::arrays;
use crate::error::{Cause, Failure, Result};
use crate::exit::{self, Closable};
use crate::exports::{self, Layout, Region};
use crate::forks::{Kept, Place};
use crate::waits;
use crate::wrapped::constant;

/// The bytes that are copied without letting other threads of Python go on: for less, that takes longer than
/// the copy.
pub(crate) const SMALL: u64 = 1 << 16;

/// An open segment, which several objects may use.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) segment: Segment,
    is_closed: AtomicBool,
}

impl Memory {
    pub(crate) fn keep(segment: Segment) -> Kept<Self> {
        exit::keep(Self { segment, is_closed: AtomicBool::new(false) })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }
}

impl Closable for Memory {
    /// Removes the name, if this program has made it. The mapping stays until the last user has gone.
    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.segment.release_name();
    }
}

/// Returns the scope with this number.
pub(crate) fn scope(number: i64) -> Result<Scope> {
    match number {
        0 => Ok(Scope::Local),
        1 => Ok(Scope::Global),
        _ => Err(Failure::argument("scope", number, "a Scope (0 or 1)")),
    }
}

fn backend(number: i64) -> Result<Backend> {
    let all = Backend::ALL;
    let found = usize::try_from(number).ok().and_then(|number| all.get(number));
    found.copied().ok_or_else(|| Failure::argument("backend", number, "a Backend (0 to 3)"))
}

pub(crate) fn owner_state(py: Python<'_>, state: OwnerState) -> PyResult<Bound<'_, PyAny>> {
    let number = match state {
        OwnerState::Unknown => 0,
        OwnerState::Alive => 1,
        OwnerState::Dead => 2,
    };
    constant(py, "OwnerState", number)
}

fn number_of(scope: Scope) -> i64 {
    match scope {
        Scope::Local => 0,
        Scope::Global => 1,
    }
}

/// Returns a number that Python has given, which must not be negative.
pub(crate) fn unsigned(name: &str, number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| Failure::argument(name, number, "0 or more"))
}

/// Memory under a name, which other programs share: bytes, words, and views without a copy.
///
/// ```python
/// >>> name = gsm.generate_name("doc")
/// >>> with gsm.SharedMemory.create(name, 64) as ours, gsm.SharedMemory.open(name) as theirs:
/// ...     ours.write(b"hello", 10)
/// ...     theirs.read(10, 5)
/// b'hello'
///
/// ```
#[pyclass(frozen, weakref, subclass, module = "godot_shared_memory")]
pub(crate) struct SharedMemory {
    place: Place<Memory>,
}

impl SharedMemory {
    pub(crate) fn of(memory: Kept<Memory>) -> Self {
        Self { place: Place::new(Some(memory)) }
    }

    pub(crate) fn memory(&self) -> Result<Kept<Memory>> {
        self.place.get().filter(|memory| !memory.is_closed()).ok_or_else(Failure::closed)
    }

    fn new(segment: Segment) -> Self {
        Self::of(Memory::keep(segment))
    }
}

/// Calls `work` while other threads of Python go on, if it takes long enough.
fn unless_small<T: Send>(py: Python<'_>, length: u64, work: impl FnOnce() -> T + Send) -> T {
    if length <= SMALL { work() } else { py.detach(work) }
}

#[pymethods]
impl SharedMemory {
    /// Creates `size` zero bytes under a free name, and owns them.
    ///
    /// The name goes with this object unless the memory is persistent. A name that a dead program left counts
    /// as free.
    ///
    /// Raises ArgumentError, ExistsError, OutOfMemoryError, AccessError or UnavailableError.
    #[classmethod]
    #[pyo3(signature = (name, size, *, scope = 0, backend = 0, persistent = false))]
    fn create(
        _class: &Bound<'_, pyo3::types::PyType>,
        py: Python<'_>,
        name: &str,
        size: i64,
        scope: i64,
        backend: i64,
        persistent: bool,
    ) -> Result<Self> {
        let options = options(name, scope, backend, persistent)?;
        let size = unsigned("size", size)?;
        Ok(Self::new(py.detach(|| options.create(size))?))
    }

    /// Opens the first `size` bytes of existing memory, or all of it for 0.
    ///
    /// Raises NotFoundError, ArgumentError if there are fewer bytes, BusyError or AccessError.
    #[classmethod]
    #[pyo3(signature = (name, size = 0, *, backend = 0, read_only = false))]
    fn open(
        _class: &Bound<'_, pyo3::types::PyType>,
        py: Python<'_>,
        name: &str,
        size: i64,
        backend: i64,
        read_only: bool,
    ) -> Result<Self> {
        let options = options(name, 0, backend, false)?;
        let size = unsigned("size", size)?;
        let access = if read_only { Access::ReadOnly } else { Access::ReadWrite };
        Ok(Self::new(py.detach(|| options.open(size, access))?))
    }

    /// Opens existing memory for reading only.
    ///
    /// Raises the exceptions of `open`.
    #[classmethod]
    #[pyo3(signature = (name, size = 0, *, backend = 0))]
    fn open_read_only(
        class: &Bound<'_, pyo3::types::PyType>,
        py: Python<'_>,
        name: &str,
        size: i64,
        backend: i64,
    ) -> Result<Self> {
        Self::open(class, py, name, size, backend, true)
    }

    /// Opens the memory, or creates it if there is none, for two sides that start in any order.
    ///
    /// Raises the exceptions of `create` and `open`.
    #[classmethod]
    #[pyo3(signature = (name, size, *, scope = 0, backend = 0, persistent = false))]
    fn open_or_create(
        _class: &Bound<'_, pyo3::types::PyType>,
        py: Python<'_>,
        name: &str,
        size: i64,
        scope: i64,
        backend: i64,
        persistent: bool,
    ) -> Result<Self> {
        let options = options(name, scope, backend, persistent)?;
        let size = unsigned("size", size)?;
        Ok(Self::new(py.detach(|| options.open_or_create(size))?))
    }

    /// Returns `size` bytes from `offset` on, or all up to the end.
    ///
    /// Raises ArgumentError beyond the end, and LostError if another program has truncated the memory.
    #[pyo3(signature = (offset = 0, size = None))]
    fn read<'py>(&self, py: Python<'py>, offset: i64, size: Option<i64>) -> Result<Bound<'py, PyBytes>> {
        let memory = self.memory()?;
        let segment = &memory.segment;
        let offset = unsigned("offset", offset)?;
        let size = match size {
            Some(size) => unsigned("size", size)?,
            None => segment.size().saturating_sub(offset),
        };
        segment.check_bounds(offset, size)?;
        if !shm_segment::has_room_for(size.saturating_add(segment.unpopulated_if_large(size))) {
            return Err(Failure::out_of_memory(size));
        }
        let length = usize::try_from(size).map_err(|_| Failure::out_of_memory(size))?;
        let read = |bytes: &mut [u8]| unless_small(py, size, || segment.read(offset, bytes));
        Ok(PyBytes::new_with(py, length, |bytes| read(bytes).map_err(|e| Failure::from(e).into()))?)
    }

    /// Fills a writable buffer in C order with the bytes from `offset` on. Returns their number.
    ///
    /// Raises the exceptions of `read`.
    #[pyo3(signature = (buffer, offset = 0))]
    fn read_into(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>, offset: i64) -> Result<usize> {
        let memory = self.memory()?;
        let offset = unsigned("offset", offset)?;
        arrays::with_writable(py, buffer, |bytes| {
            if is_inside(&memory.segment, bytes.as_ptr()) {
                return Err(Failure::new(Cause::Argument, "buffer is a view of this very memory"));
            }
            memory.segment.read(offset, bytes)?;
            Ok(bytes.len())
        })
    }

    /// Copies the bytes of any object with a buffer to `offset`.
    ///
    /// Raises the exceptions of `read`, and AccessError if the memory is read-only.
    #[pyo3(signature = (data, offset = 0))]
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>, offset: i64) -> Result<()> {
        let memory = self.memory()?;
        let offset = unsigned("offset", offset)?;
        if let Ok(bytes) = data.cast::<PyBytes>() {
            let bytes = bytes.as_bytes();
            return Ok(unless_small(py, bytes.len() as u64, || memory.segment.write(offset, bytes))?);
        }
        let bytes = arrays::raw_bytes(data)?;
        let bytes = bytes.get(py);
        if is_inside(&memory.segment, bytes.as_ptr()) {
            return Err(Failure::new(Cause::Argument, "data is a view of this very memory"));
        }
        Ok(memory.segment.write(offset, bytes)?)
    }

    /// Sets `size` bytes from `offset` on, or all up to the end, to a value from 0 to 255.
    ///
    /// Raises the exceptions of `write`.
    #[pyo3(signature = (value = 0, offset = 0, size = None))]
    fn fill(&self, py: Python<'_>, value: i64, offset: i64, size: Option<i64>) -> Result<()> {
        let memory = self.memory()?;
        let byte = u8::try_from(value).map_err(|_| Failure::argument("value", value, "from 0 to 255"))?;
        let offset = unsigned("offset", offset)?;
        let size = match size {
            Some(size) => unsigned("size", size)?,
            None => memory.segment.size().saturating_sub(offset),
        };
        Ok(unless_small(py, size, || memory.segment.fill(offset, size, byte))?)
    }

    /// Ends the use of the memory. Removes the name if this object has made the memory, and it isn't
    /// persistent.
    ///
    /// Views stay valid, and keep the memory mapped.
    fn close(&self, py: Python<'_>) {
        if let Some(memory) = self.place.replace(None) {
            py.detach(|| {
                memory.close();
                drop(memory);
            });
        }
    }

    /// Removes the name now, if it still leads to this memory.
    fn unlink(&self) -> Result<()> {
        Ok(self.memory()?.segment.name().unlink()?)
    }

    /// Returns whether the object is open.
    fn is_open(&self) -> bool {
        self.memory().is_ok()
    }

    /// Returns whether the name still leads to this memory.
    fn is_current(&self) -> bool {
        self.memory().is_ok_and(|memory| memory.segment.name().is_current())
    }

    /// Returns whether this object has made the memory.
    fn is_created(&self) -> Result<bool> {
        Ok(self.memory()?.segment.is_created())
    }

    /// Returns whether the memory is open for reading only.
    fn is_read_only(&self) -> Result<bool> {
        Ok(self.memory()?.segment.access() == Access::ReadOnly)
    }

    /// Returns the name.
    fn get_name(&self) -> Result<String> {
        Ok(self.memory()?.segment.name().as_str().to_owned())
    }

    /// Returns the name as the system's own calls take it.
    fn get_native_name(&self) -> Result<String> {
        Ok(self.memory()?.segment.name().native_name())
    }

    /// Returns the size that the memory has now, in bytes.
    fn get_size(&self) -> Result<u64> {
        Ok(self.memory()?.segment.current_size()?)
    }

    /// Returns the bytes that this object can use.
    fn get_mapped_size(&self) -> Result<u64> {
        Ok(self.memory()?.segment.size())
    }

    /// Returns which users may open the memory.
    fn get_scope<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        Ok(constant(py, "Scope", number_of(self.memory()?.segment.scope()))?)
    }

    /// Returns whether the program that made the memory lives.
    fn get_owner_state<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        Ok(owner_state(py, self.memory()?.segment.owner_state())?)
    }

    /// Sets whether the name outlives this object. Does nothing for an object that has not made the memory.
    fn set_persistent(&self, persistent: bool) -> Result<()> {
        let lifetime = if persistent { Lifetime::Persistent } else { Lifetime::Owner };
        Ok(self.memory()?.segment.set_lifetime(lifetime)?)
    }

    /// Returns the word of 4 bytes at `offset`, a multiple of 4. Acquires.
    fn atomic_load_u32(&self, offset: i64) -> Result<u32> {
        Ok(self.memory()?.segment.load_u32(unsigned("offset", offset)?)?)
    }

    /// Stores the word of 4 bytes at `offset`. Releases.
    fn atomic_store_u32(&self, offset: i64, value: u32) -> Result<()> {
        Ok(self.memory()?.segment.store_u32(unsigned("offset", offset)?, value)?)
    }

    /// Adds to the word of 4 bytes at `offset`, wrapping around, and returns the previous one.
    fn atomic_add_u32(&self, offset: i64, value: i64) -> Result<u32> {
        let low = u32::try_from(value.rem_euclid(1 << 32)).unwrap_or(0);
        Ok(self.memory()?.segment.fetch_add_u32(unsigned("offset", offset)?, low)?)
    }

    /// Stores the word of 4 bytes at `offset`, and returns the previous one.
    fn atomic_exchange_u32(&self, offset: i64, value: u32) -> Result<u32> {
        Ok(self.memory()?.segment.swap_u32(unsigned("offset", offset)?, value)?)
    }

    /// Stores `desired` if the word of 4 bytes at `offset` is `expected`. Returns the previous one.
    fn atomic_compare_exchange_u32(&self, offset: i64, expected: u32, desired: u32) -> Result<u32> {
        let offset = unsigned("offset", offset)?;
        Ok(self.memory()?.segment.compare_exchange_u32(offset, expected, desired)?)
    }

    /// Returns the word of 8 bytes at `offset`, a multiple of 8. Acquires.
    fn atomic_load_s64(&self, offset: i64) -> Result<i64> {
        Ok(self.memory()?.segment.load_u64(unsigned("offset", offset)?)?.cast_signed())
    }

    /// Stores the word of 8 bytes at `offset`. Releases.
    fn atomic_store_s64(&self, offset: i64, value: i64) -> Result<()> {
        Ok(self.memory()?.segment.store_u64(unsigned("offset", offset)?, value.cast_unsigned())?)
    }

    /// Adds to the word of 8 bytes at `offset`, wrapping around, and returns the previous one.
    fn atomic_add_s64(&self, offset: i64, value: i64) -> Result<i64> {
        let offset = unsigned("offset", offset)?;
        Ok(self.memory()?.segment.fetch_add_u64(offset, value.cast_unsigned())?.cast_signed())
    }

    /// Stores the word of 8 bytes at `offset`, and returns the previous one.
    fn atomic_exchange_s64(&self, offset: i64, value: i64) -> Result<i64> {
        let offset = unsigned("offset", offset)?;
        Ok(self.memory()?.segment.swap_u64(offset, value.cast_unsigned())?.cast_signed())
    }

    /// Stores `desired` if the word of 8 bytes at `offset` is `expected`. Returns the previous one.
    fn atomic_compare_exchange_s64(&self, offset: i64, expected: i64, desired: i64) -> Result<i64> {
        let offset = unsigned("offset", offset)?;
        let (expected, desired) = (expected.cast_unsigned(), desired.cast_unsigned());
        Ok(self.memory()?.segment.compare_exchange_u64(offset, expected, desired)?.cast_signed())
    }

    /// Waits until the word of 4 bytes at `offset` is no longer `expected`, for `timeout` seconds at most.
    ///
    /// Raises TimeoutError, and ClosedError if another thread closes the object.
    #[pyo3(signature = (offset, expected, timeout))]
    fn wait_u32(&self, py: Python<'_>, offset: i64, expected: u32, timeout: Option<f64>) -> Result<()> {
        let (memory, timeout) = (self.memory()?, waits::timeout(timeout)?);
        let offset = unsigned("offset", offset)?;
        let waited = waits::detached(py, || {
            let is_wanted = || !memory.is_closed() && waits::goes_on();
            memory.segment.wait_u32(offset, expected, timeout, is_wanted)
        })?;
        waits::finish(waited?, "other value", timeout)
    }

    /// Wakes each thread of each program that waits for the word at `offset`.
    fn notify_u32(&self, offset: i64) -> Result<()> {
        Ok(self.memory()?.segment.notify_u32(unsigned("offset", offset)?)?)
    }

    /// Returns whether there is memory of this name.
    #[staticmethod]
    #[pyo3(signature = (name, *, scope = 0, backend = 0))]
    fn exists(name: &str, scope: i64, backend: i64) -> Result<bool> {
        Ok(options(name, scope, backend, false)?.exists())
    }

    /// Removes a name, whoever has made it. Programs that have the memory open keep it.
    ///
    /// Raises NotFoundError, AccessError or UnavailableError.
    #[staticmethod]
    #[pyo3(signature = (name, *, scope = 0, backend = 0))]
    fn remove(name: &str, scope: i64, backend: i64) -> Result<()> {
        Ok(options(name, scope, backend, false)?.remove()?)
    }

    /// Returns the process IDs of this user's programs that map the memory. Empty except on Linux.
    #[staticmethod]
    #[pyo3(signature = (name, *, backend = 0))]
    fn get_users(py: Python<'_>, name: &str, backend: i64) -> Result<Vec<u32>> {
        let options = options(name, 0, backend, false)?;
        Ok(py.detach(|| options.users()))
    }

    /// Returns what is known of the memory with this name, without opening it. None if there is none.
    ///
    /// ```python
    /// >>> name = gsm.generate_name("doc")
    /// >>> with gsm.Stream.create(name, 64):
    /// ...     gsm.get_info(name)["layout"]
    /// 'latest'
    ///
    /// ```
    #[staticmethod]
    #[pyo3(signature = (name, *, backend = 0))]
    fn get_info<'py>(py: Python<'py>, name: &str, backend: i64) -> Result<Option<Bound<'py, PyDict>>> {
        let options = options(name, 0, backend, false)?;
        match py.detach(|| options.info()) {
            Ok(info) => Ok(Some(info_dict(py, backend, &info)?)),
            Err(shm_segment::Error::DoesNotExist { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the names of all native memory that this user can see.
    #[staticmethod]
    fn list_names() -> Vec<String> {
        shm_segment::list_names()
    }

    /// Returns what is known of all memory whose name the system can list.
    #[staticmethod]
    fn list_segments(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
        let list = PyList::empty(py);
        for (backend, name, info) in py.detach(shm_segment::list_segments) {
            let number = Backend::ALL.iter().position(|other| *other == backend).unwrap_or(0);
            let told = info_dict(py, i64::try_from(number).unwrap_or(0), &info)?;
            told.set_item("name", name)?;
            list.append(told)?;
        }
        Ok(list)
    }

    /// Returns a name that can't be guessed: the prefix, of at most 13 bytes, and 80 random bits.
    #[staticmethod]
    #[pyo3(signature = (prefix = "python"))]
    fn generate_name(prefix: &str) -> Result<String> {
        Ok(shm_segment::generate_name(prefix)?)
    }

    fn __len__(&self) -> Result<usize> {
        Ok(usize::try_from(self.memory()?.segment.size()).unwrap_or(usize::MAX))
    }

    const fn __bool__(&self) -> bool {
        true
    }

    fn __enter__(slf: Bound<'_, Self>) -> Result<Bound<'_, Self>> {
        slf.get().memory()?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, pyo3::types::PyTuple>) {
        self.close(py);
    }

    fn __repr__(&self) -> String {
        self.memory().map_or_else(
            |_| "<SharedMemory, closed>".to_owned(),
            |memory| {
                format!(
                    "<SharedMemory {:?}, {} bytes>",
                    memory.segment.name().as_str(),
                    memory.segment.size()
                )
            },
        )
    }

    /// # Safety
    /// Python passes a valid view.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let memory = slf.get().memory().map_err(|_| PyBufferError::new_err("this object is closed"))?;
        prepare_view(&memory.segment)?;
        let region = region_of(&memory.segment, 0, memory.segment.size());
        let layout = Layout::bytes(region.length);
        // SAFETY: the region is mapped for as long as the memory is kept, which the view does.
        unsafe { exports::fill(slf.as_any(), view, flags, &region, &layout, Box::new(memory)) }
    }

    /// # Safety
    /// Python passes a view that `__getbuffer__` has filled.
    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: see above.
        unsafe { exports::release(view) };
    }
}

/// Prepares a segment for views, which Python reads and writes without this crate.
pub(crate) fn prepare_view(segment: &Segment) -> PyResult<()> {
    let refused = |error| Failure::new(Cause::Permission, format!("sigaction(SIGBUS) was refused: {error}"));
    shm_segment::install_fault_handler().map_err(refused)?;
    // Python may be the first to touch these pages.
    if !shm_segment::has_room_for(segment.unpopulated_if_large(segment.size())) {
        return Err(Failure::out_of_memory(segment.size()).into());
    }
    Ok(())
}

/// Returns whether an address lies in the mapping of a segment: bytes are never copied within it.
fn is_inside(segment: &Segment, address: *const u8) -> bool {
    let start = segment.address().addr();
    (start..start.saturating_add(usize::try_from(segment.size()).unwrap_or(0))).contains(&address.addr())
}

/// Returns a part of a segment, which has it.
pub(crate) fn region_of(segment: &Segment, offset: u64, length: u64) -> Region {
    let size = |number: u64| usize::try_from(number).unwrap_or(0);
    Region {
        address: segment.address().wrapping_add(size(offset)),
        length: size(length),
        is_writable: segment.access() == Access::ReadWrite,
    }
}

fn options(name: &str, scope_number: i64, backend_number: i64, persistent: bool) -> Result<Options<'_>> {
    let lifetime = if persistent { Lifetime::Persistent } else { Lifetime::Owner };
    let options = Options::new(name).scope(scope(scope_number)?).backend(backend(backend_number)?);
    Ok(options.lifetime(lifetime))
}

fn info_dict<'py>(py: Python<'py>, backend: i64, info: &SegmentInfo) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    told.set_item("size", info.size)?;
    told.set_item("scope", constant(py, "Scope", number_of(info.scope))?)?;
    told.set_item("owner_state", owner_state(py, info.owner)?)?;
    told.set_item("is_mine", info.other_user.is_none())?;
    told.set_item("backend", constant(py, "Backend", backend)?)?;
    let messages = info.messages.as_ref();
    told.set_item("layout", messages.map_or("", |messages| messages.layout))?;
    told.set_item("incarnation", messages.map_or(0, |messages| messages.incarnation))?;
    told.set_item("sequence", messages.map_or(0, |messages| messages.count))?;
    let age = messages.and_then(|messages| messages.newest_age);
    told.set_item("newest_age", age.map(|age: Duration| age.as_secs_f64()))?;
    told.set_item("description", info.to_string())?;
    Ok(told)
}
