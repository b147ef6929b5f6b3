//! `SharedMemoryArray`: a count, and elements of one type behind it.

use godot::builtin::{AnyArray, GString, VarArray, Variant, VariantType};
use shm_segment::Segment;
use shm_segment::layout::array::Array;
use shm_segment::layout::{Error, Result as LayoutResult};
use shm_segment::values::structs::Format;

use crate::args::{signed, unsigned};
use crate::attachment::{self, Attached, Attachment};
use crate::binding::{Class, Definition, EngineText, ErrorCode, Reference, This, methods};
use crate::error::{Failure, Result, code_of};
use crate::last_error::{Fallible, LastError};
use crate::room::require_room;
use crate::script_values::{
    StructValue, pack_struct, parse_format, struct_memory, structs_memory, to_usize, unpack_struct, zeros,
};
use crate::shared_memory::SharedMemory;

#[derive(Default)]
pub(crate) struct SharedMemoryArray {
    attachment: Attachment<Elements>,
}

/// An array, and the format of its elements.
pub(crate) struct Elements {
    array: Array,
    format: Format,
}

impl Class for SharedMemoryArray {
    const NAME: &'static str = "SharedMemoryArray";
    const PARENT: &'static str = "RefCounted";

    fn new(_: This) -> Self {
        Self::default()
    }

    fn define(class: &mut Definition<Self>) {
        methods!(class, Self {
            fn attach(memory: Reference<SharedMemory>, element_format: GString) -> ErrorCode;
            const fn get_element_count() -> i64;
            const fn get_element(index: i64) -> Variant;
            fn set_element(index: i64, value: Variant) -> ErrorCode;
            const fn to_array() -> VarArray;
            fn fill(value: Variant) -> ErrorCode;
        });
        attachment::define(class);
    }
}

impl Fallible for SharedMemoryArray {
    fn last_error(&self) -> &LastError {
        self.attachment.last_error()
    }
}

impl Attached for SharedMemoryArray {
    type Layout = Elements;

    fn attachment(&self) -> &Attachment<Elements> {
        &self.attachment
    }

    fn reset_layout(elements: &Elements, segment: &Segment) -> LayoutResult<()> {
        elements.array.reset(segment)
    }
}

impl SharedMemoryArray {
    fn attach(&self, memory: Option<Reference<SharedMemory>>, element_format: EngineText<'_>) -> ErrorCode {
        self.attach_to(memory, |segment| {
            let format = parse_format("element_format", &element_format)?;
            let stride = format.size() as u64;
            let array = Array::attach(segment, stride).map_err(|error| match error {
                Error::InvalidElementSize { .. } => {
                    Failure::argument("the size of element_format", 0, "at least 1 byte")
                }
                other => other.into(),
            })?;
            Ok(Elements { array, format })
        })
    }

    fn get_element_count(&self) -> i64 {
        self.with_layout(|elements, segment| Ok(signed(elements.array.count(segment)?))).unwrap_or_default()
    }

    fn get_element(&self, index: i64) -> Variant {
        self.with_layout(|elements, segment| {
            let index = unsigned("index", index)?;
            let size = elements.format.size();
            require_room("the values", size, struct_memory(&elements.format))?;
            let mut bytes = zeros(size)?;
            elements.array.get(segment, index, &mut bytes)?;
            elements.value_of(&bytes)
        })
        .unwrap_or_default()
    }

    fn set_element(&self, index: i64, value: &Variant) -> ErrorCode {
        code_of(self.with_layout(|elements, segment| {
            let index = unsigned("index", index)?;
            let bytes = elements.bytes_of(value)?;
            Ok(elements.array.set(segment, index, &bytes)?)
        }))
    }

    fn to_array(&self) -> VarArray {
        self.with_layout(|elements, segment| {
            let stride = elements.format.size();
            let require_room_for = |count: usize| {
                let size = count.saturating_mul(stride);
                require_room("the values", size, structs_memory(&elements.format, count))
            };
            let count = to_usize(elements.array.count(segment)?);
            require_room_for(count)?;
            let mut bytes = Vec::new();
            elements.array.read_into(segment, &mut bytes)?;
            // Another program may have changed the count since.
            let copied = bytes.len() / stride;
            if copied > count {
                require_room_for(copied)?;
            }
            bytes.chunks_exact(stride).map(|element| elements.value_of(element)).collect()
        })
        .unwrap_or_default()
    }

    fn fill(&self, value: &Variant) -> ErrorCode {
        code_of(self.with_layout(|elements, segment| {
            let bytes = elements.bytes_of(value)?;
            Ok(elements.array.fill(segment, &bytes)?)
        }))
    }
}

impl Elements {
    /// Returns an element as scripts see it: a value, or an `Array` if the format has several.
    fn value_of(&self, bytes: &[u8]) -> Result<Variant> {
        let mut values = unpack_struct(&self.format, bytes)?;
        if self.format.count() == 1 {
            return Ok(values.next().unwrap_or_default());
        }
        Ok(Variant::from(values.collect::<VarArray>()))
    }

    /// Returns the bytes of an element, from a value as [`value_of`](Self::value_of) returns it.
    fn bytes_of(&self, value: &Variant) -> Result<Vec<u8>> {
        if self.format.count() == 1 {
            return pack_struct(&self.format, &[StructValue::of(|| "value".to_owned(), value)?]);
        }
        if value.get_type() != VariantType::ARRAY {
            let expected = format!("an Array of {} values", self.format.count());
            return Err(Failure::argument("value", format!("{:?}", value.get_type()), &expected));
        }
        pack_struct(&self.format, &StructValue::all(&value.to::<AnyArray>())?)
    }
}
