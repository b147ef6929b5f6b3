//! Structs in the memory, described as Python's module `struct` describes them.

use godot::builtin::{AnyArray, GString, VarArray};

use super::args::{signed, unsigned};
use super::statics::reported;
use super::{Result, SharedMemory};
use crate::binding::{Definition, EngineText, ErrorCode, methods};
use crate::error::code_of;
use crate::script_values::{self as values, Given, is_room_for, no_room, parsed};

pub(super) fn define(class: &mut Definition<SharedMemory>) {
    methods!(class, SharedMemory {
        fn pack(format: GString, values: AnyArray, byte_offset: i64 = 0) -> ErrorCode;
        const fn unpack(format: GString, byte_offset: i64 = 0) -> VarArray;
        static fn calcsize(format: GString) -> i64;
    });
}

impl SharedMemory {
    fn pack(&self, format: EngineText<'_>, values: AnyArray, byte_offset: i64) -> ErrorCode {
        code_of(self.with(|segment| {
            let format = parsed("format", &format)?;
            let offset = unsigned("byte_offset", byte_offset)?;
            segment.check_bounds(offset, format.size() as u64)?;
            let values: Vec<Given> = values
                .iter_shared()
                .enumerate()
                .map(|(index, value)| Given::of(|| format!("value {index}"), &value))
                .collect::<Result<_>>()?;
            Ok(segment.write(offset, &values::packed_struct(&format, &values)?)?)
        }))
    }

    fn unpack(&self, format: EngineText<'_>, byte_offset: i64) -> VarArray {
        self.with(|segment| {
            let format = parsed("format", &format)?;
            let offset = unsigned("byte_offset", byte_offset)?;
            segment.check_bounds(offset, format.size() as u64)?;
            let copied_bytes = (format.size() as u64).saturating_add(segment.to_supply(format.size() as u64));
            let taken = usize::try_from(copied_bytes).unwrap_or(usize::MAX);
            if !is_room_for(values::struct_memory(&format).saturating_add(taken)) {
                return Err(no_room("the values", format.size()));
            }
            let mut bytes = values::zeros(format.size())?;
            segment.read(offset, &mut bytes)?;
            Ok(values::unpacked_struct(&format, &bytes)?.collect())
        })
        .unwrap_or_default()
    }

    fn calcsize(format: EngineText<'_>) -> i64 {
        reported(parsed("format", &format)).map_or(-1, |format| signed(format.size() as u64))
    }
}
