//! The calls of a side: sending, receiving, requests, and waiting for these.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{ANSWER, Head, Inbox, Number, Pair, REQUEST, in_pair};
use crate::Segment;
use crate::layout::Error;
use crate::layout::native::bell::Bell;
use crate::layout::native::message::{Descriptor, Message};
use crate::layout::native::shared::Shared as _;
use crate::layout::native::waiting::{Ended, Timer, Wait};
use crate::layout::native::{Incoming, Result, lock, try_lock};

/// The next thing for the script.
enum Next<T> {
    Nothing,
    /// A partner was found, or has ended.
    Changed,
    Message(T),
}

/// The outcome of an attempt to send.
enum Put {
    /// The message is in the ring, for this partner.
    Done(u64),
    NoPartner,
    /// The partner for whom it is has ended.
    PartnerGone,
    Full,
}

/// An event on the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<T> {
    /// It was found.
    Connected,
    /// It has ended. All that it had sent was received.
    Disconnected,
    /// It has sent this.
    Message(T),
}

/// The duties of a call that waits, after each sleep and at its beginning.
pub(in crate::layout::native) struct Waiter<'a> {
    pub(in crate::layout::native) timer: &'a Timer,
    /// Looks for other memory under the name.
    pub(in crate::layout::native) follow: &'a dyn Fn(),
    pub(in crate::layout::native) is_wanted: &'a dyn Fn() -> bool,
    /// Set once a request was sent, which isn't sent to another partner then: the number of changes.
    pub(in crate::layout::native) asked: &'a Cell<Option<u64>>,
}

impl Pair {
    /// Takes note of the number of a request that the script gets.
    fn owe(&self, request: Option<u64>) {
        if let Some(number) = request {
            self.owed.store(number, Ordering::Relaxed);
        }
    }

    /// Takes the next message, if there is one. [`Error::PartnerGone`] stands at the end of those of a
    /// partner, once.
    pub(in crate::layout::native) fn try_receive<R, E: From<Error> + From<Box<Error>>>(
        &self,
        segment: &Segment,
        take: &mut impl FnMut(&Incoming<'_>) -> Result<R, E>,
    ) -> Result<Option<R>, E> {
        loop {
            match self.next(segment, take)? {
                Next::Message(message) => return Ok(Some(message)),
                Next::Nothing => return Ok(None),
                Next::Changed => {
                    let mut inbox = lock(&self.inbox);
                    if std::mem::take(&mut inbox.past.is_end_unsaid) {
                        self.forget_ended(&inbox);
                        return Err(gone().into());
                    }
                }
            }
        }
    }

    /// Takes note that the program is told of the end of a partner.
    fn forget_ended(&self, inbox: &Inbox) {
        if self.addressee.load(Ordering::Relaxed) != inbox.handshake.partner {
            self.addressee.store(0, Ordering::Relaxed);
        }
    }

    /// Takes note that the program gets a message from the partner, whom it may answer.
    fn address_partner(&self, inbox: &Inbox) {
        self.addressee.store(inbox.handshake.partner, Ordering::Relaxed);
    }

    /// Takes the next message, or stops at the border between two partners.
    fn next<R, E: From<Error> + From<Box<Error>>>(
        &self,
        segment: &Segment,
        take: &mut impl FnMut(&Incoming<'_>) -> Result<R, E>,
    ) -> Result<Next<R>, E> {
        let direct = segment.direct_mut()?;
        let inbox = &mut *lock(&self.inbox);
        if let Some((kept, request)) = inbox.past.backlog.front() {
            let (taken, size, request) = (take(&kept.incoming())?, kept.size(), *request);
            inbox.past.backlog.pop_front();
            inbox.past.backlog_bytes -= size;
            // A request of a partner that has ended has no answer.
            if inbox.past.backlog_changes == inbox.past.changes {
                self.owe(request);
                self.address_partner(inbox);
            }
            return Ok(Next::Message(taken));
        }
        if inbox.past.is_end_unsaid {
            return Ok(Next::Changed);
        }
        loop {
            match self.advance(&direct, inbox)? {
                Head::Nothing | Head::Later => return Ok(Next::Nothing),
                Head::Changed => return Ok(Next::Changed),
                Head::Record(record, number @ Some(Number::Answer(_))) => {
                    inbox.answer = Some(self.keep(direct, inbox, &record, number)?);
                    inbox.awaited = 0;
                }
                Head::Record(record, number) => {
                    let taken = self.take(direct, inbox, (&record, number), take)?;
                    self.owe(request_in(number));
                    self.address_partner(inbox);
                    return Ok(Next::Message(taken));
                }
            }
        }
    }

    /// Returns what has happened since the last call, in order, if anything has.
    pub(in crate::layout::native) fn event<R, E: From<Error> + From<Box<Error>>>(
        &self,
        segment: &Segment,
        mut take: impl FnMut(&Incoming<'_>) -> Result<R, E>,
    ) -> Result<Option<Event<R>>, E> {
        loop {
            let mut inbox = lock(&self.inbox);
            let past = &mut inbox.past;
            let before = if past.backlog.is_empty() { past.changes } else { past.backlog_changes };
            if past.told < before {
                past.told += 1;
                if past.told.is_multiple_of(2) {
                    past.is_end_unsaid = false;
                    self.forget_ended(&inbox);
                    return Ok(Some(Event::Disconnected));
                }
                let is_current = past.told == past.changes;
                let addressee = if is_current { inbox.handshake.partner } else { ENDED };
                self.addressee.store(addressee, Ordering::Relaxed);
                return Ok(Some(Event::Connected));
            }
            past.is_end_unsaid &= past.told < past.changes;
            drop(inbox);
            match self.next(segment, &mut take)? {
                Next::Message(message) => return Ok(Some(Event::Message(message))),
                Next::Changed => {}
                Next::Nothing => return Ok(None),
            }
        }
    }

    /// Waits for a message, and returns it.
    pub(in crate::layout::native) fn receive<R, E: From<Error> + From<Box<Error>>>(
        &self,
        segment: &Segment,
        waiter: &Waiter<'_>,
        mut take: impl FnMut(&Incoming<'_>) -> Result<R, E>,
    ) -> Result<Ended<R>, E> {
        self.wait_for(segment, waiter, || self.try_receive(segment, &mut take))
    }

    /// Waits until there is a message, or a partner's end to tell.
    pub(in crate::layout::native) fn wait(
        &self,
        segment: &Segment,
        waiter: &Waiter<'_>,
    ) -> Result<Ended<()>> {
        self.wait_for(segment, waiter, || Ok(self.has_something(segment)?.then_some(())))
    }

    fn has_something(&self, segment: &Segment) -> Result<bool> {
        let direct = segment.direct_mut()?;
        let inbox = &mut *lock(&self.inbox);
        loop {
            if !inbox.past.backlog.is_empty() || inbox.past.is_end_unsaid {
                return Ok(true);
            }
            match self.advance(&direct, inbox)? {
                Head::Nothing | Head::Later => return Ok(false),
                Head::Changed => {}
                Head::Record(_, Some(Number::Answer(_))) => return Ok(false),
                Head::Record(..) => return Ok(true),
            }
        }
    }

    /// Waits until there is a partner.
    pub(in crate::layout::native) fn wait_connected(
        &self,
        segment: &Segment,
        waiter: &Waiter<'_>,
    ) -> Result<Ended<()>> {
        self.wait_for(segment, waiter, || Ok(self.has_partner(segment)?.then_some(())))
    }

    /// Waits until `look` finds something that the partner sends.
    fn wait_for<R, E: From<Box<Error>>>(
        &self,
        segment: &Segment,
        waiter: &Waiter<'_>,
        look: impl FnMut() -> Result<Option<R>, E>,
    ) -> Result<Ended<R>, E> {
        let lane = self.other_lane();
        self.wait_at((lane.message_bell(), Some(lane.tail_at())), segment, waiter, look)
    }

    fn wait_at<R, E: From<Box<Error>>>(
        &self,
        (bell, news): (Bell, Option<u64>),
        segment: &Segment,
        waiter: &Waiter<'_>,
        look: impl FnMut() -> Result<Option<R>, E>,
    ) -> Result<Ended<R>, E> {
        // `look` finds the end of a partner itself, since a message may be in front of it.
        let has_seen_partner = AtomicBool::new(true);
        let (timer, has_seen_partner) = (waiter.timer, &has_seen_partner);
        let wait = Wait { segment, bell, news, timer, partner: PARTNER, has_seen_partner };
        let tend = || {
            self.has_partner(segment)?;
            (waiter.follow)();
            Ok(true)
        };
        wait.until(look, tend, waiter.is_wanted)
    }

    /// Sends a message, with the number of a request if it is one. Waits for a partner and for room. Returns
    /// the partner that it is for.
    pub(in crate::layout::native) fn send(
        &self,
        segment: &Segment,
        waiter: &Waiter<'_>,
        message: &Message<'_>,
        request: Option<u64>,
    ) -> Result<Ended<u64>> {
        message.check(self.max_message())?;
        if self.looks.are_due() {
            self.has_partner(segment)?;
            self.looks.done();
        }
        loop {
            let mut outcome = self.try_send(segment, message, request)?;
            if matches!(outcome, Put::Full) && waiter.timer.rest().is_zero() && !self.has_partner(segment)? {
                outcome = self.try_send(segment, message, request)?;
            }
            let may_wait = waiter.timer.may_wait();
            let (is_full, bell) = match outcome {
                Put::Done(partner) => return Ok(Ended::Found(partner)),
                Put::PartnerGone => return Err(gone()),
                Put::NoPartner if !may_wait => return Err(Error::NotConnected.into()),
                Put::Full if !may_wait => return Err(Error::NoRoom.into()),
                _ if waiter.timer.rest().is_zero() => return Ok(Ended::TimedOut),
                Put::NoPartner => (false, self.other_lane().message_bell()),
                Put::Full => (true, self.own_lane().room_bell()),
            };
            let look = || match self.try_send(segment, message, request)? {
                Put::Done(partner) => Ok(Some(Some(partner))),
                Put::PartnerGone => Err(gone()),
                // These need the other bell.
                Put::Full if !is_full => Ok(Some(None)),
                Put::NoPartner if is_full => Ok(Some(None)),
                Put::NoPartner | Put::Full => Ok(None),
            };
            match self.wait_at((bell, None), segment, waiter, look)? {
                Ended::Found(Some(partner)) => return Ok(Ended::Found(partner)),
                Ended::Found(None) => {}
                Ended::TimedOut => return Ok(Ended::TimedOut),
                Ended::Stopped => return Ok(Ended::Stopped),
            }
        }
    }

    fn try_send(&self, segment: &Segment, message: &Message<'_>, request: Option<u64>) -> Result<Put> {
        let direct = segment.direct_mut()?;
        // A side that only sends answers the mark of another partner, too. If another thread has the inbox,
        // that one does.
        let tail = direct.load_u64(self.other_lane().tail_at())?;
        if tail != self.settled.load(Ordering::Relaxed)
            && let Some(mut inbox) = try_lock(&self.inbox)
        {
            self.settle(&direct, &mut inbox)?;
        }
        let outbox = &mut *lock(&self.outbox);
        let producer = outbox.producer.as_mut().ok_or(Error::Stopped)?;
        // The program learns of another partner before it sends to that one.
        let addressee = self.addressee.load(Ordering::Relaxed);
        if addressee != 0 && addressee != outbox.partner {
            self.addressee.store(0, Ordering::Relaxed);
            return Ok(Put::PartnerGone);
        }
        if outbox.partner == 0 {
            return Ok(Put::NoPartner);
        }
        let owed = self.owed.load(Ordering::Relaxed);
        let (bit, number) = match request {
            Some(number) => (REQUEST, number),
            None if owed != 0 && owed != outbox.answered => (ANSWER, owed),
            None => (0, 0),
        };
        let tag = message.descriptor.tag();
        let mut both = [0; 24];
        both[..16].copy_from_slice(&message.descriptor.shape_bytes());
        both[16..].copy_from_slice(&number.to_le_bytes());
        let first = match (Descriptor::has_shape(tag), bit != 0) {
            (true, true) => &both[..],
            (true, false) => &both[..16],
            (false, true) => &both[16..],
            (false, false) => &[],
        };
        if !producer.put_parts(&direct, tag | bit, first, message.content).map_err(in_pair)? {
            return Ok(Put::Full);
        }
        if bit == ANSWER {
            outbox.answered = number;
        }
        self.addressee.store(outbox.partner, Ordering::Relaxed);
        Ok(Put::Done(outbox.partner))
    }

    /// Sends a request, and waits for its answer.
    pub(in crate::layout::native) fn request<R, E: From<Error> + From<Box<Error>>>(
        &self,
        segment: &Segment,
        waiter: &Waiter<'_>,
        message: &Message<'_>,
        mut take: impl FnMut(&Incoming<'_>) -> Result<R, E>,
    ) -> Result<Ended<R>, E> {
        // Before the end of a partner is told, which is told once.
        message.check(self.max_message())?;
        let number = {
            let inbox = &mut *lock(&self.inbox);
            if inbox.past.is_end_unsaid && !inbox.past.is_end_said_to_sender {
                inbox.past.say_end_to_sender();
                self.forget_ended(inbox);
                return Err(gone().into());
            }
            inbox.last_request += 1;
            // Before the request is sent: another thread may find the answer.
            (inbox.awaited, inbox.answer) = (inbox.last_request, None);
            inbox.last_request
        };
        let sent = self.send(segment, waiter, message, Some(number)).inspect_err(|error| {
            if matches!(**error, Error::PartnerGone { .. }) {
                lock(&self.inbox).say_end_to_sender();
            }
        });
        let result = sent.map_err(E::from).and_then(|sent| {
            let partner = match sent {
                Ended::Found(partner) => partner,
                Ended::TimedOut => return Ok(Ended::TimedOut),
                Ended::Stopped => return Ok(Ended::Stopped),
            };
            waiter.asked.set(Some(self.changes_with(partner)));
            // This call itself tells of the partner's end, even if the side leaves the memory.
            self.addressee.store(0, Ordering::Relaxed);
            let ended = self.wait_for(segment, waiter, || self.try_answer(segment, partner, &mut take));
            if matches!(ended, Ok(Ended::Found(_) | Ended::TimedOut)) {
                self.addressee.store(partner, Ordering::Relaxed);
            }
            match ended {
                // This side left the memory, since the partner had ended.
                Ok(Ended::Stopped) => Err(gone().into()),
                Err(_) if self.has_left() => Err(gone().into()),
                ended => ended,
            }
        });
        if !matches!(result, Ok(Ended::Found(_))) {
            let inbox = &mut *lock(&self.inbox);
            (inbox.awaited, inbox.answer) = (0, None);
        }
        result
    }

    /// Returns the number of changes when this partner was found.
    fn changes_with(&self, partner: u64) -> u64 {
        let inbox = lock(&self.inbox);
        let since = match inbox.handshake.partner {
            current if current == partner => 0,
            0 => 1,
            _ => 2,
        };
        inbox.past.changes.saturating_sub(since)
    }

    /// Takes note that a request has told of the end of the partner who was found with these changes.
    pub(in crate::layout::native) fn note_told(&self, changes: u64) {
        let mut inbox = lock(&self.inbox);
        // Otherwise, it has not ended, or another one has since.
        if [changes + 1, changes + 2].contains(&inbox.past.changes) {
            inbox.past.say_end_to_sender();
        }
    }

    /// Returns the answer, if it is there. Keeps other messages.
    fn try_answer<R, E: From<Error> + From<Box<Error>>>(
        &self,
        segment: &Segment,
        partner: u64,
        take: &mut impl FnMut(&Incoming<'_>) -> Result<R, E>,
    ) -> Result<Option<R>, E> {
        let direct = segment.direct_mut()?;
        let inbox = &mut *lock(&self.inbox);
        loop {
            if let Some(answer) = &inbox.answer {
                let taken = take(&answer.incoming())?;
                inbox.answer = None;
                return Ok(Some(taken));
            }
            let head = self.advance(&direct, inbox)?;
            if inbox.handshake.partner != partner {
                return Err(gone().into());
            }
            match head {
                Head::Nothing | Head::Later => return Ok(None),
                Head::Changed => {}
                Head::Record(record, number @ Some(Number::Answer(_))) => {
                    let taken = self.take(direct, inbox, (&record, number), take)?;
                    inbox.awaited = 0;
                    return Ok(Some(taken));
                }
                // The program receives the others first. A partner that sends without end has no answer to
                // wait for, and the border to the previous partner stays where it is.
                Head::Record(..) if !inbox.past.can_keep(self.lanes.ring) => return Ok(None),
                Head::Record(record, number) => {
                    let kept = self.keep(direct, inbox, &record, number)?;
                    inbox.past.backlog_bytes += kept.size();
                    inbox.past.backlog_changes = inbox.past.changes;
                    inbox.past.backlog.push_back((kept, request_in(number)));
                }
            }
        }
    }

    /// Returns how many messages there are before the end of the partner, or before its answers.
    pub(in crate::layout::native) fn count(&self, segment: &Segment) -> Result<u64> {
        let direct = segment.direct_mut()?;
        let inbox = &mut *lock(&self.inbox);
        let head = self.settle(&direct, inbox)?;
        let kept = inbox.past.backlog.len() as u64;
        if !matches!(head, Head::Record(..)) {
            return Ok(kept);
        }
        Ok(kept + inbox.ahead.count)
    }

    /// Returns the bytes that wait to be received.
    pub(in crate::layout::native) fn available(&self, segment: &Segment) -> Result<u64> {
        let kept = lock(&self.inbox).past.backlog_bytes;
        Ok(kept + self.other_lane().filled(&segment.direct()?).map_err(in_pair)?)
    }

    pub(in crate::layout::native) fn late_answers(&self) -> u64 {
        lock(&self.inbox).past.late_answers
    }
}

const PARTNER: &str = "the partner";
/// Not the number of a side that lives.
const ENDED: u64 = u64::MAX;

fn gone() -> Box<Error> {
    Box::new(Error::PartnerGone { partner: PARTNER })
}

const fn request_in(number: Option<Number>) -> Option<u64> {
    match number {
        Some(Number::Request(number)) => Some(number),
        _ => None,
    }
}
