//! The marks of a pair. No message reaches another partner than the one it was sent to, and none of a
//! partner's is lost. Two sides that live always find each other. A side sends nothing to a dead partner if
//! the mark of the next one is behind the messages that wait.
//!
//! The decisions are those of the crate itself (`handshake.rs`). A step takes a record out, or puts one in. A
//! side may die between any two steps, and another process then joins in its place.

#[allow(dead_code, unreachable_pub, reason = "the model needs a part of the file")]
#[path = "../../../src/layout/native/handshake.rs"]
mod handshake;

use self::handshake::{Handshake, Mark};
use super::{Steps, explore, more, must_fail, must_hold};

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    None,
    DropWhileJoining,
    AnswerWhileJoining,
    AnswerAnswers,
    JoinByAnAnswerOnly,
    SendBehindTheAnswer,
    PassMarksWithoutRoom,
    /// Sends to a partner whose messages wait, without a look behind them.
    SendWithoutALook,
    /// Ends a partner at once that was found dead, whose messages wait.
    EndWhileMessagesWait,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Record {
    Mark(Mark),
    /// The number of the message among those from one side to another.
    Message {
        from: u64,
        to: u64,
        number: u8,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Side {
    handshake: Handshake,
    is_announced: bool,
    /// The partner that was found dead before all of its messages were received; 0: none.
    dead: u64,
    sent: u8,
    received: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    /// The ring that each side writes.
    rings: [Vec<Record>; 2],
    sides: [Option<Side>; 2],
    /// The number of the next side that joins.
    next: u64,
    messages: u8,
}

struct Bounds {
    sides: u64,
    messages: u8,
    room: usize,
    without: Rule,
}

const WRONG: &str = "a message reached another partner";
const LOST: &str = "a message was lost";
const APART: &str = "the sides don't find each other";
const TO_DEAD: &str = "a message was sent to a dead partner";

/// Writes a record. Returns false if there is no room.
fn put(state: &mut State, side: usize, record: Record, bounds: &Bounds) -> bool {
    let has_room = state.rings[side].len() < bounds.room;
    if has_room {
        state.rings[side].push(record);
    }
    has_room
}

impl Side {
    /// Returns the partner for whom messages may be sent.
    fn open(&self, bounds: &Bounds) -> u64 {
        let is_early = bounds.without == Rule::SendBehindTheAnswer;
        let partner = if is_early { self.handshake.partner } else { self.handshake.open() };
        if partner == self.dead { 0 } else { partner }
    }

    fn end_partner(&mut self) {
        self.handshake.end_partner();
        self.dead = 0;
    }

    fn note_death(&mut self, bounds: &Bounds) {
        if bounds.without == Rule::EndWhileMessagesWait {
            self.end_partner();
        } else {
            self.dead = self.handshake.partner;
        }
    }
}

/// Returns whether the mark of another partner is in the ring that a side receives.
fn has_border(state: &State, index: usize) -> bool {
    let Some(side) = &state.sides[index] else { return false };
    let is_border =
        |record: &Record| matches!(record, Record::Mark(mark) if side.handshake.ends_partner(*mark));
    state.rings[1 - index].iter().any(is_border)
}

/// Does the next step of a side that receives. Returns false if there is nothing to do.
fn advance(state: &mut State, index: usize, bounds: &Bounds) -> Result<bool, &'static str> {
    let mut side = state.sides[index].clone().unwrap();
    let own = side.handshake.own;
    let is_done = if !side.is_announced && put(state, index, Record::Mark(Mark { from: own, to: 0 }), bounds)
    {
        side.is_announced = true;
        true
    } else if side.is_announced
        && let Some(answer) = side.handshake.answer()
        && put(state, index, Record::Mark(answer), bounds)
    {
        side.handshake.note_answer();
        true
    } else {
        let is_due = !side.is_announced || side.handshake.answer().is_some();
        let waits_for_room = is_due && bounds.without == Rule::PassMarksWithoutRoom;
        !waits_for_room && take(state, index, &mut side, bounds)?
    };
    state.sides[index] = Some(side);
    Ok(is_done)
}

/// Takes the next record out.
fn take(state: &mut State, index: usize, side: &mut Side, bounds: &Bounds) -> Result<bool, &'static str> {
    let own = side.handshake.own;
    let Some(record) = state.rings[1 - index].first().cloned() else {
        // The lock of the other side is free, or was so, and then nothing is there.
        let partner = side.handshake.partner;
        let has_ended = partner != 0 && (state.sides[1 - index].is_none() || side.dead == partner);
        if has_ended {
            side.end_partner();
        }
        return Ok(has_ended);
    };
    match record {
        Record::Message { .. } if side.handshake.is_joining && bounds.without != Rule::DropWhileJoining => {}
        Record::Message { from, to, number } => {
            if (from, to) != (side.handshake.partner, own) {
                return Err(WRONG);
            }
            if number != side.received {
                return Err(LOST);
            }
            side.received += 1;
        }
        Record::Mark(mark) if side.handshake.ends_partner(mark) => {
            side.end_partner();
            return Ok(true);
        }
        Record::Mark(mark) => pass(side, mark, bounds),
    }
    state.rings[1 - index].remove(0);
    Ok(true)
}

fn pass(side: &mut Side, mark: Mark, bounds: &Bounds) {
    let before = side.handshake;
    let handshake = &mut side.handshake;
    let mut is_found = handshake.pass(mark);
    let is_omitted = match bounds.without {
        Rule::AnswerWhileJoining => before.is_joining && mark.to == 0,
        Rule::AnswerAnswers => mark.to != 0,
        _ => false,
    };
    if is_omitted {
        handshake.due = before.due;
    }
    if bounds.without == Rule::JoinByAnAnswerOnly && mark.to == 0 && before.is_joining {
        (handshake.is_joining, handshake.partner, is_found) = (false, mark.from, true);
    }
    if is_found {
        (side.sent, side.received) = (0, 0);
    }
}

/// Sends a message, if there is room, and if the partner isn't found dead first.
fn send(mut state: State, index: usize, bounds: &Bounds) -> Result<State, &'static str> {
    let is_replaced = has_border(&state, index);
    let side = state.sides[index].as_mut().unwrap();
    if is_replaced && bounds.without != Rule::SendWithoutALook {
        side.note_death(bounds);
        return Ok(state);
    }
    let message = Record::Message { from: side.handshake.own, to: side.open(bounds), number: side.sent };
    if put(&mut state, index, message, bounds) {
        if is_replaced {
            return Err(TO_DEAD);
        }
        state.messages += 1;
        state.sides[index].as_mut().unwrap().sent += 1;
    }
    Ok(state)
}

fn next(bounds: &Bounds, state: &State, steps: &mut Steps<State>) -> Result<(), &'static str> {
    check_convergence(state.clone(), bounds)?;
    for index in 0..2 {
        let Some(side) = &state.sides[index] else {
            if state.next <= bounds.sides {
                let mut joined = state.clone();
                joined.sides[index] = Some(Side {
                    handshake: Handshake::new(state.next),
                    is_announced: false,
                    dead: 0,
                    sent: 0,
                    received: 0,
                });
                joined.next += 1;
                steps.push((["0 joins", "1 joins"][index], joined));
            }
            continue;
        };
        let mut dead = state.clone();
        dead.sides[index] = None;
        steps.push((["0 dies", "1 dies"][index], dead));
        let mut advanced = state.clone();
        if advance(&mut advanced, index, bounds)? {
            steps.push((["0 receives", "1 receives"][index], advanced));
        }
        if state.sides[1 - index].is_none() && side.dead != side.handshake.partner {
            let mut found = state.clone();
            found.sides[index].as_mut().unwrap().note_death(bounds);
            steps.push((["0 finds it dead", "1 finds it dead"][index], found));
        }
        if side.open(bounds) != 0 && state.messages < bounds.messages {
            steps.push((["0 sends", "1 sends"][index], send(state.clone(), index, bounds)?));
        }
    }
    Ok(())
}

/// Checks that two sides that live are connected once both have received all that is there.
fn check_convergence(mut state: State, bounds: &Bounds) -> Result<(), &'static str> {
    if state.sides.iter().any(Option::is_none) {
        return Ok(());
    }
    loop {
        let is_busy = [advance(&mut state, 0, bounds)?, advance(&mut state, 1, bounds)?];
        if is_busy == [false; 2] {
            break;
        }
    }
    let [Some(first), Some(second)] = &state.sides else { return Ok(()) };
    let is_partner = |one: &Side, other: &Side| {
        let own = other.handshake.own;
        !one.handshake.is_joining && one.handshake.partner == own && one.open(bounds) == own
    };
    if is_partner(first, second) && is_partner(second, first) { Ok(()) } else { Err(APART) }
}

fn run(without: Rule) -> Result<usize, super::Fault> {
    let bounds = Bounds { sides: 4 + u64::from(more()), messages: 4 + more(), room: 2, without };
    let initial = State { rings: [Vec::new(), Vec::new()], sides: [None, None], next: 1, messages: 0 };
    explore(initial, |state, steps| next(&bounds, state, steps))
}

#[test]
fn messages_reach_the_partner_they_were_sent_to() {
    must_hold("the marks of a pair", run(Rule::None));
    for (rule, faults) in [
        (Rule::DropWhileJoining, &[WRONG][..]),
        (Rule::AnswerWhileJoining, &[APART]),
        (Rule::AnswerAnswers, &[APART]),
        (Rule::JoinByAnAnswerOnly, &[WRONG, LOST, APART]),
        (Rule::SendBehindTheAnswer, &[LOST, WRONG]),
        (Rule::PassMarksWithoutRoom, &[APART]),
        (Rule::SendWithoutALook, &[TO_DEAD]),
        (Rule::EndWhileMessagesWait, &[WRONG, LOST]),
    ] {
        must_fail(rule, faults, run(rule));
    }
}
