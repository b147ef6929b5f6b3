//! The common part of V0 and V1: a byte of flags at the start, a size, and no lock.
//!
//! So a reader may get a part of one message and a part of the next. This side can only keep an order: the
//! flags change after the message that they announce, and are read before it.

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use super::{CHANGED, Kind, Wire};
use crate::Segment;
use crate::layout::fields::{check_room, copy, read_u8, read_u32};
use crate::layout::{Error, Result};

const FLAGS: u64 = 0;
/// The lowest offset that a size may have.
const AFTER_FLAGS: u64 = 1;

/// The offsets of the parts of a message, for one kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offsets {
    pub(super) size: u64,
    pub(super) data: u64,
}

/// A version without a lock: its name, its offsets, and what a reader can tell the writer.
pub(super) trait Unlocked: Sync {
    const LAYOUT: &'static str;

    fn offsets(kind: Kind) -> Offsets;

    /// Does what [`Wire::acknowledge`] does.
    fn acknowledge(segment: &Segment, stamp: u32) -> Result<u32>;

    /// Does what [`Wire::is_acknowledged`] does.
    fn is_acknowledged(segment: &Segment) -> Result<bool>;
}

/// A message, as the header describes it.
#[derive(Debug, Clone, Copy)]
struct Found {
    flags: u8,
    kind: Kind,
    length: u64,
    data: u64,
}

/// Reads the header once, and checks it.
fn find<T: Unlocked>(stream: &T, segment: &Segment) -> Result<Found> {
    let flags = read_flags(segment)?;
    let kind = Kind::of(flags, T::LAYOUT)?;
    let offsets = T::offsets(kind);
    // The data of one kind may lie outside a segment that is large enough for other kinds.
    if segment.size() < offsets.data {
        return Err(Error::Invalid {
            layout: T::LAYOUT,
            what: "the flags field",
            found: flags.into(),
            limit: format!(
                "a message with these flags would begin behind the end of the {} bytes",
                segment.size()
            ),
        });
    }
    let size = read_u32(segment, offsets.size)?;
    let length = kind.check_found(size, stream.room(segment, kind), T::LAYOUT)?;
    Ok(Found { flags, kind, length, data: offsets.data })
}

impl<T: Unlocked> Wire for T {
    fn layout(&self) -> &'static str {
        T::LAYOUT
    }

    fn header(&self) -> u64 {
        self.data_at(Kind::String)
    }

    fn data_at(&self, kind: Kind) -> u64 {
        T::offsets(kind).data
    }

    fn check(&self, segment: &Segment) -> Result<()> {
        find(self, segment).map(|_| ())
    }

    fn reset(&self, segment: &Segment) -> Result<()> {
        let header = self.data_at(Kind::Doubles).min(segment.size());
        segment.fill(AFTER_FLAGS, header - AFTER_FLAGS, 0)?;
        fence(Ordering::Release);
        segment.fill(FLAGS, 1, 0)?;
        Ok(())
    }

    fn write(&self, segment: &Segment, kind: Kind, bytes: &[u8], _: Duration) -> Result<()> {
        let offsets = T::offsets(kind);
        let length = kind.check_given(bytes, self.room(segment, kind))?;
        // A message of no bytes has its fields, too. Nothing may be written if they don't fit.
        check_room(segment, T::LAYOUT, offsets.data)?;
        segment.write(offsets.size, &length.to_le_bytes())?;
        segment.write(offsets.data, bytes)?;
        // Not earlier: a reader may clear a flag concurrently.
        let before = read_flags(segment)?;
        fence(Ordering::Release);
        segment.write(FLAGS, &[kind.flags_after(before)])?;
        Ok(())
    }

    fn read(&self, segment: &Segment, into: &mut Vec<u8>, _: Duration) -> Result<(Kind, u32)> {
        let found = find(self, segment)?;
        if found.flags == 0 && found.length == 0 {
            return Err(Error::Empty);
        }
        copy(segment, found.data, found.length, into)?;
        Ok((found.kind, stamp_of(found.flags)))
    }

    fn stamp(&self, segment: &Segment) -> Result<Option<u32>> {
        let flags = read_flags(segment)?;
        let is_empty = flags == 0 && read_u32(segment, T::offsets(Kind::Bytes).size)? == 0;
        Ok((!is_empty).then(|| stamp_of(flags)))
    }

    fn acknowledge(&self, segment: &Segment, stamp: u32) -> Result<u32> {
        T::acknowledge(segment, stamp)
    }

    fn is_acknowledged(&self, segment: &Segment) -> Result<bool> {
        T::is_acknowledged(segment)
    }
}

pub(super) fn stamp_of(flags: u8) -> u32 {
    u32::from(flags & CHANGED)
}

pub(super) fn read_flags(segment: &Segment) -> Result<u8> {
    let flags = read_u8(segment, FLAGS)?;
    fence(Ordering::Acquire);
    Ok(flags)
}
