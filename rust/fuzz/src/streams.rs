//! Streams over bytes that anybody may have written, and may be writing.
//!
//! What a reader must get follows from the bytes, which are taken apart here without the crate's help.

use arbitrary::Arbitrary;
use shm_segment::layout::Error;
use shm_segment::layout::stream::{Kind, Stream, Version};

use crate::planted::{Memory, ONCE, Planted, Store, word};

/// What is in memory, what it is taken for, and what is called then.
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
    Look,
    Reset,
    Store(Store),
}

#[derive(Debug, PartialEq)]
enum Found {
    Message(Kind, Vec<u8>),
    Empty,
    Invalid,
    Locked,
}

const KINDS: [Kind; 4] = [Kind::Bytes, Kind::String, Kind::Floats, Kind::Doubles];

impl Plan {
    /// Does it.
    pub fn run(self) {
        let version = [Version::V0, Version::V1, Version::V2][usize::from(self.version % 3)];
        let planted = self.memory.plant();
        let mut stream = None;
        planted.try_out(|| {
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
    if let Err(error) = &result {
        planted.check(error);
    }
    if before.len() < header {
        assert!(matches!(result, Err(Error::SegmentTooSmall { .. })), "{result:?}");
    } else if planted.is_quiet() {
        let is_invalid = find(&before, version) == Found::Invalid;
        assert_eq!(matches!(result, Err(Error::Invalid { .. })), is_invalid, "{result:?}");
        assert_eq!(result.is_ok(), !is_invalid, "{result:?}");
        assert_eq!(planted.bytes(), before);
    }
    result.ok()
}

/// Where the size of a message is, and where it begins.
fn place(version: Version, kind: Kind) -> (usize, usize) {
    match (version, kind) {
        (Version::V0, Kind::Floats) => (4, 20),
        (Version::V0, Kind::Doubles) => (8, 40),
        (Version::V0 | Version::V1, _) => (1, 5),
        (Version::V2, _) => (12, 20),
    }
}

fn find(bytes: &[u8], version: Version) -> Found {
    let flags = bytes[0];
    if version == Version::V2 && word(bytes, 16) != 0 {
        return Found::Locked;
    }
    let Some(kind) = [0, 2, 4, 8].iter().position(|bit| flags & !1 == *bit).map(|at| KINDS[at]) else {
        return Found::Invalid;
    };
    let (size_at, begin) = place(version, kind);
    if begin > bytes.len() {
        return Found::Invalid;
    }
    let size = word(bytes, size_at) as usize;
    if size > bytes.len() - begin || !size.is_multiple_of(kind.element_size() as usize) {
        return Found::Invalid;
    }
    let is_empty = flags == 0 && if version == Version::V2 { word(bytes, 4) == 0 } else { size == 0 };
    if is_empty { Found::Empty } else { Found::Message(kind, bytes[begin..begin + size].to_vec()) }
}

impl Call {
    /// Returns whether to attach anew.
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
            Self::Look => {
                let new = stream.has_new_data(&planted.segment).unwrap();
                let marked = stream.is_message_read(&planted.segment);
                assert_eq!(marked.is_err(), stream.version() == Version::V0);
                assert!(!planted.is_quiet() || !new || find(&before, stream.version()) != Found::Empty);
            }
            Self::Reset => {
                let result = stream.reset(&planted.segment);
                assert_eq!(result.is_err(), planted.is_read_only());
                if planted.is_quiet() && !planted.is_read_only() {
                    assert_eq!(find(&planted.bytes(), stream.version()), Found::Empty);
                }
            }
            Self::Store(store) => planted.store(store),
        }
        false
    }
}

fn read(stream: &Stream, planted: &Planted, before: &[u8], acknowledge: bool) {
    let (segment, mut into) = (&planted.segment, Vec::new());
    let result = stream.read_into(segment, &mut into, ONCE);
    match &result {
        Ok(kind) => {
            let length = into.len() as u64;
            assert!(length <= stream.capacity(segment, *kind) && length.is_multiple_of(kind.element_size()));
        }
        Err(error) => planted.check(error),
    }
    if !planted.is_quiet() {
        return drop(stream.mark_as_read(segment));
    }
    let is_read = result.is_ok();
    let found = match result {
        Ok(kind) => Found::Message(kind, into),
        Err(Error::Empty) => Found::Empty,
        Err(Error::Invalid { .. }) => Found::Invalid,
        Err(Error::TimedOut { .. }) => Found::Locked,
        Err(other) => panic!("{other:?}"),
    };
    assert_eq!(found, find(before, stream.version()));
    assert_eq!(planted.bytes(), before);
    if is_read && acknowledge && !planted.is_read_only() {
        stream.mark_as_read(segment).unwrap();
        assert!(!stream.has_new_data(segment).unwrap());
        assert!(stream.version() == Version::V0 || stream.is_message_read(segment).unwrap());
    }
}

fn write(stream: &Stream, planted: &Planted, before: &[u8], kind: Kind, message: &[u8]) {
    let result = stream.write(&planted.segment, kind, message, ONCE);
    if let Err(error) = &result {
        planted.check(error);
    }
    if !planted.is_quiet() {
        return;
    }
    let after = planted.bytes();
    if result.is_err() {
        return assert_eq!(after, before, "{result:?}");
    }
    assert!(!planted.is_read_only());
    // The mark of a message of no bytes may be that of none.
    let found = find(&after, stream.version());
    assert!(
        found == Found::Message(kind, message.to_vec()) || (found == Found::Empty && message.is_empty()),
        "{found:?}"
    );
    assert_eq!(after[0] & 1, !before[0] & 1, "each message flips it");
}
