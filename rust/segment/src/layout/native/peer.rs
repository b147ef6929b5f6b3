//! Peers: a pair under a name, which either side may make, and which is looked up again while there is no
//! partner.

use std::cell::Cell;
use std::fmt;
use std::ops::RangeInclusive;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, yield_now};
use std::time::{Duration, Instant};

use hazard::AtomicOption;

use super::header::{Geometry, Header, Layout as _};
use super::message::Message;
use super::pair::{Event, Pair, PairLayout, Waiter};
use super::waiting::{Ended, Timer};
use super::{Incoming, Result};
use crate::Segment;
use crate::layout::{self, Error};
use crate::name;
use crate::options::{Access, Options, Scope};
use crate::segment::Waited;
use crate::{Error as SegmentError, OwnerState};

/// The sizes of a buffer, in bytes. Each becomes the next power of two.
pub const BUFFER_SIZES: RangeInclusive<u64> = 4096..=1 << 30;

/// The time for which other processes may be making or removing the memory.
const RACE: Duration = Duration::from_millis(50);
/// The time between two looks at what the name leads to.
const LOOKS: Duration = Duration::from_millis(100);

/// A connection between two programs that open the same name.
///
/// Any thread may call any method at any time. A call that
/// waits holds up no other thread.
#[derive(Debug)]
pub struct Peer {
    name: String,
    scope: Scope,
    ring: u64,
    /// The memory of the moment. `None` once this was closed.
    link: AtomicOption<Link>,
    looked_at: Mutex<Instant>,
    is_requesting: AtomicBool,
    interrupt: Interrupt,
}

/// The question whether a wait goes on, if the program asks one.
#[derive(Default)]
struct Interrupt(Option<Box<dyn Fn() -> bool + Send + Sync + UnwindSafe + RefUnwindSafe>>);

impl Interrupt {
    fn is_wanted(&self) -> bool {
        self.0.as_ref().is_none_or(|is_wanted| is_wanted())
    }
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Interrupt").field(&self.0.is_some()).finish()
    }
}

/// A side in a segment.
#[derive(Debug)]
struct Link {
    segment: Segment,
    pair: Pair,
}

/// The outcome of an attempt to get a side. An error that another attempt may not have is in the inner
/// result.
type Attempt = Result<Result<Link>>;

impl Peer {
    /// Takes a side of the pair with this name.
    ///
    /// Joins the partner who lives in the memory with this name, whoever has made it. If there is none, makes
    /// the memory, with a buffer of `buffer_size` bytes for each direction. `buffer_size` is within
    /// [`BUFFER_SIZES`].
    ///
    /// # Errors
    /// - [`Error::BothSidesTaken`]; [`Error::InvalidElementSize`].
    /// - [`Error::NotLaidOutYet`] or [`Error::Invalid`] if a living program has other memory under this name.
    /// - [`Error::Segment`].
    pub fn open(name: &str, buffer_size: u64, scope: Scope) -> layout::Result<Self> {
        if !BUFFER_SIZES.contains(&buffer_size) {
            let what = "a buffer";
            return Err(Error::InvalidElementSize { what, given: buffer_size, limit: *BUFFER_SIZES.end() });
        }
        // No side makes others.
        name::portable(name)?;
        let peer = Self {
            name: name.to_owned(),
            scope,
            ring: buffer_size.next_power_of_two(),
            link: AtomicOption::default(),
            looked_at: Mutex::new(Instant::now()),
            is_requesting: AtomicBool::default(),
            interrupt: Interrupt::default(),
        };
        peer.link.put(peer.join()?);
        Ok(peer)
    }

    /// Ends each wait with [`Error::Stopped`] at the first sleep after which `is_wanted` returns false. A
    /// wait asks it every 10 to 40 ms, in its own thread.
    #[must_use]
    pub fn interrupted_unless(
        mut self,
        is_wanted: impl Fn() -> bool + Send + Sync + UnwindSafe + RefUnwindSafe + 'static,
    ) -> Self {
        self.interrupt = Interrupt(Some(Box::new(is_wanted)));
        self
    }

    /// Gives the side back, and ends the calls that wait.
    pub fn close(&self) {
        self.link.take(|link| {
            link.pair.leave(&link.segment);
            link.release_name();
        });
    }

    fn join(&self) -> Result<Link> {
        let end = Instant::now() + RACE;
        loop {
            match self.try_join()? {
                Ok(link) => return Ok(link),
                Err(error) if Instant::now() >= end => return Err(after_a_race(error)),
                Err(_) => sleep(Duration::from_millis(1)),
            }
        }
    }

    fn options(&self) -> Options<'_> {
        Options::new(&self.name).scope(self.scope)
    }

    fn try_join(&self) -> Attempt {
        let segment = match self.options().open_in(Some(self.scope), 0, Access::ReadWrite) {
            Ok(segment) => segment,
            Err(SegmentError::DoesNotExist { .. }) => return self.create(),
            Err(error @ SegmentError::NotSizedYet { .. }) => return Ok(Err(error.into())),
            Err(error) => return Err(error.into()),
        };
        let header = match Pair::attach(&segment, self.ring) {
            Ok(header) => header,
            // That takes the place of what a dead owner has left, whatever it is.
            Err(_) if segment.owner_state() == OwnerState::Dead => return self.create(),
            Err(error) if matches!(*error, Error::NotLaidOutYet { .. }) => return Ok(Err(error)),
            Err(error) => return Err(error),
        };
        // A living owner without a side has just made the memory.
        if segment.owner_state() != OwnerState::Alive
            && !Pair::is_taken(&segment, &header, 0)?
            && !Pair::is_taken(&segment, &header, 1)?
        {
            return self.renew(&segment, &header);
        }
        Self::take_side(segment, header)
    }

    /// Takes a side that is free, if the name still leads to the segment afterwards.
    fn take_side(segment: Segment, header: Header) -> Attempt {
        let Some(side) = Pair::join(&segment, &header)? else {
            return Ok(Err(Error::BothSidesTaken.into()));
        };
        // Otherwise, another process has replaced it before the side was taken.
        if !segment.name().is_current() {
            return Ok(Err(Error::NotLaidOutYet { layout: PairLayout::NAME }.into()));
        }
        let pair = Pair::new(&segment, header, side)?;
        Ok(Ok(Link { segment, pair }))
    }

    fn create(&self) -> Attempt {
        let geometry = Geometry { count: 2, limit: self.ring };
        let size = PairLayout::length(geometry).unwrap_or(0);
        match self.options().create(size) {
            Ok(segment) => {
                let header = Pair::attach(&segment, self.ring)?;
                Self::take_side(segment, header)
            }
            Err(error @ SegmentError::AlreadyExists { .. }) => Ok(Err(error.into())),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a side of memory in which no process lives. It is made again if it can be replaced, and emptied
    /// if not.
    fn renew(&self, segment: &Segment, header: &Header) -> Attempt {
        // While this process has all roles, no other one can join.
        let renewed = header.while_unused::<PairLayout, _>(segment, || self.create());
        match renewed {
            Ok(Err(error)) if matches!(*error, Error::Segment(SegmentError::AlreadyExists { .. })) => {}
            Err(error) if is_busy(&error) => return Ok(Err(error)),
            other => return other,
        }
        match header.reset::<PairLayout>(segment, &[]) {
            Err(error) if is_busy(&error) => Ok(Err(error)),
            Err(error) => Err(error),
            Ok(()) => self.join_emptied(),
        }
    }

    fn join_emptied(&self) -> Attempt {
        let segment = self.options().open_in(Some(self.scope), 0, Access::ReadWrite)?;
        let header = Pair::attach(&segment, self.ring)?;
        Self::take_side(segment, header)
    }

    /// Looks what the name leads to if there is no partner in this memory, and goes there.
    fn follow(&self, link: &Link) {
        let Some(mut looked_at) = super::try_lock(&self.looked_at) else { return };
        if looked_at.elapsed() < LOOKS {
            return;
        }
        *looked_at = Instant::now();
        if !link.pair.is_idle(&link.segment).unwrap_or(false) || link.segment.name().is_current() {
            return;
        }
        // After an error, this side stays where it is. The next look may find something else.
        let Ok(Ok(found)) = self.try_join() else { return };
        // Calls of other threads come again, until they find the new memory.
        found.pair.set_past(link.pair.leave(&link.segment));
        // Another thread may have closed it. Then nobody uses the new memory.
        drop(self.link.replace_if(link, found));
    }

    /// Calls `work` with the memory of the moment. Looks first whether the name leads elsewhere, if there is
    /// no partner.
    fn with_link<R, E: From<Box<Error>>>(&self, work: impl FnMut(&Link) -> Result<R, E>) -> Result<R, E> {
        self.with_current(|link| {
            if !link.pair.has_partner(&link.segment)? {
                self.follow(link);
            }
            Ok::<_, Box<Error>>(())
        })
        .map_err(E::from)?;
        self.with_current(work)
    }

    /// Calls `work` with the memory of the moment, and again if this side has left it by then.
    fn with_current<R, E: From<Box<Error>>>(
        &self,
        mut work: impl FnMut(&Link) -> Result<R, E>,
    ) -> Result<R, E> {
        loop {
            let result = self.link.with(|link| {
                let link = link.ok_or_else(|| Box::new(Error::Stopped))?;
                match work(link) {
                    Err(_) if link.pair.has_left() => Ok(None),
                    result => result.map(Some),
                }
            })?;
            match result {
                Some(result) => return Ok(result),
                None => yield_now(),
            }
        }
    }

    /// Calls `work`, which may wait, and calls it again if the name leads elsewhere by then.
    fn waiting<R, E: From<Error> + From<Box<Error>>>(
        &self,
        timeout: Duration,
        mut work: impl FnMut(&Link, &Waiter<'_>) -> Result<Ended<R>, E>,
    ) -> Result<Ended<R>, E> {
        let timer = Timer::new(timeout);
        let is_interrupted = Cell::new(false);
        loop {
            let asked = Cell::new(None);
            let (ended, is_left) = self.link.with(|link| {
                let link = link.ok_or_else(|| Box::new(Error::Stopped))?;
                let is_wanted = || {
                    is_interrupted.set(!self.interrupt.is_wanted());
                    !is_interrupted.get() && self.link.holds(link)
                };
                let follow = || self.follow(link);
                let waiter = Waiter { timer: &timer, follow: &follow, is_wanted: &is_wanted, asked: &asked };
                let ended = work(link, &waiter);
                let is_left = match &ended {
                    Ok(ended) => matches!(ended, Ended::Stopped),
                    Err(_) => asked.get().is_none() && link.pair.has_left(),
                };
                Ok::<_, Box<Error>>((ended, is_left))
            })?;
            if is_left && !is_interrupted.get() {
                // The next turn finds out whether this was closed.
                yield_now();
                continue;
            }
            if let (Err(_), Some(changes)) = (&ended, asked.get()) {
                // In the memory where this side is now.
                self.link.with(|link| link.map(|link| link.pair.note_told(changes)));
            }
            return ended;
        }
    }

    fn require_open(&self) -> Result<()> {
        self.link.with(|link| if link.is_some() { Ok(()) } else { Err(Error::Stopped.into()) })
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether a partner is connected and lives.
    ///
    /// # Errors
    /// [`Error::Stopped`] if this was closed; [`Error::Invalid`]; [`Error::Segment`].
    pub fn is_connected(&self) -> layout::Result<bool> {
        Ok(self.with_link(|link| link.pair.has_partner(&link.segment))?)
    }

    /// Waits until a partner is connected.
    ///
    /// # Errors
    /// As [`is_connected`](Self::is_connected).
    pub fn wait_connected(&self, timeout: Duration) -> layout::Result<Waited> {
        let ended = self.waiting(timeout, |link, waiter| link.pair.wait_connected(&link.segment, waiter))?;
        Ok(waited(ended))
    }

    /// Sends a message. Waits for a partner and for room.
    ///
    /// # Errors
    /// Nothing was sent.
    /// - [`Error::TooLarge`]; [`Error::NotConnected`] and [`Error::NoRoom`] without a timeout;
    ///   [`Error::WaitTimedOut`]; [`Error::PartnerGone`] if the partner ended while this waited for room.
    /// - As [`is_connected`](Self::is_connected).
    pub fn send(&self, message: &Message<'_>, timeout: Duration) -> layout::Result<()> {
        let sent = self.waiting(timeout, |link, waiter| link.pair.send(&link.segment, waiter, message, None));
        let ended = sent.inspect_err(|error| {
            // The next call then finds a partner elsewhere.
            if matches!(**error, Error::NotConnected) {
                self.link.with(|link| link.map(|link| self.follow(link)));
            }
        })?;
        match ended {
            Ended::Found(_) => Ok(()),
            Ended::TimedOut => Err(self.not_sent(timeout)),
            Ended::Stopped => Err(Error::Stopped),
        }
    }

    /// Returns the error of a call that has `waited` in vain for a partner and for room.
    #[cold]
    fn not_sent(&self, waited: Duration) -> Error {
        let is_full = self.is_connected().unwrap_or_default();
        Error::WaitTimedOut { what: if is_full { "room for the message" } else { "partner" }, waited }
    }

    /// Waits for a message, and returns what `take` makes of it.
    ///
    /// # Errors
    /// - [`Error::PartnerGone`] once after the last message of a partner that has ended.
    /// - [`Error::Empty`] without a timeout; otherwise [`Error::WaitTimedOut`].
    /// - As [`is_connected`](Self::is_connected); those of `take`, after which the message is still there.
    pub fn receive<T, E: From<Error> + From<Box<Error>>>(
        &self,
        timeout: Duration,
        mut take: impl FnMut(&Incoming<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        match self.waiting(timeout, |link, waiter| link.pair.receive(&link.segment, waiter, &mut take))? {
            Ended::Found(message) => Ok(message),
            // The partner may have ended, which is told now.
            Ended::TimedOut if timeout.is_zero() => self
                .with_link(|link| link.pair.try_receive(&link.segment, &mut take))?
                .ok_or_else(|| Error::Empty.into()),
            Ended::TimedOut => Err(Error::WaitTimedOut { what: "message", waited: timeout }.into()),
            Ended::Stopped => Err(Error::Stopped.into()),
        }
    }

    /// Returns the next message or border between two partners, without waiting. A border is no error.
    ///
    /// # Errors
    /// As [`is_connected`](Self::is_connected); those of `take`.
    pub fn next_event<T, E: From<Error> + From<Box<Error>>>(
        &self,
        mut take: impl FnMut(&Incoming<'_>) -> Result<T, E>,
    ) -> Result<Option<Event<T>>, E> {
        self.with_link(|link| link.pair.event(&link.segment, &mut take))
    }

    /// Sends a message, and waits for the first one that the partner sends after receiving it. Other messages
    /// stay for [`receive`](Self::receive).
    ///
    /// # Errors
    /// - [`Error::RequestInProgress`] if another thread waits for an answer.
    /// - [`Error::PartnerGone`] if the partner has ended. [`Error::WaitTimedOut`]; [`Error::TooLarge`].
    /// - As [`is_connected`](Self::is_connected); those of `take`.
    pub fn request<T, E: From<Error> + From<Box<Error>>>(
        &self,
        message: &Message<'_>,
        timeout: Duration,
        mut take: impl FnMut(&Incoming<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.is_requesting.swap(true, Ordering::Acquire) {
            return Err(Error::RequestInProgress.into());
        }
        let mut is_sent = false;
        let ended = self.waiting(timeout, |link, waiter| {
            let ended = link.pair.request(&link.segment, waiter, message, &mut take);
            is_sent = waiter.asked.get().is_some();
            ended
        });
        self.is_requesting.store(false, Ordering::Release);
        if !matches!(ended, Ok(Ended::Found(_))) {
            // It may have been closed during the wait.
            self.require_open()?;
        }
        match ended? {
            Ended::Found(answer) => Ok(answer),
            Ended::TimedOut if !is_sent => Err(self.not_sent(timeout).into()),
            Ended::TimedOut => Err(Error::WaitTimedOut { what: "answer", waited: timeout }.into()),
            Ended::Stopped => Err(Error::Stopped.into()),
        }
    }

    /// Waits until [`receive`](Self::receive) would not wait.
    ///
    /// # Errors
    /// As [`is_connected`](Self::is_connected).
    pub fn wait(&self, timeout: Duration) -> layout::Result<Waited> {
        Ok(waited(self.waiting(timeout, |link, waiter| link.pair.wait(&link.segment, waiter))?))
    }

    /// Returns how many messages can be received before the partner's end.
    ///
    /// # Errors
    /// As [`is_connected`](Self::is_connected).
    pub fn count(&self) -> layout::Result<u64> {
        Ok(self.with_link(|link| link.pair.count(&link.segment))?)
    }

    /// Returns the bytes that wait to be received.
    ///
    /// # Errors
    /// As [`is_connected`](Self::is_connected).
    pub fn available(&self) -> layout::Result<u64> {
        Ok(self.with_current(|link| link.pair.available(&link.segment))?)
    }

    /// Returns how many answers came after their request had ended.
    ///
    /// # Errors
    /// [`Error::Stopped`] if this was closed.
    pub fn late_answers(&self) -> layout::Result<u64> {
        Ok(self.with_current(|link| Ok::<_, Box<Error>>(link.pair.late_answers()))?)
    }

    /// Returns the bytes of the longest message.
    ///
    /// # Errors
    /// [`Error::Stopped`] if this was closed.
    pub fn max_message_size(&self) -> layout::Result<u64> {
        Ok(self.with_current(|link| Ok::<_, Box<Error>>(link.pair.max_message()))?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Link {
    /// Removes the name if no process lives in the memory any more. Its creator does so in any case: a
    /// partner makes other memory under the name.
    fn release_name(&self) {
        self.segment.release_name();
        if !self.segment.is_created() && self.segment.owner_state() == OwnerState::Dead {
            let unlink = || Ok(self.segment.name().unlink()?);
            // Otherwise, the partner lives there.
            let _ = self.pair.while_unused(&self.segment, unlink);
        }
    }
}

/// Returns the error for a caller that has tried for long enough. Others may make and remove the name all the
/// time, so it can exist for the last attempt to create it.
fn after_a_race(error: Box<Error>) -> Box<Error> {
    match *error {
        Error::Segment(SegmentError::AlreadyExists { .. }) => {
            Error::NotLaidOutYet { layout: PairLayout::NAME }.into()
        }
        _ => error,
    }
}

/// Returns whether another process has a role at this moment.
const fn is_busy(error: &Error) -> bool {
    matches!(error, Error::RoleTaken { .. } | Error::NotLaidOutYet { .. })
}

fn waited(ended: Ended<()>) -> Waited {
    match ended {
        Ended::Found(()) => Waited::Changed,
        Ended::TimedOut => Waited::TimedOut,
        Ended::Stopped => Waited::Stopped,
    }
}
