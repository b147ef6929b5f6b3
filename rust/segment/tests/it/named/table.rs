//! Every order of starts and deaths of two and three programs, with every pair of kills.
//!
//! After each event, all programs that live are in the same memory within a second. The messages of the
//! programs that send come to those that read. A row is a list of events, each of which starts or kills some
//! of the programs at once.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::program::{Part, Program};
use crate::common::Name;
use crate::common::random::{Random, rounds};

/// The first program is the owner.
type Cast = &'static [Part];

const STREAM: Cast = &[Part::Writer, Part::Reader];
const STREAM_WITH_TWO_READERS: Cast = &[Part::Writer, Part::Reader, Part::Reader];
const STREAM_OF_THE_READER: Cast = &[Part::Reader, Part::Writer];
const QUEUE: Cast = &[Part::Producer, Part::Consumer];
const QUEUE_OF_THE_CONSUMER: Cast = &[Part::Consumer, Part::Producer];
const QUEUE_WITH_TWO_PRODUCERS: Cast = &[Part::Consumer, Part::Producer, Part::Producer];

/// Events: sets of programs, a bit for each. A program that runs is killed, one that doesn't is started.
type Event = u8;

#[derive(Debug, Clone)]
struct Row {
    cast: Cast,
    events: Vec<Event>,
    /// An owner that starts again asks for another size.
    changes_size: bool,
}

/// The promise, and time for a busy machine.
const SOON: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });
const SIZES: [u64; 2] = [2000, 4000];

/// Returns all rows with so many events.
fn rows(cast: Cast, length: usize, events: &[Event], changes_size: bool) -> Vec<Row> {
    let mut rows = vec![Vec::new()];
    for _ in 0..length {
        rows = rows
            .into_iter()
            .flat_map(|row: Vec<Event>| events.iter().map(move |event| [row.as_slice(), &[*event]].concat()))
            .collect();
    }
    rows.into_iter().map(|events| Row { cast, events, changes_size }).collect()
}

struct Running {
    child: Child,
    number: u64,
    state: Arc<Mutex<String>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(program: &Program, name: &str) -> Self {
        let mut command = program.command(name);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let state = Arc::new(Mutex::new("starting".to_owned()));
        let (from, to) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&state));
        thread::spawn(move || {
            for line in from.lines().map_while(std::io::Result::ok) {
                if let Some(at) = line.find("state: ") {
                    to.lock().unwrap().replace_range(.., &line[at + "state: ".len()..]);
                }
            }
        });
        Self { child, number: program.number, state }
    }

    fn state(&self) -> String {
        self.state.lock().unwrap().clone()
    }
}

/// Returns the memory in a state.
fn memory_in(state: &str) -> Option<&str> {
    state.strip_prefix("in ")?.split(' ').next()
}

fn is_sender(part: Part) -> bool {
    matches!(part, Part::Writer | Part::Producer)
}

/// Returns what keeps the programs that run from being as promised.
fn problem(cast: Cast, running: &[Option<Running>]) -> Option<String> {
    let states: Vec<_> = running.iter().map(|it| it.as_ref().map(Running::state)).collect();
    let told = format!("{states:?}");
    let living: Vec<&String> = states.iter().flatten().collect();
    if living.iter().any(|state| *state == "starting") {
        return Some(told);
    }
    let memories: BTreeSet<_> = living.iter().map(|state| memory_in(state)).collect();
    // With an owner, there is memory. Without, a program that lives may still have one, or none has.
    if memories.len() > 1 || (running[0].is_some() && memories.contains(&None)) {
        return Some(told);
    }
    if living.iter().any(|state| state.ends_with(": it is gone")) {
        return Some(format!("{told}: it doesn't say why"));
    }
    if memories.contains(&None) {
        return None;
    }
    for (part, state) in cast.iter().zip(&states) {
        let (false, Some(state)) = (is_sender(*part), state) else { continue };
        let from = state.split("from ").nth(1).unwrap_or_default();
        let numbers: BTreeSet<u64> = from
            .split(|sign: char| !sign.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .collect();
        for (other, sender) in cast.iter().zip(running) {
            if let (true, Some(sender)) = (is_sender(*other), sender)
                && !numbers.contains(&sender.number)
            {
                return Some(format!("{told}: nothing of {} has come", sender.number));
            }
        }
    }
    None
}

fn run(row: &Row) -> Result<(), String> {
    let name = Name::new();
    let mut running: Vec<Option<Running>> = row.cast.iter().map(|_| None).collect();
    let (mut started, mut earlier) = (0, BTreeSet::new());
    for (index, event) in row.events.iter().enumerate() {
        let before: Vec<_> = running
            .iter()
            .map(|it| it.as_ref().and_then(|it| memory_in(&it.state()).map(str::to_owned)))
            .collect();
        earlier.extend(before.iter().flatten().cloned());
        let is_in = |program: usize| event >> program & 1 == 1;
        // Kills first: an owner that starts while the old one ends would be refused.
        for (program, it) in running.iter_mut().enumerate() {
            if is_in(program) && it.is_some() {
                *it = None;
            } else if is_in(program) {
                started += 1;
                let size = if row.changes_size { SIZES[started as usize % 2] } else { SIZES[0] };
                let part = row.cast[program];
                let starting = Program { part, is_owner: program == 0, size, number: started };
                *it = Some(Running::start(&starting, &name));
            }
        }
        let start = Instant::now();
        while let Some(problem) = problem(row.cast, &running) {
            if start.elapsed() > SOON {
                return Err(format!("after event {index}: {problem}"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        // A program that had a role before and after, while the owner was started.
        let survivor = (1..running.len()).find(|other| before[*other].is_some() && !is_in(*other));
        if is_in(0) && running[0].is_some() {
            let now = running[0].as_ref().map(|owner| owner.state()).unwrap_or_default();
            let now = memory_in(&now).unwrap_or_default();
            match survivor.and_then(|survivor| before[survivor].as_deref()) {
                Some(before) if !row.changes_size && now != before => {
                    return Err(format!(
                        "after event {index}: the owner made {now}, and {before} was in use"
                    ));
                }
                None if before.iter().skip(1).all(Option::is_none) && earlier.contains(now) => {
                    return Err(format!("after event {index}: the owner found {now} of yesterday"));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Runs rows, several at once: they mostly wait.
fn run_all(rows: &[Row]) {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(problem) = run(row) {
                        failed.lock().unwrap().push(format!("{row:?}: {problem}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} rows failed:\n{}", failed.len(), rows.len(), failed.join("\n"));
}

const PAIRS: &[Event] = &[0b01, 0b10, 0b11];
const SINGLE: &[Event] = &[0b001, 0b010, 0b100];
const SETS: &[Event] = &[1, 2, 3, 4, 5, 6, 7];

#[test]
fn every_order_of_two_programs() {
    let length = rounds(4) as usize;
    let casts = [STREAM, STREAM_OF_THE_READER, QUEUE, QUEUE_OF_THE_CONSUMER];
    let rows: Vec<Row> = casts
        .into_iter()
        .flat_map(|cast| [false, true].map(|changes| rows(cast, length, PAIRS, changes)))
        .flatten()
        .collect();
    run_all(&rows);
}

#[test]
fn every_order_of_three_programs() {
    let length = rounds(4) as usize;
    let casts = [STREAM_WITH_TWO_READERS, QUEUE_WITH_TWO_PRODUCERS];
    let singly = casts.into_iter().flat_map(|cast| rows(cast, length, SINGLE, false));
    // With all three running, every set of deaths and then every set of starts and deaths.
    let together = casts.into_iter().flat_map(|cast| {
        let mut rows = rows(cast, 2, SETS, false);
        rows.iter_mut().for_each(|row| row.events.insert(0, 7));
        rows
    });
    run_all(&singly.chain(together).collect::<Vec<_>>());
}

/// Long histories: each program starts and dies many times.
#[test]
fn random_orders() {
    let mut random = Random::new();
    let casts = [STREAM_WITH_TWO_READERS, QUEUE_WITH_TWO_PRODUCERS];
    let rows: Vec<Row> = (0..rounds(12))
        .map(|round| {
            let events = (0..20).map(|_| SETS[random.below(SETS.len() as u64) as usize]).collect();
            Row { cast: casts[round as usize % 2], events, changes_size: random.below(3) == 0 }
        })
        .collect();
    run_all(&rows);
}
