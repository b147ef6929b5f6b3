//! Kills in the middle of each operation of the native layouts. The role is free at once, another process
//! takes it, and nothing is lost but what `docs/FORMAT.md` allows.

use std::env;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::random::{Random, rounds};
use crate::common::{Name, start_and_wait, this_program, wait_for_state};
use shm_segment::layout::native::{Descriptor, Incoming, Kind, Message, Queue, Stream};
use shm_segment::layout::{Error, Result};
use shm_segment::{Access, Options, Segment};

const SIZE: u64 = 1 << 16;
const LONGEST: u64 = 4000;
const RING: u64 = 8192;
const NOW: Duration = Duration::ZERO;
/// A role is free sooner than this after a kill.
const SOON: Duration = Duration::from_secs(1);

/// An operation that a victim repeats, with its name.
type Operation = (&'static str, fn(&mut Side));

const OPERATIONS: &[Operation] = &[
    ("stream_write", |it| it.write()),
    ("stream_read", |it| ignore(documented(read(it.stream(), &it.segment)))),
    ("stream_wait", |it| drop(it.stream().wait(&it.segment, LONG, || true))),
    ("stream_release", |it| {
        it.write();
        let _ = documented(read(it.stream(), &it.segment));
        it.stream().release(&it.segment);
    }),
    ("stream_reset", |it| ignore(documented(it.stream().reset(&it.segment)))),
    ("queue_enqueue", |it| it.enqueue(NOW)),
    ("queue_enqueue_and_wait", |it| it.enqueue(LONG)),
    ("queue_dequeue", |it| ignore(documented(dequeue(it.queue(), &it.segment, NOW)))),
    ("queue_dequeue_and_wait", |it| ignore(documented(dequeue(it.queue(), &it.segment, LONG)))),
    ("queue_clear", |it| ignore(documented(it.queue().clear(&it.segment)))),
    ("queue_release", |it| {
        it.enqueue(NOW);
        let _ = documented(dequeue(it.queue(), &it.segment, NOW));
        it.queue().release(&it.segment);
    }),
    ("queue_reset", |it| ignore(documented(it.queue().reset(&it.segment)))),
];

/// A wait that only a kill ends.
const LONG: Duration = Duration::from_secs(60);

fn ignore<T>(_: Option<T>) {}

/// Accepts the states of the other side.
fn documented<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(
            Error::Empty
            | Error::NoRoom
            | Error::RoleTaken { .. }
            | Error::NoLaneFree { .. }
            | Error::WaitTimedOut { .. }
            | Error::PartnerGone { .. }
            // The other side resets at this moment.
            | Error::NotLaidOutYet { .. },
        ) => None,
        Err(error) => panic!("{error}"),
    }
}

/// A process with both layouts, each in a segment of its own.
pub(crate) struct Side {
    pub(crate) segment: Segment,
    stream: Option<Stream>,
    queue: Option<Queue>,
    /// The number of the last message that was sent.
    number: u64,
}

impl Side {
    pub(crate) fn new(segment: Segment, operation: &str) -> Self {
        let stream = operation.starts_with("stream").then(|| Stream::attach(&segment, LONGEST, 1).unwrap());
        let queue = stream.is_none().then(|| Queue::attach(&segment, RING, 1).unwrap());
        Self { segment, stream, queue, number: 0 }
    }

    pub(crate) fn stream(&self) -> &Stream {
        self.stream.as_ref().unwrap()
    }

    pub(crate) fn queue(&self) -> &Queue {
        self.queue.as_ref().unwrap()
    }

    fn write(&mut self) {
        let content = content(self.number + 1);
        if documented(self.stream().write(&self.segment, &message(&content))).is_some() {
            self.number += 1;
        }
    }

    fn enqueue(&mut self, timeout: Duration) {
        let content = content(self.number + 1);
        if documented(self.queue().enqueue(&self.segment, &message(&content), timeout, || true)).is_some() {
            self.number += 1;
        }
    }
}

/// Returns the content of a message, all of which tells its number.
fn content(number: u64) -> Vec<u8> {
    let length = 8 * (1 + number as usize % 300);
    number.to_le_bytes().into_iter().cycle().take(length).collect()
}

fn number_of(content: &[u8]) -> u64 {
    let number = u64::from_le_bytes(content[..8].try_into().unwrap());
    assert!(content == self::content(number), "message {number} is torn");
    number
}

fn message(content: &[u8]) -> Message<'_> {
    Message { descriptor: Descriptor::of(Kind::Bytes), content }
}

fn read(stream: &Stream, segment: &Segment) -> Result<u64> {
    stream.read(segment, |message| Ok(number_of(&message.to_vec()?)))
}

pub(crate) fn dequeue(queue: &Queue, segment: &Segment, timeout: Duration) -> Result<u64> {
    queue.dequeue(segment, timeout, || true, |message: &Incoming<'_>| Ok(number_of(&message.to_vec()?)))
}

/// Not a test: the process that is killed.
#[test]
fn victim() {
    let Ok(words) = env::var("SHM_SEGMENT_NATIVE_VICTIM") else { return };
    let (operation, name) = words.split_once(' ').unwrap();
    let (_, run) = OPERATIONS.iter().find(|(label, _)| *label == operation).unwrap();
    let mut side = Side::new(Options::new(name).open(0, Access::ReadWrite).unwrap(), operation);
    println!("ready");
    loop {
        run(&mut side);
    }
}

/// A process that repeats an operation. It is killed at the latest when this is dropped.
pub(crate) struct Victim(Child);

impl Victim {
    pub(crate) fn start(operation: &str, name: &str) -> Self {
        let mut command = this_program("native_killed::victim");
        Self(start_and_wait(command.env("SHM_SEGMENT_NATIVE_VICTIM", format!("{operation} {name}"))))
    }

    /// Kills it, and leaves it as a zombie.
    pub(crate) fn kill(&self) {
        self.signal(libc::SIGKILL);
    }

    /// Stops it, as a debugger does.
    pub(crate) fn stop(&self) {
        self.signal(libc::SIGSTOP);
        self.wait_for("T");
    }

    pub(crate) fn wait_until_zombie(&self) {
        self.wait_for("Z");
    }

    fn wait_for(&self, state: &str) {
        wait_for_state(self.0.id(), state);
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: the call takes numbers; the process is a child that was not waited for.
        assert_eq!(unsafe { libc::kill(self.0.id().cast_signed(), signal) }, 0);
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let status = self.0.wait().unwrap();
        let is_killed = status.signal() == Some(libc::SIGKILL);
        assert!(is_killed || thread::panicking(), "it should have been killed, not have ended: {status}");
    }
}

/// Repeats a call until it has the role. Returns its result, and how long that took.
fn soon<T>(mut call: impl FnMut() -> Result<T>) -> (Result<T>, Duration) {
    let start = Instant::now();
    loop {
        match call() {
            // The last one if the process was resetting.
            Err(Error::RoleTaken { .. } | Error::NoLaneFree { .. } | Error::NotLaidOutYet { .. }) => {
                assert!(start.elapsed() < SOON, "the role of a dead process is not free");
                thread::sleep(Duration::from_micros(100));
            }
            result => return (result, start.elapsed()),
        }
    }
}

#[test]
fn a_role_is_free_at_once_after_a_kill_and_nothing_is_lost() {
    let mut random = Random::new();
    for (operation, _) in OPERATIONS {
        let mut slowest = Duration::ZERO;
        for _ in 0..rounds(10) {
            let name = Name::new();
            let mut ours = Side::new(Options::new(&name).create(SIZE).unwrap(), operation);
            let victim = Victim::start(operation, &name);
            let end = Instant::now() + Duration::from_micros(random.below(3000));
            let took = if ours.stream.is_some() {
                stream_round(&mut ours, operation, &victim, end)
            } else {
                queue_round(&mut ours, operation, &victim, end)
            };
            slowest = slowest.max(took);
        }
        println!("killed in {operation}: the role was free after {slowest:.1?} at most");
    }
}

fn stream_round(ours: &mut Side, operation: &str, victim: &Victim, end: Instant) -> Duration {
    let mut newest = 0;
    let mut look = |ours: &Side| match documented(read(ours.stream(), &ours.segment)) {
        Some(number) if operation == "stream_reset" => newest = number,
        Some(number) => {
            assert!(number >= newest, "{number} came after {newest}");
            newest = number;
        }
        None => {}
    };
    let is_writer = matches!(operation, "stream_read" | "stream_wait" | "stream_reset");
    while Instant::now() < end {
        if is_writer {
            ours.write();
        }
        if operation == "stream_reset" {
            ours.stream().release(&ours.segment);
        }
        look(ours);
    }
    victim.kill();
    // The pin first, and whatever the victim has left there.
    look(ours);
    let before = ours.stream().sequence();
    let content = content(1_000_000);
    let (written, took) = soon(|| ours.stream().write(&ours.segment, &message(&content)));
    written.unwrap();
    assert_eq!(read(ours.stream(), &ours.segment).unwrap(), 1_000_000);
    assert!(ours.stream().sequence() > before);
    // A reset needs all roles.
    let (reset, _) = soon(|| ours.stream().reset(&ours.segment));
    reset.unwrap();
    took
}

fn queue_round(ours: &mut Side, operation: &str, victim: &Victim, end: Instant) -> Duration {
    let is_reset = operation == "queue_reset";
    let is_producer = matches!(operation, "queue_dequeue" | "queue_dequeue_and_wait" | "queue_clear");
    let is_consumer = matches!(operation, "queue_enqueue" | "queue_enqueue_and_wait");
    let mut last = 0;
    while Instant::now() < end {
        if is_producer || is_reset {
            ours.enqueue(NOW);
        }
        if is_reset {
            ours.queue().release(&ours.segment);
        }
        if is_consumer && let Some(number) = documented(dequeue(ours.queue(), &ours.segment, NOW)) {
            assert_eq!(number, last + 1);
            last = number;
        }
    }
    victim.kill();
    let (mut first, took) = soon(|| dequeue(ours.queue(), &ours.segment, NOW));
    let mut is_first = true;
    loop {
        match first {
            Ok(number) => {
                // The victim may have taken out any number before, or put in as many.
                let is_next = number == last + 1 || (is_first && !is_consumer);
                assert!(is_next || is_reset, "{number} came after {last}");
                (last, is_first) = (number, false);
            }
            Err(Error::Empty) => break,
            Err(error) => panic!("{error}"),
        }
        first = dequeue(ours.queue(), &ours.segment, NOW);
    }
    if is_producer && !is_first {
        assert_eq!(last, ours.number, "the last message is lost");
    }
    let content = content(1_000_000);
    let (enqueued, later) = soon(|| ours.queue().enqueue(&ours.segment, &message(&content), NOW, || true));
    enqueued.unwrap();
    assert_eq!(ours.queue().filled(&ours.segment).unwrap().messages, 1);
    assert_eq!(dequeue(ours.queue(), &ours.segment, NOW).unwrap(), 1_000_000);
    let (reset, _) = soon(|| ours.queue().reset(&ours.segment));
    reset.unwrap();
    took.max(later)
}
