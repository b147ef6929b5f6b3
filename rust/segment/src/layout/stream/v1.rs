//! V1: flags (u8) @0, size (u32) @1, data @5, whatever the kind of the message.
//!
//! A reader clears the flag for changes when it has read the message. The next message sets it again; but one that comes
//! before the reader clears it too, as each message flips it, and looks read. That is so on every side.

use super::unlocked::{Place, Unlocked, mark_of, read_flags};
use super::{CHANGED, Kind};
use crate::Segment;
use crate::layout::Result;

pub(super) struct V1;

impl Unlocked for V1 {
    const LAYOUT: &'static str = "stream of version V1";

    fn place(_: Kind) -> Place {
        Place { size: 1, data: 5 }
    }

    /// In one step with looking, on the word that the flags are the first byte of: a writer that comes in between must
    /// neither have its flag cleared nor the flags of another message put over its own.
    fn acknowledge(segment: &Segment, mark: u32) -> Result<u32> {
        const WORD: u64 = 0;
        let changed = u32::from(CHANGED);
        // Fails where nothing may be written, also if there is nothing to write.
        segment.write(WORD, &[])?;
        let word = segment.load_u32(WORD)?;
        // If the flag has flipped since, or the word changes now, there is another message, and that one is new.
        let is_still_there = mark == changed && word & changed != 0;
        if is_still_there && segment.compare_exchange_u32(WORD, word, word & !changed)? {
            return Ok(0);
        }
        Ok(mark)
    }

    fn is_acknowledged(segment: &Segment) -> Result<bool> {
        Ok(mark_of(read_flags(segment)?) == 0)
    }
}
