//! Messages: which of them are valid, written from the tables of `docs/FORMAT.md`.

use arbitrary::Arbitrary;
use shm_segment::layout::Result;
use shm_segment::layout::native::{Descriptor, Element, Incoming, Kind, Meaning, Message};

/// A message that a side tries to send.
#[derive(Debug, Arbitrary)]
pub(crate) struct Draft {
    kind: u8,
    array: [u8; 3],
    shape: [u8; 4],
    length: u16,
    /// The content is as long as the shape says.
    is_exact: bool,
}

/// A message, as the format describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) tag: u32,
    pub(crate) shape: [u32; 4],
    pub(crate) content: Vec<u8>,
}

/// Returns numbers that are mostly small ones.
pub(crate) fn numbers(bytes: [u8; 4]) -> [u32; 4] {
    bytes.map(|byte| match byte {
        255 => u32::MAX,
        254 => 1 << 24,
        253 => 1 << 16,
        252 => 257,
        251 => 256,
        byte => u32::from(byte % 32),
    })
}

impl Draft {
    /// Returns the message, and whether it may be sent. `number` makes its content one of its own.
    pub(crate) fn letter(&self, number: usize) -> (Kind, Letter, bool) {
        let [element, meaning, dimensions] = self.array;
        let kind = match self.kind % 6 {
            0 => Kind::Bytes,
            1 => Kind::Text,
            2 => Kind::Image,
            3 => Kind::Value,
            _ => Kind::Array {
                element: [Element::I32, Element::I64, Element::F32, Element::F64][usize::from(element) % 4],
                meaning: [Meaning::Plain, Meaning::Vectors, Meaning::Colors][usize::from(meaning) % 3],
                dimensions: dimensions % 6,
            },
        };
        let tag = tag_of(kind);
        let mut shape = numbers(self.shape);
        if self.is_exact {
            // Otherwise, hardly any would be valid.
            match kind {
                Kind::Array { dimensions, .. } => {
                    shape.iter_mut().skip(dimensions.into()).for_each(|n| *n = 0)
                }
                Kind::Image => {
                    shape[3] = shape[3].max(shape[0].saturating_mul(pixel_size(shape[2]).unwrap_or(1)))
                }
                _ => shape = [0; 4],
            }
        }
        let mut length = u64::from(self.length % 1200);
        if self.is_exact
            && let Some(exact) = length_of(tag, shape).filter(|length| *length <= 4096)
        {
            length = exact;
        }
        let content: Vec<u8> = (0..length as usize).map(|at| (number + at) as u8).collect();
        let is_valid = normal(tag, shape, length) == Some(shape);
        (kind, Letter { tag, shape, content }, is_valid)
    }
}

impl Letter {
    pub(crate) fn message(&self, kind: Kind) -> Message<'_> {
        Message { descriptor: Descriptor { kind, shape: self.shape }, content: &self.content }
    }

    /// Returns the message as a reader must get it; `None` if it can't read it.
    pub(crate) fn read(&self) -> Option<Self> {
        let shape = normal(self.tag, self.shape, self.content.len() as u64)?;
        Some(Self { shape, ..self.clone() })
    }

    pub(crate) fn of(message: &Incoming<'_>) -> Result<Self> {
        let Descriptor { kind, shape } = message.descriptor();
        Ok(Self { tag: tag_of(kind), shape, content: message.to_vec()? })
    }
}

fn tag_of(kind: Kind) -> u32 {
    match kind {
        Kind::Bytes => 1,
        Kind::Text => 2,
        Kind::Image => 4,
        Kind::Value => 5,
        Kind::Array { element, meaning, dimensions } => {
            let element = match element {
                Element::I32 => 1,
                Element::I64 => 2,
                Element::F32 => 3,
                Element::F64 => 4,
            };
            let meaning = match meaning {
                Meaning::Plain => 0,
                Meaning::Vectors => 1,
                Meaning::Colors => 2,
            };
            u32::from_le_bytes([3, element, meaning, dimensions])
        }
    }
}

fn pixel_size(format: u32) -> Option<u32> {
    Some(match format {
        0 | 2 => 1,
        1 | 3 | 6 | 7 | 12 => 2,
        4 | 256 => 3,
        5 | 8 | 13 | 16 | 257 => 4,
        14 => 6,
        9 | 15 => 8,
        10 => 12,
        11 => 16,
        _ => return None,
    })
}

/// Returns the shape without the numbers that mean nothing, if the message is valid.
fn normal(tag: u32, shape: [u32; 4], length: u64) -> Option<[u32; 4]> {
    let [kind, _, _, dimensions] = tag.to_le_bytes();
    let mut shape = shape;
    match kind {
        3 => shape.iter_mut().skip(dimensions.into()).for_each(|unused| *unused = 0),
        4 => {}
        1 | 2 | 5 if tag <= 5 => return Some([0; 4]),
        _ => return None,
    }
    (length_of(tag, shape)? == length).then_some(shape)
}

/// Returns the length that goes with the shape of an array or an image, if that is valid.
fn length_of(tag: u32, shape: [u32; 4]) -> Option<u64> {
    let [kind, element, meaning, dimensions] = tag.to_le_bytes();
    if kind == 4 && tag == 4 {
        let [width, height, _, stride] = shape.map(u64::from);
        let row = width * u64::from(pixel_size(shape[2])?);
        let is_valid = width >= 1
            && height >= 1
            && width <= 16_777_216
            && height <= 16_777_216
            && width * height <= 268_435_456
            && row * height < 1 << 31
            && stride >= row;
        return is_valid.then_some(height * stride);
    }
    if kind != 3 || !(1..=4).contains(&dimensions) {
        return None;
    }
    let size = match element {
        1 | 3 => 4,
        2 | 4 => 8,
        _ => return None,
    };
    let is_float = element >= 3;
    match meaning {
        0 => {}
        1 if is_float && dimensions == 2 && (2..=4).contains(&shape[1]) => {}
        2 if is_float && dimensions == 2 && shape[1] == 4 => {}
        _ => return None,
    }
    let used = &shape[..dimensions.into()];
    if used.contains(&0) {
        return Some(0);
    }
    used.iter().try_fold(size, |product: u64, dimension| product.checked_mul((*dimension).into()))
}
