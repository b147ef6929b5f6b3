//! Numbers in the memory, with the names and the rules of `PackedByteArray`: little-endian, at any offset.
//! Values are truncated to the width.
//!
//! One line in `numbers!` adds the methods for a type, which must be a [`Number`].

use shm_segment::values::half;

use super::SharedMemory;
use super::args::unsigned;
use crate::binding::{Definition, ErrorCode, methods};
use crate::error::code_of;

/// A type of number in the memory, and its conversion to and from the type in scripts.
trait Number<Script, const BYTES: usize> {
    fn decode(bytes: [u8; BYTES]) -> Script;
    fn encode(value: Script) -> [u8; BYTES];
}

macro_rules! integers {
    ($($number:ty)+) => {$(
        impl Number<i64, { size_of::<$number>() }> for $number {
            #[allow(clippy::cast_possible_wrap, clippy::cast_lossless, reason = "scripts have only i64")]
            fn decode(bytes: [u8; size_of::<Self>()]) -> i64 {
                Self::from_le_bytes(bytes) as i64
            }

            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "truncates")]
            fn encode(value: i64) -> [u8; size_of::<Self>()] {
                (value as Self).to_le_bytes()
            }
        }
    )+};
}

integers! { u8 i8 u16 i16 u32 i32 u64 i64 }

/// A 16-bit float.
struct Half;

impl Number<f64, 2> for Half {
    fn decode(bytes: [u8; 2]) -> f64 {
        half::to_f64(u16::from_le_bytes(bytes))
    }

    /// Rounds to the nearest, as Python and numpy do. `PackedByteArray` truncates.
    fn encode(value: f64) -> [u8; 2] {
        let infinity = half::from_f64(f64::INFINITY.copysign(value)).unwrap_or_default();
        half::from_f64(value).unwrap_or(infinity).to_le_bytes()
    }
}

impl Number<f64, 4> for f32 {
    fn decode(bytes: [u8; 4]) -> f64 {
        f64::from(Self::from_le_bytes(bytes))
    }

    #[allow(clippy::cast_possible_truncation, reason = "rounded to the nearest, as in every language")]
    fn encode(value: f64) -> [u8; 4] {
        (value as Self).to_le_bytes()
    }
}

impl Number<Self, 8> for f64 {
    fn decode(bytes: [u8; 8]) -> Self {
        Self::from_le_bytes(bytes)
    }

    fn encode(value: Self) -> [u8; 8] {
        value.to_le_bytes()
    }
}

impl SharedMemory {
    fn decode<N: Number<Script, BYTES>, Script: Default, const BYTES: usize>(
        &self,
        byte_offset: i64,
    ) -> Script {
        self.with_segment(|segment| {
            let mut bytes = [0; BYTES];
            segment.read(unsigned("byte_offset", byte_offset)?, &mut bytes)?;
            Ok(N::decode(bytes))
        })
        .unwrap_or_default()
    }

    fn encode<N: Number<Script, BYTES>, Script, const BYTES: usize>(
        &self,
        byte_offset: i64,
        value: Script,
    ) -> ErrorCode {
        code_of(self.with_segment(|segment| {
            Ok(segment.write(unsigned("byte_offset", byte_offset)?, &N::encode(value))?)
        }))
    }
}

/// Defines the methods of each line, `decode, encode: type in the memory, type in scripts;`.
macro_rules! numbers {
    ($($decode:ident, $encode:ident: $number:ty, $script:ty;)+) => {
        pub(super) fn define(class: &mut Definition<SharedMemory>) {
            $(
                methods!(class, SharedMemory {
                    const fn $decode(byte_offset: i64) -> $script;
                    fn $encode(byte_offset: i64, value: $script) -> ErrorCode;
                });
            )+
        }

        impl SharedMemory {$(
            fn $decode(&self, byte_offset: i64) -> $script {
                self.decode::<$number, _, _>(byte_offset)
            }

            fn $encode(&self, byte_offset: i64, value: $script) -> ErrorCode {
                self.encode::<$number, _, _>(byte_offset, value)
            }
        )+}
    };
}

numbers! {
    decode_u8, encode_u8: u8, i64;
    decode_s8, encode_s8: i8, i64;
    decode_u16, encode_u16: u16, i64;
    decode_s16, encode_s16: i16, i64;
    decode_u32, encode_u32: u32, i64;
    decode_s32, encode_s32: i32, i64;
    decode_u64, encode_u64: u64, i64;
    decode_s64, encode_s64: i64, i64;
    decode_half, encode_half: Half, f64;
    decode_float, encode_float: f32, f64;
    decode_double, encode_double: f64, f64;
}
