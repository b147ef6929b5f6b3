//! `SharedMemoryStream`: the latest message, which replaces the one before.

use godot::builtin::{PackedByteArray, PackedFloat32Array, PackedFloat64Array, Variant, VariantType};
use shm_segment::Segment;
use shm_segment::layout::stream::{Kind, Stream, Version};
use shm_segment::layout::{Error, Result as LayoutResult};

use crate::args::signed;
use crate::attachment::{self, Attached, Attachment};
use crate::binding::{
    Class, Definition, Enum, EnumArg, ErrorCode, Reference, ScriptEnum, This, methods, packed,
};
use crate::error::{Failure, Result, code_of, constant};
use crate::last_error::{Fallible, LastError};
use crate::script_values::packed_message;
use crate::shared_memory::SharedMemory;
use crate::unicode::{decode_utf8, variant_to_utf8};

pub(crate) struct SharedMemoryStream {
    this: This,
    attachment: Attachment<Stream>,
}

impl ScriptEnum for Version {
    const NAME: &'static str = "SharedMemoryStream.Layout";
    // 0 is reserved for a layout of this addon's own.
    const CONSTANTS: &'static [(&'static str, i64, Self)] =
        &[("LAYOUT_LSM_V0", 1, Self::V0), ("LAYOUT_LSM_V1", 2, Self::V1), ("LAYOUT_LSM_V2", 3, Self::V2)];
}

const MESSAGE_RECEIVED: &str = "message_received";

impl Class for SharedMemoryStream {
    const NAME: &'static str = "SharedMemoryStream";
    const PARENT: &'static str = "RefCounted";

    fn new(this: This) -> Self {
        Self { this, attachment: Attachment::default() }
    }

    fn define(class: &mut Definition<Self>) {
        class.enumeration::<Version>();
        class.signal::<Variant>(MESSAGE_RECEIVED, "value");
        methods!(class, Self {
            fn attach(memory: Reference<SharedMemory>, layout: Enum<Version>) -> ErrorCode;
            fn write(value: Variant) -> ErrorCode;
            const fn read() -> Variant;
            const fn has_new_data() -> bool;
            fn mark_as_read() -> ErrorCode;
            const fn is_message_read() -> bool;
            const fn get_capacity() -> i64;
            fn poll() -> ErrorCode;
        });
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
    type Layout = Stream;

    fn attachment(&self) -> &Attachment<Stream> {
        &self.attachment
    }

    fn reset_layout(stream: &Stream, segment: &Segment) -> LayoutResult<()> {
        stream.reset(segment)
    }
}

impl SharedMemoryStream {
    fn attach(&self, memory: Option<Reference<SharedMemory>>, layout: EnumArg<Version>) -> ErrorCode {
        self.attach_to(memory, |segment| Ok(Stream::attach(segment, constant("layout", &layout)?)?))
    }

    fn write(&self, value: &Variant) -> ErrorCode {
        code_of(self.with_layout(|stream, segment| {
            let message = Message::of(value)?;
            let (kind, bytes) = message.parts();
            let timeout = self.attachment.lock_timeout();
            stream.write(segment, kind, bytes, timeout).map_err(|e| Failure::of_message("value", &e))
        }))
    }

    fn read(&self) -> Variant {
        self.with_layout(|stream, segment| self.message(stream, segment)).unwrap_or_default()
    }

    /// Returns the current message as a script's value.
    fn message(&self, stream: &Stream, segment: &Segment) -> Result<Variant> {
        Ok(stream.read_as(segment, self.attachment.lock_timeout(), value_of)?)
    }

    fn has_new_data(&self) -> bool {
        self.query(Stream::has_new_data)
    }

    fn mark_as_read(&self) -> ErrorCode {
        code_of(self.with_layout(|stream, segment| Ok(stream.mark_as_read(segment)?)))
    }

    fn is_message_read(&self) -> bool {
        self.query(Stream::is_message_read)
    }

    fn query(&self, getter: fn(&Stream, &Segment) -> LayoutResult<bool>) -> bool {
        self.with_layout(|stream, segment| Ok(getter(stream, segment)?)).unwrap_or_default()
    }

    fn get_capacity(&self) -> i64 {
        self.with_layout(|stream, segment| Ok(signed(stream.capacity(segment, Kind::Bytes))))
            .unwrap_or_default()
    }

    fn poll(&self) -> ErrorCode {
        let _reference = self.this.reference();
        let received = self.with_layout_quietly(|stream, segment| {
            if !stream.has_new_data(segment)? {
                return Ok(None);
            }
            let message = self.message(stream, segment)?;
            match stream.mark_as_read(segment) {
                // A reader without write access can't acknowledge the message.
                Ok(()) | Err(Error::Segment(shm_segment::Error::ReadOnly { .. })) => Ok(Some(message)),
                Err(e) => Err(e.into()),
            }
        });
        code_of(received.map(|message| {
            // Outside of the call above: a connected method may do anything, even close the memory.
            if let Some(message) = message {
                self.this.emit(MESSAGE_RECEIVED, &[message]);
            }
        }))
    }
}

/// Returns a message as a script's value.
fn value_of(kind: Kind, bytes: &[u8]) -> LayoutResult<Variant> {
    let size = bytes.len() as u64;
    Ok(match kind {
        Kind::String => Variant::from(decode_utf8(bytes).map_err(|_| Error::OutOfMemory { size })?),
        Kind::Bytes => Variant::from(packed_message::<PackedByteArray>(bytes)?),
        Kind::Floats => Variant::from(packed_message::<PackedFloat32Array>(bytes)?),
        Kind::Doubles => Variant::from(packed_message::<PackedFloat64Array>(bytes)?),
    })
}

/// A script's value as a message of the stream.
enum Message {
    Text(String),
    Bytes(PackedByteArray),
    Floats(PackedFloat32Array),
    Doubles(PackedFloat64Array),
}

impl Message {
    fn of(value: &Variant) -> Result<Self> {
        Ok(match value.get_type() {
            VariantType::STRING => Self::Text(variant_to_utf8("value", value)?),
            VariantType::PACKED_BYTE_ARRAY => Self::Bytes(value.to()),
            VariantType::PACKED_FLOAT32_ARRAY => Self::Floats(value.to()),
            VariantType::PACKED_FLOAT64_ARRAY => Self::Doubles(value.to()),
            other => {
                let wanted = "a String, PackedByteArray, PackedFloat32Array or PackedFloat64Array";
                return Err(Failure::argument("value", format!("{other:?}"), wanted));
            }
        })
    }

    fn parts(&self) -> (Kind, &[u8]) {
        match self {
            Self::Text(text) => (Kind::String, text.as_bytes()),
            Self::Bytes(bytes) => (Kind::Bytes, packed::bytes(bytes)),
            Self::Floats(floats) => (Kind::Floats, packed::bytes(floats)),
            Self::Doubles(doubles) => (Kind::Doubles, packed::bytes(doubles)),
        }
    }
}
