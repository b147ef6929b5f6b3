//! Memory that an object makes or finds under a name, and follows there.

use std::sync::atomic::Ordering;

use godot::builtin::StringName;
use godot::global::Error as Code;
use shm_segment::layout::native::{Holder, Name, Named};
use shm_segment::{Backend, Options, Scope, Segment};

use super::{Attached, AttachedLayout, Attachment, Target};
use crate::args::name_in;
use crate::binding::{Definition, EngineText, EnumArg, ErrorCode, Reference, This, methods};
use crate::error::{Failure, Result, code_of, constant};
use crate::shared_memory::SharedMemory;

/// The signal of `poll()` when the object has found, lost or changed its memory.
const SOURCE_CHANGED: &str = "source_changed";

impl<L: AttachedLayout> Holder<L> for Attachment<L> {
    // To free it may run a script, which may call this object.
    type Left = Option<Reference<SharedMemory>>;

    fn with_open<R>(&self, work: impl Fn(Option<(&Segment, &L)>) -> R) -> R {
        self.target.with(|target| {
            let Some(target) = target else { return work(None) };
            let result = target.memory.try_with_same_segment(target.segment_id, |segment| {
                Ok(work(Some((segment, &target.layout))))
            });
            // The script has closed the memory, or it was truncated.
            result.unwrap_or_else(|_| work(None))
        })
    }

    fn put(&self, found: Option<(Segment, L)>) -> (Self::Left, Result<(), String>) {
        let target = found.map(|(segment, layout)| Target::own(segment, layout)).transpose();
        let result = target.as_ref().map_or_else(|failure| Err(failure.to_string()), |_| Ok(()));
        (self.put_target(target.ok().flatten()), result)
    }
}

impl<L: AttachedLayout> Attachment<L> {
    pub(super) fn memory(&self) -> Option<Reference<SharedMemory>> {
        self.target.with(|target| target.map(|target| target.memory.clone()))
    }

    /// Changes the target. Returns the previous memory, which the caller drops while it has no lock.
    fn put_target(&self, target: Option<Target<L>>) -> Option<Reference<SharedMemory>> {
        let previous = self.memory();
        // Another thread may still wait with the previous layout. The new one may need the same roles.
        let _ = match target {
            Some(target) => self.target.replace(target, Target::release),
            None => self.target.take(Target::release),
        };
        previous
    }

    /// Changes the target and the name that the object follows.
    pub(super) fn replace(&self, target: Option<Target<L>>, followed: Option<Name<L>>) {
        if target.is_some() || followed.is_some() {
            self.was_attached.store(true, Ordering::Relaxed);
        }
        // A memory that the object has made itself, or that the script has attached, is no news.
        let number = target.as_ref().filter(|_| followed.is_none()).map_or(0, Target::number);
        let previous = self.follower.change(followed, || {
            self.changes.fetch_add(1, Ordering::Release);
            self.told.store(number, Ordering::Relaxed);
            self.put_target(target)
        });
        // To free it may run a script, which may call this object.
        drop(previous);
    }

    /// Returns the failure of a call that finds no memory.
    #[cold]
    pub(super) fn not_attached(&self) -> Failure {
        match self.follower.no_memory() {
            Some(message) => Failure::new(Code::ERR_UNAVAILABLE, message),
            None => {
                let message = "no memory is attached; call create(), open() or attach() first";
                Failure::new(Code::ERR_UNCONFIGURED, message)
            }
        }
    }

    /// Returns whether the memory is another one than the last time.
    fn has_other_memory(&self) -> bool {
        self.follower.follow(self);
        let number = self.target.with(|target| target.map_or(0, Target::number));
        self.told.swap(number, Ordering::Relaxed) != number
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
            let (name, found) = Name::open(&name)?;
            let target = found.map(|(segment, layout)| Target::own(segment, layout)).transpose()?;
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
