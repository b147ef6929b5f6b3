//! Values in bytes: Python's structs, the engine's Variants, 16-bit floats.
//!
//! A decoder that checks a length and then uses it must find the same both times, and in shared memory a peer may change
//! it in between. So these modules decode bytes that this process alone has. [`variant::measure`] looks at each byte
//! once, and may read shared memory: it takes a [`Source`].

pub mod half;
mod source;
pub mod structs;
pub mod variant;

pub use source::Source;
