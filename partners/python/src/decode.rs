//! Values in the engine's binary form as values of Python.
//!
//! The bytes are a copy that no other program changes. The memory that their values will take is reckoned
//! before any is made.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use shm_segment::has_room_for;
use shm_segment::values::variant::{Part, Parts, Type};

use crate::error::{Cause, Failure, Result};
use crate::exports::{self, Layout};
use crate::math;
use crate::wrapped::{self, Text};

/// The most memory of a value, in multiples of its bytes and in bytes, if the program sets no limit.
const GROWTH: u64 = 32;
const MOST: u64 = 1 << 30;

/// Decodes the value in a message, which may take `max_memory` bytes.
pub(crate) fn decode<'py>(
    py: Python<'py>,
    bytes: &[u8],
    max_memory: Option<u64>,
) -> Result<Bound<'py, PyAny>> {
    let parts = Parts::of(bytes)?;
    let memory = parts.clone().map(|part| memory_of(&part)).fold(0, u64::saturating_add);
    let limit = max_memory.unwrap_or_else(|| (bytes.len() as u64).saturating_mul(GROWTH).clamp(1024, MOST));
    if memory > limit {
        let told =
            format!("the value in the message may take {memory} bytes of memory; the limit is {limit}");
        return Err(Failure::new(Cause::OutOfMemory, told));
    }
    if !has_room_for(memory) {
        return Err(Failure::out_of_memory(memory));
    }
    Decoder { py, parts }.value()
}

/// Returns an upper bound for the memory that a part takes, in bytes, with its place in a container. The
/// objects of CPython on 64 bits have these sizes (`sys.getsizeof`).
fn memory_of(part: &Part<'_>) -> u64 {
    /// A place in a list that has grown, or in a dictionary with its share of free places.
    const PLACE: u64 = 16;
    const ENTRY: u64 = 104;
    const NUMBER: u64 = 32;
    const TEXT: u64 = 80;
    const ARRAY: u64 = 160;
    let text = |length: usize| TEXT + 4 * length as u64;
    PLACE
        + match part {
            Part::Null | Part::Bool(_) => 0,
            Part::Int(_) | Part::Float(_) => NUMBER,
            Part::String(value) | Part::StringName(value) => text(value.len()),
            Part::NodePath(path) => text(path.length()),
            // Up to four tuples, inside another one.
            Part::Numbers(numbers) => 320 + numbers.of.count() as u64 * (NUMBER + PLACE),
            Part::Array(_) => 88,
            Part::Dictionary(entries) => 248 + u64::from(*entries) * ENTRY,
            Part::Packed { bytes, .. } => ARRAY + bytes.len() as u64,
            Part::Strings(texts) => 88 + texts.map(|value| PLACE + text(value.len())).sum::<u64>(),
        }
}

struct Decoder<'a, 'py> {
    py: Python<'py>,
    parts: Parts<'a>,
}

impl<'py> Decoder<'_, 'py> {
    // As deep as containers are nested, which measuring has limited.
    fn value(&mut self) -> Result<Bound<'py, PyAny>> {
        let py = self.py;
        let part = self.parts.next().ok_or_else(|| Failure::data("the value in the message is not whole"))?;
        Ok(match part {
            Part::Null => py.None().into_bound(py),
            Part::Bool(value) => value.into_pyobject(py).map_err(PyErr::from)?.to_owned().into_any(),
            Part::Int(value) => value.into_pyobject(py).map_err(PyErr::from)?.into_any(),
            Part::Float(value) => value.into_pyobject(py).map_err(PyErr::from)?.into_any(),
            Part::String(value) => PyString::new(py, value).into_any(),
            Part::StringName(value) => wrapped::text(py, Text::StringName, value)?,
            Part::NodePath(path) => wrapped::text(py, Text::NodePath, &path.to_string())?,
            Part::Numbers(numbers) => math::tuple(py, &numbers)?,
            Part::Packed { array, is_wide, bytes } => packed(py, array, is_wide, bytes)?,
            Part::Strings(texts) => {
                let list = PyList::empty(py);
                for value in texts {
                    list.append(value)?;
                }
                list.into_any()
            }
            Part::Array(count) => {
                let list = PyList::empty(py);
                for _ in 0..count {
                    list.append(self.value()?)?;
                }
                list.into_any()
            }
            Part::Dictionary(count) => self.dictionary(count)?,
        })
    }

    fn dictionary(&mut self, count: u32) -> Result<Bound<'py, PyAny>> {
        let dict = PyDict::new(self.py);
        for _ in 0..count {
            let key = self.value()?;
            let value = self.value()?;
            let before = dict.len();
            if let Err(error) = dict.set_item(&key, value) {
                if key.hash().is_ok() {
                    return Err(error.into());
                }
                let class = key.get_type().name()?;
                return Err(Failure::data(format!("a key of a dictionary is a {class}, which has no hash")));
            }
            if dict.len() == before {
                let why = "two keys of a dictionary are equal in Python, such as 1 and 1.0";
                return Err(Failure::data(why));
            }
        }
        Ok(dict.into_any())
    }
}

fn packed<'py>(py: Python<'py>, array: Type, is_wide: bool, bytes: &[u8]) -> Result<Bound<'py, PyAny>> {
    let (format, item_size) = match array {
        Type::BYTES => return Ok(PyBytes::new(py, bytes).into_any()),
        Type::INT32_ARRAY => (c"i", 4),
        Type::INT64_ARRAY => (c"q", 8),
        Type::FLOAT64_ARRAY => (c"d", 8),
        _ if is_wide => (c"d", 8),
        _ => (c"f", 4),
    };
    let count = bytes.len() / item_size;
    let shape = match array.count() {
        1 => vec![count],
        width => vec![count / width, width],
    };
    let mut owned = Vec::new();
    owned.try_reserve_exact(bytes.len()).map_err(|_| Failure::out_of_memory(bytes.len() as u64))?;
    owned.extend_from_slice(bytes);
    exports::array(py, owned, Layout { format, item_size, shape })
}
