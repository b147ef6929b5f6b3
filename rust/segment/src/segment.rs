//! An open segment.

mod direct;
mod wait;
mod words;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::available::{UNCHECKED_BELOW, has_room_for};
use crate::error::{Error, Result};
use crate::info::OwnerState;
use crate::memory::{Fault, Memory};
use crate::options::{Access, Lifetime, Scope};
use crate::os::{self, Inherited, Joined, NameHandle, OpenSegment, Opened};
use crate::roles::{HeldRoles, RoleLock};
use crate::rows::Rows;
use crate::values::Source;
pub(crate) use direct::Direct;
use wait::Spins;
pub use wait::Waited;

/// An open segment of shared memory.
///
/// Every method takes `&self`, and any number of threads may call them at once. Dropping the segment unmaps
/// the memory. If this value created the segment with [`Lifetime::Owner`], dropping it also removes the name.
/// On Windows, the name goes with the last handle of any process.
#[derive(Debug)]
pub struct Segment {
    // Before `memory` and `object`, so that it is dropped first.
    _inherited: Inherited,
    memory: Memory,
    /// The process that opened the segment, by [`os::forks`].
    forks: u32,
    object: Box<dyn OpenSegment>,
    name: NameHandle,
    access: Access,
    created: bool,
    /// Unique in this process.
    id: u64,
    /// The time of the last check of the size, by [`os::coarse_clock`].
    size_checked_at: AtomicU64,
    spins: Spins,
    roles: HeldRoles,
}

impl Segment {
    pub(crate) fn new(opened: Opened, access: Access, created: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let Opened { object, name, map } = opened;
        let size_checked_at = AtomicU64::new(0);
        let (spins, roles) = (Spins::default(), HeldRoles::default());
        let memory = Memory::new(map);
        let is_writable = access == Access::ReadWrite;
        let inherited = Inherited::new(object.descriptor(), memory.start(), memory.len(), is_writable);
        let forks = os::forks();
        Self {
            memory,
            _inherited: inherited,
            forks,
            object,
            name,
            access,
            created,
            id,
            size_checked_at,
            spins,
            roles,
        }
    }

    /// Returns a number that no other segment of this process has or had.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Copies `into.len()` bytes out of the segment, from `offset` (in bytes) on.
    ///
    /// # Errors
    /// - [`Error::OutOfBounds`]; [`Error::OutOfMemory`] if there is no memory for pages that the copy would
    ///   be the first to touch. `into` is unchanged.
    /// - [`Error::Truncated`] or [`Error::PageLost`] if memory has gone, perhaps during the copy. The bytes
    ///   in `into` mean nothing.
    /// - [`Error::System`] if the system doesn't give the size.
    #[inline(always)] // Half of a short copy's time is the call and the `Result` in memory.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        self.check_truncation()?;
        self.check_room(into.len() as u64)?;
        self.memory.read(offset, into).map_err(|fault| self.fault(fault, offset, into.len() as u64))
    }

    /// Appends `length` bytes of the segment, from `offset` (in bytes) on, to `into`. There must be room.
    ///
    /// # Errors
    /// Those of [`read`](Self::read). `into` is unchanged.
    pub(crate) fn append(&self, offset: u64, length: usize, into: &mut Vec<u8>) -> Result<()> {
        self.check_truncation()?;
        self.check_room(length as u64)?;
        self.memory.append(offset, length, into).map_err(|fault| self.fault(fault, offset, length as u64))
    }

    /// Copies `from` into the segment, at `offset` (in bytes).
    ///
    /// # Errors
    /// Those of [`read`](Self::read), and [`Error::ReadOnly`]. Bytes are written only if the error is
    /// [`Error::Truncated`] or [`Error::PageLost`].
    #[inline(always)] // As `read`.
    pub fn write(&self, offset: u64, from: &[u8]) -> Result<()> {
        self.check_writable()?;
        self.check_truncation()?;
        self.check_room(from.len() as u64)?;
        self.memory.write(offset, from).map_err(|fault| self.fault(fault, offset, from.len() as u64))
    }

    /// Copies as many rows out of the segment as `into` has whole ones, at least one.
    ///
    /// # Errors
    /// As [`read`](Self::read), with [`Error::RowsOutOfBounds`] for [`Error::OutOfBounds`].
    pub fn read_rows(&self, rows: Rows, into: &mut [u8]) -> Result<()> {
        self.check_truncation()?;
        let span = self.check_rows(rows, into.len())?;
        self.check_room(span)?;
        self.memory.read_rows(rows, into).map_err(|fault| self.fault(fault, rows.offset, span))
    }

    /// Copies the rows in `from`, at least one, into the segment. The bytes between rows are not written.
    ///
    /// # Errors
    /// As [`write`](Self::write), with [`Error::RowsOutOfBounds`] for [`Error::OutOfBounds`].
    pub fn write_rows(&self, rows: Rows, from: &[u8]) -> Result<()> {
        self.check_writable()?;
        self.check_truncation()?;
        let span = self.check_rows(rows, from.len())?;
        self.check_room(span)?;
        self.memory.write_rows(rows, from).map_err(|fault| self.fault(fault, rows.offset, span))
    }

    /// Sets `length` bytes from `offset` on to `value`.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn fill(&self, offset: u64, length: u64, value: u8) -> Result<()> {
        self.check_writable()?;
        self.check_truncation()?;
        self.check_room(length)?;
        self.memory.fill(offset, length, value).map_err(|fault| self.fault(fault, offset, length))
    }

    /// Checks that `length` bytes from `offset` on lie in the segment.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] if they don't.
    pub fn check_bounds(&self, offset: u64, length: u64) -> Result<()> {
        match offset.checked_add(length) {
            Some(end) if end <= self.size() => Ok(()),
            _ => Err(self.out_of_bounds(offset, length)),
        }
    }

    /// Checks that rows of `length` bytes in all, at least one row, lie in the segment. Returns the number of
    /// bytes from the beginning of the lowest row to the end of the highest one.
    ///
    /// # Errors
    /// [`Error::RowsOutOfBounds`].
    pub fn check_rows(&self, rows: Rows, length: usize) -> Result<u64> {
        rows.span(length, self.size())
    }

    /// Returns how many bytes can be read: the size asked for, or the whole size at the time of opening.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.memory.len() as u64
    }

    /// Returns the size that the whole segment has now, in bytes; on Windows, in whole pages.
    ///
    /// # Errors
    /// [`Error::System`] if the system doesn't give it.
    pub fn current_size(&self) -> Result<u64> {
        self.object.size()
    }

    /// Returns how many bytes of memory a copy of `length` bytes may take in addition to the copy itself.
    ///
    /// The system supplies a page of the segment when it is first touched. A peer may have made a large
    /// segment without touching any page.
    #[must_use]
    pub fn unpopulated(&self, length: u64) -> u64 {
        self.object.unpopulated().min(length)
    }

    /// Returns the same as [`unpopulated`](Self::unpopulated), but 0 for less than 16 MiB, without asking
    /// the system: for a check before a copy.
    #[must_use]
    pub fn unpopulated_if_large(&self, length: u64) -> u64 {
        if length < UNCHECKED_BELOW { 0 } else { self.unpopulated(length) }
    }

    /// Returns the address of the first byte, for programs that hand the memory out. [`size`](Self::size)
    /// bytes are mapped there for as long as this value lives. They may be written to if the access allows
    /// it.
    ///
    /// Other processes change the bytes at any time, so no Rust reference may lead to them. A truncation puts
    /// other pages in their place, and [`read`](Self::read) then fails. Before the address is used, call
    /// [`install_fault_handler`](crate::install_fault_handler), since other parts of the program may have
    /// installed handlers.
    #[must_use]
    pub const fn address(&self) -> *mut u8 {
        self.memory.start()
    }

    /// Returns whether a parent of this process opened the segment, and [`guard_forks`](crate::guard_forks)
    /// was called before. Then this value has no descriptor, and doesn't touch the name.
    #[must_use]
    pub fn is_inherited(&self) -> bool {
        os::forks() != self.forks
    }

    /// Returns whether this value created the segment. Otherwise, it opened an existing one.
    #[must_use]
    pub const fn is_created(&self) -> bool {
        self.created
    }

    /// Returns which accesses this value allows.
    #[must_use]
    pub const fn access(&self) -> Access {
        self.access
    }

    /// Returns which users may open the segment. For an opener on POSIX, that is global if the mode lets
    /// others write. On Windows, it is where the name was found.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.object.scope()
    }

    /// Returns the state of the segment's owner. A creator is alive.
    #[must_use]
    pub fn owner_state(&self) -> OwnerState {
        if self.created { OwnerState::Alive } else { self.object.owner_state() }
    }

    /// Returns whether the owner has ended without removing the name, so that another creator of the name may
    /// adopt the segment or replace it.
    ///
    /// Always false for a creator, for a persistent segment, and on systems other than Linux.
    #[must_use]
    pub fn is_left_over(&self) -> bool {
        !self.created && self.object.is_left_over()
    }

    /// Lets other creators look at a segment that was adopted.
    pub(crate) fn end_adoption(&self) {
        self.object.end_adoption();
    }

    /// Returns the name, with the segment that it led to.
    #[must_use]
    pub const fn name(&self) -> &NameHandle {
        &self.name
    }

    /// Sets when the name goes. Does nothing for an opener.
    ///
    /// # Errors
    /// [`Error::System`] if the system refuses; [`Error::Unsupported`] if the backend has one lifetime only.
    pub fn set_lifetime(&self, lifetime: Lifetime) -> Result<()> {
        if self.created { self.object.set_lifetime(lifetime) } else { Ok(()) }
    }

    /// Does to the name what dropping this value would do, for a caller that can't know when the last
    /// reference is dropped.
    ///
    /// Only the first call does something.
    pub fn release_name(&self) {
        if self.created && !self.is_inherited() {
            self.object.release_name();
        }
    }

    /// Begins to use memory whose name goes with its last user.
    pub(crate) fn join(&self) -> Result<Joined> {
        self.object.join()
    }

    /// Ends that use. After the last one, removes the name if `is_done` then returns true.
    pub(crate) fn leave(&self, is_done: impl Fn() -> bool) {
        self.object.leave(&is_done);
    }

    /// Checks that the system tells which process has a role in this memory.
    pub(crate) fn check_roles(&self) -> Result<()> {
        self.object.role_locks().map(drop)
    }

    /// Takes a role. Returns false if any holder has it, another user of this value included.
    pub(crate) fn take_role(&self, lock: RoleLock) -> Result<bool> {
        self.check_writable()?;
        self.roles.take(&*self.object, lock)
    }

    /// Gives a role back. Does nothing if this value doesn't hold it.
    pub(crate) fn release_role(&self, lock: RoleLock) {
        self.roles.release(&*self.object, lock);
    }

    /// Returns whether any process holds a role.
    pub(crate) fn is_role_held(&self, lock: RoleLock) -> Result<bool> {
        self.roles.is_held(&*self.object, lock)
    }

    #[inline]
    fn check_writable(&self) -> Result<()> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(Error::ReadOnly { name: self.name.as_str().to_owned() }),
        }
    }

    /// Checks whether a peer has truncated the segment: a truncation within the last page raises no fault.
    /// Asking for the size costs more than copying a few bytes, so it happens at most once per tick of the
    /// coarse clock.
    #[inline]
    fn check_truncation(&self) -> Result<()> {
        let now = os::coarse_clock();
        if self.size_checked_at.load(Ordering::Relaxed) == now { Ok(()) } else { self.check_size(now) }
    }

    #[cold]
    fn check_size(&self, now: u64) -> Result<()> {
        let actual = self.object.size()?;
        if actual < self.size() {
            return Err(self.truncated(actual));
        }
        self.size_checked_at.store(now, Ordering::Relaxed);
        Ok(())
    }

    /// Checks that there is memory for the pages that an access of `length` bytes may be the first to touch.
    /// A peer may have made far more pages than the machine has. Small accesses are not checked.
    #[inline]
    pub(crate) fn check_room(&self, length: u64) -> Result<()> {
        let size = length.min(self.size());
        if has_room_for(self.unpopulated_if_large(size)) {
            return Ok(());
        }
        let (name, source) = (self.name.as_str().to_owned(), io::ErrorKind::OutOfMemory.into());
        Err(Error::OutOfMemory { name, size, call: "MemAvailable", source })
    }

    #[cold]
    fn fault(&self, fault: Fault, offset: u64, length: u64) -> Error {
        match fault {
            Fault::OutOfBounds => self.out_of_bounds(offset, length),
            Fault::Misaligned => Error::Misaligned { offset, alignment: length },
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

impl Source for Segment {
    fn copy(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        self.read(offset, into)
    }

    fn check_room(&self, length: u64) -> Result<()> {
        Self::check_room(self, length)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.release_name();
    }
}
