//! An open segment: copies in and out, and its end.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::available::{SMALL, has_room_for};
use crate::error::{Error, Result};
use crate::memory::{Fault, Memory};
use crate::options::{Access, Lifetime, Scope};
use crate::os::{self, NameHandle, OpenSegment, Opened};

/// An open segment of shared memory.
///
/// Every method takes `&self` and may be called from any thread at once. Dropping it lets go of the memory;
/// if this is the creator and the lifetime is [`Lifetime::Owner`], the name is removed as well (on Windows: if nobody
/// else has the segment open).
#[derive(Debug)]
pub struct Segment {
    memory: Memory,
    object: Box<dyn OpenSegment>,
    name: NameHandle,
    access: Access,
    created: bool,
    /// No other has it.
    id: u64,
    /// When the size was last asked for, by [`os::coarse_clock`].
    looked_at: AtomicU64,
}

impl Segment {
    pub(crate) fn new(opened: Opened, access: Access, created: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let Opened { object, name, map } = opened;
        Self { memory: Memory::new(map), object, name, access, created, id, looked_at: AtomicU64::new(0) }
    }

    /// Tells it from all others that this process has or had open, those of the same name included.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
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
    pub const fn name(&self) -> &NameHandle {
        &self.name
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
            Access::ReadOnly => Err(Error::ReadOnly { name: self.name.as_str().to_owned() }),
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
        let (name, source) = (self.name.as_str().to_owned(), io::ErrorKind::OutOfMemory.into());
        Err(Error::OutOfMemory { name, size, call: "MemAvailable", source })
    }

    fn fault(&self, fault: Fault, offset: u64, length: u64) -> Error {
        match fault {
            Fault::OutOfBounds => self.out_of_bounds(offset, length),
            Fault::Misaligned => Error::Misaligned { offset },
            Fault::Gone => match self.object.size() {
                Ok(actual) if actual >= self.size() => {
                    Error::PageLost { name: self.name.as_str().to_owned() }
                }
                actual => self.truncated(actual.unwrap_or(0)),
            },
        }
    }

    fn truncated(&self, actual: u64) -> Error {
        Error::Truncated { name: self.name.as_str().to_owned(), actual, expected: self.size() }
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
