//! The engine's binary form of a Variant, as `var_to_bytes` writes it and `PackedByteArray.decode_var` reads
//! it.
//!
//! The engine decodes by itself. [`measure`] finds out how many bytes a Variant takes, and whether the engine
//! may decode them. The engine's decoder prints an error for bytes that it doesn't accept, and leaves the
//! value half read. It decodes without a message what passes here, and makes nothing that the bytes don't
//! account for. Every count is compared with the bytes that are left, and containers are nested no deeper
//! than the engine allows.
//!
//! Four things that the engine reads but never writes are refused:
//! - values of another type than their typed array or dictionary has;
//! - header bits without a meaning;
//! - cut padding;
//! - a NUL in the middle of a string.
//!
//! Of objects, only ids pass, of which the engine makes an `EncodedObjectAsID`. An object with its properties
//! is refused.
//!
//! A message holds less, so that another program, and each engine, can read it. [`measure_plain`] also
//! refuses typed containers, and values that mean nothing in another process. [`remove_types`] makes
//! containers untyped.
//!
//! Programs without the engine decode a value by its [`Parts`], and encode one by a [`Writer`].
//!
//! The bytes may change during a call. Each is read once, and the worst outcome is a wrong size within the
//! limit. So measure a value in shared memory, copy that number of bytes, and measure the copy. Only the
//! second answer holds.

mod cursor;
mod parts;
mod types;
mod walk;
mod writer;

use super::Source;
pub use parts::{NodePath, Numbers, Part, Parts, Strings, Type};
pub use writer::{WriteError, Writer};

/// The deepest nesting that the engine decodes: a value in this many containers
/// (`Variant::MAX_RECURSION_DEPTH`).
pub const MAX_DEPTH: usize = 1024;

/// The deepest nesting of containers in a dictionary's key. The engine hashes keys with one more. For two
/// more, it prints "Max recursion reached".
pub const MAX_KEY_DEPTH: usize = 100;

/// The most memory that is reckoned for each byte of a value.
pub const MAX_GROWTH: u64 = 32;

/// The features of the engine that will decode the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engine {
    /// Since 4.4. An older engine takes the types of a typed dictionary for the number of its entries.
    pub typed_dictionaries: bool,
}

impl Engine {
    /// Returns the features of this version. The oldest known version is 4.3.
    #[must_use]
    pub fn version(major: u32, minor: u32) -> Self {
        Self { typed_dictionaries: (major, minor) >= (4, 4) }
    }
}

/// The reason why bytes are not a Variant that may be decoded. Offsets are those of the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The value goes on behind the last byte.
    #[error("the part at offset {at} takes at least {needed} bytes, but {left} are left")]
    Truncated {
        /// The offset of the part that doesn't fit.
        at: u64,
        /// The least number of bytes that it takes.
        needed: u64,
        /// The number of bytes that are left.
        left: u64,
    },
    /// No type has this number.
    #[error("the type {number} at offset {at} is unknown")]
    UnknownType {
        /// The offset of the number.
        at: u64,
        /// The number.
        number: u32,
    },
    /// A header has bits that mean nothing for its type, or nothing to this engine.
    #[error("the header {header:#010x} at offset {at} has bits without a meaning for {name}")]
    UnknownFlags {
        /// The offset of the header.
        at: u64,
        /// The header.
        header: u32,
        /// The type of the header.
        name: &'static str,
    },
    /// An object with its properties instead of its id.
    #[error("there is an object at offset {at}; objects are never decoded")]
    Object {
        /// The offset of its header.
        at: u64,
    },
    /// A type that means nothing in another process, where only plain values may be.
    #[error("there is a value of type {name} at offset {at}, which means nothing in another program")]
    NotPlain {
        /// The offset of its header.
        at: u64,
        /// The type.
        name: &'static str,
    },
    /// Null alone, where only plain values may be.
    #[error("null alone is not a message")]
    Null,
    /// A node path in a form that no Godot 4 writes or reads.
    #[error("the node path at offset {at} has an old form")]
    OldNodePath {
        /// The offset of its header.
        at: u64,
    },
    /// A string is not UTF-8, or has a NUL before its last byte.
    #[error("the string at offset {at} is not valid UTF-8, or has a NUL in the middle")]
    InvalidString {
        /// The offset of its bytes.
        at: u64,
    },
    /// A value has another type than its container.
    #[error("the value at offset {at} has the type {found}, in a container of {wanted}")]
    WrongElement {
        /// The offset of its header.
        at: u64,
        /// The type of the value.
        found: &'static str,
        /// The type of the container.
        wanted: &'static str,
    },
    /// Containers are nested too deep.
    #[error("the value at offset {at} is in more than {MAX_DEPTH} containers inside each other")]
    TooDeep {
        /// The offset of its header.
        at: u64,
    },
    /// Containers in a dictionary's key are nested too deep.
    #[error("the value at offset {at} is in a key of more than {MAX_KEY_DEPTH} containers inside each other")]
    KeyTooDeep {
        /// The offset of its header.
        at: u64,
    },
    /// More bytes follow the value, where nothing may follow it.
    #[error("{bytes} bytes follow the value")]
    Behind {
        /// The number of these bytes.
        bytes: u64,
    },
    /// The bytes can't be read.
    #[error(transparent)]
    Source(#[from] crate::Error),
}

/// The size of a Variant, before and after it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// The number of bytes that it takes.
    pub size: u64,
    /// An estimate of the memory that the engine needs for the value. For example, an empty array of 8 bytes
    /// becomes an object of a few hundred. It is rather too high, except for a dictionary with one entry,
    /// which may take a quarter more. It is never more than [`MAX_GROWTH`] times the size.
    pub memory: u64,
}

/// Measures the Variant at `offset`. At most `limit` bytes from there are read; the source must have them.
///
/// It takes time in proportion to the Variant's size, and a few kilobytes of memory.
///
/// # Errors
/// [`Error`] lists them.
pub fn measure<S: Source + ?Sized>(
    source: &S,
    offset: u64,
    limit: u64,
    engine: Engine,
) -> Result<Measured, Error> {
    walk::measure(cursor::Cursor::new(source, offset, limit), walk::Rules::of(engine), |_| ())
}

/// Measures a Variant as [`measure`] does, but accepts only one that any other program can read. Refuses
/// objects, RIDs, callables, signals, typed containers, and null alone.
///
/// # Errors
/// [`Error`] lists them.
pub fn measure_plain<S: Source + ?Sized>(source: &S, offset: u64, limit: u64) -> Result<Measured, Error> {
    let measured = walk::measure(cursor::Cursor::new(source, offset, limit), walk::Rules::PLAIN, |_| ())?;
    // Only null is a header and nothing else.
    if measured.size == 4 { Err(Error::Null) } else { Ok(measured) }
}

/// Makes the typed containers of the Variant in `bytes` untyped, in place. Returns how many bytes it then
/// has.
///
/// # Errors
/// [`Error`] lists them. The bytes are unchanged.
pub fn remove_types(bytes: &mut [u8], engine: Engine) -> Result<usize, Error> {
    let mut typed = Vec::new();
    let cursor = cursor::Cursor::new(&*bytes, 0, bytes.len() as u64);
    let size = walk::measure(cursor, walk::Rules::of(engine), |container| typed.push(container))?.size;
    let (mut from, mut to) = (0, 0);
    let mut keep = |until: u64, next: u64| {
        let until = usize::try_from(until).unwrap_or(from);
        bytes.copy_within(from..until, to);
        to += until - from;
        from = usize::try_from(next).unwrap_or(until);
        to
    };
    let headers: Vec<usize> = typed.into_iter().map(|types| keep(types.start, types.end)).collect();
    let size = keep(size, size);
    for types in headers {
        // The header is the four bytes before the types. The number alone means an untyped container.
        bytes[types - 3..types].fill(0);
    }
    Ok(size)
}

/// Returns how many bytes the Variant at `offset` takes; see [`measure`].
///
/// # Errors
/// [`Error`] lists them.
pub fn size<S: Source + ?Sized>(source: &S, offset: u64, limit: u64, engine: Engine) -> Result<u64, Error> {
    measure(source, offset, limit, engine).map(|measured| measured.size)
}

#[cfg(test)]
mod tests;
