//! V1: flags (u8) @0, size (u32) @1, data @5, for every kind of message.
//!
//! A reader clears the flag for changes when it has read the message, and the next message sets it again. But
//! each message flips the flag. So a message that comes before the reader has cleared it also clears it, and
//! looks read. That is so on every side.

use super::unlocked::{Offsets, Unlocked, read_flags, stamp_of};
use super::{CHANGED, Kind};
use crate::Segment;
use crate::layout::Result;

pub(super) struct V1;

impl Unlocked for V1 {
    const LAYOUT: &'static str = "stream of version V1";

    fn offsets(_: Kind) -> Offsets {
        Offsets { size: 1, data: 5 }
    }

    /// Clears the flag atomically, in the word that has the flags as its first byte. A writer that comes in
    /// between must keep its flag, and the flags of its message.
    fn acknowledge(segment: &Segment, stamp: u32) -> Result<u32> {
        const WORD: u64 = 0;
        let changed = u32::from(CHANGED);
        // An empty write fails in read-only memory, even if there is nothing to store.
        segment.write(WORD, &[])?;
        let word = segment.load_u32(WORD)?;
        // If the flag has flipped since, or the word changes now, there is another message, which is new.
        let is_still_there = stamp == changed && word & changed != 0;
        if is_still_there && segment.compare_exchange_u32(WORD, word, word & !changed)? == word {
            return Ok(0);
        }
        Ok(stamp)
    }

    fn is_acknowledged(segment: &Segment) -> Result<bool> {
        Ok(stamp_of(read_flags(segment)?) == 0)
    }
}
