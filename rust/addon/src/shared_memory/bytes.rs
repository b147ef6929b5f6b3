//! Bytes: copies from the memory and into it.

use godot::builtin::PackedByteArray;
use godot::global::Error as Code;
use shm_segment::Segment;

use super::{Result, SharedMemory};
use crate::args::{range, unsigned};
use crate::binding::packed::{self, Packed};
use crate::binding::{Buffer, BytesOut, Definition, ErrorCode, methods};
use crate::error::{Failure, code_of};
use crate::script_values::{resized, to_usize};

pub(super) fn define(class: &mut Definition<SharedMemory>) {
    methods!(class, SharedMemory {
        const fn read(size: i64 = 0, byte_offset: i64 = 0) -> &mut PackedByteArray;
        const fn read_into(buffer: BytesOut, byte_offset: i64 = 0) -> ErrorCode;
        fn write(data: PackedByteArray, byte_offset: i64 = 0) -> ErrorCode;
        fn fill(value: i64, byte_offset: i64 = 0, size: i64 = 0) -> ErrorCode;
    });
}

impl SharedMemory {
    fn read(&self, size: i64, offset: i64, result: &mut PackedByteArray) {
        self.read_elements(result, |segment| range(segment, offset, size));
    }

    /// Sets `result` to the elements that `place` finds: their offset and their number. If that fails, sets
    /// it to an empty array.
    pub(super) fn read_elements<A: Packed>(
        &self,
        result: &mut A,
        place: impl FnOnce(&Segment) -> Result<(u64, u64)>,
    ) {
        let read = self.with_segment(|segment| {
            let (offset, count) = place(segment)?;
            let length = count.saturating_mul(A::STRIDE as u64);
            let unpopulated = to_usize(segment.unpopulated_if_large(length));
            Ok(segment.read(offset, resized("an array", result, to_usize(count), unpopulated)?)?)
        });
        if read.is_err() {
            *result = A::default();
        }
    }

    fn read_into(&self, buffer: Buffer<'_>, offset: i64) -> ErrorCode {
        code_of(self.with_segment(|segment| {
            let offset = unsigned("offset", offset)?;
            let unavailable =
                || Failure::new(Code::ERR_UNAVAILABLE, "this engine can't fill the caller's array");
            buffer.fill(
                |bytes| {
                    if bytes.is_empty() {
                        return Err(Failure::argument("the size of buffer", 0, "at least 1 byte"));
                    }
                    Ok(segment.read(offset, bytes)?)
                },
                unavailable,
            )
        }))
    }

    fn write(&self, data: &PackedByteArray, offset: i64) -> ErrorCode {
        self.write_bytes(packed::bytes(data), "offset", offset)
    }

    /// Writes `bytes`. `argument` is the name of the method's parameter `offset`.
    pub(super) fn write_bytes(&self, bytes: &[u8], argument: &str, offset: i64) -> ErrorCode {
        code_of(self.with_segment(|segment| {
            let offset = unsigned(argument, offset)?;
            if bytes.is_empty() {
                return Err(Failure::argument("the size of data", 0, "at least 1 byte"));
            }
            Ok(segment.write(offset, bytes)?)
        }))
    }

    fn fill(&self, value: i64, offset: i64, size: i64) -> ErrorCode {
        code_of(self.with_segment(|segment| {
            let value =
                u8::try_from(value).map_err(|_| Failure::argument("value", value, "from 0 to 255"))?;
            let (offset, size) = range(segment, offset, size)?;
            Ok(segment.fill(offset, size, value)?)
        }))
    }
}
