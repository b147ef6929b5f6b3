//! Queues: `lanes` over a segment, with its roles.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Result;
use super::bell::Bell;
use super::header::{Geometry, Header, Layout, TRIES, WAITING_AT, name_of};
use super::lanes::{self, Consumer, Lanes, Producer, RINGS};
use super::message::Message;
use super::named::{self, Departure, Named};
use super::waiting::{Ended, Timer, Wait};
use super::{Incoming, lock};
use crate::Segment;
use crate::layout::{self, Error};
use crate::options::Options;
use crate::roles::Role;
use crate::segment::{Direct, Waited};

/// The name of the layout in error texts.
pub(super) const NAME: &str = "native queue";

/// The most producers that a queue can have a lane for.
pub const MAX_PRODUCERS: u32 = 64;

pub(super) struct LanesLayout;

impl Layout for LanesLayout {
    const NAME: &'static str = NAME;
    const NUMBER: u32 = 2;
    const COUNT: &'static str = "the number of producers";
    const END_OF_SEQUENCES: u64 = u64::MAX;
    const LIMIT: &'static str = "the size of a producer's buffer";

    fn length(Geometry { count, limit }: Geometry) -> Option<u64> {
        let is_valid =
            (1..=MAX_PRODUCERS).contains(&count) && RINGS.contains(&limit) && limit.is_power_of_two();
        is_valid.then(|| Lanes { count, ring: limit }.length())
    }

    fn largest(count: u32, size: u64) -> Option<Geometry> {
        // From the largest ring to the smallest one.
        let mut rings = (0..=30).rev().map(|bit| 1 << bit).filter(|ring| RINGS.contains(ring));
        let ring = rings.find(|ring| Lanes { count, ring: *ring }.length() <= size)?;
        Some(Geometry { count, limit: ring })
    }

    fn roles(geometry: Geometry) -> impl Iterator<Item = Role> {
        let producers = (0..geometry.count).filter_map(|index| u8::try_from(index).ok()).map(Role::Producer);
        std::iter::once(Role::Consumer).chain(producers)
    }

    fn lines(geometry: Geometry) -> impl Iterator<Item = (u64, u64)> {
        let lanes = Lanes::new(geometry);
        (0..geometry.count).map(move |index| lanes.lane(index).lines())
    }

    /// Messages of a queue have no numbers.
    fn last_sequence(_: &Segment, _: Geometry) -> Result<u64> {
        Ok(0)
    }
}

/// An attached queue.
///
/// Any thread may call any method at any time. Two that put messages in, or two that take them out, take
/// turns for the time of one copy. No other thread is held up while one waits.
#[derive(Debug)]
pub struct Queue {
    header: Header,
    lanes: Lanes,
    /// This side's lane, while it has one.
    producer: Mutex<Option<(u8, Producer)>>,
    /// `Some` while this side is the consumer.
    consumer: Mutex<Option<Consumer>>,
    has_seen_consumer: AtomicBool,
    has_seen_producer: AtomicBool,
    departure: Departure,
}

/// The place of a message in a queue. No other message ever has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The incarnation of the memory.
    pub incarnation: u64,
    /// The lane, 0 to 63.
    pub lane: u32,
    /// The bytes that were put into the lane up to the end of the message. It grows with each message.
    pub end: u64,
}

/// The numbers of bytes and messages in a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filled {
    /// The messages that wait.
    pub messages: u64,
    /// The bytes of the rings in use.
    pub bytes: u64,
    /// All messages that were ever put in.
    pub put: u64,
}

impl Queue {
    /// Makes the segment a queue with a buffer of `buffer_size` bytes for each of `producers`. Of an existing
    /// queue, checks that it has at least as much for at least as many.
    ///
    /// A buffer's size becomes the next power of two. With 0, it takes whatever is there. In memory of zeros,
    /// the creator then uses as much as it can.
    ///
    /// # Errors
    /// As [`Stream::attach`](super::Stream::attach).
    pub fn attach(segment: &Segment, buffer_size: u64, producers: u32) -> layout::Result<Self> {
        let header = Header::attach::<LanesLayout>(segment, Self::checked(buffer_size, producers)?)?;
        Ok(Self {
            lanes: Lanes::new(header.geometry),
            header,
            producer: Mutex::default(),
            consumer: Mutex::default(),
            has_seen_consumer: AtomicBool::default(),
            has_seen_producer: AtomicBool::default(),
            departure: Departure::default(),
        })
    }

    /// Makes memory for a queue under a name, with a buffer of `buffer_size` bytes for each of `producers`. A
    /// buffer's size becomes the next power of two.
    ///
    /// If a dead owner left such a queue, and another process is its consumer or a producer, returns that
    /// queue with its messages. Every other queue that a dead owner left loses the name.
    ///
    /// # Errors
    /// As [`attach`](Self::attach) and [`Options::create`].
    pub fn create(
        options: &Options<'_>,
        buffer_size: u64,
        producers: u32,
    ) -> layout::Result<(Segment, Self)> {
        let segment = named::create::<LanesLayout>(options, Self::checked(buffer_size, producers)?)?;
        let queue = Self::attach(&segment, buffer_size, producers)?;
        Ok((segment, queue))
    }

    fn checked(buffer_size: u64, producers: u32) -> layout::Result<Geometry> {
        if !(1..=MAX_PRODUCERS).contains(&producers) {
            let (what, limits) = ("producers", (1, MAX_PRODUCERS));
            return Err(Error::InvalidCount { what, given: producers, limits });
        }
        if buffer_size > *RINGS.end() {
            let what = "a producer's buffer";
            return Err(Error::InvalidElementSize { what, given: buffer_size, limit: *RINGS.end() });
        }
        let limit = match buffer_size {
            0 => 0,
            size => size.max(*RINGS.start()).next_power_of_two(),
        };
        Ok(Geometry { count: producers, limit })
    }

    /// Puts a message in. If there is no room, waits until there is, for at most `timeout`.
    ///
    /// # Errors
    /// Nothing was put in.
    /// - [`Error::TooLarge`]; [`Error::NoLaneFree`] if each lane has a producer; [`Error::NameMoved`].
    /// - [`Error::NoRoom`] without a timeout; otherwise [`Error::WaitTimedOut`].
    /// - [`Error::Stopped`] if `is_wanted` returned false. [`Error::PartnerGone`] if the consumer has ended.
    /// - [`Error::Invalid`]; [`Error::Corrupt`]; [`Error::Segment`].
    pub fn enqueue(
        &self,
        segment: &Segment,
        message: &Message<'_>,
        timeout: Duration,
        is_wanted: impl Fn() -> bool,
    ) -> layout::Result<()> {
        message.check(self.max_message_size())?;
        let Some(room_bell) = self.try_enqueue(segment, message)? else { return Ok(()) };
        if timeout.is_zero() {
            return Err(Error::NoRoom);
        }
        Ok(self.enqueue_slowly(segment, message, room_bell, timeout, is_wanted)?)
    }

    /// Tries once. Returns the bell that rings when there is room, if there is none.
    #[inline]
    fn try_enqueue(&self, segment: &Segment, message: &Message<'_>) -> Result<Option<Bell>> {
        let mut producer = lock(&self.producer);
        let direct = segment.direct_mut()?;
        let (_, producer) = match &mut *producer {
            Some(producer) => producer,
            none => none.insert(self.take_lane(segment, direct)?),
        };
        Ok(if producer.put(&direct, message)? { None } else { Some(producer.room_bell()) })
    }

    #[cold]
    fn enqueue_slowly(
        &self,
        segment: &Segment,
        message: &Message<'_>,
        bell: Bell,
        timeout: Duration,
        is_wanted: impl Fn() -> bool,
    ) -> Result<()> {
        let wait = Wait {
            segment,
            bell,
            news: None,
            timer: &Timer::new(timeout),
            partner: name_of(Role::Consumer),
            has_seen_partner: &self.has_seen_consumer,
        };
        let look = || -> Result<_> { Ok(self.try_enqueue(segment, message)?.is_none().then_some(())) };
        let partner = || self.header.is_role_held::<LanesLayout>(segment, Role::Consumer);
        match wait.until(look, partner, is_wanted)? {
            Ended::Found(()) => Ok(()),
            Ended::TimedOut => {
                Err(Error::WaitTimedOut { what: "room for the message", waited: timeout }.into())
            }
            Ended::Stopped => Err(Error::Stopped.into()),
        }
    }

    #[cold]
    fn take_lane(&self, segment: &Segment, direct: Direct<'_>) -> Result<(u8, Producer)> {
        self.departure.check()?;
        let mut refused = Box::new(Error::NoLaneFree { count: self.lanes.count });
        for lane in (0..self.lanes.count).filter_map(|index| u8::try_from(index).ok()) {
            let role = Role::Producer(lane);
            let is_taken = match self.header.take_role::<LanesLayout>(segment, role) {
                // Another lane may be free.
                Err(error) if error.is_role_blocked() => {
                    refused = error;
                    false
                }
                other => other?,
            };
            if is_taken {
                let producer = Producer::take_over(self.lanes.lane(lane.into()), &direct)
                    .inspect_err(|_| self.header.release_role(segment, role))?;
                return Ok((lane, producer));
            }
        }
        Err(refused)
    }

    /// Takes the first message out, and returns what `take` makes of it. If there is none, waits until there
    /// is, for at most `timeout`.
    ///
    /// After an error of `take`, the message is still in the queue. One that this version can't read is
    /// taken out.
    ///
    /// # Errors
    /// - [`Error::RoleTaken`] if there is another consumer.
    /// - [`Error::Empty`] without a timeout; otherwise [`Error::WaitTimedOut`].
    /// - [`Error::Stopped`] if `is_wanted` returned false. [`Error::PartnerGone`] if the last producer has
    ///   ended, and left nothing.
    /// - [`Error::Invalid`]; [`Error::Corrupt`]; [`Error::Segment`]; those of `take`.
    pub fn dequeue<T, E: From<Error> + From<Box<Error>>>(
        &self,
        segment: &Segment,
        timeout: Duration,
        is_wanted: impl Fn() -> bool,
        mut take: impl FnMut(&Incoming<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        if let Some(taken) = self.try_dequeue(segment, &mut take)? {
            // A caller that hardly ever has to wait learns of the end of its producer, too.
            if !timeout.is_zero() {
                self.has_seen_producer.store(true, Ordering::Relaxed);
            }
            return Ok(taken);
        }
        if timeout.is_zero() {
            return Err(Error::Empty.into());
        }
        match self.wait_for(segment, timeout, is_wanted, || self.try_dequeue(segment, &mut take))? {
            Ended::Found(taken) => Ok(taken),
            Ended::TimedOut => Err(Error::WaitTimedOut { what: "message", waited: timeout }.into()),
            Ended::Stopped => Err(Error::Stopped.into()),
        }
    }

    #[inline(always)]
    fn try_dequeue<T, E: From<Error> + From<Box<Error>>>(
        &self,
        segment: &Segment,
        mut take: impl FnMut(&Incoming<'_>) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let mut consumer = lock(&self.consumer);
        let direct = segment.direct_mut()?;
        let consumer = self.as_consumer(segment, direct, &mut consumer)?;
        let Some((lane, record)) = consumer.first(&direct)? else { return Ok(None) };
        let taken = match record.descriptor() {
            Ok(descriptor) => take(&Incoming::new(direct, record.at, record.length, descriptor))?,
            Err(error) => {
                consumer.pass(&direct, lane, record.end)?;
                return Err(error.into());
            }
        };
        consumer.pass(&direct, lane, record.end)?;
        Ok(Some(taken))
    }

    #[inline]
    fn as_consumer<'a>(
        &self,
        segment: &Segment,
        direct: Direct<'_>,
        consumer: &'a mut Option<Consumer>,
    ) -> Result<&'a mut Consumer> {
        match consumer {
            Some(consumer) => Ok(consumer),
            none => Ok(none.insert(self.take_consumer(segment, direct)?)),
        }
    }

    #[cold]
    fn take_consumer(&self, segment: &Segment, direct: Direct<'_>) -> Result<Consumer> {
        if !self.header.take_role::<LanesLayout>(segment, Role::Consumer)? {
            return Err(Error::RoleTaken { role: name_of(Role::Consumer) }.into());
        }
        Consumer::take_over(self.lanes, &direct)
            .inspect_err(|_| self.header.release_role(segment, Role::Consumer))
    }

    fn wait_for<T, E: From<Error> + From<Box<Error>>>(
        &self,
        segment: &Segment,
        timeout: Duration,
        is_wanted: impl Fn() -> bool,
        look: impl FnMut() -> Result<Option<T>, E>,
    ) -> Result<Ended<T>, E> {
        let wait = Wait {
            segment,
            bell: Bell(WAITING_AT),
            news: None,
            timer: &Timer::new(timeout),
            partner: "the last producer",
            has_seen_partner: &self.has_seen_producer,
        };
        wait.until(look, || Ok(self.has_producer(segment)?), is_wanted)
    }

    /// Waits until there is a message. Takes the role of the consumer.
    ///
    /// # Errors
    /// As [`dequeue`](Self::dequeue), but no [`Error::Empty`].
    pub fn wait(
        &self,
        segment: &Segment,
        timeout: Duration,
        is_wanted: impl Fn() -> bool,
    ) -> layout::Result<Waited> {
        let look = || -> Result<_> {
            let mut consumer = lock(&self.consumer);
            let direct = segment.direct_mut()?;
            let has_message = self.as_consumer(segment, direct, &mut consumer)?.has_message(&direct)?;
            Ok(has_message.then_some(()))
        };
        Ok(match self.wait_for(segment, timeout, is_wanted, look)? {
            Ended::Found(()) => Waited::Changed,
            Ended::TimedOut => Waited::TimedOut,
            Ended::Stopped => Waited::Stopped,
        })
    }

    /// Calls `take` with the message that [`dequeue`](Self::dequeue) would take out of the first lane that
    /// has one, and leaves it there. Takes no role. `take` may be called several times.
    ///
    /// # Errors
    /// [`Error::Empty`]; [`Error::Overtaken`] if the message was taken out each time; [`Error::Invalid`];
    /// [`Error::Segment`]; those of `take`.
    pub fn peek<T, E: From<Error> + From<Box<Error>>>(
        &self,
        segment: &Segment,
        mut take: impl FnMut(&Incoming<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let direct = segment.direct()?;
        // Without the role, nothing tells which lane is next.
        let next = lock(&self.consumer).as_ref().map_or(0, Consumer::next_lane);
        for step in 0..self.lanes.count {
            let lane = self.lanes.lane((next + step) % self.lanes.count);
            let is_current = || self.header.is_still_current::<LanesLayout>(segment);
            let looked = lanes::peek(lane, &direct, is_current, |record| {
                take(&Incoming::new(direct, record.at, record.length, record.descriptor()?))
            });
            if let Some(taken) = looked? {
                return Ok(taken);
            }
        }
        Err(Error::Empty.into())
    }

    /// Calls `look` with the messages that are there, until it returns false or an error. Leaves them there,
    /// and takes the role of the consumer.
    ///
    /// The messages of a lane come in its order, and the lanes in turn. A message that this version can't
    /// read comes as the error that tells why.
    ///
    /// # Errors
    /// [`Error::RoleTaken`] if there is another consumer; [`Error::Invalid`]; [`Error::Segment`]; those of
    /// `look`.
    pub fn look_ahead<E: From<Error> + From<Box<Error>>>(
        &self,
        segment: &Segment,
        mut look: impl FnMut(Place, layout::Result<&Incoming<'_>>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut consumer = lock(&self.consumer);
        let direct = segment.direct_mut()?;
        let consumer = self.as_consumer(segment, direct, &mut consumer)?;
        let incarnation = self.header.incarnation();
        consumer.look_ahead(&direct, |lane, record| {
            let place = Place { incarnation, lane: u32::try_from(lane).unwrap_or(u32::MAX), end: record.end };
            match record.descriptor() {
                Ok(descriptor) => {
                    look(place, Ok(&Incoming::new(direct, record.at, record.length, descriptor)))
                }
                Err(error) => look(place, Err(*error)),
            }
        })
    }

    /// Takes the message at a place out, if it is the first one of its lane. Returns whether it was.
    ///
    /// # Errors
    /// [`Error::RoleTaken`] if there is another consumer; [`Error::Invalid`]; [`Error::Segment`].
    pub fn take_out(&self, segment: &Segment, place: Place) -> layout::Result<bool> {
        let mut consumer = lock(&self.consumer);
        let direct = segment.direct_mut()?;
        let consumer = self.as_consumer(segment, direct, &mut consumer)?;
        if place.incarnation != self.header.incarnation() {
            return Ok(false);
        }
        let lane = usize::try_from(place.lane).unwrap_or(usize::MAX);
        Ok(consumer.pass_if(&direct, lane, place.end)?)
    }

    /// Takes all messages out.
    ///
    /// # Errors
    /// [`Error::RoleTaken`] if there is another consumer; [`Error::Invalid`]; [`Error::Segment`].
    pub fn clear(&self, segment: &Segment) -> layout::Result<()> {
        let mut consumer = lock(&self.consumer);
        let direct = segment.direct_mut()?;
        Ok(self.as_consumer(segment, direct, &mut consumer)?.clear(&direct)?)
    }

    /// Returns how much is in all lanes. Takes no role. Other processes may change it at any time.
    ///
    /// # Errors
    /// [`Error::Overtaken`] if it changes too fast; [`Error::Invalid`]; [`Error::Segment`].
    pub fn filled(&self, segment: &Segment) -> layout::Result<Filled> {
        let direct = segment.direct()?;
        for _ in 0..TRIES {
            let filled = self.count(direct);
            // In the middle of a reset, the words contradict each other.
            if self.header.is_still_current::<LanesLayout>(segment)? {
                return Ok(filled?);
            }
        }
        Err(Error::Overtaken)
    }

    fn count(&self, direct: Direct<'_>) -> Result<Filled> {
        let mut filled = Filled::default();
        for lane in 0..self.lanes.count {
            let lane = self.lanes.lane(lane);
            let (put, taken) = lane.counts(&direct)?;
            let bytes = lane.filled(&direct)?;
            filled.put = filled.put.wrapping_add(put);
            // The numbers are the other side's word, but the bytes have room for no more than this.
            filled.messages += put.saturating_sub(taken).min(bytes / lanes::RECORD_HEADER);
            filled.bytes += bytes;
        }
        Ok(filled)
    }

    /// Returns the bytes of the rings of all lanes.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.lanes.ring * u64::from(self.lanes.count)
    }

    /// Returns the bytes of the longest message. It always fits into an empty lane.
    #[must_use]
    pub const fn max_message_size(&self) -> u64 {
        self.lanes.max_message()
    }

    /// Returns how many producers there can be at the same time.
    #[must_use]
    pub const fn producers(&self) -> u32 {
        self.lanes.count
    }

    /// Returns whether there is a consumer.
    ///
    /// # Errors
    /// [`Error::Segment`].
    pub fn has_consumer(&self, segment: &Segment) -> layout::Result<bool> {
        Ok(self.header.is_role_held::<LanesLayout>(segment, Role::Consumer)?)
    }

    /// Returns whether there is a producer.
    ///
    /// # Errors
    /// [`Error::Segment`].
    pub fn has_producer(&self, segment: &Segment) -> layout::Result<bool> {
        for lane in (0..self.lanes.count).filter_map(|index| u8::try_from(index).ok()) {
            if self.header.is_role_held::<LanesLayout>(segment, Role::Producer(lane))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes all messages.
    ///
    /// # Errors
    /// [`Error::RoleTaken`] if another side has a role. [`Error::Segment`].
    pub fn reset(&self, segment: &Segment) -> layout::Result<()> {
        let (mut producer, mut consumer) = (lock(&self.producer), lock(&self.consumer));
        let mut own = Vec::new();
        own.extend(producer.as_ref().map(|(lane, _)| Role::Producer(*lane)));
        own.extend(consumer.is_some().then_some(Role::Consumer));
        self.header.reset::<LanesLayout>(segment, &own)?;
        // They were for the previous incarnation.
        self.give_back(segment, &mut producer, &mut consumer);
        Ok(())
    }

    /// Gives the roles back. The next call that needs one takes it again.
    pub fn release(&self, segment: &Segment) {
        self.give_back(segment, &mut lock(&self.producer), &mut lock(&self.consumer));
    }

    fn give_back(
        &self,
        segment: &Segment,
        producer: &mut Option<(u8, Producer)>,
        consumer: &mut Option<Consumer>,
    ) {
        if let Some((lane, _)) = producer.take() {
            self.header.release_role(segment, Role::Producer(lane));
        }
        if consumer.take().is_some() {
            self.header.release_role(segment, Role::Consumer);
        }
    }
}

impl Named for Queue {
    fn open(options: &Options<'_>) -> layout::Result<(Segment, Self)> {
        let segment = named::open::<LanesLayout>(options)?;
        let queue = Self::attach(&segment, 0, 1)?;
        Ok((segment, queue))
    }

    fn departure(&self) -> Option<&Departure> {
        Some(&self.departure)
    }

    /// True for the consumer until it has all messages, also those of producers that look at the name later.
    /// If the name leads nowhere, also for a side without a role, which may become the consumer. No producer
    /// needs such memory.
    fn is_needed(&self, segment: &Segment, is_replaced: bool) -> bool {
        let is_consumer = lock(&self.consumer).is_some();
        let mut producer = lock(&self.producer);
        if !is_consumer && (is_replaced || producer.is_some()) {
            return false;
        }
        // Its next message is for the consumer of other memory.
        self.give_back(segment, &mut producer, &mut None);
        drop(producer);
        let Ok(filled) = self.filled(segment) else { return false };
        let has_messages = filled.messages > 0;
        if !is_consumer {
            return has_messages;
        }
        match self.departure.last_message(filled.put) {
            None => has_messages || self.has_producer(segment).unwrap_or(false),
            // A producer that doesn't follow the name may go on without end.
            Some(last) => {
                let taken = filled.put.wrapping_sub(filled.messages);
                has_messages && last.wrapping_sub(taken).cast_signed() > 0
            }
        }
    }
}
