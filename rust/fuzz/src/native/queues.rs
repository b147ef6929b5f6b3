//! The model of a queue.

use std::collections::VecDeque;
use std::time::Duration;

use shm_segment::layout::Error;
use shm_segment::layout::native::{Filled, Place, Queue};
use shm_segment::{Segment, Waited};

use super::letters::{Letter, numbers};
use super::{Call, Partner, Plan, READ_ONLY, Refused, SIDES, is_read_only, word};

struct Side {
    segment: Segment,
    queue: Queue,
    consumer: Partner,
    producers: Partner,
}

/// A message in a ring: its tag, its shape and content, and the position behind it.
struct Record {
    tag: u32,
    bytes: Vec<u8>,
    end: u64,
}

#[derive(Default)]
struct Lane {
    owner: Option<usize>,
    head: u64,
    tail: u64,
    put: u64,
    taken: u64,
    records: VecDeque<Record>,
}

struct Model<'a> {
    keeper: &'a Segment,
    ring: u64,
    lanes: Vec<Lane>,
    consumer: Option<usize>,
    /// The lane that the consumer serves next.
    next: usize,
    sides: Vec<Side>,
}

fn has_shape(tag: u32) -> bool {
    matches!(tag & 0xFF, 3 | 4)
}

impl Record {
    fn needed(&self) -> u64 {
        8 + (self.bytes.len() as u64).next_multiple_of(8)
    }

    /// Returns the message as a reader must get it; `None` if it can't read it.
    fn read(&self) -> Option<Letter> {
        let (mut shape, mut content) = ([0; 4], &self.bytes[..]);
        if has_shape(self.tag) {
            let (numbers, rest) = content.split_first_chunk::<16>()?;
            for (number, bytes) in shape.iter_mut().zip(numbers.chunks_exact(4)) {
                *number = u32::from_le_bytes(bytes.try_into().unwrap());
            }
            content = rest;
        }
        Letter { tag: self.tag, shape, content: content.to_vec() }.read()
    }
}

fn shape_bytes(shape: [u32; 4]) -> Vec<u8> {
    shape.iter().flat_map(|number| number.to_le_bytes()).collect()
}

pub(super) fn run(plan: &Plan, keeper: &Segment, open: impl Fn(usize) -> Segment) {
    let (ring, producers) = (64 << (plan.limit % 6), u32::from(plan.count % 4) + 1);
    let attach = |segment: &Segment| Queue::attach(segment, ring, producers).unwrap();
    let with = |segment: Segment| Side {
        queue: attach(&segment),
        segment,
        consumer: Partner::default(),
        producers: Partner::default(),
    };
    let sides = (0..SIDES).map(|side| with(open(side))).collect();
    let lanes = (0..producers).map(|_| Lane::default()).collect();
    let mut model = Model { keeper, ring, lanes, consumer: None, next: 0, sides };
    for (number, at, call, timeout) in plan.calls() {
        match call {
            Call::Reopen => {
                model.end_roles(at);
                model.sides[at] = with(open(at));
            }
            Call::Attach => {
                let Side { segment, queue, .. } = &model.sides[at];
                queue.release(segment);
                let queue = attach(segment);
                let side = &mut model.sides[at];
                (side.queue, side.consumer, side.producers) = (queue, Partner::default(), Partner::default());
                model.end_roles(at);
            }
            call => model.make(number, at, call, timeout),
        }
        model.check_words();
    }
}

impl Model<'_> {
    fn end_roles(&mut self, at: usize) {
        self.lanes.iter_mut().for_each(|lane| lane.owner = lane.owner.filter(|owner| *owner != at));
        self.consumer = self.consumer.filter(|consumer| *consumer != at);
    }

    fn make(&mut self, number: usize, at: usize, call: &Call, timeout: Duration) {
        let Side { segment, queue, .. } = &self.sides[at];
        match call {
            Call::Send { draft, .. } => {
                let (kind, letter, is_valid) = draft.letter(number);
                let result = queue.enqueue(segment, &letter.message(kind), timeout, || true);
                self.sent(at, letter, is_valid, result);
            }
            Call::Receive { is_refused, .. } => {
                let result = queue.dequeue(
                    segment,
                    timeout,
                    || true,
                    |message| {
                        if *is_refused {
                            Err(Refused::Here)
                        } else {
                            Letter::of(message).map_err(Refused::Layout)
                        }
                    },
                );
                self.received(at, result, timeout);
            }
            Call::Peek => {
                let result = queue.peek(segment, Letter::of);
                let from = if self.consumer == Some(at) { self.next } else { 0 };
                match (result, self.first(from).map(|lane| self.lanes[lane].records[0].read())) {
                    (Ok(letter), Some(Some(expected))) => assert_eq!(letter, expected),
                    (Err(Error::Invalid { .. }), Some(None)) | (Err(Error::Empty), None) => {}
                    (result, expected) => panic!("{result:?} instead of {expected:?}"),
                }
            }
            Call::LookAhead { most } => drop(self.look_ahead(at, usize::from(*most) % 16 + 1)),
            Call::TakeOut { number } => self.take_out(at, (*number).into()),
            Call::Wait { .. } => {
                let result = queue.wait(segment, timeout, || true);
                if !self.is_consumer(at, result.as_ref().err()) {
                    return;
                }
                let (is_there, has_message) = (self.has_producer(), self.first(0).is_some());
                let partner = &mut self.sides[at].producers;
                match result {
                    Ok(Waited::Changed) => {
                        assert!(has_message);
                        partner.found();
                    }
                    result => {
                        assert!(!has_message, "{result:?}");
                        assert!(!matches!(result, Ok(Waited::Stopped)));
                        if !timeout.is_zero() {
                            partner.missed(result.as_ref().err(), is_there);
                        }
                    }
                }
            }
            Call::Look => {
                let sum = |of: fn(&Lane) -> u64| self.lanes.iter().map(of).sum();
                let expected = Filled {
                    messages: sum(|lane| lane.records.len() as u64),
                    bytes: sum(|lane| lane.tail - lane.head),
                    put: sum(|lane| lane.put),
                };
                assert_eq!(queue.filled(segment).unwrap(), expected);
                assert_eq!(queue.has_consumer(segment).unwrap(), self.consumer.is_some());
                assert_eq!(queue.has_producer(segment).unwrap(), self.has_producer());
            }
            Call::Clear => {
                let result = queue.clear(segment);
                if self.is_consumer(at, result.as_ref().err()) {
                    result.unwrap();
                    for lane in &mut self.lanes {
                        lane.head = lane.tail;
                        lane.taken += lane.records.drain(..).count() as u64;
                    }
                }
            }
            Call::Release => {
                queue.release(segment);
                self.end_roles(at);
            }
            Call::Reset => {
                let is_other = |holder: Option<usize>| holder.is_some_and(|holder| holder != at);
                let is_used = self.lanes.iter().any(|lane| is_other(lane.owner)) || is_other(self.consumer);
                match queue.reset(segment) {
                    Ok(()) => {
                        assert!(at != READ_ONLY && !is_used);
                        self.end_roles(at);
                        self.lanes.iter_mut().for_each(|lane| *lane = Lane::default());
                    }
                    // The side keeps its roles.
                    Err(Error::RoleTaken { .. }) => assert!(is_used),
                    Err(error) => assert!(at == READ_ONLY && is_read_only(&error), "{error}"),
                }
            }
            Call::Spoil { lane, tag, shape } => self.spoil((*lane).into(), *tag, numbers(*shape)),
            Call::Attach | Call::Reopen => unreachable!(),
        }
    }

    fn has_producer(&self) -> bool {
        self.lanes.iter().any(|lane| lane.owner.is_some())
    }

    /// Returns the first lane with a message, from one on.
    fn first(&self, from: usize) -> Option<usize> {
        let count = self.lanes.len();
        (0..count).map(|step| (from + step) % count).find(|lane| !self.lanes[*lane].records.is_empty())
    }

    /// Looks at this many messages at most. Returns their places, each with its lane and number there.
    fn look_ahead(&mut self, at: usize, most: usize) -> Vec<(Place, usize, usize)> {
        let Side { segment, queue, .. } = &self.sides[at];
        let mut found = Vec::new();
        let result = queue.look_ahead(segment, |place, message| {
            found.push((place, message.map_or(Ok(None), |message| Letter::of(message).map(Some))?));
            Ok::<_, Error>(found.len() < most)
        });
        if !self.is_consumer(at, result.as_ref().err()) {
            return Vec::new();
        }
        result.unwrap();
        // One of each lane in turn, of those that are not at their end.
        let count = self.lanes.len();
        let lanes = |step: usize| (self.next + step) % count;
        let longest = self.lanes.iter().map(|lane| lane.records.len()).max().unwrap_or(0);
        let turns = (0..longest).flat_map(|number| (0..count).map(move |step| (lanes(step), number)));
        let expected: Vec<_> =
            turns.filter(|(lane, number)| *number < self.lanes[*lane].records.len()).take(most).collect();
        assert_eq!(found.len(), expected.len());
        let pairs = found.into_iter().zip(expected);
        let check = |((place, letter), (lane, number)): ((Place, Option<Letter>), (usize, usize))| {
            assert_eq!(letter, self.lanes[lane].records[number].read());
            (place, lane, number)
        };
        pairs.map(check).collect()
    }

    fn take_out(&mut self, at: usize, number: usize) {
        let places = self.look_ahead(at, usize::MAX);
        let Some((place, lane, in_lane)) = places.get(number % places.len().max(1)) else { return };
        let Side { segment, queue, .. } = &self.sides[at];
        assert_eq!(queue.take_out(segment, *place).unwrap(), *in_lane == 0);
        if *in_lane != 0 {
            return;
        }
        // It is not there any more.
        assert!(!queue.take_out(segment, *place).unwrap());
        let taken = &mut self.lanes[*lane];
        if let Some(record) = taken.records.pop_front() {
            (taken.head, taken.taken) = (record.end, taken.taken + 1);
        }
        self.next = (*lane + 1) % self.lanes.len();
    }

    /// Makes this side the consumer, unless the call rightly failed for want of the role.
    fn is_consumer(&mut self, at: usize, error: Option<&Error>) -> bool {
        match error {
            Some(error) if is_read_only(error) => assert_eq!(at, READ_ONLY),
            Some(Error::RoleTaken { .. }) => assert!(self.consumer.is_some_and(|consumer| consumer != at)),
            _ => {
                assert!(at != READ_ONLY && self.consumer.is_none_or(|consumer| consumer == at));
                if self.consumer.is_none() {
                    (self.consumer, self.next) = (Some(at), 0);
                }
                return true;
            }
        }
        false
    }

    fn sent(&mut self, at: usize, letter: Letter, is_valid: bool, result: Result<(), Error>) {
        let is_too_large = letter.content.len() as u64 > self.ring / 2 - 24;
        match result {
            Err(Error::TooLarge { .. }) => return assert!(is_too_large),
            Err(Error::Invalid { .. }) => return assert!(!is_too_large && !is_valid),
            _ => assert!(!is_too_large && is_valid, "{letter:?}: {result:?}"),
        }
        let own = self.lanes.iter().position(|lane| lane.owner == Some(at));
        let free = self.lanes.iter().position(|lane| lane.owner.is_none());
        match &result {
            Err(error) if is_read_only(error) => return assert_eq!(at, READ_ONLY),
            Err(Error::NoLaneFree { .. }) => return assert!(own.is_none() && free.is_none()),
            _ => assert_ne!(at, READ_ONLY),
        }
        let lane = &mut self.lanes[own.or(free).unwrap()];
        lane.owner = Some(at);
        let mut bytes = if has_shape(letter.tag) { shape_bytes(letter.shape) } else { Vec::new() };
        bytes.extend(letter.content);
        let mut record = Record { tag: letter.tag, bytes, end: 0 };
        let left = self.ring - lane.tail % self.ring;
        let padding = if record.needed() > left { left } else { 0 };
        record.end = lane.tail + padding + record.needed();
        let has_room = record.end - lane.head <= self.ring;
        match result {
            Ok(()) => {
                assert!(has_room);
                (lane.tail, lane.put) = (record.end, lane.put + 1);
                lane.records.push_back(record);
            }
            Err(error) => {
                assert!(!has_room && !lane.records.is_empty(), "{error}");
                if !matches!(error, Error::NoRoom) {
                    self.sides[at].consumer.missed(Some(&error), self.consumer.is_some());
                }
            }
        }
    }

    fn received(&mut self, at: usize, result: Result<Letter, Refused>, timeout: Duration) {
        let error = match &result {
            Err(Refused::Layout(error)) => Some(error),
            _ => None,
        };
        if !self.is_consumer(at, error) {
            return;
        }
        let is_there = self.has_producer();
        let Some(first) = self.first(self.next) else {
            match result {
                Err(Refused::Layout(Error::Empty)) => assert!(timeout.is_zero()),
                Err(Refused::Layout(error)) => self.sides[at].producers.missed(Some(&error), is_there),
                other => panic!("{other:?}"),
            }
            return;
        };
        let lane = &mut self.lanes[first];
        match (result, lane.records[0].read()) {
            (Ok(letter), Some(expected)) => {
                assert_eq!(letter, expected);
                if !timeout.is_zero() {
                    self.sides[at].producers.found();
                }
            }
            (Err(Refused::Layout(Error::Invalid { .. })), None) => {}
            // It stays.
            (Err(Refused::Here), Some(_)) => return,
            (result, expected) => panic!("{result:?} instead of {expected:?}"),
        }
        if let Some(record) = lane.records.pop_front() {
            (lane.head, lane.taken) = (record.end, lane.taken + 1);
        }
        self.next = (first + 1) % self.lanes.len();
    }

    /// Returns the offset of a lane.
    fn lane_at(&self, lane: usize) -> u64 {
        256 + lane as u64 * (256 + self.ring)
    }

    fn spoil(&mut self, lane: usize, tag: [u8; 4], shape: [u32; 4]) {
        let lane = lane % self.lanes.len();
        let at = self.lane_at(lane) + 256;
        let Some(record) = self.lanes[lane].records.back_mut() else { return };
        let at = at + (record.end - record.needed()) % self.ring;
        record.tag = u32::from_le_bytes(tag);
        self.keeper.write(at + 4, &tag).unwrap();
        if let Some(bytes) = record.bytes.first_chunk_mut::<16>() {
            bytes.copy_from_slice(&shape_bytes(shape));
            self.keeper.write(at + 8, bytes).unwrap();
        }
    }

    /// Checks the words that the format promises between two calls.
    fn check_words(&self) {
        for (number, lane) in self.lanes.iter().enumerate() {
            let at = self.lane_at(number);
            let positions = [(at, lane.tail, lane.put), (at + 0x80, lane.head, lane.taken)];
            for (at, position, count) in positions {
                let pair = at + 0x10 + count % 2 * 16;
                let found = (word(self.keeper, at), word(self.keeper, pair), word(self.keeper, pair + 8));
                assert_eq!(found, (position, position, count), "lane {number}");
            }
        }
    }
}
