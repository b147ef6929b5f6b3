//! Counting the messages of a layout without attaching to it: nothing is stored, and no role is taken.

use std::time::Duration;

use super::header::{Fields, INCARNATION_AT, Layout, TRIES};
use super::lanes::Lanes;
use super::latest::{self, Slots};
use super::locks::LocksLayout;
use super::pair::PairLayout;
use super::queue::LanesLayout;
use super::shared::Shared;
use super::stream::Latest;
use super::{Error, Result};
use crate::info::Messages;
use crate::os;

/// Returns what the layout in `size` bytes of memory tells, or `None` if there is no valid one.
pub(crate) fn messages_in<S: Shared>(shared: &S, size: u64) -> Option<Messages>
where
    Box<Error>: From<S::Error>,
{
    let stream = |fields: &Fields| {
        let (count, newest_age) = in_stream(shared, fields)?;
        Ok(Messages { layout: "latest", incarnation: fields.incarnation, count, newest_age })
    };
    let in_rings = |layout| {
        move |fields: &Fields| {
            let count = in_queue(shared, fields)?;
            Ok(Messages { layout, incarnation: fields.incarnation, count, newest_age: None })
        }
    };
    let locks = |fields: &Fields| {
        Ok(Messages { layout: "locks", incarnation: fields.incarnation, count: 0, newest_age: None })
    };
    look::<Latest, S>(shared, size, stream)
        .or_else(|| look::<LanesLayout, S>(shared, size, in_rings("lanes")))
        .or_else(|| look::<PairLayout, S>(shared, size, in_rings("pair")))
        .or_else(|| look::<LocksLayout, S>(shared, size, locks))
}

/// Reads a header, and calls `count`. Starts again if the memory is reset in between.
fn look<L: Layout, S: Shared>(
    shared: &S,
    size: u64,
    count: impl Fn(&Fields) -> Result<Messages>,
) -> Option<Messages>
where
    Box<Error>: From<S::Error>,
{
    for _ in 0..TRIES {
        let Some(fields) = Fields::read_from::<L, S>(shared, size).ok()? else { continue };
        let counted = count(&fields);
        // 0 is a reset that isn't finished.
        if fields.incarnation != 0 && is_current(shared, &fields).ok()? {
            return counted.ok();
        }
    }
    None
}

fn is_current<S: Shared>(shared: &S, fields: &Fields) -> Result<bool>
where
    Box<Error>: From<S::Error>,
{
    Ok(shared.load_u64(INCARNATION_AT)? == fields.incarnation)
}

fn in_stream<S: Shared>(shared: &S, fields: &Fields) -> Result<(u64, Option<Duration>)>
where
    Box<Error>: From<S::Error>,
{
    let slots = Slots::new(fields.geometry);
    let newest = latest::read_unpinned(
        slots,
        shared,
        || is_current(shared, fields),
        |found| Ok((found.sequence, found.time)),
    );
    let newest = match newest {
        // The writer is faster than the reads of a file.
        Err(Error::Overtaken) => slots.latest(shared)?.map(|latest| (latest.sequence, 0)),
        other => other?,
    };
    let Some((sequence, time)) = newest else { return Ok((0, None)) };
    let count = sequence.checked_sub(fields.first_sequence).filter(|count| *count != 0);
    let count =
        count.ok_or_else(|| super::invalid_stream("the sequence number of the newest message", sequence))?;
    let written = Some(time).filter(|time| *time != 0);
    let age = written.and_then(|time| os::monotonic_nanoseconds().checked_sub(time));
    Ok((count, age.map(Duration::from_nanos)))
}

fn in_queue<S: Shared>(shared: &S, fields: &Fields) -> Result<u64>
where
    Box<Error>: From<S::Error>,
{
    let lanes = Lanes::new(fields.geometry);
    (0..lanes.count).try_fold(0_u64, |sum, lane| {
        let put = lanes.lane(lane).put(shared)?;
        sum.checked_add(put).ok_or_else(|| super::invalid_queue("the number of messages", put))
    })
}
