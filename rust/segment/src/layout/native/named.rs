//! Memory that a stream or a queue makes and finds under a name by itself (`docs/FORMAT.md`, *By name*).

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use super::header::{Fields, Geometry, Header, INCARNATION_AT, Layout};
use super::looks::INTERVAL;
use super::{Result, lock};
use crate::error::Taken;
use crate::layout::{self, Error};
use crate::name;
use crate::options::{Access, Options};
use crate::roles::{Role, RoleLock};
use crate::segment::Segment;

/// Makes memory for a layout under a name, and doesn't lay it out. If a dead owner left the same layout, and
/// a process has a role in it, returns that memory as it is.
pub(super) fn create<L: Layout>(options: &Options<'_>, geometry: Geometry) -> Result<Segment> {
    let Some(length) = L::length(geometry) else {
        // Fails, and says which sizes there are.
        return Ok(options.create(0)?);
    };
    let mut is_in_use = true;
    let adopted = options.adopt(|segment| {
        let Some(fields) = Fields::read::<L>(segment).ok().flatten() else { return false };
        is_in_use = is_used::<L>(segment, &fields);
        fields.geometry == geometry && (is_in_use || KEEPS_NAMES) && become_owner(segment, NO_TIME)
    })?;
    if let Some(segment) = adopted {
        if !is_in_use {
            Header::attach::<L>(&segment, geometry)?.reset::<L>(&segment, &[])?;
        }
        return Ok(segment);
    }
    let segment = options.create(length)?;
    if !become_owner(&segment, CHANGING) {
        let name = options.name.to_owned();
        return Err(
            crate::Error::AlreadyExists { name, why: Taken::Otherwise("another process owns it") }.into()
        );
    }
    Ok(segment)
}

/// True where a name can't be given to other memory while any process has the memory open. So memory that
/// nobody uses is emptied instead of replaced. The owner has a role there.
const KEEPS_NAMES: bool = cfg!(windows);

const NO_TIME: Duration = Duration::ZERO;
/// A process that ends may keep its locks a little longer than its memory.
const CHANGING: Duration = Duration::from_millis(50);

/// Takes the role of the owner, where the segment has no lock of its own for it. Returns false if another
/// process has it.
fn become_owner(segment: &Segment, timeout: Duration) -> bool {
    let lock = RoleLock { role: Role::Owner(segment.scope()), incarnation: 0 };
    let start = Instant::now();
    loop {
        if !KEEPS_NAMES || segment.take_role(lock).unwrap_or(false) {
            return true;
        }
        if start.elapsed() >= timeout {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Opens what the name leads to. Memory that its owner has left behind, and in which nobody has a role,
/// counts as none: the next creator replaces it.
pub(super) fn open<L: Layout>(options: &Options<'_>) -> Result<Segment> {
    // No creator makes others.
    name::portable(options.name)?;
    let segment = options.open_to_write_or_read()?;
    if segment.is_left_over() {
        let fields = Fields::read::<L>(&segment)?;
        if !fields.is_some_and(|fields| is_used::<L>(&segment, &fields)) {
            return Err(Error::LeftOver.into());
        }
    }
    Ok(segment)
}

/// A layout that is opened by name.
pub trait Named: Sized {
    /// Opens what a name leads to.
    ///
    /// # Errors
    /// [`Error::LeftOver`] if its owner is dead, and no process has a role in it. As
    /// [`Stream::attach`](super::Stream::attach) and [`Options::open`].
    fn open(options: &Options<'_>) -> layout::Result<(Segment, Self)>;

    /// Returns what this side knows about its name. `None` if it is never found by one.
    fn departure(&self) -> Option<&Departure>;

    /// Returns whether this side is not done with memory that its name has left. `is_replaced` tells whether
    /// the name leads to another layout of this kind.
    fn is_needed(&self, segment: &Segment, is_replaced: bool) -> bool;
}

/// Tells whether the name that a side follows has left its memory.
#[derive(Debug, Default)]
pub struct Departure(Mutex<Option<Departed>>);

#[derive(Debug)]
struct Departed {
    since: Instant,
    /// The number of the last message that is still taken out, once that is settled.
    last: Option<u64>,
}

/// The time in which every side that uses its memory has looked at the name, too.
const NOTICED: Duration = Duration::from_millis(2 * INTERVAL);

impl Departure {
    /// Returns an error if the name has left the memory. A message that is sent there would be lost.
    pub(super) fn check(&self) -> Result<()> {
        if lock(&self.0).is_some() { Err(Error::NameMoved.into()) } else { Ok(()) }
    }

    /// Takes note of what a look at the name has found.
    fn note(&self, is_here: bool) {
        let departed = &mut *lock(&self.0);
        match is_here {
            true => *departed = None,
            false if departed.is_none() => *departed = Some(Departed { since: Instant::now(), last: None }),
            false => {}
        }
    }

    /// Returns the number of the last message to take out, where `put` have been put in. `None` while other
    /// sides may not have noticed yet that the name has left.
    pub(super) fn last_message(&self, put: u64) -> Option<u64> {
        let departed = &mut *lock(&self.0);
        let Departed { since, last } = departed.as_mut()?;
        (since.elapsed() >= NOTICED).then(|| *last.get_or_insert(put))
    }
}

/// The answer of [`look`].
#[derive(Debug)]
pub enum Look<L> {
    /// Go on with what is open, or with nothing.
    Same,
    /// Go on with this.
    Moved(Segment, L),
    /// Let go of what is open: the name leads to nothing that this side can use.
    Gone(Error),
}

/// Looks whether a name still leads to the segment that this side has `open`. If not, opens what it leads to.
///
/// A side that has not taken out all messages of memory without a name keeps it until it has.
pub fn look<L: Named>(options: &Options<'_>, open: Option<(&Segment, &L)>) -> Look<L> {
    if let Some((segment, layout)) = open {
        let is_here = leads_to(options, segment);
        if let Some(departure) = layout.departure() {
            departure.note(is_here);
        }
        if is_here {
            return Look::Same;
        }
    }
    let found = L::open(options);
    if open.is_some_and(|(segment, layout)| layout.is_needed(segment, found.is_ok())) {
        return Look::Same;
    }
    match found {
        Ok((segment, layout)) => Look::Moved(segment, layout),
        Err(error) => Look::Gone(error),
    }
}

fn leads_to(options: &Options<'_>, segment: &Segment) -> bool {
    // On macOS, all segments look the same to the system.
    let is_same = || -> crate::Result<bool> {
        let there = options.open(0, Access::ReadOnly)?.load_u64(INCARNATION_AT)?;
        Ok(there == segment.load_u64(INCARNATION_AT)?)
    };
    segment.name().is_current() && (!cfg!(target_os = "macos") || is_same().unwrap_or(false))
}

/// Returns whether any process has a role of the layout.
fn is_used<L: Layout>(segment: &Segment, fields: &Fields) -> bool {
    let mut locks = L::roles(fields.geometry).map(|role| RoleLock { role, incarnation: fields.incarnation });
    // A reset that isn't finished is left to those who have the memory open.
    fields.incarnation != 0 && locks.any(|lock| segment.is_role_held(lock).unwrap_or(false))
}
