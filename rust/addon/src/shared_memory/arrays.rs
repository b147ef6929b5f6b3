//! Packed arrays of numbers, vectors and colours. In the memory, the elements are little-endian and
//! contiguous. Vectors and colours are 32-bit floats.
//!
//! One line in `arrays!` adds the methods for a type.

use godot::builtin::{
    PackedColorArray, PackedFloat32Array, PackedFloat64Array, PackedInt32Array, PackedInt64Array,
    PackedVector2Array, PackedVector3Array, PackedVector4Array,
};

use super::SharedMemory;
use crate::args::{offset_inside, unsigned};
use crate::binding::packed::{self, Packed};
use crate::binding::{Definition, ErrorCode, methods};
use crate::error::Failure;

#[cfg(target_endian = "big")]
compile_error!("arrays are copied as they are, and the memory is little-endian");

impl SharedMemory {
    fn read_array<A: Packed>(&self, count: i64, byte_offset: i64, result: &mut A) {
        self.read_elements(result, |segment| {
            let offset = offset_inside(segment, "byte_offset", byte_offset)?;
            let stride = A::STRIDE as u64;
            let fit = (segment.size() - offset) / stride;
            let count = match unsigned("count", count)? {
                0 if fit == 0 => {
                    let left = segment.size() - offset;
                    let message = format!("from byte_offset {offset} on there are {left} bytes");
                    return Err(Failure::invalid(format!("{message}, fewer than an element's {stride}")));
                }
                0 => fit,
                count if count <= fit => count,
                _ => {
                    let limit = format!("at most the {fit} elements that fit from byte {offset} on");
                    return Err(Failure::argument("count", count, &limit));
                }
            };
            Ok((offset, count))
        });
    }

    fn write_array<A: Packed>(&self, data: &A, byte_offset: i64) -> ErrorCode {
        self.write_bytes(packed::bytes(data), "byte_offset", byte_offset)
    }
}

/// Defines the methods of each line, `read, write: array;`.
macro_rules! arrays {
    ($($read:ident, $write:ident: $array:ty;)+) => {
        pub(super) fn define(class: &mut Definition<SharedMemory>) {
            $(
                methods!(class, SharedMemory {
                    const fn $read(count: i64 = 0, byte_offset: i64 = 0) -> &mut $array;
                    fn $write(data: $array, byte_offset: i64 = 0) -> ErrorCode;
                });
            )+
        }

        impl SharedMemory {$(
            fn $read(&self, count: i64, byte_offset: i64, result: &mut $array) {
                self.read_array(count, byte_offset, result);
            }

            fn $write(&self, data: &$array, byte_offset: i64) -> ErrorCode {
                self.write_array(data, byte_offset)
            }
        )+}
    };
}

arrays! {
    read_int32_array, write_int32_array: PackedInt32Array;
    read_int64_array, write_int64_array: PackedInt64Array;
    read_float32_array, write_float32_array: PackedFloat32Array;
    read_float64_array, write_float64_array: PackedFloat64Array;
    read_vector2_array, write_vector2_array: PackedVector2Array;
    read_vector3_array, write_vector3_array: PackedVector3Array;
    read_vector4_array, write_vector4_array: PackedVector4Array;
    read_color_array, write_color_array: PackedColorArray;
}
