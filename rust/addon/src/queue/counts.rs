//! The number and the size of a queue's messages, and the limits of both.

use godot::global::Error as Code;
use shm_segment::Segment;

use super::{QueueLayout, SharedMemoryQueue};
use crate::args::signed;
use crate::attachment::Attached;
use crate::binding::{Definition, methods};
use crate::error::{Failure, Result};

/// The bytes that a queue of libsharedmemory stores before each message.
const LSM_LENGTH_SIZE: u64 = 4;

pub(super) fn define(class: &mut Definition<SharedMemoryQueue>) {
    methods!(class, SharedMemoryQueue {
        const fn is_empty() -> bool;
        const fn is_full() -> bool;
        const fn get_message_count() -> i64;
        const fn get_byte_count() -> i64;
        const fn get_capacity() -> i64;
        const fn get_byte_capacity() -> i64;
        const fn get_max_message_size() -> i64;
    });
}

impl QueueLayout {
    /// Returns how many messages wait.
    pub(super) fn count(&self, segment: &Segment) -> Result<u64> {
        match self {
            Self::Native(queue) => Ok(queue.filled(segment)?.messages),
            Self::Lsm(queue) => Ok(queue.count(segment)?.into()),
        }
    }

    /// Returns how many messages fit.
    fn capacity(&self, segment: &Segment) -> Result<u64> {
        match self {
            Self::Native(_) => Err(Failure::new(
                Code::ERR_UNAVAILABLE,
                "the number of messages that fit depends on their sizes; see get_byte_capacity()",
            )),
            Self::Lsm(queue) => Ok(queue.capacity(segment)?.into()),
        }
    }

    fn byte_count(&self, segment: &Segment) -> Result<u64> {
        match self {
            Self::Native(queue) => Ok(queue.filled(segment)?.bytes),
            // Another program may change one of the two words before the other one is read.
            Self::Lsm(_) => Ok(self.count(segment)?.saturating_mul(self.slot_size(segment)?)),
        }
    }

    fn byte_capacity(&self, segment: &Segment) -> Result<u64> {
        match self {
            Self::Native(queue) => Ok(queue.capacity()),
            Self::Lsm(_) => Ok(self.capacity(segment)?.saturating_mul(self.slot_size(segment)?)),
        }
    }

    fn max_message_size(&self, segment: &Segment) -> Result<u64> {
        match self {
            Self::Native(queue) => Ok(queue.max_message_size()),
            Self::Lsm(queue) => Ok(queue.max_message_size(segment)?.into()),
        }
    }

    /// Returns the bytes that each message takes in a queue of libsharedmemory.
    fn slot_size(&self, segment: &Segment) -> Result<u64> {
        Ok(LSM_LENGTH_SIZE + self.max_message_size(segment)?)
    }

    fn is_full(&self, segment: &Segment) -> Result<bool> {
        match self {
            // A longer message may have no room before that.
            Self::Native(queue) => Ok(queue.filled(segment)?.bytes == queue.capacity()),
            Self::Lsm(queue) => Ok(queue.is_full(segment)?),
        }
    }
}

impl SharedMemoryQueue {
    fn is_empty(&self) -> bool {
        self.query(|queue, segment| Ok(queue.count(segment)? == 0))
    }

    fn is_full(&self) -> bool {
        self.query(QueueLayout::is_full)
    }

    fn get_message_count(&self) -> i64 {
        self.query(|queue, segment| queue.count(segment).map(signed))
    }

    fn get_byte_count(&self) -> i64 {
        self.query(|queue, segment| queue.byte_count(segment).map(signed))
    }

    fn get_capacity(&self) -> i64 {
        self.query(|queue, segment| queue.capacity(segment).map(signed))
    }

    fn get_byte_capacity(&self) -> i64 {
        self.query(|queue, segment| queue.byte_capacity(segment).map(signed))
    }

    fn get_max_message_size(&self) -> i64 {
        self.query(|queue, segment| queue.max_message_size(segment).map(signed))
    }

    fn query<T: Default>(&self, getter: fn(&QueueLayout, &Segment) -> Result<T>) -> T {
        self.with_layout(getter).unwrap_or_default()
    }
}
