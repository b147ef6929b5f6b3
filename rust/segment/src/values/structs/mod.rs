//! The format strings of Python's module `struct`, byte for byte.
//!
//! One string describes the bytes on both sides. With native alignment (`@`, or no prefix), these are the
//! bytes of a C struct. CPython and this module refuse, pad, truncate and round alike; a test compares the
//! two. There are two differences, because an integer has 64 bits and a sign here:
//! - `Q` takes a negative value for the upper half of its bit patterns. So do `N` and `L` where they have 64
//!   bits.
//! - Unpacking these codes, or `P`, gives that pattern, so a number above `i64::MAX` comes out negative.
//!
//! A repeat count costs nothing until the values are there: [`Format`] keeps counts, not their expansion.
//!
//! ```
//! use shm_segment::values::structs::{Format, Value};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let format = Format::parse("<H4sd")?;
//! assert_eq!((format.size(), format.count()), (14, 3));
//! let mut bytes = [0; 14];
//! format.pack(&[Value::Int(513), Value::Bytes(b"ab"), Value::Float(1.0)], &mut bytes)?;
//! assert_eq!(bytes[..6], [1, 2, b'a', b'b', 0, 0]);
//! let values: Vec<Value> = format.unpack(&bytes)?.collect();
//! assert_eq!(values[1], Value::Bytes(b"ab\0\0"));
//! # Ok(())
//! # }
//! ```

mod codes;
mod format;
mod pack;
#[cfg(test)]
mod tests;
mod unpack;

pub use format::{Format, FormatError};
pub use pack::PackError;
pub use unpack::Values;

/// One value of a struct.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// `b B h H i I l L q Q n N P`.
    Int(i64),
    /// `?`.
    Bool(bool),
    /// `e f d`.
    Float(f64),
    /// `c s p`.
    Bytes(&'a [u8]),
}

impl Value<'_> {
    /// Returns the type of the value, for messages.
    fn kind(&self) -> &'static str {
        match self {
            Self::Int(_) => "an integer",
            Self::Bool(_) => "a bool",
            Self::Float(_) => "a float",
            Self::Bytes(_) => "bytes",
        }
    }

    /// Returns what Python's `bool()` would return.
    fn truth(&self) -> bool {
        match self {
            Self::Int(value) => *value != 0,
            Self::Bool(value) => *value,
            Self::Float(value) => *value != 0.0,
            Self::Bytes(value) => !value.is_empty(),
        }
    }
}

/// The number of bytes is not the size of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the format describes {expected} bytes, not {given}")]
pub struct WrongLength {
    /// The size of the format in bytes.
    pub expected: usize,
    /// The number of bytes given.
    pub given: usize,
}
