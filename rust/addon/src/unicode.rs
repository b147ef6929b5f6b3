//! Conversions between the engine's text and UTF-8. No other module converts either.

use godot::builtin::{GString, Variant};
use godot::global::Error as Code;
use shm_segment::{TextError, utf8_from_units, utf8_length};

use crate::binding::EngineText;
use crate::error::{Failure, Result};
use crate::room::{MAX_TEXT_BYTES, can_allocate_text, no_room};

const BYTE_ORDER_MARK: &str = "\u{FEFF}";
const REPLACEMENT: &str = "\u{FFFD}";

/// Returns the text of a script's `argument` in UTF-8. Invalid Unicode is a mistake of the script.
pub(crate) fn utf8_of(argument: &str, text: &EngineText<'_>) -> Result<String> {
    utf8_from_units(text.units()).map_err(|e| text_failure(argument, &e))
}

/// Returns the length of a text in bytes of UTF-8. The text must be valid Unicode.
pub(crate) fn utf8_length_of(argument: &str, text: &EngineText<'_>) -> Result<usize> {
    utf8_length(text.units()).map_err(|e| text_failure(argument, &e))
}

/// Returns the text in a `Variant` as [`utf8_of`] does, and an empty one for a value without text.
pub(crate) fn utf8_in(argument: &str, value: &Variant) -> Result<String> {
    EngineText::of(value).map_or(Ok(String::new()), |text| utf8_of(argument, &text))
}

fn text_failure(argument: &str, error: &TextError) -> Failure {
    let code = match error {
        TextError::OutOfMemory { .. } => Code::ERR_OUT_OF_MEMORY,
        _ => Code::ERR_INVALID_PARAMETER,
    };
    Failure::new(code, format!("{argument}: {error}"))
}

/// Returns the engine's string of a text without NULs.
///
/// `String.parse_utf8` drops a byte order mark at the start (core/string/ustring.cpp): this adds another.
pub(crate) fn engine_text(text: &str) -> GString {
    if text.starts_with(BYTE_ORDER_MARK) {
        return GString::from(&format!("{BYTE_ORDER_MARK}{text}"));
    }
    GString::from(text)
}

/// Returns the text of bytes of UTF-8, up to the first NUL: the engine's strings can't hold one. Invalid
/// bytes become U+FFFD.
pub(crate) fn text_from(bytes: &[u8]) -> Result<GString> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let bytes = &bytes[..end];
    if end > MAX_TEXT_BYTES {
        return Err(no_room("a text", end));
    }
    let mut repaired = String::new();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => {
            let chunks = bytes
                .utf8_chunks()
                .flat_map(|chunk| [chunk.valid(), if chunk.invalid().is_empty() { "" } else { REPLACEMENT }]);
            for part in chunks {
                repaired.try_reserve(part.len()).map_err(|_| no_room("a text", end))?;
                repaired.push_str(part);
            }
            &repaired
        }
    };
    if !can_allocate_text(text.len()) {
        return Err(no_room("a text", end));
    }
    Ok(engine_text(text))
}
