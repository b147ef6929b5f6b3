//! `SharedMemoryStream`: the latest message, which replaces the one before.

mod contents;
mod lsm;
mod progress;

use godot::builtin::{StringName, Variant};
use godot::global::Error as Code;
use shm_segment::layout::native::{Departure, MAX_READERS, Named, Stream as Native};
use shm_segment::layout::stream::{Kind, Stream as Lsm, Version};
use shm_segment::layout::{Error, Result as LayoutResult};
use shm_segment::{Options, Scope, Segment};

use crate::args::{number_to, positive, signed, unsigned};
use crate::attachment::{self, Attached, AttachedByName, AttachedLayout, Attachment};
use crate::binding::{
    Class, Definition, EngineText, Enum, EnumArg, ErrorCode, Reference, ScriptEnum, This, methods,
};
use crate::error::{Failure, Result, code_of, constant};
use crate::last_error::{Fallible, LastError};
use crate::messages::{Outgoing, Received};
use crate::shared_memory::SharedMemory;
use crate::shared_memory::enums::LOCAL_SCOPE;
use crate::waiting;

pub(crate) struct SharedMemoryStream {
    this: This,
    attachment: Attachment<StreamLayout>,
}

/// The layout that a script chooses.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Layout {
    Native,
    Lsm(Version),
}

const LAYOUT_NATIVE: i64 = 0;

impl ScriptEnum for Layout {
    const NAME: &'static str = "SharedMemoryStream.Layout";
    const CONSTANTS: &'static [(&'static str, i64, Self)] = &[
        ("LAYOUT_NATIVE", LAYOUT_NATIVE, Self::Native),
        ("LAYOUT_LSM_V0", 1, Self::Lsm(Version::V0)),
        ("LAYOUT_LSM_V1", 2, Self::Lsm(Version::V1)),
        ("LAYOUT_LSM_V2", 3, Self::Lsm(Version::V2)),
    ];
}

/// A stream in memory.
pub(crate) enum StreamLayout {
    Native(Native),
    Lsm(Lsm),
}

impl AttachedLayout for StreamLayout {
    fn reset(&self, segment: &Segment) -> LayoutResult<()> {
        match self {
            Self::Native(stream) => stream.reset(segment),
            Self::Lsm(stream) => stream.reset(segment),
        }
    }

    fn release(&self, segment: &Segment) {
        if let Self::Native(stream) = self {
            stream.release(segment);
        }
    }
}

impl Named for StreamLayout {
    fn open(options: &Options<'_>) -> LayoutResult<(Segment, Self)> {
        let (segment, stream) = Native::open(options)?;
        Ok((segment, Self::Native(stream)))
    }

    fn departure(&self) -> Option<&Departure> {
        match self {
            Self::Native(stream) => stream.departure(),
            Self::Lsm(_) => None,
        }
    }

    fn is_needed(&self, segment: &Segment, is_replaced: bool) -> bool {
        match self {
            Self::Native(stream) => stream.is_needed(segment, is_replaced),
            // Found by no name.
            Self::Lsm(_) => false,
        }
    }
}

impl StreamLayout {
    fn has_new_data(&self, segment: &Segment) -> LayoutResult<bool> {
        match self {
            Self::Native(stream) => stream.has_new_data(segment),
            Self::Lsm(stream) => stream.has_new_data(segment),
        }
    }
}

const MESSAGE_RECEIVED: &str = "message_received";

impl Class for SharedMemoryStream {
    const NAME: &'static str = "SharedMemoryStream";
    const PARENT: &'static str = "RefCounted";

    fn new(this: This) -> Self {
        Self { this, attachment: Attachment::default() }
    }

    fn define(class: &mut Definition<Self>) {
        class.enumeration::<Layout>();
        class.signal::<Variant>(MESSAGE_RECEIVED, "value");
        methods!(class, Self {
            fn create(
                name: StringName, max_message_size: i64, readers: i64 = 2,
                scope: Enum<Scope> = LOCAL_SCOPE
            ) -> ErrorCode;
        });
        attachment::define_named(class);
        methods!(class, Self {
            fn attach(
                memory: Reference<SharedMemory>, layout: Enum<Layout> = LAYOUT_NATIVE,
                max_message_size: i64 = 0, readers: i64 = 2
            ) -> ErrorCode;
            fn write(value: Variant) -> ErrorCode;
            const fn read() -> Variant;
            const fn has_new_data() -> bool;
            fn mark_as_read() -> ErrorCode;
            const fn is_message_read() -> bool;
            const fn get_capacity() -> i64;
            const fn wait(timeout_msec: i64) -> ErrorCode;
            fn poll() -> ErrorCode;
        });
        progress::define(class);
        contents::define(class);
        attachment::define(class);
        attachment::define_lock_timeout(class);
    }
}

impl Fallible for SharedMemoryStream {
    fn last_error(&self) -> &LastError {
        self.attachment.last_error()
    }
}

impl Attached for SharedMemoryStream {
    type Layout = StreamLayout;

    fn attachment(&self) -> &Attachment<StreamLayout> {
        &self.attachment
    }
}

impl AttachedByName for SharedMemoryStream {
    fn this(&self) -> This {
        self.this
    }
}

impl SharedMemoryStream {
    fn create(
        &self,
        name: EngineText<'_>,
        max_message_size: i64,
        readers: i64,
        scope: EnumArg<Scope>,
    ) -> ErrorCode {
        self.create_named(&name, &scope, |options| {
            let size = positive("max_message_size", max_message_size)?;
            let readers = number_to("readers", readers, 0, MAX_READERS)?;
            let (segment, stream) = Native::create(options, size, readers).map_err(|e| match e {
                Error::InvalidElementSize { limit, .. } => {
                    Failure::argument("max_message_size", size, &format!("from 1 to {limit}"))
                }
                other => Failure::of_creation(&other),
            })?;
            Ok((segment, StreamLayout::Native(stream)))
        })
    }

    fn attach(
        &self,
        memory: Option<Reference<SharedMemory>>,
        layout: EnumArg<Layout>,
        max_message_size: i64,
        readers: i64,
    ) -> ErrorCode {
        self.attach_to(memory, |segment| {
            let layout = constant("layout", &layout)?;
            let wanted = unsigned("max_message_size", max_message_size)?;
            let readers = number_to("readers", readers, 0, MAX_READERS)?;
            let too_large =
                |limit| Failure::argument("max_message_size", wanted, &format!("from 0 to {limit}"));
            match layout {
                Layout::Native => match Native::attach(segment, wanted, readers) {
                    Err(Error::InvalidElementSize { limit, .. }) => Err(too_large(limit)),
                    attached => Ok(StreamLayout::Native(attached?)),
                },
                Layout::Lsm(version) => {
                    let stream = Lsm::attach(segment, version)?;
                    let limit = stream.capacity(segment, Kind::Bytes);
                    if wanted <= limit {
                        return Ok(StreamLayout::Lsm(stream));
                    }
                    Err(too_large(limit).unprinted_if(!segment.is_created()))
                }
            }
        })
    }

    fn write(&self, value: &Variant) -> ErrorCode {
        code_of(self.with_layout(|stream, segment| match stream {
            StreamLayout::Native(stream) => {
                let message = Outgoing::of(value, stream.max_message_size())?;
                stream.write(segment, &message.message()).map_err(|e| Failure::of_message("value", &e))
            }
            StreamLayout::Lsm(stream) => {
                let message = lsm::Message::of(value)?;
                let (kind, bytes) = message.parts();
                let timeout = self.attachment.lock_timeout();
                stream.write(segment, kind, bytes, timeout).map_err(|e| Failure::of_message("value", &e))
            }
        }))
    }

    fn read(&self) -> Variant {
        self.with_layout(|stream, segment| self.message(stream, segment)).unwrap_or_default()
    }

    /// Returns the current message as a script's value.
    fn message(&self, stream: &StreamLayout, segment: &Segment) -> Result<Variant> {
        match stream {
            StreamLayout::Native(stream) => stream.read(segment, Received::copy)?.into_value(),
            StreamLayout::Lsm(stream) => {
                Ok(stream.read_as(segment, self.attachment.lock_timeout(), lsm::value_of)?)
            }
        }
    }

    fn has_new_data(&self) -> bool {
        self.query(StreamLayout::has_new_data)
    }

    fn mark_as_read(&self) -> ErrorCode {
        code_of(self.with_layout(|stream, segment| match stream {
            StreamLayout::Native(_) => Ok(()),
            StreamLayout::Lsm(stream) => Ok(stream.mark_as_read(segment)?),
        }))
    }

    fn is_message_read(&self) -> bool {
        self.query(|stream, segment| match stream {
            StreamLayout::Native(_) => Err(Error::NoAcknowledgement { layout: "native stream" }),
            StreamLayout::Lsm(stream) => stream.is_message_read(segment),
        })
    }

    fn query(&self, getter: fn(&StreamLayout, &Segment) -> LayoutResult<bool>) -> bool {
        self.with_layout(|stream, segment| Ok(getter(stream, segment)?)).unwrap_or_default()
    }

    fn get_capacity(&self) -> i64 {
        self.with_layout(|stream, segment| {
            Ok(signed(match stream {
                StreamLayout::Native(stream) => stream.max_message_size(),
                StreamLayout::Lsm(stream) => stream.capacity(segment, Kind::Bytes),
            }))
        })
        .unwrap_or_default()
    }

    fn wait(&self, timeout_msec: i64) -> ErrorCode {
        code_of(self.with_layout_waiting(timeout_msec, |stream, segment, timeout, is_wanted| match stream {
            StreamLayout::Native(stream) => {
                waiting::result_of(stream.wait(segment, timeout, is_wanted)?, timeout)
            }
            StreamLayout::Lsm(stream) => waiting::until(timeout, is_wanted, || stream.has_new_data(segment)),
        }))
    }

    fn poll(&self) -> ErrorCode {
        let _reference = self.this.reference();
        let has_emitted = self.tell_of_source();
        let received = self.with_layout_quietly(|stream, segment| {
            if !stream.has_new_data(segment)? {
                return Ok(None);
            }
            let message = self.message(stream, segment)?;
            let StreamLayout::Lsm(stream) = stream else { return Ok(Some(message)) };
            match stream.mark_as_read(segment) {
                // A reader without write access can't acknowledge the message.
                Ok(()) | Err(Error::Segment(shm_segment::Error::ReadOnly { .. })) => Ok(Some(message)),
                Err(e) => Err(e.into()),
            }
        });
        match received {
            // Outside of the call above: a connected method may do anything, even close the memory.
            Ok(Some(message)) => self.this.emit(MESSAGE_RECEIVED, &[message]),
            Ok(None) => {}
            Err(code) => return self.end_of_poll(code, has_emitted),
        }
        ErrorCode(Code::OK)
    }
}
