//! Waiting for what other processes publish, or for their end.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Result;
use super::bell::Bell;
use super::shared::Shared;
use crate::Segment;
use crate::layout::Error;
use crate::options::Access;

/// The shortest and the longest sleep. Nothing wakes a process whose partner has died, or whose caller no
/// longer wants to wait. So it looks for these. Shorter sleeps would take more of the processor.
const SLICES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(40));
/// The longest sleep of a process that can't ask to be woken, as it may only read.
const UNWOKEN: Duration = Duration::from_millis(1);

/// The time that a call may wait. It begins when the call first asks for it, which is after a first attempt.
/// A look at the clock takes a tenth of a round trip between two processes that spin.
#[derive(Debug)]
pub(super) struct Timer {
    timeout: Duration,
    start: Cell<Option<Instant>>,
}

impl Timer {
    pub(super) const fn new(timeout: Duration) -> Self {
        Self { timeout, start: Cell::new(None) }
    }

    /// Returns whether the call may wait at all.
    pub(super) const fn may_wait(&self) -> bool {
        !self.timeout.is_zero()
    }

    /// Returns the time that has passed.
    pub(super) fn elapsed(&self) -> Duration {
        match self.start.get() {
            Some(start) => start.elapsed(),
            None => {
                self.start.set(Some(Instant::now()));
                Duration::ZERO
            }
        }
    }

    /// Returns the time that is left.
    pub(super) fn rest(&self) -> Duration {
        if self.may_wait() { self.timeout.saturating_sub(self.elapsed()) } else { Duration::ZERO }
    }
}

/// A wait for something.
pub(super) struct Wait<'a> {
    pub(super) segment: &'a Segment,
    pub(super) bell: Bell,
    /// The offset of a `u64` that has changed whenever there is something new, if there is one. A spin looks
    /// at that alone until it changes.
    pub(super) news: Option<u64>,
    pub(super) timer: &'a Timer,
    /// The partner, for the error text.
    pub(super) partner: &'static str,
    /// True if there was a partner when this side looked last.
    pub(super) has_seen_partner: &'a AtomicBool,
}

/// The way in which a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended<T> {
    Found(T),
    TimedOut,
    /// The caller didn't want to go on.
    Stopped,
}

impl Wait<'_> {
    /// Waits until `look` finds something.
    ///
    /// `has_partner` returns whether there is a process that could publish it. If there was one, and there is
    /// none any more, the wait ends with [`Error::PartnerGone`], and the next one waits for another partner.
    pub(super) fn until<T, E: From<Box<Error>>>(
        &self,
        mut look: impl FnMut() -> Result<Option<T>, E>,
        has_partner: impl Fn() -> Result<bool>,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Ended<T>, E> {
        if let Some(found) = look()? {
            return Ok(self.found(found));
        }
        let rest = self.timer.rest();
        if rest.is_zero() {
            return Ok(Ended::TimedOut);
        }
        if let Some(found) = self.spin(rest, &mut look)? {
            return Ok(self.found(found));
        }
        let may_write = self.segment.access() == Access::ReadWrite;
        // The system's answer takes as long as a short wait. So a partner that was seen before is asked for
        // after a sleep. Any other one may end before that.
        let mut had_partner = self.has_seen_partner.load(Ordering::Relaxed) || has_partner()?;
        let mut is_partner_gone = false;
        loop {
            let direct = self.segment.direct()?;
            let word = self.bell.word();
            let bell = if may_write { self.bell.want(&direct) } else { direct.load_u32(word) };
            let bell = bell?;
            if let Some(found) = look()? {
                return Ok(self.found(found));
            }
            if is_partner_gone {
                return Err(Box::new(Error::PartnerGone { partner: self.partner }).into());
            }
            let elapsed = self.timer.elapsed();
            let rest = self.timer.timeout.saturating_sub(elapsed);
            if rest.is_zero() {
                self.segment.note_sleep(elapsed);
                return Ok(Ended::TimedOut);
            }
            let longest = if may_write { (elapsed / 2).clamp(SLICES.0, SLICES.1) } else { UNWOKEN };
            direct.sleep(word, bell, longest.min(rest), elapsed)?;
            // Before another look, which may take a role again that was given back.
            if !is_wanted() {
                return Ok(Ended::Stopped);
            }
            // Before the partner is asked for, which takes as long as a short wait.
            if let Some(found) = look()? {
                self.segment.note_sleep(self.timer.elapsed());
                return Ok(self.found(found));
            }
            // Then look again: a partner may have published something before its end.
            let has_partner = has_partner()?;
            is_partner_gone = had_partner && !has_partner;
            had_partner = has_partner;
            self.has_seen_partner.store(has_partner, Ordering::Relaxed);
        }
    }

    fn spin<T, E: From<Box<Error>>>(
        &self,
        limit: Duration,
        mut look: impl FnMut() -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        let direct = self.segment.direct()?;
        let mut last = None;
        self.segment.spin(limit, || {
            if let Some(at) = self.news {
                let now = direct.load_u64(at)?;
                if last.replace(now) == Some(now) {
                    return Ok(None);
                }
            }
            look()
        })
    }

    fn found<T>(&self, found: T) -> Ended<T> {
        self.has_seen_partner.store(true, Ordering::Relaxed);
        Ended::Found(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_call_begins_when_it_first_asks() {
        let timer = Timer::new(Duration::from_secs(3600));
        std::thread::sleep(Duration::from_millis(2));
        assert!(timer.may_wait());
        assert_eq!((timer.elapsed(), timer.rest() > Duration::from_secs(3000)), (Duration::ZERO, true));
        std::thread::sleep(Duration::from_millis(2));
        assert!(timer.elapsed() >= Duration::from_millis(2));
        assert!(timer.rest() <= Duration::from_secs(3600) - Duration::from_millis(2));
    }

    #[test]
    fn no_time_is_left_of_none() {
        let timer = Timer::new(Duration::ZERO);
        assert!(!timer.may_wait());
        assert_eq!(timer.rest(), Duration::ZERO);
        let timer = Timer::new(Duration::from_nanos(1));
        timer.elapsed();
        std::thread::sleep(Duration::from_millis(1));
        assert!(timer.may_wait());
        assert_eq!(timer.rest(), Duration::ZERO);
    }
}
