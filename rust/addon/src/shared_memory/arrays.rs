//! Whole arrays of numbers, vectors and colours, as they stand in memory: little-endian, one after another, vectors and
//! colours as 32-bit floats.
//!
//! A new one is a line in `arrays!`.

use godot::builtin::{
    PackedColorArray, PackedFloat32Array, PackedFloat64Array, PackedInt32Array, PackedInt64Array,
    PackedVector2Array, PackedVector3Array, PackedVector4Array,
};

use super::{SharedMemory, offset_inside, unsigned};
use crate::class::packed::{self, Packed};
use crate::class::{
    ColorsIn, DefaultValue, Definition, ErrorCode, Floats32In, Floats64In, Int, Ints32In, Ints64In,
    Vectors2In, Vectors3In, Vectors4In,
};
use crate::error::Failure;
use crate::values::array_from;

#[cfg(target_endian = "big")]
compile_error!("arrays are copied as they are, and the memory is little-endian");

impl SharedMemory {
    fn read_array<A: Packed>(&self, method: &str, count: i64, byte_offset: i64) -> A {
        self.with(method, |segment| {
            let offset = offset_inside(segment, "byte_offset", byte_offset)?;
            let stride = A::STRIDE as u64;
            let fit = (segment.size() - offset) / stride;
            let count = match unsigned("count", count)? {
                0 if fit == 0 => {
                    let limit = format!("at least {stride} bytes, one element, before the segment's end");
                    return Err(Failure::argument("byte_offset", byte_offset, &limit));
                }
                0 => fit,
                count if count <= fit => count,
                _ => {
                    let limit = format!("at most the {fit} elements that fit from byte {offset} on");
                    return Err(Failure::argument("count", count, &limit));
                }
            };
            array_from(segment, offset, count)
        })
        .unwrap_or_default()
    }

    fn write_array<A: Packed>(&self, method: &str, data: &A, byte_offset: i64) -> ErrorCode {
        self.write_bytes(method, packed::bytes(data), "byte_offset", byte_offset)
    }
}

/// `read, write: array, as a parameter;`
macro_rules! arrays {
    ($($read:ident, $write:ident: $array:ty, $param:ty;)+) => {
        pub(super) fn define(class: &mut Definition<SharedMemory>) {
            use DefaultValue::Int as I;
            $(
                class.method::<(Int, Int), $array>(
                    stringify!($read),
                    &["count", "byte_offset"],
                    &[I(0), I(0)],
                    SharedMemory::$read,
                );
                class.method::<($param, Int), ErrorCode>(
                    stringify!($write),
                    &["data", "byte_offset"],
                    &[I(0)],
                    SharedMemory::$write,
                );
            )+
        }

        impl SharedMemory {$(
            fn $read(&self, count: i64, byte_offset: i64) -> $array {
                self.read_array(stringify!($read), count, byte_offset)
            }

            fn $write(&self, data: &$array, byte_offset: i64) -> ErrorCode {
                self.write_array(stringify!($write), data, byte_offset)
            }
        )+}
    };
}

arrays! {
    read_int32_array, write_int32_array: PackedInt32Array, Ints32In;
    read_int64_array, write_int64_array: PackedInt64Array, Ints64In;
    read_float32_array, write_float32_array: PackedFloat32Array, Floats32In;
    read_float64_array, write_float64_array: PackedFloat64Array, Floats64In;
    read_vector2_array, write_vector2_array: PackedVector2Array, Vectors2In;
    read_vector3_array, write_vector3_array: PackedVector3Array, Vectors3In;
    read_vector4_array, write_vector4_array: PackedVector4Array, Vectors4In;
    read_color_array, write_color_array: PackedColorArray, ColorsIn;
}
