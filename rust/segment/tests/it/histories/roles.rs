//! The processes of a history: each repeats random operations of its role until it is killed.

use std::thread;
use std::time::Duration;

use shm_segment::layout::Error;
use shm_segment::layout::native::{Descriptor, Element, Incoming, Kind, Meaning, Message, Queue, Stream};
use shm_segment::{Access, Options, Segment};

use super::log::{Id, Log, What};
use crate::common::random::Random;

const NOW: Duration = Duration::ZERO;
/// The sender, the number and the hash.
const SHORTEST: usize = 24;

/// A process.
struct Process {
    segment: Segment,
    random: Random,
    log: Log,
    /// The number of the process, and how often it has given its role back. Both tell the role, and so the
    /// lane, of a message.
    sender: (usize, u64),
    sent: u64,
}

pub(super) fn run(role: &str, name: &str, number: usize, random: Random, log: Log) {
    let access = if role == "viewer" { Access::ReadOnly } else { Access::ReadWrite };
    let segment = Options::new(name).open(0, access).unwrap();
    let mut process = Process { segment, random, log, sender: (number, 0), sent: 0 };
    match role {
        "producer" => process.produce(),
        "consumer" => process.consume(),
        "watcher" => process.watch(),
        "writer" => process.write(),
        "reader" | "viewer" => process.read(),
        _ => panic!("unknown role {role}"),
    }
}

impl Process {
    fn happens(&mut self, one_in: u64) -> bool {
        self.random.below(one_in) == 0
    }

    fn pause(&mut self) {
        thread::sleep(Duration::from_micros(self.random.below(2000)));
    }

    fn timeout(&mut self) -> Duration {
        if self.happens(2) { NOW } else { Duration::from_micros(self.random.below(50_000)) }
    }

    fn next(&mut self) -> Id {
        self.sent += 1;
        ((self.sender.0 as u64) << 32 | self.sender.1, self.sent)
    }

    /// Returns a random kind and content, which has the message's numbers and a hash of all.
    fn compose(&mut self, id: Id, longest: u64) -> (Descriptor, Vec<u8>) {
        let longest = if self.happens(20) { longest } else { longest / 8 };
        let length = SHORTEST + self.random.below(longest - SHORTEST as u64 + 1) as usize;
        let ints = Kind::Array { element: Element::I32, meaning: Meaning::Plain, dimensions: 2 };
        let (kind, shape) = match self.random.below(5) {
            0 if length.is_multiple_of(8) => (ints, [length as u32 / 8, 2, 0, 0]),
            1 => (Kind::Image, [length as u32 - 3, 1, 0, length as u32]),
            2 => (Kind::Text, [0; 4]),
            3 => (Kind::Value, [0; 4]),
            _ => (Kind::Bytes, [0; 4]),
        };
        let descriptor = Descriptor { kind, shape };
        let mut content = vec![self.random.byte(); length];
        content[..8].copy_from_slice(&id.0.to_le_bytes());
        content[8..16].copy_from_slice(&id.1.to_le_bytes());
        let hash = hash(&descriptor, &content);
        content[length - 8..].copy_from_slice(&hash);
        (descriptor, content)
    }

    fn produce(&mut self) {
        let queue = Queue::attach(&self.segment, 0, 1).unwrap();
        loop {
            let (id, timeout) = (self.next(), self.timeout());
            let (descriptor, content) = self.compose(id, queue.max_message_size());
            let message = Message { descriptor, content: &content };
            self.log.add(What::Sends(id));
            let result = queue.enqueue(&self.segment, &message, timeout, || true);
            self.log.add(if result.is_ok() { What::Sent(id, 0) } else { What::Refused(id) });
            match result {
                Ok(()) => {}
                Err(Error::NoRoom | Error::WaitTimedOut { .. } | Error::PartnerGone { .. }) => self.pause(),
                Err(Error::RoleTaken { .. } | Error::NoLaneFree { .. }) => self.pause(),
                Err(error) => panic!("{error}"),
            }
            if self.happens(50) {
                queue.release(&self.segment);
                // The next lane may be another one, and only messages of one lane have an order.
                self.sender.1 += 1;
            }
        }
    }

    fn consume(&mut self) {
        let queue = Queue::attach(&self.segment, 0, 1).unwrap();
        loop {
            let (timeout, leaves_it) = (self.timeout(), self.happens(50));
            match take(&self.segment, &queue, timeout, leaves_it, &mut self.log) {
                Ok(()) => {}
                Err(Error::Empty | Error::WaitTimedOut { .. } | Error::PartnerGone { .. }) => {}
                Err(Error::RoleTaken { .. } | Error::NoLaneFree { .. }) => self.pause(),
                Err(error) => panic!("{error}"),
            }
            if self.happens(50) {
                queue.release(&self.segment);
                self.pause();
            }
        }
    }

    /// Looks at a queue without a role.
    fn watch(&mut self) {
        let queue = Queue::attach(&self.segment, 0, 1).unwrap();
        loop {
            match queue.peek(&self.segment, |message| Ok((message.descriptor(), message.to_vec()?))) {
                Ok((descriptor, content)) => {
                    if id_of(&descriptor, &content).is_none() {
                        self.log.add(What::Torn);
                    }
                }
                Err(Error::Empty | Error::Overtaken) => {}
                Err(error) => panic!("{error}"),
            }
            match queue.filled(&self.segment) {
                Ok(filled) => assert!(filled.bytes <= queue.capacity() && filled.messages <= filled.put),
                Err(Error::Overtaken) => {}
                Err(error) => panic!("{error}"),
            }
            if self.happens(10) {
                self.pause();
            }
        }
    }

    fn write(&mut self) {
        let stream = Stream::attach(&self.segment, 0, 0).unwrap();
        loop {
            let id = self.next();
            let (descriptor, content) = self.compose(id, stream.max_message_size());
            self.log.add(What::Sends(id));
            match stream.write(&self.segment, &Message { descriptor, content: &content }) {
                // No other process has the role, so the newest message is that one.
                Ok(()) => {
                    let sequence = stream.newest(&self.segment).unwrap().sequence;
                    self.log.add(What::Sent(id, sequence));
                }
                Err(Error::RoleTaken { .. } | Error::NoLaneFree { .. }) => {
                    self.log.add(What::Refused(id));
                    self.pause();
                }
                Err(error) => panic!("{error}"),
            }
            if self.happens(50) {
                stream.release(&self.segment);
                self.pause();
            }
        }
    }

    fn read(&mut self) {
        let stream = Stream::attach(&self.segment, 0, 0).unwrap();
        loop {
            if self.happens(4) {
                let timeout = self.timeout();
                match stream.wait(&self.segment, timeout, || true) {
                    Ok(_) | Err(Error::PartnerGone { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            self.log.add(What::Reads);
            match stream.read(&self.segment, |message| Ok((message.descriptor(), message.to_vec()?))) {
                Ok((descriptor, content)) => {
                    let id = id_of(&descriptor, &content);
                    self.log.add(id.map_or(What::Torn, |id| What::Read(id, stream.sequence())));
                }
                Err(Error::Empty) => self.log.add(What::FoundNothing),
                // Without a pin, the writer may be too fast.
                Err(Error::Overtaken) => {}
                Err(error) => panic!("{error}"),
            }
            if self.happens(50) {
                stream.release(&self.segment);
                self.pause();
            }
        }
    }
}

/// Takes a message out, or leaves it there after a look.
fn take(
    segment: &Segment,
    queue: &Queue,
    timeout: Duration,
    leaves_it: bool,
    log: &mut Log,
) -> Result<(), Error> {
    let mut copy = |message: &Incoming<'_>| {
        if leaves_it {
            return Err(Error::Empty);
        }
        let id = id_of(&message.descriptor(), &message.to_vec()?);
        log.add(id.map_or(What::Torn, What::Got));
        Ok(id)
    };
    let id = queue.dequeue(segment, timeout, || true, &mut copy)?;
    if let Some(id) = id {
        log.add(What::Passed(id));
    }
    Ok(())
}

/// Takes all messages out.
pub(super) fn drain(segment: &Segment, queue: &Queue, mut log: Log) {
    loop {
        match take(segment, queue, NOW, false, &mut log) {
            Ok(()) => {}
            Err(Error::Empty) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Returns the numbers in a message, if its hash is right.
fn id_of(descriptor: &Descriptor, content: &[u8]) -> Option<Id> {
    let (_, found) = content.split_last_chunk::<8>()?;
    let (sender, number) = (content.get(..8)?, content.get(8..16)?);
    let number_of = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    (*found == hash(descriptor, content)).then(|| (number_of(sender), number_of(number)))
}

/// Returns a hash (FNV-1a) of all but the last 8 bytes.
fn hash(descriptor: &Descriptor, content: &[u8]) -> [u8; 8] {
    let tag = format!("{descriptor:?}{}", content.len());
    let bytes = tag.bytes().chain(content[..content.len() - 8].iter().copied());
    bytes
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
        .to_le_bytes()
}
