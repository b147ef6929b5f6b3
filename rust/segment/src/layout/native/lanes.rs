//! The steps of `lanes` (`docs/FORMAT.md`, *`lanes`: every message in order*): rings of records, each with
//! one producer, and one consumer for all.
//!
//! A record is published by one store, of the ring's tail. The tail and the head are the only truth. Both
//! sides keep their own position privately, and check the other's at each load.

use super::bell::Bell;
use super::header::{Geometry, LINE, LINES_AT, TRIES, WAITING_AT};
use super::message::{Descriptor, Message, SHAPE_SIZE, shape_in};
use super::shared::Shared;
use super::{Error, Result, invalid_queue};

/// The consumer's line, from the beginning of a lane on. The producer's is at 0.
const HEAD_AT: u64 = LINE;
const ROOM_BELL_AT: u64 = LINE + 0x08;
/// The words with which a lane of a pair says that there are messages. In a queue, one pair of words is for
/// all lanes.
const MESSAGE_BELL_AT: u64 = 0x08;
/// The two pairs of a position and a number of messages, from the beginning of each line on.
const COUNTS_AT: u64 = 0x10;
const RING_AT: u64 = 2 * LINE;

/// The bytes of the shortest record.
pub(super) const RECORD_HEADER: u64 = 8;
/// The size that marks the rest of the ring as unused.
const PADDING: u32 = u32::MAX;
/// The bytes of a lane besides the ring.
const LANE_LINES: u64 = 2 * LINE;

/// A position that no lane reaches: with a gigabyte per second, it would take 146 years.
const POSITIONS: u64 = 1 << 62;

/// The smallest and the largest ring.
pub(super) const RINGS: std::ops::RangeInclusive<u64> = 64..=1 << 30;

/// The places of a queue's parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lanes {
    pub(super) count: u32,
    pub(super) ring: u64,
}

/// A lane: the offset of its first byte, and the size of its ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lane {
    at: u64,
    ring: u64,
}

/// A message in a ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) tag: u32,
    /// `None` if the record is too short for it.
    shape: Option<[u32; 4]>,
    /// The offset of the content.
    pub(super) at: u64,
    pub(super) length: u64,
    /// The position behind it.
    pub(super) end: u64,
}

impl Record {
    /// Returns what the content is. Fails if this version can't read it.
    #[inline]
    pub(super) fn descriptor(&self) -> Result<Descriptor> {
        let shape = self.shape.ok_or_else(|| Descriptor::too_short(self.length))?;
        Descriptor::found(self.tag, shape, self.length)
    }
}

impl Lanes {
    pub(super) const fn new(geometry: Geometry) -> Self {
        Self { count: geometry.count, ring: geometry.limit }
    }

    pub(super) const fn lane(self, index: u32) -> Lane {
        Lane { at: LINES_AT + index as u64 * (LANE_LINES + self.ring), ring: self.ring }
    }

    /// Returns the bytes of the header and of all lanes.
    pub(super) const fn length(self) -> u64 {
        self.lane(self.count).at
    }

    /// Returns the bytes of the longest message. An empty ring has room for it at any position: half of the
    /// ring, and less than that as padding.
    pub(super) const fn max_message(self) -> u64 {
        self.ring / 2 - RECORD_HEADER - SHAPE_SIZE
    }
}

/// Returns the size and the tag in the header of a record.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "each is half of the word")]
const fn halves(header: u64) -> (u64, u32) {
    (header & 0xFFFF_FFFF, (header >> 32) as u32)
}

/// The positions of a lane's two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    head: u64,
    tail: u64,
}

impl Lane {
    /// Returns the offset and the length of the lines, which are before the ring.
    pub(super) const fn lines(self) -> (u64, u64) {
        (self.at, LANE_LINES)
    }

    /// Returns the words with which the producer of a pair says that there are messages.
    pub(super) const fn message_bell(self) -> Bell {
        Bell(self.at + MESSAGE_BELL_AT)
    }

    /// Returns the words with which the consumer says that there is room.
    pub(super) const fn room_bell(self) -> Bell {
        Bell(self.at + ROOM_BELL_AT)
    }

    /// Returns the offset of the word that moves with each message.
    pub(super) const fn tail_at(self) -> u64 {
        self.at
    }

    const fn offset(self, position: u64) -> u64 {
        self.at + RING_AT + (position & (self.ring - 1))
    }

    /// Returns the bytes from a position to the end of the ring.
    const fn left(self, position: u64) -> u64 {
        self.ring - (position & (self.ring - 1))
    }

    #[inline]
    pub(super) fn check(self, head: u64, tail: u64) -> Result<Ends> {
        match tail.checked_sub(head) {
            Some(filled) if filled <= self.ring && (head | tail).is_multiple_of(8) && tail < POSITIONS => {
                Ok(Ends { head, tail })
            }
            _ => Err(invalid_queue("the distance from the head to the tail", tail.wrapping_sub(head))),
        }
    }

    /// Returns both ends, for a program that holds one of them still.
    fn ends<S: Shared>(self, shared: &S) -> Result<Ends>
    where
        Box<Error>: From<S::Error>,
    {
        // The head first: it can't pass a tail that is loaded after it.
        let head = shared.load_u64(self.at + HEAD_AT)?;
        let tail = shared.load_u64(self.at)?;
        self.check(head, tail)
    }

    /// Returns the number of messages up to `position`, as the pair at `line` tells that is for it.
    fn count_at<S: Shared>(self, shared: &S, line: u64, position: u64) -> Result<Option<u64>>
    where
        Box<Error>: From<S::Error>,
    {
        for pair in 0..2 {
            let at = self.at + line + COUNTS_AT + pair * 16;
            if shared.load_u64(at)? == position {
                return Ok(Some(shared.load_u64(at + 8)?));
            }
        }
        Ok(None)
    }

    /// Stores the number of messages up to `position`. The other pair stays, which is for the position that
    /// is published still.
    #[inline(always)]
    fn store_count<S: Shared>(self, shared: &S, line: u64, position: u64, count: u64) -> Result<()>
    where
        Box<Error>: From<S::Error>,
    {
        let at = self.at + line + COUNTS_AT + (count & 1) * 16;
        shared.store_u64(at, position)?;
        shared.store_u64(at + 8, count)?;
        Ok(())
    }

    /// Returns how many messages were ever published at one end: at 0 the producer's, at [`HEAD_AT`] the
    /// consumer's. The end may move at any time. `None` if it moves too fast.
    fn passed<S: Shared>(self, shared: &S, line: u64) -> Result<Option<u64>>
    where
        Box<Error>: From<S::Error>,
    {
        for _ in 0..TRIES {
            let position = shared.load_u64(self.at + line)?;
            let count = self.count_at(shared, line, position)?;
            if shared.load_u64(self.at + line)? == position {
                return count.map(Some).ok_or_else(|| invalid_queue("the position of a count", position));
            }
        }
        Ok(None)
    }

    /// Returns how many messages were ever put in, even while the producer puts others in.
    pub(super) fn put<S: Shared>(self, shared: &S) -> Result<u64>
    where
        Box<Error>: From<S::Error>,
    {
        if let Some(count) = self.passed(shared, 0)? {
            return Ok(count);
        }
        // It moves too fast. Both counts are of the last few messages, and the larger one may be of a message
        // that isn't published yet. The smaller one never is, and is above those of all earlier looks.
        let count = |pair: u64| shared.load_u64(self.at + COUNTS_AT + pair * 16 + 8);
        Ok(count(0)?.min(count(1)?))
    }

    /// Returns how many messages were ever put in, and how many of these were taken out.
    pub(super) fn counts<S: Shared>(self, shared: &S) -> Result<(u64, u64)>
    where
        Box<Error>: From<S::Error>,
    {
        // The head first, so that no more messages are taken out than were put in.
        let taken = self.passed(shared, HEAD_AT)?.ok_or(Error::Overtaken)?;
        let put = self.passed(shared, 0)?.ok_or(Error::Overtaken)?;
        Ok((put, taken))
    }

    /// Returns the bytes of the ring that are in use.
    pub(super) fn filled<S: Shared>(self, shared: &S) -> Result<u64>
    where
        Box<Error>: From<S::Error>,
    {
        for _ in 0..TRIES {
            let head = shared.load_u64(self.at + HEAD_AT)?;
            let tail = shared.load_u64(self.at)?;
            // Otherwise, the producer may have used the room that the consumer has left.
            if shared.load_u64(self.at + HEAD_AT)? == head {
                return self.check(head, tail).map(|ends| ends.tail - ends.head);
            }
        }
        Err(Box::new(Error::Overtaken))
    }

    /// Returns the record at `head`, and `None` if that is `tail`. [`Self::check`] has accepted both.
    #[inline(always)]
    pub(super) fn record<S: Shared>(self, shared: &S, mut head: u64, tail: u64) -> Result<Option<Record>>
    where
        Box<Error>: From<S::Error>,
    {
        if head == tail {
            return Ok(None);
        }
        let (mut size, mut tag) = halves(shared.load_u64(self.offset(head))?);
        if size == PADDING.into() {
            head += self.left(head);
            // A record follows the padding in the same step.
            if head >= tail {
                return Err(invalid_queue("the size of a record", PADDING.into()));
            }
            (size, tag) = halves(shared.load_u64(self.offset(head))?);
        }
        let needed = RECORD_HEADER + size.next_multiple_of(8);
        if needed > (tail - head).min(self.left(head)) {
            return Err(invalid_queue("the size of a record", size));
        }
        let (at, end) = (self.offset(head) + RECORD_HEADER, head + needed);
        if !Descriptor::has_shape(tag) {
            return Ok(Some(Record { tag, shape: Some([0; 4]), at, length: size, end }));
        }
        let Some(length) = size.checked_sub(SHAPE_SIZE) else {
            return Ok(Some(Record { tag, shape: None, at, length: size, end }));
        };
        let mut bytes = [0; 16];
        shared.read(at, &mut bytes)?;
        Ok(Some(Record { tag, shape: Some(shape_in(&bytes)), at: at + SHAPE_SIZE, length, end }))
    }
}

/// The producer's own state.
#[derive(Debug)]
pub(super) struct Producer {
    lane: Lane,
    tail: u64,
    /// The last head that was loaded.
    head: u64,
    count: u64,
    /// The words with which the consumer is woken.
    bell: Bell,
}

impl Producer {
    /// Goes on where another producer has stopped, perhaps in the middle.
    pub(super) fn take_over<S: Shared>(lane: Lane, shared: &S) -> Result<Self>
    where
        Box<Error>: From<S::Error>,
    {
        let Ends { head, tail } = lane.ends(shared)?;
        let count = lane.count_at(shared, 0, tail)?;
        let count = count.ok_or_else(|| invalid_queue("the position of a count", tail))?;
        Ok(Self { lane, tail, head, count, bell: Bell(WAITING_AT) })
    }

    /// Does the same for a lane of a pair.
    pub(super) fn take_over_in_pair<S: Shared>(lane: Lane, shared: &S) -> Result<Self>
    where
        Box<Error>: From<S::Error>,
    {
        Ok(Self { bell: lane.message_bell(), ..Self::take_over(lane, shared)? })
    }

    /// Puts a message in, which was checked, and wakes the consumer. Returns false if there is no room.
    #[inline]
    pub(super) fn put<S: Shared>(&mut self, shared: &S, message: &Message<'_>) -> Result<bool>
    where
        Box<Error>: From<S::Error>,
    {
        let tag = message.descriptor.tag();
        if Descriptor::has_shape(tag) {
            self.put_parts(shared, tag, &message.descriptor.shape_bytes(), message.content)
        } else {
            self.put_parts(shared, tag, &[], message.content)
        }
    }

    /// Puts a record in that consists of two parts. Returns false if there is no room.
    #[inline(always)]
    pub(super) fn put_parts<S: Shared>(
        &mut self,
        shared: &S,
        tag: u32,
        first: &[u8],
        content: &[u8],
    ) -> Result<bool>
    where
        Box<Error>: From<S::Error>,
    {
        let lane = self.lane;
        let before = first.len() as u64;
        let size = before + content.len() as u64;
        let needed = RECORD_HEADER + size.next_multiple_of(8);
        let left = lane.left(self.tail);
        let padding = if needed > left { left } else { 0 };
        let end = self.tail + padding + needed;
        if end - self.head > lane.ring {
            let head = shared.load_u64(lane.at + HEAD_AT)?;
            self.head = lane.check(head, self.tail)?.head;
            if end - self.head > lane.ring {
                return Ok(false);
            }
        }
        if padding != 0 {
            shared.store_u64(lane.offset(self.tail), PADDING.into())?;
        }
        let at = lane.offset(self.tail + padding);
        shared.store_u64(at, u64::from(tag) << 32 | size)?;
        if before != 0 {
            shared.write(at + RECORD_HEADER, first)?;
        }
        shared.write(at + RECORD_HEADER + before, content)?;
        let count = self.count.wrapping_add(1);
        lane.store_count(shared, 0, end, count)?;
        shared.store_u64(lane.at, end)?;
        (self.tail, self.count) = (end, count);
        self.bell.ring(shared)?;
        Ok(true)
    }

    /// Returns the words with which the consumer says that there is room.
    pub(super) const fn room_bell(&self) -> Bell {
        self.lane.room_bell()
    }
}

/// The consumer's own state.
#[derive(Debug)]
pub(super) struct Consumer {
    ends: Vec<End>,
    /// The lane that is served next.
    next: usize,
}

impl Consumer {
    pub(super) fn take_over<S: Shared>(lanes: Lanes, shared: &S) -> Result<Self>
    where
        Box<Error>: From<S::Error>,
    {
        let ends = (0..lanes.count).map(|index| End::take_over(lanes.lane(index), shared));
        Ok(Self { ends: ends.collect::<Result<_>>()?, next: 0 })
    }

    pub(super) fn next_lane(&self) -> u32 {
        u32::try_from(self.next).unwrap_or(0)
    }

    /// Returns the first message of the next lane that has one, and the number of that lane.
    #[inline(always)] // Half of a short message's time is the call, with a record in memory.
    pub(super) fn first<S: Shared>(&mut self, shared: &S) -> Result<Option<(usize, Record)>>
    where
        Box<Error>: From<S::Error>,
    {
        let count = self.ends.len();
        let mut lane = self.next;
        for _ in 0..count {
            if let Some(record) = self.ends[lane].first(shared)? {
                return Ok(Some((lane, record)));
            }
            lane = if lane + 1 < count { lane + 1 } else { 0 };
        }
        Ok(None)
    }

    /// Calls `look` with the messages that are there, one of each lane in turn, until it returns false or an
    /// error. Leaves them there. The messages of a lane come in its order.
    pub(super) fn look_ahead<S: Shared, E: From<Box<Error>>>(
        &mut self,
        shared: &S,
        mut look: impl FnMut(usize, Record) -> Result<bool, E>,
    ) -> Result<(), E>
    where
        Box<Error>: From<S::Error>,
    {
        for end in &mut self.ends {
            end.load_tail(shared)?;
        }
        let mut heads: Vec<_> = self.ends.iter().map(|end| end.head).collect();
        let mut lane = self.next;
        // The number of lanes in a row that had no message.
        let mut empty = 0;
        while empty < heads.len() {
            let end = &self.ends[lane];
            match end.lane.record(shared, heads[lane], end.tail)? {
                None => empty += 1,
                Some(record) => {
                    empty = 0;
                    heads[lane] = record.end;
                    if !look(lane, record)? {
                        break;
                    }
                }
            }
            lane = if lane + 1 < heads.len() { lane + 1 } else { 0 };
        }
        Ok(())
    }

    /// Takes the first message out of a lane if it ends there. Returns whether it did.
    pub(super) fn pass_if<S: Shared>(&mut self, shared: &S, lane: usize, end: u64) -> Result<bool>
    where
        Box<Error>: From<S::Error>,
    {
        let Some(first) = self.ends.get_mut(lane) else { return Ok(false) };
        let is_it = first.first(shared)?.is_some_and(|record| record.end == end);
        if is_it {
            self.pass(shared, lane, end)?;
        }
        Ok(is_it)
    }

    pub(super) fn has_message<S: Shared>(&mut self, shared: &S) -> Result<bool>
    where
        Box<Error>: From<S::Error>,
    {
        for end in &mut self.ends {
            if end.refresh(shared)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes the message out of a lane that ends there. Another lane is next.
    #[inline(always)]
    pub(super) fn pass<S: Shared>(&mut self, shared: &S, lane: usize, end: u64) -> Result<()>
    where
        Box<Error>: From<S::Error>,
    {
        self.next = if lane + 1 < self.ends.len() { lane + 1 } else { 0 };
        self.ends[lane].pass(shared, end)
    }

    /// Takes out all messages that are there now.
    pub(super) fn clear<S: Shared>(&mut self, shared: &S) -> Result<()>
    where
        Box<Error>: From<S::Error>,
    {
        for end in &mut self.ends {
            end.load_tail(shared)?;
            let tail = end.tail;
            // Not until the lane is empty: with a fast producer, that would never end.
            while end.head != tail {
                let Some(record) = end.first(shared)? else { break };
                end.pass(shared, record.end)?;
            }
        }
        Ok(())
    }
}

/// The consumer's own state for a lane.
#[derive(Debug)]
pub(super) struct End {
    lane: Lane,
    pub(super) head: u64,
    /// The last tail that was loaded.
    tail: u64,
    count: u64,
    /// The producer may wait for room, and wasn't woken by [`pass_in_pair`](Self::pass_in_pair).
    owes_wake: bool,
}

impl End {
    /// Goes on where another consumer has stopped, perhaps in the middle.
    pub(super) fn take_over<S: Shared>(lane: Lane, shared: &S) -> Result<Self>
    where
        Box<Error>: From<S::Error>,
    {
        let Ends { head, tail } = lane.ends(shared)?;
        let count = lane.count_at(shared, HEAD_AT, head)?;
        let count = count.ok_or_else(|| invalid_queue("the position of a count", head))?;
        Ok(Self { lane, head, tail, count, owes_wake: false })
    }

    /// Returns the last tail that was loaded.
    pub(super) const fn tail(&self) -> u64 {
        self.tail
    }

    /// Returns whether there is a message.
    #[inline(always)]
    fn refresh<S: Shared>(&mut self, shared: &S) -> Result<bool>
    where
        Box<Error>: From<S::Error>,
    {
        if self.head == self.tail {
            self.load_tail(shared)?;
            if self.head == self.tail && self.owes_wake {
                self.owes_wake = false;
                self.lane.room_bell().ring(shared)?;
            }
        }
        Ok(self.head != self.tail)
    }

    #[inline(always)]
    pub(super) fn load_tail<S: Shared>(&mut self, shared: &S) -> Result<()>
    where
        Box<Error>: From<S::Error>,
    {
        let tail = shared.load_u64(self.lane.at)?;
        self.tail = self.lane.check(self.head, tail)?.tail;
        Ok(())
    }

    #[inline(always)]
    pub(super) fn first<S: Shared>(&mut self, shared: &S) -> Result<Option<Record>>
    where
        Box<Error>: From<S::Error>,
    {
        self.refresh(shared)?;
        self.lane.record(shared, self.head, self.tail)
    }

    #[inline(always)]
    fn take_out<S: Shared>(&mut self, shared: &S, end: u64) -> Result<()>
    where
        Box<Error>: From<S::Error>,
    {
        let count = self.count.wrapping_add(1);
        self.lane.store_count(shared, HEAD_AT, end, count)?;
        shared.store_u64(self.lane.at + HEAD_AT, end)?;
        (self.head, self.count) = (end, count);
        Ok(())
    }

    /// Takes out the messages up to `end`, and wakes the producer if it waits for room.
    #[inline(always)]
    pub(super) fn pass<S: Shared>(&mut self, shared: &S, end: u64) -> Result<()>
    where
        Box<Error>: From<S::Error>,
    {
        self.take_out(shared, end)?;
        let bell = self.lane.room_bell();
        // The fence costs as much as the rest. Until the next one, the producer may find the room later.
        if self.head == self.tail {
            bell.ring(shared)?
        } else {
            bell.ring_if_wanted(shared)?
        }
        Ok(())
    }

    /// Does the same in a pair, where the fence would hold up the answer: it waits until the partner has the
    /// stores. So it comes with the next look that finds nothing. Until then, the producer may find the room
    /// later.
    #[inline(always)]
    pub(super) fn pass_in_pair<S: Shared>(&mut self, shared: &S, end: u64) -> Result<()>
    where
        Box<Error>: From<S::Error>,
    {
        self.take_out(shared, end)?;
        self.owes_wake = true;
        Ok(self.lane.room_bell().ring_if_wanted(shared)?)
    }
}

/// Calls `take` with the first message of a lane, for a program that isn't the consumer. It may be taken out
/// at any time: then calls it again, and at last fails with [`Error::Overtaken`]. `None` without a message.
pub(super) fn peek<S: Shared, T, E>(
    lane: Lane,
    shared: &S,
    is_current: impl Fn() -> Result<bool>,
    mut take: impl FnMut(Record) -> Result<T, E>,
) -> Result<Option<T>, E>
where
    Box<Error>: From<S::Error>,
    E: From<Box<Error>>,
{
    for _ in 0..TRIES {
        let head = shared.load_u64(lane.at + HEAD_AT).map_err(Box::<Error>::from)?;
        let tail = shared.load_u64(lane.at).map_err(Box::<Error>::from)?;
        let mut look = || {
            let Ends { head, tail } = lane.check(head, tail)?;
            lane.record(shared, head, tail)?.map(&mut take).transpose()
        };
        let result = look();
        if shared.load_u64(lane.at + HEAD_AT).map_err(Box::<Error>::from)? == head && is_current()? {
            return result;
        }
    }
    Err(Box::new(Error::Overtaken).into())
}
