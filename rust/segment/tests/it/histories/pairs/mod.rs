//! Histories of pairs: three processes want to talk under one name, while they are killed, stopped and
//! started again at random.

mod check;
mod sides;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use shm_segment::Scope;
use shm_segment::layout::native::Peer;

use super::Processes;
use super::log::now;
use crate::common::random::seed;

pub(super) use sides::run;

/// The size of a buffer, which a few messages fill.
const BUFFER: u64 = 4096;
/// The microseconds between two kills, stops or continuations, at most. A process needs some to connect.
const PACE: u64 = 40_000;

/// Something that a process has done, or is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// It is about to open the name.
    Opens,
    Opened {
        /// It asks for what has happened. Otherwise, it receives.
        is_polling: bool,
    },
    /// Two others have the sides.
    Shut,
    /// It is about to close, and then it has.
    Closes,
    Closed,
    /// It is about to send this message. True if it is an answer, for all that the program knows.
    Sends(u64, bool),
    Sent(u64),
    Refused(u64),
    /// A request may have been sent, but has no answer.
    Unanswered(u64),
    /// A request has this answer.
    Answered(u64, Message),
    Got(Message),
    /// The end of a partner. True if all messages of the partner were received before.
    Gone(bool),
    /// A call has told that there is a partner.
    Connected,
    /// A message was not as any process has sent it.
    Torn,
    /// A request got the answer to another one.
    Wrong,
}

/// The numbers in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Message {
    /// The session that has sent it, and its number there.
    from: u64,
    number: u64,
    /// The number of the request that it answers; 0: none.
    answers: u64,
    is_request: bool,
}

/// An event of a session: the time from one opening of the name to its end.
#[derive(Debug, Clone, Copy)]
struct Event {
    /// Nanoseconds of the system's monotonic clock, which all processes share.
    time: u64,
    session: u64,
    what: What,
}

/// The log of a process: a line before and a line after each operation.
struct Log(File);

impl Log {
    fn create(path: &Path) -> Self {
        Self(File::create_new(path).unwrap())
    }

    /// Adds a line. The system has all of it before the call returns, even if the process is killed then.
    fn add(&mut self, session: u64, what: What) {
        let message = |word: &str, number: u64, it: Message| {
            format!("{word} {number} {} {} {} {}", it.from, it.number, it.answers, u64::from(it.is_request))
        };
        let text = match what {
            What::Opens => "opens".to_owned(),
            What::Opened { is_polling } => format!("opened {}", u64::from(is_polling)),
            What::Shut => "shut".to_owned(),
            What::Closes => "closes".to_owned(),
            What::Closed => "closed".to_owned(),
            What::Sends(number, is_answer) => format!("sends {number} {}", u64::from(is_answer)),
            What::Sent(number) => format!("sent {number}"),
            What::Refused(number) => format!("refused {number}"),
            What::Unanswered(number) => format!("unanswered {number}"),
            What::Answered(number, it) => message("answered", number, it),
            What::Got(it) => message("got", 0, it),
            What::Gone(is_exact) => format!("gone {}", u64::from(is_exact)),
            What::Connected => "connected".to_owned(),
            What::Torn => "torn".to_owned(),
            What::Wrong => "wrong".to_owned(),
        };
        self.0.write_all(format!("{} {session} {text}\n", now()).as_bytes()).unwrap();
    }
}

/// Returns the events in a log. A process that was killed in the first moment has none.
fn read(path: &Path) -> Vec<Event> {
    let text = fs::read_to_string(path).unwrap_or_default();
    // A last line that isn't whole is that of a process that was killed.
    text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(parse).collect()
}

fn parse(line: &str) -> Event {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |index: usize| words[index].parse::<u64>().unwrap();
    let message =
        || Message { from: number(4), number: number(5), answers: number(6), is_request: number(7) != 0 };
    let what = match words[2] {
        "opens" => What::Opens,
        "opened" => What::Opened { is_polling: number(3) != 0 },
        "shut" => What::Shut,
        "closes" => What::Closes,
        "closed" => What::Closed,
        "sends" => What::Sends(number(3), number(4) != 0),
        "sent" => What::Sent(number(3)),
        "refused" => What::Refused(number(3)),
        "unanswered" => What::Unanswered(number(3)),
        "answered" => What::Answered(number(3), message()),
        "got" => What::Got(message()),
        "gone" => What::Gone(number(3) != 0),
        "connected" => What::Connected,
        "wrong" => What::Wrong,
        _ => What::Torn,
    };
    Event { time: number(0), session: number(1), what }
}

/// The number of a session, of which a process has several.
const fn session(process: usize, opened: u64) -> u64 {
    (process as u64) << 32 | opened
}

#[test]
fn partners_get_all_of_each_other_while_processes_are_killed() {
    let mut processes = Processes::new(seed());
    processes.pace = PACE;
    let killed = processes.run(&["side", "side", "side"]);
    processes.assert_none_has_failed();
    let events = (0..processes.started).flat_map(|process| read(&processes.path(process))).collect();
    let summary = check::history(events, &processes.kills).unwrap();
    let check::Summary { sessions, sent, received, answered, ends, shut } = summary;
    println!("{sessions} sessions, {killed} processes killed; {sent} messages sent, {received} received");
    println!("{answered} requests answered, {ends} ends told, {shut} third sides refused");
    assert!(received > 0 && ends > 0 && killed > 0, "nothing has happened");
    // Two new sides find each other, whatever is left.
    let sides = [0; 2].map(|_| Peer::open(&processes.name, BUFFER, Scope::Local).unwrap());
    let start = Instant::now();
    while sides.each_ref().map(|side| side.is_connected().unwrap()) != [true; 2] {
        assert!(start.elapsed() < Duration::from_secs(1), "two new sides don't find each other");
    }
}
