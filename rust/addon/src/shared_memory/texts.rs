//! Texts in the memory, up to the first NUL.

use godot::builtin::GString;
use shm_segment::{Segment, TextEncoding};

use super::args::{offset_inside, unsigned};
use super::enums::TEXT_UTF8;
use super::{Result, SharedMemory};
use crate::binding::{Definition, EngineText, Enum, EnumArg, ErrorCode, methods};
use crate::error::{Failure, code_of, constant};
use crate::room::{MAX_TEXT_BYTES, can_allocate, no_room};
use crate::unicode::{decode, encode};

pub(super) fn define(class: &mut Definition<SharedMemory>) {
    methods!(class, SharedMemory {
        const fn read_string(
            max_bytes: i64 = 0, byte_offset: i64 = 0, encoding: Enum<TextEncoding> = TEXT_UTF8
        ) -> GString;
        fn write_string(
            text: GString, byte_offset: i64 = 0, encoding: Enum<TextEncoding> = TEXT_UTF8
        ) -> ErrorCode;
    });
}

impl SharedMemory {
    fn read_string(&self, max_bytes: i64, byte_offset: i64, encoding: EnumArg<TextEncoding>) -> GString {
        self.with_segment(|segment| {
            let offset = offset_inside(segment, "byte_offset", byte_offset)?;
            let max_bytes = unsigned("max_bytes", max_bytes)?;
            let encoding = constant("encoding", &encoding)?;
            let room = whole_units(encoding, segment.size() - offset);
            let length = if max_bytes == 0 { room } else { room.min(max_bytes) };
            decode(encoding, &up_to_nul(segment, offset, length, encoding)?)
        })
        .unwrap_or_default()
    }

    fn write_string(
        &self,
        text: EngineText<'_>,
        byte_offset: i64,
        encoding: EnumArg<TextEncoding>,
    ) -> ErrorCode {
        code_of(self.with_segment(|segment| {
            let offset = offset_inside(segment, "byte_offset", byte_offset)?;
            let encoding = constant("encoding", &encoding)?;
            let (room, width) = (segment.size() - offset, encoding.width());
            let mut bytes = encode(encoding, "text", &text)?;
            let length = bytes.len();
            if length as u64 > room {
                let has = format!("the text has {length} bytes of {encoding}");
                return Err(Failure::invalid(format!("{has}; from byte {offset} on there are {room}")));
            }
            if (length as u64) < whole_units(encoding, room) {
                bytes.try_reserve_exact(width).map_err(|_| no_room("a text", length))?;
                bytes.resize(length + width, 0);
            }
            Ok(segment.write(offset, &bytes)?)
        }))
    }
}

/// Returns how many of `bytes` can hold whole units. The rest at a segment's end is part of no text.
const fn whole_units(encoding: TextEncoding, bytes: u64) -> u64 {
    bytes - bytes % encoding.width() as u64
}

/// Returns the bytes from `offset` on, at most `length`, up to the first NUL.
///
/// Reads in pieces: a short text may stand at the start of a gigabyte.
fn up_to_nul(segment: &Segment, mut offset: u64, length: u64, encoding: TextEncoding) -> Result<Vec<u8>> {
    // A multiple of every unit's width.
    const PIECE: usize = 4096;
    let end = offset + length;
    let mut text = Vec::new();
    while offset < end {
        let mut piece = [0; PIECE];
        let piece = &mut piece[..usize::try_from(end - offset).unwrap_or(PIECE).min(PIECE)];
        segment.read(offset, piece)?;
        let part = &piece[..encoding.up_to_nul(piece)];
        // Each piece is checked before the next one is read: the whole may be more than the engine can hold.
        let length = text.len() + part.len();
        if length > text.capacity() {
            let doubled = (2 * text.capacity()).max(PIECE);
            if length > MAX_TEXT_BYTES
                || !can_allocate(doubled)
                || text.try_reserve_exact(doubled - text.len()).is_err()
            {
                return Err(no_room("a text", length));
            }
        }
        text.extend_from_slice(part);
        if part.len() < piece.len() {
            break;
        }
        offset += PIECE as u64;
    }
    Ok(text)
}
