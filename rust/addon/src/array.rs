//! `SharedMemoryArray`: elements of one type behind a count.

use godot::builtin::{AnyArray, GString, VarArray, Variant, VariantType};
use godot::global::Error as Code;
use shm_segment::Segment;
use shm_segment::layout::array::Array;
use shm_segment::layout::{Error, Result as LayoutResult};
use shm_segment::values::structs::Format;

use crate::attachment::{self, Attached, Attachment};
use crate::binding::{Class, Definition, EngineText, ErrorCode, Reference, This, methods};
use crate::error::{Failure, code_of};
use crate::last_error::{Fallible, LastError};
use crate::script_values::{
    Given, is_room_for, no_room, packed_struct, parsed, struct_memory, structs_memory, unpacked_struct, zeros,
};
use crate::shared_memory::SharedMemory;

type Result<T, E = Failure> = std::result::Result<T, E>;

#[derive(Default)]
pub(crate) struct SharedMemoryArray {
    attachment: Attachment<Elements>,
}

/// An array, and what its elements are.
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

    fn lay_out(elements: &Elements, segment: &Segment) -> LayoutResult<()> {
        elements.array.reset(segment)
    }
}

impl SharedMemoryArray {
    fn attach(&self, memory: Option<Reference<SharedMemory>>, element_format: EngineText<'_>) -> ErrorCode {
        self.attach_to(memory, |segment| {
            let format = parsed("element_format", &element_format)?;
            let stride = format.size() as u64;
            let array = Array::attach(segment, stride).map_err(|error| match error {
                Error::InvalidElementSize { .. } => {
                    Failure::argument("element_format", "one of no bytes", "a format of at least one byte")
                }
                other => other.into(),
            })?;
            Ok(Elements { array, format })
        })
    }

    fn get_element_count(&self) -> i64 {
        self.with(|elements, segment| {
            let count = elements.array.count(segment)?;
            Ok(i64::try_from(count).unwrap_or(i64::MAX))
        })
        .unwrap_or_default()
    }

    fn get_element(&self, index: i64) -> Variant {
        self.with(|elements, segment| {
            let index = index_from(index)?;
            let size = elements.format.size();
            if !is_room_for(size.saturating_add(struct_memory(&elements.format))) {
                return Err(no_room("the values", size));
            }
            let mut bytes = zeros(size)?;
            elements.array.get(segment, index, &mut bytes)?;
            elements.value_of(&bytes)
        })
        .unwrap_or_default()
    }

    fn set_element(&self, index: i64, value: &Variant) -> ErrorCode {
        code_of(self.with(|elements, segment| {
            let index = index_from(index)?;
            let bytes = elements.bytes_of(value)?;
            Ok(elements.array.set(segment, index, &bytes)?)
        }))
    }

    fn to_array(&self) -> VarArray {
        self.with(|elements, segment| {
            let stride = elements.format.size();
            let check = |count: u64| {
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                let (size, taken) = (count.saturating_mul(stride), structs_memory(&elements.format, count));
                if is_room_for(taken.saturating_add(size)) {
                    Ok(())
                } else {
                    Err(no_room("the values", size))
                }
            };
            let count = elements.array.count(segment)?;
            check(count)?;
            let mut bytes = Vec::new();
            elements.array.read_into(segment, &mut bytes)?;
            // Another program may have changed the count since.
            let copied = (bytes.len() / stride) as u64;
            if copied > count {
                check(copied)?;
            }
            bytes.chunks_exact(stride).map(|element| elements.value_of(element)).collect()
        })
        .unwrap_or_default()
    }

    fn fill(&self, value: &Variant) -> ErrorCode {
        code_of(self.with(|elements, segment| {
            let bytes = elements.bytes_of(value)?;
            Ok(elements.array.fill(segment, &bytes)?)
        }))
    }
}

impl Elements {
    /// An element as a script sees it: a value, or an `Array` of as many as its format has.
    fn value_of(&self, bytes: &[u8]) -> Result<Variant> {
        let mut values = unpacked_struct(&self.format, bytes)?;
        if self.format.count() == 1 {
            return Ok(values.next().unwrap_or_default());
        }
        Ok(Variant::from(values.collect::<VarArray>()))
    }

    fn bytes_of(&self, value: &Variant) -> Result<Vec<u8>> {
        if self.format.count() == 1 {
            return packed_struct(&self.format, &[Given::of(|| "value".to_owned(), value)?]);
        }
        if value.get_type() != VariantType::ARRAY {
            let wanted = format!("an Array of {} values", self.format.count());
            return Err(Failure::argument("value", format!("{:?}", value.get_type()), &wanted));
        }
        let values: Vec<Given> = value
            .to::<AnyArray>()
            .iter_shared()
            .enumerate()
            .map(|(index, value)| Given::of(|| format!("value {index}"), &value))
            .collect::<Result<_>>()?;
        packed_struct(&self.format, &values)
    }
}

fn index_from(index: i64) -> Result<u64> {
    u64::try_from(index).map_err(|_| {
        Failure::new(Code::ERR_INVALID_PARAMETER, format!("index must be 0 or more, not {index}"))
    })
}
