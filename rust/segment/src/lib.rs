//! Named shared memory between programs that don't trust each other.
//!
//! Another process that has a segment open may change any byte at any time. It may truncate the memory,
//! remove the name, take the name first, or die at any instruction. So this crate never makes a reference to
//! the bytes, and trusts no length that it finds. It removes a name only while the name still leads to the
//! segment that it made.
//!
//! ```
//! use shm_segment::{Access, Options};
//!
//! # fn main() -> Result<(), shm_segment::Error> {
//! let name = shm_segment::generate_name("doc")?;
//! let ours = Options::new(&name).create(1024)?;
//! ours.write(0, b"hello")?;
//!
//! // In this process or any other. The size 0 stands for the whole segment.
//! let theirs = Options::new(&name).open(0, Access::ReadOnly)?;
//! let mut text = [0; 5];
//! theirs.read(0, &mut text)?;
//! assert_eq!(&text, b"hello");
//!
//! drop(ours); // an opener keeps the memory
//! theirs.read(0, &mut text)?;
//! # Ok(())
//! # }
//! ```

#![cfg_attr(
    not(any(target_os = "linux", target_os = "macos", target_os = "freebsd", windows)),
    allow(dead_code, reason = "no backend is available there")
)]

mod available;
mod cause;
mod error;
mod forks;
#[cfg(fuzzing)]
pub mod fuzzing;
mod info;
pub mod layout;
mod look;
mod memory;
mod name;
mod options;
mod os;
mod roles;
mod rows;
mod segment;
pub mod values;

pub use available::{UNCHECKED_BELOW, available_memory, has_room_for};
pub use cause::{Cause, argument_text, no_memory_text};
pub use error::{Error, Result, Taken};
pub use forks::{forks, guard_forks, install_fault_handler};
pub use info::{Maker, Messages, OwnerState, SegmentInfo};
pub use look::list_segments;
pub use name::{MAX_GENERATED_BYTES, MAX_NAME_BYTES, NameProblem, generate as generate_name};
pub use options::{Access, Backend, Lifetime, Options, Scope, list_names};
pub use os::NameHandle;
/// Removes the handler for faults, before a library is unloaded. No [`Segment`] may be left.
pub use os::uninstall_fault_handler;
pub use rows::Rows;
pub use segment::{Segment, Waited};
pub use values::encoding::TextEncoding;
pub use values::text::{TextError, utf8_from_units, utf8_length};
