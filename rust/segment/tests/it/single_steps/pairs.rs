//! Single steps of pairs. After each instruction, all records in the copy are whole and in their order. Two
//! new sides connect there and talk, whatever the dead ones have left. A side that is killed there leaves a
//! partner that receives what was published, and is told of the end once. Then it connects to the next side.

use std::thread;
use std::time::{Duration, Instant};

use shm_segment::layout::Error;
use shm_segment::layout::native::Peer;
use shm_segment::{Access, Options, Scope, Segment};

use super::letters::{Letter, Raw, u32_at, u64_at};
use super::stepper::{is_thorough, kill_at, step};
use crate::common::Name;

const RING: usize = 4096;
/// Offsets in the memory and in a lane. `docs/FORMAT.md` alone is the source.
const LANES: usize = 0x100;
const HEAD: usize = 0x80;
const COUNTS: usize = 0x10;
const RING_AT: usize = 0x100;
const SIZE: usize = LANES + 2 * (RING_AT + RING);
const PADDING: u32 = u32::MAX;
/// In a lane: the words with which its producer, and its consumer, wakes the other one.
const MESSAGE_WANTED: usize = 0x08;
const ROOM_WANTED: usize = 0x88;
const REQUEST: u32 = 1 << 30;

const NOW: Duration = Duration::ZERO;
const LIMIT: Duration = Duration::from_secs(5);
/// The number of messages that wait in each lane.
const WAITING: u64 = 4;
/// The number of a side that joins.
const OTHER: u64 = 0x0102_0304_0506_0708;

/// The operation that is run in single steps, by the side that came second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Operation {
    Send(usize),
    Request,
    Receive,
    /// Answers the mark of a partner that has just joined.
    Connect,
    /// The ring is full, so that the side asks to be woken.
    SendAndWait,
    Events,
    Close,
    /// A request as the format describes it, written here, perhaps with a fault.
    Asked(Fault),
    /// A mark in the same way.
    Marked(Fault),
    /// A message that is taken out in the same way.
    Taken(Fault),
}

/// The fault of a program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    None,
    PublishesBeforeTheContent,
    PublishesBeforeTheNumber,
    PublishesBeforeTheCount,
    StoresTheCountInTheWrongPair,
    DoesNotWake,
    /// It wakes as a producer of a queue does, with the words of the waiting line.
    WakesTheWaitingLine,
}

impl Fault {
    pub(super) const ALL: [Self; 6] = [
        Self::PublishesBeforeTheContent,
        Self::PublishesBeforeTheNumber,
        Self::PublishesBeforeTheCount,
        Self::StoresTheCountInTheWrongPair,
        Self::DoesNotWake,
        Self::WakesTheWaitingLine,
    ];
}

impl Operation {
    pub(super) const ALL: [Self; 9] = [
        Self::Send(0),
        Self::Send(17),
        Self::Send(40),
        Self::Request,
        Self::Receive,
        Self::Connect,
        Self::SendAndWait,
        Self::Events,
        Self::Close,
    ];

    pub(super) const BY_HAND: [fn(Fault) -> Self; 3] = [Self::Asked, Self::Marked, Self::Taken];

    /// Returns whether the operation has a place for the fault.
    pub(super) const fn can_have(self) -> bool {
        match self {
            Self::Asked(_) => true,
            Self::Marked(fault) => !matches!(fault, Fault::PublishesBeforeTheContent),
            Self::Taken(fault) => matches!(
                fault,
                Fault::PublishesBeforeTheCount | Fault::StoresTheCountInTheWrongPair | Fault::DoesNotWake
            ),
            _ => false,
        }
    }

    /// Returns the message that the operation sends, and whether it is a request.
    fn letter(self) -> Option<(Letter, bool)> {
        match self {
            Self::Send(length) => Some((Letter::new(5, length), false)),
            Self::Request | Self::Asked(_) => Some((Letter::new(5, 20), true)),
            _ => None,
        }
    }

    /// Returns the number of messages that it takes out.
    const fn takes(self) -> usize {
        match self {
            Self::Receive | Self::Taken(_) => 1,
            // A request keeps what is in front of its answer.
            Self::Events | Self::Request => WAITING as usize,
            _ => 0,
        }
    }

    fn call(self, side: &Peer) {
        // Steps take long: the call must have time left when it comes to its sleep.
        let timeout = Duration::from_secs(1);
        match self {
            Self::Send(_) => side.send(&self.letter().unwrap().0.message(), NOW).unwrap(),
            // Nobody answers.
            Self::Request => drop(side.request(&self.letter().unwrap().0.message(), timeout, Letter::of)),
            Self::Receive => drop(side.receive(NOW, Letter::of).unwrap()),
            Self::Connect => drop(side.is_connected().unwrap()),
            Self::SendAndWait => {
                let sent = side.send(&Letter::new(3, 1000).message(), timeout);
                assert!(matches!(sent, Err(Error::WaitTimedOut { .. })), "{sent:?}");
            }
            Self::Events => while side.next_event(Letter::of).unwrap().is_some() {},
            Self::Close => side.close(),
            Self::Asked(_) | Self::Marked(_) | Self::Taken(_) => unreachable!(),
        }
    }

    /// Does it by hand, in lane 1 or, to take a message out, in lane 0.
    fn call_by_hand(self, segment: &Segment) {
        match self {
            Self::Asked(fault) => {
                let (letter, _) = self.letter().unwrap();
                let shape = if letter.has_shape() { letter.shape_bytes() } else { Vec::new() };
                put_by_hand(segment, letter.tag | REQUEST, &shape, 1, &letter.content, fault);
            }
            // Another side joins, for all that the first one knows.
            Self::Marked(fault) => put_by_hand(segment, 0, &[], OTHER, &0_u64.to_le_bytes(), fault),
            Self::Taken(fault) => take_by_hand(segment, fault),
            _ => unreachable!(),
        }
    }
}

/// The offset of a lane.
const fn lane(index: usize) -> usize {
    LANES + index * (RING_AT + RING)
}

/// Wakes with two words, whether or not anybody waits.
fn wake(segment: &Segment, wanted: usize) {
    segment.store_u32(wanted as u64, 0).unwrap();
    segment.fetch_add_u32(wanted as u64 + 4, 1).unwrap();
}

/// Puts a record into lane 1, with the stores in the order that the fault tells. There is room.
fn put_by_hand(segment: &Segment, tag: u32, shape: &[u8], number: u64, content: &[u8], fault: Fault) {
    let lane = lane(1);
    let store = |at: usize, value: u64| segment.store_u64((lane + at) as u64, value).unwrap();
    let tail = segment.load_u64(lane as u64).unwrap();
    let size = shape.len() + 8 + content.len();
    let end = tail + 8 + size.next_multiple_of(8) as u64;
    let counts = [0, 16].map(|pair| segment.load_u64((lane + COUNTS + 8 + pair) as u64).unwrap());
    let count = counts[0].max(counts[1]) + 1;
    let pair = if fault == Fault::StoresTheCountInTheWrongPair { count + 1 } else { count };
    let pair = COUNTS + pair as usize % 2 * 16;
    let publish = |is_now: bool| {
        if is_now {
            store(pair, end);
            store(pair + 8, count);
            store(0, end);
        }
    };
    let at = (lane + RING_AT) as u64 + tail % RING as u64;
    segment.write(at, &[size as u32, tag].map(u32::to_le_bytes).concat()).unwrap();
    segment.write(at + 8, shape).unwrap();
    publish(fault == Fault::PublishesBeforeTheNumber);
    segment.store_u64(at + 8 + shape.len() as u64, number).unwrap();
    publish(fault == Fault::PublishesBeforeTheContent);
    segment.write(at + 16 + shape.len() as u64, content).unwrap();
    if fault == Fault::PublishesBeforeTheCount {
        store(0, end);
    }
    publish(true);
    match fault {
        Fault::DoesNotWake => {}
        Fault::WakesTheWaitingLine => wake(segment, 0x80),
        _ => wake(segment, lane + MESSAGE_WANTED),
    }
}

/// Takes the first message out of lane 0 in the same way.
fn take_by_hand(segment: &Segment, fault: Fault) {
    let lane = lane(0);
    let store = |at: usize, value: u64| segment.store_u64((lane + at) as u64, value).unwrap();
    let head = segment.load_u64((lane + HEAD) as u64).unwrap();
    let size = segment.load_u32((lane + RING_AT) as u64 + head % RING as u64).unwrap();
    let end = head + 8 + u64::from(size).next_multiple_of(8);
    let counts = [0, 16].map(|pair| segment.load_u64((lane + HEAD + COUNTS + 8 + pair) as u64).unwrap());
    let count = counts[0].max(counts[1]) + 1;
    let pair = if fault == Fault::StoresTheCountInTheWrongPair { count + 1 } else { count };
    let pair = HEAD + COUNTS + pair as usize % 2 * 16;
    if fault == Fault::PublishesBeforeTheCount {
        store(HEAD, end);
    }
    store(pair, end);
    store(pair + 8, count);
    store(HEAD, end);
    if fault != Fault::DoesNotWake {
        wake(segment, lane + ROOM_WANTED);
    }
}

/// Two sides, before the operation of the second one.
struct Place {
    operation: Operation,
    first: Peer,
    second: Peer,
    segment: Segment,
    /// The messages that wait in each lane.
    waiting: [Vec<Letter>; 2],
    /// The lane of the side that does the operation.
    own: usize,
    name: Name,
}

impl Place {
    fn new(operation: Operation) -> Self {
        let name = Name::new();
        let (mut first, mut second) = (open(&name), open(&name));
        connect(&first, &second);
        let letters = |length| (1..=WAITING).map(|number| Letter::new(number, length)).collect();
        let mut waiting: [Vec<Letter>; 2] = [letters(33), letters(40)];
        for (from, letters) in [&first, &second].iter().zip(&waiting) {
            letters.iter().for_each(|letter| from.send(&letter.message(), NOW).unwrap());
        }
        let mut own = 1;
        match operation {
            Operation::SendAndWait => {
                let letter = Letter::new(3, 1000);
                while second.send(&letter.message(), NOW).is_ok() {
                    waiting[1].push(letter.clone());
                }
            }
            Operation::Connect => {
                // The side that was first goes on in its memory, which a partner joins.
                drop(std::mem::replace(&mut second, first));
                while second.receive(NOW, Letter::of).is_ok() {}
                first = open(&name);
                (waiting, own) = ([Vec::new(), Vec::new()], 0);
            }
            _ => {}
        }
        let segment = Options::new(&name).open(0, Access::ReadWrite).unwrap();
        // The other side is asleep, for all that this one knows.
        for wanted in [lane(own) + MESSAGE_WANTED, lane(1 - own) + ROOM_WANTED] {
            segment.store_u32(wanted as u64, 1).unwrap();
        }
        Self { operation, first, second, segment, waiting, own, name }
    }

    fn call(&self) {
        match self.operation {
            Operation::Asked(_) | Operation::Marked(_) | Operation::Taken(_) => {
                self.operation.call_by_hand(&self.segment);
            }
            operation => operation.call(&self.second),
        }
    }

    /// Checks the records of both lanes. Returns how many messages were put in, and taken out.
    fn check(&self, bytes: &[u8]) -> (usize, usize) {
        let found = [0, 1].map(|index| letters_in(&bytes[lane(index)..][..RING_AT + RING]));
        let [mut own, other] = if self.own == 1 { [1, 0] } else { [0, 1] }.map(|lane| found[lane].clone());
        let before = |lane: usize| self.waiting[lane].iter().map(|letter| (letter.raw(), None));
        let added = own.len() - self.waiting[self.own].len();
        if added == 1 {
            let (letter, is_request) = self.operation.letter().expect("it sends nothing");
            assert_eq!(own.pop(), Some((letter.raw(), is_request.then_some(1))));
        }
        assert!(added <= 1 && own == before(self.own).collect::<Vec<_>>(), "another message was sent");
        let taken = self.waiting[1 - self.own].len() - other.len();
        assert!(taken <= self.operation.takes(), "{taken} messages were taken out");
        assert_eq!(other, before(1 - self.own).skip(taken).collect::<Vec<_>>());
        (added, taken)
    }

    /// Checks that the side has woken the other one, if it has done anything for it.
    fn check_wakes(&self, bytes: &[u8]) {
        let wakes_reader = self.operation.letter().is_some()
            || matches!(self.operation, Operation::Connect | Operation::Marked(_));
        let wakes_writer = self.operation.takes() > 0;
        let places = [
            (lane(self.own) + MESSAGE_WANTED, wakes_reader),
            (lane(1 - self.own) + ROOM_WANTED, wakes_writer),
        ];
        for (wanted, _) in places.iter().filter(|(_, is_woken)| *is_woken) {
            assert_eq!(u32_at(bytes, *wanted), 0, "the other side is not woken");
            assert_ne!(u32_at(bytes, *wanted + 4), 0, "the other side is not woken");
        }
    }
}

/// Runs an operation, and checks after each step. Returns the number of steps, and that of the different
/// states of the memory.
pub(super) fn run(operation: &Operation) -> (u64, u64) {
    let place = Place::new(*operation);
    let (mut now, mut last) = (vec![0; SIZE], Vec::new());
    let (mut changes, mut moved) = (Vec::new(), (0, 0));
    let steps = step(
        || place.call(),
        drop,
        |step| {
            place.segment.read(0, &mut now).unwrap();
            if now != last {
                last.clone_from(&now);
                changes.push(step);
                let found = place.check(&now);
                assert!(found.0 >= moved.0 && found.1 >= moved.1, "a message comes back");
                moved = found;
                go_on_in_a_copy(&now);
            }
        },
    );
    assert!(changes.len() > 1 || *operation == Operation::Close, "nothing was stored");
    let expected = (operation.letter().iter().count(), operation.takes());
    assert_eq!(moved, expected, "the operation has done nothing");
    place.check_wakes(&last);
    drop(place);
    if matches!(operation, Operation::Send(_) | Operation::Request | Operation::Connect | Operation::Receive)
    {
        let every = if is_thorough() { 1 } else { 3 };
        changes.iter().step_by(every).for_each(|step| kill(*operation, *step));
    }
    (steps, changes.len() as u64)
}

/// Kills the side that does the operation after this many instructions. The other one goes on.
fn kill(operation: Operation, at: u64) {
    let place = Place::new(operation);
    kill_at(|| place.call(), at);
    let mut bytes = vec![0; SIZE];
    place.segment.read(0, &mut bytes).unwrap();
    let (added, _) = place.check(&bytes);
    let Place { first, second, mut waiting, own, name, .. } = place;
    // The kernel's locks end when the last process that shares them has closed them.
    drop(second);
    if added == 1 {
        waiting[own].push(operation.letter().unwrap().0);
    }
    if operation == Operation::Connect {
        // It may have died before they had found each other.
        let _ = first.is_connected().unwrap();
        assert!(matches!(first.receive(NOW, Letter::of), Err(Error::Empty | Error::PartnerGone { .. })));
    } else {
        for letter in &waiting[own] {
            assert_eq!(first.receive(NOW, Letter::of).unwrap(), letter.as_read());
        }
        assert!(!first.is_connected().unwrap());
        assert!(matches!(first.receive(NOW, Letter::of), Err(Error::PartnerGone { .. })));
    }
    assert!(matches!(first.receive(NOW, Letter::of), Err(Error::Empty)));
    let third = open(&name);
    connect(&first, &third);
    talk(&first, &third);
}

fn open(name: &str) -> Peer {
    Peer::open(name, RING as u64, Scope::Local).unwrap()
}

fn connect(first: &Peer, second: &Peer) {
    let start = Instant::now();
    while [first, second].map(|side| side.is_connected().unwrap()) != [true; 2] {
        assert!(start.elapsed() < LIMIT, "the sides don't find each other");
        thread::yield_now();
    }
}

/// Lets two sides go on in a copy of the memory.
fn go_on_in_a_copy(bytes: &[u8]) {
    let name = Name::new();
    let copy: Segment = Options::new(&name).create(SIZE as u64).unwrap();
    copy.write(0, bytes).unwrap();
    let (first, second) = (open(&name), open(&name));
    connect(&first, &second);
    talk(&first, &second);
}

/// Lets both sides send a message. There is no other one.
fn talk(first: &Peer, second: &Peer) {
    for (from, to) in [(first, second), (second, first)] {
        let letter = Letter::new(7, 100);
        from.send(&letter.message(), NOW).unwrap();
        assert_eq!(to.receive(NOW, Letter::of).unwrap(), letter.as_read());
    }
}

/// Returns the messages in a lane, each with the number of a request. Checks the marks.
fn letters_in(lane: &[u8]) -> Vec<(Raw, Option<u64>)> {
    let (tail, mut head) = (u64_at(lane, 0), u64_at(lane, HEAD));
    assert!(head <= tail && tail - head <= RING as u64, "{head} to {tail}");
    let mut records = 0;
    let mut letters = Vec::new();
    let count = |line: usize, position: u64| {
        let mut pairs = [0, 16].into_iter().map(|pair| line + COUNTS + pair);
        let pair = pairs.find(|pair| u64_at(lane, *pair) == position);
        u64_at(lane, pair.unwrap_or_else(|| panic!("there is no count of {position}")) + 8)
    };
    let waiting = count(0, tail) - count(HEAD, head);
    while head != tail {
        let offset = (head % RING as u64) as usize;
        let record = &lane[RING_AT + offset..];
        let left = RING - offset;
        if u32_at(record, 0) == PADDING {
            head += left as u64;
            continue;
        }
        let (size, tag) = (u32_at(record, 0) as usize, u32_at(record, 4));
        let need = 8 + size.next_multiple_of(8);
        assert!(need as u64 <= tail - head && need <= left, "a record of {size} bytes");
        letters.extend(letter_in(&record[8..8 + size], tag));
        head += need as u64;
        records += 1;
    }
    assert_eq!(records, waiting, "the counts");
    letters
}

/// Returns the message in a record, if it isn't a mark.
fn letter_in(content: &[u8], tag: u32) -> Option<(Raw, Option<u64>)> {
    if tag == 0 {
        assert_eq!(content.len(), 16, "a mark");
        assert_ne!(u64_at(content, 0), 0, "its writer");
        return None;
    }
    let (shape, content) = content.split_at(if matches!(tag & 0xFF, 3 | 4) { 16 } else { 0 });
    if tag & REQUEST == 0 {
        return Some(((tag, shape.to_vec(), content.to_vec()), None));
    }
    let raw = (tag & !REQUEST, shape.to_vec(), content[8..].to_vec());
    Some((raw, Some(u64_at(content, 0))))
}
