//! Values into bytes.

use super::codes::{Code, Kind};
use super::format::{Format, Item};
use super::{Value, WrongLength};
use crate::values::half;

/// Why values can't be packed. Indices count the values from 0.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// Too few or too many values.
    #[error("the format takes {expected} values, not {given}")]
    WrongCount {
        /// How many the format takes.
        expected: usize,
        /// How many there were.
        given: usize,
    },
    /// Too few or too many bytes to pack them into.
    #[error(transparent)]
    WrongLength(#[from] WrongLength),
    /// A value of another type than the code takes.
    #[error("value {index} must be {wanted} for {code:?}, not {found}")]
    WrongType {
        /// Which value.
        index: usize,
        /// The code that it is for.
        code: char,
        /// What the code takes.
        wanted: &'static str,
        /// What the value is.
        found: &'static str,
    },
    /// `c` takes bytes, but exactly one.
    #[error("value {index} must be one byte for 'c', not {length}")]
    NotOneByte {
        /// Which value.
        index: usize,
        /// How many bytes it has.
        length: usize,
    },
    /// An integer that the code's bytes can't hold.
    #[error("value {index} must be from {least} to {most} for {code:?}, not {value}")]
    OutOfRange {
        /// Which value.
        index: usize,
        /// The code that it is for.
        code: char,
        /// What it is.
        value: i64,
        /// The least that fits.
        least: i64,
        /// The most that fits.
        most: i64,
    },
    /// A finite float that would become infinite.
    #[error("value {index} is too large for {code:?}: {value:e}")]
    TooLarge {
        /// Which value.
        index: usize,
        /// The code that it is for.
        code: char,
        /// What it is.
        value: f64,
    },
}

impl Format {
    /// Packs `values` into `out`, which has exactly [`size`](Self::size) bytes; padding becomes zeros.
    ///
    /// # Errors
    /// What [`PackError`] lists. `out` may have been changed then.
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
        let bits = match code.kind {
            Kind::Pad => return Ok(()),
            Kind::Bytes => {
                let bytes = bytes_of(value, code, index)?;
                let length = bytes.len().min(size);
                out[..length].copy_from_slice(&bytes[..length]);
                return Ok(());
            }
            Kind::Pascal => {
                let bytes = bytes_of(value, code, index)?;
                if let Some((first, rest)) = out.split_first_mut() {
                    let length = bytes.len().min(rest.len());
                    rest[..length].copy_from_slice(&bytes[..length]);
                    // More than 255 are written all the same; that is how CPython does it.
                    *first = u8::try_from(length).unwrap_or(u8::MAX);
                }
                return Ok(());
            }
            Kind::Char => match bytes_of(value, code, index)? {
                [byte] => u64::from(*byte),
                bytes => return Err(PackError::NotOneByte { index, length: bytes.len() }),
            },
            Kind::Bool => u64::from(value.truth()),
            Kind::Signed | Kind::Unsigned | Kind::Pointer => integer(value, code, index)?.cast_unsigned(),
            Kind::Half => {
                let value = float(value, code, index)?;
                let half = half::from_f64(value);
                u64::from(half.ok_or(PackError::TooLarge { index, code: code.letter, value })?)
            }
            Kind::Float => {
                let value = float(value, code, index)?;
                #[allow(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
                let narrow = value as f32;
                // With native sizes CPython leaves it to C, which gives infinity.
                if !self.native && narrow.is_infinite() && value.is_finite() {
                    return Err(PackError::TooLarge { index, code: code.letter, value });
                }
                u64::from(narrow.to_bits())
            }
            Kind::Double => float(value, code, index)?.to_bits(),
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
