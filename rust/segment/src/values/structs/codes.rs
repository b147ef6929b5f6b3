//! The codes of a format: their meaning, size and alignment.

use std::ffi::{c_int, c_long, c_longlong, c_short, c_void};

/// The encoding of a code's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// `x`: zeros, and no value.
    Pad,
    /// `c`: one byte.
    Char,
    Bool,
    Signed,
    Unsigned,
    /// `P`: unsigned, but also packs negative numbers.
    Pointer,
    Half,
    Float,
    Double,
    /// `s`: bytes, whose length is the repeat count.
    Bytes,
    /// `p`: like `s`, with the length in the first byte.
    Pascal,
}

/// The meaning of a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByteOrder {
    pub(super) big_endian: bool,
    /// Native sizes and alignment, and C's own conversion of floats.
    pub(super) native: bool,
}

/// A code, as one prefix has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) letter: char,
    pub(super) encoding: Encoding,
    /// The size of one element in bytes.
    pub(super) size: usize,
    /// The natural alignment in bytes.
    pub(super) align: usize,
    pub(super) order: ByteOrder,
}

impl Code {
    /// Returns a code as a prefix of this meaning has it.
    pub(super) fn find(letter: char, order: ByteOrder) -> Option<Self> {
        let found = if order.native { Self::native(letter) } else { Self::standard(letter) };
        let (encoding, size, align) = found?;
        Some(Self { letter, encoding, size, align, order })
    }

    /// Returns the encoding, and the size and alignment of this system's C.
    fn native(letter: char) -> Option<(Encoding, usize, usize)> {
        let of = |encoding, size, align| Some((encoding, size, align));
        match letter {
            'h' => of(Encoding::Signed, size_of::<c_short>(), align_of::<c_short>()),
            'H' => of(Encoding::Unsigned, size_of::<c_short>(), align_of::<c_short>()),
            'i' => of(Encoding::Signed, size_of::<c_int>(), align_of::<c_int>()),
            'I' => of(Encoding::Unsigned, size_of::<c_int>(), align_of::<c_int>()),
            'l' => of(Encoding::Signed, size_of::<c_long>(), align_of::<c_long>()),
            'L' => of(Encoding::Unsigned, size_of::<c_long>(), align_of::<c_long>()),
            'q' => of(Encoding::Signed, size_of::<c_longlong>(), align_of::<c_longlong>()),
            'Q' => of(Encoding::Unsigned, size_of::<c_longlong>(), align_of::<c_longlong>()),
            'n' => of(Encoding::Signed, size_of::<isize>(), align_of::<isize>()),
            'N' => of(Encoding::Unsigned, size_of::<usize>(), align_of::<usize>()),
            'P' => of(Encoding::Pointer, size_of::<*const c_void>(), align_of::<*const c_void>()),
            'e' => of(Encoding::Half, 2, align_of::<c_short>()),
            'f' => of(Encoding::Float, size_of::<f32>(), align_of::<f32>()),
            'd' => of(Encoding::Double, size_of::<f64>(), align_of::<f64>()),
            _ => Self::standard(letter),
        }
    }

    /// Returns the encoding, and the standard size, which is also the alignment.
    fn standard(letter: char) -> Option<(Encoding, usize, usize)> {
        let (encoding, size) = match letter {
            'x' => (Encoding::Pad, 1),
            'c' => (Encoding::Char, 1),
            '?' => (Encoding::Bool, 1),
            'b' => (Encoding::Signed, 1),
            'B' => (Encoding::Unsigned, 1),
            'h' => (Encoding::Signed, 2),
            'H' => (Encoding::Unsigned, 2),
            'i' | 'l' => (Encoding::Signed, 4),
            'I' | 'L' => (Encoding::Unsigned, 4),
            'q' => (Encoding::Signed, 8),
            'Q' => (Encoding::Unsigned, 8),
            'e' => (Encoding::Half, 2),
            'f' => (Encoding::Float, 4),
            'd' => (Encoding::Double, 8),
            's' => (Encoding::Bytes, 1),
            'p' => (Encoding::Pascal, 1),
            _ => return None,
        };
        Some((encoding, size, size))
    }

    /// Returns whether the repeat count is the length of a single value.
    pub(super) fn is_string(self) -> bool {
        matches!(self.encoding, Encoding::Bytes | Encoding::Pascal)
    }

    /// Returns the least and the greatest integer that fit, or `None` if all do.
    pub(super) fn limits(self) -> Option<(i64, i64)> {
        let bits = self.size * 8;
        if bits >= 64 {
            return None;
        }
        let (half, whole) = (1i64 << (bits - 1), 1i64 << bits);
        match self.encoding {
            Encoding::Signed => Some((-half, half - 1)),
            Encoding::Pointer => Some((-half, whole - 1)),
            _ => Some((0, whole - 1)),
        }
    }
}
