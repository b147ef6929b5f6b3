//! Following a name: the steps of an object that uses the memory that its name leads to, now and later.
//!
//! An object is the [`Holder`] of that memory, and has a [`Follower`] that changes it. Each binding has a
//! holder of its own, which knows how other threads use the memory in the meantime.

use std::cell::Cell;
use std::fmt;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::looks::Looks;
use super::named::{Look, Named, look};
use super::{lock, try_lock};
use crate::cause::no_memory_text;
use crate::layout::Error;
use crate::{Cause, Options, Segment};

/// The longest sleep while there is no memory. A wait must end soon after another thread has closed the
/// object.
const SLICE: Duration = Duration::from_millis(10);

/// The time of an attempt after the end of a wait.
const LEAST: Duration = Duration::from_micros(1);

/// An object that holds memory, which any thread may use at any time.
pub trait Holder<L> {
    /// The memory that a change takes away. It is dropped while no lock is held, because its end may run code
    /// of the program.
    type Left;

    /// Calls `work` with the memory, or with `None` if there is none that can be used. `work` may be called
    /// twice.
    fn with_open<R>(&self, work: impl Fn(Option<(&Segment, &L)>) -> R) -> R;

    /// Changes the memory, and gives the roles in the previous one back. If the result is an error, there
    /// is no memory, and the text tells why.
    fn put(&self, found: Option<(Segment, L)>) -> (Self::Left, Result<(), String>);
}

/// An error of a program, made of an error of this crate or of its own.
pub trait Caused {
    /// Returns the cause. `None` if no cause that is about the memory fits.
    fn cause(&self) -> Option<Cause>;
}

impl Caused for Error {
    fn cause(&self) -> Option<Cause> {
        Some(self.cause())
    }
}

type LookAt<L> = fn(&Options<'_>, Option<(&Segment, &L)>) -> Look<L>;

/// A name to follow, and the way to look at it.
pub struct Name<L> {
    name: String,
    look: LookAt<L>,
    /// The reason why there is no memory, if a look has found one.
    cause: Option<String>,
}

impl<L> fmt::Debug for Name<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Name").field(&self.name).finish()
    }
}

impl<L> Name<L> {
    /// Looks at a name for the first time. Returns it with what it leads to, if that can be used.
    ///
    /// # Errors
    /// [`Error::InvalidName`](crate::Error::InvalidName), the only one that no later look can mend.
    pub fn open(name: &str) -> crate::Result<(Self, Option<(Segment, L)>)>
    where
        L: Named,
    {
        let mut opened = Self { name: name.to_owned(), look: look::<L>, cause: None };
        let found = match look(&Options::new(name), None) {
            Look::Same => None,
            Look::Moved(segment, layout) => Some((segment, layout)),
            Look::Gone(Error::Segment(error @ crate::Error::InvalidName { .. })) => return Err(error),
            Look::Gone(error) => {
                opened.cause = Some(error.to_string());
                None
            }
        };
        Ok((opened, found))
    }

    /// Looks at the name. Returns the previous memory if that has changed.
    fn look_at<H: Holder<L>>(&mut self, holder: &H) -> Option<H::Left> {
        let options = Options::new(&self.name);
        let (found, cause) = match holder.with_open(|open| (self.look)(&options, open)) {
            Look::Same => return None,
            Look::Moved(segment, layout) => (Some((segment, layout)), None),
            Look::Gone(error) => (None, Some(error.to_string())),
        };
        let (left, put) = holder.put(found);
        self.cause = cause.or(put.err());
        Some(left)
    }
}

/// The part of an object that follows a name, or none.
#[derive(Debug)]
pub struct Follower<L> {
    looks: Looks,
    /// Locked during each change of the memory. A look never waits for it.
    name: Mutex<Option<Name<L>>>,
}

impl<L> Default for Follower<L> {
    /// Follows no name.
    fn default() -> Self {
        Self { looks: Looks::default(), name: Mutex::default() }
    }
}

impl<L> Follower<L> {
    /// Returns whether it is time to look at the name. Costs a look at a clock if a name is followed.
    #[inline]
    pub fn is_due(&self) -> bool {
        self.looks.are_due()
    }

    /// Looks at the name if it is time, and changes the memory if the name leads elsewhere.
    #[inline]
    pub fn follow(&self, holder: &impl Holder<L>) {
        if self.is_due() {
            self.look(holder);
        }
    }

    #[cold]
    fn look(&self, holder: &impl Holder<L>) {
        // Otherwise, another thread does it.
        let Some(mut name) = try_lock(&self.name) else { return };
        let left = if let Some(name) = &mut *name {
            // Before the look, so that another thread can ask for one more.
            self.looks.done();
            name.look_at(holder)
        } else {
            // Another thread has closed the object before this one hurried.
            self.looks.end();
            None
        };
        drop(name);
        // It may call this object.
        drop(left);
    }

    /// Follows this name from now on, or none. Calls `put`, which changes the memory, while no look is in
    /// progress.
    pub fn change<R>(&self, name: Option<Name<L>>, put: impl FnOnce() -> R) -> R {
        let mut followed = lock(&self.name);
        *followed = name;
        if followed.is_some() {
            self.looks.done();
        } else {
            self.looks.end();
        }
        put()
    }

    /// Returns whether the object follows a name.
    pub fn is_following(&self) -> bool {
        lock(&self.name).is_some()
    }

    /// Returns the text for a call that finds no memory. `None` if the object follows no name.
    pub fn no_memory(&self) -> Option<String> {
        lock(&self.name).as_ref().map(|Name { name, cause, .. }| no_memory_text(name, cause.as_deref()))
    }

    /// Takes note of the failure of a call. If the object follows a name, and its memory was closed or
    /// truncated, the next call looks at the name. Returns whether that is so.
    #[cold]
    pub fn looks_again_after(&self, failure: &impl Caused) -> bool {
        let is_lost = matches!(failure.cause(), Some(Cause::Closed | Cause::Lost));
        let looks_again = is_lost && self.is_following();
        if looks_again {
            self.looks.hurry();
            // Another thread may be looking.
            drop(lock(&self.name));
        }
        looks_again
    }

    /// Calls `attempt` with the time that is left of `timeout`, and with a cell for the [`Segment::id`] of
    /// the memory that it uses. If the object follows a name, calls it again when there was no memory, or
    /// when the name leads to other memory. There may be a new partner there, too.
    ///
    /// `end` is asked after each attempt that failed, and may end the wait with another error. If it does, it
    /// does so each time. The follower is not used before that.
    ///
    /// # Errors
    /// Those of `attempt` and `end`.
    pub fn wait<T, E: Caused>(
        &self,
        holder: &impl Holder<L>,
        timeout: Duration,
        mut attempt: impl FnMut(Duration, &Cell<Option<u64>>) -> Result<T, E>,
        end: impl Fn() -> Option<E>,
    ) -> Result<T, E> {
        let start = (!timeout.is_zero()).then(Instant::now);
        let mut rest = timeout;
        loop {
            let used = Cell::default();
            let result = attempt(rest, &used);
            let (Err(failure), Some(start)) = (&result, start) else { return result };
            let left = timeout.saturating_sub(start.elapsed());
            // Another thread may end the wait during a look or a sleep, too.
            let goes_on = end().is_none() && self.goes_on_after(failure, holder, used.get(), left);
            if let Some(failure) = end() {
                return Err(failure);
            }
            if !goes_on {
                return result;
            }
            // An attempt that may not wait at all would not say that the time is over.
            rest = timeout.saturating_sub(start.elapsed()).max(LEAST);
        }
    }

    /// Returns whether a call that may wait for `rest` goes on after a failure in the memory with this id.
    #[cold]
    fn goes_on_after(
        &self,
        failure: &impl Caused,
        holder: &impl Holder<L>,
        used: Option<u64>,
        rest: Duration,
    ) -> bool {
        if !self.is_following() {
            return false;
        }
        match failure.cause() {
            // The name leads elsewhere, or the program has closed the memory. So the attempt has not told
            // what there is at the end of the time.
            Some(Cause::Closed) => true,
            _ if rest.is_zero() => false,
            // There was none, or it was truncated.
            Some(Cause::Unavailable | Cause::Lost) => {
                sleep(SLICE.min(rest));
                true
            }
            Some(Cause::Connection) => {
                self.looks.hurry();
                self.follow(holder);
                // Another thread may have looked before.
                holder.with_open(|open| open.map(|(segment, _)| segment.id())) != used
            }
            _ => false,
        }
    }
}
