//! Numbers in the memory, under the names and with the rules of `PackedByteArray`: little-endian, at any offset, values
//! cut to the width.
//!
//! A new one is a line in `define` and a line in `numbers!`.

use super::{SharedMemory, code_of, copied, unsigned};
use crate::class::{Definition, ErrorCode, Int};

pub(super) fn define(class: &mut Definition<SharedMemory>) {
    class.method::<(Int,), i64>("decode_u32", &["byte_offset"], &[], SharedMemory::decode_u32);
    class.method::<(Int, Int), ErrorCode>(
        "encode_u32",
        &["byte_offset", "value"],
        &[],
        SharedMemory::encode_u32,
    );
}

/// `decode: encode as type in the memory, type in scripts;`
macro_rules! numbers {
    ($($decode:ident: $encode:ident as $number:ty, $script:ty;)+) => {
        impl SharedMemory {$(
            fn $decode(&self, byte_offset: i64) -> $script {
                self.with(stringify!($decode), |segment| {
                    let mut bytes = [0; size_of::<$number>()];
                    copied(segment.read(unsigned("byte_offset", byte_offset)?, &mut bytes))?;
                    Ok(<$script>::from(<$number>::from_le_bytes(bytes)))
                })
                .unwrap_or_default()
            }

            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "values are cut to the width")]
            fn $encode(&self, byte_offset: i64, value: $script) -> ErrorCode {
                code_of(self.with(stringify!($encode), |segment| {
                    let bytes = (value as $number).to_le_bytes();
                    copied(segment.write(unsigned("byte_offset", byte_offset)?, &bytes))
                }))
            }
        )+}
    };
}

numbers! {
    decode_u32: encode_u32 as u32, i64;
}
