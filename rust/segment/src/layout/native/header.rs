//! The header, laying memory out, and roles (`docs/FORMAT.md`, *The header*).

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Result;
use super::shared::Shared;
use crate::Segment;
use crate::layout::Error;
use crate::layout::fields::{check_room, check_zeros_in, too_small};
use crate::options::Access;
use crate::roles::{Role, RoleLock};

/// `GSM1`.
const MAGIC: u32 = 0x314D_5347;
const MAJOR: u16 = 1;
const MINOR: u16 = 0;
const HEADER_SIZE: usize = 128;
pub(super) const INCARNATION_AT: u64 = 0x18;
const FIRST_SEQUENCE_AT: u64 = 0x28;
/// The waiting line. It ends where the lines of the layouts begin.
pub(super) const WAITING_AT: u64 = 0x80;
pub(super) const LINES_AT: u64 = 0x100;
/// The bytes of a line. Two processes don't store into the same line at the same time. Some processors load
/// two lines of 64 bytes at once.
pub(super) const LINE: u64 = 128;

/// The time for which to wait while another process lays the memory out.
const LAYING_OUT: Duration = Duration::from_millis(50);

/// The number of attempts at something that other processes change at the same time.
pub(super) const TRIES: u32 = 8;

/// A layout, as the header describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    /// The readers of a stream, the lanes of a queue, or the locks.
    pub(super) count: u32,
    /// The bytes of a stream's longest message, of a ring, or of a lock's line.
    pub(super) limit: u64,
}

/// The differences between the layouts.
pub(super) trait Layout {
    /// The name in error texts.
    const NAME: &'static str;
    const NUMBER: u32;
    /// The names of the geometry's two numbers in error texts.
    const COUNT: &'static str;
    const LIMIT: &'static str;

    /// The number that `first_sequence` is less than.
    const END_OF_SEQUENCES: u64;
    /// The largest sequence number from which a reset goes on. Beyond it, there may be too few others left.
    const LAST_KEPT: u64 = Self::END_OF_SEQUENCES / 2;

    /// Returns the length of the layout, if the geometry is a valid one.
    fn length(geometry: Geometry) -> Option<u64>;

    /// Returns the largest geometry with this count that fits into `size` bytes.
    fn largest(count: u32, size: u64) -> Option<Geometry>;

    /// Returns the roles besides that of laying out.
    fn roles(geometry: Geometry) -> impl Iterator<Item = Role>;

    /// Returns the ranges of bytes behind the waiting line that a reset sets to zero.
    fn lines(geometry: Geometry) -> impl Iterator<Item = (u64, u64)>;

    /// Returns the sequence number of the last message, from which a reset goes on; 0: none.
    fn last_sequence(segment: &Segment, geometry: Geometry) -> Result<u64>;
}

/// The header of memory that is laid out. A reset changes the incarnation alone.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) geometry: Geometry,
    incarnation: AtomicU64,
    first_sequence: AtomicU64,
}

/// The fields as they were copied.
pub(super) struct Fields {
    pub(super) geometry: Geometry,
    pub(super) incarnation: u64,
    pub(super) first_sequence: u64,
}

impl Header {
    /// Lays the segment out if it holds zeros, and checks it.
    ///
    /// A `limit` of 0 stands for what is there. In memory of zeros, that is as much as fits, which only the
    /// creator of the memory may decide.
    pub(super) fn attach<L: Layout>(segment: &Segment, wanted: Geometry) -> Result<Self> {
        segment.check_roles()?;
        check_room(segment, L::NAME, LINES_AT)?;
        let end = Instant::now() + LAYING_OUT;
        for _ in 0..TRIES {
            while segment.load_u32(0)? == 0 {
                match lay_out::<L>(segment, wanted)? {
                    LaidOut::Here => break,
                    // That takes as long as it takes to look at all bytes.
                    LaidOut::Elsewhere if Instant::now() < end => thread::sleep(Duration::from_millis(1)),
                    _ => return Err(Error::NotLaidOutYet { layout: L::NAME }.into()),
                }
            }
            let Some(found) = Fields::read::<L>(segment)? else { continue };
            if found.incarnation == 0 {
                finish_reset::<L>(segment, found.geometry)?;
                continue;
            }
            for (what, found, least) in [
                (L::LIMIT, found.geometry.limit, wanted.limit),
                (L::COUNT, found.geometry.count.into(), wanted.count.into()),
            ] {
                if found < least && wanted.limit != 0 {
                    return Err(Error::LaidOutSmaller { layout: L::NAME, what, found, wanted: least }.into());
                }
            }
            return Ok(Self {
                geometry: found.geometry,
                incarnation: AtomicU64::new(found.incarnation),
                first_sequence: AtomicU64::new(found.first_sequence),
            });
        }
        Err(Error::NotLaidOutYet { layout: L::NAME }.into())
    }

    pub(super) fn first_sequence(&self) -> u64 {
        self.first_sequence.load(Ordering::Relaxed)
    }

    fn lock(&self, role: Role) -> RoleLock {
        RoleLock { role, incarnation: self.incarnation.load(Ordering::Relaxed) }
    }

    /// Returns the incarnation in which this side was attached last.
    pub(super) fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Relaxed)
    }

    /// Takes a role, in whatever incarnation the memory has by then. Returns false if it is held.
    pub(super) fn take_role<L: Layout>(&self, segment: &Segment, role: Role) -> Result<bool> {
        for _ in 0..TRIES {
            let lock = self.lock(role);
            if !segment.take_role(lock)? {
                return Ok(false);
            }
            match self.is_current(segment) {
                Ok(true) => return Ok(true),
                other => {
                    segment.release_role(lock);
                    other?;
                }
            }
            self.refresh::<L>(segment)?;
        }
        Ok(false)
    }

    pub(super) fn release_role(&self, segment: &Segment, role: Role) {
        segment.release_role(self.lock(role));
    }

    pub(super) fn is_role_held<L: Layout>(&self, segment: &Segment, role: Role) -> Result<bool> {
        // In a file of locks, the byte of a role moves with a reset. During one, no process has a role.
        let _ = self.is_still_current::<L>(segment);
        Ok(segment.is_role_held(self.lock(role))?)
    }

    /// Returns whether the memory was not reset since this header was read.
    fn is_current(&self, segment: &Segment) -> Result<bool> {
        let direct = segment.direct()?;
        let incarnation = direct.load_u64(INCARNATION_AT)?;
        Ok(direct.load_u32(0)? == MAGIC && incarnation == self.incarnation.load(Ordering::Relaxed))
    }

    /// Does the same, and reads the header again after a reset. For programs without a role.
    pub(super) fn is_still_current<L: Layout>(&self, segment: &Segment) -> Result<bool> {
        let is_current = self.is_current(segment)?;
        if !is_current {
            self.refresh::<L>(segment)?;
        }
        Ok(is_current)
    }

    /// Reads the header again, after a reset. Finishes the reset if its process has died.
    fn refresh<L: Layout>(&self, segment: &Segment) -> Result<()> {
        let mut found = Fields::read::<L>(segment)?;
        if found.as_ref().is_some_and(|found| found.incarnation == 0 && found.geometry == self.geometry) {
            finish_reset::<L>(segment, self.geometry)?;
            found = Fields::read::<L>(segment)?;
        }
        let Some(found) = found.filter(|found| found.incarnation != 0) else {
            return Err(Error::NotLaidOutYet { layout: L::NAME }.into());
        };
        found.check_geometry::<L>(self.geometry)?;
        self.incarnation.store(found.incarnation, Ordering::Relaxed);
        self.first_sequence.store(found.first_sequence, Ordering::Relaxed);
        Ok(())
    }

    /// Calls `work` while no process has a role of the layout, or can take one.
    pub(super) fn while_unused<L: Layout, T>(
        &self,
        segment: &Segment,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        with_all_roles::<L, _>(segment, self.geometry, &[], work)
    }

    /// Makes the memory what it was after it was laid out, with another incarnation. Sequence numbers go on.
    /// The caller holds the roles in `own`.
    pub(super) fn reset<L: Layout>(&self, segment: &Segment, own: &[Role]) -> Result<()> {
        with_all_roles::<L, _>(segment, self.geometry, own, || {
            store_reset::<L>(segment, self.geometry)?;
            self.refresh::<L>(segment)
        })
    }
}

/// Finishes a reset whose process has died.
fn finish_reset<L: Layout>(segment: &Segment, geometry: Geometry) -> Result<()> {
    if segment.access() == Access::ReadOnly {
        return Err(Error::NotLaidOutYet { layout: L::NAME }.into());
    }
    let finish = || match segment.load_u64(INCARNATION_AT)? {
        0 => store_reset::<L>(segment, geometry),
        _ => Ok(()),
    };
    match with_all_roles::<L, _>(segment, geometry, &[], finish) {
        // The process lives.
        Err(error) if matches!(*error, Error::RoleTaken { .. }) => {
            Err(Error::NotLaidOutYet { layout: L::NAME }.into())
        }
        other => other,
    }
}

/// Calls `work` while no other process has a role of the layout. The caller holds the roles in `own`.
fn with_all_roles<L: Layout, T>(
    segment: &Segment,
    geometry: Geometry,
    own: &[Role],
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let mut held = Vec::new();
    let mut take_all = || {
        let mut take = |role, incarnation| {
            let lock = RoleLock { role, incarnation };
            let is_taken = segment.take_role(lock)?;
            if is_taken {
                held.push(lock);
            }
            Ok::<_, Box<Error>>(is_taken)
        };
        if !take(Role::Layout, 0)? {
            return Err(Error::NotLaidOutYet { layout: L::NAME }.into());
        }
        // Now, no other process lays the memory out or resets it. One may have done so before.
        let found = Fields::read::<L>(segment)?.ok_or(Error::NotLaidOutYet { layout: L::NAME })?;
        found.check_geometry::<L>(geometry)?;
        for role in L::roles(geometry).filter(|role| !own.contains(role)) {
            if !take(role, found.incarnation)? {
                return Err(Error::RoleTaken { role: name_of(role) }.into());
            }
        }
        Ok(())
    };
    let result = take_all().and_then(|()| work());
    for lock in held {
        segment.release_role(lock);
    }
    result
}

/// Empties the layout. The incarnation is 0 until that is done, so that another process finishes it if this
/// one dies.
fn store_reset<L: Layout>(segment: &Segment, geometry: Geometry) -> Result<()> {
    segment.store_u64(INCARNATION_AT, 0)?;
    let last = L::last_sequence(segment, geometry)?;
    // First, so that it survives a death in the next step.
    if last > segment.load_u64(FIRST_SEQUENCE_AT)? && last <= L::LAST_KEPT {
        segment.store_u64(FIRST_SEQUENCE_AT, last)?;
    }
    // Of a stream, this is the word with the last sequence. A process that finishes a reset reads it, so it
    // is never there in part.
    segment.store_u64(LINES_AT, 0)?;
    segment.fill(WAITING_AT, LINE, 0)?;
    for (at, length) in L::lines(geometry) {
        segment.fill(at, length, 0)?;
    }
    segment.store_u64(INCARNATION_AT, new_incarnation())?;
    Ok(())
}

/// Returns the name of a role in error texts.
pub(super) const fn name_of(role: Role) -> &'static str {
    match role {
        Role::Layout => "the layout",
        Role::Writer => "the writer",
        Role::Consumer => "the consumer",
        Role::Owner(_) => "the owner",
        Role::Reader(_) => "a reader",
        Role::Producer(_) => "a producer",
        Role::User => "a user",
        Role::Lock(_) => "the holder of a lock",
        Role::Side(_) => "a side",
    }
}

pub(super) fn invalid<L: Layout>(what: &'static str, found: u64, limit: &str) -> Box<Error> {
    Box::new(Error::Invalid { layout: L::NAME, what, found, limit: limit.to_owned() })
}

/// Returns what a script knows a layout as.
const fn kind_of(number: u32) -> &'static str {
    match number {
        1 => "a stream",
        2 => "a queue",
        3 => "the memory of two peers",
        4 => "locks",
        _ => "a layout that this library doesn't know",
    }
}

/// The side that lays memory out.
enum LaidOut {
    Here,
    /// Another process is about to.
    Elsewhere,
    /// None yet, and this one may not.
    Nowhere,
}

/// Lays memory of zeros out, if this side may.
fn lay_out<L: Layout>(segment: &Segment, wanted: Geometry) -> Result<LaidOut> {
    if segment.access() == Access::ReadOnly || (wanted.limit == 0 && !segment.is_created()) {
        return Ok(LaidOut::Nowhere);
    }
    let geometry = match wanted.limit {
        0 => L::largest(wanted.count, segment.size()),
        _ => Some(wanted),
    };
    let length = geometry.and_then(|geometry| Some((geometry, L::length(geometry)?)));
    let Some((geometry, length)) = length else {
        return Err(too_small(segment, L::NAME, smallest::<L>(wanted)).into());
    };
    check_room(segment, L::NAME, length)?;
    let lock = RoleLock { role: Role::Layout, incarnation: 0 };
    if !segment.take_role(lock)? {
        return Ok(LaidOut::Elsewhere);
    }
    let lay_out = || {
        if segment.load_u32(0)? == 0 {
            check_zeros_in(segment, HEADER_SIZE as u64..length, L::NAME)?;
            store_header::<L>(segment, geometry, microseconds())?;
        }
        Ok(LaidOut::Here)
    };
    let result = lay_out();
    segment.release_role(lock);
    result
}

/// Returns the smallest length of a layout with this count.
fn smallest<L: Layout>(wanted: Geometry) -> u64 {
    let smallest = |limit| L::length(Geometry { limit, ..wanted });
    smallest(1).or_else(|| smallest(64)).unwrap_or(u64::MAX)
}

/// Returns the time of a new stream's `first_sequence`, so that another one with the same name has others.
fn microseconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    u64::try_from(now).unwrap_or(0)
}

fn store_header<L: Layout>(segment: &Segment, geometry: Geometry, first_sequence: u64) -> Result<()> {
    let length = L::length(geometry).unwrap_or(0);
    let mut bytes = [0; HEADER_SIZE];
    let mut put = |at: usize, field: &[u8]| {
        if let Some(place) = bytes.get_mut(at..at + field.len()) {
            place.copy_from_slice(field);
        }
    };
    put(0x04, &MAJOR.to_le_bytes());
    put(0x06, &MINOR.to_le_bytes());
    put(0x08, &L::NUMBER.to_le_bytes());
    put(0x0C, &128_u32.to_le_bytes());
    put(0x10, &length.to_le_bytes());
    put(0x18, &new_incarnation().to_le_bytes());
    put(0x28, &first_sequence.to_le_bytes());
    put(0x30, &geometry.count.to_le_bytes());
    put(0x38, &geometry.limit.to_le_bytes());
    segment.write(0, &bytes)?;
    segment.store_u32(0, MAGIC)?;
    Ok(())
}

pub(super) fn new_incarnation() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes).max(1),
        // Not random, but another one each time.
        Err(_) => microseconds().max(1),
    }
}

impl Fields {
    /// Checks that the geometry is the one that a side has attached to.
    fn check_geometry<L: Layout>(&self, geometry: Geometry) -> Result<()> {
        if self.geometry == geometry {
            return Ok(());
        }
        Err(invalid::<L>("the geometry", self.geometry.limit, "it changed since attach()"))
    }

    /// Reads the header, and checks it. `None` while another process changes it.
    pub(super) fn read<L: Layout>(segment: &Segment) -> Result<Option<Self>> {
        Self::read_from::<L, _>(&segment.direct()?, segment.size())
    }

    /// Reads it in memory of `size` bytes.
    pub(super) fn read_from<L: Layout, S: Shared>(shared: &S, size: u64) -> Result<Option<Self>>
    where
        Box<Error>: From<S::Error>,
    {
        let magic = shared.load_u32(0)?;
        let mut bytes = [0; HEADER_SIZE];
        shared.read(0, &mut bytes)?;
        let u32_at = |at: usize| u32::try_from(number_at(&bytes, at, 4)).unwrap_or(0);
        let u64_at = |at: usize| number_at(&bytes, at, 8);
        let incarnation = u64_at(0x18);
        if shared.load_u64(INCARNATION_AT)? != incarnation || shared.load_u32(0)? != magic || magic == 0 {
            return Ok(None);
        }
        if magic != MAGIC {
            return Err(invalid::<L>("the word at byte 0", magic.into(), "it must be 0x314D5347"));
        }
        let version = number_at(&bytes, 0x04, 2);
        if version != u64::from(MAJOR) {
            return Err(invalid::<L>(
                "the major version",
                version,
                "this library knows version 1; update it",
            ));
        }
        let features = u32_at(0x20);
        if features != 0 {
            let limit = "this library knows none of them; update it";
            return Err(invalid::<L>("the set of required features", features.into(), limit));
        }
        let geometry = Geometry { count: u32_at(0x30), limit: u64_at(0x38) };
        let (number, length) = (u32_at(0x08), u64::from(u32_at(0x0C)));
        if number != L::NUMBER {
            let limit = format!("it must be {}; the memory holds {}", L::NUMBER, kind_of(number));
            return Err(invalid::<L>("the number of the layout", number.into(), &limit));
        }
        if length != HEADER_SIZE as u64 {
            let limit = format!("it must be {HEADER_SIZE}");
            return Err(invalid::<L>("the length of the header", length, &limit));
        }
        let first_sequence = u64_at(0x28);
        if first_sequence >= L::END_OF_SEQUENCES {
            return Err(invalid::<L>(
                "the first sequence number",
                first_sequence,
                "it must be less than 2^55",
            ));
        }
        let total = u64_at(0x10);
        match L::length(geometry) {
            Some(length) if length == total && total <= size => {}
            Some(length) if length == total => {
                let limit = format!("the segment has {size} bytes");
                return Err(invalid::<L>("the length of the layout", total, &limit));
            }
            Some(length) => {
                let limit = format!("its other fields make it {length}");
                return Err(invalid::<L>("the length of the layout", total, &limit));
            }
            None => {
                let limit = format!("with a count of {}, no layout has it", geometry.count);
                return Err(invalid::<L>(L::LIMIT, geometry.limit, &limit));
            }
        }
        Ok(Some(Self { geometry, incarnation, first_sequence }))
    }
}

/// Returns the number of `size` bytes, 8 at most.
fn number_at(bytes: &[u8; HEADER_SIZE], at: usize, size: usize) -> u64 {
    let mut number = [0; 8];
    if let (Some(from), Some(into)) = (bytes.get(at..at + size), number.get_mut(..size)) {
        into.copy_from_slice(from);
    }
    u64::from_le_bytes(number)
}
