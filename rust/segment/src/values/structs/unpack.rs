//! Unpacking bytes into values.

use std::slice;

use super::codes::Encoding;
use super::format::{Format, Item};
use super::{Value, WrongLength};
use crate::values::half;

/// The values of a struct, one after the other. [`Format::unpack`] returns it.
#[derive(Debug, Clone)]
pub struct Values<'f, 'b> {
    items: slice::Iter<'f, Item>,
    /// The current item, the offset of its next value, and the number of its values that are left.
    current: Option<(Item, usize, usize)>,
    /// The number of values that are left in all.
    left: usize,
    bytes: &'b [u8],
    big_endian: bool,
}

impl Format {
    /// Returns the values in `bytes`, which must have exactly [`size`](Self::size) bytes. Allocates nothing.
    ///
    /// # Errors
    /// [`WrongLength`].
    pub fn unpack<'b>(&self, bytes: &'b [u8]) -> Result<Values<'_, 'b>, WrongLength> {
        if bytes.len() != self.size {
            return Err(WrongLength { expected: self.size, given: bytes.len() });
        }
        let (items, left, big_endian) = (self.items.iter(), self.count, self.big_endian);
        Ok(Values { items, current: None, left, bytes, big_endian })
    }
}

impl<'b> Iterator for Values<'_, 'b> {
    type Item = Value<'b>;

    fn next(&mut self) -> Option<Value<'b>> {
        let (item, at, left) = match self.current {
            Some(current @ (_, _, 1..)) => current,
            // A format has no item without values.
            _ => self.items.next().map(|item| (*item, item.offset, item.values()))?,
        };
        let size = if item.code.is_string() { item.repeat } else { item.code.size };
        self.current = Some((item, at + size, left - 1));
        self.left -= 1;
        Some(value(item.code.encoding, &self.bytes[at..at + size], self.big_endian))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Values<'_, '_> {}

fn value(encoding: Encoding, bytes: &[u8], big_endian: bool) -> Value<'_> {
    match encoding {
        Encoding::Pad | Encoding::Char | Encoding::Bytes => Value::Bytes(bytes),
        Encoding::Pascal => Value::Bytes(match bytes.split_first() {
            Some((length, rest)) => &rest[..rest.len().min(usize::from(*length))],
            None => bytes,
        }),
        Encoding::Bool => Value::Bool(bytes != [0]),
        Encoding::Signed => {
            let spare = 64 - 8 * bytes.len();
            Value::Int((bits(bytes, big_endian) << spare).cast_signed() >> spare)
        }
        Encoding::Unsigned | Encoding::Pointer => Value::Int(bits(bytes, big_endian).cast_signed()),
        Encoding::Half => Value::Float(half::to_f64(half::low_16(bits(bytes, big_endian)))),
        Encoding::Float => Value::Float(f64::from(f32::from_bits(low_32(bits(bytes, big_endian))))),
        Encoding::Double => Value::Float(f64::from_bits(bits(bytes, big_endian))),
    }
}

/// Returns the number in at most 8 bytes.
fn bits(bytes: &[u8], big_endian: bool) -> u64 {
    let mut all = [0; 8];
    if big_endian {
        all[8 - bytes.len()..].copy_from_slice(bytes);
        u64::from_be_bytes(all)
    } else {
        all[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(all)
    }
}

#[allow(clippy::cast_possible_truncation, reason = "no more than four bytes were read")]
fn low_32(bits: u64) -> u32 {
    bits as u32
}
