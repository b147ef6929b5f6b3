//! Parsing a format string.

use super::codes::{Code, Encoding};

/// The largest size of a struct: CPython's `PY_SSIZE_T_MAX`.
const MAX_SIZE: usize = isize::MAX.unsigned_abs();

/// A parsed format string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// The codes that have values, in order. Their number is at most that of the characters in the string.
    pub(super) items: Vec<Item>,
    pub(super) size: usize,
    pub(super) count: usize,
    pub(super) big_endian: bool,
    /// Native sizes and alignment, and C's own conversion of floats.
    pub(super) native: bool,
}

/// A code with its repeat count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) code: Code,
    pub(super) repeat: usize,
    /// The offset of the first element.
    pub(super) offset: usize,
}

impl Item {
    /// Returns the number of values that it takes.
    pub(super) fn values(&self) -> usize {
        if self.code.is_string() { 1 } else { self.repeat }
    }
}

/// A mistake in a format string. Positions count its characters from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The character is not a code.
    #[error("{character:?} at {position} is not a format character")]
    BadCharacter {
        /// The character.
        character: char,
        /// Its position.
        position: usize,
    },
    /// `n`, `N` and `P` have no standard size.
    #[error("{character:?} at {position} needs native sizes, but the prefix is {prefix:?}")]
    NativeOnly {
        /// The character.
        character: char,
        /// Its position.
        position: usize,
        /// The prefix of the format.
        prefix: char,
    },
    /// The string ends after a repeat count.
    #[error("the repeat count at {position} has no format character after it")]
    CountWithoutCode {
        /// The position of the count.
        position: usize,
    },
    /// The struct is larger than any memory.
    #[error("with the code at {position}, the struct has more than {limit} bytes")]
    TooLong {
        /// The position of the code, or of its count.
        position: usize,
        /// The largest size in bytes.
        limit: usize,
    },
}

impl Format {
    /// Parses a format string.
    ///
    /// # Errors
    /// [`FormatError`] lists them.
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
        // Aligns even without a value: "0i" at the end pads a struct as C does.
        let offset = self.size.checked_next_multiple_of(code.align)?;
        let size = offset.checked_add(repeat.checked_mul(code.size)?)?;
        if size > MAX_SIZE {
            return None;
        }
        self.size = size;
        let item = Item { code, repeat, offset };
        if code.encoding != Encoding::Pad && item.values() > 0 {
            self.count = self.count.checked_add(item.values())?;
            self.items.push(item);
        }
        Some(())
    }

    /// Returns the size of the struct in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns how many of its values are bytes.
    #[must_use]
    pub fn byte_values(&self) -> usize {
        let are_bytes =
            |item: &&Item| matches!(item.code.encoding, Encoding::Char | Encoding::Bytes | Encoding::Pascal);
        self.items.iter().filter(are_bytes).map(Item::values).sum()
    }

    /// Returns the number of its values.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

fn digit(character: char) -> Option<usize> {
    character.to_digit(10).and_then(|digit| usize::try_from(digit).ok())
}
