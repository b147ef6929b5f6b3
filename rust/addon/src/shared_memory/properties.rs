//! The properties `persistent` and `backend`.

use std::sync::atomic::{AtomicBool, Ordering};

use godot::builtin::Variant;
use godot::global::{Error as Code, push_warning};
use shm_segment::{Backend, Lifetime, Segment};

use super::state::lock;
use super::{Result, SharedMemory};
use crate::binding::{Enum, EnumArg};
use crate::error::{Failure, constant};
use crate::last_error::Fallible;

const NOT_PERSISTENT: &str = "SharedMemory.persistent: the memory of this backend goes with those who have it open; \
     nothing keeps it longer. BACKEND_FILE can.";

impl SharedMemory {
    pub(super) fn set_persistent(&self, persistent: bool) {
        let applied = {
            let _alone = lock(&self.lifetime_change);
            let before = self.persistent.swap(persistent, Ordering::AcqRel);
            // A property that tells what isn't so would be worse than one that can't be set.
            self.apply_lifetime().inspect_err(|_| self.persistent.store(before, Ordering::Release))
        };
        // Not under the lock: a message may lead to a script.
        self.warn_if_not_persistent();
        let _ = self.remember(applied);
    }

    pub(super) fn is_persistent(&self) -> bool {
        self.persistent.load(Ordering::Acquire)
    }

    /// Returns the lifetime that is wanted, where the backend has it.
    pub(super) fn lifetime(&self, backend: Backend) -> Lifetime {
        if self.is_persistent() && backend.can_persist() { Lifetime::Persistent } else { Lifetime::Owner }
    }

    /// Another thread may have changed `persistent` since a segment was made with `lifetime`.
    pub(super) fn apply_changed_lifetime(&self, backend: Backend, lifetime: Lifetime) {
        if lifetime != self.lifetime(backend) {
            let _alone = lock(&self.lifetime_change);
            let _ = self.apply_lifetime();
        }
        self.warn_if_not_persistent();
    }

    fn apply_lifetime(&self) -> Result<()> {
        // The backend doesn't change while there is a segment.
        let backend = self.get_backend().0;
        let apply = |segment: &Segment| segment.set_lifetime(self.lifetime(backend));
        Ok(self.segment.with(|segment| segment.map_or(Ok(()), apply))?)
    }

    /// Warns once, the first time that a segment was made here that will not be `persistent` although it is to be.
    fn warn_if_not_persistent(&self) {
        // Not a `Once`: a message may lead to a script that comes back here.
        static WARNED: AtomicBool = AtomicBool::new(false);
        let is_kept_from_it = self.is_persistent()
            && !self.get_backend().0.can_persist()
            && self.segment.with(|segment| segment.is_some_and(Segment::is_created));
        if is_kept_from_it && !WARNED.swap(true, Ordering::Relaxed) {
            push_warning(&[Variant::from(NOT_PERSISTENT)]);
        }
    }

    pub(super) fn set_backend(&self, backend: EnumArg<Backend>) {
        let set = constant("backend", &backend).and_then(|backend| {
            if self.occupied.swap(true, Ordering::AcqRel) {
                let held = "the backend can't change while the object holds a segment; close() it first";
                return Err(Failure::new(Code::ERR_ALREADY_IN_USE, held));
            }
            *lock(&self.backend) = backend;
            self.occupied.store(false, Ordering::Release);
            Ok(())
        });
        let _ = self.remember(set);
    }

    pub(super) fn get_backend(&self) -> Enum<Backend> {
        Enum(*lock(&self.backend))
    }
}
