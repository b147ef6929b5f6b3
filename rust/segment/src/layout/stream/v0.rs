//! V0: the oldest version, which computes offsets in elements of the array that it writes.
//!
//! | | size (u32) | data |
//! | --- | --- | --- |
//! | strings, bytes | @1 | @5 |
//! | floats | @4 | @20 |
//! | doubles | @8 | @40 |
//!
//! The flags (u8) are always @0. What is left of other kinds of messages between them means nothing.

use std::time::Duration;

use super::unlocked::{Place, Unlocked};
use super::{Kind, Wire};
use crate::Segment;
use crate::layout::{Error, Result};

pub(super) struct V0;

const LAYOUT: &str = "stream of version V0";

const fn place(kind: Kind) -> Place {
    match kind {
        Kind::Bytes | Kind::String => Place { size: 1, data: 5 },
        Kind::Floats => Place { size: 4, data: 20 },
        Kind::Doubles => Place { size: 8, data: 40 },
    }
}

const STREAM: Unlocked = Unlocked { layout: LAYOUT, place };

impl Wire for V0 {
    fn layout(&self) -> &'static str {
        LAYOUT
    }

    fn header(&self) -> u64 {
        self.data_at(Kind::String)
    }

    fn data_at(&self, kind: Kind) -> u64 {
        place(kind).data
    }

    fn check(&self, segment: &Segment) -> Result<()> {
        STREAM.check(segment)
    }

    fn reset(&self, segment: &Segment) -> Result<()> {
        STREAM.reset(segment)
    }

    fn write(&self, segment: &Segment, kind: Kind, bytes: &[u8], _: Duration) -> Result<()> {
        STREAM.write(segment, kind, bytes)
    }

    fn read(&self, segment: &Segment, into: &mut Vec<u8>, _: Duration) -> Result<(Kind, u32)> {
        STREAM.read(segment, into)
    }

    fn mark(&self, segment: &Segment) -> Result<Option<u32>> {
        STREAM.mark(segment)
    }

    /// There is no field for it. Its readers remember the flags.
    fn acknowledge(&self, _: &Segment, mark: u32) -> Result<u32> {
        Ok(mark)
    }

    fn is_acknowledged(&self, _: &Segment) -> Result<bool> {
        Err(Error::NoAcknowledgement { layout: LAYOUT })
    }
}
