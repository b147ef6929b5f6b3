//! Waiting and waking, with waiting and waking processes that die at any step.

use super::{Steps, explore, more, must_fail, must_hold};

const ASLEEP: &str = "a process sleeps, and what it waits for is there";

const WAITERS: usize = 2;
const WAKERS: usize = 2;

/// A rule of the protocol that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// The process looks again after it has asked to be woken.
    SecondLook,
    /// It loads the bell before it looks.
    BellBeforeLook,
    /// The system compares the bell before the process sleeps.
    Comparison,
    /// The wish is cleared before the bell rings.
    ClearedBeforeBell,
    /// All sleeping processes are woken.
    WakeAll,
    /// The bell rings: it gets another number.
    Ring,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Waiter {
    LoadBell,
    Look,
    Want,
    LookAgain,
    Sleep,
    Asleep,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Waker {
    Publish,
    Check,
    First,
    Second,
    Wake,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    wanted: bool,
    bell: u8,
    published: u8,
    /// Each with the bell that it has loaded, and the number of messages that it waits for.
    waiters: [(Waiter, u8, u8); WAITERS],
    /// Each with the messages that it publishes still.
    wakers: [(Waker, u8); WAKERS],
    deaths: u8,
    /// True if a process died after it published, and before it woke.
    is_wake_lost: bool,
}

#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// The messages of each waking process.
    messages: [u8; WAKERS],
    deaths: u8,
    without: Without,
}

impl State {
    fn new(bounds: Bounds) -> Self {
        Self {
            wanted: false,
            bell: 0,
            published: 0,
            waiters: [(Waiter::LoadBell, 0, 1); WAITERS],
            wakers: bounds.messages.map(|messages| match messages {
                0 => (Waker::Ended, 0),
                _ => (Waker::Publish, messages),
            }),
            deaths: bounds.deaths,
            is_wake_lost: false,
        }
    }
}

fn next(bounds: Bounds, state: &State, steps: &mut Steps<State>) -> Result<(), &'static str> {
    let total = bounds.messages.iter().sum();
    for index in 0..WAITERS {
        waiter_step(bounds, total, state, index, steps);
    }
    for index in 0..WAKERS {
        waker_step(bounds, state, index, steps);
    }
    let is_over = state.wakers.iter().all(|(waker, _)| *waker == Waker::Ended);
    // The bounded sleep is for this case alone.
    if is_over && !state.is_wake_lost {
        let sleeps =
            |(waiter, _, target): &(Waiter, u8, u8)| *waiter == Waiter::Asleep && state.published >= *target;
        if state.waiters.iter().any(sleeps) {
            return Err(ASLEEP);
        }
    }
    Ok(())
}

fn waiter_step(bounds: Bounds, total: u8, state: &State, index: usize, steps: &mut Steps<State>) {
    let mut after = *state;
    let (waiter, bell, target) = &mut after.waiters[index];
    let is_there = state.published >= *target;
    // After the first message, the process waits for the next one.
    let mut found = || {
        *bell = 0;
        (*waiter, *target) =
            if *target < total { (Waiter::LoadBell, *target + 1) } else { (Waiter::Ended, *target) };
    };
    let is_late = bounds.without == Without::BellBeforeLook;
    let name = match state.waiters[index].0 {
        Waiter::LoadBell => {
            (*waiter, *bell) = (if is_late { Waiter::Sleep } else { Waiter::Look }, state.bell);
            "load the bell"
        }
        Waiter::Look => {
            if is_there {
                found()
            } else {
                *waiter = Waiter::Want
            }
            "look"
        }
        Waiter::Want => {
            after.wanted = true;
            *waiter = match bounds.without {
                Without::SecondLook => Waiter::Sleep,
                _ => Waiter::LookAgain,
            };
            "want"
        }
        Waiter::LookAgain => {
            if is_there {
                found()
            } else {
                // With the rule left out, the bell is loaded only now.
                *waiter = if is_late { Waiter::LoadBell } else { Waiter::Sleep }
            }
            "look again"
        }
        Waiter::Sleep => {
            let is_awake = *bell != state.bell && bounds.without != Without::Comparison;
            *bell = 0;
            *waiter = if is_awake { first_step(bounds) } else { Waiter::Asleep };
            "sleep"
        }
        // The time of a sleep is over. Without a death, nothing may depend on it.
        Waiter::Asleep if state.is_wake_lost => {
            *waiter = first_step(bounds);
            "wake up alone"
        }
        Waiter::Asleep | Waiter::Ended => return,
    };
    steps.push((name, after));
    if state.deaths > 0 {
        let mut dead = *state;
        dead.waiters[index] = (Waiter::Ended, 0, 0);
        dead.deaths -= 1;
        steps.push(("a waiting process dies", dead));
    }
}

fn first_step(bounds: Bounds) -> Waiter {
    if bounds.without == Without::BellBeforeLook { Waiter::Want } else { Waiter::LoadBell }
}

fn waker_step(bounds: Bounds, state: &State, index: usize, steps: &mut Steps<State>) {
    let mut after = *state;
    let (waker, left) = &mut after.wakers[index];
    let mut finish = || {
        *left -= 1;
        *waker = if *left > 0 { Waker::Publish } else { Waker::Ended };
    };
    let clears_first = bounds.without != Without::ClearedBeforeBell;
    let name = match state.wakers[index].0 {
        Waker::Publish => {
            after.published += 1;
            *waker = Waker::Check;
            "publish"
        }
        Waker::Check => {
            if state.wanted {
                *waker = Waker::First
            } else {
                finish()
            }
            "check"
        }
        Waker::First if clears_first => {
            after.wanted = false;
            *waker = Waker::Second;
            "clear"
        }
        Waker::Second if clears_first => {
            after.bell += u8::from(bounds.without != Without::Ring);
            *waker = Waker::Wake;
            "ring"
        }
        Waker::First => {
            after.bell += 1;
            *waker = Waker::Wake;
            "ring"
        }
        Waker::Second => {
            after.wanted = false;
            finish();
            "clear"
        }
        Waker::Wake => {
            if clears_first {
                finish()
            } else {
                *waker = Waker::Second
            }
            let mut woken = 0;
            for waiter in &mut after.waiters {
                if waiter.0 == Waiter::Asleep && (woken == 0 || bounds.without != Without::WakeAll) {
                    waiter.0 = first_step(bounds);
                    woken += 1;
                }
            }
            "wake"
        }
        Waker::Ended => return,
    };
    steps.push((name, after));
    if state.deaths > 0 {
        let mut dead = *state;
        // Its other messages are never published, so nothing waits for them in vain.
        dead.is_wake_lost |= state.wakers[index].0 != Waker::Publish;
        dead.wakers[index] = (Waker::Ended, 0);
        dead.deaths -= 1;
        steps.push(("a waking process dies", dead));
    }
}

fn run(bounds: Bounds) -> Result<usize, super::Fault> {
    let mut initial = State::new(bounds);
    for waiter in &mut initial.waiters {
        waiter.0 = first_step(bounds);
    }
    explore(initial, |state, steps| next(bounds, state, steps))
}

#[test]
fn no_process_sleeps_while_what_it_waits_for_is_there() {
    let deaths = 1 + more();
    for messages in [[1, 0], [2, 0], [1, 1], [2, 1], [2, 2]] {
        let label = format!("waits for {messages:?} messages");
        must_hold(&label, run(Bounds { messages, deaths, without: Without::Nothing }));
    }
}

#[test]
fn each_rule_of_waiting_is_needed() {
    for without in [
        Without::SecondLook,
        Without::BellBeforeLook,
        Without::Comparison,
        Without::ClearedBeforeBell,
        Without::WakeAll,
        Without::Ring,
    ] {
        must_fail(without, &[ASLEEP], run(Bounds { messages: [2, 1], deaths: 0, without }));
    }
}
