//! The letters of a format: what they mean, and how large that is.

use std::ffi::{c_int, c_long, c_longlong, c_short, c_void};

/// What a code's bytes mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `x`: zeros, no value.
    Pad,
    /// `c`: one byte, as bytes.
    Char,
    Bool,
    Signed,
    Unsigned,
    /// `P`: unsigned, but packing takes a negative number as well.
    Pointer,
    Half,
    Float,
    Double,
    /// `s`: the count is its length.
    Bytes,
    /// `p`: as `s`, with its length in the first byte.
    Pascal,
}

/// A letter as one prefix has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) letter: char,
    pub(super) kind: Kind,
    /// Of one element, in bytes.
    pub(super) size: usize,
    /// 1: none.
    pub(super) align: usize,
}

impl Code {
    /// With the sizes and the alignment of this system's C.
    pub(super) fn native(letter: char) -> Option<Self> {
        let of = |kind, size, align| Some(Self { letter, kind, size, align });
        match letter {
            'h' => of(Kind::Signed, size_of::<c_short>(), align_of::<c_short>()),
            'H' => of(Kind::Unsigned, size_of::<c_short>(), align_of::<c_short>()),
            'i' => of(Kind::Signed, size_of::<c_int>(), align_of::<c_int>()),
            'I' => of(Kind::Unsigned, size_of::<c_int>(), align_of::<c_int>()),
            'l' => of(Kind::Signed, size_of::<c_long>(), align_of::<c_long>()),
            'L' => of(Kind::Unsigned, size_of::<c_long>(), align_of::<c_long>()),
            'q' => of(Kind::Signed, size_of::<c_longlong>(), align_of::<c_longlong>()),
            'Q' => of(Kind::Unsigned, size_of::<c_longlong>(), align_of::<c_longlong>()),
            'n' => of(Kind::Signed, size_of::<isize>(), align_of::<isize>()),
            'N' => of(Kind::Unsigned, size_of::<usize>(), align_of::<usize>()),
            'P' => of(Kind::Pointer, size_of::<*const c_void>(), align_of::<*const c_void>()),
            'e' => of(Kind::Half, 2, align_of::<c_short>()),
            'f' => of(Kind::Float, size_of::<f32>(), align_of::<f32>()),
            'd' => of(Kind::Double, size_of::<f64>(), align_of::<f64>()),
            _ => Self::standard(letter),
        }
    }

    /// With the sizes that are the same everywhere, and no alignment.
    pub(super) fn standard(letter: char) -> Option<Self> {
        let (kind, size) = match letter {
            'x' => (Kind::Pad, 1),
            'c' => (Kind::Char, 1),
            '?' => (Kind::Bool, 1),
            'b' => (Kind::Signed, 1),
            'B' => (Kind::Unsigned, 1),
            'h' => (Kind::Signed, 2),
            'H' => (Kind::Unsigned, 2),
            'i' | 'l' => (Kind::Signed, 4),
            'I' | 'L' => (Kind::Unsigned, 4),
            'q' => (Kind::Signed, 8),
            'Q' => (Kind::Unsigned, 8),
            'e' => (Kind::Half, 2),
            'f' => (Kind::Float, 4),
            'd' => (Kind::Double, 8),
            's' => (Kind::Bytes, 1),
            'p' => (Kind::Pascal, 1),
            _ => return None,
        };
        Some(Self { letter, kind, size, align: 1 })
    }

    /// Whether the count is a length, of one value.
    pub(super) fn is_string(self) -> bool {
        matches!(self.kind, Kind::Bytes | Kind::Pascal)
    }

    /// The integers that fit, or nothing if all do.
    pub(super) fn limits(self) -> Option<(i64, i64)> {
        let bits = self.size * 8;
        if bits >= 64 {
            return None;
        }
        let (half, whole) = (1i64 << (bits - 1), 1i64 << bits);
        match self.kind {
            Kind::Signed => Some((-half, half - 1)),
            Kind::Pointer => Some((-half, whole - 1)),
            _ => Some((0, whole - 1)),
        }
    }
}
