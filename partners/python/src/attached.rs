//! Memory with a layout, which an object makes, finds under a name and follows there, or gets from the
//! program.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyo3::prelude::*;
use shm_segment::Segment;
use shm_segment::layout::native::{Follower, Holder, Name, Named, Queue, Stream};

use crate::error::{Cause, Failure, Result};
use crate::exit::{self, Closable};
use crate::forks::{Kept, Place};
use crate::memory::Memory;
use crate::waits;

/// A layout in memory.
pub(crate) trait Layout: Named + Send + Sync + 'static {
    /// Gives all roles back.
    fn release(&self, segment: &Segment);
}

impl Layout for Stream {
    fn release(&self, segment: &Segment) {
        Self::release(self, segment);
    }
}

impl Layout for Queue {
    fn release(&self, segment: &Segment) {
        Self::release(self, segment);
    }
}

/// A layout, and its memory.
pub(crate) struct Target<L: Layout> {
    pub(crate) memory: Kept<Memory>,
    pub(crate) layout: L,
    /// The object itself has made or found the memory.
    is_own: bool,
}

impl<L: Layout> Target<L> {
    fn keep(memory: Kept<Memory>, layout: L, is_own: bool) -> Kept<Self> {
        exit::keep(Self { memory, layout, is_own })
    }

    /// Returns a target with a `Memory` of its own.
    fn own(segment: Segment, layout: L) -> Kept<Self> {
        Self::keep(Memory::keep(segment), layout, true)
    }

    pub(crate) fn segment(&self) -> &Segment {
        &self.memory.segment
    }
}

impl<L: Layout> Closable for Target<L> {
    fn close(&self) {
        self.layout.release(self.segment());
        if self.is_own {
            self.memory.close();
        }
    }
}

impl<L: Layout> Drop for Target<L> {
    fn drop(&mut self) {
        self.close();
    }
}

/// The memory of an object, and the name that it follows, if it does.
pub(crate) struct Attached<L: Layout> {
    place: Place<Target<L>>,
    /// Not used in a child of a fork. Another thread of the parent may have had its lock.
    follower: Follower<L>,
    is_closed: AtomicBool,
}

impl<L: Layout> Holder<L> for Attached<L> {
    type Left = Option<Kept<Target<L>>>;

    fn with_open<R>(&self, work: impl Fn(Option<(&Segment, &L)>) -> R) -> R {
        let target = self.place.get().filter(|target| !target.memory.is_closed());
        work(target.as_ref().map(|target| (target.segment(), &target.layout)))
    }

    fn put(&self, found: Option<(Segment, L)>) -> (Self::Left, Result<(), String>) {
        let target = found.map(|(segment, layout)| Target::own(segment, layout));
        // Another thread may still wait with the previous layout. The new one may need the same roles.
        let previous = self.place.replace(target);
        if let Some(previous) = &previous {
            previous.close();
        }
        (previous, Ok(()))
    }
}

impl<L: Layout> Attached<L> {
    /// Returns the state of an object that has made its memory.
    pub(crate) fn made(segment: Segment, layout: L) -> Self {
        Self::with(Some(Target::own(segment, layout)))
    }

    /// Returns the state of an object for memory of the program.
    pub(crate) fn to(memory: Kept<Memory>, layout: L) -> Self {
        Self::with(Some(Target::keep(memory, layout, false)))
    }

    /// Returns the state of an object that follows a name.
    pub(crate) fn following(name: &str) -> Result<Self> {
        let (name, found) = Name::open(name)?;
        let attached = Self::with(found.map(|(segment, layout)| Target::own(segment, layout)));
        attached.follower.change(Some(name), || ());
        Ok(attached)
    }

    fn with(target: Option<Kept<Target<L>>>) -> Self {
        let place = Place::new(target);
        Self { place, follower: Follower::default(), is_closed: AtomicBool::new(false) }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.place.is_inherited() || self.is_closed.load(Ordering::Acquire)
    }

    /// Lets go of the memory, and ends the calls that wait.
    pub(crate) fn close(&self) {
        if self.place.is_inherited() {
            return;
        }
        self.is_closed.store(true, Ordering::Release);
        let left = self.follower.change(None, || self.put(None));
        drop(left);
    }

    fn is_following(&self) -> bool {
        !self.place.is_inherited() && self.follower.is_following()
    }

    /// Looks what the name leads to, if the object follows one and it is time.
    fn follow(&self) {
        if !self.is_closed() {
            self.follower.follow(self);
        }
    }

    /// Returns the memory of the moment.
    pub(crate) fn target(&self) -> Result<Kept<Target<L>>> {
        if self.is_closed() {
            return Err(Failure::closed());
        }
        self.follow();
        let closed = || Failure::new(Cause::Closed, "the attached memory was closed");
        let mut target = self.place.get();
        if target.as_ref().is_some_and(|target| target.memory.is_closed())
            && self.follower.looks_again_after(&closed())
        {
            self.follow();
            target = self.place.get();
        }
        match target {
            Some(target) if target.memory.is_closed() => Err(closed()),
            Some(target) => Ok(target),
            None => Err(self.no_memory()),
        }
    }

    #[cold]
    fn no_memory(&self) -> Failure {
        match self.follower.no_memory() {
            Some(text) => Failure::new(Cause::Unavailable, text),
            None => Failure::closed(),
        }
    }

    /// Calls `work`, which doesn't wait and doesn't use Python. Other threads of Python only go on if the
    /// call has to look what a name leads to.
    pub(crate) fn now<R, E>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&L, &Segment) -> Result<R, E>,
    ) -> Result<R>
    where
        Failure: From<E>,
    {
        if self.follower.is_due() {
            py.detach(|| self.follow());
        }
        let target = self.target()?;
        work(&target.layout, target.segment()).map_err(|error| self.noted(error.into(), &target))
    }

    /// Calls `work`, which may copy much and doesn't use Python, while other threads of Python go on.
    pub(crate) fn copying<R: Send, E>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&L, &Segment) -> Result<R, E> + Send,
    ) -> Result<R>
    where
        Failure: From<E>,
    {
        let target = self.target()?;
        py.detach(|| {
            work(&target.layout, target.segment()).map_err(|error| self.noted(error.into(), &target))
        })
    }

    /// Returns whether other programs may come after a failure that says that the other side has ended. They
    /// may if the object has the name, or follows it.
    pub(crate) fn goes_on_after(&self, failure: &Failure) -> bool {
        let is_own = self.place.get().is_none_or(|target| target.is_own);
        failure.cause() == Some(Cause::Connection) && is_own && !self.is_closed()
    }

    /// Returns a failure of a call, and lets go of the memory if that is lost. Then the next call opens what
    /// the name leads to.
    fn noted(&self, failure: Failure, target: &Target<L>) -> Failure {
        if failure.cause() == Some(Cause::Lost) && self.is_following() {
            target.memory.close();
            self.follower.looks_again_after(&failure);
        }
        failure
    }

    /// Calls `work` with the time that is left to wait, while other threads of Python go on. `work` may be
    /// called several times: an object that follows a name goes on in the memory that it leads to by then.
    pub(crate) fn waiting<R: Send, E>(
        &self,
        py: Python<'_>,
        timeout: Duration,
        work: impl FnMut(&L, &Segment, Duration, &dyn Fn() -> bool) -> Result<R, E> + Send,
    ) -> Result<R>
    where
        Failure: From<E>,
    {
        waits::detached(py, || self.wait(timeout, work))?
    }

    fn wait<R, E>(
        &self,
        timeout: Duration,
        mut work: impl FnMut(&L, &Segment, Duration, &dyn Fn() -> bool) -> Result<R, E>,
    ) -> Result<R>
    where
        Failure: From<E>,
    {
        let attempt = |rest, used: &Cell<Option<u64>>| {
            let target = self.target()?;
            used.set(Some(target.segment().id()));
            let is_wanted = || {
                self.follow();
                let is_here = self.place.get().is_some_and(|now| now.is(&target));
                is_here && !target.memory.is_closed() && waits::goes_on()
            };
            work(&target.layout, target.segment(), rest, &is_wanted).map_err(|error| {
                let is_closed = target.memory.is_closed();
                if is_closed { waits::stopped() } else { self.noted(error.into(), &target) }
            })
        };
        let end = || {
            if waits::is_interrupted() {
                return Some(Failure::Interrupted);
            }
            if self.is_closed() {
                return Some(waits::stopped());
            }
            (!waits::goes_on()).then_some(Failure::Interrupted)
        };
        self.follower.wait(self, timeout, attempt, end)
    }
}

impl<L: Layout> Drop for Attached<L> {
    fn drop(&mut self) {
        self.close();
    }
}
