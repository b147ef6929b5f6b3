//! Queues over bytes that anybody may have written, and may be writing.
//!
//! What a call may change follows from the bytes, which are taken apart here without the crate's help.

use arbitrary::Arbitrary;
use shm_segment::layout::Error;
use shm_segment::layout::queue::{Queue, Version};

use crate::planted::{Memory, ONCE, Planted, Store, word};

/// What is in memory, what it is taken for, and what is called then.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    memory: Memory,
    is_v2: bool,
    longest: u64,
    calls: Vec<Call>,
}

#[derive(Debug, Arbitrary)]
enum Call {
    Attach,
    Enqueue { length: u16, byte: u8 },
    Dequeue,
    Peek,
    Look,
    Reset,
    Store(Store),
}

const WRITE: usize = 0;
const READ: usize = 4;
const CAPACITY: usize = 8;
const COUNT: usize = 12;
const LONGEST: usize = 16;

const fn header(version: Version) -> usize {
    if matches!(version, Version::V2) { 28 } else { 20 }
}

impl Plan {
    /// Does it.
    pub fn run(self) {
        let version = if self.is_v2 { Version::V2 } else { Version::V1 };
        let planted = self.memory.plant();
        let mut queue = None;
        planted.try_out(|| {
            for call in self.calls.iter().take(12) {
                queue = queue.or_else(|| attach(&planted, version, self.longest));
                let Some(attached) = &queue else { return };
                if call.make(attached, &planted) {
                    queue = None;
                }
            }
        });
    }
}

fn attach(planted: &Planted, version: Version, longest: u64) -> Option<Queue> {
    let before = planted.bytes();
    let result = Queue::attach(&planted.segment, version, longest);
    if let Err(error) = &result {
        planted.check(error);
    }
    if planted.is_quiet() && before.len() > header(version) + 4 {
        let after = planted.bytes();
        assert_eq!(result.is_ok(), is_valid(&after, version), "{result:?}");
        let is_laid_out = planted.segment.is_created() && before[..20] == [0; 20];
        assert!(is_laid_out || after == before);
    }
    result.ok()
}

/// Do all slots lie in memory, and the fields say nothing else?
fn is_valid(bytes: &[u8], version: Version) -> bool {
    let field = |at| u128::from(word(bytes, at));
    let capacity = field(CAPACITY);
    let end = header(version) as u128 + capacity * (4 + field(LONGEST));
    capacity > 0
        && field(LONGEST) > 0
        && end <= bytes.len() as u128
        && field(WRITE) < capacity
        && field(READ) < capacity
        && field(COUNT) <= capacity
}

/// The slot that one of the two indices leads to.
fn slot(bytes: &[u8], version: Version, index: usize) -> usize {
    header(version) + (word(bytes, index) * (4 + word(bytes, LONGEST))) as usize
}

impl Call {
    /// Returns whether to attach anew.
    fn make(&self, queue: &Queue, planted: &Planted) -> bool {
        let (segment, before, mut into) = (&planted.segment, planted.bytes(), Vec::new());
        let result = match self {
            Self::Attach => return true,
            Self::Store(store) => {
                planted.store(store);
                return false;
            }
            Self::Look => {
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
                let result = queue.enqueue(segment, &message, ONCE);
                if planted.is_quiet() && result.is_ok() {
                    enqueued(queue.version(), &before, &planted.bytes(), &message);
                }
                result
            }
            Self::Dequeue => {
                let result = queue.dequeue_into(segment, &mut into, ONCE);
                if planted.is_quiet() && result.is_ok() {
                    let after = planted.bytes();
                    assert_eq!(word(&after, READ), (word(&before, READ) + 1) % word(&before, CAPACITY));
                    assert_eq!(into, first(queue.version(), &before));
                }
                result
            }
            Self::Peek => {
                let result = queue.peek_into(segment, &mut into, ONCE);
                if planted.is_quiet() && result.is_ok() {
                    assert_eq!(into, first(queue.version(), &before));
                    assert_eq!(word(&planted.bytes(), READ), word(&before, READ));
                }
                result
            }
            Self::Reset => {
                let result = queue.reset(segment);
                assert_eq!(result.is_err(), planted.is_read_only());
                if planted.is_quiet() && result.is_ok() {
                    let after = planted.bytes();
                    assert!(is_valid(&after, queue.version()) && word(&after, COUNT) == 0);
                }
                return false;
            }
        };
        assert!((into.len() as u64) < segment.size());
        if let Err(error) = &result {
            planted.check(error);
            let may_wait = queue.version() == Version::V2;
            assert!(may_wait || !matches!(error, Error::TimedOut { .. }));
            assert!(!planted.is_quiet() || failed(queue.version(), &before, &planted.bytes()), "{error}");
        }
        false
    }
}

fn enqueued(version: Version, before: &[u8], after: &[u8], message: &[u8]) {
    let slot = slot(before, version, WRITE);
    assert_eq!(word(after, slot) as usize, message.len());
    assert_eq!(&after[slot + 4..slot + 4 + message.len()], message);
    assert_eq!(word(after, WRITE), (word(before, WRITE) + 1) % word(before, CAPACITY));
    // Nothing else but the header.
    let end = slot + 4 + message.len();
    assert_eq!(after[header(version)..slot], before[header(version)..slot]);
    assert_eq!(after[end..], before[end..]);
}

fn first(version: Version, before: &[u8]) -> &[u8] {
    let slot = slot(before, version, READ);
    &before[slot + 4..][..word(before, slot) as usize]
}

/// Has nothing changed, but for a count that V1 has mended?
fn failed(version: Version, before: &[u8], after: &[u8]) -> bool {
    let mended = word(after, COUNT).wrapping_sub(word(before, COUNT));
    let is_mended = version == Version::V1 && [1, u32::MAX].contains(&mended);
    before[..COUNT] == after[..COUNT] && before[LONGEST..] == after[LONGEST..] && (mended == 0 || is_mended)
}
