//! `SharedMemoryQueue`: messages, first in, first out.

mod counts;

use std::time::Duration;

use godot::builtin::{PackedByteArray, StringName, VarArray, Variant, VariantType};
use godot::global::Error as Code;
use shm_segment::layout::native::{Departure, MAX_PRODUCERS, Named, Queue as Native};
use shm_segment::layout::queue::{Queue as Lsm, Version};
use shm_segment::layout::{Error, Result as LayoutResult};
use shm_segment::{Options, Scope, Segment, Waited};

use crate::args::{number_to, positive, unsigned};
use crate::attachment::{self, Attached, AttachedByName, AttachedLayout, Attachment};
use crate::binding::{
    Class, Definition, EngineText, Enum, EnumArg, ErrorCode, Reference, ScriptEnum, This, methods, packed,
};
use crate::error::{Failure, Result, code_of, constant};
use crate::last_error::{Fallible, LastError};
use crate::messages::{Outgoing, Received};
use crate::script_values::{packed_from, packed_message};
use crate::shared_memory::SharedMemory;
use crate::shared_memory::enums::LOCAL_SCOPE;
use crate::waiting;

pub(crate) struct SharedMemoryQueue {
    this: This,
    attachment: Attachment<QueueLayout>,
}

/// The layout that a script chooses.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Layout {
    Native,
    Lsm(Version),
}

const LAYOUT_NATIVE: i64 = 0;

impl ScriptEnum for Layout {
    const NAME: &'static str = "SharedMemoryQueue.Layout";
    // The same numbers as in `SharedMemoryStream`. LAYOUT_LSM_V0 has no queues.
    const CONSTANTS: &'static [(&'static str, i64, Self)] = &[
        ("LAYOUT_NATIVE", LAYOUT_NATIVE, Self::Native),
        ("LAYOUT_LSM_V1", 2, Self::Lsm(Version::V1)),
        ("LAYOUT_LSM_V2", 3, Self::Lsm(Version::V2)),
    ];
}

/// A queue in memory.
#[allow(clippy::large_enum_variant, reason = "each object has one, and the native one is the usual")]
pub(crate) enum QueueLayout {
    Native(Native),
    Lsm(Lsm),
}

impl AttachedLayout for QueueLayout {
    fn reset(&self, segment: &Segment) -> LayoutResult<()> {
        match self {
            Self::Native(queue) => queue.reset(segment),
            Self::Lsm(queue) => queue.reset(segment),
        }
    }

    fn release(&self, segment: &Segment) {
        if let Self::Native(queue) = self {
            queue.release(segment);
        }
    }
}

impl Named for QueueLayout {
    fn open(options: &Options<'_>) -> LayoutResult<(Segment, Self)> {
        let (segment, queue) = Native::open(options)?;
        Ok((segment, Self::Native(queue)))
    }

    fn departure(&self) -> Option<&Departure> {
        match self {
            Self::Native(queue) => queue.departure(),
            Self::Lsm(_) => None,
        }
    }

    fn is_needed(&self, segment: &Segment, is_replaced: bool) -> bool {
        match self {
            Self::Native(queue) => queue.is_needed(segment, is_replaced),
            // Found by no name.
            Self::Lsm(_) => false,
        }
    }
}

impl QueueLayout {
    /// Returns how many messages wait. Takes the role of the consumer, so that they are for this object.
    fn pending(&self, segment: &Segment) -> Result<u64> {
        if let Self::Native(queue) = self
            && queue.wait(segment, Duration::ZERO, || true)? != Waited::Changed
        {
            return Ok(0);
        }
        self.count(segment)
    }
}

const MESSAGE_RECEIVED: &str = "message_received";

impl Class for SharedMemoryQueue {
    const NAME: &'static str = "SharedMemoryQueue";
    const PARENT: &'static str = "RefCounted";

    fn new(this: This) -> Self {
        Self { this, attachment: Attachment::default() }
    }

    fn define(class: &mut Definition<Self>) {
        class.enumeration::<Layout>();
        class.signal::<Variant>(MESSAGE_RECEIVED, "value");
        methods!(class, Self {
            fn create(
                name: StringName, buffer_size: i64, producers: i64 = 1, scope: Enum<Scope> = LOCAL_SCOPE
            ) -> ErrorCode;
        });
        attachment::define_named(class);
        methods!(class, Self {
            fn attach(
                memory: Reference<SharedMemory>, layout: Enum<Layout> = LAYOUT_NATIVE,
                buffer_size: i64 = 0, producers: i64 = 1
            ) -> ErrorCode;
            fn enqueue(value: Variant, timeout_msec: i64 = 0) -> ErrorCode;
            fn dequeue(timeout_msec: i64 = 0) -> Variant;
            fn dequeue_all() -> VarArray;
            const fn peek() -> Variant;
            fn clear() -> ErrorCode;
            fn wait(timeout_msec: i64) -> ErrorCode;
            fn poll() -> ErrorCode;
        });
        counts::define(class);
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
    type Layout = QueueLayout;

    fn attachment(&self) -> &Attachment<QueueLayout> {
        &self.attachment
    }
}

impl AttachedByName for SharedMemoryQueue {
    fn this(&self) -> This {
        self.this
    }
}

impl SharedMemoryQueue {
    fn create(
        &self,
        name: EngineText<'_>,
        buffer_size: i64,
        producers: i64,
        scope: EnumArg<Scope>,
    ) -> ErrorCode {
        self.create_named(&name, &scope, |options| {
            let size = positive("buffer_size", buffer_size)?;
            let producers = number_to("producers", producers, 1, MAX_PRODUCERS)?;
            let (segment, queue) = Native::create(options, size, producers).map_err(|e| match e {
                Error::InvalidElementSize { limit, .. } => {
                    Failure::argument("buffer_size", size, &format!("from 1 to {limit}"))
                }
                other => Failure::of_creation(&other),
            })?;
            Ok((segment, QueueLayout::Native(queue)))
        })
    }

    fn attach(
        &self,
        memory: Option<Reference<SharedMemory>>,
        layout: EnumArg<Layout>,
        buffer_size: i64,
        producers: i64,
    ) -> ErrorCode {
        self.attach_to(memory, |segment| {
            let layout = constant("layout", &layout)?;
            let buffer_size = unsigned("buffer_size", buffer_size)?;
            let producers = number_to("producers", producers, 1, MAX_PRODUCERS)?;
            let attached = match layout {
                Layout::Native => Native::attach(segment, buffer_size, producers).map(QueueLayout::Native),
                Layout::Lsm(version) => Lsm::attach(segment, version, buffer_size).map(QueueLayout::Lsm),
            };
            // Otherwise, another program made the memory, and the limit depends on its size.
            let is_own_limit = layout == Layout::Native || segment.is_created();
            attached.map_err(|error| match error {
                Error::InvalidElementSize { given, limit, .. } => {
                    Failure::argument("buffer_size", given, &format!("from 1 to {limit}"))
                        .unprinted_if(!is_own_limit)
                }
                other => other.into(),
            })
        })
    }

    fn enqueue(&self, value: &Variant, timeout_msec: i64) -> ErrorCode {
        code_of(self.with_layout_waiting(timeout_msec, |queue, segment, timeout, is_wanted| {
            let enqueued = match queue {
                QueueLayout::Native(queue) => {
                    let message = Outgoing::of(value, queue.max_message_size())?;
                    queue.enqueue(segment, &message.message(), timeout, is_wanted)
                }
                QueueLayout::Lsm(queue) => {
                    if value.get_type() != VariantType::PACKED_BYTE_ARRAY {
                        let given = format!("{:?}", value.get_type());
                        return Err(Failure::argument("value", given, "a PackedByteArray"));
                    }
                    let bytes: PackedByteArray = value.to();
                    let lock_timeout = self.attachment.lock_timeout();
                    waiting::retry(timeout, is_wanted, || {
                        queue.enqueue(segment, packed::bytes(&bytes), lock_timeout)
                    })
                }
            };
            enqueued.map_err(|e| Failure::of_message("value", &e))
        }))
    }

    fn dequeue(&self, timeout_msec: i64) -> Variant {
        self.with_layout_waiting(timeout_msec, |queue, segment, timeout, is_wanted| {
            self.take(queue, segment, timeout, is_wanted)
        })
        .unwrap_or_default()
    }

    /// Takes the first message out.
    fn take(
        &self,
        queue: &QueueLayout,
        segment: &Segment,
        timeout: Duration,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Variant> {
        match queue {
            QueueLayout::Native(queue) => {
                queue.dequeue(segment, timeout, is_wanted, Received::copy)?.into_value()
            }
            QueueLayout::Lsm(queue) => {
                let lock_timeout = self.attachment.lock_timeout();
                let bytes: PackedByteArray = waiting::retry(timeout, is_wanted, || {
                    queue.dequeue_as(segment, lock_timeout, packed_message)
                })?;
                Ok(Variant::from(bytes))
            }
        }
    }

    fn dequeue_all(&self) -> VarArray {
        let mut messages = VarArray::new();
        // After an error, the messages before it are out of the queue. So they are returned all the same.
        let _ = self.with_layout(|queue, segment| {
            // Not until the queue is empty: with a fast producer, that would never end.
            for _ in 0..queue.pending(segment)? {
                match self.take(queue, segment, Duration::ZERO, &|| true) {
                    Ok(message) => messages.push(&message),
                    // Another consumer of libsharedmemory has taken the message.
                    Err(failure) if failure.code() == Code::ERR_DOES_NOT_EXIST => break,
                    Err(failure) => return Err(failure),
                }
            }
            Ok(())
        });
        messages
    }

    fn clear(&self) -> ErrorCode {
        code_of(self.with_layout(|queue, segment| match queue {
            QueueLayout::Native(queue) => Ok(queue.clear(segment)?),
            QueueLayout::Lsm(queue) => {
                let mut message = Vec::new();
                for _ in 0..queue.count(segment)? {
                    match queue.dequeue_into(segment, &mut message, self.attachment.lock_timeout()) {
                        Ok(()) => {}
                        Err(Error::Empty) => break,
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(())
            }
        }))
    }

    fn peek(&self) -> Variant {
        self.with_layout(|queue, segment| match queue {
            QueueLayout::Native(queue) => queue.peek(segment, Received::copy)?.into_value(),
            QueueLayout::Lsm(queue) => {
                let mut bytes = Vec::new();
                queue.peek_into(segment, &mut bytes, self.attachment.lock_timeout())?;
                Ok(Variant::from(packed_from::<PackedByteArray>(&bytes)?))
            }
        })
        .unwrap_or_default()
    }

    fn wait(&self, timeout_msec: i64) -> ErrorCode {
        code_of(self.with_layout_waiting(timeout_msec, |queue, segment, timeout, is_wanted| match queue {
            QueueLayout::Native(queue) => {
                waiting::result_of(queue.wait(segment, timeout, is_wanted)?, timeout)
            }
            QueueLayout::Lsm(queue) => waiting::until(timeout, is_wanted, || Ok(!queue.is_empty(segment)?)),
        }))
    }

    fn poll(&self) -> ErrorCode {
        let _reference = self.this.reference();
        let mut has_emitted = self.tell_of_source();
        let count = match self.with_layout_quietly(QueueLayout::pending) {
            Ok(count) => count,
            Err(code) => return self.end_of_poll(code, has_emitted),
        };
        // Not until the queue is empty: with a fast producer, that would never end.
        for _ in 0..count {
            let next = self
                .with_layout_quietly(|queue, segment| self.take(queue, segment, Duration::ZERO, &|| true));
            match next {
                // Outside of the call above: a connected method may do anything, even close the memory.
                Ok(message) => {
                    self.this.emit(MESSAGE_RECEIVED, &[message]);
                    has_emitted = true;
                }
                // Another consumer, or a connected method, has taken the message.
                Err(ErrorCode(Code::ERR_DOES_NOT_EXIST)) => {
                    self.clear_last_error();
                    break;
                }
                Err(code) => return self.end_of_poll(code, has_emitted),
            }
        }
        ErrorCode(Code::OK)
    }
}
