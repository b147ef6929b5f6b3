//! The native layouts of this project's own: streams and queues of messages of any kind, and locks.
//!
//! `docs/FORMAT.md` describes the bytes, the locks and the steps. Each step publishes with one store, so
//! nothing needs repair after a death. The kernel's locks tell who has a role. The steps are in `latest.rs`,
//! `lanes.rs` and `bell.rs`, over the accesses of `shared.rs`. `header.rs` lays memory out, and takes roles.
//! [`Stream`], [`Queue`] and [`Lock`] put these together. `named.rs` makes and finds memory under a name, and
//! `follow.rs` goes where the name leads.
//!
//! ```
//! use std::time::Duration;
//!
//! use shm_segment::layout::native::{Descriptor, Kind, Message, Queue};
//! use shm_segment::{Access, Options};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let name = shm_segment::generate_name("doc")?;
//! let ours = Options::new(&name).create(65536)?;
//! let producer = Queue::attach(&ours, 4096, 1)?;
//! let message = Message { descriptor: Descriptor::of(Kind::Text), content: b"hello" };
//! producer.enqueue(&ours, &message, Duration::ZERO, || true)?;
//!
//! let theirs = Options::new(&name).open(0, Access::ReadWrite)?;
//! let consumer = Queue::attach(&theirs, 0, 1)?;
//! let text = consumer.dequeue(&theirs, Duration::from_millis(100), || true, |message| message.to_vec())?;
//! assert_eq!(text, b"hello");
//! # Ok(())
//! # }
//! ```

mod bell;
mod follow;
mod handshake;
mod header;
mod incoming;
mod lanes;
mod latest;
mod lock_line;
mod locks;
mod looking;
mod looks;
mod message;
mod named;
mod pair;
mod peer;
mod queue;
mod shared;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod steps;
mod stream;
mod waiting;

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use crate::layout::Error;

pub use follow::{Caused, Follower, Holder, Name};
pub use incoming::Incoming;
pub use locks::{LOCKS, Lock};
pub(crate) use looking::messages_in;
pub use message::{
    Descriptor, Element, Kind, MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE, Meaning, Message, PixelFormat,
};
pub use named::{Departure, Look, Named, look};
pub use pair::Event;
pub use peer::{BUFFER_SIZES, Peer};
pub use queue::{Filled, MAX_PRODUCERS, Place, Queue};
pub(crate) use shared::Shared;
pub use stream::{Draft, Frame, MAX_READERS, Newest, Stream, Written};

/// The result of a step. Boxed, so that it fits into registers: each message takes some twenty steps.
type Result<T, E = Box<Error>> = std::result::Result<T, E>;

#[cold]
fn invalid_stream(what: &'static str, found: u64) -> Box<Error> {
    Box::new(Error::Corrupt { layout: stream::NAME, what, found })
}

#[cold]
fn invalid_queue(what: &'static str, found: u64) -> Box<Error> {
    Box::new(Error::Corrupt { layout: queue::NAME, what, found })
}

/// Locks a side's own state. No panic leaves it half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks it if no other thread has.
fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
