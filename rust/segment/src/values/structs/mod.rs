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
//! Three additions describe structs of C. Python refuses any format that has one of them:
//! - `T{...}` is a group of values, which may have a repeat count: a struct in a struct. As in C, it is
//!   aligned to the greatest alignment in it, and padded at its end to a multiple of that.
//! - `:name:` after a code or a group is its name. It changes no byte.
//! - `pack(n)`, after the prefix or after `T{`, limits alignments to `n` as `#pragma pack(n)` does, in groups
//!   inside as well. Standard sizes are aligned to their size then. A whole format with a packing is padded
//!   at its end like a group.
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
//! assert_eq!(format.unpack(&bytes)?[1], Value::Bytes(b"ab\0\0"));
//!
//! // #pragma pack(4)
//! // struct { uint8_t count; struct { uint16_t id; double position[3]; } cars[128]; };
//! let format = Format::parse("<pack(4) B:count: 128T{H:id: 3d:position:}:cars:")?;
//! assert_eq!((format.size(), format.count()), (4 + 128 * 28, 1 + 128 * 4));
//! # Ok(())
//! # }
//! ```

mod codes;
mod format;
mod pack;
mod parse;
#[cfg(test)]
mod tests;
mod unpack;

pub use format::{Field, Format};
pub use pack::{PackError, ValueError};
pub use parse::{FormatError, MAX_DEPTH, MAX_VALUES};

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
