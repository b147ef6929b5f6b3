//! `SharedMemoryQueue`: messages, first in, first out.

use godot::builtin::{PackedByteArray, Variant};
use godot::global::Error as Code;
use shm_segment::Segment;
use shm_segment::layout::queue::{Queue, Version};
use shm_segment::layout::{Error, Result as LayoutResult};

use crate::args::unsigned;
use crate::attachment::{self, Attached, Attachment};
use crate::binding::{
    Class, Definition, Enum, EnumArg, ErrorCode, Reference, ScriptEnum, This, methods, packed,
};
use crate::error::{Failure, Result, code_of, constant};
use crate::last_error::{Fallible, LastError};
use crate::script_values::{packed_from, packed_message};
use crate::shared_memory::SharedMemory;

pub(crate) struct SharedMemoryQueue {
    this: This,
    attachment: Attachment<Queue>,
}

impl ScriptEnum for Version {
    const NAME: &'static str = "SharedMemoryQueue.Layout";
    // The same numbers as in `SharedMemoryStream`. LAYOUT_LSM_V0 has no queues.
    const CONSTANTS: &'static [(&'static str, i64, Self)] =
        &[("LAYOUT_LSM_V1", 2, Self::V1), ("LAYOUT_LSM_V2", 3, Self::V2)];
}

const MESSAGE_RECEIVED: &str = "message_received";

impl Class for SharedMemoryQueue {
    const NAME: &'static str = "SharedMemoryQueue";
    const PARENT: &'static str = "RefCounted";

    fn new(this: This) -> Self {
        Self { this, attachment: Attachment::default() }
    }

    fn define(class: &mut Definition<Self>) {
        class.enumeration::<Version>();
        class.signal::<PackedByteArray>(MESSAGE_RECEIVED, "data");
        methods!(class, Self {
            fn attach(
                memory: Reference<SharedMemory>, layout: Enum<Version>, max_message_size: i64 = 0
            ) -> ErrorCode;
            fn enqueue(data: PackedByteArray) -> ErrorCode;
            fn dequeue() -> PackedByteArray;
            const fn peek() -> PackedByteArray;
            const fn is_empty() -> bool;
            const fn is_full() -> bool;
            const fn get_message_count() -> i64;
            const fn get_capacity() -> i64;
            const fn get_max_message_size() -> i64;
            fn poll() -> ErrorCode;
        });
        attachment::define(class);
        attachment::define_lock_timeout(class);
    }
}

impl Fallible for SharedMemoryQueue {
    fn last_error(&self) -> &LastError {
        self.attachment.last_error()
    }
}

impl Attached for SharedMemoryQueue {
    type Layout = Queue;

    fn attachment(&self) -> &Attachment<Queue> {
        &self.attachment
    }

    fn reset_layout(queue: &Queue, segment: &Segment) -> LayoutResult<()> {
        queue.reset(segment)
    }
}

impl SharedMemoryQueue {
    fn attach(
        &self,
        memory: Option<Reference<SharedMemory>>,
        layout: EnumArg<Version>,
        max_message_size: i64,
    ) -> ErrorCode {
        self.attach_to(memory, |segment| {
            let version = constant("layout", &layout)?;
            let max_message_size = unsigned("max_message_size", max_message_size)?;
            Queue::attach(segment, version, max_message_size).map_err(|error| match error {
                Error::InvalidElementSize { given, limit, .. } => {
                    Failure::argument("max_message_size", given, &format!("from 1 to {limit}"))
                }
                other => other.into(),
            })
        })
    }

    fn enqueue(&self, data: &PackedByteArray) -> ErrorCode {
        code_of(self.with_layout(|queue, segment| {
            let timeout = self.attachment.lock_timeout();
            queue.enqueue(segment, packed::bytes(data), timeout).map_err(|e| Failure::of_message("data", &e))
        }))
    }

    fn dequeue(&self) -> PackedByteArray {
        self.with_layout(|queue, segment| self.take(queue, segment)).unwrap_or_default()
    }

    /// Removes the first message and returns it. If the array can't be made, the message stays in the queue.
    fn take(&self, queue: &Queue, segment: &Segment) -> Result<PackedByteArray> {
        Ok(queue.dequeue_as(segment, self.attachment.lock_timeout(), packed_message)?)
    }

    fn peek(&self) -> PackedByteArray {
        self.with_layout(|queue, segment| {
            let mut bytes = Vec::new();
            queue.peek_into(segment, &mut bytes, self.attachment.lock_timeout())?;
            packed_from(&bytes)
        })
        .unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.query(Queue::is_empty)
    }

    fn is_full(&self) -> bool {
        self.query(Queue::is_full)
    }

    fn get_message_count(&self) -> i64 {
        self.query(Queue::count).into()
    }

    fn get_capacity(&self) -> i64 {
        self.query(Queue::capacity).into()
    }

    fn get_max_message_size(&self) -> i64 {
        self.query(Queue::max_message_size).into()
    }

    fn query<T: Default>(&self, getter: fn(&Queue, &Segment) -> LayoutResult<T>) -> T {
        self.with_layout(|queue, segment| Ok(getter(queue, segment)?)).unwrap_or_default()
    }

    fn poll(&self) -> ErrorCode {
        let _reference = self.this.reference();
        let count = match self.with_layout_quietly(|queue, segment| Ok(queue.count(segment)?)) {
            Ok(count) => count,
            Err(code) => return code,
        };
        // Not until the queue is empty: with a fast producer, that would never end.
        for _ in 0..count {
            let next = self.with_layout_quietly(|queue, segment| self.take(queue, segment));
            match next {
                // Outside of the call above: a connected method may do anything, even close the memory.
                Ok(message) => self.this.emit(MESSAGE_RECEIVED, &[Variant::from(message)]),
                // Another consumer, or a connected method, has taken the message.
                Err(ErrorCode(Code::ERR_DOES_NOT_EXIST)) => {
                    self.clear_last_error();
                    break;
                }
                Err(code) => return code,
            }
        }
        ErrorCode(Code::OK)
    }
}
