//! `latest`: slots and pins, with a writer and readers that die at any step and are replaced.

use super::{Steps, explore, more, must_fail, must_hold};

/// The values of a pin.
const FREE: u8 = 0;
const ASKING: u8 = 1;
const FIRST_SLOT: u8 = 2;

const MOST_READERS: usize = 2;
const MOST_SLOTS: usize = MOST_READERS + 2;

const TORN: &str = "a message is torn";
const STALE: &str = "a message is older than it may be";
const STUCK: &str = "no slot is free";

/// A rule of the protocol that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// The writer gives no pin to a reader that asks.
    Help,
    /// A new writer gives none for the message of the previous one.
    HelpAtTakeOver,
    /// The reader pins the slot that it has found, without asking before.
    Asking,
    /// The reader accepts its pin only for the message that it has found after asking.
    LimitBeforeAsking,
    /// The writer chooses a slot before it helps for the message before.
    ScanAfterHelp,
    /// The reader keeps its pin until the copy is complete.
    PinDuringCopy,
    /// There are two slots more than readers.
    SecondSpareSlot,
    /// The reader clears its pin.
    ClearedPin,
}

#[derive(Debug, Clone, Copy)]
struct Bounds {
    readers: u8,
    publications: u8,
    reads: u8,
    writer_deaths: u8,
    reader_deaths: u8,
    without: Without,
}

impl Bounds {
    fn slots(self) -> u8 {
        self.readers + if self.without == Without::SecondSpareSlot { 1 } else { 2 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Writer {
    TakeOver,
    HelpAfterTakeOver(u8),
    Scan(u8),
    Begin,
    Finish,
    Publish,
    Help(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    TakeRole,
    Look,
    Ask,
    Load,
    Pin,
    Begin,
    Finish,
    Free,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Reader {
    step: Step,
    /// The sequence number that was the newest when the read began, or that was read before.
    oldest: u8,
    /// The newest message that was found after asking: its number and slot.
    found: (u8, u8),
    slot: u8,
    sequence: u8,
    copied: u8,
    left: u8,
}

/// A slot: its sequence number, and the two halves of its content, as the numbers of the write.
type Slot = (u8, u8, u8);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    latest: (u8, u8),
    slots: [Slot; MOST_SLOTS],
    pins: [u8; MOST_READERS],
    writer: Writer,
    /// The writer's own copy of `latest`, the slots in use, and the slot chosen.
    kept: (u8, u8),
    used: u8,
    slot: u8,
    readers: [Reader; MOST_READERS],
    writer_deaths: u8,
    reader_deaths: u8,
}

impl State {
    /// Returns the state with one message, in slot 0.
    fn new(bounds: Bounds) -> Self {
        let reader = Reader {
            step: Step::Look,
            oldest: 0,
            found: (0, 0),
            slot: 0,
            sequence: 0,
            copied: 0,
            left: bounds.reads,
        };
        let mut slots = [(0, 0, 0); MOST_SLOTS];
        slots[0] = (1, 8, 8);
        Self {
            latest: (1, 0),
            slots,
            pins: [FREE; MOST_READERS],
            writer: Writer::TakeOver,
            kept: (0, 0),
            used: 0,
            slot: 0,
            readers: [reader; MOST_READERS],
            writer_deaths: bounds.writer_deaths,
            reader_deaths: bounds.reader_deaths,
        }
    }

    /// Returns the content of the message that is being written. That of each writer is another one.
    const fn content(&self) -> u8 {
        (self.kept.0 + 1) << 3 | self.writer_deaths
    }

    fn help(&mut self, reader: u8, slot: u8) {
        if self.pins[usize::from(reader)] == ASKING {
            self.pins[usize::from(reader)] = FIRST_SLOT + slot;
        }
    }
}

fn next(bounds: Bounds, state: &State, steps: &mut Steps<State>) -> Result<(), &'static str> {
    if state.latest.0 <= bounds.publications || matches!(state.writer, Writer::Help(_)) {
        writer_step(bounds, state, steps)?;
    }
    if state.writer_deaths > 0 && state.writer != Writer::TakeOver {
        let mut dead = *state;
        (dead.writer, dead.kept, dead.used, dead.slot) = (Writer::TakeOver, (0, 0), 0, 0);
        dead.writer_deaths -= 1;
        steps.push(("the writer dies", dead));
    }
    for index in 0..bounds.readers {
        reader_step(bounds, state, index, steps)?;
        if state.reader_deaths > 0 && state.readers[usize::from(index)].step != Step::TakeRole {
            let mut dead = *state;
            dead.reader_deaths -= 1;
            let reader = &mut dead.readers[usize::from(index)];
            // The next reader has seen nothing.
            *reader = Reader {
                step: Step::TakeRole,
                oldest: 0,
                copied: 0,
                sequence: 0,
                slot: 0,
                found: (0, 0),
                ..*reader
            };
            steps.push(("a reader dies", dead));
        }
    }
    Ok(())
}

fn writer_step(bounds: Bounds, state: &State, steps: &mut Steps<State>) -> Result<(), &'static str> {
    let mut after = *state;
    let first_scan = Writer::Scan(0);
    let name = match state.writer {
        Writer::TakeOver => {
            after.kept = state.latest;
            let helps = bounds.without != Without::HelpAtTakeOver;
            after.writer = if helps { Writer::HelpAfterTakeOver(0) } else { first_scan };
            "take over"
        }
        Writer::HelpAfterTakeOver(reader) => {
            after.help(reader, state.kept.1);
            let is_last = reader + 1 == bounds.readers;
            after.writer = if is_last { first_scan } else { Writer::HelpAfterTakeOver(reader + 1) };
            "help after take-over"
        }
        Writer::Scan(reader) => {
            if reader == 0 {
                after.used = 1 << state.kept.1;
            }
            if let Some(slot) = state.pins[usize::from(reader)].checked_sub(FIRST_SLOT) {
                after.used |= 1 << slot;
            }
            after.writer =
                if reader + 1 == bounds.readers { Writer::Begin } else { Writer::Scan(reader + 1) };
            "scan"
        }
        Writer::Begin => {
            let is_free = |slot: &u8| state.used >> slot & 1 == 0;
            // Not the next one in a circle: this is the sooner reuse of a slot, and so the harder case.
            after.slot = (0..bounds.slots()).find(is_free).ok_or(STUCK)?;
            (after.used, after.writer) = (0, Writer::Finish);
            let slot = &mut after.slots[usize::from(after.slot)];
            *slot = (0, state.content(), slot.2);
            "begin to write"
        }
        Writer::Finish => {
            after.slots[usize::from(state.slot)] = (state.kept.0 + 1, state.content(), state.content());
            after.writer = Writer::Publish;
            "finish writing"
        }
        Writer::Publish => {
            let published = (state.kept.0 + 1, state.slot);
            (after.latest, after.kept, after.slot) = (published, published, 0);
            after.writer = match bounds.without {
                Without::Help => first_scan,
                Without::ScanAfterHelp => {
                    // The pins as they are before the help, for the next message.
                    after.used = 1 << state.slot;
                    for pin in &state.pins[..usize::from(bounds.readers)] {
                        after.used |= pin.checked_sub(FIRST_SLOT).map_or(0, |slot| 1 << slot);
                    }
                    Writer::Help(0)
                }
                _ => Writer::Help(0),
            };
            "publish"
        }
        Writer::Help(reader) => {
            after.help(reader, state.kept.1);
            let is_last = reader + 1 == bounds.readers;
            after.writer = match (is_last, bounds.without) {
                (false, _) => Writer::Help(reader + 1),
                (true, Without::ScanAfterHelp) => Writer::Begin,
                (true, _) => first_scan,
            };
            "help"
        }
    };
    steps.push((name, after));
    Ok(())
}

fn reader_step(
    bounds: Bounds,
    state: &State,
    index: u8,
    steps: &mut Steps<State>,
) -> Result<(), &'static str> {
    let mut after = *state;
    let at = usize::from(index);
    let before = state.readers[at];
    let (reader, pin) = (&mut after.readers[at], &mut after.pins[at]);
    let slot = state.slots[usize::from(before.slot)];
    let name = match before.step {
        Step::TakeRole => {
            *pin = FREE;
            reader.step = Step::Look;
            "take the reader's role"
        }
        Step::Look if before.left == 0 => return Ok(()),
        Step::Look => {
            reader.oldest = before.oldest.max(state.latest.0);
            reader.step = if bounds.without == Without::Asking { Step::Load } else { Step::Ask };
            "look"
        }
        Step::Ask => {
            *pin = ASKING;
            reader.step = Step::Load;
            "ask"
        }
        Step::Load => {
            reader.found = state.latest;
            reader.step = Step::Pin;
            "load"
        }
        Step::Pin => {
            if *pin == ASKING || bounds.without == Without::Asking {
                *pin = FIRST_SLOT + before.found.1;
            }
            // Nothing but this reader changes it now.
            reader.slot = *pin - FIRST_SLOT;
            if bounds.without != Without::LimitBeforeAsking {
                reader.found = (0, 0);
            }
            reader.step = Step::Begin;
            "pin"
        }
        Step::Begin => {
            let limit = match bounds.without {
                Without::LimitBeforeAsking => before.found.0,
                _ => before.oldest,
            };
            match slot.0 {
                0 => return Err(TORN),
                sequence if sequence < limit => return Err(STALE),
                sequence => (reader.sequence, reader.copied, reader.step) = (sequence, slot.1, Step::Finish),
            }
            if bounds.without == Without::PinDuringCopy {
                *pin = FREE;
            }
            "begin to copy"
        }
        Step::Finish => {
            if slot.2 != before.copied || slot.0 != before.sequence {
                return Err(TORN);
            }
            reader.step = Step::Free;
            "finish copying"
        }
        Step::Free => {
            if bounds.without != Without::ClearedPin {
                *pin = FREE;
            }
            *reader = Reader {
                step: Step::Look,
                oldest: before.sequence,
                found: (0, 0),
                slot: 0,
                sequence: 0,
                copied: 0,
                left: before.left - 1,
            };
            "free the pin"
        }
    };
    steps.push((name, after));
    Ok(())
}

fn run(bounds: Bounds) -> Result<usize, super::Fault> {
    explore(State::new(bounds), |state, steps| next(bounds, state, steps))
}

fn small(without: Without) -> Bounds {
    Bounds { readers: 2, publications: 3, reads: 1, writer_deaths: 1, reader_deaths: 1, without }
}

#[test]
fn no_message_is_torn_or_stale_and_the_writer_is_never_stuck() {
    let mut bounds = small(Without::Nothing);
    bounds.writer_deaths += more();
    bounds.reads += more().min(1);
    must_hold("slots", run(bounds));
}

#[test]
fn each_rule_of_the_slots_is_needed() {
    for (without, faults) in [
        (Without::Help, &[TORN, STALE][..]),
        (Without::HelpAtTakeOver, &[TORN, STALE]),
        (Without::Asking, &[TORN, STALE]),
        (Without::LimitBeforeAsking, &[STALE]),
        (Without::ScanAfterHelp, &[TORN, STALE]),
        (Without::PinDuringCopy, &[TORN]),
        (Without::SecondSpareSlot, &[STUCK]),
    ] {
        must_fail(without, faults, run(small(without)));
    }
}

/// A dead reader's pin is in the budget, so one that is never cleared is, too.
#[test]
fn a_pin_that_is_never_cleared_costs_no_more_than_a_slot() {
    must_hold("slots with pins that stay", run(small(Without::ClearedPin)));
}
