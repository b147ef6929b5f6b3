//! Reading a format string.

use super::codes::{Code, Kind};

/// The largest struct that can be described; CPython's `PY_SSIZE_T_MAX`.
const MAX_SIZE: usize = isize::MAX.unsigned_abs();

/// A format string that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// What has a value, in order. There is no more of it than of characters in the string.
    pub(super) items: Vec<Item>,
    pub(super) size: usize,
    pub(super) count: usize,
    pub(super) big_endian: bool,
    /// Native sizes, alignment and C's own conversion of floats.
    pub(super) native: bool,
}

/// A code with its repeat count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) code: Code,
    pub(super) repeat: usize,
    /// Where the first of them begins.
    pub(super) offset: usize,
}

impl Item {
    /// How many values it takes.
    pub(super) fn values(&self) -> usize {
        if self.code.is_string() { 1 } else { self.repeat }
    }
}

/// What is wrong with a format string. Positions count its characters from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// No code is written like this.
    #[error("{character:?} at {position} is no format character")]
    BadCharacter {
        /// What stands there.
        character: char,
        /// Where.
        position: usize,
    },
    /// `n`, `N` and `P` have no standard size.
    #[error("{character:?} at {position} needs native sizes, but the prefix is {prefix:?}")]
    NativeOnly {
        /// What stands there.
        character: char,
        /// Where.
        position: usize,
        /// The prefix of the format.
        prefix: char,
    },
    /// The string ends after a repeat count.
    #[error("the repeat count at {position} has no format character after it")]
    CountWithoutCode {
        /// Where the count begins.
        position: usize,
    },
    /// The whole is larger than any memory.
    #[error("with what stands at {position}, the struct has more than {limit} bytes")]
    TooLong {
        /// Where the code (or its count) begins.
        position: usize,
        /// The largest size there can be, in bytes.
        limit: usize,
    },
}

impl Format {
    /// Reads a format string.
    ///
    /// # Errors
    /// What [`FormatError`] lists.
    pub fn parse(format: &str) -> Result<Self, FormatError> {
        let prefix = format.chars().next().filter(|first| "@=<>!".contains(*first));
        let native = matches!(prefix, None | Some('@'));
        let big_endian = match prefix {
            Some('<') => false,
            Some('>' | '!') => true,
            _ => cfg!(target_endian = "big"),
        };
        let mut parsed = Self { items: Vec::new(), size: 0, count: 0, big_endian, native };
        let mut characters = format.chars().enumerate().skip(usize::from(prefix.is_some()));
        while let Some((position, mut character)) = characters.next() {
            if matches!(character, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r') {
                continue;
            }
            let too_long = FormatError::TooLong { position, limit: MAX_SIZE };
            let mut at = position;
            let mut repeat = 1;
            if let Some(digit) = digit(character) {
                repeat = digit;
                loop {
                    (at, character) = characters.next().ok_or(FormatError::CountWithoutCode { position })?;
                    let Some(digit) = self::digit(character) else { break };
                    repeat =
                        repeat.checked_mul(10).and_then(|tens| tens.checked_add(digit)).ok_or(too_long)?;
                }
            }
            let code = if native { Code::native(character) } else { Code::standard(character) };
            let code = code.ok_or_else(|| match prefix {
                Some(prefix) if !native && Code::native(character).is_some() => {
                    FormatError::NativeOnly { character, position: at, prefix }
                }
                _ => FormatError::BadCharacter { character, position: at },
            })?;
            parsed.add(code, repeat).ok_or(too_long)?;
        }
        Ok(parsed)
    }

    fn add(&mut self, code: Code, repeat: usize) -> Option<()> {
        // Aligned even if nothing follows: "0i" at the end pads a struct as C does.
        let offset = self.size.checked_next_multiple_of(code.align)?;
        let size = offset.checked_add(repeat.checked_mul(code.size)?)?;
        if size > MAX_SIZE {
            return None;
        }
        self.size = size;
        let item = Item { code, repeat, offset };
        if code.kind != Kind::Pad && item.values() > 0 {
            self.count = self.count.checked_add(item.values())?;
            self.items.push(item);
        }
        Some(())
    }

    /// How many bytes it describes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many of its values are bytes.
    #[must_use]
    pub fn byte_values(&self) -> usize {
        let are_bytes = |item: &&Item| matches!(item.code.kind, Kind::Char | Kind::Bytes | Kind::Pascal);
        self.items.iter().filter(are_bytes).map(Item::values).sum()
    }

    /// How many values it takes and gives.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

fn digit(character: char) -> Option<usize> {
    character.to_digit(10).and_then(|digit| usize::try_from(digit).ok())
}
