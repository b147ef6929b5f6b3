//! Native streams and queues between four sides, compared with a model, which is written from
//! `docs/FORMAT.md` alone. The fourth side may only read.

pub(crate) mod letters;
mod queues;
mod streams;

use std::time::Duration;

use arbitrary::Arbitrary;
use shm_segment::layout::Error;
use shm_segment::{Access, Options, Segment};

use crate::planted::NO_WAIT;
use crate::scratch::{Scratch, in_bounded_time};
use letters::Draft;

/// The layout, its numbers, and the calls of the sides.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    is_queue: bool,
    count: u8,
    limit: u16,
    /// The number of laps over all calls, less one. After some laps, a ring begins again.
    laps: u8,
    calls: Vec<(u8, Call)>,
}

#[derive(Debug, Arbitrary)]
enum Call {
    Send {
        draft: Draft,
        wait: bool,
    },
    Receive {
        wait: bool,
        is_refused: bool,
    },
    Peek,
    /// Looks at the messages of a queue up to one of them.
    LookAhead {
        most: u8,
    },
    /// Takes a message of a queue out that was looked at, perhaps not the first of its lane.
    TakeOut {
        number: u8,
    },
    Wait {
        wait: bool,
    },
    Look,
    Clear,
    Release,
    Reset,
    Attach,
    /// Closes the memory without giving the roles back, as a death does, and opens it again.
    Reopen,
    /// Stores another tag and shape into a message, as a newer or a hostile program may.
    Spoil {
        lane: u8,
        tag: [u8; 4],
        shape: [u8; 4],
    },
}

const SIZE: u64 = 16384;
const SIDES: usize = 4;
const READ_ONLY: usize = 3;
/// A wait that takes its time.
const SHORT: Duration = Duration::from_micros(50);

/// The reason why the model's receiver takes no message.
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

/// A side's knowledge of its partner, which decides whether a wait ends with `PartnerGone`.
#[derive(Debug, Clone, Copy, Default)]
struct Partner {
    may_be_known: bool,
}

impl Partner {
    fn found(&mut self) {
        self.may_be_known = true;
    }

    /// Checks that a wait that found nothing may have ended like this.
    fn missed(&mut self, error: Option<&Error>, is_there: bool) {
        match error {
            None | Some(Error::WaitTimedOut { .. }) => self.may_be_known |= is_there,
            Some(Error::PartnerGone { .. }) => {
                assert!(self.may_be_known && !is_there, "a partner has gone that was never there");
                self.may_be_known = false;
            }
            Some(error) => panic!("{error}"),
        }
    }
}

impl Plan {
    /// Runs the plan.
    pub fn run(self) {
        let scratch = Scratch::new("native");
        let keeper = Options::new(&scratch.name).create(SIZE).unwrap();
        let open = |side: usize| {
            let access = if side == READ_ONLY { Access::ReadOnly } else { Access::ReadWrite };
            Options::new(&scratch.name).open(0, access).unwrap()
        };
        in_bounded_time(|| {
            if self.is_queue {
                queues::run(&self, &keeper, open);
            } else {
                streams::run(&self, &keeper, open);
            }
        });
    }

    /// Returns the number of each call, its side, the call, and the timeout of a call that waits.
    fn calls(&self) -> impl Iterator<Item = (usize, usize, &Call, Duration)> {
        let laps = usize::from(self.laps % 8) + 1;
        let calls = move |lap| self.calls.iter().take(64).map(move |call| (lap, call));
        (0..laps).flat_map(calls).enumerate().map(|(number, (lap, (side, call)))| {
            let waits = match call {
                Call::Send { wait, .. } | Call::Receive { wait, .. } | Call::Wait { wait } => *wait,
                _ => false,
            };
            // A sleep takes long on a busy machine, so there is none in the further laps.
            let timeout = if waits && lap == 0 { SHORT } else { NO_WAIT };
            (number, usize::from(*side) % SIDES, call, timeout)
        })
    }
}

fn is_read_only(error: &Error) -> bool {
    matches!(error, Error::Segment(shm_segment::Error::ReadOnly { .. }))
}

fn word(keeper: &Segment, at: u64) -> u64 {
    keeper.load_u64(at).unwrap()
}
