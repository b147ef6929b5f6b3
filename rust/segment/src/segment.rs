//! A segment: creating and opening one, copying in and out, letting go of it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::available::{SMALL, has_room_for};
use crate::error::{Error, Result};
use crate::memory::{Fault, Memory};
use crate::options::{Access, Backend, Lifetime, Scope};
use crate::os::{self, Link, Opened, Provider};

impl Backend {
    /// Does this system have it?
    #[must_use]
    pub fn is_available(self) -> bool {
        os::provider(self).is_some()
    }

    /// Can a segment's name outlive all who have it open? If not, [`Lifetime::Persistent`] is [`Error::Unsupported`].
    #[must_use]
    pub fn can_persist(self) -> bool {
        os::provider(self).is_some_and(Provider::can_persist)
    }

    /// As [`Segment::create`].
    ///
    /// # Errors
    /// Those of [`Segment::create`]; [`Error::Unsupported`].
    pub fn create(self, name: &str, size: u64, scope: Scope, lifetime: Lifetime) -> Result<Segment> {
        self.create_until(Instant::now() + RACE, name, size, scope, lifetime)
    }

    fn create_until(
        self,
        end: Instant,
        name: &str,
        size: u64,
        scope: Scope,
        lifetime: Lifetime,
    ) -> Result<Segment> {
        let provider = self.provider()?;
        let limit = u64::try_from(isize::MAX).unwrap_or(u64::MAX);
        if size == 0 || size > limit {
            return Err(Error::InvalidSize { size, limit });
        }
        let opened = provider.create(name, size, scope, lifetime, end)?;
        Ok(Segment::new(opened, Access::ReadWrite, true))
    }

    /// As [`Segment::open`].
    ///
    /// # Errors
    /// Those of [`Segment::open`]; [`Error::Unsupported`].
    pub fn open(self, name: &str, size: u64, access: Access) -> Result<Segment> {
        Ok(Segment::new(opened(self.provider()?, name, size, access, None)?, access, false))
    }

    /// As [`Segment::open_or_create`].
    ///
    /// # Errors
    /// Those of [`Segment::open_or_create`]; [`Error::Unsupported`].
    pub fn open_or_create(self, name: &str, size: u64, scope: Scope, lifetime: Lifetime) -> Result<Segment> {
        let provider = self.provider()?;
        let end = Instant::now() + RACE;
        loop {
            let lost = match self.create_until(end, name, size, scope, lifetime) {
                Err(taken @ Error::AlreadyExists { .. }) => taken,
                other => return other,
            };
            // What has the name that was wanted, and not one of another scope.
            let lost = match opened(provider, name, size, Access::ReadWrite, Some(scope)) {
                Ok(opened) => return Ok(Segment::new(opened, Access::ReadWrite, false)),
                Err(Error::DoesNotExist { .. }) => lost,
                Err(unsized_yet @ Error::NotSizedYet { .. }) => unsized_yet,
                Err(other) => return Err(other),
            };
            if Instant::now() >= end {
                return Err(lost);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// As [`exists`].
    #[must_use]
    pub fn exists(self, name: &str, scope: Scope) -> bool {
        os::provider(self).is_some_and(|provider| provider.exists(name, scope))
    }

    /// As [`remove`].
    ///
    /// # Errors
    /// Those of [`remove`].
    pub fn remove(self, name: &str, scope: Scope) -> Result<()> {
        self.provider()?.remove(name, scope)
    }

    fn provider(self) -> Result<&'static dyn Provider> {
        os::provider(self).ok_or(Error::Unsupported {
            what: match self {
                Self::Native => "named shared memory",
                Self::File => "shared memory in a file",
                Self::SystemV => "System V shared memory",
                Self::Memfd => "shared memory without a name",
            },
        })
    }
}

fn opened(
    provider: &dyn Provider,
    name: &str,
    size: u64,
    access: Access,
    scope: Option<Scope>,
) -> Result<Opened> {
    provider.open(name, size, access, scope).map_err(|error| match error {
        // Whoever opens asks for no memory: it is addresses that are missing.
        Error::OutOfMemory { name, call, source, .. } => Error::System { name, call, source },
        other => other,
    })
}

/// An open segment of shared memory.
///
/// Every method takes `&self` and may be called from any thread at once. Dropping it lets go of the memory;
/// if this is the creator and the lifetime is [`Lifetime::Owner`], the name is removed as well (on Windows: if nobody
/// else has the segment open).
#[derive(Debug)]
pub struct Segment {
    memory: Memory,
    object: Box<dyn os::Object>,
    link: Link,
    access: Access,
    created: bool,
    /// No other has it.
    id: u64,
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
    /// [`Error::OutOfMemory`], with nothing left behind (on Linux and Windows every page is reserved before the name
    /// appears); [`Error::Unsupported`], see [`can_persist`]; [`Error::System`].
    pub fn create(name: &str, size: u64, scope: Scope, lifetime: Lifetime) -> Result<Self> {
        Backend::Native.create(name, size, scope, lifetime)
    }

    fn new(opened: Opened, access: Access, created: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let Opened { object, link, map } = opened;
        Self { memory: Memory::new(map), object, link, access, created, id, looked_at: AtomicU64::new(0) }
    }

    /// Tells it from all others that this process has or had open, those of the same name included.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Opens an existing segment, whoever made it.
    ///
    /// `size` is how many of its first bytes are wanted; 0 means all. Any name that the system itself takes is
    /// allowed; on Windows, it is looked for as it was given, then without a leading `/`, among the session's names and
    /// then among the machine's. This never blocks, and never follows a link.
    ///
    /// # Errors
    /// [`Error::InvalidName`]; [`Error::DoesNotExist`]; [`Error::NotSizedYet`]; [`Error::TooSmall`];
    /// [`Error::PermissionDenied`]; [`Error::NotASegment`]; [`Error::System`].
    pub fn open(name: &str, size: u64, access: Access) -> Result<Self> {
        Backend::Native.open(name, size, access)
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
        Backend::Native.open_or_create(name, size, scope, lifetime)
    }

    /// Copies `into.len()` bytes out, from `offset` (in bytes) on.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`], [`Error::OutOfMemory`] (there is no memory for the pages that would be touched for the first
    /// time), and `into` is unchanged. [`Error::Truncated`]: another process has taken the memory
    /// away, perhaps in the middle of this copy, and `into` holds nothing that means anything.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        self.check_truncation()?;
        self.check_supply(into.len() as u64)?;
        self.memory.read(offset, into).map_err(|fault| self.fault(fault, offset, into.len() as u64))
    }

    /// Copies `from` in, at `offset` (in bytes).
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::OutOfBounds`], [`Error::OutOfMemory`] (as [`read`](Self::read)), and not a byte is
    /// written; [`Error::Truncated`].
    pub fn write(&self, offset: u64, from: &[u8]) -> Result<()> {
        self.check_writable()?;
        self.check_truncation()?;
        self.check_supply(from.len() as u64)?;
        self.memory.write(offset, from).map_err(|fault| self.fault(fault, offset, from.len() as u64))
    }

    /// Sets `length` bytes from `offset` on to `value`.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn fill(&self, offset: u64, length: u64, value: u8) -> Result<()> {
        self.check_writable()?;
        self.check_truncation()?;
        self.check_supply(length)?;
        self.memory.fill(offset, length, value).map_err(|fault| self.fault(fault, offset, length))
    }

    /// The 32-bit word at `offset` (in bytes; 4 must divide it), which is there in little-endian order. Acquires: what
    /// its writer wrote before it [stored](Self::store_u32) the word, [`read`](Self::read) sees.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`]; [`Error::Misaligned`]; [`Error::Truncated`].
    pub fn load_u32(&self, offset: u64) -> Result<u32> {
        self.check_truncation()?;
        self.memory.load(offset).map_err(|fault| self.fault(fault, offset, 4))
    }

    /// Stores a word, for others to [load](Self::load_u32). Releases: see there.
    ///
    /// # Errors
    /// Those of [`load_u32`](Self::load_u32), and [`Error::ReadOnly`].
    pub fn store_u32(&self, offset: u64, value: u32) -> Result<()> {
        self.check_writable()?;
        self.check_truncation()?;
        self.memory.store(offset, value).map_err(|fault| self.fault(fault, offset, 4))
    }

    /// Stores `new` if the word at `offset` is `current`, in one step that nobody else can come between; says whether
    /// it did. Acquires, and releases.
    ///
    /// # Errors
    /// As [`store_u32`](Self::store_u32).
    pub fn compare_exchange_u32(&self, offset: u64, current: u32, new: u32) -> Result<bool> {
        self.check_writable()?;
        self.check_truncation()?;
        self.memory.compare_exchange(offset, current, new).map_err(|fault| self.fault(fault, offset, 4))
    }

    /// Adds to a word, wrapping around, in one step that nobody else can come between; returns what was there before.
    /// Acquires, and releases.
    ///
    /// # Errors
    /// As [`store_u32`](Self::store_u32).
    pub fn fetch_add_u32(&self, offset: u64, value: u32) -> Result<u32> {
        self.check_writable()?;
        self.check_truncation()?;
        self.memory.fetch_add(offset, value).map_err(|fault| self.fault(fault, offset, 4))
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

    /// What the system says the whole segment has now, in bytes; on Windows, in whole pages.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn mapped_size(&self) -> Result<u64> {
        self.object.size()
    }

    /// How many bytes of memory a copy of `length` bytes may take besides the copy's own: the system supplies a page of
    /// the segment when it is first touched, and a peer may have made a large one without touching any.
    #[must_use]
    pub fn unsupplied(&self, length: u64) -> u64 {
        self.object.unsupplied().min(length)
    }

    /// As [`unsupplied`](Self::unsupplied), for a check before a copy: 0 for a few megabytes, without asking the system.
    #[must_use]
    pub fn to_supply(&self, length: u64) -> u64 {
        if length < SMALL { 0 } else { self.unsupplied(length) }
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

    /// Who may open the segment. For an opener on POSIX: global if its mode lets others write; on Windows: where its
    /// name was found.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.object.scope()
    }

    /// The name, and which segment it led to.
    #[must_use]
    pub const fn link(&self) -> &Link {
        &self.link
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

    /// Each page that is touched for the first time takes one of the machine's, and a peer may have made far more of them
    /// than there are. That is asked for large accesses only.
    pub(crate) fn check_supply(&self, length: u64) -> Result<()> {
        let size = length.min(self.size());
        if has_room_for(self.to_supply(size)) {
            return Ok(());
        }
        let (name, source) = (self.link().name().to_owned(), io::ErrorKind::OutOfMemory.into());
        Err(Error::OutOfMemory { name, size, call: "MemAvailable", source })
    }

    fn fault(&self, fault: Fault, offset: u64, length: u64) -> Error {
        match fault {
            Fault::OutOfBounds => self.out_of_bounds(offset, length),
            Fault::Misaligned => Error::Misaligned { offset },
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
///
/// The scope tells where to look on Windows; on POSIX, all share their names.
#[must_use]
pub fn exists(name: &str, scope: Scope) -> bool {
    Backend::Native.exists(name, scope)
}

/// Removes a name, whoever made it; who has the segment open keeps it.
///
/// The scope tells where to look on Windows; on POSIX, all share their names.
///
/// # Errors
/// [`Error::InvalidName`]; [`Error::DoesNotExist`]; [`Error::NotASegment`], which is left alone;
/// [`Error::PermissionDenied`]; [`Error::Unsupported`]: on Windows, only they who have it open can end a segment;
/// [`Error::System`].
pub fn remove(name: &str, scope: Scope) -> Result<()> {
    Backend::Native.remove(name, scope)
}

/// Can a segment's name outlive all who have it open? If not, [`Lifetime::Persistent`] is [`Error::Unsupported`].
#[must_use]
pub fn can_persist() -> bool {
    Backend::Native.can_persist()
}

/// The names of all segments that this user can see, sorted; none where the system can't list them.
#[must_use]
pub fn list_names() -> Vec<String> {
    os::list_names()
}
