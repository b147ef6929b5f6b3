//! Laying memory out, roles and resetting, with processes that die at any step.

use super::{Steps, explore, more, must_fail, must_hold};

const TWO_LAYOUTS: &str = "the header is changed after a program has attached to it";
const HALF_A_HEADER: &str = "a program attaches to half a header";
const EMPTIED: &str = "memory is emptied while a program has a role";
const NOT_EMPTY: &str = "a reset has left old bytes";
const UNFINISHED: &str = "a program can't get on, though all others are dead or done";

const PROCESSES: usize = 3;

/// A rule of the protocol that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// A program lays memory out only with the lock.
    LayoutLock,
    /// It looks again after it has taken the lock.
    LookAfterLock,
    /// The magic number is stored last.
    MagicLast,
    /// A program that has taken a role checks the incarnation.
    CheckAfterRole,
    /// The resetting process takes all roles.
    RolesForReset,
    /// The incarnation is 0 during a reset.
    MarkedReset,
    /// A reset that was interrupted is done again from its beginning.
    WholeResetAgain,
    /// A reset that was interrupted is finished by another process.
    FinishedReset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    /// Loads the magic number.
    Look,
    LockLayout,
    LookAgain,
    StoreFirstHalf,
    StoreSecondHalf,
    StoreMagic,
    UnlockLayout,
    /// Copies the header, in one step: it changes only before the magic number is stored.
    Attach,
    TakeRole,
    CheckRole,
    Work,
    WorkOn,
    GiveRoleBack,
    // A reset, or the rest of one.
    LockToReset,
    TakeRoleToReset,
    LookToReset,
    Mark,
    EmptyFirstHalf,
    EmptySecondHalf,
    Unmark,
    UnlockAfterReset,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Process {
    step: Step,
    /// The header that it has attached to, and its incarnation.
    header: u8,
    incarnation: u8,
    /// True if it finishes the reset of another process.
    finishes: bool,
    /// True if it resets after its work.
    resets: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    magic: bool,
    /// The two halves of the header, with the number of the process that has stored them.
    header: (u8, u8),
    incarnation: u8,
    last_incarnation: u8,
    /// Two places that a role holder stores into.
    lines: (u8, u8),
    /// The holders of the two locks, or `PROCESSES`.
    layout: u8,
    role: u8,
    processes: [Process; PROCESSES],
    deaths: u8,
}

const NOBODY: u8 = PROCESSES as u8;

impl State {
    fn new(deaths: u8, resets: u8) -> Self {
        let process = |index: u8| Process {
            step: Step::Look,
            header: 0,
            incarnation: 0,
            finishes: false,
            resets: index < resets,
        };
        Self {
            magic: false,
            header: (0, 0),
            incarnation: 0,
            last_incarnation: 0,
            lines: (0, 0),
            layout: NOBODY,
            role: NOBODY,
            processes: [process(0), process(1), process(2)],
            deaths,
        }
    }

    fn unlock(&mut self, index: u8) {
        for lock in [&mut self.layout, &mut self.role] {
            if *lock == index {
                *lock = NOBODY;
            }
        }
    }

    fn new_incarnation(&mut self) -> u8 {
        self.last_incarnation += 1;
        self.last_incarnation
    }
}

/// Returns the state after the next step of a process. `None` if it has ended.
fn step_of(
    without: Without,
    state: &State,
    index: u8,
) -> Result<Option<(&'static str, State)>, &'static str> {
    let mut after = *state;
    let before = state.processes[usize::from(index)];
    let number = index + 1;
    let mut to = |step: Step| after.processes[usize::from(index)].step = step;
    let name = match before.step {
        Step::Look => {
            to(match (state.magic, without) {
                (true, _) => Step::Attach,
                (false, Without::LayoutLock) => Step::LookAgain,
                (false, _) => Step::LockLayout,
            });
            "look"
        }
        Step::LockLayout => {
            // If another process has it, look again.
            to(if state.layout == NOBODY { Step::LookAgain } else { Step::Look });
            if state.layout == NOBODY {
                after.layout = index;
            }
            "lock the layout"
        }
        Step::LookAgain => {
            let is_laid_out = state.magic && without != Without::LookAfterLock;
            to(match (is_laid_out, without) {
                (true, _) => Step::UnlockLayout,
                (false, Without::MagicLast) => Step::StoreMagic,
                (false, _) => Step::StoreFirstHalf,
            });
            "look again"
        }
        Step::StoreFirstHalf => {
            to(Step::StoreSecondHalf);
            after.header.0 = number;
            "store one half of the header"
        }
        Step::StoreSecondHalf => {
            to(if without == Without::MagicLast { Step::UnlockLayout } else { Step::StoreMagic });
            after.header.1 = number;
            after.incarnation = after.new_incarnation();
            "store the other half"
        }
        Step::StoreMagic => {
            to(if without == Without::MagicLast { Step::StoreFirstHalf } else { Step::UnlockLayout });
            after.magic = true;
            "store the magic number"
        }
        Step::UnlockLayout => {
            to(Step::Look);
            after.unlock(index);
            "unlock the layout"
        }
        Step::Attach if state.incarnation == 0 => {
            if state.header.0 != state.header.1 || state.header.0 == 0 {
                return Err(HALF_A_HEADER);
            }
            if without == Without::FinishedReset {
                // Waits for the resetting process.
                return Ok(None);
            }
            let process = &mut after.processes[usize::from(index)];
            (process.step, process.finishes) = (Step::LockToReset, true);
            "find a reset"
        }
        Step::Attach => {
            if state.header.0 != state.header.1 {
                return Err(HALF_A_HEADER);
            }
            let process = &mut after.processes[usize::from(index)];
            (process.step, process.header, process.incarnation) =
                (Step::TakeRole, state.header.0, state.incarnation);
            process.finishes = false;
            "attach"
        }
        Step::TakeRole => {
            // If another process has it, try again.
            if state.role != NOBODY {
                return Ok(None);
            }
            to(if without == Without::CheckAfterRole { Step::Work } else { Step::CheckRole });
            after.role = index;
            "take the role"
        }
        Step::CheckRole => {
            let is_current = state.incarnation == before.incarnation;
            to(if is_current { Step::Work } else { Step::Look });
            if !is_current {
                after.unlock(index);
            }
            "check the incarnation"
        }
        Step::Work => {
            if state.incarnation != before.incarnation {
                return Err(EMPTIED);
            }
            to(Step::WorkOn);
            after.lines = (number, number);
            "work"
        }
        Step::WorkOn => {
            if state.lines != (number, number) {
                return Err(EMPTIED);
            }
            to(Step::GiveRoleBack);
            "work on"
        }
        Step::GiveRoleBack => {
            to(if before.resets { Step::LockToReset } else { Step::Ended });
            after.unlock(index);
            "give the role back"
        }
        Step::LockToReset => {
            let is_free = state.layout == NOBODY;
            to(match (is_free, without) {
                (true, Without::RolesForReset) => Step::LookToReset,
                (true, _) => Step::TakeRoleToReset,
                (false, _) => give_up(before),
            });
            if is_free {
                after.layout = index;
            }
            "lock the layout to reset"
        }
        Step::TakeRoleToReset => {
            let is_free = state.role == NOBODY;
            to(if is_free { Step::LookToReset } else { give_up(before) });
            if is_free {
                after.role = index
            } else {
                after.unlock(index)
            }
            "take the role to reset"
        }
        Step::LookToReset => {
            let is_needed = !before.finishes || state.incarnation == 0;
            let first = match without {
                Without::MarkedReset => Step::EmptyFirstHalf,
                Without::WholeResetAgain if before.finishes => Step::Unmark,
                _ => Step::Mark,
            };
            to(if is_needed { first } else { Step::UnlockAfterReset });
            "look whether to reset"
        }
        Step::Mark => {
            to(Step::EmptyFirstHalf);
            after.incarnation = 0;
            "mark the reset"
        }
        Step::EmptyFirstHalf => {
            to(Step::EmptySecondHalf);
            after.lines.0 = 0;
            "empty one half"
        }
        Step::EmptySecondHalf => {
            to(Step::Unmark);
            after.lines.1 = 0;
            "empty the other half"
        }
        Step::Unmark => {
            if state.lines != (0, 0) {
                return Err(NOT_EMPTY);
            }
            to(Step::UnlockAfterReset);
            after.incarnation = after.new_incarnation();
            "end the reset"
        }
        Step::UnlockAfterReset => {
            to(give_up(before));
            after.unlock(index);
            "unlock after the reset"
        }
        Step::Ended => return Ok(None),
    };
    Ok(Some((name, after)))
}

/// Returns what a process does after a reset, and if it can't reset.
const fn give_up(process: Process) -> Step {
    if process.finishes { Step::Look } else { Step::Ended }
}

fn next(without: Without, state: &State, steps: &mut Steps<State>) -> Result<(), &'static str> {
    for index in 0..NOBODY {
        let process = state.processes[usize::from(index)];
        if process.step == Step::Ended {
            continue;
        }
        if process.header != 0 && (state.header.0 != process.header || state.header.1 != process.header) {
            return Err(TWO_LAYOUTS);
        }
        if matches!(process.step, Step::Work | Step::WorkOn) && (state.lines.0 == 0) != (state.lines.1 == 0) {
            // A new holder finds the lines as one holder or a whole reset has left them.
            return Err(EMPTIED);
        }
        if let Some((name, after)) = step_of(without, state, index)? {
            steps.push((name, after));
        }
        if state.deaths > 0 {
            let mut dead = *state;
            dead.unlock(index);
            dead.processes[usize::from(index)] =
                Process { step: Step::Ended, header: 0, incarnation: 0, finishes: false, resets: false };
            dead.deaths -= 1;
            steps.push(("a process dies", dead));
        }
        if is_alone(state, index) && !ends_alone(without, *state, index) {
            return Err(UNFINISHED);
        }
    }
    Ok(())
}

fn is_alone(state: &State, index: u8) -> bool {
    (0..NOBODY).all(|other| other == index || state.processes[usize::from(other)].step == Step::Ended)
}

/// Returns whether a process ends if no other one does anything.
fn ends_alone(without: Without, mut state: State, index: u8) -> bool {
    for _ in 0..60 {
        match step_of(without, &state, index) {
            Ok(Some((_, after))) => state = after,
            // A fault is reported where the state is visited.
            Err(_) => return true,
            Ok(None) => break,
        }
    }
    state.processes[usize::from(index)].step == Step::Ended
}

fn run(without: Without, deaths: u8, resets: u8) -> Result<usize, super::Fault> {
    explore(State::new(deaths, resets), |state, steps| next(without, state, steps))
}

#[test]
fn one_layout_wins_and_resets_are_finished_whoever_dies() {
    for (deaths, resets) in [(0, 2), (1, 1), (2, 1)] {
        must_hold("laying out and resetting", run(Without::Nothing, deaths + more(), resets));
    }
}

#[test]
fn each_rule_of_laying_out_and_resetting_is_needed() {
    for (without, faults) in [
        (Without::LayoutLock, &[TWO_LAYOUTS, HALF_A_HEADER][..]),
        (Without::LookAfterLock, &[TWO_LAYOUTS, HALF_A_HEADER]),
        (Without::MagicLast, &[HALF_A_HEADER]),
        (Without::CheckAfterRole, &[EMPTIED]),
        (Without::RolesForReset, &[EMPTIED]),
        (Without::MarkedReset, &[EMPTIED, NOT_EMPTY]),
        (Without::WholeResetAgain, &[NOT_EMPTY]),
        (Without::FinishedReset, &[UNFINISHED]),
    ] {
        must_fail(without, faults, run(without, 2, 1));
    }
}
