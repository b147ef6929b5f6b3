//! Memory that an object makes or finds under a name, and follows there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use godot::builtin::StringName;
use godot::global::Error as Code;
use shm_segment::layout::Error;
use shm_segment::layout::native::{Look, Looks, Named, look};
use shm_segment::{Backend, Options, Scope, Segment, no_memory_text};

use super::{Attached, AttachedLayout, Attachment, Target};
use crate::args::name_in;
use crate::binding::{Definition, EngineText, EnumArg, ErrorCode, Reference, This, methods};
use crate::error::{Failure, Result, code_of, constant};
use crate::shared_memory::SharedMemory;

/// The signal of `poll()` when the object has found, lost or changed its memory.
const SOURCE_CHANGED: &str = "source_changed";

/// The longest sleep while there is no memory. A wait must end soon after another thread has closed the
/// object.
const SLICE: Duration = Duration::from_millis(10);

/// The name that an object follows, if it does.
pub(super) struct Followed<L> {
    looks: Looks,
    name: Mutex<Option<Name<L>>>,
    /// The number of the memory that `poll()` has told of: its [`Segment::id`] and 1, or 0 for none.
    told: AtomicU64,
}

impl<L> Default for Followed<L> {
    fn default() -> Self {
        Self { looks: Looks::default(), name: Mutex::default(), told: AtomicU64::default() }
    }
}

type LookAt<L> = fn(&Options<'_>, Option<(&Segment, &L)>) -> Look<L>;

/// A name, and the way to look at it.
pub(super) struct Name<L> {
    name: String,
    look: LookAt<L>,
    /// The reason why there is no memory.
    cause: Option<Failure>,
}

impl<L: AttachedLayout> Attachment<L> {
    /// Looks at the name that the object follows, if it does and it is time. Costs a look at a clock if it
    /// isn't.
    #[inline]
    pub(super) fn follow(&self) {
        if self.followed.looks.are_due() {
            self.look();
        }
    }

    #[cold]
    fn look(&self) {
        let change = match self.change.try_lock() {
            Ok(change) => change,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Another thread does it.
            Err(TryLockError::WouldBlock) => return,
        };
        let previous = self.memory();
        let mut name = lock(&self.followed.name);
        match &mut *name {
            Some(name) => {
                // Before the look, so that another thread can ask for one more.
                self.followed.looks.done();
                self.look_at(name);
            }
            // Another thread has closed the object before this one hurried.
            None => self.followed.looks.end(),
        }
        drop((name, change));
        // To free it may run a script, which may call this object.
        drop(previous);
    }

    pub(super) fn memory(&self) -> Option<Reference<SharedMemory>> {
        self.target.with(|target| target.map(|target| target.memory.clone()))
    }

    fn look_at(&self, followed: &mut Name<L>) {
        let options = Options::new(&followed.name);
        let found = self.target.with(|target| {
            let Some(target) = target else { return (followed.look)(&options, None) };
            let found = target.memory.try_with_same_segment(target.segment_id, |segment| {
                Ok((followed.look)(&options, Some((segment, &target.layout))))
            });
            // The script has closed the memory, or it was truncated.
            found.unwrap_or_else(|_| (followed.look)(&options, None))
        });
        let target = match found {
            Look::Same => return,
            Look::Moved(segment, layout) => Target::own(segment, layout),
            Look::Gone(error) => Err(error.into()),
        };
        followed.cause = target.as_ref().err().cloned();
        self.put(target.ok());
    }

    /// Changes the target. The caller has locked `change`, and has the previous memory.
    fn put(&self, target: Option<Target<L>>) {
        // Another thread may still wait with the previous layout. The new one may need the same roles.
        let _ = match target {
            Some(target) => self.target.replace(target, Target::release),
            None => self.target.take(Target::release),
        };
    }

    /// Changes the target and the name that the object follows.
    pub(super) fn replace(&self, target: Option<Target<L>>, followed: Option<Name<L>>) {
        let change = lock(&self.change);
        self.changes.fetch_add(1, Ordering::Release);
        let previous = self.memory();
        if target.is_some() || followed.is_some() {
            self.was_attached.store(true, Ordering::Relaxed);
        }
        // A memory that the object has made itself, or that the script has attached, is no news.
        let is_followed = followed.is_some();
        let number = target.as_ref().filter(|_| !is_followed).map_or(0, Target::number);
        self.followed.told.store(number, Ordering::Relaxed);
        *lock(&self.followed.name) = followed;
        if is_followed {
            self.followed.looks.done();
        } else {
            self.followed.looks.end();
        }
        self.put(target);
        drop(change);
        // To free it may run a script, which may call this object.
        drop(previous);
    }

    /// Returns the failure of a call that finds no memory.
    #[cold]
    pub(super) fn not_attached(&self) -> Failure {
        match &*lock(&self.followed.name) {
            Some(Name { name, cause, .. }) => {
                let message = no_memory_text(name, cause.as_ref().map(Failure::message));
                Failure::new(Code::ERR_UNAVAILABLE, message)
            }
            None => {
                let message = "no memory is attached; call create(), open() or attach() first";
                Failure::new(Code::ERR_UNCONFIGURED, message)
            }
        }
    }

    /// Looks at the name in the next call if the object follows one, and its memory was closed or truncated.
    /// Returns whether that is so.
    #[cold]
    pub(super) fn looks_again_after(&self, failure: &Failure) -> bool {
        let is_lost = matches!(failure.code(), Code::ERR_UNCONFIGURED | Code::ERR_FILE_CORRUPT);
        let is_followed = is_lost && lock(&self.followed.name).is_some();
        if is_followed {
            self.followed.looks.hurry();
            // Another thread may be looking.
            drop(lock(&self.change));
        }
        is_followed
    }

    /// Returns whether a call that may wait for `rest` goes on after a failure. It does if the object follows
    /// a name, and the failure is one of memory that the object has let go of.
    #[cold]
    pub(super) fn goes_on_after(&self, failure: &Failure, rest: Duration) -> bool {
        if rest.is_zero() || lock(&self.followed.name).is_none() {
            return false;
        }
        match failure.code() {
            // There was none.
            Code::ERR_UNAVAILABLE => {
                std::thread::sleep(SLICE.min(rest));
                true
            }
            // The name leads elsewhere, or the memory is gone.
            Code::ERR_UNCONFIGURED | Code::ERR_FILE_CORRUPT => true,
            Code::ERR_CONNECTION_ERROR => {
                let before = self.number();
                self.followed.looks.hurry();
                self.follow();
                self.number() != before
            }
            _ => false,
        }
    }

    /// Returns a number for the memory that is attached; 0 for none.
    fn number(&self) -> u64 {
        self.target.with(|target| target.map_or(0, Target::number))
    }

    /// Returns whether the memory is another one than the last time.
    fn has_other_memory(&self) -> bool {
        self.follow();
        let number = self.number();
        self.followed.told.swap(number, Ordering::Relaxed) != number
    }
}

impl<L: AttachedLayout> Target<L> {
    /// Returns a target with a `SharedMemory` of its own.
    fn own(segment: Segment, layout: L) -> Result<Self> {
        let memory = Reference::<SharedMemory>::create();
        let memory = memory.ok_or_else(|| Failure::new(Code::FAILED, "the engine made no SharedMemory"))?;
        let segment_id = segment.id();
        memory.hold(segment);
        Ok(Self { memory, segment_id, layout, is_own: true })
    }

    const fn number(&self) -> u64 {
        self.segment_id + 1
    }
}

/// A class whose objects can make and find their memory under a name.
pub(crate) trait AttachedByName: Attached<Layout: Named> {
    fn this(&self) -> This;

    /// Puts memory that `make` makes into the object. If that fails, the object keeps what it has.
    fn create_named(
        &self,
        name: &EngineText<'_>,
        scope: &EnumArg<Scope>,
        make: impl FnOnce(&Options<'_>) -> Result<(Segment, Self::Layout)>,
    ) -> ErrorCode {
        let made = || {
            let scope = constant("scope", scope)?;
            let name = name_in(Backend::Native, name)?;
            self.check_not_made(&name, Code::ERR_ALREADY_EXISTS)?;
            let (segment, layout) = make(&Options::new(&name).scope(scope))?;
            Target::own(segment, layout)
        };
        code_of(self.remember(made().map(|target| self.attachment().replace(Some(target), None))))
    }

    /// Returns a failure with this code if the object itself has made what the name leads to.
    fn check_not_made(&self, name: &str, code: Code) -> Result<()> {
        let has_made = |segment: &Segment| {
            segment.is_created() && segment.name().as_str() == name && segment.name().is_current()
        };
        let made = self.attachment().target.with(|target| {
            let target = target.filter(|target| target.is_own)?;
            target.memory.try_with_same_segment(target.segment_id, |segment| Ok(has_made(segment))).ok()
        });
        if made == Some(true) {
            let message = format!("this object has made the memory {name:?} itself; call close() first");
            return Err(Failure::new(code, message));
        }
        Ok(())
    }

    fn open(&self, name: EngineText<'_>) -> ErrorCode {
        let found = name_in(Backend::Native, &name).and_then(|name| {
            self.check_not_made(&name, Code::ERR_ALREADY_IN_USE)?;
            let mut name = Name { name, look: look::<Self::Layout>, cause: None };
            let target = match (name.look)(&Options::new(&name.name), None) {
                Look::Same => None,
                Look::Moved(segment, layout) => Some(Target::own(segment, layout)?),
                Look::Gone(Error::Segment(error @ shm_segment::Error::InvalidName { .. })) => {
                    return Err(error.into());
                }
                Look::Gone(error) => {
                    name.cause = Some(error.into());
                    None
                }
            };
            self.attachment().replace(target, Some(name));
            Ok(())
        });
        code_of(self.remember(found))
    }

    fn close(&self) {
        self.detach();
    }

    fn is_attached(&self) -> bool {
        // As every call, it opens what the name leads to if a script has closed the memory.
        self.attachment().try_with_layout(|_, _| Ok(())).is_ok()
    }

    /// Emits the signal if the object has found, lost or changed its memory since the last time. Returns
    /// whether it did.
    fn tell_of_source(&self) -> bool {
        let has_changed = self.attachment().has_other_memory();
        if has_changed {
            self.this().emit(SOURCE_CHANGED, &[]);
        }
        has_changed
    }

    /// Returns the result of a `poll()` that failed with this code. To let go of the memory in a method that
    /// the call itself has run is no failure.
    fn end_of_poll(&self, code: ErrorCode, has_emitted: bool) -> ErrorCode {
        if !has_emitted || code != ErrorCode(Code::ERR_UNCONFIGURED) {
            return code;
        }
        self.clear_last_error();
        ErrorCode(Code::OK)
    }
}

/// Declares the methods for memory under a name. Each class declares `create` itself, as the parameters
/// differ.
pub(crate) fn define_named<C: AttachedByName>(class: &mut Definition<C>) {
    class.plain_signal(SOURCE_CHANGED);
    methods!(class, C {
        fn open(name: StringName) -> ErrorCode;
        fn close();
        const fn is_attached() -> bool;
    });
}

/// Locks a mutex. A panic can't leave its value half stored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
