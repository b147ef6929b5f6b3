//! Memory with a layout, which an object makes, finds under a name and follows there, or gets from the
//! program.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, TryLockError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use shm_segment::layout::Error as LayoutError;
use shm_segment::layout::native::{Look, Looks, Named, Queue, Stream, look};
use shm_segment::{Options, Segment, no_memory_text};

use crate::error::{Cause, Failure, Result};
use crate::exit::{self, Closable};
use crate::forks::{Kept, Place, lock};
use crate::memory::Memory;
use crate::waits;

/// The longest sleep while there is no memory. A wait must end soon after another thread has closed the
/// object.
const SLICE: Duration = Duration::from_millis(10);

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

/// The name that an object follows.
struct Followed {
    name: String,
    /// The reason why there is no memory.
    cause: Option<String>,
}

/// The memory of an object, and the name that it follows, if it does.
pub(crate) struct Attached<L: Layout> {
    place: Place<Target<L>>,
    looks: Looks,
    followed: Mutex<Option<Followed>>,
    is_closed: AtomicBool,
}

impl<L: Layout> Attached<L> {
    /// Returns the state of an object that has made its memory.
    pub(crate) fn made(segment: Segment, layout: L) -> Self {
        Self::with(Some(Target::keep(Memory::keep(segment), layout, true)), None)
    }

    /// Returns the state of an object for memory of the program.
    pub(crate) fn to(memory: Kept<Memory>, layout: L) -> Self {
        Self::with(Some(Target::keep(memory, layout, false)), None)
    }

    /// Returns the state of an object that follows a name.
    pub(crate) fn following(name: &str) -> Result<Self> {
        let mut cause = None;
        let target = match look::<L>(&Options::new(name), None) {
            Look::Same => None,
            Look::Moved(segment, layout) => Some(Target::keep(Memory::keep(segment), layout, true)),
            Look::Gone(LayoutError::Segment(error @ shm_segment::Error::InvalidName { .. })) => {
                return Err(error.into());
            }
            Look::Gone(error) => {
                cause = Some(error.to_string());
                None
            }
        };
        let attached = Self::with(target, Some(Followed { name: name.to_owned(), cause }));
        attached.looks.done();
        Ok(attached)
    }

    fn with(target: Option<Kept<Target<L>>>, followed: Option<Followed>) -> Self {
        Self {
            place: Place::new(target),
            looks: Looks::default(),
            followed: Mutex::new(followed),
            is_closed: AtomicBool::new(false),
        }
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
        self.looks.end();
        if let Some(target) = self.place.replace(None) {
            target.close();
        }
    }

    fn is_following(&self) -> bool {
        !self.place.is_inherited() && lock(&self.followed).is_some()
    }

    /// Looks what the name leads to, if the object follows one and it is time.
    fn follow(&self) {
        if self.looks.are_due() && !self.is_closed() {
            self.look();
        }
    }

    #[cold]
    fn look(&self) {
        let mut guard = match self.followed.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Another thread does it.
            Err(TryLockError::WouldBlock) => return,
        };
        let Some(followed) = &mut *guard else { return self.looks.end() };
        // Before the look, so that another thread can ask for one more.
        self.looks.done();
        let current = self.place.get().filter(|target| !target.memory.is_closed());
        let open = current.as_ref().map(|target| (target.segment(), &target.layout));
        let target = match look(&Options::new(&followed.name), open) {
            Look::Same => return,
            Look::Moved(segment, layout) => {
                followed.cause = None;
                Some(Target::keep(Memory::keep(segment), layout, true))
            }
            Look::Gone(error) => {
                followed.cause = Some(error.to_string());
                None
            }
        };
        // Another thread may still wait with the previous layout. The new one may need the same roles.
        let previous = self.place.replace(target);
        if let Some(previous) = previous {
            previous.close();
        }
        // Another thread may have closed the object since.
        if self.is_closed() {
            self.close();
        }
    }

    /// Returns the memory of the moment.
    pub(crate) fn target(&self) -> Result<Kept<Target<L>>> {
        if self.is_closed() {
            return Err(Failure::closed());
        }
        self.follow();
        match self.place.get() {
            Some(target) if target.memory.is_closed() => {
                if self.is_following() {
                    self.looks.hurry();
                }
                Err(Failure::new(Cause::Closed, "the attached memory was closed"))
            }
            Some(target) => Ok(target),
            None => Err(self.no_memory()),
        }
    }

    #[cold]
    fn no_memory(&self) -> Failure {
        match &*lock(&self.followed) {
            Some(Followed { name, cause }) => {
                Failure::new(Cause::Unavailable, no_memory_text(name, cause.as_deref()))
            }
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
        if self.looks.are_due() {
            py.detach(|| self.follow());
        }
        let target = self.target()?;
        let result = work(&target.layout, target.segment()).map_err(Failure::from);
        if let Err(failure) = &result {
            self.note(failure);
        }
        result
    }

    /// Returns whether other programs may come after a failure that says that the other side has ended. They
    /// may if the object has the name, or follows it.
    pub(crate) fn goes_on_after(&self, failure: &Failure) -> bool {
        let is_own = self.place.get().is_none_or(|target| target.is_own);
        failure.cause() == Some(Cause::Connection) && is_own && !self.is_closed()
    }

    /// Looks at the name in the next call if the memory has gone.
    fn note(&self, failure: &Failure) {
        if failure.cause() == Some(Cause::Lost) && self.is_following() {
            self.looks.hurry();
        }
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
        let start = Instant::now();
        let mut rest = timeout;
        loop {
            let target = self.target();
            let failure = match &target {
                Ok(target) => {
                    let is_wanted = || {
                        self.follow();
                        let is_here = self.place.get().is_some_and(|now| now.is(target));
                        is_here && !target.memory.is_closed() && waits::goes_on()
                    };
                    match work(&target.layout, target.segment(), rest, &is_wanted) {
                        Ok(result) => return Ok(result),
                        Err(error) => Failure::from(error),
                    }
                }
                Err(_) => self.no_memory(),
            };
            if waits::is_interrupted() {
                return Err(Failure::Interrupted);
            }
            if self.is_closed() {
                return Err(waits::stopped());
            }
            rest = timeout.saturating_sub(start.elapsed());
            if rest.is_zero() || !self.is_following() {
                return match target {
                    Err(failure) => Err(failure),
                    Ok(target) if target.memory.is_closed() => Err(waits::stopped()),
                    Ok(_) => Err(failure),
                };
            }
            let goes_on = match (failure.cause(), &target) {
                (Some(Cause::Unavailable), Err(_)) => true,
                (Some(Cause::Closed), _) => true,
                (Some(Cause::Lost), _) => {
                    self.looks.hurry();
                    true
                }
                // The name may lead to other memory, with another partner.
                (Some(Cause::Connection), Ok(target)) => {
                    self.looks.hurry();
                    self.follow();
                    !self.place.get().is_some_and(|now| now.is(target))
                }
                _ => false,
            };
            if !goes_on {
                return Err(failure);
            }
            if target.is_err() || failure.cause() == Some(Cause::Lost) {
                sleep(SLICE.min(rest));
            }
            if !waits::goes_on() {
                return Err(Failure::Interrupted);
            }
        }
    }
}

impl<L: Layout> Drop for Attached<L> {
    fn drop(&mut self) {
        self.close();
    }
}
