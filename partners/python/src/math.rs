//! The engine's values of a few numbers, which are tuples in Python.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};
use shm_segment::values::variant::{Numbers, Type};

use crate::arrays::Path;
use crate::error::{Failure, Result};

/// The parts of a tuple.
#[derive(Debug, Clone, Copy)]
enum Parts {
    /// This count of numbers.
    Numbers(usize),
    /// This count of tuples of a type.
    Of(u8, usize),
    /// A tuple of each type.
    Each(&'static [u8]),
    /// A tuple of a type, then a number.
    AndNumber(u8),
}

const VECTOR2: u8 = 5;
const VECTOR2I: u8 = 6;
const VECTOR3: u8 = 9;
const VECTOR4: u8 = 12;
const BASIS: u8 = 17;

const TYPES: [(u8, &str, Parts); 16] = [
    (VECTOR2, "Vector2", Parts::Numbers(2)),
    (VECTOR2I, "Vector2i", Parts::Numbers(2)),
    (7, "Rect2", Parts::Of(VECTOR2, 2)),
    (8, "Rect2i", Parts::Of(VECTOR2I, 2)),
    (VECTOR3, "Vector3", Parts::Numbers(3)),
    (10, "Vector3i", Parts::Numbers(3)),
    (11, "Transform2D", Parts::Of(VECTOR2, 3)),
    (VECTOR4, "Vector4", Parts::Numbers(4)),
    (13, "Vector4i", Parts::Numbers(4)),
    (14, "Plane", Parts::AndNumber(VECTOR3)),
    (15, "Quaternion", Parts::Numbers(4)),
    (16, "AABB", Parts::Of(VECTOR3, 2)),
    (BASIS, "Basis", Parts::Of(VECTOR3, 3)),
    (18, "Transform3D", Parts::Each(&[BASIS, VECTOR3])),
    (19, "Projection", Parts::Of(VECTOR4, 4)),
    (20, "Color", Parts::Numbers(4)),
];

/// The numbers of a basis come row by row, and its tuples are columns, as in scripts.
const TRANSPOSED: [usize; 9] = [0, 3, 6, 1, 4, 7, 2, 5, 8];

struct Classes(Vec<(u8, Parts, Py<PyType>)>);

fn classes(py: Python<'_>) -> PyResult<&Classes> {
    static FOUND: PyOnceLock<Classes> = PyOnceLock::new();
    FOUND.get_or_try_init(py, || {
        let module = py.import("godot_shared_memory._types")?;
        let found = TYPES.iter().map(|(number, name, parts)| {
            Ok((*number, *parts, module.getattr(*name)?.cast_into::<PyType>()?.unbind()))
        });
        Ok(Classes(found.collect::<PyResult<_>>()?))
    })
}

impl Classes {
    fn get(&self, number: u8) -> Result<&(u8, Parts, Py<PyType>)> {
        let found = self.0.iter().find(|(of, ..)| *of == number);
        found.ok_or_else(|| Failure::data(format!("there is no type {number}")))
    }
}

/// Returns the tuple for some numbers.
pub(crate) fn tuple<'py>(py: Python<'py>, numbers: &Numbers<'_>) -> Result<Bound<'py, PyAny>> {
    let classes = classes(py)?;
    let mut flat: Vec<f64> = (0..numbers.of.count()).map(|index| numbers.get(index)).collect();
    transpose(numbers.of.number(), &mut flat);
    build(py, classes, numbers.of, numbers.of.number(), &mut flat.into_iter())
}

fn transpose(number: u8, flat: &mut [f64]) {
    // A basis is at the beginning of a Transform3D.
    if matches!(number, 17 | 18) && flat.len() >= 9 {
        let rows: Vec<f64> = flat[..9].to_vec();
        for (to, from) in flat.iter_mut().zip(TRANSPOSED) {
            *to = rows[from];
        }
    }
}

fn build<'py>(
    py: Python<'py>,
    classes: &Classes,
    of: Type,
    number: u8,
    flat: &mut dyn Iterator<Item = f64>,
) -> Result<Bound<'py, PyAny>> {
    let (_, parts, class) = classes.get(number)?;
    let mut values = Vec::with_capacity(4);
    let mut next = |values: &mut Vec<Bound<'py, PyAny>>| -> Result<()> {
        let value = flat.next().unwrap_or_default();
        #[allow(clippy::cast_possible_truncation, reason = "the integers of these types have 32 bits")]
        values.push(if of.has_integers() {
            (value as i64).into_pyobject(py).map_err(PyErr::from)?.into_any()
        } else {
            value.into_pyobject(py).map_err(PyErr::from)?.into_any()
        });
        Ok(())
    };
    match *parts {
        Parts::Numbers(count) => {
            for _ in 0..count {
                next(&mut values)?;
            }
        }
        Parts::Of(part, count) => {
            for _ in 0..count {
                values.push(build(py, classes, of, part, &mut *flat)?);
            }
        }
        Parts::Each(each) => {
            for part in each {
                values.push(build(py, classes, of, *part, &mut *flat)?);
            }
        }
        Parts::AndNumber(part) => {
            values.push(build(py, classes, of, part, &mut *flat)?);
            let value = flat.next().unwrap_or_default();
            values.push(value.into_pyobject(py).map_err(PyErr::from)?.into_any());
        }
    }
    Ok(class.bind(py).call1(PyTuple::new(py, values)?)?)
}

/// Returns the type and the numbers of an object, if it is one of these tuples.
pub(crate) fn numbers(object: &Bound<'_, PyTuple>, path: Path<'_>) -> Result<Option<(Type, Vec<f64>)>> {
    let py = object.py();
    let classes = classes(py)?;
    let class = object.get_type();
    let Some((number, ..)) = classes.0.iter().find(|(.., known)| known.is(&class)) else { return Ok(None) };
    let of = Type::of_numbers(*number).ok_or_else(|| Failure::data("there is no such type"))?;
    let mut flat = Vec::with_capacity(of.count());
    flatten(object.as_any(), &mut flat, of, path, 0)?;
    if flat.len() != of.count() {
        let limit = format!("{} of {} numbers", of.name(), of.count());
        return Err(Failure::argument(&path(), format!("one of {}", flat.len()), &limit));
    }
    transpose(*number, &mut flat);
    Ok(Some((of, flat)))
}

fn flatten(
    object: &Bound<'_, PyAny>,
    flat: &mut Vec<f64>,
    of: Type,
    path: Path<'_>,
    depth: usize,
) -> Result<()> {
    const DEEPEST: usize = 4;
    if let Ok(parts) = object.cast::<PyTuple>() {
        if depth > DEEPEST || flat.len() > of.count() {
            return Ok(());
        }
        for part in parts.iter() {
            flatten(&part, flat, of, path, depth + 1)?;
        }
        return Ok(());
    }
    if of.has_integers() {
        let integer: i64 = object.extract()?;
        let in_range = i32::try_from(integer).map_err(|_| {
            Failure::argument(&path(), integer, &format!("{} of integers of 32 bits", of.name()))
        })?;
        flat.push(in_range.into());
    } else {
        flat.push(object.extract()?);
    }
    Ok(())
}
