//! The model of both sides.

use std::collections::VecDeque;

use shm_segment::Segment;
use shm_segment::layout::native::Event;

use super::rings::{ANSWER, Lane, Meaning, REQUEST, Record, has_shape, shape_bytes};
use crate::native::letters::Letter;

/// A partner that has ended before the program has learned of it.
const ENDED: u64 = u64::MAX;
/// A call goes on over this many borders.
const MOST_BORDERS: usize = 8;

/// The end of a call that has no result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum End {
    Nothing,
    Gone,
    NotConnected,
    Full,
    Invalid,
    TooLarge,
    Refused,
}

/// The next thing in the inbox.
enum Head {
    Nothing,
    /// A border.
    Changed,
    /// The number of a request, and the message if it can be read.
    Message(Option<u64>, Option<Letter>),
}

/// The numbers of sides; 0: none.
#[derive(Default)]
struct Side {
    own: u64,
    partner: u64,
    due: u64,
    answered: u64,
    /// The partner that has ended before all of its messages were received.
    dead: u64,
    /// The partner for whom messages may be put in; 0: none.
    open_for: u64,
    /// The partner for whom the next message is, as far as the program can know; 0: any one.
    meant: u64,
    has_connected: bool,
    is_announced: bool,
    /// The number of the request that the next message answers; 0: none.
    owed: u64,
    asked: u64,
    late: u64,
    /// The messages in front of an answer, the bytes that they are reckoned with, and the border before.
    kept: VecDeque<(Letter, Option<u64>)>,
    kept_bytes: u64,
    kept_changes: u64,
    changes: u64,
    told: u64,
    is_end_unsaid: bool,
    /// A request has told of that end.
    is_end_said: bool,
    /// A request has told that the partner is dead, whose messages are still to be received.
    is_death_said: bool,
}

/// The messages that a side has counted.
pub(super) struct Counted {
    pub(super) messages: u64,
    /// The positions of the first one, behind it, and behind the last one.
    pub(super) head: u64,
    pub(super) first_end: u64,
    pub(super) end: u64,
    pub(super) kept_bytes: u64,
    pub(super) is_connected: bool,
}

pub(super) struct Model<'a> {
    keeper: &'a Segment,
    ring: u64,
    lanes: [Lane; 2],
    sides: [Option<Side>; 2],
}

impl Side {
    fn is_open(&self) -> bool {
        self.partner != 0 && self.answered == self.partner && self.dead != self.partner
    }

    /// Returns whether a record is the mark of another partner.
    fn is_border(&self, record: &Record) -> bool {
        matches!(record.meaning(), Meaning::Mark { from: from @ 1.., to: 0 } if from != self.partner)
    }

    fn end_partner(&mut self) {
        (self.partner, self.due, self.dead, self.owed, self.open_for) = (0, 0, 0, 0, 0);
        self.changes += 1;
        (self.is_end_unsaid, self.is_end_said) = (true, std::mem::take(&mut self.is_death_said));
    }

    /// Receives a mark. Returns true if the mark was a partner's.
    fn pass(&mut self, from: u64, to: u64) -> bool {
        let is_answer = !self.has_connected && to == self.own && to != 0;
        let is_joining = to == 0 && from != self.partner;
        if from == 0 || !is_answer && !is_joining {
            return false;
        }
        self.due = if self.answered == from { 0 } else { from };
        if !self.has_connected && !is_answer {
            return false;
        }
        (self.has_connected, self.partner) = (true, from);
        self.changes += 1;
        true
    }

    /// Tells the program of an end.
    fn tell_end(&mut self) -> bool {
        if !std::mem::take(&mut self.is_end_unsaid) {
            return false;
        }
        self.forget_ended();
        true
    }

    /// A request tells of an end. The messages that it has kept come before the receiver is told.
    fn request_tells_end(&mut self) {
        self.is_end_unsaid &= !self.kept.is_empty();
        self.is_end_said = true;
    }

    fn forget_ended(&mut self) {
        if self.meant != self.partner {
            self.meant = 0;
        }
    }

    fn can_keep(&self, ring: u64) -> bool {
        self.kept.is_empty() || self.kept_bytes <= ring && self.kept_changes == self.changes
    }
}

impl<'a> Model<'a> {
    pub(super) fn new(keeper: &'a Segment, ring: u64) -> Self {
        let lanes = [0, 1].map(|index| Lane::new(index, ring));
        Self { keeper, ring, lanes, sides: [None, None] }
    }

    pub(super) fn check_words(&self) {
        self.lanes.iter().for_each(|lane| lane.check_words(self.keeper));
    }

    pub(super) fn open(&mut self, at: usize) {
        self.sides[at] = Some(Side::default());
        self.advance(at);
    }

    pub(super) fn close(&mut self, at: usize) {
        self.sides[at] = None;
    }

    pub(super) fn leave_junk(&self, at: usize, length: u64) {
        self.lanes[at].leave_junk(self.keeper, length);
    }

    fn side(&mut self, at: usize) -> &mut Side {
        self.sides[at].as_mut().unwrap()
    }

    /// Writes the marks that are due, as far as there is room.
    fn write_marks(&mut self, at: usize) {
        let (lane, side) = (&mut self.lanes[at], self.sides[at].as_mut().unwrap());
        if !side.is_announced && lane.put(Record::mark(side.own, 0)) {
            side.is_announced = true;
            // The number was chosen at random.
            side.own = self.keeper.load_u64(lane.last_at() + 8).unwrap();
            assert_ne!(side.own, 0);
            lane.records.back_mut().unwrap().bytes[..8].copy_from_slice(&side.own.to_le_bytes());
        }
        if side.is_announced && side.due != 0 && lane.put(Record::mark(side.own, side.due)) {
            (side.answered, side.due) = (side.due, 0);
        }
        side.open_for = if side.is_open() { side.partner } else { 0 };
    }

    /// Takes out what isn't for the program, up to the next message or border.
    fn advance(&mut self, at: usize) -> Head {
        if !self.side(at).is_announced || self.side(at).due != 0 {
            self.write_marks(at);
        }
        loop {
            let side = self.sides[at].as_mut().unwrap();
            let Some(record) = self.lanes[1 - at].records.front() else {
                if side.partner != 0 && side.dead == side.partner {
                    side.end_partner();
                    return Head::Changed;
                }
                return Head::Nothing;
            };
            let meaning = record.meaning();
            match meaning {
                Meaning::Mark { from: from @ 1.., to: 0 } if side.partner != 0 && from != side.partner => {
                    side.end_partner();
                    return Head::Changed;
                }
                Meaning::Mark { from, to } => {
                    let is_found = side.pass(from, to);
                    self.lanes[1 - at].take();
                    self.write_marks(at);
                    if is_found {
                        return Head::Changed;
                    }
                }
                Meaning::NoMark => self.lanes[1 - at].take(),
                Meaning::Message { .. } if side.partner == 0 => self.lanes[1 - at].take(),
                // No request waits, or it has another number.
                Meaning::Message { number: Some((ANSWER, _)), .. } => {
                    side.late += 1;
                    self.lanes[1 - at].take();
                }
                Meaning::Message { number, letter } => {
                    return Head::Message(number.map(|(_, number)| number), letter);
                }
            }
        }
    }

    fn settle(&mut self, at: usize) -> Option<Head> {
        for _ in 0..MOST_BORDERS {
            match self.advance(at) {
                Head::Changed => {}
                head @ Head::Message(..) => {
                    self.look_ahead(at);
                    return Some(head);
                }
                head @ Head::Nothing => return Some(head),
            }
        }
        None
    }

    /// Looks for the mark of another partner behind the messages.
    fn look_ahead(&mut self, at: usize) {
        let side = self.sides[at].as_mut().unwrap();
        if self.lanes[1 - at].records.iter().any(|record| side.is_border(record)) {
            (side.dead, side.open_for) = (side.partner, 0);
        }
    }

    pub(super) fn look_at_partner(&mut self, at: usize) -> bool {
        let before = self.side(at).partner;
        let is_there = self.sides[1 - at].is_some();
        let head = self.settle(at);
        let side = self.side(at);
        if !is_there && before != 0 && before == side.partner {
            (side.dead, side.open_for) = (before, 0);
            if matches!(head, Some(Head::Nothing)) {
                side.end_partner();
            }
        }
        is_there && side.is_open()
    }

    pub(super) fn is_connected(&mut self, at: usize) -> bool {
        self.look_at_partner(at);
        self.look_at_partner(at)
    }

    /// Takes the message that is next.
    fn take(&mut self, at: usize, letter: Option<Letter>, is_refused: bool) -> Result<Letter, End> {
        if letter.is_some() && is_refused {
            return Err(End::Refused);
        }
        self.lanes[1 - at].take();
        letter.ok_or(End::Invalid)
    }

    /// Returns the next message, or `Err(None)` at a border.
    fn next(&mut self, at: usize, is_refused: bool) -> Result<Letter, Option<End>> {
        let side = self.side(at);
        if let Some((letter, request)) = side.kept.front() {
            if is_refused {
                return Err(Some(End::Refused));
            }
            let (letter, request) = (letter.clone(), *request);
            side.kept.pop_front();
            side.kept_bytes -= letter.content.len() as u64 + 64;
            if side.kept_changes == side.changes {
                side.owed = request.unwrap_or(side.owed);
                side.meant = side.partner;
            }
            return Ok(letter);
        }
        if side.is_end_unsaid {
            return Err(None);
        }
        match self.advance(at) {
            Head::Nothing => Err(Some(End::Nothing)),
            Head::Changed => Err(None),
            Head::Message(request, letter) => {
                let letter = self.take(at, letter, is_refused)?;
                let side = self.side(at);
                side.owed = request.unwrap_or(side.owed);
                side.meant = side.partner;
                Ok(letter)
            }
        }
    }

    fn try_receive(&mut self, at: usize, is_refused: bool) -> Result<Letter, End> {
        loop {
            match self.next(at, is_refused) {
                Ok(letter) => return Ok(letter),
                Err(Some(end)) => return Err(end),
                Err(None) if self.side(at).tell_end() => return Err(End::Gone),
                Err(None) => {}
            }
        }
    }

    pub(super) fn received(&mut self, at: usize, is_refused: bool, found: Result<Letter, End>, waits: bool) {
        let mut expected = self.try_receive(at, is_refused);
        if expected == Err(End::Nothing) {
            // A wait looks at the partner if its time is long enough for that.
            if !waits || found != expected {
                self.look_at_partner(at);
            }
            if !waits || found != expected {
                expected = self.try_receive(at, is_refused);
            }
        }
        assert_eq!(found, expected);
    }

    pub(super) fn event(&mut self, at: usize) -> Result<Option<Event<Letter>>, End> {
        self.look_at_partner(at);
        loop {
            let side = self.side(at);
            let before = if side.kept.is_empty() { side.changes } else { side.kept_changes };
            if side.told < before {
                side.told += 1;
                if side.told.is_multiple_of(2) {
                    side.is_end_unsaid = false;
                    side.forget_ended();
                    return Ok(Some(Event::Disconnected));
                }
                side.meant = if side.told == side.changes { side.partner } else { ENDED };
                return Ok(Some(Event::Connected));
            }
            side.is_end_unsaid &= side.told < side.changes;
            match self.next(at, false) {
                Ok(letter) => return Ok(Some(Event::Message(letter))),
                Err(Some(End::Nothing)) => return Ok(None),
                Err(Some(end)) => return Err(end),
                Err(None) => {}
            }
        }
    }

    fn is_refused(&self, letter: &Letter, is_valid: bool) -> Option<End> {
        match letter.content.len() as u64 {
            length if length > self.ring / 2 - 32 => Some(End::TooLarge),
            _ if !is_valid => Some(End::Invalid),
            _ => None,
        }
    }

    fn try_send(&mut self, at: usize, letter: &Letter, request: Option<u64>) -> Result<(), End> {
        self.settle(at);
        let (lane, side) = (&mut self.lanes[at], self.sides[at].as_mut().unwrap());
        if side.meant != 0 && side.meant != side.open_for {
            side.meant = 0;
            return Err(End::Gone);
        }
        if side.open_for == 0 {
            return Err(End::NotConnected);
        }
        let (bit, number) = match request {
            Some(number) => (REQUEST, number),
            None if side.owed != 0 => (ANSWER, side.owed),
            None => (0, 0),
        };
        if !lane.put(Record::message(letter, bit, number)) {
            return Err(End::Full);
        }
        if request.is_none() {
            side.owed = 0;
        }
        side.meant = side.open_for;
        Ok(())
    }

    pub(super) fn sent(
        &mut self,
        at: usize,
        letter: &Letter,
        is_valid: bool,
        found: Result<(), End>,
        waits: bool,
    ) {
        if let Some(end) = self.is_refused(letter, is_valid) {
            return assert_eq!(found, Err(end));
        }
        let mut expected = self.try_send(at, letter, None);
        match expected {
            Err(End::Full) if !waits => expected = self.try_full(at, letter, None),
            // The wait looks at the partner if its time is long enough for that.
            Err(End::Full | End::NotConnected) if waits && found == Err(End::Gone) => {
                self.look_at_partner(at);
                expected = self.try_send(at, letter, None);
            }
            Err(End::Full | End::NotConnected) if waits => expected = Err(End::Nothing),
            _ => {}
        }
        assert_eq!(found, expected);
    }

    /// Tries again with a full ring, since nobody may be there who would take anything out.
    fn try_full(&mut self, at: usize, letter: &Letter, request: Option<u64>) -> Result<(), End> {
        if self.look_at_partner(at) { Err(End::Full) } else { self.try_send(at, letter, request) }
    }

    pub(super) fn request(&mut self, at: usize, letter: &Letter, is_valid: bool) -> End {
        if let Some(end) = self.is_refused(letter, is_valid) {
            return end;
        }
        let side = self.side(at);
        if side.is_end_unsaid && !side.is_end_said {
            side.request_tells_end();
            side.forget_ended();
            return End::Gone;
        }
        side.asked += 1;
        let asked = Some(side.asked);
        let mut sent = self.try_send(at, letter, asked);
        if sent == Err(End::Full) {
            sent = self.try_full(at, letter, asked);
        }
        if let Err(end) = sent {
            let side = self.side(at);
            match end {
                End::Gone if side.dead != 0 && !side.is_end_unsaid => side.is_death_said = true,
                End::Gone => side.request_tells_end(),
                _ => {}
            }
            return end;
        }
        let side = self.side(at);
        let partner = std::mem::take(&mut side.meant);
        let end = self.look_for_answer(at, partner);
        match end {
            End::Nothing => self.side(at).meant = partner,
            End::Gone => self.side(at).request_tells_end(),
            _ => {}
        }
        end
    }

    /// Keeps the messages in front of an answer that never comes.
    fn look_for_answer(&mut self, at: usize, partner: u64) -> End {
        loop {
            let (head, ring) = (self.advance(at), self.ring);
            let side = self.side(at);
            if side.partner != partner {
                return End::Gone;
            }
            match head {
                Head::Nothing => return End::Nothing,
                Head::Changed => {}
                Head::Message(..) if !side.can_keep(ring) => return End::Nothing,
                Head::Message(request, letter) => {
                    let Ok(letter) = self.take(at, letter, false) else { return End::Invalid };
                    let side = self.side(at);
                    side.kept_bytes += letter.content.len() as u64 + 64;
                    side.kept_changes = side.changes;
                    side.kept.push_back((letter, request));
                }
            }
        }
    }

    pub(super) fn has_something(&mut self, at: usize) -> bool {
        loop {
            let side = self.side(at);
            if !side.kept.is_empty() || side.is_end_unsaid {
                return true;
            }
            match self.advance(at) {
                Head::Nothing => return false,
                Head::Changed => {}
                Head::Message(..) => return true,
            }
        }
    }

    pub(super) fn count(&mut self, at: usize) -> u64 {
        self.look_at_partner(at);
        let is_message = matches!(self.settle(at), Some(Head::Message(..)));
        let records = self.before_border(at).filter(|_| is_message);
        let counts = |record: &&Record| match record.meaning() {
            Meaning::Message { number, .. } => !matches!(number, Some((ANSWER, _))),
            Meaning::Mark { .. } | Meaning::NoMark => false,
        };
        let kept = self.sides[at].as_ref().unwrap().kept.len();
        (records.filter(counts).count() + kept) as u64
    }

    /// Returns the records up to the mark of another partner.
    fn before_border(&self, at: usize) -> impl Iterator<Item = &Record> {
        let side = self.sides[at].as_ref().unwrap();
        self.lanes[1 - at].records.iter().take_while(|record| !side.is_border(record))
    }

    /// Returns the messages that the side has just counted. `None` without any in the ring.
    pub(super) fn counted(&mut self, at: usize) -> Option<Counted> {
        let messages = self.count(at);
        if !matches!(self.settle(at), Some(Head::Message(..))) {
            return None;
        }
        let lane = &self.lanes[1 - at];
        let (head, first_end) = (lane.head, lane.records.front()?.end);
        let end = self.before_border(at).last()?.end;
        let is_connected = self.look_at_partner(at);
        let kept_bytes = self.side(at).kept_bytes;
        Some(Counted { messages, head, first_end, end, kept_bytes, is_connected })
    }

    /// Calls `look` while the lane to this side has another tail.
    pub(super) fn with_tail(&self, at: usize, tail: u64, look: impl FnOnce()) {
        let lane = &self.lanes[1 - at];
        self.keeper.store_u64(lane.at, tail).unwrap();
        look();
        self.keeper.store_u64(lane.at, lane.tail).unwrap();
    }

    pub(super) fn available(&mut self, at: usize) -> u64 {
        self.lanes[1 - at].filled() + self.side(at).kept_bytes
    }

    pub(super) fn late_answers(&mut self, at: usize) -> u64 {
        self.side(at).late
    }

    /// Returns whether a request and its answer will go through.
    pub(super) fn can_exchange(&mut self, at: usize, question: &Letter, reply: &Letter) -> bool {
        let limit = self.ring / 2 - 32;
        let are_short = [question, reply].iter().all(|letter| letter.content.len() as u64 <= limit);
        let are_connected = self.sides.iter().flatten().filter(|side| side.is_open()).count() == 2;
        // Nothing else is there.
        are_short && are_connected && self.lanes.iter().all(|lane| lane.records.is_empty()) && {
            let is_said = |side: &Side| !side.is_end_unsaid && side.kept.is_empty();
            is_said(self.side(at)) && is_said(self.side(1 - at))
        }
    }

    pub(super) fn exchanged(&mut self, at: usize, question: &Letter, reply: &Letter) {
        let side = self.side(at);
        side.asked += 1;
        let asked = side.asked;
        self.try_send(at, question, Some(asked)).unwrap();
        assert!(matches!(self.next(1 - at, false), Ok(letter) if letter == *question));
        self.try_send(1 - at, reply, None).unwrap();
        assert!(matches!(
            self.lanes[1 - at].records[0].meaning(),
            Meaning::Message { number: Some((ANSWER, number)), .. } if number == asked
        ));
        self.lanes[1 - at].take();
    }

    pub(super) fn spoil(&mut self, at: usize, tag: [u8; 4], shape: [u32; 4]) {
        let lane = &mut self.lanes[at];
        let record_at = lane.last_at();
        let Some(record) = lane.records.back_mut() else { return };
        record.tag = u32::from_le_bytes(tag);
        self.keeper.write(record_at + 4, &tag).unwrap();
        if has_shape(record.tag)
            && let Some(bytes) = record.bytes.first_chunk_mut::<16>()
        {
            bytes.copy_from_slice(&shape_bytes(shape));
            self.keeper.write(record_at + 8, bytes).unwrap();
        }
    }
}
