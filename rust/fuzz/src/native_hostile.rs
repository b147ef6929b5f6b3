//! Native streams, queues and pairs in memory that a peer changes: each word gets any value, before the
//! calls and during them. Each call ends in its time, with a message that fits or with an error.

use std::cell::Cell;
use std::time::Duration;

use arbitrary::Arbitrary;
use shm_segment::layout::native::{Descriptor, Incoming, Kind, Message, Peer, Queue, Stream};
use shm_segment::layout::{Error, Result};
use shm_segment::{Access, Options, Scope, Segment};

use crate::pairs;
use crate::planted::run_beside;
use crate::scratch::{Scratch, in_bounded_time};

/// The layout, the stores before and during the calls, and the calls.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    layout: u8,
    count: u8,
    is_read_only: bool,
    messages: u8,
    before: Vec<Store>,
    during: Vec<Store>,
    calls: Vec<Call>,
}

#[derive(Debug, Arbitrary)]
struct Store {
    place: Place,
    value: Value,
    is_short: bool,
}

/// A word, by its meaning or by its number.
#[derive(Debug, Arbitrary)]
enum Place {
    Header(u8),
    Waiting(u8),
    Line(u8),
    Any(u16),
}

#[derive(Debug, Arbitrary)]
enum Value {
    Small(u8),
    /// A position in a ring, or near its end.
    Position(u8),
    Near32Bits(i8),
    Near63Bits(i8),
    Near64Bits(u8),
    /// A sequence and a slot, as in the word `latest`.
    Latest(u8, u8),
    Any(u64),
}

#[derive(Debug, Arbitrary)]
enum Call {
    Attach,
    Send {
        length: u16,
        wait: bool,
    },
    Receive {
        wait: bool,
    },
    Look,
    /// Looks at all messages of a queue, and takes one of them out.
    LookAhead {
        number: u8,
    },
    Count,
    Wait,
    Clear,
    Release,
    Reset,
}

const SHORT: Duration = Duration::from_micros(200);
const SIZE: u64 = 4096;

impl Store {
    fn put(&self, peer: &Segment) {
        let value = match self.value {
            Value::Small(value) => value.into(),
            Value::Position(words) => u64::from(words) * 8,
            Value::Near32Bits(more) => (1_u64 << 32).wrapping_add_signed(more.into()),
            Value::Near63Bits(more) => (1_u64 << 63).wrapping_add_signed(more.into()),
            Value::Near64Bits(less) => u64::MAX - u64::from(less),
            Value::Latest(sequence, slot) => u64::from(sequence) << 8 | u64::from(slot),
            Value::Any(value) => value,
        };
        let word = match self.place {
            Place::Header(word) => word % 16,
            Place::Waiting(word) => 16 + word % 16,
            // Both lanes of a pair.
            Place::Line(word) => 32 + word % 192,
            Place::Any(word) => return self.store(peer, u64::from(word) * 4 % SIZE, value),
        };
        self.store(peer, u64::from(word) * 8, value);
    }

    fn store(&self, peer: &Segment, at: u64, value: u64) {
        if self.is_short || !at.is_multiple_of(8) {
            peer.store_u32(at, value as u32).unwrap();
        } else {
            peer.store_u64(at, value).unwrap();
        }
    }
}

enum Attached {
    Stream(Stream),
    Queue(Queue),
    /// Both sides.
    Pair([Peer; 2]),
}

#[derive(PartialEq)]
enum Layout {
    Stream,
    Queue,
    Pair,
}

impl Plan {
    fn layout(&self) -> Layout {
        match self.layout % 4 {
            1 => Layout::Queue,
            3 => Layout::Pair,
            _ => Layout::Stream,
        }
    }

    /// Runs the plan.
    pub fn run(self) {
        let scratch = Scratch::new("native_hostile");
        let peer = Options::new(&scratch.name).create(SIZE).unwrap();
        let access = if self.is_read_only { Access::ReadOnly } else { Access::ReadWrite };
        let segment = Options::new(&scratch.name).open(0, access).unwrap();
        self.lay_out(&peer);
        let attach = || self.attach(&scratch.name, &segment);
        let mut attached = attach().ok();
        if let Some(Attached::Pair(sides)) = &attached {
            self.talk(sides);
        }
        // Opening a pair takes a while if that is impossible.
        let attempts = Cell::new(if self.layout() == Layout::Pair { 2 } else { u32::MAX });
        let attach = || attempts.get().checked_sub(1).map(|left| (attempts.set(left), attach()).1);
        self.before.iter().take(32).for_each(|store| store.put(&peer));
        let laps = if self.during.is_empty() { 1 } else { 10 };
        let mut calls = || {
            for call in (0..laps).flat_map(|_| self.calls.iter().take(12)) {
                in_bounded_time(|| self.make(call, &segment, attach, &mut attached));
            }
        };
        if self.during.is_empty() {
            return calls();
        }
        run_beside(|| self.during.iter().take(32).for_each(|store| store.put(&peer)), calls);
    }

    /// Lays the memory out, with some messages.
    fn lay_out(&self, peer: &Segment) {
        let content = [7; 40];
        match self.layout() {
            Layout::Pair => pairs::lay_out(peer, 1024),
            Layout::Queue => {
                let queue = Queue::attach(peer, 256, u32::from(self.count % 3) + 1).unwrap();
                for _ in 0..self.messages % 8 {
                    let _ = queue.enqueue(peer, &bytes(&content), Duration::ZERO, || true);
                }
                queue.release(peer);
            }
            Layout::Stream => {
                let stream = Stream::attach(peer, 200, u32::from(self.count % 4)).unwrap();
                for _ in 0..self.messages % 8 {
                    stream.write(peer, &bytes(&content)).unwrap();
                }
                stream.release(peer);
            }
        }
    }

    /// Connects both sides, and lets them send some messages and requests.
    fn talk(&self, sides: &[Peer; 2]) {
        while !(sides[0].is_connected().unwrap() & sides[1].is_connected().unwrap()) {}
        for number in 0..self.messages % 8 {
            let side = &sides[usize::from(number % 2)];
            if number < self.count % 8 {
                side.request(&bytes(&[7; 40]), Duration::ZERO, |_| Ok::<_, Error>(())).unwrap_err();
            } else {
                side.send(&bytes(&[7; 40]), Duration::ZERO).unwrap();
            }
        }
    }

    fn attach(&self, name: &str, segment: &Segment) -> Result<Attached> {
        Ok(match self.layout() {
            Layout::Stream => Attached::Stream(Stream::attach(segment, 0, 0)?),
            Layout::Queue => Attached::Queue(Queue::attach(segment, 0, 1)?),
            Layout::Pair => {
                let open = || Peer::open(name, 4096, Scope::Local);
                Attached::Pair([open()?, open()?])
            }
        })
    }

    fn make(
        &self,
        call: &Call,
        segment: &Segment,
        attach: impl Fn() -> Option<Result<Attached>>,
        attached: &mut Option<Attached>,
    ) {
        if attached.is_none() || matches!(call, Call::Attach) {
            let Some(result) = attach_again(segment, attach, attached) else { return };
            self.check(result.as_ref().map(|_| ()));
            *attached = result.ok();
        }
        if let Some(attached) = attached {
            self.check(attached.make(call, segment).as_ref().copied());
        }
    }

    /// Panics if the result is an error that no bytes may cause.
    fn check(&self, result: Result<(), &Error>) {
        let Err(error) = result else { return };
        match error {
            Error::Segment(shm_segment::Error::ReadOnly { .. }) => assert!(self.is_read_only),
            Error::Segment(_) | Error::OutOfMemory { .. } => panic!("{error:?}"),
            _ => {}
        }
        assert!(!error.to_string().is_empty());
    }
}

/// Attaches again, if there is another attempt. The roles are given back first.
fn attach_again(
    segment: &Segment,
    attach: impl Fn() -> Option<Result<Attached>>,
    attached: &mut Option<Attached>,
) -> Option<Result<Attached>> {
    if let Some(attached) = attached.take() {
        attached.release(segment);
    }
    attach()
}

impl Attached {
    fn release(&self, segment: &Segment) {
        match self {
            Self::Stream(stream) => stream.release(segment),
            Self::Queue(queue) => queue.release(segment),
            Self::Pair(sides) => sides.iter().for_each(Peer::close),
        }
    }

    fn make(&self, call: &Call, segment: &Segment) -> Result<()> {
        let copy = |message: &Incoming<'_>| {
            let content = message.to_vec()?;
            assert_eq!(content.len() as u64, message.length());
            assert!(message.length() < SIZE && message.descriptor().check(message.length()).is_ok());
            Ok::<_, Error>(())
        };
        let timeout = |wait: bool| if wait { SHORT } else { Duration::ZERO };
        match (self, call) {
            (_, Call::Attach) => Ok(()),
            (Self::Pair(sides), call) => {
                // Each call is for one side or the other one.
                let side = |is_first: bool| &sides[usize::from(!is_first)];
                match call {
                    Call::Send { length, wait } => {
                        let content = vec![5; usize::from(length / 2 % 256)];
                        side(length % 2 == 0).send(&bytes(&content), timeout(*wait))
                    }
                    Call::Receive { wait } => side(!*wait).receive(timeout(*wait), copy).map(drop),
                    Call::Wait => side(true).wait(SHORT).map(drop),
                    Call::Look => side(false).next_event(copy).map(drop),
                    Call::Clear => side(true).request(&bytes(&[6; 30]), SHORT, copy),
                    Call::Reset => side(false).wait_connected(SHORT).map(drop),
                    Call::Release => side(true).is_connected().map(drop),
                    Call::LookAhead { number } => side(number % 2 == 0).count().map(drop),
                    _ => {
                        side(true).count()?;
                        side(false).available().map(|size| assert!(size <= 4 * SIZE))
                    }
                }
            }
            (_, Call::Release) => {
                self.release(segment);
                Ok(())
            }
            (Self::Stream(stream), call) => match call {
                Call::Send { length, .. } => {
                    stream.write(segment, &bytes(&vec![5; usize::from(length % 256)]))
                }
                Call::Receive { .. } => stream.read(segment, copy),
                Call::Wait => stream.wait(segment, SHORT, || true).map(drop),
                Call::Look => stream.newest(segment).map(drop),
                Call::Count => stream.message_count(segment).map(drop),
                Call::Reset => stream.reset(segment),
                _ => stream.has_new_data(segment).map(drop),
            },
            (Self::Queue(queue), call) => match call {
                Call::Send { length, wait } => {
                    let content = vec![5; usize::from(length % 256)];
                    queue.enqueue(segment, &bytes(&content), timeout(*wait), || true)
                }
                Call::Receive { wait } => queue.dequeue(segment, timeout(*wait), || true, copy),
                Call::Wait => queue.wait(segment, SHORT, || true).map(drop),
                Call::Look => queue.peek(segment, copy),
                Call::LookAhead { number } => {
                    let mut places = Vec::new();
                    queue.look_ahead(segment, |place, message| {
                        places.push(place);
                        message.map_or(Ok(()), copy)?;
                        Ok::<_, Error>(true)
                    })?;
                    let Some(place) = places.get(usize::from(*number) % places.len().max(1)) else {
                        return Ok(());
                    };
                    queue.take_out(segment, *place).map(drop)
                }
                Call::Clear => queue.clear(segment),
                Call::Reset => queue.reset(segment),
                _ => queue.filled(segment).map(|filled| assert!(filled.bytes <= queue.capacity())),
            },
        }
    }
}

fn bytes(content: &[u8]) -> Message<'_> {
    Message { descriptor: Descriptor::of(Kind::Bytes), content }
}
