//! Arrays over bytes that anybody may have written, and may be writing.
//!
//! What a call must say follows from the bytes, which are taken apart here without the crate's help.

use arbitrary::Arbitrary;
use shm_segment::layout::Error;
use shm_segment::layout::array::Array;

use crate::planted::{Memory, Planted, Store};

/// What is in memory, what it is taken for, and what is called then.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    memory: Memory,
    stride: Stride,
    calls: Vec<Call>,
}

#[derive(Debug, Arbitrary)]
enum Stride {
    Small(u8),
    Any(u64),
}

#[derive(Debug, Arbitrary)]
enum Call {
    Count,
    Get { index: Index },
    Set { index: Index, byte: u8, length: Option<u8> },
    ReadAll,
    Fill { byte: u8, length: Option<u8> },
    Reset,
    Store(Store),
}

#[derive(Debug, Arbitrary)]
enum Index {
    Small(u8),
    Any(u64),
}

impl Plan {
    /// Does it.
    pub fn run(self) {
        let stride = match self.stride {
            Stride::Small(stride) => stride.into(),
            Stride::Any(stride) => stride,
        };
        let planted = self.memory.plant();
        planted.try_out(|| {
            let Some(array) = attach(&planted, stride) else { return };
            for call in self.calls.iter().take(12) {
                call.make(&array, &planted);
            }
        });
    }
}

/// How many elements the header tells of, if that many fit.
fn count(bytes: &[u8], stride: u64) -> Option<u64> {
    let count = u64::from_le_bytes(bytes[8..16].try_into().unwrap());
    let end = 16 + u128::from(count) * u128::from(stride);
    (end <= bytes.len() as u128).then_some(count)
}

fn attach(planted: &Planted, stride: u64) -> Option<Array> {
    let before = planted.bytes();
    let result = Array::attach(&planted.segment, stride);
    if let Err(error) = &result {
        planted.check(error);
    }
    if before.len() < 16 {
        assert!(matches!(result, Err(Error::SegmentTooSmall { .. })), "{result:?}");
    } else if stride == 0 {
        assert!(matches!(result, Err(Error::InvalidElementSize { .. })), "{result:?}");
    } else if stride > before.len() as u64 - 16 {
        // Not one fits, and so there can be no array of them; also where the count is 0.
        assert!(matches!(result, Err(Error::SegmentTooSmall { .. })), "{result:?}");
    } else if planted.is_quiet() {
        let after = planted.bytes();
        let total = u64::from_le_bytes(after[..8].try_into().unwrap());
        assert_eq!(result.is_ok(), total >= 16 && count(&after, stride).is_some(), "{result:?}");
        let is_laid_out = planted.segment.is_created() && before[..16] == [0; 16];
        assert!(is_laid_out || after == before);
    }
    result.ok()
}

impl Index {
    fn get(&self) -> u64 {
        match *self {
            Self::Small(index) => index.into(),
            Self::Any(index) => index,
        }
    }
}

/// Bytes of that length, or those of an element. Longer than the memory none is.
fn element(array: &Array, length: Option<u8>, byte: u8) -> Vec<u8> {
    vec![byte; length.map_or(array.stride().min(600) as usize, usize::from)]
}

impl Call {
    fn make(&self, array: &Array, planted: &Planted) {
        let (segment, before, stride) = (&planted.segment, planted.bytes(), array.stride());
        let count = count(&before, stride);
        // Where an element that there is lies.
        let range = |index: u64| {
            let begin = 16 + usize::try_from(index * stride).unwrap();
            begin..begin + usize::try_from(stride).unwrap()
        };
        let mut wanted = before.clone();
        let (result, is_right) = match self {
            Self::Count => {
                let result = array.count(segment);
                let is_right = result.as_ref().ok() == count.as_ref();
                (result.map(drop), is_right)
            }
            Self::Get { index } => {
                let (index, mut into) = (index.get(), element(array, None, 0xEE));
                let result = array.get(segment, index, &mut into);
                let is_there = count.is_some_and(|count| index < count);
                let is_right = if is_there { into == before[range(index)] } else { result.is_err() };
                (result, is_right)
            }
            Self::Set { index, byte, length } => {
                let (index, element) = (index.get(), element(array, *length, *byte));
                let result = array.set(segment, index, &element);
                if result.is_ok() && planted.is_quiet() {
                    wanted[range(index)].copy_from_slice(&element);
                }
                let is_there = count.is_some_and(|count| index < count);
                let may_be = is_there && element.len() as u64 == stride && !planted.is_read_only();
                let is_right = result.is_ok() == may_be;
                (result, is_right)
            }
            Self::ReadAll => {
                let mut into = Vec::new();
                let result = array.read_into(segment, &mut into);
                assert!(into.len() as u64 <= segment.size() - 16);
                let is_right = match count {
                    Some(count) => into == before[16..][..(count * stride) as usize],
                    None => result.is_err(),
                };
                (result, is_right)
            }
            Self::Fill { byte, length } => {
                let element = element(array, *length, *byte);
                let result = array.fill(segment, &element);
                if let (Ok(()), Some(count)) = (&result, count) {
                    wanted[16..][..(count * stride) as usize].fill(*byte);
                }
                let is_nothing = count == Some(0);
                let may_be = count.is_some()
                    && element.len() as u64 == stride
                    && (is_nothing || !planted.is_read_only());
                let is_right = result.is_ok() == may_be;
                (result, is_right)
            }
            Self::Reset => {
                let result = array.reset(segment);
                let is_right = result.is_err() == planted.is_read_only();
                wanted[..16].copy_from_slice(&planted.bytes()[..16]);
                (result, is_right)
            }
            Self::Store(store) => return planted.store(store),
        };
        if let Err(error) = &result {
            planted.check(error);
        }
        if planted.is_quiet() {
            assert!(is_right, "{self:?}: {result:?}");
            assert_eq!(planted.bytes(), wanted, "{self:?}: {result:?}");
        }
    }
}
