//! Pairs whose sides come, go and die, compared with a model, which is written from `docs/FORMAT.md` and from
//! the promises of [`Peer`].

mod model;
mod rings;

use std::thread;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use shm_segment::layout::Error;
use shm_segment::layout::native::{Kind, Peer};
use shm_segment::{Options, Scope, Segment, Waited};

use self::model::{End, Model};
use crate::native::letters::{Draft, Letter, numbers};
use crate::planted::NO_WAIT;
use crate::scratch::{Scratch, in_bounded_time};

/// The size of the rings, and the calls of the sides.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    ring: u8,
    /// The number of laps over all calls, less one. After some laps, a ring begins again.
    laps: u8,
    calls: Vec<(bool, Call)>,
}

#[derive(Debug, Arbitrary)]
enum Call {
    Open,
    Close,
    /// Ends without telling anybody, perhaps in the middle of a message.
    Die {
        junk: u16,
    },
    Send {
        draft: Draft,
        wait: bool,
    },
    Receive {
        wait: bool,
        is_refused: bool,
    },
    Event,
    /// A request that nobody answers in time.
    Request {
        draft: Draft,
    },
    /// A request that the other side receives and answers.
    Exchange {
        request: u8,
        answer: u8,
    },
    IsConnected,
    Wait,
    WaitConnected,
    /// Counts, and counts again while the tail is further back, where a hostile program may store it.
    Count {
        back: u8,
    },
    /// Stores another tag and shape into the last message, as a newer or a hostile program may.
    Spoil {
        tag: [u8; 4],
        shape: [u8; 4],
    },
}

/// A wait that takes its time.
const SHORT: Duration = Duration::from_micros(50);
/// Less than the time after which a side that sends looks at its partner.
const LOOKS: Duration = Duration::from_millis(80);
/// A wait that ends before that.
const LONG: Duration = Duration::from_secs(1);

/// The reason why a receiver takes no message.
#[derive(Debug)]
enum Refused {
    /// It didn't want to.
    Here,
    Layout(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Layout(error)
    }
}

impl From<Box<Error>> for Refused {
    fn from(error: Box<Error>) -> Self {
        Self::Layout(*error)
    }
}

/// The real sides, and the model.
struct Pair<'a> {
    start: Instant,
    name: &'a str,
    sides: [Option<Peer>; 2],
    model: Model<'a>,
}

impl Plan {
    /// Runs the plan.
    pub fn run(self) {
        let scratch = Scratch::new("pairs");
        let ring = 64 << (self.ring % 6);
        let size = length(ring);
        // The name stays, whichever side closes.
        let keeper = Options::new(&scratch.name).create(size).unwrap();
        lay_out(&keeper, ring);
        in_bounded_time(|| {
            let model = Model::new(&keeper, ring);
            let start = Instant::now();
            let mut pair = Pair { start, name: &scratch.name, sides: [None, None], model };
            let laps = usize::from(self.laps % 8) + 1;
            let calls = (0..laps).flat_map(|lap| self.calls.iter().take(64).map(move |call| (lap, call)));
            for (number, (lap, (side, call))) in calls.enumerate() {
                // A sleep takes long on a busy machine, so there is none in the further laps.
                pair.make(number, usize::from(*side), call, if lap == 0 { SHORT } else { NO_WAIT });
                pair.model.check_words();
            }
            // That takes a while, so it isn't tried each time.
            if self.laps >= 250 && pair.sides.iter().all(Option::is_some) {
                let third = Peer::open(&scratch.name, 4096, Scope::Local);
                assert!(matches!(third, Err(Error::BothSidesTaken)), "{third:?}");
            }
        });
    }
}

/// Returns the bytes of a pair.
fn length(ring: u64) -> u64 {
    256 + 2 * (256 + ring)
}

/// Lays memory out with rings that are shorter than those that a side makes.
pub(crate) fn lay_out(keeper: &Segment, ring: u64) {
    let words = [(8, 128 << 32 | 3), (0x10, length(ring)), (0x18, 77), (0x30, 2), (0x38, ring)];
    for (at, word) in words {
        keeper.store_u64(at, word).unwrap();
    }
    keeper.store_u64(0, u64::from_le_bytes(*b"GSM1\x01\0\0\0")).unwrap();
}

/// Returns the result of a call as the model has it.
fn outcome<T>(result: Result<T, Error>) -> Result<T, End> {
    result.map_err(|error| match error {
        Error::Empty | Error::WaitTimedOut { .. } => End::Nothing,
        Error::PartnerGone { .. } => End::Gone,
        Error::NotConnected => End::NotConnected,
        Error::NoRoom => End::Full,
        Error::Invalid { layout: "native message", .. } => End::Invalid,
        Error::TooLarge { .. } => End::TooLarge,
        error => panic!("{error}"),
    })
}

fn of_refused<T>(result: Result<T, Refused>) -> Result<T, End> {
    match result {
        Ok(value) => Ok(value),
        Err(Refused::Here) => Err(End::Refused),
        Err(Refused::Layout(error)) => outcome(Err(error)),
    }
}

/// Looks at the partner. A wait may have done so, or not: that depends on the time.
fn catch_up(peer: &Peer, model: &mut Model<'_>, at: usize) {
    assert_eq!(peer.is_connected().unwrap(), model.is_connected(at));
}

/// Counts messages while the tail is this far before the end of those that were just counted.
fn count_back(peer: &Peer, model: &mut Model<'_>, at: usize, back: u64) {
    let Some(counted) = model.counted(at) else { return };
    let tail = counted.end.saturating_sub(back);
    if (counted.head..counted.first_end).contains(&tail) {
        // The first message isn't whole. That stays an error.
        return;
    }
    let is_invalid = |error: &Error| matches!(error, Error::Invalid { layout: "native pair", .. });
    model.with_tail(at, tail, || {
        let (count, available, connected) = (peer.count(), peer.available(), peer.is_connected());
        if tail == counted.end {
            assert_eq!((count.unwrap(), connected.unwrap()), (counted.messages, counted.is_connected));
        } else {
            assert!(count.as_ref().is_err_and(is_invalid), "{count:?}");
            assert!(connected.as_ref().is_err_and(is_invalid), "{connected:?}");
        }
        match tail.checked_sub(counted.head) {
            Some(bytes) if tail.is_multiple_of(8) => {
                assert_eq!(available.unwrap(), bytes + counted.kept_bytes)
            }
            _ => assert!(available.as_ref().is_err_and(is_invalid), "{available:?}"),
        }
    });
    assert_eq!(peer.count().unwrap(), model.count(at));
}

impl Pair<'_> {
    fn make(&mut self, number: usize, at: usize, call: &Call, short: Duration) {
        let Some(peer) = &self.sides[at] else {
            if matches!(call, Call::Open) {
                // The lowest side that is free, whichever variable it is for.
                let at = usize::from(self.sides[0].is_some());
                self.sides[at] = Some(Peer::open(self.name, 4096, Scope::Local).unwrap());
                self.model.open(at);
            }
            return;
        };
        let model = &mut self.model;
        let timeout = |wait: bool| if wait { short } else { NO_WAIT };
        // A side that sends looks at its partner after some time.
        if self.start.elapsed() > LOOKS {
            catch_up(peer, model, at);
        }
        match call {
            Call::Open => {}
            Call::Close => {
                self.sides[at] = None;
                model.close(at);
            }
            Call::Die { junk } => {
                self.sides[at] = None;
                model.close(at);
                model.leave_junk(at, (*junk).into());
            }
            Call::Send { draft, wait } => {
                let (kind, letter, is_valid) = draft.letter(number);
                let sent = outcome(peer.send(&letter.message(kind), timeout(*wait)));
                model.sent(at, &letter, is_valid, sent, *wait && !short.is_zero());
                catch_up(peer, model, at);
            }
            Call::Receive { wait, is_refused } => {
                let result = peer.receive(timeout(*wait), |message| {
                    if *is_refused {
                        return Err(Refused::Here);
                    }
                    Letter::of(message).map_err(Refused::Layout)
                });
                let waits = *wait && !short.is_zero();
                model.received(at, *is_refused, of_refused(result), waits);
                catch_up(peer, model, at);
            }
            Call::Event => {
                let event = outcome(peer.next_event(Letter::of));
                assert_eq!(event, model.event(at));
            }
            Call::Request { draft } => {
                let (kind, letter, is_valid) = draft.letter(number);
                let result = outcome(peer.request(&letter.message(kind), NO_WAIT, Letter::of));
                assert_eq!(result.map(drop), Err(model.request(at, &letter, is_valid)));
            }
            Call::Exchange { request, answer } => self.exchange(at, (*request).into(), (*answer).into()),
            Call::IsConnected => assert_eq!(peer.is_connected().unwrap(), model.is_connected(at)),
            Call::Wait => {
                let has_something = peer.wait(NO_WAIT).unwrap() == Waited::Changed;
                assert_eq!(has_something, model.has_something(at));
            }
            Call::WaitConnected => {
                let is_connected = peer.wait_connected(NO_WAIT).unwrap() == Waited::Changed;
                assert_eq!(is_connected, model.look_at_partner(at));
            }
            Call::Count { back } => {
                assert_eq!(peer.count().unwrap(), model.count(at));
                assert_eq!(peer.available().unwrap(), model.available(at));
                assert_eq!(peer.late_answers().unwrap(), model.late_answers(at));
                // Mostly words. After the end of the input, all numbers are 0.
                count_back(peer, model, at, u64::from(back.wrapping_add(2)) * 4);
            }
            Call::Spoil { tag, shape } => model.spoil(at, *tag, numbers(*shape)),
        }
    }

    /// Lets one side ask the other one, in another thread, if both can send then.
    fn exchange(&mut self, at: usize, request: usize, answer: usize) {
        let [Some(asker), Some(other)] = [&self.sides[at], &self.sides[1 - at]] else { return };
        let of = |length: usize, seed: usize| Letter {
            tag: 1,
            shape: [0; 4],
            content: (0..length).map(|index| (index + seed) as u8).collect(),
        };
        let (question, reply) = (of(request % 64, 7), of(answer % 64, 50));
        // All that was sent before is out of the way, and both sides know each other.
        for _ in 0..3 {
            for (side, peer) in [(at, asker), (1 - at, other)] {
                loop {
                    let event = outcome(peer.next_event(Letter::of));
                    assert_eq!(event, self.model.event(side));
                    if event == Ok(None) {
                        break;
                    }
                }
            }
        }
        if !self.model.can_exchange(at, &question, &reply) {
            return;
        }
        let message = |letter: &Letter| letter.content.clone();
        let answered = thread::scope(|scope| {
            let asking = scope.spawn(|| asker.request(&question.message(Kind::Bytes), LONG, Letter::of));
            let received = outcome(other.receive(LONG, Letter::of)).unwrap();
            assert_eq!(message(&received), message(&question));
            other.send(&reply.message(Kind::Bytes), LONG).unwrap();
            asking.join().unwrap().unwrap()
        });
        assert_eq!(message(&answered), message(&reply));
        self.model.exchanged(at, &question, &reply);
        assert_eq!(asker.late_answers().unwrap(), self.model.late_answers(at));
    }
}
