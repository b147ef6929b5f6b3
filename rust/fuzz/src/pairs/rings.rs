//! The rings of a pair, and their records.

use std::collections::VecDeque;

use shm_segment::Segment;

use crate::native::letters::Letter;

pub(super) const REQUEST: u32 = 1 << 30;
pub(super) const ANSWER: u32 = 1 << 31;

/// A record in a ring: its tag, its bytes, and the position behind it.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) tag: u32,
    pub(super) bytes: Vec<u8>,
    pub(super) end: u64,
}

/// A record by its meaning.
#[derive(Debug)]
pub(super) enum Meaning {
    Mark {
        from: u64,
        to: u64,
    },
    /// A mark of another length.
    NoMark,
    /// The number, and the message if it can be read.
    Message {
        number: Option<(u32, u64)>,
        letter: Option<Letter>,
    },
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) at: u64,
    size: u64,
    pub(super) head: u64,
    pub(super) tail: u64,
    put: u64,
    taken: u64,
    pub(super) records: VecDeque<Record>,
}

pub(super) fn has_shape(tag: u32) -> bool {
    matches!(tag & 0xFF, 3 | 4)
}

pub(super) fn shape_bytes(shape: [u32; 4]) -> Vec<u8> {
    shape.iter().flat_map(|number| number.to_le_bytes()).collect()
}

impl Record {
    pub(super) fn mark(from: u64, to: u64) -> Self {
        Self { tag: 0, bytes: [from.to_le_bytes(), to.to_le_bytes()].concat(), end: 0 }
    }

    pub(super) fn message(letter: &Letter, bit: u32, number: u64) -> Self {
        let mut bytes = if has_shape(letter.tag) { shape_bytes(letter.shape) } else { Vec::new() };
        if bit != 0 {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(&letter.content);
        Self { tag: letter.tag | bit, bytes, end: 0 }
    }

    fn needed(&self) -> u64 {
        8 + (self.bytes.len() as u64).next_multiple_of(8)
    }

    pub(super) fn meaning(&self) -> Meaning {
        let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        if self.tag == 0 {
            return match self.bytes.split_first_chunk::<8>().zip(self.bytes.last_chunk::<8>()) {
                Some(((from, _), to)) if self.bytes.len() == 16 => {
                    Meaning::Mark { from: word(from), to: word(to) }
                }
                _ => Meaning::NoMark,
            };
        }
        let (mut tag, mut content) = (self.tag, &self.bytes[..]);
        let shape = content.split_first_chunk::<16>().filter(|_| has_shape(tag)).map(|(shape, rest)| {
            content = rest;
            let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
            [0, 4, 8, 12].map(|at| number(&shape[at..at + 4]))
        });
        let bit = tag & (REQUEST | ANSWER);
        let mut number = None;
        if (bit == REQUEST || bit == ANSWER)
            && let Some((found, rest)) = content.split_first_chunk()
        {
            (number, content, tag) = (Some((bit, word(found))), rest, tag & !bit);
        }
        let is_whole = shape.is_some() || !has_shape(tag);
        let letter = Letter { tag, shape: shape.unwrap_or_default(), content: content.to_vec() };
        Meaning::Message { number, letter: letter.read().filter(|_| is_whole) }
    }
}

impl Lane {
    pub(super) fn new(index: u64, size: u64) -> Self {
        Self { at: 256 + index * (256 + size), size, ..Self::default() }
    }

    /// Returns the offset of the record that was put in last, if there is one.
    pub(super) fn last_at(&self) -> u64 {
        let begin = self.records.back().map_or(0, |record| record.end - record.needed());
        self.at + 256 + begin % self.size
    }

    pub(super) fn put(&mut self, mut record: Record) -> bool {
        let left = self.size - self.tail % self.size;
        let padding = if record.needed() > left { left } else { 0 };
        let end = self.tail + padding + record.needed();
        if end - self.head > self.size {
            return false;
        }
        record.end = end;
        (self.tail, self.put) = (end, self.put + 1);
        self.records.push_back(record);
        true
    }

    pub(super) fn take(&mut self) {
        let record = self.records.pop_front().unwrap();
        (self.head, self.taken) = (record.end, self.taken + 1);
    }

    pub(super) fn filled(&self) -> u64 {
        self.tail - self.head
    }

    /// Stores bytes behind the tail, as a side that dies before it publishes a record.
    pub(super) fn leave_junk(&self, keeper: &Segment, length: u64) {
        let room = (self.size - self.filled()).min(self.size - self.tail % self.size);
        let junk = vec![0xA5; length.min(room) as usize];
        keeper.write(self.at + 256 + self.tail % self.size, &junk).unwrap();
        if !junk.is_empty() {
            // The count is stored before the tail.
            let pair = self.at + 0x10 + (self.put + 1) % 2 * 16;
            keeper.store_u64(pair, self.tail + 8).unwrap();
            keeper.store_u64(pair + 8, self.put + 1).unwrap();
        }
    }

    /// Checks the words that the format promises between two calls.
    pub(super) fn check_words(&self, keeper: &Segment) {
        let word = |at| keeper.load_u64(at).unwrap();
        let positions = [(self.at, self.tail, self.put), (self.at + 0x80, self.head, self.taken)];
        for (at, position, count) in positions {
            let pair = at + 0x10 + count % 2 * 16;
            assert_eq!((word(at), word(pair), word(pair + 8)), (position, position, count));
        }
    }
}
