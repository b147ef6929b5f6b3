//! Packing values into bytes.

use super::codes::{Code, Encoding};
use super::format::{Format, Item};
use super::{Value, WrongLength};
use crate::values::half;

/// The reason why values can't be packed. Indices count the values from 0.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// There are too few or too many values.
    #[error("the format takes {expected} values, not {given}")]
    WrongCount {
        /// The number of values in the format.
        expected: usize,
        /// The number of values given.
        given: usize,
    },
    /// There are too few or too many bytes to pack into.
    #[error(transparent)]
    WrongLength(#[from] WrongLength),
    /// A value has another type than its code takes.
    #[error("value {index} must be {wanted} for {code:?}, not {found}")]
    WrongType {
        /// The index of the value.
        index: usize,
        /// The code of the value.
        code: char,
        /// The type that the code takes.
        wanted: &'static str,
        /// The type of the value.
        found: &'static str,
    },
    /// The code `c` takes exactly one byte.
    #[error("value {index} must be one byte for 'c', not {length}")]
    NotOneByte {
        /// The index of the value.
        index: usize,
        /// The number of bytes in the value.
        length: usize,
    },
    /// An integer doesn't fit into the bytes of its code.
    #[error("value {index} must be from {least} to {most} for {code:?}, not {value}")]
    OutOfRange {
        /// The index of the value.
        index: usize,
        /// The code of the value.
        code: char,
        /// The value.
        value: i64,
        /// The least value that fits.
        least: i64,
        /// The greatest value that fits.
        most: i64,
    },
    /// A finite float would become infinite.
    #[error("value {index} is too large for {code:?}: {value:e}")]
    TooLarge {
        /// The index of the value.
        index: usize,
        /// The code of the value.
        code: char,
        /// The value.
        value: f64,
    },
}

impl Format {
    /// Packs `values` into `out`, which must have exactly [`size`](Self::size) bytes. Padding becomes zeros.
    ///
    /// # Errors
    /// [`PackError`] lists them. After one, `out` may have been changed.
    pub fn pack(&self, values: &[Value<'_>], out: &mut [u8]) -> Result<(), PackError> {
        if values.len() != self.count {
            return Err(PackError::WrongCount { expected: self.count, given: values.len() });
        }
        if out.len() != self.size {
            return Err(WrongLength { expected: self.size, given: out.len() }.into());
        }
        out.fill(0);
        let mut values = values.iter().enumerate();
        for item in &self.items {
            for (nth, (index, value)) in values.by_ref().take(item.values()).enumerate() {
                self.put(item, nth, index, value, out)?;
            }
        }
        Ok(())
    }

    fn put(
        &self,
        item: &Item,
        nth: usize,
        index: usize,
        value: &Value<'_>,
        out: &mut [u8],
    ) -> Result<(), PackError> {
        let code = item.code;
        let size = if code.is_string() { item.repeat } else { code.size };
        let at = item.offset + nth * size;
        let out = &mut out[at..at + size];
        let bits = match code.encoding {
            Encoding::Pad => return Ok(()),
            Encoding::Bytes => {
                let bytes = bytes_of(value, code, index)?;
                let length = bytes.len().min(size);
                out[..length].copy_from_slice(&bytes[..length]);
                return Ok(());
            }
            Encoding::Pascal => {
                let bytes = bytes_of(value, code, index)?;
                if let Some((first, rest)) = out.split_first_mut() {
                    let length = bytes.len().min(rest.len());
                    rest[..length].copy_from_slice(&bytes[..length]);
                    // CPython also packs more than 255 bytes, with the length 255.
                    *first = u8::try_from(length).unwrap_or(u8::MAX);
                }
                return Ok(());
            }
            Encoding::Char => match bytes_of(value, code, index)? {
                [byte] => u64::from(*byte),
                bytes => return Err(PackError::NotOneByte { index, length: bytes.len() }),
            },
            Encoding::Bool => u64::from(value.truth()),
            Encoding::Signed | Encoding::Unsigned | Encoding::Pointer => {
                integer(value, code, index)?.cast_unsigned()
            }
            Encoding::Half => {
                let value = float(value, code, index)?;
                let half = half::from_f64(value);
                u64::from(half.ok_or(PackError::TooLarge { index, code: code.letter, value })?)
            }
            Encoding::Float => {
                let value = float(value, code, index)?;
                #[allow(clippy::cast_possible_truncation, reason = "rounding is wanted")]
                let narrow = value as f32;
                // With native sizes, CPython leaves the conversion to C, which gives infinity.
                if !self.native && narrow.is_infinite() && value.is_finite() {
                    return Err(PackError::TooLarge { index, code: code.letter, value });
                }
                u64::from(narrow.to_bits())
            }
            Encoding::Double => float(value, code, index)?.to_bits(),
        };
        if self.big_endian {
            out.copy_from_slice(&bits.to_be_bytes()[8 - size..]);
        } else {
            out.copy_from_slice(&bits.to_le_bytes()[..size]);
        }
        Ok(())
    }
}

fn bytes_of<'a>(value: &Value<'a>, code: Code, index: usize) -> Result<&'a [u8], PackError> {
    match *value {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(wrong_type(value, code, index, "bytes")),
    }
}

fn integer(value: &Value<'_>, code: Code, index: usize) -> Result<i64, PackError> {
    let value = match *value {
        Value::Int(value) => value,
        Value::Bool(value) => i64::from(value),
        _ => return Err(wrong_type(value, code, index, "an integer")),
    };
    match code.limits() {
        Some((least, most)) if !(least..=most).contains(&value) => {
            Err(PackError::OutOfRange { index, code: code.letter, value, least, most })
        }
        _ => Ok(value),
    }
}

fn float(value: &Value<'_>, code: Code, index: usize) -> Result<f64, PackError> {
    match *value {
        Value::Float(value) => Ok(value),
        Value::Int(value) => Ok(value as f64),
        Value::Bool(value) => Ok(f64::from(u8::from(value))),
        Value::Bytes(_) => Err(wrong_type(value, code, index, "a number")),
    }
}

fn wrong_type(value: &Value<'_>, code: Code, index: usize, wanted: &'static str) -> PackError {
    PackError::WrongType { index, code: code.letter, wanted, found: value.kind() }
}
