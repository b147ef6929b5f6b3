//! The parts of a value, for programs that decode it without the engine.

use std::fmt;

use super::types::{FLAG_WIDE, NUMBER_MASK, Shape, name, shape};
use super::{Error, measure_plain};

/// The type of a value that is a few numbers, or an array of such: its number in the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Type(u8);

impl Type {
    /// Packed bytes.
    pub const BYTES: Self = Self(29);
    /// Packed integers of 32 bits.
    pub const INT32_ARRAY: Self = Self(30);
    /// Packed integers of 64 bits.
    pub const INT64_ARRAY: Self = Self(31);
    /// Packed floats of 32 bits.
    pub const FLOAT32_ARRAY: Self = Self(32);
    /// Packed floats of 64 bits.
    pub const FLOAT64_ARRAY: Self = Self(33);
    /// Packed vectors of two floats.
    pub const VECTOR2_ARRAY: Self = Self(35);
    /// Packed vectors of three floats.
    pub const VECTOR3_ARRAY: Self = Self(36);
    /// Packed colours.
    pub const COLOR_ARRAY: Self = Self(37);
    /// Packed vectors of four floats.
    pub const VECTOR4_ARRAY: Self = Self(38);
    /// A colour, which always has four floats of 32 bits.
    const COLOR: Self = Self(20);

    /// Returns the type with this number, if it is a few numbers, from `Vector2` to `Color`.
    #[must_use]
    pub const fn of_numbers(number: u8) -> Option<Self> {
        if 5 <= number && number <= Self::COLOR.0 { Some(Self(number)) } else { None }
    }

    /// Returns its number in the engine's `Variant.Type`.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Returns its name in the engine.
    #[must_use]
    pub fn name(self) -> &'static str {
        name(self.0)
    }

    /// Returns whether its numbers are integers of 32 bits. Otherwise, they are floats.
    #[must_use]
    pub const fn has_integers(self) -> bool {
        // Vector2i, Rect2i, Vector3i, Vector4i.
        matches!(self.0, 6 | 8 | 10 | 13)
    }

    /// Returns how many numbers a value has, or each element of an array.
    #[must_use]
    pub fn count(self) -> usize {
        let numbers = match shape(self.0) {
            Some(Shape::Numbers(numbers) | Shape::PackedNumbers(numbers)) => numbers,
            Some(Shape::Bytes(bytes)) => bytes / 4,
            Some(Shape::Packed(16)) => 4,
            _ => 1,
        };
        usize::try_from(numbers).unwrap_or(0)
    }
}

/// A part of a value. The values in a container follow it, one after the other; in a dictionary, each key is
/// before its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Part<'a> {
    /// Null.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A text.
    String(&'a str),
    /// A text that the engine keeps once.
    StringName(&'a str),
    /// A path to a node.
    NodePath(NodePath<'a>),
    /// A few numbers.
    Numbers(Numbers<'a>),
    /// An array of this number of values.
    Array(u32),
    /// A dictionary of this number of entries.
    Dictionary(u32),
    /// A packed array of numbers, in little-endian order. The floats of vectors have 8 bytes if it is wide.
    Packed {
        /// The type of the array.
        array: Type,
        /// True if its numbers have 8 bytes.
        is_wide: bool,
        /// The numbers.
        bytes: &'a [u8],
    },
    /// A packed array of texts.
    Strings(Strings<'a>),
}

/// The numbers of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Numbers<'a> {
    /// The type of the value.
    pub of: Type,
    is_wide: bool,
    bytes: &'a [u8],
}

impl Numbers<'_> {
    /// Returns the number at `index`, below [`Type::count`]. A float holds each of them.
    #[must_use]
    pub fn get(&self, index: usize) -> f64 {
        let four =
            |at: usize| self.bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
        if self.is_wide {
            let eight = self.bytes.get(index * 8..).and_then(<[u8]>::first_chunk).copied();
            f64::from_le_bytes(eight.unwrap_or_default())
        } else if self.of.has_integers() {
            i32::from_le_bytes(four(index * 4)).into()
        } else {
            f32::from_le_bytes(four(index * 4)).into()
        }
    }
}

/// Texts, one after the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strings<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.left = self.left.checked_sub(1)?;
        let mut cursor = Cursor { rest: self.rest };
        let text = cursor.string()?;
        self.rest = cursor.rest;
        Some(text)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.left as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Strings<'_> {}

/// A path to a node. Displayed, it is as the engine writes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NodePath<'a> {
    is_absolute: bool,
    names: u32,
    all: Strings<'a>,
}

impl NodePath<'_> {
    /// Returns how many bytes the path has as a text, at most.
    #[must_use]
    pub fn length(&self) -> usize {
        1 + self.all.map(|text| text.len() + 1).sum::<usize>()
    }
}

impl fmt::Display for NodePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_absolute {
            f.write_str("/")?;
        }
        for (index, text) in (0_u32..).zip(self.all) {
            let separator = match index {
                _ if index >= self.names => ":",
                0 => "",
                _ => "/",
            };
            write!(f, "{separator}{text}")?;
        }
        Ok(())
    }
}

/// The parts of a value.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Parts<'a> {
    /// Returns the parts of the one value in `bytes`, which is as in a message: see [`measure_plain`].
    ///
    /// # Errors
    /// [`Error`] lists them.
    pub fn of(bytes: &'a [u8]) -> Result<Self, Error> {
        let measured = measure_plain(bytes, 0, bytes.len() as u64)?;
        match (bytes.len() as u64).checked_sub(measured.size) {
            Some(0) => Ok(Self { cursor: Cursor { rest: bytes } }),
            behind => Err(Error::Behind { bytes: behind.unwrap_or(0) }),
        }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    /// Returns the next part; `None` at the end.
    // The bytes were measured, so each part is complete.
    fn next(&mut self) -> Option<Part<'a>> {
        self.cursor.part()
    }
}

#[derive(Debug, Clone)]
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(*self.take(4)?.first_chunk()?))
    }

    fn padded(&mut self, bytes: usize) -> Option<&'a [u8]> {
        self.take(bytes.checked_next_multiple_of(4)?)?.get(..bytes)
    }

    fn string(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.u32()?).ok()?;
        let bytes = self.padded(length)?;
        // The engine takes one NUL at the end for no part of the text.
        std::str::from_utf8(bytes.strip_suffix(&[0]).unwrap_or(bytes)).ok()
    }

    fn packed(&mut self, element: u64) -> Option<&'a [u8]> {
        let bytes = u64::from(self.u32()?).checked_mul(element)?;
        self.padded(usize::try_from(bytes).ok()?)
    }

    fn strings(&mut self, left: u32) -> Option<Strings<'a>> {
        let rest = self.rest;
        for _ in 0..left {
            self.string()?;
        }
        Some(Strings { rest, left })
    }

    fn part(&mut self) -> Option<Part<'a>> {
        const NULL: u8 = 0;
        const BOOL: u8 = 1;
        const INT: u8 = 2;
        const FLOAT: u8 = 3;
        const STRING: u8 = 4;
        let header = self.u32()?;
        let number = u8::try_from(header & NUMBER_MASK).ok()?;
        let is_wide = header & FLAG_WIDE != 0;
        let width = if is_wide { 8 } else { 4 };
        let of = Type(number);
        Some(match (number, shape(number)?) {
            (NULL, _) => Part::Null,
            (BOOL, _) => Part::Bool(self.u32()? != 0),
            (INT, _) if is_wide => Part::Int(i64::from_le_bytes(*self.take(8)?.first_chunk()?)),
            (INT, _) => Part::Int(self.u32()?.cast_signed().into()),
            (FLOAT, _) if is_wide => Part::Float(f64::from_le_bytes(*self.take(8)?.first_chunk()?)),
            (FLOAT, _) => Part::Float(f32::from_bits(self.u32()?).into()),
            (STRING, Shape::String) => Part::String(self.string()?),
            (_, Shape::String) => Part::StringName(self.string()?),
            (_, Shape::Bytes(bytes)) => {
                Part::Numbers(Numbers { of, is_wide: false, bytes: self.take(usize::try_from(bytes).ok()?)? })
            }
            (_, Shape::Numbers(numbers)) => {
                let bytes = self.take(usize::try_from(numbers * width).ok()?)?;
                Part::Numbers(Numbers { of, is_wide, bytes })
            }
            (_, Shape::Packed(bytes)) => {
                let array = of;
                Part::Packed { array, is_wide: false, bytes: self.packed(bytes)? }
            }
            (_, Shape::PackedNumbers(numbers)) => {
                Part::Packed { array: of, is_wide, bytes: self.packed(numbers * width)? }
            }
            (_, Shape::Strings) => {
                let count = self.u32()?;
                Part::Strings(self.strings(count)?)
            }
            (_, Shape::NodePath) => {
                let names = self.u32()? & 0x7fff_ffff;
                let (subnames, flags) = (self.u32()?, self.u32()?);
                let more = u32::from(flags & 2 != 0);
                let count = names.checked_add(subnames)?.checked_add(more)?;
                let is_absolute = flags & 1 != 0;
                Part::NodePath(NodePath { is_absolute, names, all: self.strings(count)? })
            }
            (_, Shape::Array) => Part::Array(self.u32()? & 0x7fff_ffff),
            (_, Shape::Dictionary) => Part::Dictionary(self.u32()? & 0x7fff_ffff),
            // References, which were refused.
            (_, Shape::Signal | Shape::Object) => return None,
        })
    }
}
