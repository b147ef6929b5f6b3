//! `SharedMemoryQueue`: messages in order.

use godot::builtin::{PackedByteArray, Variant};
use godot::global::Error as Code;
use shm_segment::Segment;
use shm_segment::layout::queue::{Queue, Version};
use shm_segment::layout::{Error, Result as LayoutResult};

use crate::attachment::{self, Attached, Attachment};
use crate::class::{
    BytesIn, Class, DefaultValue, Definition, ErrorCode, Int, Reference, Return, This, packed,
};
use crate::error::{Failure, code_of};
use crate::last_error::{Fallible, LastError};
use crate::shared_memory::SharedMemory;
use crate::values::{packed_from, packed_message};

type Result<T, E = Failure> = std::result::Result<T, E>;

pub(crate) struct SharedMemoryQueue {
    this: This,
    attachment: Attachment<Queue>,
}

// As in `SharedMemoryStream`; the oldest has no queues.
const LAYOUT_LSM_V1: i64 = 2;
const LAYOUT_LSM_V2: i64 = 3;

const MESSAGE_RECEIVED: &str = "message_received";

impl Class for SharedMemoryQueue {
    const NAME: &'static str = "SharedMemoryQueue";
    const PARENT: &'static str = "RefCounted";

    fn new(this: This) -> Self {
        Self { this, attachment: Attachment::default() }
    }

    fn define(class: &mut Definition<Self>) {
        class.enumeration("Layout", &[("LAYOUT_LSM_V1", LAYOUT_LSM_V1), ("LAYOUT_LSM_V2", LAYOUT_LSM_V2)]);
        class.signal::<PackedByteArray>(MESSAGE_RECEIVED, "data");
        class.method::<(Reference<SharedMemory>, Int, Int), ErrorCode>(
            "attach",
            &["memory", "layout", "max_message_size"],
            &[DefaultValue::Int(0)],
            Self::attach,
        );
        class.method::<(BytesIn,), ErrorCode>("enqueue", &["data"], &[], Self::enqueue);
        class.method::<(), PackedByteArray>("dequeue", &[], &[], Self::dequeue);
        class.method::<(), PackedByteArray>("peek", &[], &[], Self::peek);
        class.method::<(), bool>("is_empty", &[], &[], |queue: &Self| {
            queue.asked("is_empty", Queue::is_empty)
        });
        class.method::<(), bool>("is_full", &[], &[], |queue: &Self| queue.asked("is_full", Queue::is_full));
        class.method::<(), i64>("get_message_count", &[], &[], |queue: &Self| {
            queue.asked("get_message_count", |queue, segment| queue.count(segment).map(i64::from))
        });
        class.method::<(), i64>("get_capacity", &[], &[], |queue: &Self| {
            queue.asked("get_capacity", |queue, segment| queue.capacity(segment).map(i64::from))
        });
        class.method::<(), i64>("get_max_message_size", &[], &[], |queue: &Self| {
            queue.asked("get_max_message_size", |queue, segment| {
                queue.max_message_size(segment).map(i64::from)
            })
        });
        class.method::<(), ErrorCode>("poll", &[], &[], Self::poll);
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

    fn lay_out(queue: &Queue, segment: &Segment) -> LayoutResult<()> {
        queue.reset(segment)
    }
}

impl SharedMemoryQueue {
    fn attach(
        &self,
        memory: Option<Reference<SharedMemory>>,
        layout: i64,
        max_message_size: i64,
    ) -> ErrorCode {
        self.attach_to(memory, |segment| {
            let version = match layout {
                LAYOUT_LSM_V1 => Version::V1,
                LAYOUT_LSM_V2 => Version::V2,
                _ => return Err(Failure::argument("layout", layout, "a SharedMemoryQueue.Layout (2 or 3)")),
            };
            let max_message_size = u64::try_from(max_message_size)
                .map_err(|_| Failure::argument("max_message_size", max_message_size, "0 or more"))?;
            Queue::attach(segment, version, max_message_size).map_err(|error| match error {
                Error::InvalidElementSize { given, limit, .. } => {
                    Failure::argument("max_message_size", given, &format!("from 1 to {limit}"))
                }
                other => Failure::of_layout(&other),
            })
        })
    }

    fn enqueue(&self, data: &PackedByteArray) -> ErrorCode {
        code_of(self.with("enqueue", |queue, segment| {
            let timeout = self.attachment.lock_timeout();
            queue.enqueue(segment, packed::bytes(data), timeout).map_err(|e| Failure::of_message("data", &e))
        }))
    }

    fn dequeue(&self) -> PackedByteArray {
        self.with("dequeue", |queue, segment| self.take(queue, segment)).unwrap_or_default()
    }

    /// The first message, which is gone from the queue once the script's array is there.
    fn take(&self, queue: &Queue, segment: &Segment) -> Result<PackedByteArray> {
        queue
            .dequeue_as(segment, self.attachment.lock_timeout(), packed_message)
            .map_err(|e| Failure::of_layout(&e))
    }

    fn peek(&self) -> PackedByteArray {
        self.with("peek", |queue, segment| {
            let mut bytes = Vec::new();
            queue
                .peek_into(segment, &mut bytes, self.attachment.lock_timeout())
                .map_err(|e| Failure::of_layout(&e))?;
            packed_from(&bytes)
        })
        .unwrap_or_default()
    }

    fn asked<T: Return>(
        &self,
        method: &str,
        question: impl FnOnce(&Queue, &Segment) -> LayoutResult<T>,
    ) -> T {
        self.with(method, |queue, segment| question(queue, segment).map_err(|e| Failure::of_layout(&e)))
            .unwrap_or_else(|_| T::failed())
    }

    fn poll(&self) -> ErrorCode {
        let _kept = self.this.keep();
        let there =
            self.with_quietly(|queue, segment| queue.count(segment).map_err(|e| Failure::of_layout(&e)));
        let there = match there {
            Ok(there) => there,
            Err(code) => return code,
        };
        // No more than were there: a producer may be faster than we are.
        for _ in 0..there {
            let next = self.with_quietly(|queue, segment| self.take(queue, segment));
            match next {
                // Nothing is held any more: what is connected may do anything.
                Ok(message) => self.this.emit(MESSAGE_RECEIVED, &[Variant::from(message)]),
                // Another consumer, or what is connected, has taken it.
                Err(ErrorCode(Code::ERR_DOES_NOT_EXIST)) => {
                    self.last_error().clear();
                    break;
                }
                Err(code) => return code,
            }
        }
        ErrorCode(Code::OK)
    }
}
