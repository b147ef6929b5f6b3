//! The compiled part of the Python package `godot_shared_memory`.
//!
//! The classes are those of the addon, over the same crate. Three rules hold for all of them:
//! - A call that may wait lets other threads of Python go on, and looks for signals (`waits`).
//! - A thread that has a lock of a layout never needs the interpreter. So a thread that has the interpreter
//!   may take such a lock.
//! - A child of a fork neither uses nor drops what its parent has open (`forks`).

mod arrays;
mod attached;
mod decode;
mod encode;
mod error;
mod exit;
mod exports;
mod forks;
mod math;
mod memory;
mod mutex;
mod outgoing;
mod peer;
mod queue;
mod raw;
mod received;
mod stream;
mod views;
mod waits;
mod wrapped;

use pyo3::prelude::*;

/// Declares the module.
// While this crate copies a buffer of Python, only the interpreter's lock keeps other threads from writing to
// it. So a build of CPython without that lock has to turn it on.
#[pymodule(gil_used = true)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    shm_segment::guard_forks()?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<memory::SharedMemory>()?;
    module.add_class::<stream::Stream>()?;
    module.add_class::<views::Frame>()?;
    module.add_class::<views::Draft>()?;
    module.add_class::<queue::Queue>()?;
    module.add_class::<peer::Peer>()?;
    module.add_class::<mutex::Mutex>()?;
    module.add_function(wrap_pyfunction!(exit::_end, module)?)
}
