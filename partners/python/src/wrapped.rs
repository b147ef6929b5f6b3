//! The classes of `_types.py` that say what a value is to become.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyType};
use shm_segment::layout::native::PixelFormat;

use crate::arrays::Purpose;
use crate::error::{Failure, Result};

struct Classes {
    typed: Py<PyType>,
    string_name: Py<PyType>,
    node_path: Py<PyType>,
}

fn classes(py: Python<'_>) -> PyResult<&Classes> {
    static FOUND: PyOnceLock<Classes> = PyOnceLock::new();
    FOUND.get_or_try_init(py, || {
        let module = py.import("godot_shared_memory._types")?;
        let class = |name| -> PyResult<_> { Ok(module.getattr(name)?.cast_into::<PyType>()?.unbind()) };
        Ok(Classes {
            typed: class("Typed")?,
            string_name: class("StringName")?,
            node_path: class("NodePath")?,
        })
    })
}

/// Returns the array in an object that `array()`, `vectors()`, `colors()` or `image()` made, and its purpose.
pub(crate) fn unwrap<'py>(value: &Bound<'py, PyAny>) -> Result<Option<(Bound<'py, PyAny>, Purpose)>> {
    let class = classes(value.py())?.typed.bind(value.py());
    if !value.is_instance(class)? {
        return Ok(None);
    }
    let data = value.getattr("data")?;
    let purpose: String = value.getattr("purpose")?.extract()?;
    let format: Option<String> = value.getattr("format")?.extract()?;
    let purpose = match &*purpose {
        "array" => Purpose::Numbers,
        "vectors" => Purpose::Vectors,
        "colors" => Purpose::Colors,
        _ => Purpose::Image(format.as_deref().map(pixel_format).transpose()?),
    };
    Ok(Some((data, purpose)))
}

/// Returns the format of pixels with this name.
pub(crate) fn pixel_format(name: &str) -> Result<PixelFormat> {
    let known = [
        ("L8", PixelFormat::L8),
        ("LA8", PixelFormat::LA8),
        ("RGB8", PixelFormat::RGB8),
        ("RGBA8", PixelFormat::RGBA8),
        ("BGR8", PixelFormat::BGR8),
        ("BGRA8", PixelFormat::BGRA8),
    ];
    let found = known.iter().find(|(known, _)| *known == name);
    found.map(|(_, format)| *format).ok_or_else(|| {
        Failure::argument("format", format!("{name:?}"), "L8, LA8, RGB8, RGBA8, BGR8 or BGRA8")
    })
}

/// The type that a text has in the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    Plain,
    StringName,
    NodePath,
}

pub(crate) fn text_kind(text: &Bound<'_, PyString>) -> Result<Text> {
    let (py, class) = (text.py(), text.get_type());
    if class.is(py.get_type::<PyString>()) {
        return Ok(Text::Plain);
    }
    let classes = classes(py)?;
    Ok(if class.is(&classes.string_name) {
        Text::StringName
    } else if class.is(&classes.node_path) {
        Text::NodePath
    } else {
        Text::Plain
    })
}

/// Returns a text of this type.
pub(crate) fn text<'py>(py: Python<'py>, kind: Text, text: &str) -> PyResult<Bound<'py, PyAny>> {
    let plain = PyString::new(py, text).into_any();
    match kind {
        Text::Plain => Ok(plain),
        Text::StringName => classes(py)?.string_name.bind(py).call1((plain,)),
        Text::NodePath => classes(py)?.node_path.bind(py).call1((plain,)),
    }
}

/// Returns the constant of an enum of `_types.py` with this number.
pub(crate) fn constant<'py>(py: Python<'py>, name: &str, number: i64) -> PyResult<Bound<'py, PyAny>> {
    py.import("godot_shared_memory._types")?.getattr(name)?.call1((number,))
}
