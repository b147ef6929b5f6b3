//! The plans of the fuzz targets.
//!
//! A target is a file in `src/bin` that only names its plan. `arbitrary` makes the plan from libFuzzer's
//! bytes. Its `run` makes the calls, and panics if the crate under test breaks a promise.

mod planted;
mod scratch;

pub mod arrays;
pub mod hostile;
pub mod lock_file;
pub mod locks;
pub mod names;
pub mod native;
pub mod native_hostile;
pub mod pairs;
pub mod queues;
pub mod sequence;
pub mod streams;
pub mod structs;
pub mod texts;
pub mod truncated;
pub mod variant;
