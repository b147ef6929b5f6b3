//! Atomic accesses to words in the memory: no other access comes between.
//!
//! One line in `atomics!` adds the methods for a type, which must be a [`Word`].

use shm_segment::Segment;

use super::args::unsigned;
use super::{Result, SharedMemory};
use crate::binding::{Definition, ErrorCode, methods};
use crate::error::{Failure, code_of};

/// A type of word, and its conversion to and from the integers of scripts.
pub(super) trait Word: Sized {
    const BYTES: u64;

    fn from_script(argument: &str, value: i64) -> Result<Self>;

    /// Converts a number that is added. Adding wraps around, so it may be negative.
    fn from_difference(argument: &str, value: i64) -> Result<Self>;

    fn to_script(self) -> i64;
}

impl Word for u32 {
    const BYTES: u64 = 4;

    fn from_script(argument: &str, value: i64) -> Result<Self> {
        Self::try_from(value)
            .map_err(|_| Failure::argument(argument, value, &format!("from 0 to {}", Self::MAX)))
    }

    fn from_difference(argument: &str, value: i64) -> Result<Self> {
        let size = Self::try_from(value.unsigned_abs()).map_err(|_| {
            Failure::argument(argument, value, &format!("from -{} to {}", Self::MAX, Self::MAX))
        })?;
        Ok(if value < 0 { size.wrapping_neg() } else { size })
    }

    fn to_script(self) -> i64 {
        i64::from(self)
    }
}

impl Word for u64 {
    const BYTES: u64 = 8;

    fn from_script(_: &str, value: i64) -> Result<Self> {
        Ok(value.cast_unsigned())
    }

    fn from_difference(_: &str, value: i64) -> Result<Self> {
        Ok(value.cast_unsigned())
    }

    fn to_script(self) -> i64 {
        self.cast_signed()
    }
}

/// Returns the offset of a word if it is aligned. The segment checks that the word lies inside.
pub(super) fn word_offset<W: Word>(byte_offset: i64) -> Result<u64> {
    let offset = unsigned("byte_offset", byte_offset)?;
    if offset.is_multiple_of(W::BYTES) {
        return Ok(offset);
    }
    Err(Failure::argument("byte_offset", byte_offset, &format!("a multiple of {}", W::BYTES)))
}

impl SharedMemory {
    /// Calls `access` with the segment and the offset of a word. Returns its word, or 0 after a failure.
    fn word<W: Word>(&self, byte_offset: i64, access: impl FnOnce(&Segment, u64) -> Result<W>) -> i64 {
        let found = self.with_segment(|segment| access(segment, word_offset::<W>(byte_offset)?));
        found.map_or(0, W::to_script)
    }
}

/// Defines the methods of each line. The first names are those of scripts, the second those of the segment.
macro_rules! atomics {
    ($($word:ty:
        $load:ident $of_load:ident, $store:ident $of_store:ident, $add:ident $of_add:ident,
        $exchange:ident $of_exchange:ident, $compare_exchange:ident $of_compare_exchange:ident;
    )+) => {
        pub(super) fn define(class: &mut Definition<SharedMemory>) {
            $(
                methods!(class, SharedMemory {
                    const fn $load(byte_offset: i64) -> i64;
                    fn $store(byte_offset: i64, value: i64) -> ErrorCode;
                    fn $add(byte_offset: i64, value: i64) -> i64;
                    fn $exchange(byte_offset: i64, value: i64) -> i64;
                    fn $compare_exchange(byte_offset: i64, expected: i64, desired: i64) -> i64;
                });
            )+
        }

        impl SharedMemory {$(
            fn $load(&self, byte_offset: i64) -> i64 {
                self.word(byte_offset, |segment, offset| Ok(segment.$of_load(offset)?))
            }

            fn $store(&self, byte_offset: i64, value: i64) -> ErrorCode {
                code_of(self.with_segment(|segment| {
                    let offset = word_offset::<$word>(byte_offset)?;
                    Ok(segment.$of_store(offset, Word::from_script("value", value)?)?)
                }))
            }

            fn $add(&self, byte_offset: i64, value: i64) -> i64 {
                self.word(byte_offset, |segment, offset| {
                    Ok(segment.$of_add(offset, Word::from_difference("value", value)?)?)
                })
            }

            fn $exchange(&self, byte_offset: i64, value: i64) -> i64 {
                self.word(byte_offset, |segment, offset| {
                    Ok(segment.$of_exchange(offset, Word::from_script("value", value)?)?)
                })
            }

            fn $compare_exchange(&self, byte_offset: i64, expected: i64, desired: i64) -> i64 {
                self.word(byte_offset, |segment, offset| {
                    let expected = Word::from_script("expected", expected)?;
                    Ok(segment.$of_compare_exchange(offset, expected, Word::from_script("desired", desired)?)?)
                })
            }
        )+}
    };
}

atomics! {
    u32:
        atomic_load_u32 load_u32, atomic_store_u32 store_u32, atomic_add_u32 fetch_add_u32,
        atomic_exchange_u32 swap_u32, atomic_compare_exchange_u32 compare_exchange_u32;
    u64:
        atomic_load_s64 load_u64, atomic_store_s64 store_u64, atomic_add_s64 fetch_add_u64,
        atomic_exchange_s64 swap_u64, atomic_compare_exchange_s64 compare_exchange_u64;
}
