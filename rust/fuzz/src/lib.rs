//! What the fuzz targets do.
//!
//! A target is a file in `src/bin`, and no more than the name of a plan: what libFuzzer makes of its bytes, by
//! `arbitrary`. A plan's `run` does it, and panics where the crate under test did not do what it says.

mod planted;
mod scratch;

pub mod arrays;
pub mod hostile;
pub mod lock_file;
pub mod names;
pub mod queues;
pub mod sequence;
pub mod streams;
pub mod structs;
pub mod texts;
pub mod truncated;
pub mod variant;
