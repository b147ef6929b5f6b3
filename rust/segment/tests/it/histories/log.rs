//! The log of a process: a line before and a line after each operation. So an operation in progress at a kill
//! is known as such.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// A message: the number of its sender's role, which no other has, and its number there.
pub(super) type Id = (u64, u64);

/// Something that a process has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// It is about to send a message.
    Sends(Id),
    /// The message was sent; on a stream, with this sequence number.
    Sent(Id, u64),
    /// The message was not sent.
    Refused(Id),
    /// The consumer has a copy of a message.
    Got(Id),
    /// The consumer has taken out the message that it has got.
    Passed(Id),
    /// It is about to read the newest message.
    Reads,
    /// The newest message was this one.
    Read(Id, u64),
    /// There was no message.
    FoundNothing,
    /// A message was not as any process has sent it.
    Torn,
}

/// An event in the log of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event {
    /// Nanoseconds of the system's monotonic clock, which all processes share.
    pub(super) time: u64,
    pub(super) process: usize,
    pub(super) what: What,
}

/// The log that a process writes.
pub(super) struct Log(File);

impl Log {
    pub(super) fn create(path: &Path) -> Self {
        Self(File::create_new(path).unwrap())
    }

    /// Adds a line. The system has all of it before the call returns, even if the process is killed then.
    pub(super) fn add(&mut self, what: What) {
        let time = now();
        let (name, numbers) = match what {
            What::Sends(id) => ("sends", vec![id.0, id.1]),
            What::Sent(id, sequence) => ("sent", vec![id.0, id.1, sequence]),
            What::Refused(id) => ("refused", vec![id.0, id.1]),
            What::Got(id) => ("got", vec![id.0, id.1]),
            What::Passed(id) => ("passed", vec![id.0, id.1]),
            What::Reads => ("reads", vec![]),
            What::Read(id, sequence) => ("read", vec![id.0, id.1, sequence]),
            What::FoundNothing => ("nothing", vec![]),
            What::Torn => ("torn", vec![]),
        };
        let numbers: String = numbers.iter().map(|number| format!(" {number}")).collect();
        self.0.write_all(format!("{time} {name}{numbers}\n").as_bytes()).unwrap();
    }
}

/// Returns the events in a log. A process that was killed in the first moment has none.
pub(super) fn read(path: &Path, process: usize) -> Vec<Event> {
    let text = fs::read_to_string(path).unwrap_or_default();
    // A last line that isn't whole is that of a process that was killed.
    text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(|line| parse(line, process)).collect()
}

fn parse(line: &str, process: usize) -> Event {
    let mut words = line.split_whitespace();
    let number = |words: &mut std::str::SplitWhitespace<'_>| words.next().unwrap().parse::<u64>().unwrap();
    let time = number(&mut words);
    let name = words.next().unwrap();
    let id = |words: &mut _| (number(words), number(words));
    let what = match name {
        "sends" => What::Sends(id(&mut words)),
        "sent" => What::Sent(id(&mut words), number(&mut words)),
        "refused" => What::Refused(id(&mut words)),
        "got" => What::Got(id(&mut words)),
        "passed" => What::Passed(id(&mut words)),
        "reads" => What::Reads,
        "read" => What::Read(id(&mut words), number(&mut words)),
        "nothing" => What::FoundNothing,
        _ => What::Torn,
    };
    Event { time, process, what }
}

pub(super) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives until the call returns.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) }, 0);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
