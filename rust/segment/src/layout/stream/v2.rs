//! V2: flags (u8) @0, three bytes of padding, revision (u32) @4, acknowledged revision @8, size @12, lock
//! @16, data @20.
//!
//! A writer takes the lock, writes flags, size and data, adds 1 to the revision and releases the lock. A
//! reader takes the same lock. A reader acknowledges a message by storing its revision as the acknowledged
//! one, without the lock.
//!
//! At any moment, even if a writer has died, the padding is 0 and the lock is 0 or 1. The acknowledged
//! revision is not ahead of the revision. Flags and size are each those of a message that fits. Each call
//! checks that before it stores anything. While the lock is free, size and flags also belong to the same
//! message.

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use super::{Kind, Wire};
use crate::layout::fields::{copy, read_header, u32_at};
use crate::layout::lock::{self, Backoff, Lock};
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

/// A copy of the header that passed the checks which hold at any moment.
#[derive(Debug, Clone, Copy)]
struct Header {
    flags: u8,
    /// Where V1 has a part of its size.
    padding: [u8; 3],
    kind: Kind,
    revision: u32,
    acknowledged: u32,
    size: u32,
    lock: u32,
}

impl Header {
    /// Copies and checks the header. Each call does so: it costs as much as one more field of its own.
    #[inline(always)] // A call of its own would return the result through memory.
    fn read(segment: &Segment) -> Result<Self> {
        let bytes = read_header::<20>(segment)?;
        // The message that it describes is read after it.
        fence(Ordering::Acquire);
        let [flags, low, middle, high, ..] = bytes;
        let kind = Kind::of_flags(flags);
        let header = Self {
            flags,
            padding: [low, middle, high],
            kind: kind.unwrap_or(Kind::Bytes),
            revision: u32_at(&bytes, REVISION),
            acknowledged: u32_at(&bytes, ACKNOWLEDGED),
            size: u32_at(&bytes, SIZE),
            lock: u32_at(&bytes, LOCK),
        };
        // The size is compared as bytes: a writer may have stored its flags, and not yet its size.
        let is_plausible = kind.is_some()
            && header.padding == [0; 3]
            && header.lock <= 1
            && !is_ahead(header.acknowledged, header.revision)
            && u64::from(header.size) <= V2.room(segment, Kind::Bytes);
        if is_plausible { Ok(header) } else { Err(header.why_invalid(segment)) }
    }

    #[cold]
    fn why_invalid(self, segment: &Segment) -> Error {
        let [low, middle, high] = self.padding;
        let padding = u32::from_le_bytes([low, middle, high, 0]);
        let invalid =
            |what, found: u32, limit| Error::Invalid { layout: LAYOUT, what, found: found.into(), limit };
        if let Err(error) = Kind::of(self.flags, LAYOUT).and(lock::check(self.lock, LAYOUT)) {
            error
        } else if padding != 0 {
            invalid("the padding behind the flags", padding, "it must be 0".to_owned())
        } else if is_ahead(self.acknowledged, self.revision) {
            let limit = format!("the last message has the revision {}", self.revision);
            invalid("the acknowledged revision", self.acknowledged, limit)
        } else {
            let limit = format!("at most {} fit", V2.room(segment, Kind::Bytes));
            invalid("the size of the message", self.size, limit)
        }
    }

    /// Returns whether no message was written. A writer of libsharedmemory that starts leaves the flags.
    const fn is_empty(self) -> bool {
        self.revision == 0 && (self.flags == 0 || self.size == 0)
    }

    /// Checks that size and flags belong together, and returns the size.
    fn length(self, segment: &Segment) -> Result<u64> {
        self.kind.check_found(self.size, V2.room(segment, self.kind), LAYOUT)
    }
}

/// Returns whether revision `a` comes after `b`. Revisions wrap around, and 0 comes before all.
const fn is_ahead(a: u32, b: u32) -> bool {
    a > b && a - b <= u32::MAX / 2
}

impl V2 {
    /// Takes the lock of a stream, and returns it with the header. Where there is no header, nothing may be
    /// stored, so that is read first.
    #[inline(always)] // As `Header::read`.
    fn lock<'a>(&self, segment: &'a Segment, timeout: Duration) -> Result<(Lock<'a>, Header)> {
        let header = Header::read(segment)?;
        let lock = Lock::take(segment, LOCK, LAYOUT, timeout)?;
        // Every writer changes the revision. If it is the same, and the lock was free, so is the rest.
        if header.lock == 0 && segment.load_u32(REVISION)? == header.revision {
            return Ok((lock, header));
        }
        let header = Header::read(segment)?;
        Ok((lock, header))
    }

    /// Copies the message that the header describes. The caller holds the lock, or checks for concurrent
    /// writes as `read_without_lock` does.
    fn copy(&self, segment: &Segment, header: Header, into: &mut Vec<u8>) -> Result<(Kind, u32)> {
        if header.is_empty() {
            return Err(Error::Empty);
        }
        copy(segment, DATA, header.length(segment)?, into)?;
        Ok((header.kind, header.revision))
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
        let advice = "a program that may write there must call reset()";
        let mut backoff = Backoff::new(LAYOUT, timeout, advice);
        loop {
            let before = segment.load_u32(REVISION)?;
            let lock = segment.load_u32(LOCK)?;
            lock::check(lock, LAYOUT)?;
            if lock == 0 {
                let result = Header::read(segment).and_then(|header| self.copy(segment, header, into));
                fence(Ordering::Acquire);
                // Errors count only here, too: a header that is being written may look wrong.
                if segment.load_u32(LOCK)? == 0 && segment.load_u32(REVISION)? == before {
                    return result;
                }
            } else {
                Header::read(segment)?;
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

    /// Of a message that is being written, or whose writer died, says only that it may be one.
    fn check(&self, segment: &Segment) -> Result<()> {
        let header = Header::read(segment)?;
        let result = header.length(segment);
        let is_being_written = header.lock != 0
            || segment.load_u32(LOCK)? != 0
            || segment.load_u32(REVISION)? != header.revision;
        if is_being_written { Ok(()) } else { result.map(|_| ()) }
    }

    fn check_before_reset(&self, segment: &Segment) -> Result<()> {
        Header::read(segment).map(|_| ())
    }

    fn reset(&self, segment: &Segment) -> Result<()> {
        // The lock last: a process that waits for it finds an empty stream.
        segment.fill(FLAGS, LOCK - FLAGS, 0)?;
        segment.store_u32(LOCK, 0)?;
        Ok(())
    }

    fn write(&self, segment: &Segment, kind: Kind, bytes: &[u8], timeout: Duration) -> Result<()> {
        let length = kind.check_given(bytes, self.room(segment, kind))?;
        let (_lock, header) = self.lock(segment, timeout)?;
        segment.write(FLAGS, &[kind.flags_after(header.flags)])?;
        segment.store_u32(SIZE, length)?;
        segment.write(DATA, bytes)?;
        // Only the holder of the lock changes it.
        let revision = header.revision.wrapping_add(1);
        if revision == 0 {
            // A reader that died long ago has left an acknowledgement, which must not be ahead from now on.
            segment.store_u32(ACKNOWLEDGED, 0)?;
        }
        segment.store_u32(REVISION, revision)?;
        Ok(())
    }

    fn read(&self, segment: &Segment, into: &mut Vec<u8>, timeout: Duration) -> Result<(Kind, u32)> {
        match segment.access() {
            Access::ReadWrite => {
                let (_lock, header) = self.lock(segment, timeout)?;
                self.copy(segment, header, into)
            }
            Access::ReadOnly => self.read_without_lock(segment, into, timeout),
        }
    }

    fn stamp(&self, segment: &Segment) -> Result<Option<u32>> {
        let header = Header::read(segment)?;
        Ok((!header.is_empty()).then_some(header.revision))
    }

    fn acknowledge(&self, segment: &Segment, stamp: u32) -> Result<u32> {
        // An empty write fails in read-only memory, even if there is nothing to store.
        segment.write(ACKNOWLEDGED, &[])?;
        // If the stream was reset since the message was read, there is nothing to acknowledge.
        if !is_ahead(stamp, Header::read(segment)?.revision) {
            segment.store_u32(ACKNOWLEDGED, stamp)?;
        }
        Ok(stamp)
    }

    fn is_acknowledged(&self, segment: &Segment) -> Result<bool> {
        let header = Header::read(segment)?;
        Ok(header.acknowledged == header.revision)
    }
}

/// Returns the revision of the message, if the memory may well hold one of V2 that isn't empty.
pub(super) fn revision_of_message(segment: &Segment) -> Option<u32> {
    let header = Header::read(segment).ok()?;
    let is_message = header.revision != 0 && header.size != 0 && header.length(segment).is_ok();
    is_message.then_some(header.revision)
}
