//! A format that has been parsed: the fields of a struct, with their offsets.

use super::codes::{Code, Encoding};

/// The largest size of a struct: CPython's `PY_SSIZE_T_MAX`.
pub(super) const MAX_SIZE: usize = isize::MAX.unsigned_abs();

/// A struct: that of a whole format string, or a group in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Format {
    /// The fields that have values, in order. Their number is at most that of the characters in the string.
    pub(super) fields: Vec<Field>,
    pub(super) size: usize,
    /// The alignment in a struct around it, if that isn't packed more tightly. 0 for none.
    align: usize,
    count: usize,
    outer_count: usize,
}

/// A code or a group in a struct, with its repeat count and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    name: Option<String>,
    pub(super) kind: FieldKind,
    /// The number of values, or of groups. At least 1.
    count: usize,
    /// A repeat count is in the format, even if it is 1.
    is_array: bool,
    /// The offset of the first value from the beginning of the struct.
    pub(super) offset: usize,
    /// The number of bytes of a value.
    stride: usize,
}

/// The contents of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FieldKind {
    Code(Code),
    Group(Format),
}

impl FieldKind {
    fn align(&self) -> usize {
        match self {
            Self::Code(code) => code.align,
            Self::Group(group) => group.align,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Code(code) => code.size,
            Self::Group(group) => group.size,
        }
    }
}

impl Format {
    /// Adds a field, aligned to its own alignment, but no further than to `packing`. Returns whether it has
    /// values, or `None` if the struct becomes larger than any memory.
    pub(super) fn add(&mut self, kind: FieldKind, repeat: Option<usize>, packing: usize) -> Option<bool> {
        let is_string = matches!(&kind, FieldKind::Code(code) if code.is_string());
        let (align, size, times) = (kind.align().clamp(1, packing), kind.size(), repeat.unwrap_or(1));
        // Aligns even without a value: "0i" at the end pads a struct as C does.
        let offset = self.size.checked_next_multiple_of(align)?;
        let end = offset.checked_add(times.checked_mul(size)?).filter(|end| *end <= MAX_SIZE)?;
        let (count, stride) = if is_string { (1, times) } else { (times, size) };
        let (values, outer_values) = match &kind {
            FieldKind::Code(Code { encoding: Encoding::Pad, .. }) => (0, 0),
            FieldKind::Code(_) => (count, count),
            FieldKind::Group(group) => (count.checked_mul(group.count)?, count.min(1)),
        };
        self.count = self.count.checked_add(values)?;
        self.outer_count = self.outer_count.checked_add(outer_values)?;
        self.size = end;
        self.align = self.align.max(align);
        if values > 0 {
            let is_array = repeat.is_some() && !is_string;
            self.fields.push(Field { name: None, kind, count, is_array, offset, stride });
        }
        Some(values > 0)
    }

    /// Names the last field.
    pub(super) fn name_last(&mut self, name: &str) {
        if let Some(field) = self.fields.last_mut() {
            field.name = Some(name.to_owned());
        }
    }

    /// Pads the end of the struct as C does, so that the next one in an array is aligned.
    pub(super) fn pad_end(&mut self) -> Option<()> {
        let size = self.size.checked_next_multiple_of(self.align.max(1));
        self.size = size.filter(|size| *size <= MAX_SIZE)?;
        Some(())
    }

    /// Returns the size of the struct in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns the number of its values, those in groups included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the number of its values, if a group counts as one, however often it is repeated.
    #[must_use]
    pub fn outer_count(&self) -> usize {
        self.outer_count
    }

    /// Returns the fields that have values, in order.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }
}

impl Field {
    /// Returns its name, if the format has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the struct that it consists of, or `None` if it is a code.
    #[must_use]
    pub fn group(&self) -> Option<&Format> {
        match &self.kind {
            FieldKind::Code(_) => None,
            FieldKind::Group(group) => Some(group),
        }
    }

    /// Returns whether a repeat count makes it an array. That of a string is its length instead.
    #[must_use]
    pub fn is_array(&self) -> bool {
        self.is_array
    }

    /// Returns whether its values are bytes.
    #[must_use]
    pub fn is_bytes(&self) -> bool {
        use Encoding as E;
        matches!(&self.kind, FieldKind::Code(code) if matches!(code.encoding, E::Char | E::Bytes | E::Pascal))
    }

    /// Returns the number of its values, or of its groups.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the size of all its values in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.count * self.stride
    }

    /// Returns the bytes of one of its values, to change them.
    ///
    /// # Panics
    /// If there are fewer bytes than the struct has, or fewer values than `nth`.
    #[must_use]
    pub fn bytes_mut<'b>(&self, nth: usize, of_struct: &'b mut [u8]) -> &'b mut [u8] {
        assert!(nth < self.count, "value {nth} of {}", self.count);
        &mut of_struct[self.offset + nth * self.stride..][..self.stride]
    }

    /// Returns the bytes of each of its values, from those of the struct that it is a field of.
    ///
    /// # Panics
    /// If there are fewer bytes than that struct has.
    pub fn each<'b>(&self, of_struct: &'b [u8]) -> impl ExactSizeIterator<Item = &'b [u8]> + use<'b> {
        // Values without bytes, such as those of "0s", can't be cut off one by one.
        let (bytes, stride) = (&of_struct[self.offset..][..self.size()], self.stride);
        (0..self.count).map(move |nth| &bytes[nth * stride..][..stride])
    }
}
