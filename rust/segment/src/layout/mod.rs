//! What other programs put into shared memory: one module a format, none knowing another (but for [`half`], which is a
//! kind of number).
//!
//! [`structs`] and [`variant`] are about values. They work on bytes that only we have: whoever checks a length and
//! then uses it must find the same both times, and in shared memory it may change in between. What looks at each byte
//! once may work on either, and takes a [`Source`].
//!
//! [`stream`], [`queue`] and [`mod@array`] are wire formats: each is a header and a discipline over a
//! [`Segment`](crate::Segment), in safe code. What they have in common:
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
pub mod half;
mod lock;
pub mod queue;
mod source;
pub mod stream;
pub mod structs;
pub mod variant;

pub use error::{Error, Result};
pub use source::Source;
