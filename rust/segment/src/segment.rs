//! A segment: creating and opening one, copying in and out, letting go of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::memory::{Fault, Memory};
use crate::name;
use crate::os::{self, Link};

/// Who may open a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This user only. POSIX: mode 0600, whatever the umask.
    Local,
    /// Every user of the machine. POSIX: mode 0666, whatever the umask.
    Global,
}

/// What an opener wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and write.
    ReadWrite,
    /// Read; writing is [`Error::ReadOnly`].
    ReadOnly,
}

/// When a segment's name goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// With its creator. If the creator is killed, the next one to create the name reclaims it.
    Owner,
    /// When somebody removes it, or the system restarts.
    Persistent,
}

/// An open segment of shared memory.
///
/// Every method takes `&self` and may be called from any thread at once. Dropping it lets go of the memory;
/// if this is the creator and the lifetime is [`Lifetime::Owner`], the name is removed as well.
#[derive(Debug)]
pub struct Segment {
    memory: Memory,
    object: os::Object,
    access: Access,
    created: bool,
    /// When the size was last asked for, by [`os::coarse_clock`].
    looked_at: AtomicU64,
}

/// How long a call goes on trying while the name is changing hands.
const RACE: Duration = Duration::from_millis(if cfg!(fuzzing) { 2 } else { 50 });

impl Segment {
    /// Makes a new segment of `size` zero bytes under a name that nobody has, and owns it.
    ///
    /// A name whose creator was an [`Lifetime::Owner`] of this user and is dead counts as free: whoever still
    /// has the old memory open keeps it, but the name leads to the new one.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::InvalidSize`]; [`Error::AlreadyExists`]; [`Error::PermissionDenied`];
    /// [`Error::OutOfMemory`], with nothing left behind (on Linux every page is reserved before the name
    /// appears); [`Error::System`].
    pub fn create(name: &str, size: u64, scope: Scope, lifetime: Lifetime) -> Result<Self> {
        Self::create_until(Instant::now() + RACE, name, size, scope, lifetime)
    }

    fn create_until(end: Instant, name: &str, size: u64, scope: Scope, lifetime: Lifetime) -> Result<Self> {
        let name = name::portable(name)?;
        let limit = u64::try_from(isize::MAX).unwrap_or(u64::MAX);
        if size == 0 || size > limit {
            return Err(Error::InvalidSize { size, limit });
        }
        let (object, map) = os::Object::create(name, size, scope, lifetime, end)?;
        Ok(Self::new(object, map, Access::ReadWrite, true))
    }

    fn new(object: os::Object, map: memmap2::MmapRaw, access: Access, created: bool) -> Self {
        Self { memory: Memory::new(map), object, access, created, looked_at: AtomicU64::new(0) }
    }

    /// Opens an existing segment, whoever made it.
    ///
    /// `size` is how many of its first bytes are wanted; 0 means all. Any name that the system itself takes is
    /// allowed. This never blocks, and never follows a link.
    ///
    /// # Errors
    /// [`Error::InvalidName`]; [`Error::DoesNotExist`]; [`Error::NotSizedYet`]; [`Error::TooSmall`];
    /// [`Error::PermissionDenied`]; [`Error::NotASegment`]; [`Error::System`].
    pub fn open(name: &str, size: u64, access: Access) -> Result<Self> {
        let (object, map) = os::Object::open(name, size, access)?;
        Ok(Self::new(object, map, access, false))
    }

    /// Opens the segment, or makes it if nobody has: whichever side starts first.
    ///
    /// Goes on trying for at most 50 ms while the name appears and vanishes or has no size yet, so that there
    /// is no moment at which both sides of a race lose.
    ///
    /// # Errors
    /// Those of [`create`](Self::create) and [`open`](Self::open), but for [`Error::AlreadyExists`] (unless
    /// the race outlasts the 50 ms).
    pub fn open_or_create(name: &str, size: u64, scope: Scope, lifetime: Lifetime) -> Result<Self> {
        let end = Instant::now() + RACE;
        loop {
            let lost = match Self::create_until(end, name, size, scope, lifetime) {
                Err(taken @ Error::AlreadyExists { .. }) => taken,
                other => return other,
            };
            let lost = match Self::open(name, size, Access::ReadWrite) {
                Err(Error::DoesNotExist { .. }) => lost,
                Err(unsized_yet @ Error::NotSizedYet { .. }) => unsized_yet,
                other => return other,
            };
            if Instant::now() >= end {
                return Err(lost);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Copies `into.len()` bytes out, from `offset` (in bytes) on.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`], and `into` is unchanged. [`Error::Truncated`]: another process has taken the memory
    /// away, perhaps in the middle of this copy, and `into` holds nothing that means anything.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        self.check_truncation()?;
        self.memory.read(offset, into).map_err(|fault| self.fault(fault, offset, into.len() as u64))
    }

    /// Copies `from` in, at `offset` (in bytes).
    ///
    /// # Errors
    /// [`Error::ReadOnly`]; [`Error::OutOfBounds`], and not a byte is written; [`Error::Truncated`].
    pub fn write(&self, offset: u64, from: &[u8]) -> Result<()> {
        self.check_writable()?;
        self.check_truncation()?;
        self.memory.write(offset, from).map_err(|fault| self.fault(fault, offset, from.len() as u64))
    }

    /// Sets `length` bytes from `offset` on to `value`.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn fill(&self, offset: u64, length: u64, value: u8) -> Result<()> {
        self.check_writable()?;
        self.check_truncation()?;
        self.memory.fill(offset, length, value).map_err(|fault| self.fault(fault, offset, length))
    }

    /// Checks that `length` bytes from `offset` on lie in the segment.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`].
    pub fn check_bounds(&self, offset: u64, length: u64) -> Result<()> {
        match offset.checked_add(length) {
            Some(end) if end <= self.size() => Ok(()),
            _ => Err(self.out_of_bounds(offset, length)),
        }
    }

    /// How many bytes can be read: what was asked for, or all there were when it was opened.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.memory.len() as u64
    }

    /// What the system says the whole segment has now, in bytes.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn mapped_size(&self) -> Result<u64> {
        self.object.size()
    }

    /// True if this made the segment, false if it opened it.
    #[must_use]
    pub const fn is_created(&self) -> bool {
        self.created
    }

    /// What this may do with the bytes.
    #[must_use]
    pub const fn access(&self) -> Access {
        self.access
    }

    /// Who may open the segment. For an opener on POSIX: global if its mode lets others write.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.object.scope()
    }

    /// The name, and which segment it led to.
    #[must_use]
    pub const fn link(&self) -> &Link {
        self.object.link()
    }

    /// Changes when the name goes. Nothing to do for an opener.
    ///
    /// # Errors
    /// [`Error::System`] where the system refuses; [`Error::Unsupported`].
    pub fn set_lifetime(&self, lifetime: Lifetime) -> Result<()> {
        if self.created { self.object.set_lifetime(lifetime) } else { Ok(()) }
    }

    /// Does now what dropping this would do to the name; for who can't know when the last user lets go.
    ///
    /// May be called more than once: only the first call does something.
    pub fn release_name(&self) {
        if self.created {
            self.object.release_name();
        }
    }

    fn check_writable(&self) -> Result<()> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(Error::ReadOnly { name: self.link().name().to_owned() }),
        }
    }

    /// A truncation that leaves the page itself in place, within its last bytes, raises no fault. Asking for the
    /// size costs more than copying a few bytes, so it is asked at most once per tick of the system's coarse clock.
    fn check_truncation(&self) -> Result<()> {
        let now = os::coarse_clock();
        if self.looked_at.load(Ordering::Relaxed) == now {
            return Ok(());
        }
        let actual = self.object.size()?;
        if actual < self.size() {
            return Err(self.truncated(actual));
        }
        self.looked_at.store(now, Ordering::Relaxed);
        Ok(())
    }

    fn fault(&self, fault: Fault, offset: u64, length: u64) -> Error {
        match fault {
            Fault::OutOfBounds => self.out_of_bounds(offset, length),
            Fault::Gone => match self.object.size() {
                Ok(actual) if actual >= self.size() => {
                    Error::PageLost { name: self.link().name().to_owned() }
                }
                actual => self.truncated(actual.unwrap_or(0)),
            },
        }
    }

    fn truncated(&self, actual: u64) -> Error {
        Error::Truncated { name: self.link().name().to_owned(), actual, expected: self.size() }
    }

    fn out_of_bounds(&self, offset: u64, length: u64) -> Error {
        Error::OutOfBounds { offset, length, size: self.size() }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.release_name();
    }
}

/// Is there a segment of this name? A link, a FIFO or a directory is none.
#[must_use]
pub fn exists(name: &str) -> bool {
    os::exists(name)
}

/// Removes a name, whoever made it; who has the segment open keeps it.
///
/// # Errors
/// [`Error::InvalidName`]; [`Error::DoesNotExist`]; [`Error::NotASegment`], which is left alone;
/// [`Error::PermissionDenied`]; [`Error::System`].
pub fn remove(name: &str) -> Result<()> {
    os::remove(name)
}

/// The names of all segments that this user can see, sorted; none where the system can't list them.
#[must_use]
pub fn list_names() -> Vec<String> {
    os::list_names()
}

/// The form of a plain name that the system's own calls take: `/frames` on POSIX.
#[must_use]
pub fn native_name(plain: &str) -> String {
    os::native_name(plain)
}
