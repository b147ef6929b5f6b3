//! `SharedMemoryArray`: a count, and elements of one type behind it.

use godot::builtin::{GString, VarArray, Variant};
use shm_segment::Segment;
use shm_segment::layout::array::Array;
use shm_segment::layout::{Error, Result as LayoutResult};
use shm_segment::values::structs::Format;

use crate::args::{signed, unsigned};
use crate::attachment::{self, Attached, AttachedLayout, Attachment};
use crate::binding::containers::array_of;
use crate::binding::{Class, Definition, EngineText, ErrorCode, Reference, This, methods};
use crate::error::{Failure, code_of};
use crate::last_error::{Fallible, LastError};
use crate::room::require_room;
use crate::script_values::{to_usize, zeros};
use crate::shared_memory::SharedMemory;
use crate::struct_memory::elements_memory;
use crate::struct_values::{pack_element, parse_format, unpack_element};

#[derive(Default)]
pub(crate) struct SharedMemoryArray {
    attachment: Attachment<Elements>,
}

/// An array, and the format of its elements.
pub(crate) struct Elements {
    array: Array,
    format: Format,
}

impl AttachedLayout for Elements {
    fn reset(&self, segment: &Segment) -> LayoutResult<()> {
        self.array.reset(segment)
    }
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
            require_room("the values", size, elements_memory(&elements.format, 1))?;
            let mut bytes = zeros(size)?;
            elements.array.get(segment, index, &mut bytes)?;
            Ok(unpack_element(&elements.format, &bytes))
        })
        .unwrap_or_default()
    }

    fn set_element(&self, index: i64, value: &Variant) -> ErrorCode {
        code_of(self.with_layout(|elements, segment| {
            let index = unsigned("index", index)?;
            let bytes = pack_element(&elements.format, "value", value)?;
            Ok(elements.array.set(segment, index, &bytes)?)
        }))
    }

    fn to_array(&self) -> VarArray {
        self.with_layout(|elements, segment| {
            let stride = elements.format.size();
            let require_room_for = |count: usize| {
                let size = count.saturating_mul(stride);
                require_room("the values", size, elements_memory(&elements.format, count))
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
            let values = bytes.chunks_exact(stride).map(|element| unpack_element(&elements.format, element));
            Ok(array_of(copied, |push| values.for_each(push)))
        })
        .unwrap_or_default()
    }

    fn fill(&self, value: &Variant) -> ErrorCode {
        code_of(self.with_layout(|elements, segment| {
            let bytes = pack_element(&elements.format, "value", value)?;
            Ok(elements.array.fill(segment, &bytes)?)
        }))
    }
}
