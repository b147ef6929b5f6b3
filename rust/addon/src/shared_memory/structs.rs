//! Structs in the memory, described as Python's module `struct` describes them.

use godot::builtin::{AnyArray, VarArray};
use godot::global::Error as Code;

use super::{Result, SharedMemory, copied, report, signed, unsigned};
use crate::class::{DefaultValue, Definition, EngineText, ErrorCode, Int, Text, Values};
use crate::error::{Failure, code_of};
use crate::values::{self, Given, is_room_for, no_room, parsed};

pub(super) fn define(class: &mut Definition<SharedMemory>) {
    use DefaultValue::Int as I;
    class.method::<(Text, Values, Int), ErrorCode>(
        "pack",
        &["format", "values", "byte_offset"],
        &[I(0)],
        SharedMemory::pack,
    );
    class.method::<(Text, Int), VarArray>(
        "unpack",
        &["format", "byte_offset"],
        &[I(0)],
        SharedMemory::unpack,
    );
    class.static_method::<(Text,), i64>("calcsize", &["format"], &[], SharedMemory::calcsize);
}

impl SharedMemory {
    fn pack(&self, format: EngineText<'_>, values: AnyArray, byte_offset: i64) -> ErrorCode {
        code_of(self.with("pack", |segment| {
            let format = parsed("format", &format)?;
            let offset = unsigned("byte_offset", byte_offset)?;
            segment.check_bounds(offset, format.size() as u64).map_err(|e| Failure::of(&e, Code::FAILED))?;
            let values: Vec<Given> = values
                .iter_shared()
                .enumerate()
                .map(|(index, value)| Given::of(|| format!("value {index}"), &value))
                .collect::<Result<_>>()?;
            copied(segment.write(offset, &values::packed_struct(&format, &values)?))
        }))
    }

    fn unpack(&self, format: EngineText<'_>, byte_offset: i64) -> VarArray {
        self.with("unpack", |segment| {
            let format = parsed("format", &format)?;
            let offset = unsigned("byte_offset", byte_offset)?;
            segment.check_bounds(offset, format.size() as u64).map_err(|e| Failure::of(&e, Code::FAILED))?;
            let copied_bytes = (format.size() as u64).saturating_add(segment.to_supply(format.size() as u64));
            let taken = usize::try_from(copied_bytes).unwrap_or(usize::MAX);
            if !is_room_for(values::struct_memory(&format).saturating_add(taken)) {
                return Err(no_room("the values", format.size()));
            }
            let mut bytes = values::zeros(format.size())?;
            copied(segment.read(offset, &mut bytes))?;
            Ok(values::unpacked_struct(&format, &bytes)?.collect())
        })
        .unwrap_or_default()
    }

    fn calcsize(format: EngineText<'_>) -> i64 {
        match parsed("format", &format) {
            Ok(format) => signed(format.size() as u64),
            Err(failure) => {
                report("calcsize", &failure);
                -1
            }
        }
    }
}
