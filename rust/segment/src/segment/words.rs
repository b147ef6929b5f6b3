//! Words in a segment, which several processes change: one atomic access each.

use super::Segment;
use crate::error::{Error, Result};
use crate::memory::Word;
use crate::options::Access;

/// Defines the accesses to the words of a type.
macro_rules! words {
    ($($word:ty, $size:literal: $load:ident, $store:ident, $swap:ident, $add:ident, $exchange:ident;)+) => {
        impl Segment {$(
            #[doc = concat!("Returns the word of ", $size, " bytes at `offset`, a multiple of ", $size, ".")]
            /// It is stored in little-endian order.
            ///
            /// The load acquires: after it, [`read`](Self::read) sees what the writer wrote before it stored
            /// the word.
            ///
            /// # Errors
            /// [`Error::OutOfBounds`]; [`Error::Misaligned`]; [`Error::Truncated`]; [`Error::PageLost`];
            /// [`Error::System`]. [`Error::Unsupported`] for 8 bytes of a read-only segment on processors of
            /// 32 bits.
            #[inline]
            pub fn $load(&self, offset: u64) -> Result<$word> {
                self.load(offset)
            }

            #[doc = concat!("Stores the word of ", $size, " bytes at `offset`. The store releases.")]
            ///
            /// # Errors
            #[doc = concat!("The errors of [`", stringify!($load), "`](Self::", stringify!($load), "),")]
            /// and [`Error::ReadOnly`].
            #[inline]
            pub fn $store(&self, offset: u64, value: $word) -> Result<()> {
                self.check_writable()?;
                self.check_truncation()?;
                self.memory.store(offset, value).map_err(|fault| self.fault(fault, offset, $size))
            }

            /// Stores `value` at `offset` in one atomic step, and returns the previous word. Acquires and
            /// releases.
            ///
            /// # Errors
            #[doc = concat!("As [`", stringify!($store), "`](Self::", stringify!($store), ").")]
            pub fn $swap(&self, offset: u64, value: $word) -> Result<$word> {
                self.check_writable()?;
                self.check_truncation()?;
                self.memory.swap(offset, value).map_err(|fault| self.fault(fault, offset, $size))
            }

            /// Adds `value` to the word at `offset`, wrapping around, in one atomic step, and returns the
            /// previous word. Acquires and releases.
            ///
            /// # Errors
            #[doc = concat!("As [`", stringify!($store), "`](Self::", stringify!($store), ").")]
            pub fn $add(&self, offset: u64, value: $word) -> Result<$word> {
                self.check_writable()?;
                self.check_truncation()?;
                self.memory.fetch_add(offset, value).map_err(|fault| self.fault(fault, offset, $size))
            }

            /// Stores `new` if the word at `offset` is `current`, in one atomic step, and returns the
            /// previous word. So it was stored if that is `current`. Acquires and releases.
            ///
            /// # Errors
            #[doc = concat!("As [`", stringify!($store), "`](Self::", stringify!($store), ").")]
            pub fn $exchange(&self, offset: u64, current: $word, new: $word) -> Result<$word> {
                self.check_writable()?;
                self.check_truncation()?;
                let previous = self.memory.compare_exchange(offset, current, new);
                previous.map_err(|fault| self.fault(fault, offset, $size))
            }
        )+}
    };
}

words! {
    u32, 4: load_u32, store_u32, swap_u32, fetch_add_u32, compare_exchange_u32;
    u64, 8: load_u64, store_u64, swap_u64, fetch_add_u64, compare_exchange_u64;
}

impl Segment {
    #[inline]
    fn load<W: Word>(&self, offset: u64) -> Result<W> {
        // Such a processor loads 8 bytes by an instruction that also stores them.
        if cfg!(not(target_pointer_width = "64")) && size_of::<W>() > 4 && self.access == Access::ReadOnly {
            return Err(Error::Unsupported { what: "an atomic load of 8 bytes from read-only memory" });
        }
        self.check_truncation()?;
        self.memory.load(offset).map_err(|fault| self.fault(fault, offset, size_of::<W>() as u64))
    }
}
