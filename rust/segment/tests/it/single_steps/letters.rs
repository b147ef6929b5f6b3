//! Messages whose bytes tell which one they are.

use shm_segment::layout::Result;
use shm_segment::layout::native::{Descriptor, Element, Incoming, Kind, Meaning, Message};

/// The tag, the shape and the content of a message in memory.
pub(super) type Raw = (u32, Vec<u8>, Vec<u8>);

/// A message.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) tag: u32,
    pub(super) descriptor: Descriptor,
    pub(super) content: Vec<u8>,
}

impl Letter {
    /// Returns message `number`, of `length` bytes. Its kind depends on both.
    pub(super) fn new(number: u64, length: usize) -> Self {
        let content: Vec<u8> =
            (0..length as u64).map(|index| (number * 89 + index * 7 + index / 256) as u8 | 1).collect();
        let ints = Kind::Array { element: Element::I32, meaning: Meaning::Plain, dimensions: 1 };
        let (tag, kind, shape) = match number % 4 {
            0 if length.is_multiple_of(4) => (0x0100_0103, ints, [length as u32 / 4, 0, 0, 0]),
            1 if length > 0 => (4, Kind::Image, [length as u32, 1, 0, length as u32]),
            2 => (2, Kind::Text, [0; 4]),
            _ => (1, Kind::Bytes, [0; 4]),
        };
        Self { tag, descriptor: Descriptor { kind, shape }, content }
    }

    /// Returns the message that was read.
    pub(super) fn of(incoming: &Incoming<'_>) -> Result<(Descriptor, Vec<u8>)> {
        Ok((incoming.descriptor(), incoming.to_vec()?))
    }

    pub(super) fn as_read(&self) -> (Descriptor, Vec<u8>) {
        (self.descriptor, self.content.clone())
    }

    pub(super) fn message(&self) -> Message<'_> {
        Message { descriptor: self.descriptor, content: &self.content }
    }

    /// Returns the message as it lies in memory.
    pub(super) fn raw(&self) -> Raw {
        let shape = if self.has_shape() { self.shape_bytes() } else { Vec::new() };
        (self.tag, shape, self.content.clone())
    }

    pub(super) fn has_shape(&self) -> bool {
        matches!(self.tag & 0xFF, 3 | 4)
    }

    pub(super) fn shape_bytes(&self) -> Vec<u8> {
        self.descriptor.shape.iter().flat_map(|field| field.to_le_bytes()).collect()
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}
