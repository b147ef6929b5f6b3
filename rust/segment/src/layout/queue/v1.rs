//! V1: slots from @20 on. No lock, so there may be one producer and one consumer.
//!
//! # Whoever dies in the middle
//! leaves an index that has moved on and a count that has not. No order of the two stores would do: the other way round,
//! a message is lost or comes twice, and so do those that follow. But who takes over can see it, since his index is
//! his alone. With the distance from the read index to the write index (modulo the capacity):
//!
//! | | distance |
//! | --- | --- |
//! | nobody in the middle | count |
//! | a producer between its two stores, or dead there | count + 1 |
//! | a consumer between its two stores, or dead there | count − 1 |
//!
//! So a producer that finds itself in the second row, where only its predecessor can have left it, adds the 1 that is
//! missing; a consumer in the third takes it away. If both are there at once it looks like the first row, and the one who
//! died is found out when the other is through. With two slots, + 1 and − 1 are the same, so nothing is
//! mended; with one slot there is only one index, and nothing to mend.

use std::time::Duration;

use super::ring::{READ_INDEX, Ring, Shape, WRITE_INDEX};
use super::{Error, Result, Take, Wire};
use crate::Segment;

pub(super) struct V1;

const RING: Ring = Ring { layout: "queue of version V1", header: 20 };

/// The count, and the distance from the read index to the write index: both as they were at one moment, if the other
/// side moved nothing meanwhile.
fn state(segment: &Segment, shape: Shape, theirs: u64) -> Result<Option<(u32, u32)>> {
    let count = RING.count(segment, shape)?;
    let ours = if theirs == READ_INDEX { WRITE_INDEX } else { READ_INDEX };
    let our_index = RING.index(segment, shape, ours)?;
    let their_index = RING.index(segment, shape, theirs)?;
    // Only the other side changes the count now, and always in the same direction.
    if RING.count(segment, shape)? != count {
        return Ok(None);
    }
    let (write, read) =
        if theirs == READ_INDEX { (our_index, their_index) } else { (their_index, our_index) };
    let distance = if write >= read { write - read } else { shape.capacity - read + write };
    Ok(Some((count, distance)))
}

fn mend_producer(segment: &Segment, shape: Shape) -> Result<()> {
    if let Some((count, distance)) = state(segment, shape, READ_INDEX)?
        && shape.capacity > 2
        && count < shape.capacity
        && distance == shape.wrap(count + 1)
    {
        RING.count_up(segment, shape)?;
    }
    Ok(())
}

/// Is a consumer between its two stores, or dead there? Then the count of messages that are left.
fn left_by_consumer(segment: &Segment, shape: Shape) -> Result<Option<u32>> {
    Ok(state(segment, shape, WRITE_INDEX)?
        .filter(|_| shape.capacity > 2)
        .and_then(|(count, distance)| count.checked_sub(1).filter(|left| distance == shape.wrap(*left))))
}

impl Wire for V1 {
    fn ring(&self) -> &Ring {
        &RING
    }

    fn enqueue(&self, segment: &Segment, message: &[u8], _: Duration) -> Result<()> {
        let shape = RING.shape(segment)?;
        let length = shape.check_message(message)?;
        mend_producer(segment, shape)?;
        RING.push(segment, shape, message, length)
    }

    fn dequeue(&self, segment: &Segment, into: &mut Vec<u8>, take: Take<'_>, _: Duration) -> Result<()> {
        let shape = RING.shape(segment)?;
        if left_by_consumer(segment, shape)?.is_some() {
            RING.count_down(segment, shape)?;
        }
        RING.pop(segment, shape, into, take)
    }

    fn peek(&self, segment: &Segment, into: &mut Vec<u8>, _: Duration) -> Result<()> {
        let shape = RING.shape(segment)?;
        // Nothing is mended: the consumer may be alive, and another than whoever looks.
        if left_by_consumer(segment, shape)? == Some(0) {
            return Err(Error::Empty);
        }
        RING.look(segment, shape, into).map(|_| ())
    }
}
