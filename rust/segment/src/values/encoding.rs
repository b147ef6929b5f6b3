//! The encodings of texts in memory.
//!
//! The standard library decodes each of them, so no crate is needed. Its unit is what a C program calls a
//! `char`, a `char16_t` or a `char32_t`, in little-endian order. `wchar_t` is the second on Windows, and the
//! third on other systems.

use std::borrow::Cow;

use super::text::{TextError, utf8_from_units, utf8_length};
use crate::available::has_room_for;

const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// The encoding of a text in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextEncoding {
    /// UTF-8.
    Utf8,
    /// ISO 8859-1: a byte is the character with its number, up to U+00FF.
    Latin1,
    /// UTF-16 in little-endian order.
    Utf16,
    /// UTF-32 in little-endian order.
    Utf32,
}

impl TextEncoding {
    /// Returns the number of bytes of a unit, and of the NUL that ends a text.
    #[must_use]
    pub const fn width(self) -> usize {
        match self {
            Self::Utf8 | Self::Latin1 => 1,
            Self::Utf16 => 2,
            Self::Utf32 => 4,
        }
    }

    /// Returns the length of the text in `bytes`: up to the first NUL, or all of them.
    #[must_use]
    pub fn up_to_nul(self, bytes: &[u8]) -> usize {
        let end = match self.width() {
            1 => bytes.iter().position(|byte| *byte == 0),
            width => {
                let is_nul = |unit: &[u8]| unit.iter().all(|byte| *byte == 0);
                bytes.chunks_exact(width).position(is_nul).map(|index| index * width)
            }
        };
        end.unwrap_or(bytes.len())
    }

    /// Returns the text of `bytes`, in which a NUL is a character like any other.
    ///
    /// U+FFFD replaces everything that is not valid in this encoding: half of a surrogate pair, a number
    /// above U+10FFFF, a last unit that is cut. Python's codecs replace the same (`errors="replace"`).
    ///
    /// # Errors
    /// [`TextError::OutOfMemory`].
    pub fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>, TextError> {
        let cut = |rest: &[u8]| (!rest.is_empty()).then_some(REPLACEMENT);
        Ok(Cow::Owned(match self {
            Self::Utf8 => match std::str::from_utf8(bytes) {
                Ok(text) => return Ok(Cow::Borrowed(text)),
                Err(_) => text_of(
                    bytes.utf8_chunks().flat_map(|chunk| chunk.valid().chars().chain(cut(chunk.invalid()))),
                )?,
            },
            Self::Latin1 => text_of(bytes.iter().map(|byte| char::from(*byte)))?,
            Self::Utf16 => {
                let (units, mut rest) = bytes.as_chunks();
                let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
                if matches!(units.clone().next_back(), Some(0xD800..=0xDBFF)) {
                    // The rest is part of the pair that is cut.
                    rest = &[];
                }
                let characters = char::decode_utf16(units).map(|unit| unit.unwrap_or(REPLACEMENT));
                text_of(characters.chain(cut(rest)))?
            }
            Self::Utf32 => {
                let (units, rest) = bytes.as_chunks();
                let character = |unit: &[u8; 4]| char::from_u32(u32::from_le_bytes(*unit));
                text_of(units.iter().map(|unit| character(unit).unwrap_or(REPLACEMENT)).chain(cut(rest)))?
            }
        }))
    }

    /// Converts UTF-32 in this machine's byte order to bytes of this encoding.
    ///
    /// # Errors
    /// [`TextError::NotUnicode`] and [`TextError::NotLatin1`], with the first such unit;
    /// [`TextError::OutOfMemory`].
    pub fn encode(self, units: &[u32]) -> Result<Vec<u8>, TextError> {
        if self == Self::Latin1
            && let Some((index, &unit)) = units.iter().enumerate().find(|(_, unit)| **unit > 0xFF)
        {
            utf8_length(&units[..=index])?;
            return Err(TextError::NotLatin1 { index, unit });
        }
        // Also the check that each unit is a character.
        utf8_length(units)?;
        let characters = units.iter().filter_map(|unit| char::from_u32(*unit));
        let as_bytes = characters.clone().map(u32::from).map(u32::to_le_bytes);
        match self {
            Self::Utf8 => utf8_from_units(units).map(String::into_bytes),
            Self::Latin1 => collected(units.len(), as_bytes.map(|[low, ..]| low)),
            Self::Utf16 => {
                let size = characters.clone().map(char::len_utf16).sum::<usize>() * 2;
                let pairs = characters.flat_map(|character| {
                    let mut pair = [0; 2];
                    let length = character.encode_utf16(&mut pair).len();
                    pair.into_iter().take(length)
                });
                collected(size, pairs.flat_map(u16::to_le_bytes))
            }
            Self::Utf32 => collected(units.len() * 4, as_bytes.flatten()),
        }
    }
}

/// Collects `size` bytes, if there is memory for them.
fn collected(size: usize, from: impl Iterator<Item = u8>) -> Result<Vec<u8>, TextError> {
    let mut bytes = Vec::new();
    if !has_room_for(size as u64) || bytes.try_reserve_exact(size).is_err() {
        return Err(TextError::OutOfMemory { size });
    }
    bytes.extend(from);
    Ok(bytes)
}

impl std::fmt::Display for TextEncoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "UTF-8",
            Self::Latin1 => "Latin-1",
            Self::Utf16 => "UTF-16",
            Self::Utf32 => "UTF-32",
        })
    }
}

fn text_of(characters: impl Iterator<Item = char> + Clone) -> Result<String, TextError> {
    let size = characters.clone().map(char::len_utf8).sum();
    let mut text = String::new();
    if !has_room_for(size as u64) || text.try_reserve_exact(size).is_err() {
        return Err(TextError::OutOfMemory { size });
    }
    text.extend(characters);
    Ok(text)
}
