//! V2: the fields of the ring, the producers' lock @20, the consumers' lock @24, slots from @28 on.
//!
//! A process that dies with a lock leaves it taken. Other processes on its side get
//! [`Error::TimedOut`](super::Error::TimedOut) until one calls `reset`. Processes on the other side continue
//! with the messages that there are.

use std::time::Duration;

use super::ring::Ring;
use super::{Result, Take, Wire};
use crate::Segment;
use crate::layout::lock::Lock;

pub(super) struct V2;

const RING: Ring = Ring { layout: "queue of version V2", header: 28 };
const PRODUCERS_LOCK: u64 = 20;
const CONSUMERS_LOCK: u64 = 24;

fn lock_producers(segment: &Segment, timeout: Duration) -> Result<Lock<'_>> {
    Lock::take(segment, PRODUCERS_LOCK, "producers' side of the queue", timeout)
}

fn lock_consumers(segment: &Segment, timeout: Duration) -> Result<Lock<'_>> {
    Lock::take(segment, CONSUMERS_LOCK, "consumers' side of the queue", timeout)
}

impl Wire for V2 {
    fn ring(&self) -> &Ring {
        &RING
    }

    fn enqueue(&self, segment: &Segment, message: &[u8], timeout: Duration) -> Result<()> {
        let geometry = RING.geometry(segment)?;
        let length = geometry.check_message(message)?;
        let _lock = lock_producers(segment, timeout)?;
        RING.push(segment, geometry, message, length)
    }

    fn dequeue(
        &self,
        segment: &Segment,
        into: &mut Vec<u8>,
        take: Take<'_>,
        timeout: Duration,
    ) -> Result<()> {
        let geometry = RING.geometry(segment)?;
        let _lock = lock_consumers(segment, timeout)?;
        RING.pop(segment, geometry, into, take)
    }

    fn peek(&self, segment: &Segment, into: &mut Vec<u8>, timeout: Duration) -> Result<()> {
        let geometry = RING.geometry(segment)?;
        let _lock = lock_consumers(segment, timeout)?;
        RING.copy_first(segment, geometry, into).map(|_| ())
    }
}
