//! Conversions between the engine's text and bytes. No other module converts either.

use godot::builtin::{GString, Variant};
use godot::global::Error as Code;
use shm_segment::{TextEncoding, TextError, utf8_from_units, utf8_length};

use crate::binding::EngineText;
use crate::error::{Failure, Result};
use crate::room::{MAX_TEXT_BYTES, can_allocate_text, no_room};

const BYTE_ORDER_MARK: &str = "\u{FEFF}";

/// Returns the text of a script's `argument` in UTF-8. Invalid Unicode is a mistake of the script.
pub(crate) fn to_utf8(argument: &str, text: &EngineText<'_>) -> Result<String> {
    utf8_from_units(text.units()).map_err(|e| text_failure(argument, &e))
}

/// Returns the length of a text in bytes of UTF-8. The text must be valid Unicode.
pub(crate) fn length_in_utf8(argument: &str, text: &EngineText<'_>) -> Result<usize> {
    utf8_length(text.units()).map_err(|e| text_failure(argument, &e))
}

/// Returns the text in a `Variant` as [`to_utf8`] does, and an empty one for a value without text.
pub(crate) fn variant_to_utf8(argument: &str, value: &Variant) -> Result<String> {
    EngineText::of(value).map_or(Ok(String::new()), |text| to_utf8(argument, &text))
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

/// Returns the text of bytes of UTF-8, as [`decode`] does.
pub(crate) fn decode_utf8(bytes: &[u8]) -> Result<GString> {
    decode(TextEncoding::Utf8, bytes)
}

/// Returns the text of bytes of UTF-8, all of it. The engine's strings can't hold a NUL, so it becomes
/// U+FFFD, as invalid bytes do.
pub(crate) fn decode_message_text(mut bytes: Vec<u8>) -> Result<GString> {
    /// A byte that no UTF-8 has.
    const INVALID: u8 = 0xFF;
    for nul in bytes.iter_mut().filter(|byte| **byte == 0) {
        *nul = INVALID;
    }
    decode_utf8(&bytes)
}

/// Returns the text of bytes in this encoding, up to the first NUL: the engine's strings can't hold one.
/// Invalid bytes become U+FFFD.
pub(crate) fn decode(encoding: TextEncoding, bytes: &[u8]) -> Result<GString> {
    let bytes = &bytes[..encoding.up_to_nul(bytes)];
    let no_room = || no_room("a text", bytes.len());
    if bytes.len() > MAX_TEXT_BYTES {
        return Err(no_room());
    }
    let text = encoding.decode(bytes).map_err(|_| no_room())?;
    if can_allocate_text(text.len()) { Ok(engine_text(&text)) } else { Err(no_room()) }
}

/// Returns the bytes of a script's `argument` in this encoding. A character that the encoding lacks is a
/// mistake of the script.
pub(crate) fn encode(encoding: TextEncoding, argument: &str, text: &EngineText<'_>) -> Result<Vec<u8>> {
    encoding.encode(text.units()).map_err(|e| text_failure(argument, &e))
}
