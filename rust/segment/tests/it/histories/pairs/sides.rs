//! A process that opens the name, talks, and closes, again and again, until it is killed.

use std::path::Path;
use std::thread;
use std::time::Duration;

use shm_segment::layout::Error;
use shm_segment::layout::native::{self, Descriptor, Incoming, Kind, Peer};
use shm_segment::{Error as SegmentError, Scope, Waited};

use super::{BUFFER, Log, Message, What, session};
use crate::common::random::Random;

const NOW: Duration = Duration::ZERO;

struct Side {
    peer: Peer,
    session: u64,
    sent: u64,
    is_polling: bool,
    /// The number of the partner's request that the next message answers; 0: none.
    owed: u64,
}

struct Program {
    log: Log,
    random: Random,
}

pub(in super::super) fn run(name: &str, process: usize, random: Random, path: &Path) {
    let mut program = Program { log: Log::create(path), random };
    for opened in 0.. {
        let session = session(process, opened);
        program.log.add(session, What::Opens);
        match Peer::open(name, BUFFER, Scope::Local) {
            Ok(peer) => program.talk(peer, session),
            Err(Error::BothSidesTaken) => program.log.add(session, What::Shut),
            // A process that was stopped is making the memory, or removing it.
            Err(
                Error::NotLaidOutYet { .. }
                | Error::RoleTaken { .. }
                | Error::Segment(SegmentError::AlreadyExists { .. } | SegmentError::NotSizedYet { .. }),
            ) => {}
            Err(error) => panic!("{error}"),
        }
        program.pause();
    }
}

impl Message {
    /// Returns a content of this length, which has nothing but the numbers.
    fn content(self, length: usize) -> Vec<u8> {
        let numbers = [self.from, self.number, self.answers, self.is_request.into()];
        numbers.iter().flat_map(|number| number.to_le_bytes()).cycle().take(length).collect()
    }

    /// Returns the numbers in a content, if it is one.
    fn of(content: &[u8]) -> Option<Self> {
        let number = |index: usize| {
            let bytes = content.get(index * 8..index * 8 + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let (from, number, answers, is_request) = (number(0)?, number(1)?, number(2)?, number(3)? != 0);
        let message = Self { from, number, answers, is_request };
        (message.content(content.len()) == content).then_some(message)
    }
}

/// Accepts the states of the other side. Returns true for the end of a partner.
fn is_end(error: &Error) -> bool {
    match error {
        Error::PartnerGone { .. } => true,
        Error::Empty | Error::NoRoom | Error::NotConnected | Error::WaitTimedOut { .. } => false,
        error => panic!("{error}"),
    }
}

impl Program {
    fn happens(&mut self, one_in: u64) -> bool {
        self.random.below(one_in) == 0
    }

    fn pause(&mut self) {
        thread::sleep(Duration::from_micros(self.random.below(2000)));
    }

    fn timeout(&mut self) -> Duration {
        if self.happens(2) { NOW } else { Duration::from_micros(self.random.below(50_000)) }
    }

    fn talk(&mut self, peer: Peer, session: u64) {
        let is_polling = self.happens(2);
        self.log.add(session, What::Opened { is_polling });
        let mut side = Side { peer, session, sent: 0, is_polling, owed: 0 };
        while !self.happens(200) {
            match self.random.below(10) {
                0..=3 => self.send(&mut side),
                4..=6 if is_polling => self.poll(&mut side),
                4..=6 => self.receive(&mut side),
                7 => self.request(&mut side),
                8 => {
                    let timeout = self.timeout();
                    let connected = side.peer.wait_connected(timeout).unwrap();
                    // Its events tell it, too.
                    if connected == Waited::Changed && !is_polling {
                        self.log.add(session, What::Connected);
                    }
                }
                _ => {
                    let timeout = self.timeout();
                    side.peer.wait(timeout).unwrap();
                }
            }
            if self.happens(10) {
                self.pause();
            }
        }
        self.log.add(session, What::Closes);
        side.peer.close();
        self.log.add(session, What::Closed);
    }

    /// Returns the numbers and the content of the next message.
    fn compose(&mut self, side: &mut Side, is_request: bool) -> (Message, Vec<u8>) {
        side.sent += 1;
        let answers = if is_request { 0 } else { side.owed };
        let message = Message { from: side.session, number: side.sent, answers, is_request };
        let longest = side.peer.max_message_size().unwrap();
        let longest = if self.happens(20) { longest } else { longest / 8 };
        let content = message.content(32 + self.random.below(longest - 31) as usize);
        self.log.add(side.session, What::Sends(side.sent, answers != 0));
        (message, content)
    }

    fn send(&mut self, side: &mut Side) {
        let timeout = self.timeout();
        let (message, content) = self.compose(side, false);
        let descriptor = Descriptor::of(Kind::Bytes);
        match side.peer.send(&native::Message { descriptor, content: &content }, timeout) {
            Ok(()) => {
                side.owed = 0;
                self.log.add(side.session, What::Sent(message.number));
            }
            Err(error) => {
                self.log.add(side.session, What::Refused(message.number));
                // A receiver is told of the end, too.
                if is_end(&error) {
                    side.owed = 0;
                }
            }
        }
    }

    /// Takes note of the end of a partner, if a request tells it. Some messages of the partner may be left,
    /// which a request has kept.
    fn note_end(&mut self, side: &mut Side, error: &Error) {
        if is_end(error) {
            side.owed = 0;
            // Its events tell it, too.
            if !side.is_polling {
                self.log.add(side.session, What::Gone(false));
            }
        }
    }

    fn request(&mut self, side: &mut Side) {
        let timeout = self.timeout();
        let (message, content) = self.compose(side, true);
        let descriptor = Descriptor::of(Kind::Bytes);
        let request = native::Message { descriptor, content: &content };
        match side.peer.request(&request, timeout, |answer| answer.to_vec()) {
            Ok(answer) => {
                let what = match Message::of(&answer) {
                    Some(answer) if answer.answers == message.number => {
                        What::Answered(message.number, answer)
                    }
                    Some(_) => What::Wrong,
                    None => What::Torn,
                };
                self.log.add(side.session, what);
            }
            Err(error) => {
                self.log.add(side.session, What::Unanswered(message.number));
                self.note_end(side, &error);
            }
        }
    }

    /// Logs a message while it is still in the ring.
    fn take(log: &mut Log, session: u64, incoming: &Incoming<'_>) -> Result<Option<Message>, Error> {
        let message = Message::of(&incoming.to_vec()?);
        log.add(session, message.map_or(What::Torn, What::Got));
        Ok(message)
    }

    fn note_message(side: &mut Side, message: Option<Message>) {
        if let Some(message) = message.filter(|message| message.is_request) {
            side.owed = message.number;
        }
    }

    fn receive(&mut self, side: &mut Side) {
        let (timeout, log, session) = (self.timeout(), &mut self.log, side.session);
        match side.peer.receive(timeout, |incoming| Self::take(log, session, incoming)) {
            Ok(message) => Self::note_message(side, message),
            Err(error) if is_end(&error) => {
                side.owed = 0;
                self.log.add(session, What::Gone(true));
            }
            Err(_) => {}
        }
    }

    fn poll(&mut self, side: &mut Side) {
        let (log, session) = (&mut self.log, side.session);
        let event = side.peer.next_event(|incoming| Self::take(log, session, incoming)).unwrap();
        match event {
            Some(native::Event::Connected) => self.log.add(session, What::Connected),
            Some(native::Event::Disconnected) => {
                side.owed = 0;
                self.log.add(session, What::Gone(true));
            }
            Some(native::Event::Message(message)) => Self::note_message(side, message),
            None => {}
        }
    }
}
