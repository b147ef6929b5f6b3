//! V0: the oldest version, which computes offsets in elements of the array that it writes.
//!
//! | | size (u32) | data |
//! | --- | --- | --- |
//! | strings, bytes | @1 | @5 |
//! | floats | @4 | @20 |
//! | doubles | @8 | @40 |
//!
//! The flags (u8) are always @0. What is left of other kinds of messages between them means nothing.

use super::Kind;
use super::unlocked::{Place, Unlocked};
use crate::Segment;
use crate::layout::{Error, Result};

pub(super) struct V0;

impl Unlocked for V0 {
    const LAYOUT: &'static str = "stream of version V0";

    fn place(kind: Kind) -> Place {
        match kind {
            Kind::Bytes | Kind::String => Place { size: 1, data: 5 },
            Kind::Floats => Place { size: 4, data: 20 },
            Kind::Doubles => Place { size: 8, data: 40 },
        }
    }

    /// There is no field for it. Its readers remember the flags.
    fn acknowledge(_: &Segment, mark: u32) -> Result<u32> {
        Ok(mark)
    }

    fn is_acknowledged(_: &Segment) -> Result<bool> {
        Err(Error::NoAcknowledgement { layout: Self::LAYOUT })
    }
}
