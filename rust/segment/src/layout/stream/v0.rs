//! V0: the oldest version, which computes offsets in elements of the array that it writes.
//!
//! | | size (u32) | data |
//! | --- | --- | --- |
//! | strings, bytes | @1 | @5 |
//! | floats | @4 | @20 |
//! | doubles | @8 | @40 |
//!
//! The flags (u8) are always @0. Bytes that other kinds of messages have left between the fields mean
//! nothing.

use super::Kind;
use super::unlocked::{Offsets, Unlocked};
use crate::Segment;
use crate::layout::{Error, Result};

pub(super) struct V0;

impl Unlocked for V0 {
    const LAYOUT: &'static str = "stream of version V0";

    fn offsets(kind: Kind) -> Offsets {
        match kind {
            Kind::Bytes | Kind::String => Offsets { size: 1, data: 5 },
            Kind::Floats => Offsets { size: 4, data: 20 },
            Kind::Doubles => Offsets { size: 8, data: 40 },
        }
    }

    /// Stores nothing: V0 has no field for it. Its readers remember the flags.
    fn acknowledge(_: &Segment, stamp: u32) -> Result<u32> {
        Ok(stamp)
    }

    fn is_acknowledged(_: &Segment) -> Result<bool> {
        Err(Error::NoAcknowledgement { layout: Self::LAYOUT })
    }
}
