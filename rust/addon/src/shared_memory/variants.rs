//! Values of any type in the memory, in the engine's own form. The methods are named as those of
//! `PackedByteArray`.

use godot::builtin::Variant;
use godot::global::Error as Code;
use shm_segment::Segment;
use shm_segment::values::variant::Measured;

use super::{Result, SharedMemory};
use crate::args::{offset_inside, signed};
use crate::binding::{Definition, methods, packed};
use crate::error::Failure;
use crate::{variant_codec, variant_size};

pub(super) fn define(class: &mut Definition<SharedMemory>) {
    methods!(class, SharedMemory {
        const fn decode_var(byte_offset: i64) -> Variant;
        const fn has_encoded_var(byte_offset: i64) -> bool;
        const fn decode_var_size(byte_offset: i64) -> i64;
        fn encode_var(byte_offset: i64, value: Variant) -> i64;
    });
}

impl SharedMemory {
    fn decode_var(&self, byte_offset: i64) -> Variant {
        self.with_segment(|segment| {
            let offset = offset_inside(segment, "byte_offset", byte_offset)?;
            let measured = measure(segment, offset)?;
            let unpopulated = segment.unpopulated_if_large(measured.size);
            variant_codec::decode(measured, unpopulated, |bytes| Ok(segment.read(offset, bytes)?))
        })
        .unwrap_or_default()
    }

    fn has_encoded_var(&self, byte_offset: i64) -> bool {
        self.with_segment(|segment| {
            let offset = offset_inside(segment, "byte_offset", byte_offset)?;
            match measure(segment, offset) {
                Ok(_) => Ok(true),
                // For this method, invalid bytes are an answer, and not a failure.
                Err(failure) if failure.code() == Code::ERR_INVALID_DATA => Ok(false),
                Err(failure) => Err(failure),
            }
        })
        .unwrap_or_default()
    }

    fn decode_var_size(&self, byte_offset: i64) -> i64 {
        self.with_segment(|segment| {
            let offset = offset_inside(segment, "byte_offset", byte_offset)?;
            Ok(signed(measure(segment, offset)?.size))
        })
        .unwrap_or_default()
    }

    fn encode_var(&self, byte_offset: i64, value: &Variant) -> i64 {
        self.with_segment(|segment| {
            let offset = offset_inside(segment, "byte_offset", byte_offset)?;
            let room = segment.size() - offset;
            let too_long = |size| {
                Failure::invalid(format!("the value has {size}; from byte {offset} on there are {room}"))
            };
            let least = variant_size::least_size(value, room)?;
            if least > room {
                return Err(too_long(format!("{least} bytes or more")));
            }
            let array = variant_codec::encode(value, least)?;
            let bytes = packed::bytes(&array);
            if bytes.len() as u64 > room {
                return Err(too_long(format!("{} bytes", bytes.len())));
            }
            segment.write(offset, bytes)?;
            Ok(signed(bytes.len() as u64))
        })
        .unwrap_or(-1)
    }
}

fn measure(segment: &Segment, offset: u64) -> Result<Measured> {
    variant_codec::measure_value(segment, offset, segment.size() - offset)
}
