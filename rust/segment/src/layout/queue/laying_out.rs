//! A new queue in memory of zeros.
//!
//! A process stores two fields. The first one, the longest message, is the claim: of several processes at
//! once, one stores it. The second one, the capacity, follows from the first one and the size of the memory.
//! So any process can store it as well, and a process that is killed between the two keeps nobody waiting.
//!
//! libsharedmemory stores the capacity first. If it dies after that, its wish for the longest message is
//! unknown, and the header stays unfinished.

use super::ring::{CAPACITY_AT, FIELDS_SIZE, Fields, Geometry, LENGTH_SIZE, MAX_MESSAGE_AT, Ring};
use super::{Error, Result};
use crate::layout::fields::check_zeros;
use crate::{Access, Segment};

impl Ring {
    /// Lays out a queue for messages of up to `max_message` bytes, if the header is all zeros or has only the
    /// first field. A process that isn't the memory's creator does so only with a size.
    pub(super) fn lay_out(&self, segment: &Segment, max_message: u64) -> Result<()> {
        let found = Fields::read(segment)?;
        let is_half_made = found.max_message != 0;
        let may_lay_out = segment.access() == Access::ReadWrite && (max_message != 0 || segment.is_created());
        if !found.is_unfinished() || found.capacity != 0 || !may_lay_out {
            return Ok(());
        }
        // Another format may begin with zeros, too.
        if is_half_made || !segment.is_created() {
            let others = check_zeros(segment, FIELDS_SIZE, self.layout);
            if !Fields::read(segment)?.is_unfinished() {
                // Another process was faster, and uses the queue already.
                return Ok(());
            }
            others?;
        }
        if !is_half_made {
            let wanted = self.new_geometry(segment, max_message)?.max_message;
            segment.compare_exchange_u32(MAX_MESSAGE_AT, 0, wanted)?;
        }
        let claimed = Fields::read(segment)?.max_message;
        let geometry = self.new_geometry(segment, claimed.into()).map_err(|error| match error {
            Error::InvalidElementSize { limit, .. } => self.invalid(
                "the size of the longest message",
                claimed,
                format!("it must be from 1 to {limit} bytes"),
            ),
            other => other,
        })?;
        segment.compare_exchange_u32(CAPACITY_AT, 0, geometry.capacity)?;
        Ok(())
    }

    /// Returns the geometry of a new queue.
    fn new_geometry(&self, segment: &Segment, max_message: u64) -> Result<Geometry> {
        let room = segment.size() - self.header;
        let limit = (room - LENGTH_SIZE).min(u32::MAX.into());
        match u32::try_from(max_message) {
            Ok(longest @ 1..) if max_message <= limit => {
                let fitting = room / (LENGTH_SIZE + max_message);
                Ok(Geometry { capacity: u32::try_from(fitting).unwrap_or(u32::MAX), max_message: longest })
            }
            _ => Err(Error::InvalidElementSize {
                what: "the size of the longest message",
                given: max_message,
                limit,
            }),
        }
    }
}
