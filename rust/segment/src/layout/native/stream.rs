//! Streams: `latest` over a segment, with its roles.

mod views;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::Result;
use super::bell::Bell;
use super::header::{Geometry, Header, LINE, LINES_AT, Layout, WAITING_AT, name_of};
use super::latest::{self, Found, Slots, Writer};
use super::message::Message;
use super::named::{self, Departure, Named};
use super::waiting::{Ended, Timer, Wait};
use super::{Incoming, lock, try_lock};
use crate::Segment;
use crate::info::OwnerState;
use crate::layout::{self, Error};
use crate::options::{Access, Options};
use crate::os;
use crate::roles::Role;
use crate::segment::{Direct, Waited};

/// The name of the layout in error texts.
pub(super) const NAME: &str = "native stream";

/// The most readers that a stream can have a pin for.
pub const MAX_READERS: u32 = 64;

/// The time in milliseconds after which a reader without a pin asks for one again.
const PIN_RETRY: u64 = 100;

/// The longest message of any stream.
const MAX_MESSAGE: u64 = 1 << 46;

pub(super) struct Latest;

impl Layout for Latest {
    const NAME: &'static str = NAME;
    const NUMBER: u32 = 1;
    const LIMIT: &'static str = "the size of the longest message";
    const COUNT: &'static str = "the number of readers";
    const END_OF_SEQUENCES: u64 = latest::MAX_SEQUENCE;

    fn length(Geometry { count, limit }: Geometry) -> Option<u64> {
        if count > MAX_READERS || !(1..=MAX_MESSAGE).contains(&limit) {
            return None;
        }
        let (first, stride) = Slots::new(Geometry { count, limit }).slots();
        Some(first + (u64::from(count) + 2) * stride)
    }

    fn largest(count: u32, size: u64) -> Option<Geometry> {
        let lines = LINES_AT + LINE * (u64::from(count) + 1);
        let slot = size.checked_sub(lines)? / (u64::from(count) + 2);
        let limit = (slot - slot % LINE).checked_sub(LINE)?.min(MAX_MESSAGE);
        (limit > 0).then_some(Geometry { count, limit })
    }

    fn roles(geometry: Geometry) -> impl Iterator<Item = Role> {
        let readers = (0..geometry.count).filter_map(|index| u8::try_from(index).ok()).map(Role::Reader);
        std::iter::once(Role::Writer).chain(readers)
    }

    fn lines(geometry: Geometry) -> impl Iterator<Item = (u64, u64)> {
        let (first, stride) = Slots::new(geometry).slots();
        let slots = (0..u64::from(geometry.count) + 2).map(move |slot| (first + slot * stride, LINE));
        std::iter::once((LINES_AT, first - LINES_AT)).chain(slots)
    }

    fn last_sequence(segment: &Segment, geometry: Geometry) -> Result<u64> {
        // A word that can't be right is no reason not to reset.
        let latest = Slots::new(geometry).latest(&segment.direct()?);
        Ok(latest.ok().flatten().map_or(0, |latest| latest.sequence))
    }
}

/// An attached stream, and what this side has read.
///
/// Any thread may call any method at any time. Two that write take turns. One thread at a time reads with the
/// pin, the others without.
#[derive(Debug)]
pub struct Stream {
    header: Header,
    slots: Slots,
    /// `Some` while this side is the writer.
    writer: Mutex<Option<Writing>>,
    pin: Mutex<Pin>,
    /// The sequence of the message last read; 0: none.
    seen: AtomicU64,
    missed: AtomicU64,
    has_seen_writer: AtomicBool,
    departure: Departure,
}

/// The number of a message, and the time at which it was written.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// Its number. Each message has one more than the one before.
    pub sequence: u64,
    /// Nanoseconds of the monotonic clock; 0: unknown.
    time: u64,
}

impl Written {
    /// Returns the time since the message was written. `None` if that is unknown, or lies in the future.
    #[must_use]
    pub fn age(self) -> Option<Duration> {
        let written = Some(self.time).filter(|time| *time != 0)?;
        os::monotonic_nanoseconds().checked_sub(written).map(Duration::from_nanos)
    }
}

/// Returns the time since a message was written. `None` if that is unknown, or lies in the future.
fn age_of(found: &Found) -> Option<Duration> {
    Written { sequence: found.sequence, time: found.time }.age()
}

/// The state of the writer.
#[derive(Debug)]
struct Writing {
    writer: Writer,
    draft: Use,
}

/// The use that the program makes of a part of the memory itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    None,
    /// It has the part with this number.
    Lent(u64),
    /// The same, and the role is given back afterwards.
    Ending(u64),
}

/// A reader's pin.
#[derive(Debug, Clone, Copy)]
enum Pin {
    /// There is none. Until this time of the coarse clock, none is asked for again.
    NoneUntil(u64),
    Held(u8),
    /// A [`Frame`] has it.
    Lent(u8, Use),
}

pub use views::{Draft, Frame};

/// The newest message of a stream, without its content.
#[derive(Debug, Clone, Copy)]
pub struct Newest {
    /// Its number. Each message has one more than the one before.
    pub sequence: u64,
    /// The bytes of its content.
    pub length: u64,
    /// The kind and the shape of the content.
    pub descriptor: super::Descriptor,
    /// The time since it was written, if that is known.
    pub age: Option<Duration>,
}

impl Stream {
    /// Makes the segment a stream for messages of up to `max_message` bytes, with `readers` pins. Of an
    /// existing stream, checks that it has at least as many of both.
    ///
    /// A `max_message` of 0 takes whatever is there. In memory of zeros, the creator then uses all of it.
    ///
    /// # Errors
    /// [`Error::InvalidCount`]; [`Error::SegmentTooSmall`]; [`Error::NotLaidOutYet`];
    /// [`Error::LaidOutSmaller`]; [`Error::NotZeros`]; [`Error::Invalid`]; [`Error::Segment`], which is
    /// [`Unsupported`](crate::Error::Unsupported) for memory without roles.
    pub fn attach(segment: &Segment, max_message: u64, readers: u32) -> layout::Result<Self> {
        let wanted = Self::checked(max_message, readers)?;
        let header = Header::attach::<Latest>(segment, wanted)?;
        Ok(Self {
            slots: Slots::new(header.geometry),
            header,
            writer: Mutex::default(),
            pin: Mutex::new(Pin::NoneUntil(0)),
            seen: AtomicU64::default(),
            missed: AtomicU64::default(),
            has_seen_writer: AtomicBool::default(),
            departure: Departure::default(),
        })
    }

    /// Makes memory for a stream under a name, for messages of up to `max_message` bytes, with `readers`
    /// pins.
    ///
    /// If a dead owner left such a stream, and another process is its writer or has a pin, returns that
    /// stream with its messages. Every other stream that a dead owner left loses the name.
    ///
    /// # Errors
    /// As [`attach`](Self::attach) and [`Options::create`].
    pub fn create(options: &Options<'_>, max_message: u64, readers: u32) -> layout::Result<(Segment, Self)> {
        let segment = named::create::<Latest>(options, Self::checked(max_message, readers)?)?;
        let stream = Self::attach(&segment, max_message, readers)?;
        Ok((segment, stream))
    }

    fn checked(max_message: u64, readers: u32) -> layout::Result<Geometry> {
        if readers > MAX_READERS {
            return Err(Error::InvalidCount { what: "readers", given: readers, limits: (0, MAX_READERS) });
        }
        if max_message > MAX_MESSAGE {
            return Err(Error::InvalidElementSize {
                what: "the longest message",
                given: max_message,
                limit: MAX_MESSAGE,
            });
        }
        Ok(Geometry { count: readers, limit: max_message })
    }

    /// Publishes a message. Never waits for a reader.
    ///
    /// # Errors
    /// [`Error::TooLarge`]; [`Error::RoleTaken`] if there is another writer; [`Error::NameMoved`];
    /// [`Error::Invalid`]; [`Error::Segment`].
    pub fn write(&self, segment: &Segment, message: &Message<'_>) -> layout::Result<()> {
        self.write_at(segment, message, os::monotonic_nanoseconds())
    }

    /// Publishes a message that was written `age` ago, perhaps on another machine. `None` is an unknown age.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_aged(
        &self,
        segment: &Segment,
        message: &Message<'_>,
        age: Option<Duration>,
    ) -> layout::Result<()> {
        let since = |age: Duration| {
            let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
            // 0 stands for an unknown time. A time before the clock's first one is unknown, too.
            os::monotonic_nanoseconds().saturating_sub(age)
        };
        self.write_at(segment, message, age.map_or(0, since))
    }

    #[inline]
    fn write_at(&self, segment: &Segment, message: &Message<'_>, time: u64) -> layout::Result<()> {
        message.check(self.header.geometry.limit)?;
        let mut writer = lock(&self.writer);
        let direct = segment.direct_mut()?;
        let writer = match &mut *writer {
            Some(Writing { draft: Use::Lent(_) | Use::Ending(_), .. }) => {
                return Err(Error::Unfinished { what: "a draft of a message" });
            }
            Some(writing) => writing,
            none => none.insert(self.take_writer(segment, direct)?),
        };
        writer.writer.write(self.slots, &direct, self.header.first_sequence(), time, message)?;
        Ok(Bell(WAITING_AT).ring_if_wanted(&direct)?)
    }

    fn take_writer(&self, segment: &Segment, direct: Direct<'_>) -> Result<Writing> {
        self.departure.check()?;
        if !self.header.take_role::<Latest>(segment, Role::Writer)? {
            return Err(Error::RoleTaken { role: name_of(Role::Writer) }.into());
        }
        let writer = Writer::take_over(self.slots, &direct)
            .inspect_err(|_| self.header.release_role(segment, Role::Writer))?;
        Ok(Writing { writer, draft: Use::None })
    }

    /// Calls `take` with the newest message, and returns what it returns.
    ///
    /// A reader without a pin calls `take` again if the message changed during the call.
    ///
    /// # Errors
    /// [`Error::Empty`] before the first message; [`Error::Overtaken`] if the message changed each time;
    /// [`Error::Invalid`]; [`Error::Segment`]; those of `take`.
    pub fn read<T, E: From<Error> + From<Box<Error>>>(
        &self,
        segment: &Segment,
        mut take: impl FnMut(&Incoming<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.read_written(segment, |message, _| take(message))
    }

    /// Does the same, and tells `take` when the message was written.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_written<T, E: From<Error> + From<Box<Error>>>(
        &self,
        segment: &Segment,
        mut take: impl FnMut(&Incoming<'_>, Written) -> Result<T, E>,
    ) -> Result<T, E> {
        let direct = segment.direct()?;
        let seen = self.seen.load(Ordering::Relaxed);
        let mut with_content = |found: Found| {
            let taken = match found.descriptor {
                Ok(descriptor) => {
                    let message = Incoming::new(direct, found.at, found.length, descriptor);
                    Ok(take(&message, Written { sequence: found.sequence, time: found.time })?)
                }
                // It counts as read, if it hasn't changed during the call.
                Err(error) => Err(error.into()),
            };
            Ok((found.sequence, taken))
        };
        let mut pin = try_lock(&self.pin);
        let reader = pin.as_deref_mut().map_or(Ok(None), |pin| self.take_pin(segment, direct, pin))?;
        let result: Result<_, E> = match reader {
            Some(reader) => latest::read_pinned(self.slots, &direct, reader.into(), &mut with_content),
            None => self.read_unpinned(segment, direct, &mut with_content),
        };
        let (sequence, taken) = result?.ok_or(Error::Empty)?;
        self.note(seen, sequence);
        taken
    }

    fn read_unpinned<T, E: From<Error> + From<Box<Error>>>(
        &self,
        segment: &Segment,
        direct: Direct<'_>,
        take: impl FnMut(Found) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let is_current = || self.header.is_still_current::<Latest>(segment);
        latest::read_unpinned(self.slots, &direct, is_current, take)
    }

    /// Returns the number of this side's pin, if it can have one.
    fn take_pin(&self, segment: &Segment, direct: Direct<'_>, pin: &mut Pin) -> Result<Option<u8>> {
        let now = os::coarse_clock();
        match *pin {
            Pin::Held(reader) => return Ok(Some(reader)),
            // It serves one read at a time.
            Pin::Lent(..) => return Ok(None),
            Pin::NoneUntil(time) if now < time => return Ok(None),
            Pin::NoneUntil(_) => {}
        }
        if segment.access() == Access::ReadOnly {
            return Ok(None);
        }
        for reader in (0..self.header.geometry.count).filter_map(|index| u8::try_from(index).ok()) {
            // A pin that another program's lock blocks is one that this side can't have, no more.
            let is_taken = match self.header.take_role::<Latest>(segment, Role::Reader(reader)) {
                Err(error) if error.is_role_blocked() => break,
                other => other?,
            };
            if is_taken {
                // A reader that died may have left it.
                latest::free_pin(self.slots, &direct, reader.into())?;
                *pin = Pin::Held(reader);
                return Ok(Some(reader));
            }
        }
        // Each attempt costs a call of the system for each pin.
        *pin = Pin::NoneUntil(now.saturating_add(PIN_RETRY));
        Ok(None)
    }

    /// Remembers that the message with this number was read. `before` was the last one when the call began.
    fn note(&self, before: u64, sequence: u64) {
        // The number may be less: the one before may have been a lie.
        let before = match self.seen.compare_exchange(before, sequence, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(before) => before,
            // Another thread has read a message since then, which may be newer.
            Err(_) => self.seen.fetch_max(sequence, Ordering::Relaxed),
        };
        if before != 0 && sequence > before {
            self.missed.fetch_add(sequence - before - 1, Ordering::Relaxed);
        }
    }

    /// Returns whether there is another message than the one last read. Takes no role.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Segment`].
    #[inline]
    pub fn has_new_data(&self, segment: &Segment) -> layout::Result<bool> {
        Ok(self.is_new(segment.direct()?)?)
    }

    #[inline]
    fn is_new(&self, direct: Direct<'_>) -> Result<bool> {
        let latest = self.slots.latest(&direct)?;
        Ok(latest.is_some_and(|latest| latest.sequence != self.seen.load(Ordering::Relaxed)))
    }

    /// Returns what is known of the newest message. Takes no role.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn newest(&self, segment: &Segment) -> layout::Result<Newest> {
        let mut header = |found: Found| -> Result<Newest> {
            let age = age_of(&found);
            Ok(Newest { sequence: found.sequence, length: found.length, descriptor: found.descriptor?, age })
        };
        self.read_unpinned(segment, segment.direct()?, &mut header)?.ok_or(Error::Empty)
    }

    /// Returns the time since the newest message was written, even if this version can't read the message.
    /// `None` if the time isn't known. Takes no role.
    ///
    /// # Errors
    /// [`Error::Empty`] before the first message; [`Error::Overtaken`]; [`Error::Invalid`];
    /// [`Error::Segment`].
    pub fn age(&self, segment: &Segment) -> layout::Result<Option<Duration>> {
        let age = |found: Found| -> Result<_> { Ok(age_of(&found)) };
        self.read_unpinned(segment, segment.direct()?, age)?.ok_or(Error::Empty)
    }

    /// Returns how many messages were written since the stream was laid out or reset.
    ///
    /// # Errors
    /// As [`has_new_data`](Self::has_new_data).
    pub fn message_count(&self, segment: &Segment) -> layout::Result<u64> {
        self.header.is_still_current::<Latest>(segment)?;
        let latest = self.slots.latest(&segment.direct()?)?;
        Ok(latest.map_or(0, |latest| latest.sequence.saturating_sub(self.header.first_sequence())))
    }

    /// Returns the number of the message that this side has read last; 0 before the first one.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Returns how many messages were written, but not read here, between messages that were.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Returns the bytes of the longest message.
    #[must_use]
    pub const fn max_message_size(&self) -> u64 {
        self.header.geometry.limit
    }

    /// Returns how many readers can have a pin.
    #[must_use]
    pub const fn readers(&self) -> u32 {
        self.header.geometry.count
    }

    /// Returns whether there is a writer, or was one.
    ///
    /// # Errors
    /// [`Error::Segment`].
    pub fn writer_state(&self, segment: &Segment) -> layout::Result<OwnerState> {
        if self.header.is_role_held::<Latest>(segment, Role::Writer)? {
            return Ok(OwnerState::Alive);
        }
        let has_message = self.slots.latest(&segment.direct()?).is_ok_and(|latest| latest.is_some());
        Ok(if has_message { OwnerState::Dead } else { OwnerState::Unknown })
    }

    /// Waits until there is a message that this side has not read.
    ///
    /// The writer wakes the thread. Between, the thread looks every 10 to 40 ms: whether the writer has ended
    /// during the wait, and whether `is_wanted` returns false. In read-only memory, it looks every
    /// millisecond.
    ///
    /// # Errors
    /// [`Error::PartnerGone`] if the writer has ended during the wait, and left nothing new. As
    /// [`has_new_data`](Self::has_new_data).
    pub fn wait(
        &self,
        segment: &Segment,
        timeout: Duration,
        is_wanted: impl Fn() -> bool,
    ) -> layout::Result<Waited> {
        let partner = || self.header.is_role_held::<Latest>(segment, Role::Writer);
        let look = || -> Result<_> { Ok(self.is_new(segment.direct()?)?.then_some(())) };
        let wait = Wait {
            segment,
            bell: Bell(WAITING_AT),
            news: None,
            timer: &Timer::new(timeout),
            partner: name_of(Role::Writer),
            has_seen_partner: &self.has_seen_writer,
        };
        Ok(match wait.until(look, partner, is_wanted)? {
            Ended::Found(()) => Waited::Changed,
            Ended::TimedOut => Waited::TimedOut,
            Ended::Stopped => Waited::Stopped,
        })
    }

    /// Empties the stream. Messages go on counting where they were.
    ///
    /// # Errors
    /// [`Error::RoleTaken`] if another side has a role. [`Error::Unfinished`]; [`Error::Segment`].
    pub fn reset(&self, segment: &Segment) -> layout::Result<()> {
        let (mut writer, mut pin) = (lock(&self.writer), lock(&self.pin));
        check_unused(writer.as_ref(), *pin)?;
        let mut own = Vec::new();
        own.extend(writer.is_some().then_some(Role::Writer));
        if let Pin::Held(reader) = *pin {
            own.push(Role::Reader(reader));
        }
        self.header.reset::<Latest>(segment, &own)?;
        // They were for the previous incarnation.
        self.give_back(segment, &mut writer, &mut pin);
        Ok(())
    }

    /// Gives the roles back. The next call that needs one takes it again. A role that a [`Frame`] or a
    /// [`Draft`] needs is given back when that ends.
    pub fn release(&self, segment: &Segment) {
        self.give_back(segment, &mut lock(&self.writer), &mut lock(&self.pin));
    }

    fn give_back(&self, segment: &Segment, writer: &mut Option<Writing>, pin: &mut Pin) {
        match writer {
            Some(Writing { draft: Use::None, .. }) => {
                *writer = None;
                self.header.release_role(segment, Role::Writer);
            }
            Some(Writing { draft, .. }) => draft.end(),
            None => {}
        }
        match pin {
            Pin::Held(reader) => {
                self.free_pin(segment, *reader);
                self.header.release_role(segment, Role::Reader(*reader));
                *pin = Pin::NoneUntil(0);
            }
            Pin::Lent(_, lent) => lent.end(),
            Pin::NoneUntil(_) => *pin = Pin::NoneUntil(0),
        }
    }

    fn free_pin(&self, segment: &Segment, reader: u8) {
        // The memory may be gone, and then the pin is.
        let _ = segment.direct_mut().map(|direct| latest::free_pin(self.slots, &direct, reader.into()));
    }
}

impl Use {
    /// Takes note that the role is given back afterwards.
    const fn end(&mut self) {
        if let Self::Lent(number) = *self {
            *self = Self::Ending(number);
        }
    }
}

/// Checks that the program doesn't use the memory itself.
fn check_unused(writer: Option<&Writing>, pin: Pin) -> layout::Result<()> {
    if writer.is_some_and(|writing| writing.draft != Use::None) {
        return Err(Error::Unfinished { what: "a draft of a message" });
    }
    match pin {
        Pin::Lent(..) => Err(Error::Unfinished { what: "a frame" }),
        Pin::NoneUntil(_) | Pin::Held(_) => Ok(()),
    }
}

impl Named for Stream {
    fn open(options: &Options<'_>) -> layout::Result<(Segment, Self)> {
        let segment = named::open::<Latest>(options)?;
        let stream = Self::attach(&segment, 0, 0)?;
        Ok((segment, stream))
    }

    fn departure(&self) -> Option<&Departure> {
        Some(&self.departure)
    }

    /// True while there is a message that this side has not read, and no newer one can be elsewhere.
    fn is_needed(&self, segment: &Segment, is_replaced: bool) -> bool {
        !is_replaced && lock(&self.writer).is_none() && self.has_new_data(segment).unwrap_or(false)
    }
}
