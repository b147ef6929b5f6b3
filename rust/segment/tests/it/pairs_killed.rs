//! Kills in the middle of what the side of a pair does. The other side keeps what it was sent, and the next
//! process connects to it.

use std::env;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::random::{Random, rounds};
use crate::common::{Name, start_and_wait, this_program, wait_for_state};
use shm_segment::layout::Error;
use shm_segment::layout::native::{Descriptor, Event, Kind, Message, Peer};
use shm_segment::{Scope, Waited};

const BUFFER: u64 = 4096;
const NOW: Duration = Duration::ZERO;
const SLICE: Duration = Duration::from_millis(20);
/// A state of the other side is noticed sooner than this.
const SOON: Duration = Duration::from_secs(2);

/// An operation that a victim repeats, with its name.
type Operation = (&'static str, fn(&mut Victim));

const OPERATIONS: &[Operation] = &[
    ("send", |it| it.send(NOW)),
    ("send_and_wait", |it| it.send(SLICE)),
    ("receive", |it| it.receive(NOW)),
    ("receive_and_wait", |it| it.receive(SLICE)),
    ("request", Victim::request),
    ("events", Victim::take_event),
    ("everything", |it| {
        it.send(NOW);
        it.receive(NOW);
        it.request();
        it.take_event();
    }),
    ("reopen", |it| {
        it.send(NOW);
        it.peer.close();
        it.peer = open(&it.name);
        it.peer.wait_connected(SLICE).unwrap();
        (it.sent, it.expected) = (0, None);
        it.id = fastrand::u64(1..);
    }),
];

/// A message: the number of its sender, that of the partner's sender it is for (0: not known yet), and its
/// own number.
fn content(from: u64, epoch: u64, number: u64) -> Vec<u8> {
    let length = 24 + number as usize % 300;
    [from, epoch, number].iter().flat_map(|part| part.to_le_bytes()).cycle().take(length).collect()
}

fn parts(message: &[u8]) -> (u64, u64, u64) {
    let part = |index: usize| u64::from_le_bytes(message[index * 8..][..8].try_into().unwrap());
    let parts = (part(0), part(1), part(2));
    assert!(message == content(parts.0, parts.1, parts.2), "message {parts:?} is torn");
    parts
}

fn message(content: &[u8]) -> Message<'_> {
    Message { descriptor: Descriptor::of(Kind::Bytes), content }
}

fn open(name: &str) -> Peer {
    let start = Instant::now();
    loop {
        match Peer::open(name, BUFFER, Scope::Local) {
            Ok(peer) => return peer,
            // The process before it may be about to end.
            Err(Error::BothSidesTaken) => assert!(start.elapsed() < SOON, "the side of the dead is not free"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Accepts the states of the other side.
fn documented<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(
            Error::Empty
            | Error::NoRoom
            | Error::NotConnected
            | Error::WaitTimedOut { .. }
            | Error::PartnerGone { .. },
        ) => None,
        Err(error) => panic!("{error}"),
    }
}

/// The process that is killed. Its partner lives all the time, so it has one partner.
struct Victim {
    name: String,
    peer: Peer,
    id: u64,
    sent: u64,
    /// The epoch and the number of the next message of the survivor.
    expected: Option<(u64, u64)>,
}

impl Victim {
    fn send(&mut self, timeout: Duration) {
        let content = content(self.id, 0, self.sent);
        if documented(self.peer.send(&message(&content), timeout)).is_some() {
            self.sent += 1;
        }
    }

    fn check(&mut self, received: &[u8]) {
        let (_, epoch, number) = parts(received);
        // The first message to this process is the first one of its epoch: none is lost, none is of before.
        let expected = self.expected.unwrap_or((epoch, 0));
        assert_eq!((epoch, number), expected);
        self.expected = Some((epoch, number + 1));
    }

    fn receive(&mut self, timeout: Duration) {
        if let Some(received) = documented(self.peer.receive(timeout, |message| message.to_vec())) {
            self.check(&received);
        }
    }

    fn request(&mut self) {
        let content = content(self.id, 1, self.sent);
        let sent = message(&content);
        match self.peer.request(&sent, SLICE, |message| message.to_vec()) {
            // The answer is the request itself.
            Ok(answer) => assert!(answer == content, "the answer to another request"),
            other => drop(documented(other)),
        }
    }

    fn take_event(&mut self) {
        if let Some(Some(Event::Message(received))) =
            documented(self.peer.next_event(|message| message.to_vec()))
        {
            self.check(&received);
        }
    }
}

/// Not a test: the process that is killed.
#[test]
fn victim() {
    let Ok(words) = env::var("SHM_SEGMENT_PAIR_VICTIM") else { return };
    let (operation, name) = words.split_once(' ').unwrap();
    let (_, run) = OPERATIONS.iter().find(|(label, _)| *label == operation).unwrap();
    let id = fastrand::u64(1..);
    let mut victim = Victim { name: name.to_owned(), peer: open(name), id, sent: 0, expected: None };
    println!("ready");
    loop {
        run(&mut victim);
    }
}

/// The process that survives.
struct Survivor {
    peer: Peer,
    /// The number of partners so far.
    epoch: u64,
    is_connected: bool,
    sent: u64,
    /// The sender of the messages since the last border, and the number of its next message.
    from: Option<(u64, u64)>,
    received: u64,
}

impl Survivor {
    fn step(&mut self) {
        if self.is_connected {
            let content = content(7, self.epoch, self.sent);
            if documented(self.peer.send(&message(&content), NOW)).is_some() {
                self.sent += 1;
            }
        }
        for _ in 0..4 {
            match documented(self.peer.next_event(|message| message.to_vec())).flatten() {
                None => break,
                Some(Event::Connected) => {
                    assert!(!self.is_connected, "connected twice");
                    (self.is_connected, self.sent, self.from) = (true, 0, None);
                    self.epoch += 1;
                }
                Some(Event::Disconnected) => {
                    assert!(self.is_connected, "disconnected twice");
                    self.is_connected = false;
                }
                Some(Event::Message(received)) => self.check(&received),
            }
        }
    }

    fn check(&mut self, received: &[u8]) {
        assert!(self.is_connected, "a message without a partner");
        let (from, kind, number) = parts(received);
        if kind == 1 {
            // A request, whose answer is itself. It isn't counted.
            let _ = documented(self.peer.send(&message(received), NOW));
            return;
        }
        let expected = self.from.unwrap_or((from, 0));
        assert_eq!((from, number), expected, "of another partner, or lost");
        self.from = Some((from, number + 1));
        self.received += 1;
    }
}

/// Kills the process when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(operation: &str, name: &str) -> Running {
    let mut command = this_program("pairs_killed::victim");
    Running(start_and_wait(command.env("SHM_SEGMENT_PAIR_VICTIM", format!("{operation} {name}"))))
}

#[test]
fn the_survivor_gets_what_was_sent_and_the_next_process_connects() {
    let mut random = Random::new();
    for (operation, _) in OPERATIONS {
        let name = Name::new();
        let mut survivor = Survivor {
            peer: Peer::open(&name, BUFFER, Scope::Local).unwrap(),
            epoch: 0,
            is_connected: false,
            sent: 0,
            from: None,
            received: 0,
        };
        let mut slowest = Duration::ZERO;
        for _ in 0..rounds(10) {
            let mut victim = start(operation, &name);
            // Before or after the handshake.
            let end = Instant::now() + Duration::from_micros(random.below(6000));
            while Instant::now() < end {
                survivor.step();
            }
            assert!(victim.0.try_wait().unwrap().is_none(), "the victim has failed in {operation}");
            victim.0.kill().unwrap();
            wait_for_state(victim.0.id(), "Z");
            // The death is noticed although nobody has waited for the process.
            let start = Instant::now();
            while survivor.peer.is_connected().unwrap() {
                assert!(start.elapsed() < SOON);
            }
            slowest = slowest.max(start.elapsed());
            while survivor.is_connected {
                survivor.step();
                assert!(start.elapsed() < SOON, "the border doesn't come");
            }
        }
        let last = open(&name);
        let start = Instant::now();
        while [&survivor.peer, &last].map(|peer| peer.is_connected().unwrap()) != [true; 2] {
            let _ = documented(survivor.peer.receive(NOW, |message| message.to_vec()));
            assert!(start.elapsed() < SOON, "the last one doesn't connect after {operation}");
        }
        last.send(&message(&content(1, 0, 0)), SOON).unwrap();
        let (epochs, received) = (survivor.epoch, survivor.received);
        println!("{operation}: {epochs} partners, {received} messages, noticed in {slowest:.1?}");
    }
}

#[test]
fn a_stopped_partner_is_not_dead() {
    let name = Name::new();
    let peer = Peer::open(&name, BUFFER, Scope::Local).unwrap();
    let victim = start("send_and_wait", &name);
    assert_eq!(peer.wait_connected(SOON).unwrap(), Waited::Changed);
    let signal = |signal| {
        // SAFETY: the call takes numbers; the process is a child that was not waited for.
        assert_eq!(unsafe { libc::kill(victim.0.id().cast_signed(), signal) }, 0);
    };
    signal(libc::SIGSTOP);
    wait_for_state(victim.0.id(), "T");
    while documented(peer.receive(NOW, |message| message.to_vec())).is_some() {}
    let start = Instant::now();
    assert!(matches!(peer.receive(SLICE * 10, |message| message.to_vec()), Err(Error::WaitTimedOut { .. })));
    assert!(start.elapsed() >= SLICE * 10);
    assert!(peer.is_connected().unwrap());
    assert!(matches!(Peer::open(&name, BUFFER, Scope::Local), Err(Error::BothSidesTaken)));
    signal(libc::SIGCONT);
    peer.receive(SOON, |message| message.to_vec()).unwrap();
}

#[test]
fn a_killed_partner_is_noticed_in_a_wait() {
    let mut times = Vec::new();
    let name = Name::new();
    let peer = Peer::open(&name, BUFFER, Scope::Local).unwrap();
    for _ in 0..rounds(10) {
        let victim = start("receive_and_wait", &name);
        assert_eq!(peer.wait_connected(SOON).unwrap(), Waited::Changed);
        let killer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(60));
            let start = Instant::now();
            drop(victim);
            start
        });
        assert!(matches!(
            peer.receive(SOON * 10, |message| message.to_vec()),
            Err(Error::PartnerGone { .. })
        ));
        let now = Instant::now();
        times.push(now.saturating_duration_since(killer.join().unwrap()));
    }
    times.sort_unstable();
    println!("noticed in {:.1?} (median), {:.1?} (slowest)", times[times.len() / 2], times[times.len() - 1]);
    assert!(times[times.len() - 1] < SOON);
}
