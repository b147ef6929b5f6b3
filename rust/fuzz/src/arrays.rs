//! Arrays in memory with any bytes, which a peer may be changing.
//!
//! The expected results follow from the bytes, which this file parses without the crate's help.

use arbitrary::Arbitrary;
use shm_segment::layout::Error;
use shm_segment::layout::array::Array;

use crate::planted::{Memory, Planted, Store};

/// The memory, the stride of the array in it, and the calls.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    memory: Memory,
    stride: Number,
    calls: Vec<Call>,
}

#[derive(Debug, Arbitrary)]
enum Call {
    Count,
    Get { index: Number },
    Set { index: Number, byte: u8, length: Option<u8> },
    ReadAll,
    Fill { byte: u8, length: Option<u8> },
    Reset,
    Store(Store),
}

#[derive(Debug, Arbitrary)]
enum Number {
    Small(u8),
    Any(u64),
}

impl Plan {
    /// Runs the plan.
    pub fn run(self) {
        let stride = self.stride.get();
        let planted = self.memory.plant();
        planted.run_calls(|| {
            let Some(array) = attach(&planted, stride) else { return };
            for call in self.calls.iter().take(12) {
                call.make(&array, &planted);
            }
        });
    }
}

/// Returns the number of elements in the header, if they fit.
fn count(bytes: &[u8], stride: u64) -> Option<u64> {
    let count = u64::from_le_bytes(bytes[8..16].try_into().unwrap());
    let end = 16 + u128::from(count) * u128::from(stride);
    (end <= bytes.len() as u128).then_some(count)
}

fn attach(planted: &Planted, stride: u64) -> Option<Array> {
    let before = planted.bytes();
    let result = Array::attach(&planted.segment, stride);
    planted.check(&result);
    if before.len() < 16 {
        assert!(matches!(result, Err(Error::SegmentTooSmall { .. })), "{result:?}");
    } else if stride == 0 {
        assert!(matches!(result, Err(Error::InvalidElementSize { .. })), "{result:?}");
    } else if stride > before.len() as u64 - 16 {
        // No element fits, so there can't be an array, even if the count is 0.
        assert!(matches!(result, Err(Error::SegmentTooSmall { .. })), "{result:?}");
    } else if planted.is_quiet() {
        let after = planted.bytes();
        let total = u64::from_le_bytes(after[..8].try_into().unwrap());
        let is_valid =
            count(&after, stride).is_some_and(|count| total >= 16 + count && total <= after.len() as u64);
        assert_eq!(result.is_ok(), is_valid, "{result:?}");
        // A process that isn't the creator lays out zeros only, and finishes what another one has begun.
        let are_zero = |range: &[u8]| range.iter().all(|byte| *byte == 0);
        let is_new = planted.segment.is_created() && are_zero(&before[..16]);
        let may_lay_out = are_zero(&before[..8]) && (is_new || are_zero(&before[16..]));
        assert!((may_lay_out && !planted.is_read_only()) || after == before);
    }
    result.ok()
}

impl Number {
    fn get(&self) -> u64 {
        match *self {
            Self::Small(number) => number.into(),
            Self::Any(number) => number,
        }
    }
}

/// Returns `length` bytes, or an element's number of bytes, but never more than the memory has.
fn element(array: &Array, length: Option<u8>, byte: u8) -> Vec<u8> {
    vec![byte; length.map_or(array.stride().min(600) as usize, usize::from)]
}

impl Call {
    fn make(&self, array: &Array, planted: &Planted) {
        let (segment, before, stride) = (&planted.segment, planted.bytes(), array.stride());
        let count = count(&before, stride);
        // The bytes of an existing element.
        let range = |index: u64| {
            let begin = 16 + usize::try_from(index * stride).unwrap();
            begin..begin + usize::try_from(stride).unwrap()
        };
        let mut expected = before.clone();
        let (result, is_correct) = match self {
            Self::Count => {
                let result = array.count(segment);
                let is_correct = result.as_ref().ok() == count.as_ref();
                (result.map(drop), is_correct)
            }
            Self::Get { index } => {
                let (index, mut into) = (index.get(), element(array, None, 0xEE));
                let result = array.get(segment, index, &mut into);
                let exists = count.is_some_and(|count| index < count);
                let is_correct = if exists { into == before[range(index)] } else { result.is_err() };
                (result, is_correct)
            }
            Self::Set { index, byte, length } => {
                let (index, element) = (index.get(), element(array, *length, *byte));
                let result = array.set(segment, index, &element);
                if result.is_ok() && planted.is_quiet() {
                    expected[range(index)].copy_from_slice(&element);
                }
                let exists = count.is_some_and(|count| index < count);
                let may_succeed = exists && element.len() as u64 == stride && !planted.is_read_only();
                let is_correct = result.is_ok() == may_succeed;
                (result, is_correct)
            }
            Self::ReadAll => {
                let mut into = Vec::new();
                let result = array.read_into(segment, &mut into);
                assert!(into.len() as u64 <= segment.size() - 16);
                let is_correct = match count {
                    Some(count) => into == before[16..][..(count * stride) as usize],
                    None => result.is_err(),
                };
                (result, is_correct)
            }
            Self::Fill { byte, length } => {
                let element = element(array, *length, *byte);
                let result = array.fill(segment, &element);
                if let (Ok(()), Some(count)) = (&result, count) {
                    expected[16..][..(count * stride) as usize].fill(*byte);
                }
                let is_empty = count == Some(0);
                let may_succeed = count.is_some()
                    && element.len() as u64 == stride
                    && (is_empty || !planted.is_read_only());
                let is_correct = result.is_ok() == may_succeed;
                (result, is_correct)
            }
            Self::Reset => {
                let result = array.reset(segment);
                let may_fail = planted.is_read_only() || !planted.segment.is_created();
                let is_correct = result.is_ok() || may_fail;
                if result.is_ok() {
                    expected[..16].copy_from_slice(&planted.bytes()[..16]);
                }
                (result, is_correct)
            }
            Self::Store(store) => return planted.store(store),
        };
        planted.check(&result);
        if planted.is_quiet() {
            assert!(is_correct, "{self:?}: {result:?}");
            assert_eq!(planted.bytes(), expected, "{self:?}: {result:?}");
        }
    }
}
