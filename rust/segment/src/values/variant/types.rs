//! The types of Godot 4.3 and newer, by number, and what comes after the header of each.

/// What comes after a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// This many bytes.
    Bytes(u64),
    /// This many numbers, of 8 bytes if the header says so, or of 4.
    Numbers(u64),
    /// A count, and as many elements of this many bytes; padded to 4.
    Packed(u64),
    /// A count, and as many elements of this many numbers, as in [`Shape::Numbers`].
    PackedNumbers(u64),
    /// A length, and as many bytes of UTF-8; padded to 4.
    String,
    /// A count, and as many of [`Shape::String`].
    Strings,
    /// Two counts, flags, and as many of [`Shape::String`] as both.
    NodePath,
    /// A string and an object's id.
    Signal,
    /// An id; or a name and properties, if the header says so.
    Object,
    /// Perhaps a type; a count, and as many Variants.
    Array,
    /// Perhaps two types; a count, and twice as many Variants.
    Dictionary,
}

pub(super) const NIL: u8 = 0;
pub(super) const OBJECT: u8 = 24;

/// The bits of a header that are the type's number.
pub(super) const NUMBER_MASK: u32 = 0xff;
/// For [`Shape::Numbers`] and [`Shape::PackedNumbers`]: they have 8 bytes.
pub(super) const FLAG_WIDE: u32 = 1 << 16;
/// For [`Shape::Object`]: it is an id.
pub(super) const FLAG_ID: u32 = 1 << 16;
/// For [`Shape::Array`], and the keys of [`Shape::Dictionary`]: two bits that say how a type is given.
pub(super) const ELEMENT_SHIFT: u32 = 16;
/// The same for the values of [`Shape::Dictionary`].
pub(super) const VALUE_SHIFT: u32 = 18;

/// Name and shape, by number.
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

/// The shape of a type, if there is such a type.
pub(super) fn shape(number: u8) -> Option<Shape> {
    TYPES.get(usize::from(number)).map(|(_, shape)| *shape)
}

/// The name of a type, for messages.
pub(super) fn name(number: u8) -> &'static str {
    TYPES.get(usize::from(number)).map_or("an unknown type", |(name, _)| name)
}

impl Shape {
    /// How many bytes of memory the engine needs for a byte of it, at the most. A character has 4.
    pub(super) fn growth(self) -> u64 {
        match self {
            // Each has a place in an array and an allocation of its own, be it ever so short.
            Self::Strings | Self::NodePath => 16,
            Self::String | Self::Signal => 4,
            _ => 1,
        }
    }

    /// The bits beside the number that a header of it may have.
    pub(super) fn flags(self, typed_dictionaries: bool) -> u32 {
        match self {
            Self::Numbers(_) | Self::PackedNumbers(_) => FLAG_WIDE,
            Self::Object => FLAG_ID,
            Self::Array => 0b11 << ELEMENT_SHIFT,
            Self::Dictionary if typed_dictionaries => 0b11 << ELEMENT_SHIFT | 0b11 << VALUE_SHIFT,
            _ => 0,
        }
    }
}
