//! The programs of the table: each does its part all the time, and tells its state in lines.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use std::{env, thread};

use super::following::Object;
use super::{NOW, incarnation_of, message};
use crate::common::this_program;
use shm_segment::layout::native::{Incoming, Named, Queue, Stream};
use shm_segment::layout::{Error, Result};
use shm_segment::{Options, Segment};

/// The part that a program plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Writer,
    Reader,
    Producer,
    Consumer,
}

/// The arguments of a program.
#[derive(Debug, Clone)]
pub struct Program {
    pub part: Part,
    /// Makes the memory. Otherwise, it only says the name.
    pub is_owner: bool,
    /// The size that an owner asks for.
    pub size: u64,
    /// No other program has this number.
    pub number: u64,
}

const VARIABLE: &str = "SHM_SEGMENT_NAMED";

impl Program {
    pub fn command(&self, name: &str) -> std::process::Command {
        let mut command = this_program("named::program::program");
        let Self { part, is_owner, size, number } = self;
        command.env(VARIABLE, format!("{part:?} {is_owner} {size} {number} {name}"));
        command
    }
}

/// Not a test: a program of the table.
#[test]
fn program() {
    let Ok(words) = env::var(VARIABLE) else { return };
    let words: Vec<&str> = words.split(' ').collect();
    let (size, number) = (words[2].parse().unwrap(), words[3].parse().unwrap());
    let name = words[4];
    let options = Options::new(name);
    let is_owner = words[1] == "true";
    match words[0] {
        "Writer" => run(name, owned(is_owner, || Stream::create(&options, size, 2)), |it, seen| {
            let sent = it.1.write(&it.0, &message(&seen.next(number)));
            sent.map(|()| seen.sent += 1)
        }),
        "Reader" => run(name, owned(is_owner, || Stream::create(&options, size, 2)), |it, seen| {
            if it.1.has_new_data(&it.0)? {
                let read: Result<Vec<u8>> = it.1.read(&it.0, |message: &Incoming<'_>| message.to_vec());
                seen.note(&read?, false);
            }
            Ok(())
        }),
        "Producer" => run(name, owned(is_owner, || Queue::create(&options, size, 2)), |it, seen| {
            let sent = it.1.enqueue(&it.0, &message(&seen.next(number)), NOW, || true);
            sent.map(|()| seen.sent += 1)
        }),
        "Consumer" => run(name, owned(is_owner, || Queue::create(&options, size, 2)), |it, seen| {
            loop {
                let read = it.1.dequeue(&it.0, NOW, || true, |message: &Incoming<'_>| message.to_vec());
                seen.note(&read?, true);
            }
        }),
        other => panic!("{other}"),
    }
}

fn owned<L>(is_owner: bool, make: impl FnOnce() -> Result<(Segment, L)>) -> Option<Result<(Segment, L)>> {
    is_owner.then(make)
}

/// The messages of a program.
#[derive(Default)]
struct Seen {
    sent: u64,
    /// The last number that came from each program.
    last: BTreeMap<u64, u64>,
    /// The programs that something came from in this memory.
    from: BTreeSet<u64>,
}

impl Seen {
    fn next(&self, number: u64) -> Vec<u8> {
        [number, self.sent].map(u64::to_le_bytes).concat()
    }

    fn note(&mut self, message: &[u8], is_complete: bool) {
        let numbers = message.chunks(8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
        let [from, number] = numbers.collect::<Vec<_>>()[..] else { panic!("{message:?}") };
        let before = self.last.insert(from, number);
        let is_next =
            before.is_none_or(|before| if is_complete { number == before + 1 } else { number > before });
        assert!(is_next, "message {number} of {from} came after {before:?}");
        self.from.insert(from);
    }
}

/// Does `work` all the time, in what is owned, or in what the name leads to.
fn run<L: Named>(
    name: &str,
    owned: Option<Result<(Segment, L)>>,
    work: impl Fn(&(Segment, L), &mut Seen) -> Result<()>,
) {
    let is_owner = owned.is_some();
    let object = match owned {
        Some(made) => Object::with(made.unwrap_or_else(|error| panic!("{error}"))),
        None => Object::open_by(name),
    };
    let (mut seen, mut told, mut used) = (Seen::default(), String::new(), None);
    loop {
        object.follow();
        let open = object.memory();
        if let Some((segment, _)) = open.as_deref()
            && used.replace(segment.id()) != Some(segment.id())
        {
            seen.from.clear();
        }
        if let Some(open) = &open {
            match work(open, &mut seen) {
                Ok(()) | Err(Error::Empty | Error::NoRoom) => {}
                Err(error) => panic!("is_owner {is_owner}: {error}"),
            }
        }
        let state = match open.as_deref() {
            Some((segment, _)) => format!("in {} from {:?}", incarnation_of(segment), seen.from),
            None => format!("none: {}", object.follower.no_memory().unwrap()),
        };
        if state != told {
            println!("state: {state}");
            told = state;
        }
        thread::sleep(Duration::from_millis(1));
    }
}
