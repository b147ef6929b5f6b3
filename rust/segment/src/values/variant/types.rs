//! The types of Godot 4.3 and newer, by number, and what follows the header of each.

/// The bytes that follow a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// N bytes.
    Bytes(u64),
    /// N numbers, of 8 bytes if the header says so, otherwise of 4.
    Numbers(u64),
    /// A count, and that number of elements of N bytes; padded to 4.
    Packed(u64),
    /// A count, and that number of elements of N numbers, as in [`Shape::Numbers`].
    PackedNumbers(u64),
    /// A length, and that number of bytes of UTF-8; padded to 4.
    String,
    /// A count, and that number of [`Shape::String`].
    Strings,
    /// Two counts, flags, and as many of [`Shape::String`] as both counts add up to.
    NodePath,
    /// A string and an object's id.
    Signal,
    /// An id. Or, if the header says so, a name and properties.
    Object,
    /// A type if the header says so; a count, and that number of Variants.
    Array,
    /// Up to two types if the header says so; a count, and twice that number of Variants.
    Dictionary,
}

pub(super) const NIL: u8 = 0;
pub(super) const RID: u8 = 23;
pub(super) const OBJECT: u8 = 24;
pub(super) const CALLABLE: u8 = 25;
pub(super) const SIGNAL: u8 = 26;

/// The bits of a header that hold the type's number.
pub(super) const NUMBER_MASK: u32 = 0xff;
/// For [`Shape::Numbers`] and [`Shape::PackedNumbers`]: the numbers have 8 bytes.
pub(super) const FLAG_WIDE: u32 = 1 << 16;
/// For [`Shape::Object`]: it is an id.
pub(super) const FLAG_ID: u32 = 1 << 16;
/// For [`Shape::Array`], and the keys of [`Shape::Dictionary`]: two bits that tell how a type is given.
pub(super) const ELEMENT_SHIFT: u32 = 16;
/// The same for the values of [`Shape::Dictionary`].
pub(super) const VALUE_SHIFT: u32 = 18;

/// The name and shape of each type, by number.
const TYPES: [(&str, Shape); 39] = [
    ("null", Shape::Bytes(0)),
    ("bool", Shape::Bytes(4)),
    ("int", Shape::Numbers(1)),
    ("float", Shape::Numbers(1)),
    ("String", Shape::String),
    ("Vector2", Shape::Numbers(2)),
    ("Vector2i", Shape::Bytes(8)),
    ("Rect2", Shape::Numbers(4)),
    ("Rect2i", Shape::Bytes(16)),
    ("Vector3", Shape::Numbers(3)),
    ("Vector3i", Shape::Bytes(12)),
    ("Transform2D", Shape::Numbers(6)),
    ("Vector4", Shape::Numbers(4)),
    ("Vector4i", Shape::Bytes(16)),
    ("Plane", Shape::Numbers(4)),
    ("Quaternion", Shape::Numbers(4)),
    ("AABB", Shape::Numbers(6)),
    ("Basis", Shape::Numbers(9)),
    ("Transform3D", Shape::Numbers(12)),
    ("Projection", Shape::Numbers(16)),
    ("Color", Shape::Bytes(16)),
    ("StringName", Shape::String),
    ("NodePath", Shape::NodePath),
    ("RID", Shape::Bytes(8)),
    ("Object", Shape::Object),
    ("Callable", Shape::Bytes(0)),
    ("Signal", Shape::Signal),
    ("Dictionary", Shape::Dictionary),
    ("Array", Shape::Array),
    ("PackedByteArray", Shape::Packed(1)),
    ("PackedInt32Array", Shape::Packed(4)),
    ("PackedInt64Array", Shape::Packed(8)),
    ("PackedFloat32Array", Shape::Packed(4)),
    ("PackedFloat64Array", Shape::Packed(8)),
    ("PackedStringArray", Shape::Strings),
    ("PackedVector2Array", Shape::PackedNumbers(2)),
    ("PackedVector3Array", Shape::PackedNumbers(3)),
    ("PackedColorArray", Shape::Packed(16)),
    ("PackedVector4Array", Shape::PackedNumbers(4)),
];

/// Returns the shape of a type, if the type exists.
pub(super) fn shape(number: u8) -> Option<Shape> {
    TYPES.get(usize::from(number)).map(|(_, shape)| *shape)
}

/// Returns the name of a type, for messages.
pub(super) fn name(number: u8) -> &'static str {
    TYPES.get(usize::from(number)).map_or("an unknown type", |(name, _)| name)
}

impl Shape {
    /// Returns at most how many bytes of memory the engine needs per byte of it. A character takes 4.
    pub(super) fn growth(self) -> u64 {
        match self {
            // Each string, however short, takes a place in an array and an allocation.
            Self::Strings | Self::NodePath => 16,
            Self::String | Self::Signal => 4,
            _ => 1,
        }
    }

    /// Returns the bits, in addition to the number, that a header of it may have.
    pub(super) const fn flags(self) -> u32 {
        match self {
            Self::Numbers(_) | Self::PackedNumbers(_) => FLAG_WIDE,
            Self::Object => FLAG_ID,
            Self::Array => 0b11 << ELEMENT_SHIFT,
            Self::Dictionary => 0b11 << ELEMENT_SHIFT | 0b11 << VALUE_SHIFT,
            _ => 0,
        }
    }
}
