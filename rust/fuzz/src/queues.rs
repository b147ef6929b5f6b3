//! Queues in memory with any bytes, which a peer may be changing.
//!
//! The allowed changes follow from the bytes, which this file parses without the crate's help.

use arbitrary::Arbitrary;
use shm_segment::layout::Error;
use shm_segment::layout::queue::{Queue, Version};

use crate::planted::{Memory, NO_WAIT, Planted, Store, word};

/// The memory, the version of the queue in it, and the calls.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    memory: Memory,
    is_v2: bool,
    max_message_size: u64,
    calls: Vec<Call>,
}

#[derive(Debug, Arbitrary)]
enum Call {
    Attach,
    Enqueue { length: u16, byte: u8 },
    Dequeue,
    Peek,
    Query,
    Reset,
    Store(Store),
}

// Offsets of the fields in the header.
const WRITE_INDEX: usize = 0;
const READ_INDEX: usize = 4;
const CAPACITY: usize = 8;
const COUNT: usize = 12;
const MAX_MESSAGE_SIZE: usize = 16;

const fn header(version: Version) -> usize {
    if matches!(version, Version::V2) { 28 } else { 20 }
}

impl Plan {
    /// Runs the plan.
    pub fn run(self) {
        let version = if self.is_v2 { Version::V2 } else { Version::V1 };
        let planted = self.memory.plant();
        let mut queue = None;
        planted.run_calls(|| {
            for call in self.calls.iter().take(12) {
                queue = queue.or_else(|| attach(&planted, version, self.max_message_size));
                let Some(attached) = &queue else { return };
                if call.make(attached, &planted) {
                    queue = None;
                }
            }
        });
    }
}

fn attach(planted: &Planted, version: Version, max_message_size: u64) -> Option<Queue> {
    let before = planted.bytes();
    let result = Queue::attach(&planted.segment, version, max_message_size);
    planted.check(&result);
    if planted.is_quiet() && before.len() > header(version) + 4 {
        let after = planted.bytes();
        let is_long_enough = u64::from(word(&after, MAX_MESSAGE_SIZE)) >= max_message_size;
        assert_eq!(result.is_ok(), is_valid(&after, version) && is_long_enough, "{result:?}");
        // A process that isn't the creator lays out zeros only, and finishes what another one has begun.
        let are_others_zero = before[20..].iter().all(|byte| *byte == 0);
        let may_lay_out = before[..16] == [0; 16] && (are_others_zero || planted.segment.is_created());
        assert!((may_lay_out && !planted.is_read_only()) || after == before);
    }
    result.ok()
}

/// Returns whether the header is valid and all slots fit in memory.
fn is_valid(bytes: &[u8], version: Version) -> bool {
    let field = |at| u128::from(word(bytes, at));
    let capacity = field(CAPACITY);
    let end = header(version) as u128 + capacity * (4 + field(MAX_MESSAGE_SIZE));
    capacity > 0
        && field(MAX_MESSAGE_SIZE) > 0
        && end <= bytes.len() as u128
        && field(WRITE_INDEX) < capacity
        && field(READ_INDEX) < capacity
        && field(COUNT) <= capacity
        && (version == Version::V1 || (field(20) < 2 && field(24) < 2))
}

/// Returns the offset of the slot that one of the two indices refers to.
fn slot(bytes: &[u8], version: Version, index: usize) -> usize {
    header(version) + (word(bytes, index) * (4 + word(bytes, MAX_MESSAGE_SIZE))) as usize
}

impl Call {
    /// Makes the call, and returns whether to attach again.
    fn make(&self, queue: &Queue, planted: &Planted) -> bool {
        let (segment, before, mut into) = (&planted.segment, planted.bytes(), Vec::new());
        let result = match self {
            Self::Attach => return true,
            Self::Store(store) => {
                planted.store(store);
                return false;
            }
            Self::Query => {
                let results = [
                    queue.count(segment).map(u64::from),
                    queue.capacity(segment).map(u64::from),
                    queue.max_message_size(segment).map(u64::from),
                ];
                for number in results.iter().flatten() {
                    assert!(*number <= segment.size());
                }
                if planted.is_quiet() && is_valid(&before, queue.version()) {
                    let [count, capacity, _] = results.map(Result::unwrap);
                    assert_eq!(queue.is_empty(segment).unwrap(), count == 0);
                    assert_eq!(queue.is_full(segment).unwrap(), count == capacity);
                }
                return false;
            }
            Self::Enqueue { length, byte } => {
                let message = vec![*byte; usize::from(length % 600)];
                let result = queue.enqueue(segment, &message, NO_WAIT);
                if planted.is_quiet() && result.is_ok() {
                    check_enqueued(queue.version(), &before, &planted.bytes(), &message);
                }
                result
            }
            Self::Dequeue => {
                let result = queue.dequeue_into(segment, &mut into, NO_WAIT);
                if planted.is_quiet() && result.is_ok() {
                    let after = planted.bytes();
                    assert_eq!(
                        word(&after, READ_INDEX),
                        (word(&before, READ_INDEX) + 1) % word(&before, CAPACITY)
                    );
                    assert_eq!(into, first_message(queue.version(), &before));
                }
                result
            }
            Self::Peek => {
                let result = queue.peek_into(segment, &mut into, NO_WAIT);
                if planted.is_quiet() && result.is_ok() {
                    assert_eq!(into, first_message(queue.version(), &before));
                    assert_eq!(word(&planted.bytes(), READ_INDEX), word(&before, READ_INDEX));
                }
                result
            }
            Self::Reset => {
                let result = queue.reset(segment);
                planted.check(&result);
                let must_succeed = planted.segment.is_created() || is_valid(&before, queue.version());
                let after = planted.bytes();
                if planted.is_quiet() && result.is_ok() {
                    assert!(is_valid(&after, queue.version()) && word(&after, COUNT) == 0);
                } else if planted.is_quiet() {
                    assert!(planted.is_read_only() || !must_succeed, "{result:?}");
                    assert_eq!(after, before);
                }
                return false;
            }
        };
        assert!((into.len() as u64) < segment.size());
        planted.check(&result);
        if let Err(error) = &result {
            let may_wait = queue.version() == Version::V2;
            assert!(may_wait || !matches!(error, Error::TimedOut { .. }));
            assert!(
                !planted.is_quiet() || is_unchanged(queue.version(), &before, &planted.bytes()),
                "{error}"
            );
        }
        false
    }
}

/// Checks that `message` was added and nothing else has changed.
fn check_enqueued(version: Version, before: &[u8], after: &[u8], message: &[u8]) {
    let slot = slot(before, version, WRITE_INDEX);
    assert_eq!(word(after, slot) as usize, message.len());
    assert_eq!(&after[slot + 4..slot + 4 + message.len()], message);
    assert_eq!(word(after, WRITE_INDEX), (word(before, WRITE_INDEX) + 1) % word(before, CAPACITY));
    // No other slot has changed.
    let end = slot + 4 + message.len();
    assert_eq!(after[header(version)..slot], before[header(version)..slot]);
    assert_eq!(after[end..], before[end..]);
}

/// Returns the bytes of the message that is read next.
fn first_message(version: Version, before: &[u8]) -> &[u8] {
    let slot = slot(before, version, READ_INDEX);
    &before[slot + 4..][..word(before, slot) as usize]
}

/// Returns whether nothing has changed, except a count that V1 repairs.
fn is_unchanged(version: Version, before: &[u8], after: &[u8]) -> bool {
    let repaired = word(after, COUNT).wrapping_sub(word(before, COUNT));
    let is_repaired = version == Version::V1 && [1, u32::MAX].contains(&repaired);
    before[..COUNT] == after[..COUNT]
        && before[MAX_MESSAGE_SIZE..] == after[MAX_MESSAGE_SIZE..]
        && (repaired == 0 || is_repaired)
}
