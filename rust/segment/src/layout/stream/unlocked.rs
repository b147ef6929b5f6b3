//! The common part of V0 and V1: a byte of flags at the start, a size, and no lock.
//!
//! So a reader may get a part of one message and a part of the next. This side can only keep an order: the
//! flags change after the message that they announce, and are read before it.
//!
//! Flags and a size are all that tells a header from other bytes. A message of V2 is recognised as well: V2
//! has zeros behind its flags, and more fields that must fit.

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use super::{CHANGED, Kind, Wire, v2};
use crate::Segment;
use crate::layout::fields::{check_room, copy, read_header, read_u8, read_u32};
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

/// A message, as the header describes it. The length is of any kind until [`check`](Found::check).
#[derive(Debug, Clone, Copy)]
struct Found {
    flags: u8,
    kind: Kind,
    length: u64,
    data: u64,
}

impl Found {
    /// Reads the header once. Checks what holds even if a writer has stored its flags and not yet its size.
    fn read<T: Unlocked>(stream: &T, segment: &Segment) -> Result<Self> {
        let [flags, behind @ ..] = read_header::<4>(segment)?;
        fence(Ordering::Acquire);
        let kind = Kind::of(flags, T::LAYOUT)?;
        let invalid = |what, found, limit| Error::Invalid { layout: T::LAYOUT, what, found, limit };
        if behind == [0; 3]
            && let Some(revision) = v2::revision_of_message(segment)
        {
            let limit = "this version has none".to_owned();
            return Err(invalid("the revision of a stream of version V2", revision.into(), limit));
        }
        let offsets = T::offsets(kind);
        // The data of one kind may lie outside a segment that is large enough for other kinds.
        if segment.size() < offsets.data {
            let size = segment.size();
            let limit = format!("the data of such a message begins behind the end of the {size} bytes");
            return Err(invalid("the flags field", flags.into(), limit));
        }
        let size = read_u32(segment, offsets.size)?;
        let length = Kind::Bytes.check_found(size, stream.room(segment, kind), T::LAYOUT)?;
        Ok(Self { flags, kind, length, data: offsets.data })
    }

    /// Checks that size and flags belong together.
    fn check<T: Unlocked>(self, stream: &T, segment: &Segment) -> Result<Self> {
        let size = u32::try_from(self.length).unwrap_or(u32::MAX);
        self.kind.check_found(size, stream.room(segment, self.kind), T::LAYOUT)?;
        Ok(self)
    }

    const fn is_empty(self) -> bool {
        self.flags == 0 && self.length == 0
    }
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
        Found::read(self, segment)?.check(self, segment).map(|_| ())
    }

    fn check_before_reset(&self, segment: &Segment) -> Result<()> {
        Found::read(self, segment).map(|_| ())
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
        // Nor where there is no header.
        Found::read(self, segment)?;
        segment.write(offsets.size, &length.to_le_bytes())?;
        segment.write(offsets.data, bytes)?;
        // Not earlier: a reader may clear a flag concurrently.
        let before = read_flags(segment)?;
        fence(Ordering::Release);
        segment.write(FLAGS, &[kind.flags_after(before)])?;
        Ok(())
    }

    fn read(&self, segment: &Segment, into: &mut Vec<u8>, _: Duration) -> Result<(Kind, u32)> {
        let found = Found::read(self, segment)?.check(self, segment)?;
        if found.is_empty() {
            return Err(Error::Empty);
        }
        copy(segment, found.data, found.length, into)?;
        Ok((found.kind, stamp_of(found.flags)))
    }

    fn stamp(&self, segment: &Segment) -> Result<Option<u32>> {
        let found = Found::read(self, segment)?;
        Ok((!found.is_empty()).then(|| stamp_of(found.flags)))
    }

    fn acknowledge(&self, segment: &Segment, stamp: u32) -> Result<u32> {
        Found::read(self, segment)?;
        T::acknowledge(segment, stamp)
    }

    fn is_acknowledged(&self, segment: &Segment) -> Result<bool> {
        Found::read(self, segment)?;
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
