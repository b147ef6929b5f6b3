//! Texts in the memory: UTF-8, up to the first NUL.

use godot::builtin::GString;
use shm_segment::Segment;

use super::args::{offset_inside, unsigned};
use super::{Result, SharedMemory};
use crate::binding::{Definition, EngineText, ErrorCode, methods};
use crate::error::{Failure, code_of};
use crate::room::{MAX_TEXT_BYTES, can_allocate, no_room};
use crate::unicode::{text_from, utf8_of};

pub(super) fn define(class: &mut Definition<SharedMemory>) {
    methods!(class, SharedMemory {
        const fn read_string(max_bytes: i64 = 0, byte_offset: i64 = 0) -> GString;
        fn write_string(text: GString, byte_offset: i64 = 0) -> ErrorCode;
    });
}

impl SharedMemory {
    fn read_string(&self, max_bytes: i64, byte_offset: i64) -> GString {
        self.with_segment(|segment| {
            let offset = offset_inside(segment, "byte_offset", byte_offset)?;
            let left = segment.size() - offset;
            let length = match unsigned("max_bytes", max_bytes)? {
                0 => left,
                max => max.min(left),
            };
            text_from(&up_to_nul(segment, offset, length)?)
        })
        .unwrap_or_default()
    }

    fn write_string(&self, text: EngineText<'_>, byte_offset: i64) -> ErrorCode {
        code_of(self.with_segment(|segment| {
            let offset = offset_inside(segment, "byte_offset", byte_offset)?;
            let room = segment.size() - offset;
            let mut bytes = utf8_of("text", &text)?.into_bytes();
            let length = bytes.len();
            if length as u64 > room {
                let message = format!("the text has {length} bytes; from byte {offset} on there are {room}");
                return Err(Failure::invalid(message));
            }
            if (length as u64) < room {
                bytes.try_reserve_exact(1).map_err(|_| no_room("a text", length))?;
                bytes.push(0);
            }
            Ok(segment.write(offset, &bytes)?)
        }))
    }
}

/// Returns the bytes from `offset` on, at most `length`, up to the first NUL.
///
/// Reads in pieces: a short text may stand at the start of a gigabyte.
fn up_to_nul(segment: &Segment, mut offset: u64, length: u64) -> Result<Vec<u8>> {
    const PIECE: usize = 4096;
    let end = offset + length;
    let mut text = Vec::new();
    while offset < end {
        let mut piece = [0; PIECE];
        let piece = &mut piece[..usize::try_from(end - offset).unwrap_or(PIECE).min(PIECE)];
        segment.read(offset, piece)?;
        let nul = piece.iter().position(|byte| *byte == 0);
        let part = &piece[..nul.unwrap_or(piece.len())];
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
        if nul.is_some() {
            break;
        }
        offset += PIECE as u64;
    }
    Ok(text)
}
