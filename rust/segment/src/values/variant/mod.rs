//! The engine's binary form of a Variant, as `var_to_bytes` writes it and `PackedByteArray.decode_var` reads it.
//!
//! Nothing is decoded here. [`measure`] finds out how many bytes a Variant takes, and whether they can be given to the
//! engine: its decoder prints an error for what it doesn't like, and leaves the value half read. What passes here is
//! decoded without a word, and makes nothing that the bytes don't account for: every count was compared with the bytes
//! that are left, and containers are nested no deeper than the engine allows.
//!
//! It is stricter than the engine where that reads what it would never write: values of another type than their typed
//! array or dictionary has, header bits without a meaning, cut padding, a NUL in the middle of a string. Of objects
//! only their ids pass (the engine makes an `EncodedObjectAsID` of one), never an object with its properties.
//!
//! The bytes may change while they are looked at: each is read once, and the worst outcome is a wrong size within the
//! limit. So ask for the size of what is in shared memory, copy that much, and ask again for the copy; only
//! the second answer holds.

mod cursor;
mod types;
mod walk;

use super::Source;

/// How deep the engine decodes: a value in this many containers is the last (`Variant::MAX_RECURSION_DEPTH`).
pub const MAX_DEPTH: usize = 1024;

/// How many containers a dictionary's key may be, one in the other. The engine hashes keys of one more; of two more
/// it says "Max recursion reached".
pub const MAX_KEY_DEPTH: usize = 100;

/// What the engine that will decode the bytes understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engine {
    /// Since 4.4. An older one takes the types of a typed dictionary for the number of its entries.
    pub typed_dictionaries: bool,
}

impl Engine {
    /// The engine of this version, of which 4.3 is the first that is known here.
    #[must_use]
    pub fn version(major: u32, minor: u32) -> Self {
        Self { typed_dictionaries: (major, minor) >= (4, 4) }
    }
}

/// Why bytes are no Variant that may be decoded. Offsets are those of the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It goes on behind the last byte there is.
    #[error("what begins at offset {at} takes {needed} bytes or more, and {left} are left")]
    Truncated {
        /// Where the part that doesn't fit begins.
        at: u64,
        /// How many bytes it takes at the least.
        needed: u64,
        /// How many there are.
        left: u64,
    },
    /// No type has this number.
    #[error("there is no type {number} (at offset {at})")]
    UnknownType {
        /// Where the number stands.
        at: u64,
        /// The number.
        number: u32,
    },
    /// A header with bits that mean nothing for its type, or nothing to this engine.
    #[error("the header {header:#010x} at offset {at} has bits that {name} doesn't have")]
    UnknownFlags {
        /// Where the header stands.
        at: u64,
        /// The header.
        header: u32,
        /// The type that it is of.
        name: &'static str,
    },
    /// An object with its properties instead of its id.
    #[error("there is an object at offset {at}; objects are never decoded")]
    Object {
        /// Where its header stands.
        at: u64,
    },
    /// A node path in a form that no Godot 4 writes or reads.
    #[error("the node path at offset {at} has an old form")]
    OldNodePath {
        /// Where its header stands.
        at: u64,
    },
    /// A string that isn't UTF-8, or has a NUL before its last byte.
    #[error("the string at offset {at} is not valid UTF-8, or has a NUL in the middle")]
    InvalidString {
        /// Where its bytes begin.
        at: u64,
    },
    /// A value of another type than its container has.
    #[error("there is {found} at offset {at} in a container of {wanted}")]
    WrongElement {
        /// Where its header stands.
        at: u64,
        /// The type that it has.
        found: &'static str,
        /// The type that the container has.
        wanted: &'static str,
    },
    /// Containers in containers, too many of them.
    #[error("the value at offset {at} is in more than {MAX_DEPTH} containers")]
    TooDeep {
        /// Where its header stands.
        at: u64,
    },
    /// Containers in containers in a dictionary's key.
    #[error("the value at offset {at} makes a key of more than {MAX_KEY_DEPTH} containers")]
    KeyTooDeep {
        /// Where its header stands.
        at: u64,
    },
    /// The bytes can't be read.
    #[error(transparent)]
    Source(#[from] crate::Error),
}

/// What there is to know of a Variant before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// How many bytes it takes.
    pub size: u64,
    /// How much memory the engine needs for the value, at a guess that is rather too high: an empty array of 8 bytes
    /// becomes an object of some hundred.
    pub memory: u64,
}

/// Measures the Variant at `offset`. As many bytes as `limit` from there may be looked at; the source has them.
///
/// It takes time in proportion to the Variant's size, and a few kilobytes of memory.
///
/// # Errors
/// What [`Error`] lists.
pub fn measure<S: Source + ?Sized>(
    source: &S,
    offset: u64,
    limit: u64,
    engine: Engine,
) -> Result<Measured, Error> {
    walk::measure(cursor::Cursor::new(source, offset, limit), engine)
}

/// How many bytes the Variant at `offset` takes; see [`measure`].
///
/// # Errors
/// What [`Error`] lists.
pub fn size<S: Source + ?Sized>(source: &S, offset: u64, limit: u64, engine: Engine) -> Result<u64, Error> {
    measure(source, offset, limit, engine).map(|measured| measured.size)
}

#[cfg(test)]
mod tests;
