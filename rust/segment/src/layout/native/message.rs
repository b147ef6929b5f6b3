//! Messages: a tag, a shape, and a content (`docs/FORMAT.md`, *Messages*).

use super::Result;
use crate::layout::{self, Error};

/// The name of the format in error texts.
const LAYOUT: &str = "native message";

/// The kind of a message's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    Bytes,
    /// Text in UTF-8. A peer may have written anything.
    Text,
    /// Numbers.
    Array {
        /// The type of the numbers.
        element: Element,
        /// The meaning of the numbers.
        meaning: Meaning,
        /// The number of dimensions, 1 to 4.
        dimensions: u8,
    },
    /// A picture.
    Image,
    /// A value in the engine's binary form.
    Value,
}

/// The type of an array's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// Signed integers of 32 bits.
    I32,
    /// Signed integers of 64 bits.
    I64,
    /// Floats of 32 bits.
    F32,
    /// Floats of 64 bits.
    F64,
}

impl Element {
    /// Returns the size in bytes.
    #[must_use]
    pub const fn size(self) -> u64 {
        match self {
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }
}

/// The meaning of an array's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Numbers.
    Plain,
    /// Vectors: the last of two dimensions is 2, 3 or 4.
    Vectors,
    /// Colours: the last of two dimensions is 4.
    Colors,
}

/// The pixels of an image: the number in its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelFormat(u32);

impl PixelFormat {
    /// Grey: 1 byte.
    pub const L8: Self = Self(0);
    /// Grey, alpha: 2 bytes.
    pub const LA8: Self = Self(1);
    /// Red, green, blue: 3 bytes.
    pub const RGB8: Self = Self(4);
    /// Red, green, blue, alpha: 4 bytes.
    pub const RGBA8: Self = Self(5);
    /// Blue, green, red: 3 bytes.
    pub const BGR8: Self = Self(256);
    /// Blue, green, red, alpha: 4 bytes.
    pub const BGRA8: Self = Self(257);

    /// Returns the format with this number: one of the engine's `Image.Format` that is not compressed, or one
    /// of the constants.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number <= 16 || number == 256 || number == 257 { Some(Self(number)) } else { None }
    }

    /// Returns the number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Returns the bytes of a pixel.
    #[must_use]
    pub const fn pixel_size(self) -> u64 {
        match self.0 {
            0 | 2 => 1,
            1 | 3 | 6 | 7 | 12 => 2,
            4 | 256 => 3,
            9 | 15 => 8,
            14 => 6,
            10 => 12,
            11 => 16,
            // 5, 8, 13, 16, 257.
            _ => 4,
        }
    }
}

/// The most columns, and the most rows, of an image: the engine's limit.
pub const MAX_IMAGE_SIDE: u32 = 16_777_216;
/// The most pixels of an image: the engine's limit.
pub const MAX_IMAGE_PIXELS: u64 = 1 << 28;
/// The most bytes of an image's pixels: Godot 4.3 counts them in an `int`.
const MAX_IMAGE_BYTES: u64 = i32::MAX.unsigned_abs() as u64;

/// The tag and the shape of a message. [`check`](Self::check) returns whether a length fits them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// The kind of the content.
    pub kind: Kind,
    /// The dimensions of an array, the outermost first; or an image's width, height, format and row stride in
    /// bytes.
    pub shape: [u32; 4],
}

/// The bytes of a shape in memory.
pub(super) const SHAPE_SIZE: u64 = 16;

impl Descriptor {
    /// Returns the descriptor of a kind without a shape.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        Self { kind, shape: [0; 4] }
    }

    /// Returns the tag.
    #[must_use]
    pub const fn tag(&self) -> u32 {
        match self.kind {
            Kind::Bytes => 1,
            Kind::Text => 2,
            Kind::Array { element, meaning, dimensions } => {
                3 | (element as u32 + 1) << 8 | (meaning as u32) << 16 | (dimensions as u32) << 24
            }
            Kind::Image => 4,
            Kind::Value => 5,
        }
    }

    /// Returns whether messages with this tag have a shape. An unknown tag has none.
    pub(super) const fn has_shape(tag: u32) -> bool {
        matches!(tag & 0xFF, 3 | 4)
    }

    /// Returns the descriptor of a message of `length` bytes from another program.
    ///
    /// # Errors
    /// As [`check`](Self::check), and for a tag that this version doesn't know.
    pub fn new(tag: u32, shape: [u32; 4], length: u64) -> layout::Result<Self> {
        Ok(Self::found(tag, shape, length)?)
    }

    /// Returns the descriptor of a message of `length` bytes that was found in memory.
    #[inline]
    pub(super) fn found(tag: u32, shape: [u32; 4], length: u64) -> Result<Self> {
        let kind = match tag {
            1 => Kind::Bytes,
            2 => Kind::Text,
            5 => Kind::Value,
            _ => return Self::found_with_shape(tag, shape, length),
        };
        Ok(Self::of(kind))
    }

    fn found_with_shape(tag: u32, mut shape: [u32; 4], length: u64) -> Result<Self> {
        let unknown = |limit: &str| Error::Invalid {
            layout: LAYOUT,
            what: "the tag",
            found: tag.into(),
            limit: limit.to_owned(),
        };
        let kind = match tag & 0xFF {
            3 => array_of(tag).ok_or_else(|| unknown("this version knows no such array"))?,
            4 if tag == 4 => Kind::Image,
            1..=5 => return Err(unknown("this version knows no more bits of this kind").into()),
            _ => return Err(unknown("this version knows the kinds 1 to 5, in its lowest byte").into()),
        };
        if let Kind::Array { dimensions, .. } = kind {
            // The others mean nothing.
            shape.iter_mut().skip(dimensions.into()).for_each(|unused| *unused = 0);
        }
        let descriptor = Self { kind, shape };
        descriptor.check_length(length)?;
        Ok(descriptor)
    }

    /// Returns the error for a message of `size` bytes, which is less than its shape has.
    #[cold]
    pub(super) fn too_short(size: u64) -> Box<Error> {
        let limit = format!("its shape alone has {SHAPE_SIZE}");
        Box::new(Error::Invalid { layout: LAYOUT, what: "the number of bytes", found: size, limit })
    }

    /// Checks that the shape is valid, and that a message of `length` bytes has it.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    #[inline]
    pub fn check(&self, length: u64) -> layout::Result<()> {
        Ok(self.check_length(length)?)
    }

    #[inline]
    fn check_length(&self, length: u64) -> Result<()> {
        match self.kind {
            Kind::Bytes | Kind::Text | Kind::Value if self.shape == [0; 4] => Ok(()),
            _ => self.check_shape(length),
        }
    }

    fn check_shape(&self, length: u64) -> Result<()> {
        let wanted = match self.kind {
            Kind::Bytes | Kind::Text | Kind::Value => None,
            Kind::Array { element, meaning, dimensions } => self.array_length(element, meaning, dimensions),
            Kind::Image => self.image_length(),
        };
        match wanted {
            Some(wanted) if wanted == length => Ok(()),
            Some(wanted) => Err(Box::new(Error::Invalid {
                layout: LAYOUT,
                what: "the length",
                found: length,
                limit: format!("its shape needs {wanted} bytes"),
            })),
            None => Err(Box::new(Error::Invalid {
                layout: LAYOUT,
                what: "the shape",
                found: self.shape[0].into(),
                limit: format!("a message of this kind can't have the shape {:?}", self.shape),
            })),
        }
    }

    fn array_length(&self, element: Element, meaning: Meaning, dimensions: u8) -> Option<u64> {
        let (used, unused) = self.shape.split_at_checked(dimensions.into())?;
        if used.is_empty() || unused.iter().any(|dimension| *dimension != 0) {
            return None;
        }
        let is_float = matches!(element, Element::F32 | Element::F64);
        match (meaning, used) {
            (Meaning::Plain, _) => {}
            (Meaning::Vectors, [_, 2..=4]) | (Meaning::Colors, [_, 4]) if is_float => {}
            _ => return None,
        }
        if used.contains(&0) {
            return Some(0);
        }
        used.iter().try_fold(element.size(), |size, dimension| size.checked_mul(u64::from(*dimension)))
    }

    fn image_length(&self) -> Option<u64> {
        let [width, height, format, stride] = self.shape;
        let row = u64::from(width) * PixelFormat::new(format)?.pixel_size();
        let sides = 1..=MAX_IMAGE_SIDE;
        let is_valid = sides.contains(&width)
            && sides.contains(&height)
            && u64::from(width) * u64::from(height) <= MAX_IMAGE_PIXELS
            && row * u64::from(height) <= MAX_IMAGE_BYTES
            && u64::from(stride) >= row;
        is_valid.then(|| u64::from(height) * u64::from(stride))
    }

    /// Returns the shape as it is in memory.
    pub(super) fn shape_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        for (field, value) in bytes.chunks_exact_mut(4).zip(self.shape) {
            field.copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }
}

/// Returns the shape that these bytes are.
pub(super) fn shape_in(bytes: &[u8]) -> [u32; 4] {
    let mut shape = [0; 4];
    for (value, field) in shape.iter_mut().zip(bytes.chunks_exact(4)) {
        *value = u32::from_le_bytes(field.try_into().unwrap_or_default());
    }
    shape
}

fn array_of(tag: u32) -> Option<Kind> {
    let element = match tag >> 8 & 0xFF {
        1 => Element::I32,
        2 => Element::I64,
        3 => Element::F32,
        4 => Element::F64,
        _ => return None,
    };
    let meaning = match tag >> 16 & 0xFF {
        0 => Meaning::Plain,
        1 => Meaning::Vectors,
        2 => Meaning::Colors,
        _ => return None,
    };
    let dimensions = u8::try_from(tag >> 24).ok().filter(|dimensions| (1..=4).contains(dimensions))?;
    Some(Kind::Array { element, meaning, dimensions })
}

/// A message to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The kind and the shape of the content.
    pub descriptor: Descriptor,
    /// The bytes.
    pub content: &'a [u8],
}

impl Message<'_> {
    /// Checks that the descriptor fits the content, and that it is no longer than `limit`.
    pub(super) fn check(&self, limit: u64) -> Result<()> {
        let size = self.content.len() as u64;
        if size > limit {
            return Err(Error::TooLarge { size, limit }.into());
        }
        self.descriptor.check_length(size)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ARRAYS: [(Element, Meaning, u8); 3] = [
        (Element::I32, Meaning::Plain, 1),
        (Element::F64, Meaning::Colors, 2),
        (Element::F32, Meaning::Vectors, 2),
    ];

    fn kinds() -> Vec<Kind> {
        let arrays =
            ARRAYS.map(|(element, meaning, dimensions)| Kind::Array { element, meaning, dimensions });
        [Kind::Bytes, Kind::Text, Kind::Image, Kind::Value].into_iter().chain(arrays).collect()
    }

    #[test]
    fn a_tag_is_read_as_it_was_written() {
        for kind in kinds() {
            let (shape, length) = match kind {
                Kind::Array { dimensions: 1, .. } => ([5, 0, 0, 0], 20),
                Kind::Array { element, .. } => ([3, 4, 0, 0], 12 * element.size()),
                Kind::Image => ([2, 3, 4, 8], 24),
                _ => ([0; 4], 7),
            };
            let descriptor = Descriptor { kind, shape };
            assert_eq!(Descriptor::found(descriptor.tag(), shape, length).unwrap(), descriptor);
            assert_eq!(shape_in(&descriptor.shape_bytes()), shape);
        }
    }

    #[test]
    fn numbers_of_a_shape_that_mean_nothing_are_ignored() {
        let found = Descriptor::found(1, [1, 2, 3, 4], 7).unwrap();
        assert_eq!(found, Descriptor::of(Kind::Bytes));
        let kind = Kind::Array { element: Element::I32, meaning: Meaning::Plain, dimensions: 1 };
        let found = Descriptor::found(Descriptor::of(kind).tag(), [5, 6, 7, 8], 20).unwrap();
        assert_eq!(found, Descriptor { kind, shape: [5, 0, 0, 0] });
    }

    #[test]
    fn each_unknown_bit_of_a_tag_is_refused() {
        let known: Vec<u32> = kinds().into_iter().map(|kind| Descriptor::of(kind).tag()).collect();
        for tag in [0, 6, 0xFF, 0x101, 0x105, 0x0100_0004, 0x0803_0103, 0x0100_0003, 0x0100_0503, 0x0103_0103]
        {
            assert!(!known.contains(&tag));
            assert!(Descriptor::found(tag, [0; 4], 0).is_err(), "{tag:#x}");
        }
        for dimensions in [0, 5, 8, 255] {
            assert!(Descriptor::found(0x103 | dimensions << 24, [0; 4], 0).is_err(), "{dimensions}");
        }
    }

    #[test]
    fn an_array_with_a_dimension_of_0_is_empty() {
        let kind = Kind::Array { element: Element::F64, meaning: Meaning::Plain, dimensions: 4 };
        for shape in [[0; 4], [u32::MAX, u32::MAX, u32::MAX, 0], [0, u32::MAX, u32::MAX, u32::MAX]] {
            Descriptor { kind, shape }.check(0).unwrap();
            assert!(Descriptor { kind, shape }.check(8).is_err());
        }
    }

    #[test]
    fn a_shape_that_contradicts_the_length_is_refused() {
        let array = |meaning, dimensions| Kind::Array { element: Element::F32, meaning, dimensions };
        let wrong = [
            (Kind::Bytes, [1, 0, 0, 0], 1),
            (array(Meaning::Plain, 1), [5, 0, 0, 0], 19),
            (array(Meaning::Plain, 1), [5, 1, 0, 0], 20),
            (array(Meaning::Plain, 4), [u32::MAX; 4], 0),
            (array(Meaning::Vectors, 2), [1, 5, 0, 0], 20),
            (array(Meaning::Vectors, 1), [2, 0, 0, 0], 8),
            (array(Meaning::Colors, 2), [1, 3, 0, 0], 12),
            (Kind::Image, [0, 3, 4, 8], 24),
            (Kind::Image, [2, 3, 4, 5], 15),
            (Kind::Image, [2, 3, 17, 8], 24),
            (Kind::Image, [2, 3, 4, 8], 23),
            (Kind::Image, [MAX_IMAGE_SIDE + 1, 1, 0, u32::MAX], u32::MAX.into()),
            (Kind::Image, [16385, 16384, 0, 16385], 16385 * 16384),
            (Kind::Image, [8192, 16384, 11, 8192 * 16], 1 << 31),
        ];
        for (kind, shape, length) in wrong {
            assert!(Descriptor { kind, shape }.check(length).is_err(), "{kind:?} {shape:?} {length}");
        }
    }

    #[test]
    fn a_pixel_has_the_size_of_its_format() {
        let sizes = [1, 2, 1, 2, 3, 4, 2, 2, 4, 8, 12, 16, 2, 4, 6, 8, 4];
        for (number, size) in (0..).zip(sizes) {
            assert_eq!(PixelFormat::new(number).unwrap().pixel_size(), size, "{number}");
        }
        assert_eq!(PixelFormat::BGR8.pixel_size(), 3);
        assert_eq!(PixelFormat::BGRA8.pixel_size(), 4);
        assert_eq!(PixelFormat::new(17), None);
        assert_eq!(PixelFormat::new(258), None);
    }
}
