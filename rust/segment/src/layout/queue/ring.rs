//! What both versions have in common: the ring.
//!
//! Write index @0, read index @4, capacity @8, count @12, longest message @16, all u32. Behind the header, one slot after
//! the other: length (u32), and as many bytes as the longest message has.
//!
//! A producer fills the slot at the write index, moves the index on, and adds 1 to the count; a consumer copies the slot at
//! the read index, moves that on, and takes 1 from the count. The count is the only field that both sides
//! change, so it is changed in one step, and it is what hands a slot over.

use super::{Error, Result, Take};
use crate::Segment;
use crate::layout::fields::{check_length, check_room, copy, is_zero, read_u32};

pub(super) const WRITE_INDEX: u64 = 0;
pub(super) const READ_INDEX: u64 = 4;
const CAPACITY: u64 = 8;
pub(super) const COUNT: u64 = 12;
const MAX_MESSAGE: u64 = 16;
const LENGTH_SIZE: u64 = 4;

/// The ring of one version.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) layout: &'static str,
    /// Where the slots begin. What lies between the fields above and this are locks.
    pub(super) header: u64,
}

/// How many slots there are, and how long a message may be. All slots lie in the mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) capacity: u32,
    pub(super) max_message: u32,
}

impl Shape {
    /// What the header says now, unchecked.
    fn found(segment: &Segment) -> Result<Self> {
        let capacity = segment.load_u32(CAPACITY)?;
        let max_message = segment.load_u32(MAX_MESSAGE)?;
        Ok(Self { capacity, max_message })
    }

    const fn is_laid_out(self) -> bool {
        self.capacity != 0 && self.max_message != 0
    }

    /// Checks a message that is about to be written.
    pub(super) fn check_message(self, message: &[u8]) -> Result<u32> {
        check_length(message, self.max_message.into())
    }

    const fn slot_size(self) -> u64 {
        LENGTH_SIZE + self.max_message as u64
    }

    /// A number of slots as an index, or as the distance of two: modulo the capacity, which it may not exceed.
    pub(super) const fn wrap(self, slots: u32) -> u32 {
        if slots < self.capacity { slots } else { 0 }
    }
}

impl Ring {
    pub(super) fn check_room(&self, segment: &Segment) -> Result<()> {
        check_room(segment, self.layout, self.header + LENGTH_SIZE + 1)
    }

    /// Has nobody laid the header out? The locks don't count.
    pub(super) fn is_zero(&self, segment: &Segment) -> Result<bool> {
        is_zero::<20>(segment)
    }

    /// The shape that a new header gets.
    pub(super) fn shape_for(&self, segment: &Segment, max_message: u64) -> Result<Shape> {
        let room = segment.size() - self.header;
        let limit = (room - LENGTH_SIZE).min(u32::MAX.into());
        match u32::try_from(max_message) {
            Ok(longest @ 1..) if max_message <= limit => {
                let fitting = room / (LENGTH_SIZE + max_message);
                Ok(Shape { capacity: u32::try_from(fitting).unwrap_or(u32::MAX), max_message: longest })
            }
            _ => Err(Error::InvalidElementSize { what: "the longest message", given: max_message, limit }),
        }
    }

    /// Lays out a header that is all zeros. Whoever looks meanwhile finds that it isn't laid out yet, until the last
    /// of its fields is there.
    pub(super) fn lay_out(&self, segment: &Segment, shape: Shape) -> Result<()> {
        // One of those who attach at once with different wishes: both fields must come from the same.
        if segment.compare_exchange_u32(MAX_MESSAGE, 0, shape.max_message)? {
            segment.store_u32(CAPACITY, shape.capacity)?;
        }
        Ok(())
    }

    pub(super) fn reset(&self, segment: &Segment, shape: Shape) -> Result<()> {
        // From then on, nobody finds a message.
        segment.store_u32(COUNT, 0)?;
        segment.store_u32(WRITE_INDEX, 0)?;
        segment.store_u32(READ_INDEX, 0)?;
        segment.store_u32(MAX_MESSAGE, shape.max_message)?;
        segment.store_u32(CAPACITY, shape.capacity)?;
        // The locks last.
        let locks = MAX_MESSAGE + 4;
        segment.fill(locks, self.header - locks, 0)?;
        Ok(())
    }

    /// Reads how many slots there are and how long they are: once for an operation, and checked.
    pub(super) fn shape(&self, segment: &Segment) -> Result<Shape> {
        let mut shape = Shape::found(segment)?;
        if !shape.is_laid_out() {
            // A creator that is at it has stored one of the two at most, and nothing else.
            if self.fields_in_use(segment)? == [0; 3] {
                return Err(Error::NotLaidOutYet { layout: self.layout });
            }
            // Unless it was done, and the queue in use, between the two looks.
            shape = Shape::found(segment)?;
        }
        let Shape { capacity, max_message } = shape;
        if !shape.is_laid_out() {
            let (what, found) =
                if capacity == 0 { ("the capacity", capacity) } else { ("the longest message", max_message) };
            return Err(self.invalid(what, found, "it is at least 1".to_owned()));
        }
        let fitting = segment.size().saturating_sub(self.header) / shape.slot_size();
        if u64::from(capacity) > fitting {
            let limit = format!("at most {fitting} messages of up to {max_message} bytes fit");
            return Err(self.invalid("the capacity", capacity, limit));
        }
        Ok(shape)
    }

    fn fields_in_use(&self, segment: &Segment) -> Result<[u32; 3]> {
        Ok([segment.load_u32(WRITE_INDEX)?, segment.load_u32(READ_INDEX)?, segment.load_u32(COUNT)?])
    }

    /// Checks what an operation would check.
    pub(super) fn check(&self, segment: &Segment, shape: Shape) -> Result<()> {
        self.index(segment, shape, WRITE_INDEX)?;
        self.index(segment, shape, READ_INDEX)?;
        self.count(segment, shape)?;
        Ok(())
    }

    pub(super) fn count(&self, segment: &Segment, shape: Shape) -> Result<u32> {
        let count = segment.load_u32(COUNT)?;
        if count > shape.capacity {
            let limit = format!("the capacity is {}", shape.capacity);
            return Err(self.invalid("the number of messages", count, limit));
        }
        Ok(count)
    }

    pub(super) fn index(&self, segment: &Segment, shape: Shape, at: u64) -> Result<u32> {
        let index = segment.load_u32(at)?;
        if index >= shape.capacity {
            let what = if at == WRITE_INDEX { "the write index" } else { "the read index" };
            return Err(self.invalid(what, index, format!("the capacity is {}", shape.capacity)));
        }
        Ok(index)
    }

    /// What one producer at a time does, with a message whose length was checked.
    pub(super) fn push(&self, segment: &Segment, shape: Shape, message: &[u8], length: u32) -> Result<()> {
        if self.count(segment, shape)? == shape.capacity {
            return Err(Error::Full { capacity: shape.capacity.into() });
        }
        let index = self.index(segment, shape, WRITE_INDEX)?;
        let slot = self.slot(shape, index);
        segment.write(slot, &length.to_le_bytes())?;
        segment.write(slot + LENGTH_SIZE, message)?;
        segment.store_u32(WRITE_INDEX, shape.wrap(index + 1))?;
        self.count_up(segment, shape)
    }

    /// What one consumer at a time does. The message stays if it isn't taken.
    pub(super) fn pop(
        &self,
        segment: &Segment,
        shape: Shape,
        into: &mut Vec<u8>,
        take: Take<'_>,
    ) -> Result<()> {
        let index = self.look(segment, shape, into)?;
        take(into)?;
        segment.store_u32(READ_INDEX, shape.wrap(index + 1))?;
        self.count_down(segment, shape)
    }

    pub(super) fn count_up(&self, segment: &Segment, shape: Shape) -> Result<()> {
        self.change_count(segment, shape, |count| (count < shape.capacity).then_some(count + 1))
    }

    pub(super) fn count_down(&self, segment: &Segment, shape: Shape) -> Result<()> {
        self.change_count(segment, shape, |count| count.checked_sub(1))
    }

    /// In one step, and never past its limits: where there are more on a side than there may be, messages get lost, but the
    /// queue stays one.
    fn change_count(
        &self,
        segment: &Segment,
        shape: Shape,
        change: impl Fn(u32) -> Option<u32>,
    ) -> Result<()> {
        // Each time, somebody else has changed it. A peer that does nothing else must not keep us.
        const TRIES: u32 = 1000;
        for _ in 0..TRIES {
            let count = self.count(segment, shape)?;
            let Some(changed) = change(count) else { break };
            if segment.compare_exchange_u32(COUNT, count, changed)? {
                break;
            }
        }
        Ok(())
    }

    /// Copies the first message, and returns the index of its slot.
    pub(super) fn look(&self, segment: &Segment, shape: Shape, into: &mut Vec<u8>) -> Result<u32> {
        if self.count(segment, shape)? == 0 {
            return Err(Error::Empty);
        }
        let index = self.index(segment, shape, READ_INDEX)?;
        let slot = self.slot(shape, index);
        let length = read_u32(segment, slot)?;
        if length > shape.max_message {
            let limit = format!("the longest has {} bytes", shape.max_message);
            return Err(self.invalid("the length of a message", length, limit));
        }
        copy(segment, slot + LENGTH_SIZE, length.into(), into)?;
        Ok(index)
    }

    const fn slot(&self, shape: Shape, index: u32) -> u64 {
        self.header + index as u64 * shape.slot_size()
    }

    fn invalid(&self, what: &'static str, found: u32, limit: String) -> Error {
        Error::Invalid { layout: self.layout, what, found: found.into(), limit }
    }
}
