//! V2: behind the fields of the ring the producers' lock @20 and the consumers' lock @24, slots from @28 on.
//!
//! A process that dies with a lock leaves it taken: the others on its side get no further than
//! [`Error::TimedOut`](super::Error::TimedOut) until somebody calls `reset`, while those on the other side go on with what
//! there is.

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
        let shape = RING.shape(segment)?;
        let length = shape.check_message(message)?;
        let _lock = lock_producers(segment, timeout)?;
        RING.push(segment, shape, message, length)
    }

    fn dequeue(
        &self,
        segment: &Segment,
        into: &mut Vec<u8>,
        take: Take<'_>,
        timeout: Duration,
    ) -> Result<()> {
        let shape = RING.shape(segment)?;
        let _lock = lock_consumers(segment, timeout)?;
        RING.pop(segment, shape, into, take)
    }

    fn peek(&self, segment: &Segment, into: &mut Vec<u8>, timeout: Duration) -> Result<()> {
        let shape = RING.shape(segment)?;
        let _lock = lock_consumers(segment, timeout)?;
        RING.look(segment, shape, into).map(|_| ())
    }
}
