//! Text that may not be valid Unicode.
//!
//! Godot's strings are arrays of 32-bit units. A script can put any number into one: half of a surrogate
//! pair, or a number beyond U+10FFFF. Neither is a Rust [`char`], so such a text is refused before it becomes
//! a [`str`].

use crate::available::has_room_for;

/// The reason why a text was not converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// A unit is not a Unicode scalar value (Unicode 16, definition D76).
    #[error("the character at index {index} is U+{unit:04X}, which is not valid Unicode")]
    NotUnicode {
        /// The unit's position in the text.
        index: usize,
        /// The unit.
        unit: u32,
    },
    /// A unit is a character that Latin-1 lacks.
    #[error("the character at index {index} is U+{unit:04X}, and Latin-1 ends at U+00FF")]
    NotLatin1 {
        /// The unit's position in the text.
        index: usize,
        /// The unit.
        unit: u32,
    },
    /// The text does not fit into memory.
    #[error("no room for the {size} bytes of the text")]
    OutOfMemory {
        /// The size of the text in the encoding asked for, in bytes.
        size: usize,
    },
}

/// Checks that each unit is a Unicode scalar value, and returns how many bytes they are in UTF-8.
///
/// # Errors
/// [`TextError::NotUnicode`], with the first such unit.
pub fn utf8_length(units: &[u32]) -> Result<usize, TextError> {
    let mut size = 0_usize;
    for (index, &unit) in units.iter().enumerate() {
        let c = char::from_u32(unit).ok_or(TextError::NotUnicode { index, unit })?;
        size = size.saturating_add(c.len_utf8());
    }
    Ok(size)
}

/// Converts UTF-32 in this machine's byte order to UTF-8.
///
/// # Errors
/// The errors of [`utf8_length`], and [`TextError::OutOfMemory`].
pub fn utf8_from_units(units: &[u32]) -> Result<String, TextError> {
    let size = utf8_length(units)?;
    let mut text = String::new();
    if !has_room_for(size as u64) {
        return Err(TextError::OutOfMemory { size });
    }
    text.try_reserve_exact(size).map_err(|_| TextError::OutOfMemory { size })?;
    // `utf8_length` has checked each unit: all of them are characters.
    text.extend(units.iter().filter_map(|unit| char::from_u32(*unit)));
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn units(text: &str) -> Vec<u32> {
        text.chars().map(u32::from).collect()
    }

    #[test]
    fn unicode_is_converted_unchanged() {
        for text in ["", "frames", "\u{FEFF}bom", "a\0b", "ä€😀", "\u{D7FF}\u{E000}\u{10FFFF}"] {
            assert_eq!(utf8_from_units(&units(text)).unwrap(), text);
            assert_eq!(utf8_length(&units(text)).unwrap(), text.len());
        }
    }

    #[test]
    fn a_unit_that_is_not_a_character_is_refused() {
        for unit in [0xD800, 0xDBFF, 0xDC00, 0xDFFF, 0x11_0000, 0x7FFF_FFFF, u32::MAX] {
            for index in 0..3 {
                let mut text = units("ab");
                text.insert(index, unit);
                assert_eq!(utf8_from_units(&text), Err(TextError::NotUnicode { index, unit }));
            }
        }
        // A pair of surrogates is a character in UTF-16 only.
        assert_eq!(utf8_from_units(&[0xD83D, 0xDE00]), Err(TextError::NotUnicode { index: 0, unit: 0xD83D }));
    }
}
