//! Streams in memory with any bytes, which a peer may be changing.
//!
//! The expected message follows from the bytes, which this file parses without the crate's help.

use arbitrary::Arbitrary;
use shm_segment::layout::Error;
use shm_segment::layout::stream::{Kind, Stream, Version};

use crate::planted::{Memory, NO_WAIT, Planted, Store, word};

/// The memory, the version of the stream in it, and the calls.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    memory: Memory,
    version: u8,
    calls: Vec<Call>,
}

#[derive(Debug, Arbitrary)]
enum Call {
    Attach,
    Read { acknowledge: bool },
    Write { kind: u8, length: u16, byte: u8 },
    Query,
    Reset,
    Store(Store),
}

/// The state of a stream, from its bytes or from a read.
#[derive(Debug, PartialEq)]
enum State {
    Message(Kind, Vec<u8>),
    Empty,
    Invalid,
    Locked,
}

const KINDS: [Kind; 4] = [Kind::Bytes, Kind::String, Kind::Floats, Kind::Doubles];

impl Plan {
    /// Runs the plan.
    pub fn run(self) {
        let version = [Version::V0, Version::V1, Version::V2][usize::from(self.version % 3)];
        let planted = self.memory.plant();
        let mut stream = None;
        planted.run_calls(|| {
            for call in self.calls.iter().take(12) {
                if stream.is_none() {
                    stream = attach(&planted, version);
                }
                let Some(attached) = &stream else { return };
                if call.make(attached, &planted) {
                    stream = None;
                }
            }
        });
    }
}

fn attach(planted: &Planted, version: Version) -> Option<Stream> {
    let before = planted.bytes();
    let result = Stream::attach(&planted.segment, version);
    let header = if version == Version::V2 { 20 } else { 5 };
    planted.check(&result);
    if before.len() < header {
        assert!(matches!(result, Err(Error::SegmentTooSmall { .. })), "{result:?}");
    } else if planted.is_quiet() {
        let is_invalid = state_of(&before, version) == State::Invalid;
        assert_eq!(matches!(result, Err(Error::Invalid { .. })), is_invalid, "{result:?}");
        assert_eq!(result.is_ok(), !is_invalid, "{result:?}");
        assert_eq!(planted.bytes(), before);
    }
    result.ok()
}

/// Returns the offsets of a message's size and of its first byte.
fn message_offsets(version: Version, kind: Kind) -> (usize, usize) {
    match (version, kind) {
        (Version::V0, Kind::Floats) => (4, 20),
        (Version::V0, Kind::Doubles) => (8, 40),
        (Version::V0 | Version::V1, _) => (1, 5),
        (Version::V2, _) => (12, 20),
    }
}

fn state_of(bytes: &[u8], version: Version) -> State {
    let flags = bytes[0];
    if version == Version::V2 {
        if !is_header_of_v2(bytes) {
            return State::Invalid;
        }
        if word(bytes, 16) == 1 {
            return State::Locked;
        }
    } else if is_header_of_v2(bytes) && is_message_of_v2(bytes) {
        return State::Invalid;
    }
    let Some(kind) = [0, 2, 4, 8].iter().position(|bit| flags & !1 == *bit).map(|at| KINDS[at]) else {
        return State::Invalid;
    };
    let (size_at, begin) = message_offsets(version, kind);
    if begin > bytes.len() {
        return State::Invalid;
    }
    let size = word(bytes, size_at) as usize;
    if size > bytes.len() - begin || !size.is_multiple_of(kind.element_size() as usize) {
        return State::Invalid;
    }
    let is_empty = match version {
        Version::V2 => word(bytes, 4) == 0 && (flags == 0 || size == 0),
        _ => flags == 0 && size == 0,
    };
    if is_empty { State::Empty } else { State::Message(kind, bytes[begin..begin + size].to_vec()) }
}

/// Returns whether this may be a header of V2, even one that is being written.
fn is_header_of_v2(bytes: &[u8]) -> bool {
    if bytes.len() < 20 {
        return false;
    }
    let [revision, acknowledged, size, lock] = [4, 8, 12, 16].map(|at| word(bytes, at));
    let is_ahead = acknowledged > revision && acknowledged - revision < 1 << 31;
    [0, 2, 4, 8].contains(&(bytes[0] & !1))
        && bytes[1..4] == [0; 3]
        && !is_ahead
        && size as usize <= bytes.len() - 20
        && lock < 2
}

/// Returns whether this header of V2 describes a message that isn't empty.
fn is_message_of_v2(bytes: &[u8]) -> bool {
    let element = match bytes[0] & !1 {
        4 => 4,
        8 => 8,
        _ => 1,
    };
    word(bytes, 4) != 0 && word(bytes, 12) != 0 && word(bytes, 12).is_multiple_of(element)
}

impl Call {
    /// Makes the call, and returns whether to attach again.
    fn make(&self, stream: &Stream, planted: &Planted) -> bool {
        let before = planted.bytes();
        match self {
            Self::Attach => return true,
            Self::Read { acknowledge } => read(stream, planted, &before, *acknowledge),
            Self::Write { kind, length, byte } => {
                let kind = KINDS[usize::from(kind % 4)];
                let message: Vec<u8> =
                    (0..*length % 600).map(|i| byte.wrapping_add(i.to_le_bytes()[0])).collect();
                write(stream, planted, &before, kind, &message);
            }
            Self::Query => {
                let new = stream.has_new_data(&planted.segment);
                let marked = stream.is_message_read(&planted.segment);
                planted.check(&new);
                let state = state_of(&before, stream.version());
                if planted.is_quiet() && state != State::Invalid {
                    assert_eq!(marked.is_err(), stream.version() == Version::V0);
                    assert!(!new.unwrap() || state != State::Empty);
                }
            }
            Self::Reset => {
                let result = stream.reset(&planted.segment);
                planted.check(&result);
                let state = state_of(&before, stream.version());
                let must_succeed = planted.segment.is_created() || state != State::Invalid;
                if planted.is_quiet() && result.is_ok() {
                    assert_eq!(state_of(&planted.bytes(), stream.version()), State::Empty);
                } else if planted.is_quiet() {
                    assert!(planted.is_read_only() || !must_succeed, "{result:?}");
                    assert_eq!(planted.bytes(), before);
                }
            }
            Self::Store(store) => planted.store(store),
        }
        false
    }
}

fn read(stream: &Stream, planted: &Planted, before: &[u8], acknowledge: bool) {
    let (segment, mut into) = (&planted.segment, Vec::new());
    let result = stream.read_into(segment, &mut into, NO_WAIT);
    planted.check(&result);
    if let Ok(kind) = &result {
        let length = into.len() as u64;
        assert!(length <= stream.capacity(segment, *kind) && length.is_multiple_of(kind.element_size()));
    }
    if !planted.is_quiet() {
        return drop(stream.mark_as_read(segment));
    }
    let is_read = result.is_ok();
    let state = match result {
        Ok(kind) => State::Message(kind, into),
        Err(Error::Empty) => State::Empty,
        Err(Error::Invalid { .. }) => State::Invalid,
        Err(Error::TimedOut { .. }) => State::Locked,
        Err(other) => panic!("{other:?}"),
    };
    assert_eq!(state, state_of(before, stream.version()));
    assert_eq!(planted.bytes(), before);
    if is_read && acknowledge && !planted.is_read_only() {
        stream.mark_as_read(segment).unwrap();
        assert!(!stream.has_new_data(segment).unwrap());
        assert!(stream.version() == Version::V0 || stream.is_message_read(segment).unwrap());
    }
}

fn write(stream: &Stream, planted: &Planted, before: &[u8], kind: Kind, message: &[u8]) {
    let result = stream.write(&planted.segment, kind, message, NO_WAIT);
    planted.check(&result);
    if !planted.is_quiet() {
        return;
    }
    let after = planted.bytes();
    if result.is_err() {
        return assert_eq!(after, before, "{result:?}");
    }
    assert!(!planted.is_read_only());
    // A message of no bytes may look like no message.
    let state = state_of(&after, stream.version());
    assert!(
        state == State::Message(kind, message.to_vec()) || (state == State::Empty && message.is_empty()),
        "{state:?}"
    );
    assert_eq!(after[0] & 1, !before[0] & 1, "each message flips the bit");
}
