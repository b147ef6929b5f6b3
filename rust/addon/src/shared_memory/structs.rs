//! Structs in the memory, in the formats of Python's module `struct`.

use godot::builtin::{AnyArray, GString, VarArray};

use super::SharedMemory;
use super::args::{signed, unsigned};
use super::statics::reported;
use crate::binding::{Definition, EngineText, ErrorCode, methods};
use crate::error::code_of;
use crate::room::require_room;
use crate::script_values::{
    StructValue, pack_struct, parse_format, struct_memory, to_usize, unpack_struct, zeros,
};

pub(super) fn define(class: &mut Definition<SharedMemory>) {
    methods!(class, SharedMemory {
        fn pack(format: GString, values: AnyArray, byte_offset: i64 = 0) -> ErrorCode;
        const fn unpack(format: GString, byte_offset: i64 = 0) -> VarArray;
        static fn calcsize(format: GString) -> i64;
    });
}

impl SharedMemory {
    fn pack(&self, format: EngineText<'_>, values: AnyArray, byte_offset: i64) -> ErrorCode {
        code_of(self.with_segment(|segment| {
            let format = parse_format("format", &format)?;
            let offset = unsigned("byte_offset", byte_offset)?;
            segment.check_bounds(offset, format.size() as u64)?;
            Ok(segment.write(offset, &pack_struct(&format, &StructValue::all(&values)?)?)?)
        }))
    }

    fn unpack(&self, format: EngineText<'_>, byte_offset: i64) -> VarArray {
        self.with_segment(|segment| {
            let format = parse_format("format", &format)?;
            let offset = unsigned("byte_offset", byte_offset)?;
            let size = format.size();
            segment.check_bounds(offset, size as u64)?;
            let unpopulated = to_usize(segment.unpopulated_if_large(size as u64));
            require_room("the values", size, struct_memory(&format).saturating_add(unpopulated))?;
            let mut bytes = zeros(size)?;
            segment.read(offset, &mut bytes)?;
            Ok(unpack_struct(&format, &bytes)?.collect())
        })
        .unwrap_or_default()
    }

    fn calcsize(format: EngineText<'_>) -> i64 {
        reported(parse_format("format", &format)).map_or(-1, |format| signed(format.size() as u64))
    }
}
