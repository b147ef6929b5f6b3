//! Packing values into bytes.

use super::codes::{Code, Encoding};
use super::format::{Field, FieldKind, Format};
use super::{Value, WrongLength};
use crate::values::half;

/// The reason why values can't be packed.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// There are too few or too many values.
    #[error("values must have {expected} elements, not {given}")]
    WrongCount {
        /// The number of values in the format.
        expected: usize,
        /// The number of values given.
        given: usize,
    },
    /// There are too few or too many bytes to pack into.
    #[error(transparent)]
    WrongLength(#[from] WrongLength),
    /// A value doesn't fit its code.
    #[error("values[{index}] {problem}")]
    Value {
        /// The index of the value, counted from 0.
        index: usize,
        /// Its problem.
        problem: ValueError,
    },
}

/// The reason why a value can't be packed. Its text is the rest of a sentence that begins with the value.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// A value has another type than its code takes.
    #[error("must be {wanted} for {code:?}, not {found}")]
    WrongType {
        /// The code of the value.
        code: char,
        /// The type that the code takes.
        wanted: &'static str,
        /// The type of the value.
        found: &'static str,
    },
    /// The code `c` takes exactly one byte.
    #[error("must be one byte for 'c', not {length}")]
    NotOneByte {
        /// The number of bytes in the value.
        length: usize,
    },
    /// An integer doesn't fit into the bytes of its code.
    #[error("must be from {least} to {most} for {code:?}, not {value}")]
    OutOfRange {
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
    #[error("is too large for {code:?}: {value:e}")]
    TooLarge {
        /// The code of the value.
        code: char,
        /// The value.
        value: f64,
    },
}

impl Format {
    /// Packs `values` into `out`, which must have exactly [`size`](Self::size) bytes. Those of groups are
    /// among the others, in order. Padding becomes zeros.
    ///
    /// # Errors
    /// [`PackError`] lists them. After one, `out` may have been changed.
    pub fn pack(&self, values: &[Value<'_>], out: &mut [u8]) -> Result<(), PackError> {
        if values.len() != self.count() {
            return Err(PackError::WrongCount { expected: self.count(), given: values.len() });
        }
        if out.len() != self.size {
            return Err(WrongLength { expected: self.size, given: out.len() }.into());
        }
        out.fill(0);
        self.put_all(&mut values.iter().enumerate(), out)
    }

    fn put_all<'v>(
        &self,
        values: &mut impl Iterator<Item = (usize, &'v Value<'v>)>,
        out: &mut [u8],
    ) -> Result<(), PackError> {
        for field in &self.fields {
            for nth in 0..field.count() {
                if let Some(group) = field.group() {
                    group.put_all(values, field.bytes_mut(nth, out))?;
                } else if let Some((index, value)) = values.next() {
                    field.put(nth, value, out).map_err(|problem| PackError::Value { index, problem })?;
                }
            }
        }
        Ok(())
    }
}

impl Field {
    /// Packs one of its values into the bytes of the struct that it is a field of.
    ///
    /// # Errors
    /// [`ValueError`] lists them.
    ///
    /// # Panics
    /// If there are fewer bytes than the struct has, or fewer values than `nth`.
    pub fn put(&self, nth: usize, value: &Value<'_>, of_struct: &mut [u8]) -> Result<(), ValueError> {
        match &self.kind {
            FieldKind::Code(code) => code.put(value, self.bytes_mut(nth, of_struct)),
            FieldKind::Group(_) => {
                Err(ValueError::WrongType { code: 'T', wanted: "a group", found: value.kind() })
            }
        }
    }
}

impl Code {
    /// Packs a value into its bytes.
    fn put(self, value: &Value<'_>, out: &mut [u8]) -> Result<(), ValueError> {
        let (letter, size) = (self.letter, out.len());
        let bits = match self.encoding {
            Encoding::Pad => return Ok(()),
            Encoding::Bytes => {
                let bytes = bytes_of(value, self)?;
                let length = bytes.len().min(size);
                out[..length].copy_from_slice(&bytes[..length]);
                return Ok(());
            }
            Encoding::Pascal => {
                let bytes = bytes_of(value, self)?;
                if let Some((first, rest)) = out.split_first_mut() {
                    let length = bytes.len().min(rest.len());
                    rest[..length].copy_from_slice(&bytes[..length]);
                    // CPython also packs more than 255 bytes, with the length 255.
                    *first = u8::try_from(length).unwrap_or(u8::MAX);
                }
                return Ok(());
            }
            Encoding::Char => match bytes_of(value, self)? {
                [byte] => u64::from(*byte),
                bytes => return Err(ValueError::NotOneByte { length: bytes.len() }),
            },
            Encoding::Bool => u64::from(value.truth()),
            Encoding::Signed | Encoding::Unsigned | Encoding::Pointer => {
                integer(value, self)?.cast_unsigned()
            }
            Encoding::Half => {
                let value = float(value, self)?;
                let half = half::from_f64(value);
                u64::from(half.ok_or(ValueError::TooLarge { code: letter, value })?)
            }
            Encoding::Float => {
                let value = float(value, self)?;
                #[allow(clippy::cast_possible_truncation, reason = "rounding is wanted")]
                let narrow = value as f32;
                // With native sizes, CPython leaves the conversion to C, which gives infinity.
                if !self.order.native && narrow.is_infinite() && value.is_finite() {
                    return Err(ValueError::TooLarge { code: letter, value });
                }
                u64::from(narrow.to_bits())
            }
            Encoding::Double => float(value, self)?.to_bits(),
        };
        if self.order.big_endian {
            out.copy_from_slice(&bits.to_be_bytes()[8 - size..]);
        } else {
            out.copy_from_slice(&bits.to_le_bytes()[..size]);
        }
        Ok(())
    }
}

fn bytes_of<'a>(value: &Value<'a>, code: Code) -> Result<&'a [u8], ValueError> {
    match *value {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(wrong_type(value, code, "bytes")),
    }
}

fn integer(value: &Value<'_>, code: Code) -> Result<i64, ValueError> {
    let value = match *value {
        Value::Int(value) => value,
        Value::Bool(value) => i64::from(value),
        _ => return Err(wrong_type(value, code, "an integer")),
    };
    match code.limits() {
        Some((least, most)) if !(least..=most).contains(&value) => {
            Err(ValueError::OutOfRange { code: code.letter, value, least, most })
        }
        _ => Ok(value),
    }
}

fn float(value: &Value<'_>, code: Code) -> Result<f64, ValueError> {
    match *value {
        Value::Float(value) => Ok(value),
        Value::Int(value) => Ok(value as f64),
        Value::Bool(value) => Ok(f64::from(u8::from(value))),
        Value::Bytes(_) => Err(wrong_type(value, code, "a number")),
    }
}

fn wrong_type(value: &Value<'_>, code: Code, wanted: &'static str) -> ValueError {
    ValueError::WrongType { code: code.letter, wanted, found: value.kind() }
}
