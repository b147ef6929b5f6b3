//! Wire formats of other programs: each is a header and a discipline over a [`Segment`](crate::Segment), in safe code.
//!
//! [`stream`], [`queue`] and [`mod@array`] don't know each other. Four rules hold in each:
//!
//! - **A small value describes what was attached to**, and takes the segment anew at each call. It holds no bytes, so
//!   that who has it and who has the segment may be different owners.
//! - **Nothing in the header is believed.** A length, a count or an index is read once for an operation, checked against
//!   the mapping, and the checked copy is used. The next operation looks anew: a peer may change it at any time.
//! - **`attach` lays the header out** if this process created the segment and the header is all zeros, and checks it
//!   otherwise. `reset` lays it out whatever is there, for the time after a peer died in the middle: nobody
//!   may be using it meanwhile, and whoever is attached attaches anew.
//! - **No lock is waited for without limit.** A peer that dies with a lock never releases it. Who gives up has written
//!   nothing.

pub mod array;
mod error;
mod fields;
mod lock;
pub mod queue;
pub mod stream;

pub use error::{Error, Result};
