//! The ring that both versions have in common.
//!
//! Write index @0, read index @4, capacity @8, count @12, longest message @16, all u32. Behind the header,
//! one slot after the other: length (u32), then the bytes of the message, with room for the longest one.
//!
//! A producer fills the slot at the write index, advances the index, and adds 1 to the count. A consumer
//! copies the slot at the read index, advances the index, and subtracts 1 from the count. Both sides change
//! only the count, so it is changed atomically: that hands a slot over.

use super::{Error, Result, Take};
use crate::Segment;
use crate::layout::fields::{check_length, check_room, check_zeros, copy, read_header, read_u32, u32_at};
use crate::layout::lock;

pub(super) const WRITE_INDEX_AT: u64 = 0;
pub(super) const READ_INDEX_AT: u64 = 4;
pub(super) const CAPACITY_AT: u64 = 8;
pub(super) const COUNT_AT: u64 = 12;
pub(super) const MAX_MESSAGE_AT: u64 = 16;
/// The size of the ring's fields. The locks are behind them.
pub(super) const FIELDS_SIZE: u64 = 20;
pub(super) const LENGTH_SIZE: u64 = 4;

/// The ring of one version.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) layout: &'static str,
    /// The offset of the slots. Between the ring's fields and the slots are locks.
    pub(super) header: u64,
}

/// The number of slots, and the size of the longest message. All slots lie in the mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) capacity: u32,
    pub(super) max_message: u32,
}

/// A copy of the ring's fields, unchecked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) write_index: u32,
    pub(super) read_index: u32,
    pub(super) capacity: u32,
    pub(super) count: u32,
    pub(super) max_message: u32,
}

impl Fields {
    pub(super) fn read(segment: &Segment) -> Result<Self> {
        let header = read_header::<20>(segment)?;
        let field = |at| u32_at(&header, at);
        Ok(Self {
            write_index: field(WRITE_INDEX_AT),
            read_index: field(READ_INDEX_AT),
            capacity: field(CAPACITY_AT),
            count: field(COUNT_AT),
            max_message: field(MAX_MESSAGE_AT),
        })
    }

    const fn is_laid_out(self) -> bool {
        self.capacity != 0 && self.max_message != 0
    }

    /// Returns whether no process has used the queue, nor finished its header. A process that lays it out
    /// has stored one field at most.
    pub(super) const fn is_unfinished(self) -> bool {
        !self.is_laid_out() && self.write_index == 0 && self.read_index == 0 && self.count == 0
    }
}

impl Geometry {
    /// Checks a message that is about to be written.
    pub(super) fn check_message(self, message: &[u8]) -> Result<u32> {
        check_length(message, self.max_message.into())
    }

    const fn slot_size(self) -> u64 {
        LENGTH_SIZE + self.max_message as u64
    }

    /// Wraps a number of slots around the ring: an index, or the distance of two, which is at most the
    /// capacity.
    pub(super) const fn wrap(self, slots: u32) -> u32 {
        if slots < self.capacity { slots } else { 0 }
    }
}

impl Ring {
    pub(super) fn check_room(&self, segment: &Segment) -> Result<()> {
        check_room(segment, self.layout, self.header + LENGTH_SIZE + 1)
    }

    pub(super) fn reset(&self, segment: &Segment, geometry: Geometry) -> Result<()> {
        // An empty write fails in read-only memory.
        segment.write(COUNT_AT, &[])?;
        if !segment.is_created() {
            let plausible = if Fields::read(segment)?.is_unfinished() {
                check_zeros(segment, FIELDS_SIZE, self.layout)
            } else {
                self.check(segment).map(|_| ())
            };
            plausible.map_err(Error::into_reset_refused)?;
        }
        // From here on, no consumer finds a message.
        segment.store_u32(COUNT_AT, 0)?;
        segment.store_u32(WRITE_INDEX_AT, 0)?;
        segment.store_u32(READ_INDEX_AT, 0)?;
        segment.store_u32(MAX_MESSAGE_AT, geometry.max_message)?;
        segment.store_u32(CAPACITY_AT, geometry.capacity)?;
        // The locks last: a process that waits for one finds an empty queue.
        segment.fill(FIELDS_SIZE, self.header - FIELDS_SIZE, 0)?;
        Ok(())
    }

    /// Reads and checks the header: once per operation, before anything is stored.
    pub(super) fn geometry(&self, segment: &Segment) -> Result<Geometry> {
        let mut fields = Fields::read(segment)?;
        let is_unfinished = fields.is_unfinished();
        if !fields.is_laid_out() && !is_unfinished {
            // It may have been laid out and used while the fields were read.
            fields = Fields::read(segment)?;
        }
        let Fields { write_index, read_index, capacity, count, max_message } = fields;
        if !fields.is_laid_out() && !is_unfinished {
            let (what, found) = if capacity == 0 {
                ("the capacity", capacity)
            } else {
                ("the size of the longest message", max_message)
            };
            return Err(self.invalid(what, found, "it must be at least 1".to_owned()));
        }
        let geometry = Geometry { capacity, max_message };
        let fitting = segment.size().saturating_sub(self.header) / geometry.slot_size();
        if u64::from(capacity) > fitting {
            let limit = format!("at most {fitting} messages of up to {max_message} bytes fit");
            return Err(self.invalid("the capacity", capacity, limit));
        }
        if is_unfinished {
            return Err(Error::NotLaidOutYet { layout: self.layout });
        }
        self.check_index(geometry, WRITE_INDEX_AT, write_index)?;
        self.check_index(geometry, READ_INDEX_AT, read_index)?;
        self.check_count(geometry, count)?;
        Ok(geometry)
    }

    /// Checks all that an operation would check, and the locks. Returns the geometry.
    pub(super) fn check(&self, segment: &Segment) -> Result<Geometry> {
        let geometry = self.geometry(segment)?;
        for at in (FIELDS_SIZE..self.header).step_by(4) {
            lock::check(segment.load_u32(at)?, self.layout)?;
        }
        Ok(geometry)
    }

    pub(super) fn count(&self, segment: &Segment, geometry: Geometry) -> Result<u32> {
        self.check_count(geometry, segment.load_u32(COUNT_AT)?)
    }

    fn check_count(&self, geometry: Geometry, count: u32) -> Result<u32> {
        if count > geometry.capacity {
            let limit = format!("the capacity is {}", geometry.capacity);
            return Err(self.invalid("the number of messages", count, limit));
        }
        Ok(count)
    }

    pub(super) fn index(&self, segment: &Segment, geometry: Geometry, at: u64) -> Result<u32> {
        self.check_index(geometry, at, segment.load_u32(at)?)
    }

    fn check_index(&self, geometry: Geometry, at: u64, index: u32) -> Result<u32> {
        if index >= geometry.capacity {
            let what = if at == WRITE_INDEX_AT { "the write index" } else { "the read index" };
            let limit = format!("it must be less than the capacity, {}", geometry.capacity);
            return Err(self.invalid(what, index, limit));
        }
        Ok(index)
    }

    /// Adds a message whose length was checked. Only one producer at a time may call this.
    pub(super) fn push(
        &self,
        segment: &Segment,
        geometry: Geometry,
        message: &[u8],
        length: u32,
    ) -> Result<()> {
        if self.count(segment, geometry)? == geometry.capacity {
            return Err(Error::Full { capacity: geometry.capacity.into() });
        }
        let index = self.index(segment, geometry, WRITE_INDEX_AT)?;
        let slot = self.slot(geometry, index);
        segment.write(slot, &length.to_le_bytes())?;
        segment.write(slot + LENGTH_SIZE, message)?;
        segment.store_u32(WRITE_INDEX_AT, geometry.wrap(index + 1))?;
        self.count_up(segment, geometry)
    }

    /// Takes a message out; if `take` fails, the message stays. Only one consumer at a time may call this.
    pub(super) fn pop(
        &self,
        segment: &Segment,
        geometry: Geometry,
        into: &mut Vec<u8>,
        take: Take<'_>,
    ) -> Result<()> {
        let index = self.copy_first(segment, geometry, into)?;
        take(into)?;
        segment.store_u32(READ_INDEX_AT, geometry.wrap(index + 1))?;
        self.count_down(segment, geometry)
    }

    pub(super) fn count_up(&self, segment: &Segment, geometry: Geometry) -> Result<()> {
        self.change_count(segment, geometry, |count| (count < geometry.capacity).then_some(count + 1))
    }

    pub(super) fn count_down(&self, segment: &Segment, geometry: Geometry) -> Result<()> {
        self.change_count(segment, geometry, |count| count.checked_sub(1))
    }

    /// Changes the count atomically, and never past its limits. With more producers or consumers than
    /// allowed, messages get lost, but the queue stays valid.
    fn change_count(
        &self,
        segment: &Segment,
        geometry: Geometry,
        change: impl Fn(u32) -> Option<u32>,
    ) -> Result<()> {
        // Each try fails because a peer has changed the count. A peer that does only that must not keep this
        // process.
        const TRIES: u32 = 1000;
        for _ in 0..TRIES {
            let count = self.count(segment, geometry)?;
            let Some(changed) = change(count) else { break };
            if segment.compare_exchange_u32(COUNT_AT, count, changed)? == count {
                break;
            }
        }
        Ok(())
    }

    /// Copies the first message and returns the index of its slot.
    pub(super) fn copy_first(
        &self,
        segment: &Segment,
        geometry: Geometry,
        into: &mut Vec<u8>,
    ) -> Result<u32> {
        if self.count(segment, geometry)? == 0 {
            return Err(Error::Empty);
        }
        let index = self.index(segment, geometry, READ_INDEX_AT)?;
        let slot = self.slot(geometry, index);
        let length = read_u32(segment, slot)?;
        if length > geometry.max_message {
            let limit = format!("a message has at most {} bytes", geometry.max_message);
            return Err(self.invalid("the length of a message", length, limit));
        }
        copy(segment, slot + LENGTH_SIZE, length.into(), into)?;
        Ok(index)
    }

    const fn slot(&self, geometry: Geometry, index: u32) -> u64 {
        self.header + index as u64 * geometry.slot_size()
    }

    pub(super) fn invalid(&self, what: &'static str, found: u32, limit: String) -> Error {
        Error::Invalid { layout: self.layout, what, found: found.into(), limit }
    }
}
