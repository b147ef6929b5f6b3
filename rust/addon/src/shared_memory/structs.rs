//! Structs in the memory, described as Python's module `struct` describes them.

use godot::builtin::{AnyArray, GString, PackedByteArray, VarArray, Variant, VariantType};
use godot::global::Error as Code;
use shm_segment::layout::structs::{Format, Value};

use super::{Result, SharedMemory, code_of, copied, is_room_for, report, signed, unsigned};
use crate::class::{DefaultValue, Definition, ErrorCode, Int, Text, Values};
use crate::error::Failure;

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
    fn pack(&self, format: &GString, values: AnyArray, byte_offset: i64) -> ErrorCode {
        code_of(self.with("pack", |segment| {
            let format = parsed(format)?;
            let offset = unsigned("byte_offset", byte_offset)?;
            segment.check_bounds(offset, format.size() as u64).map_err(|e| Failure::of(&e, Code::FAILED))?;
            let values: Vec<Given> =
                values.iter_shared().enumerate().map(Given::of).collect::<Result<_>>()?;
            let values: Vec<Value<'_>> = values.iter().map(Given::as_value).collect();
            let mut bytes = zeros(format.size())?;
            format.pack(&values, &mut bytes).map_err(|e| refused(&e))?;
            copied(segment.write(offset, &bytes))
        }))
    }

    fn unpack(&self, format: &GString, byte_offset: i64) -> VarArray {
        self.with("unpack", |segment| {
            let format = parsed(format)?;
            let offset = unsigned("byte_offset", byte_offset)?;
            segment.check_bounds(offset, format.size() as u64).map_err(|e| Failure::of(&e, Code::FAILED))?;
            if !is_room_for(format.count().saturating_mul(size_of::<Variant>())) {
                return Err(no_room(format.size()));
            }
            let mut bytes = zeros(format.size())?;
            copied(segment.read(offset, &mut bytes))?;
            let values = format.unpack(&bytes).map_err(|e| refused(&e))?;
            Ok(values.map(to_script).collect())
        })
        .unwrap_or_default()
    }

    fn calcsize(format: &GString) -> i64 {
        match parsed(format) {
            Ok(format) => signed(format.size() as u64),
            Err(failure) => {
                report("calcsize", &failure);
                -1
            }
        }
    }
}

/// A script's value, as long as it is needed.
enum Given {
    Number(Value<'static>),
    Bytes(PackedByteArray),
    Text(String),
}

impl Given {
    fn of((index, value): (usize, Variant)) -> Result<Self> {
        Ok(match value.get_type() {
            VariantType::BOOL => Self::Number(Value::Bool(value.to())),
            VariantType::INT => Self::Number(Value::Int(value.to())),
            VariantType::FLOAT => Self::Number(Value::Float(value.to())),
            VariantType::PACKED_BYTE_ARRAY => Self::Bytes(value.to()),
            VariantType::STRING => Self::Text(value.to::<GString>().to_string()),
            other => {
                let wanted = "a number, a bool, a String or a PackedByteArray";
                return Err(Failure::argument(&format!("value {index}"), format!("{other:?}"), wanted));
            }
        })
    }

    fn as_value(&self) -> Value<'_> {
        match self {
            Self::Number(value) => *value,
            Self::Bytes(bytes) => Value::Bytes(crate::class::packed::bytes(bytes)),
            Self::Text(text) => Value::Bytes(text.as_bytes()),
        }
    }
}

fn to_script(value: Value<'_>) -> Variant {
    match value {
        Value::Int(value) => Variant::from(value),
        Value::Bool(value) => Variant::from(value),
        Value::Float(value) => Variant::from(value),
        Value::Bytes(bytes) => Variant::from(PackedByteArray::from(bytes)),
    }
}

fn parsed(format: &GString) -> Result<Format> {
    Format::parse(&format.to_string())
        .map_err(|e| Failure::new(Code::ERR_INVALID_PARAMETER, format!("format: {e}")))
}

fn refused(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Code::ERR_INVALID_PARAMETER, error.to_string())
}

/// As many as fit into a segment are perhaps more than there is memory for once more.
fn zeros(size: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| no_room(size))?;
    bytes.resize(size, 0);
    Ok(bytes)
}

fn no_room(size: usize) -> Failure {
    Failure::new(Code::ERR_OUT_OF_MEMORY, format!("no room for the values of {size} bytes"))
}
