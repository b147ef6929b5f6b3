//! The model of a stream.

use std::time::Duration;

use shm_segment::layout::Error;
use shm_segment::layout::native::Stream;
use shm_segment::{OwnerState, Segment, Waited};

use super::letters::{Letter, numbers};
use super::{Call, Partner, Plan, READ_ONLY, Refused, SIDES, is_read_only, word};

/// A side's pin. A side that was refused one asks again after a while, and then may have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pin {
    None,
    Perhaps,
    Held,
}

struct Side {
    segment: Segment,
    stream: Stream,
    seen: u64,
    missed: u64,
    pin: Pin,
    writer: Partner,
}

struct Model<'a> {
    keeper: &'a Segment,
    limit: u64,
    readers: u32,
    writer: Option<usize>,
    newest: Option<Letter>,
    /// The number of the last message, and that before the first one.
    sequence: u64,
    first: u64,
    sides: Vec<Side>,
}

pub(super) fn run(plan: &Plan, keeper: &Segment, open: impl Fn(usize) -> Segment) {
    let (limit, readers) = (u64::from(plan.limit % 2048) + 1, u32::from(plan.count % 4));
    let attach = |segment: &Segment| Stream::attach(segment, limit, readers).unwrap();
    let with = |segment: Segment| Side {
        stream: attach(&segment),
        segment,
        seen: 0,
        missed: 0,
        pin: Pin::None,
        writer: Partner::default(),
    };
    let sides = (0..SIDES).map(|side| with(open(side))).collect();
    let first = word(keeper, 0x28);
    let mut model =
        Model { keeper, limit, readers, writer: None, newest: None, sequence: first, first, sides };
    for (number, at, call, timeout) in plan.calls() {
        match call {
            Call::Reopen => {
                model.end_roles(at);
                model.sides[at] = with(open(at));
            }
            Call::Attach => {
                let Side { segment, stream, .. } = &model.sides[at];
                stream.release(segment);
                let stream = attach(segment);
                let side = &mut model.sides[at];
                (side.stream, side.seen, side.missed, side.writer) = (stream, 0, 0, Partner::default());
                model.end_roles(at);
            }
            call => model.make(number, at, call, timeout),
        }
        model.check_words();
    }
}

impl Model<'_> {
    fn end_roles(&mut self, at: usize) {
        self.writer = self.writer.filter(|writer| *writer != at);
        self.sides[at].pin = Pin::None;
    }

    fn make(&mut self, number: usize, at: usize, call: &Call, timeout: Duration) {
        let Side { segment, stream, .. } = &self.sides[at];
        match call {
            Call::Send { draft, .. } => {
                let (kind, letter, is_valid) = draft.letter(number);
                let result = stream.write(segment, &letter.message(kind));
                let is_too_large = letter.content.len() as u64 > self.limit;
                match result {
                    Err(Error::TooLarge { .. }) => assert!(is_too_large),
                    Err(Error::Invalid { .. }) => assert!(!is_too_large && !is_valid),
                    result => {
                        assert!(!is_too_large && is_valid, "{letter:?}: {result:?}");
                        match result {
                            Ok(()) => {
                                assert!(at != READ_ONLY && self.writer.is_none_or(|writer| writer == at));
                                self.writer = Some(at);
                                self.newest = Some(letter);
                                self.sequence += 1;
                            }
                            Err(error) if is_read_only(&error) => assert_eq!(at, READ_ONLY),
                            Err(Error::RoleTaken { .. }) => {
                                assert!(self.writer.is_some_and(|writer| writer != at));
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            }
            Call::Receive { is_refused, .. } => self.read(at, *is_refused),
            Call::Peek => self.look(at),
            Call::Wait { .. } => {
                let result = stream.wait(segment, timeout, || true);
                let is_new = self.is_new(at);
                let partner = &mut self.sides[at].writer;
                match result {
                    Ok(Waited::Changed) => {
                        assert!(is_new);
                        partner.found();
                    }
                    Ok(Waited::TimedOut) => {
                        assert!(!is_new);
                        if !timeout.is_zero() {
                            partner.missed(None, self.writer.is_some());
                        }
                    }
                    Err(error) => {
                        assert!(!is_new);
                        partner.missed(Some(&error), self.writer.is_some());
                    }
                    other => panic!("{other:?}"),
                }
            }
            Call::Look | Call::LookAhead { .. } | Call::TakeOut { .. } | Call::Clear => {
                assert_eq!(stream.has_new_data(segment).unwrap(), self.is_new(at));
                assert_eq!(stream.message_count(segment).unwrap(), self.sequence - self.first);
                assert_eq!(
                    (stream.sequence(), stream.missed()),
                    (self.sides[at].seen, self.sides[at].missed)
                );
                let state = match (&self.writer, &self.newest) {
                    (Some(_), _) => OwnerState::Alive,
                    (None, Some(_)) => OwnerState::Dead,
                    (None, None) => OwnerState::Unknown,
                };
                assert_eq!(stream.writer_state(segment).unwrap(), state);
            }
            Call::Release => {
                stream.release(segment);
                self.end_roles(at);
            }
            Call::Reset => {
                let others =
                    |pin: Pin| self.sides.iter().enumerate().any(|(side, it)| side != at && it.pin == pin);
                let is_used = self.writer.is_some_and(|writer| writer != at) || others(Pin::Held);
                match stream.reset(segment) {
                    Ok(()) => {
                        assert!(at != READ_ONLY && !is_used);
                        self.end_roles(at);
                        (self.newest, self.first) = (None, self.sequence);
                        // It had all of them. But a side that got none lately may not try again yet.
                        for side in self.sides.iter_mut().filter(|side| side.pin == Pin::Held) {
                            side.pin = Pin::None;
                        }
                    }
                    // The side keeps its roles.
                    Err(Error::RoleTaken { .. }) => assert!(is_used || others(Pin::Perhaps)),
                    Err(error) => assert!(at == READ_ONLY && is_read_only(&error), "{error}"),
                }
            }
            Call::Spoil { tag, shape, .. } => {
                let Some(newest) = &mut self.newest else { return };
                let slot = word(self.keeper, 0x100) & 0xFF;
                let stride = 128 + self.limit.next_multiple_of(128);
                let slot = 384 + 128 * u64::from(self.readers) + slot * stride;
                (newest.tag, newest.shape) = (u32::from_le_bytes(*tag), numbers(*shape));
                self.keeper.write(slot + 0x18, tag).unwrap();
                for (field, number) in (0..).zip(newest.shape) {
                    self.keeper.write(slot + 0x20 + 4 * field, &number.to_le_bytes()).unwrap();
                }
            }
            Call::Attach | Call::Reopen => unreachable!(),
        }
    }

    fn is_new(&self, at: usize) -> bool {
        self.newest.is_some() && self.sides[at].seen != self.sequence
    }

    fn read(&mut self, at: usize, is_refused: bool) {
        let Side { segment, stream, .. } = &self.sides[at];
        let result = stream.read(segment, |message| {
            if is_refused { Err(Refused::Here) } else { Letter::of(message).map_err(Refused::Layout) }
        });
        self.ask_for_pin(at);
        let expected = self.newest.as_ref().map(Letter::read);
        let is_read = match (result, expected) {
            (Ok(letter), Some(Some(expected))) => {
                assert_eq!(letter, expected);
                true
            }
            (Err(Refused::Here), Some(Some(_))) => false,
            (Err(Refused::Layout(Error::Invalid { .. })), Some(None)) => true,
            (Err(Refused::Layout(Error::Empty)), None) => false,
            (result, expected) => panic!("{result:?} instead of {expected:?}"),
        };
        if is_read {
            let side = &mut self.sides[at];
            if side.seen != 0 && self.sequence > side.seen {
                side.missed += self.sequence - side.seen - 1;
            }
            side.seen = self.sequence;
        }
    }

    fn ask_for_pin(&mut self, at: usize) {
        if at == READ_ONLY || self.sides[at].pin != Pin::None {
            return;
        }
        let count = |pin: Pin| self.sides.iter().filter(|side| side.pin == pin).count() as u32;
        let is_free = count(Pin::Held) + count(Pin::Perhaps) < self.readers;
        self.sides[at].pin = if is_free { Pin::Held } else { Pin::Perhaps };
    }

    fn look(&self, at: usize) {
        let Side { segment, stream, .. } = &self.sides[at];
        let (newest, age) = (stream.newest(segment), stream.age(segment));
        match &self.newest {
            None => assert!(matches!((newest, age), (Err(Error::Empty), Err(Error::Empty)))),
            Some(letter) => {
                assert!(age.unwrap().is_some());
                match (newest, letter.read()) {
                    (Ok(newest), Some(letter)) => {
                        let found = (newest.sequence, newest.length, newest.descriptor.shape);
                        assert_eq!(found, (self.sequence, letter.content.len() as u64, letter.shape));
                    }
                    (Err(Error::Invalid { .. }), None) => {}
                    (newest, letter) => panic!("{newest:?} instead of {letter:?}"),
                }
            }
        }
    }

    /// Checks the words that the format promises between two calls.
    fn check_words(&self) {
        let sequence = if self.newest.is_some() { self.sequence } else { 0 };
        assert_eq!(word(self.keeper, 0x100) >> 8, sequence);
        assert_eq!(word(self.keeper, 0x28), self.first);
        for reader in 0..u64::from(self.readers) {
            assert_eq!(self.keeper.load_u32(0x180 + 128 * reader).unwrap(), 0, "no read leaves a pin");
        }
    }
}
