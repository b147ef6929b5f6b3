//! The steps of `pair` (`docs/FORMAT.md`, *`pair`: two programs talk*) over one segment: two lanes, one in
//! each direction, and two sides.

mod talking;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::handshake::{Handshake, Mark};
use super::header::{Geometry, Header, Layout, TRIES, new_incarnation};
use super::incoming::Kept;
use super::lanes::{End, Lane, Lanes, Producer, Record};
use super::looks::Looks;
use super::queue::LanesLayout;
use super::shared::Shared as _;
use super::{Incoming, Result, lock};
use crate::Segment;
use crate::layout::Error;
use crate::roles::Role;
use crate::segment::Direct;
pub use talking::Event;
pub(super) use talking::Waiter;

/// The name of the layout in error texts.
const NAME: &str = "native pair";

/// The tag of a mark, which is not a message.
const MARK: u32 = 0;
/// The bits of a tag that say that a number follows the shape.
const REQUEST: u32 = 1 << 30;
const ANSWER: u32 = 1 << 31;
const NUMBER_SIZE: u64 = 8;
/// Not a position in a lane.
const UNSETTLED: u64 = u64::MAX;

pub(super) struct PairLayout;

impl Layout for PairLayout {
    const NAME: &'static str = NAME;
    const NUMBER: u32 = 3;
    const COUNT: &'static str = "the number of rings";
    const END_OF_SEQUENCES: u64 = u64::MAX;
    const LIMIT: &'static str = "the size of a ring";

    fn length(geometry: Geometry) -> Option<u64> {
        if geometry.count == 2 { LanesLayout::length(geometry) } else { None }
    }

    fn largest(count: u32, size: u64) -> Option<Geometry> {
        LanesLayout::largest(count, size)
    }

    fn roles(_: Geometry) -> impl Iterator<Item = Role> {
        [Role::Side(0), Role::Side(1)].into_iter()
    }

    fn lines(geometry: Geometry) -> impl Iterator<Item = (u64, u64)> {
        LanesLayout::lines(geometry)
    }

    fn last_sequence(_: &Segment, _: Geometry) -> Result<u64> {
        Ok(0)
    }
}

/// One side of a pair.
///
/// Two threads that send, or two that receive, take turns for the time of one copy.
#[derive(Debug)]
pub(super) struct Pair {
    header: Header,
    lanes: Lanes,
    side: u8,
    inbox: Mutex<Inbox>,
    outbox: Mutex<Outbox>,
    /// The partner for whom the program's next message is, as far as the program can know; 0: any one.
    addressee: AtomicU64,
    /// The number of the partner's request that the next message answers, unless it was answered; 0: none.
    owed: AtomicU64,
    /// The tail of the other lane when all of it was received, and no mark was to be written. As long as it
    /// stays, a message may be sent without a look at the inbox.
    settled: AtomicU64,
    /// For sides that only send: when to look whether the partner lives.
    looks: Looks,
}

/// The receiving end. A thread that locks both ends locks this one first.
#[derive(Debug)]
struct Inbox {
    /// `None` once the side has left.
    end: Option<End>,
    handshake: Handshake,
    /// The partner that has ended before all of its messages were received; 0: none is known.
    dead: u64,
    /// A call that sends has said that it is dead.
    is_death_said: bool,
    /// This side's first mark is in the other ring.
    is_announced: bool,
    ahead: Ahead,
    /// The number of the request that waits for its answer; 0: none.
    awaited: u64,
    last_request: u64,
    /// The answer, if another thread has found it.
    answer: Option<Kept>,
    past: Past,
}

/// The state that a side takes along to other memory.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// The messages that were in front of an answer, with the numbers of requests.
    backlog: VecDeque<(Kept, Option<u64>)>,
    backlog_bytes: u64,
    /// The number of changes when these came. They are of one partner.
    backlog_changes: u64,
    /// The number of times that a partner was found, or has ended, in turns.
    changes: u64,
    /// The changes of which [`Pair::event`] has told.
    told: u64,
    /// A partner has ended, and no call has said so yet.
    is_end_unsaid: bool,
    /// A call that sends has said so. Messages of the partner are kept, and their receiver is told, too.
    is_end_said_to_sender: bool,
    late_answers: u64,
    /// The addressee in the memory that was left.
    addressee: u64,
}

/// The part of the ring in which messages were counted.
#[derive(Debug, Default)]
struct Ahead {
    end: u64,
    count: u64,
}

/// The sending end.
#[derive(Debug)]
struct Outbox {
    /// `None` once the side has left.
    producer: Option<Producer>,
    /// The partner for whom the next message is; 0: none.
    partner: u64,
    /// The number of the request that was answered last.
    answered: u64,
}

/// The number in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Request(u64),
    Answer(u64),
}

/// The first thing in the inbox, after all that isn't for the script.
enum Head {
    Nothing,
    /// More than one call should take out.
    Later,
    /// A partner was found, or has ended.
    Changed,
    Record(Record, Option<Number>),
}

impl Pair {
    /// Attaches to a pair that is laid out, or lays out memory that this process has created.
    pub(super) fn attach(segment: &Segment, ring: u64) -> Result<Header> {
        let limit = if segment.is_created() { ring } else { 0 };
        Header::attach::<PairLayout>(segment, Geometry { count: 2, limit })
    }

    /// Takes a side that is free, if there is one.
    pub(super) fn join(segment: &Segment, header: &Header) -> Result<Option<u8>> {
        for side in 0..2 {
            if header.take_role::<PairLayout>(segment, Role::Side(side))? {
                return Ok(Some(side));
            }
        }
        Ok(None)
    }

    /// Returns whether a process has a side.
    pub(super) fn is_taken(segment: &Segment, header: &Header, side: u8) -> Result<bool> {
        header.is_role_held::<PairLayout>(segment, Role::Side(side))
    }

    /// Begins with a side that [`join`](Self::join) has taken.
    pub(super) fn new(segment: &Segment, header: Header, side: u8) -> Result<Self> {
        let lanes = Lanes::new(header.geometry);
        let direct = segment.direct_mut()?;
        let producer = Producer::take_over_in_pair(lanes.lane(side.into()), &direct).map_err(in_pair)?;
        let end = End::take_over(lanes.lane((1 - side).into()), &direct).map_err(in_pair)?;
        let pair = Self {
            header,
            lanes,
            side,
            inbox: Mutex::new(Inbox {
                end: Some(end),
                handshake: Handshake::new(new_incarnation()),
                dead: 0,
                is_death_said: false,
                is_announced: false,
                ahead: Ahead::default(),
                awaited: 0,
                last_request: 0,
                answer: None,
                past: Past::default(),
            }),
            outbox: Mutex::new(Outbox { producer: Some(producer), partner: 0, answered: 0 }),
            addressee: AtomicU64::new(0),
            owed: AtomicU64::new(0),
            settled: AtomicU64::new(UNSETTLED),
            looks: Looks::default(),
        };
        pair.looks.done();
        pair.advance(&direct, &mut lock(&pair.inbox))?;
        Ok(pair)
    }

    /// Goes on with the state of another side's object.
    pub(super) fn set_past(&self, mut past: Past) {
        self.addressee.store(past.addressee, Ordering::Relaxed);
        let own = &mut lock(&self.inbox).past;
        // A partner may have been found here already.
        past.changes += own.changes;
        *own = past;
    }

    /// Gives the side back, and returns the state for the next one.
    pub(super) fn leave(&self, segment: &Segment) -> Past {
        let (mut inbox, mut outbox) = (lock(&self.inbox), lock(&self.outbox));
        (inbox.end, outbox.producer) = (None, None);
        self.header.release_role(segment, Role::Side(self.side));
        // The partner learns of it now, and not after its sleep. So do other threads of this process. Without
        // memory, they learn of it later.
        if let Ok(direct) = segment.direct_mut() {
            for lane in [self.own_lane(), self.other_lane()] {
                let _ = lane.message_bell().ring(&direct);
                let _ = lane.room_bell().ring(&direct);
            }
        }
        inbox.past.addressee = self.addressee.load(Ordering::Relaxed);
        std::mem::take(&mut inbox.past)
    }

    /// Calls `work` while no process has a side, or can take one.
    pub(super) fn while_unused<R>(&self, segment: &Segment, work: impl FnOnce() -> Result<R>) -> Result<R> {
        self.header.while_unused::<PairLayout, R>(segment, work)
    }

    /// Returns whether [`leave`](Self::leave) was called. Calls that are still in progress fail.
    pub(super) fn has_left(&self) -> bool {
        lock(&self.outbox).producer.is_none()
    }

    const fn own_lane(&self) -> Lane {
        self.lanes.lane(self.side as u32)
    }

    const fn other_lane(&self) -> Lane {
        self.lanes.lane(1 - self.side as u32)
    }

    /// Returns the bytes of the longest message, which always fits into an empty ring, even with a number.
    pub(super) const fn max_message(&self) -> u64 {
        self.lanes.max_message() - NUMBER_SIZE
    }

    /// Returns whether there is a partner. Takes note of its end, and of a partner that joins.
    pub(super) fn has_partner(&self, segment: &Segment) -> Result<bool> {
        // Another one may join after the look at the lock. So the look tells of this one only.
        let before = lock(&self.inbox).handshake.partner;
        // Before the look at the ring: all that the partner had published before its end is found then.
        let is_alive = Self::is_taken(segment, &self.header, 1 - self.side)?;
        let direct = segment.direct_mut()?;
        let mut inbox = lock(&self.inbox);
        let head = self.settle(&direct, &mut inbox)?;
        let is_same = before != 0 && inbox.handshake.partner == before;
        if !is_alive && is_same {
            self.note_death(&mut inbox);
            if matches!(head, Head::Nothing) {
                self.end_partner(&mut inbox);
            }
        }
        Ok(is_alive && inbox.open() != 0)
    }

    /// Returns whether the memory can be left: no process has the other side, and nothing is left to receive.
    pub(super) fn is_idle(&self, segment: &Segment) -> Result<bool> {
        if Self::is_taken(segment, &self.header, 1 - self.side)? {
            return Ok(false);
        }
        let direct = segment.direct_mut()?;
        let mut inbox = lock(&self.inbox);
        let is_empty = matches!(self.advance(&direct, &mut inbox)?, Head::Nothing);
        Ok(is_empty && inbox.handshake.partner == 0)
    }

    /// Takes out what isn't for the script, as well as the borders between partners.
    fn settle(&self, direct: &Direct<'_>, inbox: &mut Inbox) -> Result<Head> {
        // A partner that writes marks without end doesn't keep this call busy.
        for _ in 0..TRIES {
            match self.advance(direct, inbox)? {
                Head::Changed => {}
                Head::Record(record, number) => {
                    self.look_ahead(direct, inbox)?;
                    return Ok(Head::Record(record, number));
                }
                head => return Ok(head),
            }
        }
        Ok(Head::Later)
    }

    /// Counts the messages that wait, up to the mark of another partner. With such a mark, the partner that
    /// has sent them is dead, although the lock of its side is held.
    fn look_ahead(&self, direct: &Direct<'_>, inbox: &mut Inbox) -> Result<()> {
        let end = inbox.end.as_mut().ok_or(Error::Stopped)?;
        end.load_tail(direct).map_err(in_pair)?;
        let (head, tail) = (end.head, end.tail());
        if inbox.ahead.end < head {
            inbox.ahead = Ahead { end: head, count: 0 };
        }
        // A hostile partner may store a tail that is between the head and what was counted.
        self.other_lane().check(inbox.ahead.end, tail).map_err(in_pair)?;
        while let Some(mut record) =
            self.other_lane().record(direct, inbox.ahead.end, tail).map_err(in_pair)?
        {
            if record.tag == MARK {
                if mark_in(direct, &record)?.is_some_and(|mark| inbox.handshake.ends_partner(mark)) {
                    self.note_death(inbox);
                    break;
                }
            } else if !matches!(number_in(direct, &mut record)?, Some(Number::Answer(_))) {
                inbox.ahead.count += 1;
            }
            inbox.ahead.end = record.end;
        }
        Ok(())
    }

    /// Takes note that nothing keeps this side from sending, if that is so.
    #[inline]
    fn note_settled(&self, inbox: &Inbox) {
        if let Some(end) = &inbox.end
            && end.head == end.tail()
            && inbox.is_announced
            && inbox.dead == 0
            && inbox.handshake.answer().is_none()
        {
            self.settled.store(end.head, Ordering::Relaxed);
        }
    }

    /// Takes note that the partner is dead. Its messages can still be received, but nobody would receive
    /// the next message to it.
    fn note_death(&self, inbox: &mut Inbox) {
        inbox.dead = inbox.handshake.partner;
        lock(&self.outbox).partner = 0;
    }

    /// Takes out what isn't for the script, and returns what is next.
    #[inline]
    fn advance(&self, direct: &Direct<'_>, inbox: &mut Inbox) -> Result<Head> {
        if !inbox.is_announced || inbox.handshake.answer().is_some() {
            self.write_marks(direct, inbox)?;
        }
        let mut passed = 0;
        // A partner that writes faster than this reads doesn't keep this call busy without end.
        while passed <= self.lanes.ring {
            let end = inbox.end.as_mut().ok_or(Error::Stopped)?;
            let before = end.head;
            let Some(mut record) = end.first(direct).map_err(in_pair)? else {
                // Its death was found before this look at the ring.
                if inbox.dead != 0 && inbox.dead == inbox.handshake.partner {
                    self.end_partner(inbox);
                    return Ok(Head::Changed);
                }
                self.note_settled(inbox);
                return Ok(Head::Nothing);
            };
            if record.tag == MARK {
                if let Some(head) = self.take_mark(direct, inbox, &record)? {
                    return Ok(head);
                }
            } else if inbox.handshake.partner == 0 {
                inbox.pass(direct, record.end)?;
            } else {
                let number = number_in(direct, &mut record)?;
                match number {
                    // No request has the number 0, with which a hostile partner may keep `next` busy.
                    Some(Number::Answer(number)) if number == 0 || number != inbox.awaited => {
                        inbox.pass(direct, record.end)?;
                        inbox.past.late_answers += 1;
                    }
                    number => return Ok(Head::Record(record, number)),
                }
            }
            passed += record.end - before;
        }
        Ok(Head::Later)
    }

    /// Treats the mark that is next. Returns `None` to go on with what is behind it.
    #[cold]
    fn take_mark(&self, direct: &Direct<'_>, inbox: &mut Inbox, record: &Record) -> Result<Option<Head>> {
        let Some(mark) = mark_in(direct, record)? else {
            inbox.pass(direct, record.end)?;
            return Ok(None);
        };
        if inbox.handshake.ends_partner(mark) {
            self.end_partner(inbox);
            return Ok(Some(Head::Changed));
        }
        inbox.pass(direct, record.end)?;
        let is_found = inbox.handshake.pass(mark);
        if is_found {
            inbox.past.changes += 1;
        }
        self.write_marks(direct, inbox)?;
        Ok(is_found.then_some(Head::Changed))
    }

    /// Writes the marks that are due, as far as there is room.
    #[cold]
    fn write_marks(&self, direct: &Direct<'_>, inbox: &mut Inbox) -> Result<()> {
        let handshake = &mut inbox.handshake;
        // No message is between an answer and the moment from which messages are for the new partner.
        let outbox = &mut *lock(&self.outbox);
        let producer = outbox.producer.as_mut().ok_or(Error::Stopped)?;
        let mut put = |mark: Mark| producer.put_parts(direct, MARK, &mark.to_bytes(), &[]).map_err(in_pair);
        if !inbox.is_announced {
            inbox.is_announced = put(Mark { from: handshake.own, to: 0 })?;
        }
        if inbox.is_announced
            && let Some(answer) = handshake.answer()
            && put(answer)?
        {
            handshake.note_answer();
        }
        outbox.partner = inbox.open();
        Ok(())
    }

    /// Takes note that the partner has ended, and all that it had sent was received.
    fn end_partner(&self, inbox: &mut Inbox) {
        inbox.handshake.end_partner();
        inbox.dead = 0;
        inbox.past.changes += 1;
        inbox.past.is_end_unsaid = true;
        inbox.past.is_end_said_to_sender = std::mem::take(&mut inbox.is_death_said);
        let mut outbox = lock(&self.outbox);
        (outbox.partner, outbox.answered) = (0, 0);
        self.owed.store(0, Ordering::Relaxed);
    }

    /// Calls `take` with the message that is next, and takes it out.
    #[inline]
    fn take<R, E: From<Box<Error>>>(
        &self,
        direct: Direct<'_>,
        inbox: &mut Inbox,
        (record, number): (&Record, Option<Number>),
        take: &mut impl FnMut(&Incoming<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let taken = match record.descriptor() {
            Ok(descriptor) => Ok(take(&Incoming::new(direct, record.at, record.length, descriptor))?),
            // It counts as read.
            Err(error) => Err(error),
        };
        if !matches!(number, Some(Number::Answer(_))) && inbox.ahead.end >= record.end {
            inbox.ahead.count = inbox.ahead.count.saturating_sub(1);
        }
        inbox.pass(&direct, record.end)?;
        self.note_settled(inbox);
        Ok(taken?)
    }

    /// Copies the message that is next, to keep it, and takes it out.
    fn keep(
        &self,
        direct: Direct<'_>,
        inbox: &mut Inbox,
        record: &Record,
        number: Option<Number>,
    ) -> Result<Kept> {
        self.take(direct, inbox, (record, number), &mut |message| Kept::new(message))
    }
}

impl Past {
    /// Takes note that a call that sends has told of the end of the partner.
    fn say_end_to_sender(&mut self) {
        self.is_end_unsaid &= !self.backlog.is_empty();
        self.is_end_said_to_sender = true;
    }

    /// Returns whether another message may be kept. Not while the receiver is to be told of an end first.
    fn can_keep(&self, limit: u64) -> bool {
        let has_room = self.backlog_bytes <= limit && self.backlog_changes == self.changes;
        !self.is_end_unsaid && (self.backlog.is_empty() || has_room)
    }
}

impl Inbox {
    /// Takes note that a call that sends has told of the end of the partner.
    fn say_end_to_sender(&mut self) {
        if self.dead != 0 && !self.past.is_end_unsaid {
            // Its messages come first, and then its end is told to the receiver.
            self.is_death_said = true;
        } else {
            self.past.say_end_to_sender();
        }
    }

    /// Returns the partner for whom messages may be written; 0 if there is none.
    const fn open(&self) -> u64 {
        let partner = self.handshake.open();
        if partner == self.dead { 0 } else { partner }
    }

    /// Takes a record out.
    #[inline]
    fn pass(&mut self, direct: &Direct<'_>, end: u64) -> Result<()> {
        self.end.as_mut().ok_or(Error::Stopped)?.pass_in_pair(direct, end).map_err(in_pair)
    }
}

/// Returns the mark in a record, unless its size is wrong.
fn mark_in(direct: &Direct<'_>, record: &Record) -> Result<Option<Mark>> {
    if record.length != Mark::SIZE {
        return Ok(None);
    }
    let mut bytes = [0; 16];
    direct.read(record.at, &mut bytes)?;
    Ok(Some(Mark::from_bytes(bytes)))
}

/// Returns the number of a record, without which the record is an ordinary one.
#[inline]
fn number_in(direct: &Direct<'_>, record: &mut Record) -> Result<Option<Number>> {
    let make = match record.tag & (REQUEST | ANSWER) {
        REQUEST => Number::Request,
        ANSWER => Number::Answer,
        // With both bits, the message is invalid.
        _ => return Ok(None),
    };
    // Too short for the number: with the bit still there, the message is invalid, too.
    if record.length < NUMBER_SIZE {
        return Ok(None);
    }
    let number = direct.load_u64(record.at)?;
    record.tag &= !(REQUEST | ANSWER);
    record.at += NUMBER_SIZE;
    record.length -= NUMBER_SIZE;
    Ok(Some(make(number)))
}

#[cold]
fn invalid(what: &'static str, found: u64) -> Box<Error> {
    let limit = "no program writes that; close() both sides, then open() makes the memory again".to_owned();
    Box::new(Error::Invalid { layout: NAME, what, found, limit })
}

/// Returns the error of a lane as one of the pair.
#[cold]
fn in_pair(error: Box<Error>) -> Box<Error> {
    match *error {
        Error::Corrupt { what, found, .. } => invalid(what, found),
        _ => error,
    }
}
