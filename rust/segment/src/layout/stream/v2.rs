//! V2: flags (u8) @0, three bytes of padding, revision (u32) @4, acknowledged revision @8, size @12, lock
//! @16, data @20.
//!
//! A writer takes the lock, writes flags, size and data, adds 1 to the revision and releases the lock. A
//! reader takes the same lock. A reader acknowledges a message by storing its revision as the acknowledged
//! one, without the lock.

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use super::{Kind, Wire};
use crate::layout::fields::{copy, read_u8};
use crate::layout::lock::{Backoff, Lock};
use crate::layout::{Error, Result};
use crate::{Access, Segment};

pub(super) struct V2;

const LAYOUT: &str = "stream of version V2";

const FLAGS: u64 = 0;
const REVISION: u64 = 4;
const ACKNOWLEDGED: u64 = 8;
const SIZE: u64 = 12;
const LOCK: u64 = 16;
const DATA: u64 = 20;

impl V2 {
    fn lock<'a>(&self, segment: &'a Segment, timeout: Duration) -> Result<Lock<'a>> {
        Lock::take(segment, LOCK, LAYOUT, timeout)
    }

    /// Reads and checks the header, and returns the flags, the kind of the message and its length.
    fn find(&self, segment: &Segment) -> Result<(u8, Kind, u64)> {
        let flags = read_u8(segment, FLAGS)?;
        let kind = Kind::of(flags, LAYOUT)?;
        let length = kind.check_found(segment.load_u32(SIZE)?, self.room(segment, kind), LAYOUT)?;
        Ok((flags, kind, length))
    }

    /// Copies the message. The caller holds the lock, or checks for concurrent writes as `read_without_lock`
    /// does.
    fn copy(&self, segment: &Segment, into: &mut Vec<u8>) -> Result<(Kind, u32)> {
        let revision = segment.load_u32(REVISION)?;
        let (flags, kind, length) = self.find(segment)?;
        if revision == 0 && flags == 0 {
            return Err(Error::Empty);
        }
        copy(segment, DATA, length, into)?;
        Ok((kind, revision))
    }

    /// Copies the message, and repeats that if a peer wrote concurrently.
    ///
    /// No peer has written if the lock was free before and after the copy, and the revision is the same. The
    /// lock is read first: once a writer has released it, its revision is visible as well.
    fn read_without_lock(
        &self,
        segment: &Segment,
        into: &mut Vec<u8>,
        timeout: Duration,
    ) -> Result<(Kind, u32)> {
        let mut backoff = Backoff::new(LAYOUT, timeout);
        loop {
            let before = segment.load_u32(REVISION)?;
            if segment.load_u32(LOCK)? == 0 {
                let result = self.copy(segment, into);
                fence(Ordering::Acquire);
                // Errors count only here, too: a header that is being written may look wrong.
                if segment.load_u32(LOCK)? == 0 && segment.load_u32(REVISION)? == before {
                    return result;
                }
            }
            backoff.wait()?;
        }
    }
}

impl Wire for V2 {
    fn layout(&self) -> &'static str {
        LAYOUT
    }

    fn header(&self) -> u64 {
        DATA
    }

    fn data_at(&self, _: Kind) -> u64 {
        DATA
    }

    /// Says nothing of a message that is being written, or whose writer died: each operation checks it again.
    fn check(&self, segment: &Segment) -> Result<()> {
        let before = segment.load_u32(REVISION)?;
        let is_locked = segment.load_u32(LOCK)? != 0;
        let result = self.find(segment);
        fence(Ordering::Acquire);
        if is_locked || segment.load_u32(LOCK)? != 0 || segment.load_u32(REVISION)? != before {
            return Ok(());
        }
        result.map(|_| ())
    }

    fn reset(&self, segment: &Segment) -> Result<()> {
        // The lock last: a process that waits for it finds an empty stream.
        segment.fill(FLAGS, LOCK - FLAGS, 0)?;
        segment.store_u32(LOCK, 0)?;
        Ok(())
    }

    fn write(&self, segment: &Segment, kind: Kind, bytes: &[u8], timeout: Duration) -> Result<()> {
        let length = kind.check_given(bytes, self.room(segment, kind))?;
        let _lock = self.lock(segment, timeout)?;
        let before = read_u8(segment, FLAGS)?;
        segment.write(FLAGS, &[kind.flags_after(before)])?;
        segment.store_u32(SIZE, length)?;
        segment.write(DATA, bytes)?;
        segment.fetch_add_u32(REVISION, 1)?;
        Ok(())
    }

    fn read(&self, segment: &Segment, into: &mut Vec<u8>, timeout: Duration) -> Result<(Kind, u32)> {
        match segment.access() {
            Access::ReadWrite => {
                let _lock = self.lock(segment, timeout)?;
                self.copy(segment, into)
            }
            Access::ReadOnly => self.read_without_lock(segment, into, timeout),
        }
    }

    fn stamp(&self, segment: &Segment) -> Result<Option<u32>> {
        let revision = segment.load_u32(REVISION)?;
        let is_empty = revision == 0 && read_u8(segment, FLAGS)? == 0;
        Ok((!is_empty).then_some(revision))
    }

    fn acknowledge(&self, segment: &Segment, stamp: u32) -> Result<u32> {
        segment.store_u32(ACKNOWLEDGED, stamp)?;
        Ok(stamp)
    }

    fn is_acknowledged(&self, segment: &Segment) -> Result<bool> {
        Ok(segment.load_u32(ACKNOWLEDGED)? == segment.load_u32(REVISION)?)
    }
}
