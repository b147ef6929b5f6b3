//! V1: slots from @20 on. There is no lock, so there may be one producer and one consumer.
//!
//! # Death in the middle of an operation
//! A dead process may leave an index that has moved on, and a count that has not. The other order of the two
//! stores would be worse: a message would be lost or come twice, and so would those that follow. But its
//! successor can see what happened, as the index belongs to one side alone. The distance from the read index
//! to the write index (modulo the capacity) tells the state:
//!
//! | state | distance |
//! | --- | --- |
//! | no operation under way | count |
//! | a producer between its two stores, or dead there | count + 1 |
//! | a consumer between its two stores, or dead there | count − 1 |
//!
//! A producer that finds the second row before it starts knows that its predecessor died there, and adds the
//! missing 1. A consumer that finds the third row subtracts it. If a producer and a consumer are both between
//! their stores, it looks like the first row. Then the dead one is noticed when the other is through. With
//! two slots, + 1 and − 1 are the same, so nothing is mended. With one slot there is only one index, and
//! nothing to mend.

use std::time::Duration;

use super::ring::{Geometry, READ_INDEX_AT, Ring, WRITE_INDEX_AT};
use super::{Error, Result, Take, Wire};
use crate::Segment;

pub(super) struct V1;

const RING: Ring = Ring { layout: "queue of version V1", header: 20 };

/// Returns the count, and the distance from the read index to the write index. Both are from one moment, or
/// the result is `None`: the other side has moved. `theirs` is the index of the other side.
fn state(segment: &Segment, geometry: Geometry, theirs: u64) -> Result<Option<(u32, u32)>> {
    let count = RING.count(segment, geometry)?;
    let ours = if theirs == READ_INDEX_AT { WRITE_INDEX_AT } else { READ_INDEX_AT };
    let our_index = RING.index(segment, geometry, ours)?;
    let their_index = RING.index(segment, geometry, theirs)?;
    // Only the other side changes the count now, and always in the same direction.
    if RING.count(segment, geometry)? != count {
        return Ok(None);
    }
    let (write, read) =
        if theirs == READ_INDEX_AT { (our_index, their_index) } else { (their_index, our_index) };
    let distance = if write >= read { write - read } else { geometry.capacity - read + write };
    Ok(Some((count, distance)))
}

/// Adds the missing 1 to the count if the previous producer died between its two stores.
fn mend_producer(segment: &Segment, geometry: Geometry) -> Result<()> {
    if let Some((count, distance)) = state(segment, geometry, READ_INDEX_AT)?
        && geometry.capacity > 2
        && count < geometry.capacity
        && distance == geometry.wrap(count + 1)
    {
        RING.count_up(segment, geometry)?;
    }
    Ok(())
}

/// Returns the number of messages that are left, if a consumer is between its two stores, or died there.
fn left_by_consumer(segment: &Segment, geometry: Geometry) -> Result<Option<u32>> {
    Ok(state(segment, geometry, WRITE_INDEX_AT)?
        .filter(|_| geometry.capacity > 2)
        .and_then(|(count, distance)| count.checked_sub(1).filter(|left| distance == geometry.wrap(*left))))
}

impl Wire for V1 {
    fn ring(&self) -> &Ring {
        &RING
    }

    fn enqueue(&self, segment: &Segment, message: &[u8], _: Duration) -> Result<()> {
        let geometry = RING.geometry(segment)?;
        let length = geometry.check_message(message)?;
        mend_producer(segment, geometry)?;
        RING.push(segment, geometry, message, length)
    }

    fn dequeue(&self, segment: &Segment, into: &mut Vec<u8>, take: Take<'_>, _: Duration) -> Result<()> {
        let geometry = RING.geometry(segment)?;
        if left_by_consumer(segment, geometry)?.is_some() {
            RING.count_down(segment, geometry)?;
        }
        RING.pop(segment, geometry, into, take)
    }

    fn peek(&self, segment: &Segment, into: &mut Vec<u8>, _: Duration) -> Result<()> {
        let geometry = RING.geometry(segment)?;
        // Nothing is mended: the consumer may be alive, and another process than this one.
        if left_by_consumer(segment, geometry)? == Some(0) {
            return Err(Error::Empty);
        }
        RING.copy_first(segment, geometry, into).map(|_| ())
    }
}
