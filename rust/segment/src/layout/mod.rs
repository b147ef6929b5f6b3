//! Wire formats of other programs: each is a header over a [`Segment`](crate::Segment), and rules for the
//! bytes behind it, in safe code.
//!
//! [`stream`], [`queue`] and [`mod@array`] don't know each other. Four rules hold in each:
//!
//! - **A small value describes what was attached**, and takes the segment again at each call. It holds no
//!   bytes, so it and the segment may have different owners.
//! - **Nothing in the header is trusted.** A length, a count or an index is read once per operation and
//!   checked against the mapping. Only the checked copy is used. The next operation reads it again: a peer
//!   may change it at any time.
//! - **`attach` lays the header out** if this process created the segment and the header is all zeros.
//!   Otherwise it checks the header. `reset` lays it out whatever is there, after a peer died in the middle.
//!   No process may use the memory at that time, and each one that is attached attaches again.
//! - **Each wait for a lock has a limit.** A peer that dies with a lock never releases it. A call that gives
//!   up has written nothing.

pub mod array;
mod error;
mod fields;
mod lock;
pub mod queue;
pub mod stream;

pub use error::{Error, Result};
