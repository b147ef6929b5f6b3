//! Locks: `locks` in a segment of its own, which belongs to all programs that use it.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use super::header::{Geometry, Header, LINE, LINES_AT, Layout};
use super::lock_line::LockLine;
use super::waiting::{Ended, Timer, Wait};
use super::{Result, lock};
use crate::Segment;
use crate::layout::{self, Error};
use crate::options::{Backend, Lifetime, Options, Scope};
use crate::os::Joined;
use crate::roles::Role;

/// The number of locks in a segment.
pub const LOCKS: u8 = 64;

const LENGTH: u64 = LINES_AT + LOCKS as u64 * LINE;
const GEOMETRY: Geometry = Geometry { count: LOCKS as u32, limit: LINE };

/// The largest size of memory for locks. Other systems have whole pages, of up to 16 KiB.
const LARGEST: u64 = if cfg!(target_os = "linux") { LENGTH } else { 16384 };

/// The time for which to try again while another program is about to remove the name. That takes it some
/// microseconds, but on a busy machine it may have to wait for a processor in the middle.
const REMOVED_FOR: Duration = Duration::from_secs(1);

pub(super) struct LocksLayout;

impl Layout for LocksLayout {
    const NAME: &'static str = "native set of locks";
    const NUMBER: u32 = 4;
    const COUNT: &'static str = "the number of locks";
    const END_OF_SEQUENCES: u64 = u64::MAX;
    const LIMIT: &'static str = "the size of a lock's line";

    fn length(geometry: Geometry) -> Option<u64> {
        (geometry == GEOMETRY).then_some(LENGTH)
    }

    fn largest(_: u32, size: u64) -> Option<Geometry> {
        (LENGTH <= size).then_some(GEOMETRY)
    }

    fn roles(_: Geometry) -> impl Iterator<Item = Role> {
        (0..LOCKS).map(Role::Lock)
    }

    fn lines(_: Geometry) -> impl Iterator<Item = (u64, u64)> {
        std::iter::once((LINES_AT, LENGTH - LINES_AT))
    }

    fn last_sequence(_: &Segment, _: Geometry) -> Result<u64> {
        Ok(0)
    }
}

/// A lock that programs share under a name. It is released when its holder ends, however that happens.
///
/// This value holds the lock, and no thread does. Any thread may call any method at any time.
///
/// ```
/// use std::time::Duration;
///
/// use shm_segment::Scope;
/// use shm_segment::layout::native::Lock;
///
/// # fn main() -> Result<(), shm_segment::layout::Error> {
/// let name = shm_segment::generate_name("doc")?;
/// let ours = Lock::open(&name, 0, Scope::Local)?;
/// let theirs = Lock::open(&name, 0, Scope::Local)?;
/// ours.lock(Duration::ZERO)?;
/// assert!(theirs.lock(Duration::ZERO).is_err());
/// ours.unlock()?;
/// theirs.lock(Duration::ZERO)?;
/// assert!(!theirs.was_abandoned());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Lock {
    segment: Segment,
    header: Header,
    index: u8,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Held { was_abandoned: bool },
    Closed,
}

impl Lock {
    /// Opens lock number `index` of a name. The first program makes the segment, and the last one removes it.
    ///
    /// `scope` is for a segment that is made. An existing one keeps its own.
    ///
    /// # Errors
    /// - [`Error::InvalidCount`] if there is no such lock.
    /// - [`Error::Segment`]: those of [`Options::open_or_create`]. `RoleBlocked` if another program keeps a
    ///   lock in the way. `Unsupported` where the system has no such locks, or none that reach all users.
    /// - [`Error::OtherMemory`], [`Error::Invalid`] or [`Error::NotZeros`] if the name leads to memory that
    ///   was not made for locks.
    /// - [`Error::NotLaidOutYet`] if another program takes too long to lay the memory out.
    pub fn open(name: &str, index: u8, scope: Scope) -> layout::Result<Self> {
        if index >= LOCKS {
            let limits = (0, u32::from(LOCKS) - 1);
            return Err(Error::InvalidCount { what: "the number of the lock", given: index.into(), limits });
        }
        check_scope(scope)?;
        // Where a name can outlive its creator, it goes with its last user instead.
        let lifetime = if Backend::Native.can_persist() { Lifetime::Persistent } else { Lifetime::Owner };
        let options = Options::new(name).scope(scope).lifetime(lifetime);
        let end = Instant::now() + REMOVED_FOR;
        loop {
            let segment = options.open_or_create(LENGTH)?;
            match segment.join()? {
                Joined::Yes => return Ok(Self::attach(segment, index)?),
                Joined::NameMoves => {}
                // Its owner has died since.
                Joined::Owned if segment.is_left_over() => {}
                Joined::Owned => return Err(*other_memory(&segment, "which one program owns")),
                Joined::Unmarked => return Err(*other_memory(&segment, "which was not made for locks")),
            }
            if Instant::now() >= end {
                return Err(crate::Error::RoleBlocked { name: name.to_owned() }.into());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn attach(segment: Segment, index: u8) -> Result<Self> {
        let attached = check_size(&segment)
            .and_then(|()| check_scope(segment.scope()))
            .and_then(|()| Header::attach::<LocksLayout>(&segment, GEOMETRY));
        match attached {
            Ok(header) => Ok(Self { segment, header, index, state: Mutex::new(State::Free) }),
            Err(error) => {
                // The name of other contents is not for this side to remove.
                if segment.is_created() {
                    segment.leave(|| true);
                }
                Err(error)
            }
        }
    }

    /// Takes the lock, and waits for it for at most `timeout`. If several processes wait, they have no order.
    ///
    /// # Errors
    /// - [`Error::Locked`] if another object or process holds it and `timeout` is zero;
    ///   [`Error::WaitTimedOut`] if it isn't.
    /// - [`Error::LockHeld`] if this value holds it; [`Error::Stopped`] after [`close`](Self::close), also
    ///   during the wait.
    /// - [`Error::NameLost`] if another program has removed the name.
    /// - [`Error::Segment`]: `RoleBlocked` if another program keeps a lock in the way that holds nothing.
    ///   [`Error::Invalid`].
    pub fn lock(&self, timeout: Duration) -> layout::Result<()> {
        self.lock_while(timeout, || true)
    }

    /// Takes the lock as [`lock`](Self::lock) does. The wait also ends, with [`Error::Stopped`], at the first
    /// sleep after which `is_wanted` returns false. It is asked every 10 to 40 ms.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub fn lock_while(&self, timeout: Duration, is_wanted: impl Fn() -> bool) -> layout::Result<()> {
        let wait = Wait {
            segment: &self.segment,
            bell: self.line().bell(),
            news: None,
            timer: &Timer::new(timeout),
            partner: "the holder",
            has_seen_partner: &AtomicBool::new(true),
        };
        // The lock that was in the way at the last look, and holds nothing.
        let mut blocked = None;
        let look = || match self.attempt() {
            Err(error) if error.is_role_blocked() => {
                blocked = Some(error);
                Ok(None)
            }
            other => {
                blocked = None;
                other
            }
        };
        // After the holder's death the lock is free, which a look finds. So there always is a partner.
        let has_partner = || self.check_name().map(|()| true);
        match wait.until(look, has_partner, || is_wanted() && *lock(&self.state) != State::Closed)? {
            Ended::Found(()) => return Ok(()),
            Ended::Stopped => return Err(Error::Stopped),
            Ended::TimedOut => self.check_name()?,
        }
        Err(match blocked {
            Some(error) => *error,
            None if timeout.is_zero() => Error::Locked,
            None => Error::WaitTimedOut { what: "free lock", waited: timeout },
        })
    }

    /// Takes the lock if it is free.
    fn attempt(&self) -> Result<Option<()>> {
        let mut state = lock(&self.state);
        match *state {
            State::Free => {}
            State::Held { .. } => return Err(Error::LockHeld.into()),
            State::Closed => return Err(Error::Stopped.into()),
        }
        let direct = self.segment.direct_mut()?;
        if !self.header.take_role::<LocksLayout>(&self.segment, self.role())? {
            return Ok(None);
        }
        // Before the words: in memory that the name has left, a death stays told.
        let entered = self.check_name().and_then(|()| self.line().enter(&direct));
        match entered {
            Ok(was_abandoned) => *state = State::Held { was_abandoned },
            Err(error) => {
                self.header.release_role(&self.segment, self.role());
                return Err(error);
            }
        }
        Ok(Some(()))
    }

    /// Checks that programs that open the name now see this lock.
    fn check_name(&self) -> Result<()> {
        let name = self.segment.name();
        if name.is_current() {
            Ok(())
        } else {
            Err(Error::NameLost { name: name.as_str().to_owned() }.into())
        }
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// [`Error::LockNotHeld`] if this value doesn't hold it. [`Error::Segment`] if the memory has gone, but
    /// the lock is free then as well.
    pub fn unlock(&self) -> layout::Result<()> {
        let mut state = lock(&self.state);
        match *state {
            State::Held { .. } => *state = State::Free,
            State::Free | State::Closed => return Err(Error::LockNotHeld),
        }
        Ok(self.give_back()?)
    }

    fn give_back(&self) -> Result<()> {
        let direct = self.segment.direct_mut();
        let left = direct.and_then(|direct| self.line().leave(&direct).map(|()| direct));
        self.header.release_role(&self.segment, self.role());
        self.line().bell().ring(&left?)
    }

    /// Returns whether any object or process holds the lock, this value included.
    ///
    /// # Errors
    /// [`Error::Segment`].
    pub fn is_locked(&self) -> layout::Result<bool> {
        Ok(self.header.is_role_held::<LocksLayout>(&self.segment, self.role())?)
    }

    /// Returns whether this value holds the lock, and the holder before it has died with it.
    #[must_use]
    pub fn was_abandoned(&self) -> bool {
        *lock(&self.state) == State::Held { was_abandoned: true }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.segment.name().as_str()
    }

    /// Gives the lock back if it is held, and ends the use of the name. A wait of another thread ends.
    ///
    /// Dropping this value does the same. Only the first call does something.
    pub fn close(&self) {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, State::Closed) {
            State::Closed => return,
            // An error means that the memory has gone.
            State::Held { .. } => drop(self.give_back()),
            State::Free => {}
        }
        self.segment.leave(|| self.is_clean().unwrap_or(true));
    }

    /// Returns whether no death is to be told. The next holder is told of one even if no program has the
    /// memory open until then.
    fn is_clean(&self) -> Result<bool> {
        let direct = self.segment.direct()?;
        for index in 0..LOCKS {
            if line_of(index).is_dirty(&direct)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    const fn line(&self) -> LockLine {
        line_of(self.index)
    }

    const fn role(&self) -> Role {
        Role::Lock(self.index)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.close();
    }
}

const fn line_of(index: u8) -> LockLine {
    LockLine(LINES_AT + index as u64 * LINE)
}

fn other_memory(segment: &Segment, why: impl Into<String>) -> Box<Error> {
    Box::new(Error::OtherMemory { name: segment.name().as_str().to_owned(), why: why.into() })
}

/// Checks that the memory has the size of locks. Zeros of another size are not for this side to lay out.
fn check_size(segment: &Segment) -> Result<()> {
    match segment.current_size()? {
        LENGTH..=LARGEST => Ok(()),
        size => Err(other_memory(segment, format!("of {size} bytes, not of the {LENGTH} that locks have"))),
    }
}

/// Checks that programs of all users that may open the segment see each other's locks.
fn check_scope(scope: Scope) -> Result<()> {
    let what = match scope {
        // FreeBSD and the systems of the stub. There, a segment would be made and then left.
        _ if !cfg!(any(target_os = "linux", target_os = "macos", windows)) => {
            "a lock that ends with its holder, which needs locks of open file descriptions,"
        }
        Scope::Global if !cfg!(target_os = "linux") => "a lock that programs of several users share",
        _ => return Ok(()),
    };
    Err(crate::Error::Unsupported { what }.into())
}
