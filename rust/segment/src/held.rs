//! A value that any thread may use while another takes it away.
//!
//! Who uses the value neither waits nor makes others wait, and writes to no memory that other threads write to. Who takes
//! it away makes it unreachable; it is dropped when the last one who is still using it is done, by that one.
//!
//! # How
//! Hazard pointers (Maged M. Michael, "Hazard Pointers: Safe Memory Reclamation for Lock-Free Objects", 2004). Each
//! thread has a [`Note`], which all can read, of the value that it is using.
//!
//! - *Using*: note the value, then look whether it is still there. If it is, whoever takes it later finds the note.
//! - *Taking*: make the value unreachable, then look for notes of it. If there is none, drop it; else put it on the list
//!   of what is [`RETIRED`].
//! - *Leaving*: erase the note, then look whether the value is still there. If it isn't, look through the list, and drop
//!   what has no note any more.
//!
//! In each pair, both sides store first and look then, with a full barrier in between, so at least one of them sees the
//! other. Using and leaving happen with every call, taking when something is closed; so the price of all the barriers
//! is paid by who takes (see `barrier.rs`).
//!
//! # Other ways that were measured
//! Two counters in the object: 10 ns a use, and threads that use one object slow each other down. The crate
//! `arc-swap`: 14 ns. The crate `seize`: 9 ns, but it drops a value only when as many have been taken as there are
//! threads inside, which may be never; and here a value may be a gigabyte. The crate `haphazard` has hazard pointers with
//! a fence at each use, and collects at intervals. This: 5 ns.

use std::cell::Cell;
use std::ptr::{self, NonNull};

use crate::barrier;

use std::sync::PoisonError;

#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard, atomic};
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard, atomic};

use atomic::{AtomicBool, AtomicPtr, Ordering};

/// A value, or nothing.
#[derive(Debug)]
pub struct Held<T: Send + Sync + 'static>(AtomicPtr<T>);

impl<T: Send + Sync + 'static> Default for Held<T> {
    fn default() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }
}

// What the `unsafe` below rests on:
// - The pointer is null or comes from `Box::into_raw`. Who takes a value out of it (`swap`, `compare_exchange`) is the
//   only one to do so, and passes it to `retire` once.
// - A retired value is dropped once, when it is off the list and no note has it: nobody can note it any more, as it was
//   made unreachable before.
impl<T: Send + Sync + 'static> Held<T> {
    /// Calls `work` with the value. It lives until `work` returns, even if another thread takes it meanwhile.
    #[inline]
    pub fn with<R>(&self, work: impl FnOnce(Option<&T>) -> R) -> R {
        let inside = self.enter();
        // SAFETY: it was reachable when it was noted, and the note keeps it until `inside` is dropped.
        work(inside.as_ref().map(|inside| unsafe { inside.value.as_ref() }))
    }

    #[inline]
    fn enter(&self) -> Option<Inside<'_, T>> {
        let mut value = NonNull::new(self.0.load(Ordering::Acquire))?;
        let (note, is_borrowed) = note();
        loop {
            note.set(value.as_ptr().cast());
            barrier::light();
            let now = NonNull::new(self.0.load(Ordering::Acquire));
            if now == Some(value) {
                return Some(Inside { held: self, value, note, is_borrowed });
            }
            // Taken since we looked, and whoever took it may have left it to us because of our note.
            note.set(ptr::null_mut());
            reclaim();
            let Some(other) = now else {
                note.give_back(is_borrowed);
                return None;
            };
            value = other;
        }
    }

    /// Puts a value in. What was there before is dropped as soon as nobody uses it.
    pub fn put(&self, value: T) {
        barrier::prepare();
        let before = self.0.swap(Box::into_raw(Box::new(value)), Ordering::AcqRel);
        if let Some(before) = NonNull::new(before) {
            retire(before);
        }
    }

    /// Takes the value out and calls `work` with it, before it is dropped. Of several threads, one gets it.
    pub fn take<R>(&self, work: impl FnOnce(&T) -> R) -> Option<R> {
        let value = NonNull::new(self.0.swap(ptr::null_mut(), Ordering::AcqRel))?;
        // SAFETY: nobody drops it before we retire it.
        let result = work(unsafe { value.as_ref() });
        retire(value);
        Some(result)
    }

    /// As [`take`](Self::take), but only if the value is `expected`, which came from [`with`](Self::with).
    pub fn take_this<R>(&self, expected: &T, work: impl FnOnce(&T) -> R) -> Option<R> {
        let wanted = ptr::from_ref(expected).cast_mut();
        let taken =
            self.0.compare_exchange(wanted, ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed).ok()?;
        let result = work(expected);
        retire(NonNull::new(taken)?);
        Some(result)
    }
}

impl<T: Send + Sync + 'static> Drop for Held<T> {
    fn drop(&mut self) {
        if let Some(value) = NonNull::new(self.0.swap(ptr::null_mut(), Ordering::AcqRel)) {
            // SAFETY: `self` is ours alone, so nobody is inside.
            drop(unsafe { Box::from_raw(value.as_ptr()) });
        }
    }
}

/// Proof that a value is noted.
struct Inside<'a, T: Send + Sync + 'static> {
    held: &'a Held<T>,
    value: NonNull<T>,
    note: &'static Note,
    is_borrowed: bool,
}

impl<T: Send + Sync + 'static> Drop for Inside<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.note.set(ptr::null_mut());
        self.note.give_back(self.is_borrowed);
        barrier::light();
        if self.held.0.load(Ordering::Relaxed) != self.value.as_ptr() {
            reclaim();
        }
    }
}

/// Where a thread says what it is using. Never freed: there are as many as there have been users at once.
#[derive(Debug)]
// A line of the processor's cache to itself: each is written to by one thread all the time.
#[repr(align(128))]
struct Note {
    value: AtomicPtr<()>,
    is_taken: AtomicBool,
    /// Set before the note can be found, and never changed.
    next: *const Self,
}

// SAFETY: `next` leads to a `Note` that is never freed, and is only read; the rest is atomic.
unsafe impl Sync for Note {}

impl Note {
    /// Releases all that its thread did before: who reads the note knows that it is done.
    #[inline]
    fn set(&self, value: *mut ()) {
        self.value.store(value, Ordering::Release);
    }

    #[inline]
    fn give_back(&self, is_borrowed: bool) {
        if is_borrowed {
            self.is_taken.store(false, Ordering::Release);
        }
    }

    fn all() -> impl Iterator<Item = &'static Self> {
        // SAFETY: null, or a note, which is never freed.
        let note = |pointer: *const Self| unsafe { pointer.as_ref() };
        std::iter::successors(note(NOTES.load(Ordering::Acquire)), move |found| note(found.next))
    }

    /// One that nobody has, perhaps a new one.
    #[cold]
    fn borrow() -> &'static Self {
        let take = |note: &&Self| {
            note.is_taken.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        Self::all().find(take).unwrap_or_else(Self::add)
    }

    fn add() -> &'static Self {
        let mut next = NOTES.load(Ordering::Acquire);
        let value = AtomicPtr::new(ptr::null_mut());
        let new = Box::into_raw(Box::new(Self { value, is_taken: AtomicBool::new(true), next }));
        while let Err(now) = NOTES.compare_exchange(next, new, Ordering::AcqRel, Ordering::Acquire) {
            next = now;
            // SAFETY: nobody else can reach it yet.
            unsafe { (*new).next = next };
        }
        // SAFETY: it is never freed, and from now on only shared.
        unsafe { &*new }
    }
}

/// A thread's own note, from its first use to its end.
struct Own(Cell<Option<&'static Note>>);

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(note) = self.0.get() {
            note.give_back(true);
        }
    }
}

/// A note to write to, and whether it is borrowed for this once.
#[inline]
fn note() -> (&'static Note, bool) {
    match OWN.try_with(|own| own.0.get()) {
        // Unless the thread is inside of something already.
        Ok(Some(note)) if note.value.load(Ordering::Relaxed).is_null() => (note, false),
        Ok(None) => {
            let note = Note::borrow();
            (note, OWN.try_with(|own| own.0.set(Some(note))).is_err())
        }
        _ => (Note::borrow(), true),
    }
}

/// A value that is out of reach, and how to drop it.
struct Retired {
    value: NonNull<()>,
    drop: unsafe fn(NonNull<()>),
}

// SAFETY: what is behind it is `Send` (see `retire`), and nobody else drops it.
unsafe impl Send for Retired {}

/// Drops the value, or leaves that to whoever has it noted.
#[cold]
fn retire<T: Send + Sync + 'static>(value: NonNull<T>) {
    /// # Safety
    /// `value` came from `Box::<T>::into_raw`, and nobody uses it any more.
    unsafe fn drop_box<T>(value: NonNull<()>) {
        // SAFETY: the caller's.
        drop(unsafe { Box::from_raw(value.cast::<T>().as_ptr()) });
    }
    // Without the barrier, nobody could ever tell that it is not in use: better never dropped than too early. (The
    // system has granted the call before; it would have to take that back.)
    if barrier::heavy() {
        retired().push(Retired { value: value.cast(), drop: drop_box::<T> });
        reclaim();
    }
}

/// Drops what is retired and not noted.
#[cold]
fn reclaim() {
    let is_unused = |retired: &mut Retired| {
        !Note::all().any(|note| note.value.load(Ordering::Acquire) == retired.value.as_ptr())
    };
    // The lock is what keeps two who leave at once from each leaving it to the other.
    let unused: Vec<Retired> = retired().extract_if(.., is_unused).collect();
    // Without the lock: to drop it may take long.
    for Retired { value, drop } in unused {
        // SAFETY: off the list, so nobody else drops it; not noted, and out of reach, so that it never will be.
        unsafe { drop(value) };
    }
}

#[cfg(not(loom))]
static NOTES: AtomicPtr<Note> = AtomicPtr::new(ptr::null_mut());
#[cfg(not(loom))]
static RETIRED: Mutex<Vec<Retired>> = Mutex::new(Vec::new());
#[cfg(not(loom))]
thread_local! {
    // On Windows, clippy doesn't see that it is.
    #[cfg_attr(windows, allow(clippy::missing_const_for_thread_local))]
    static OWN: Own = const { Own(Cell::new(None)) };
}

// loom makes them anew for each run that it tries.
#[cfg(loom)]
loom::lazy_static! {
    static ref NOTES: AtomicPtr<Note> = AtomicPtr::new(ptr::null_mut());
    static ref RETIRED: Mutex<Vec<Retired>> = Mutex::new(Vec::new());
}
#[cfg(loom)]
loom::thread_local! {
    static OWN: Own = Own(Cell::new(None));
}

fn retired() -> MutexGuard<'static, Vec<Retired>> {
    RETIRED.lock().unwrap_or_else(PoisonError::into_inner)
}
