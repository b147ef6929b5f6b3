//! Values in bytes: Python's structs, the engine's Variants, texts, 16-bit floats.
//!
//! A decoder that checks a length and then uses it must find the same length both times. In shared memory, a
//! peer may change it in between. So these modules decode bytes that only this process has.
//! [`variant::measure`] reads each byte once, so it may read shared memory: it takes a [`Source`].

pub(crate) mod encoding;
pub mod half;
mod source;
pub mod structs;
pub(crate) mod text;
pub mod variant;

pub use source::Source;
