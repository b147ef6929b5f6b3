//! The properties `persistent` and `backend`.

use std::sync::atomic::{AtomicBool, Ordering};

use godot::builtin::Variant;
use godot::global::{Error as Code, push_warning};
use shm_segment::{Backend, Lifetime, Segment};

use super::lifecycle::lock;
use super::{Result, SharedMemory};
use crate::binding::{Enum, EnumArg};
use crate::error::{Failure, constant};
use crate::last_error::Fallible;

const NOT_PERSISTENT: &str = "SharedMemory.persistent: this backend's memory is freed when the last process \
     closes it. Use BACKEND_FILE for memory that stays.";

impl SharedMemory {
    pub(super) fn set_persistent(&self, persistent: bool) {
        let applied = {
            let _guard = lock(&self.lifetime_change);
            let before = self.persistent.swap(persistent, Ordering::AcqRel);
            // The property must not claim what isn't true.
            self.apply_lifetime().inspect_err(|_| self.persistent.store(before, Ordering::Release))
        };
        // After the lock: a message may run a script (a `Logger`).
        self.warn_if_not_persistent();
        let _ = self.remember(applied);
    }

    pub(super) fn is_persistent(&self) -> bool {
        self.persistent.load(Ordering::Acquire)
    }

    /// Returns the lifetime that `persistent` asks for, if the backend supports it.
    pub(super) fn lifetime(&self, backend: Backend) -> Lifetime {
        if self.is_persistent() && backend.can_persist() { Lifetime::Persistent } else { Lifetime::Owner }
    }

    /// Applies `persistent` again if another thread has changed it since a segment was made with `lifetime`.
    pub(super) fn apply_changed_lifetime(&self, backend: Backend, lifetime: Lifetime) {
        if lifetime != self.lifetime(backend) {
            let _guard = lock(&self.lifetime_change);
            let _ = self.apply_lifetime();
        }
        self.warn_if_not_persistent();
    }

    fn apply_lifetime(&self) -> Result<()> {
        // The backend can't change while the object holds a segment.
        let backend = self.get_backend().0;
        let apply = |segment: &Segment| segment.set_lifetime(self.lifetime(backend));
        Ok(self.segment.with(|segment| segment.map_or(Ok(()), apply))?)
    }

    /// Warns, once per process, that `persistent` has no effect on a segment that this object created.
    fn warn_if_not_persistent(&self) {
        // Not a `Once`: a message may run a script that comes back here.
        static WARNED: AtomicBool = AtomicBool::new(false);
        let has_no_effect = self.is_persistent()
            && !self.get_backend().0.can_persist()
            && self.segment.with(|segment| segment.is_some_and(Segment::is_created));
        if has_no_effect && !WARNED.swap(true, Ordering::Relaxed) {
            push_warning(&[Variant::from(NOT_PERSISTENT)]);
        }
    }

    pub(super) fn set_backend(&self, backend: EnumArg<Backend>) {
        let set = constant("backend", &backend).and_then(|backend| {
            if self.occupied.swap(true, Ordering::AcqRel) {
                let message = "the backend can't change while the object holds a segment; call close() first";
                return Err(Failure::new(Code::ERR_ALREADY_IN_USE, message));
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
