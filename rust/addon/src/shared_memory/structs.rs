//! Structs in the memory, in the formats of Python's module `struct`, with groups and names added.

use godot::builtin::{GString, VarArray, VarDictionary, Variant};

use shm_segment::values::structs::Format;

use super::SharedMemory;
use super::args::{signed, unsigned};
use super::statics::reported;
use crate::binding::{Definition, EngineText, ErrorCode, methods};
use crate::error::{Failure, Result, code_of};
use crate::room::require_room;
use crate::script_values::{to_usize, zeros};
use crate::struct_memory::struct_memory;
use crate::struct_values::{Form, NamedFormat, pack_struct, parse_format, unpack_struct};

pub(super) fn define(class: &mut Definition<SharedMemory>) {
    methods!(class, SharedMemory {
        fn pack(format: GString, values: Variant, byte_offset: i64 = 0) -> ErrorCode;
        const fn unpack(format: GString, byte_offset: i64 = 0) -> VarArray;
        const fn unpack_dictionary(format: GString, byte_offset: i64 = 0) -> VarDictionary;
        static fn calcsize(format: GString) -> i64;
        static fn get_format_error(format: GString) -> GString;
    });
}

impl SharedMemory {
    fn pack(&self, format: EngineText<'_>, values: &Variant, byte_offset: i64) -> ErrorCode {
        code_of(self.with_segment(|segment| {
            let format = parse_format("format", &format)?;
            let offset = unsigned("byte_offset", byte_offset)?;
            segment.check_bounds(offset, format.size() as u64)?;
            Ok(segment.write(offset, &pack_struct(&format, "values", values)?)?)
        }))
    }

    fn unpack(&self, format: EngineText<'_>, byte_offset: i64) -> VarArray {
        self.with_struct(&format, byte_offset, Form::Array, |format, bytes| Ok(unpack_struct(format, bytes)))
    }

    fn unpack_dictionary(&self, format: EngineText<'_>, byte_offset: i64) -> VarDictionary {
        self.with_struct(&format, byte_offset, Form::Dictionary, |format, bytes| {
            let named = NamedFormat::of(format);
            let named =
                named.ok_or_else(|| Failure::invalid("format: no value has a name, such as i:id:"))?;
            Ok(named.unpack(bytes))
        })
    }

    /// Calls `convert` with a format and a copy of the bytes that it describes, if there is room for its
    /// result.
    fn with_struct<T: Default>(
        &self,
        format: &EngineText<'_>,
        byte_offset: i64,
        form: Form,
        convert: impl FnOnce(&Format, &[u8]) -> Result<T>,
    ) -> T {
        self.with_segment(|segment| {
            let format = parse_format("format", format)?;
            let offset = unsigned("byte_offset", byte_offset)?;
            let size = format.size();
            segment.check_bounds(offset, size as u64)?;
            let unpopulated = to_usize(segment.unpopulated_if_large(size as u64));
            require_room("the values", size, struct_memory(&format, form).saturating_add(unpopulated))?;
            let mut bytes = zeros(size)?;
            segment.read(offset, &mut bytes)?;
            convert(&format, &bytes)
        })
        .unwrap_or_default()
    }

    fn calcsize(format: EngineText<'_>) -> i64 {
        reported(parse_format("format", &format)).map_or(-1, |format| signed(format.size() as u64))
    }

    /// Returns the text of the error, which is not reported: a user has typed the format, and may go on.
    fn get_format_error(format: EngineText<'_>) -> GString {
        let parsed = parse_format("format", &format);
        parsed.err().map_or_else(GString::new, |failure| GString::from(failure.message()))
    }
}
