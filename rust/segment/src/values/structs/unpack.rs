//! Unpacking bytes into values.

use super::codes::{Code, Encoding};
use super::format::{Field, FieldKind, Format};
use super::{Value, WrongLength};
use crate::values::half;

impl Format {
    /// Returns the values in `bytes`, which must have exactly [`size`](Self::size) bytes. Those of groups are
    /// among the others, in order.
    ///
    /// # Errors
    /// [`WrongLength`].
    pub fn unpack<'b>(&self, bytes: &'b [u8]) -> Result<Vec<Value<'b>>, WrongLength> {
        if bytes.len() != self.size {
            return Err(WrongLength { expected: self.size, given: bytes.len() });
        }
        let mut values = Vec::with_capacity(self.count());
        self.take_all(bytes, &mut values);
        Ok(values)
    }

    fn take_all<'b>(&self, bytes: &'b [u8], values: &mut Vec<Value<'b>>) {
        for field in &self.fields {
            if let Some(group) = field.group() {
                field.each(bytes).for_each(|bytes| group.take_all(bytes, values));
            } else {
                values.extend(field.values(bytes));
            }
        }
    }
}

impl Field {
    /// Returns its values, from the bytes of the struct that it is a field of. A group has no values.
    ///
    /// # Panics
    /// If there are fewer bytes than that struct has.
    pub fn values<'b>(&self, of_struct: &'b [u8]) -> impl Iterator<Item = Value<'b>> + use<'_, 'b> {
        let code = match &self.kind {
            FieldKind::Code(code) => Some(*code),
            FieldKind::Group(_) => None,
        };
        code.into_iter().flat_map(move |code| self.each(of_struct).map(move |bytes| value(code, bytes)))
    }
}

fn value(code: Code, bytes: &[u8]) -> Value<'_> {
    let big_endian = code.order.big_endian;
    match code.encoding {
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
    // Of known lengths, these are single instructions, and structs consist of them.
    match bytes {
        [_, _, _, _] => all[..4].copy_from_slice(bytes),
        [_, _, _, _, _, _, _, _] => all.copy_from_slice(bytes),
        _ => all[..bytes.len()].copy_from_slice(bytes),
    }
    if big_endian { u64::from_be_bytes(all) >> (64 - 8 * bytes.len()) } else { u64::from_le_bytes(all) }
}

#[allow(clippy::cast_possible_truncation, reason = "no more than four bytes were read")]
fn low_32(bits: u64) -> u32 {
    bits as u32
}
