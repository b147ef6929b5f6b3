//! Wire formats of other programs: each is a header over a [`Segment`](crate::Segment), and rules for the
//! bytes behind it, in safe code.
//!
//! [`stream`], [`queue`] and [`mod@array`] don't know each other. Five rules hold in each:
//!
//! - **A small value describes what was attached**, and takes the segment again at each call. It holds no
//!   bytes, so it and the segment may have different owners.
//! - **Nothing in the header is trusted.** A length, a count or an index is read once per operation and
//!   checked against the mapping. Only the checked copy is used. The next operation reads it again: a peer
//!   may change it at any time.
//! - **`attach` lays the header out** in memory of zeros, in any process that may write there. The first
//!   store is an atomic claim, so one of several processes decides. The others follow from it, so any process
//!   can make them. Otherwise, `attach` checks the header.
//! - **Other bytes stay as they are.** Each call checks the header before it stores anything. `reset` is for
//!   the header that a peer left when it died. No process may use the memory at that time, and each one that
//!   is attached attaches again. Only the memory's creator resets whatever is there.
//! - **Each wait for a lock has a limit.** A peer that dies with a lock never releases it. A call that gives
//!   up has written nothing.

pub mod array;
mod error;
mod fields;
mod lock;
pub mod native;
pub mod queue;
pub mod stream;

pub use error::{Error, Result};
