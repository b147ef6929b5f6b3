//! One contract, one file a system.
//!
//! Each offers
//! - `Object`: an open segment. `create` and `open` return it with its mapping, `size` asks the system for the
//!   size it has now, `release_name` and `set_lifetime` are the creator's.
//! - `Link`: a name and the segment it led to: `is_current`, `unlink`.
//! - `Watch`: keeps memory that vanishes from ending the process.
//! - `coarse_clock`: a number that changes every few milliseconds, and costs next to nothing to ask for.
//! - `exists`, `remove`, `list_names`, `native_name`.

// Android and the Web are `unix` to Rust, but have no named shared memory.
#[cfg_attr(all(unix, not(any(target_os = "android", target_os = "emscripten"))), path = "posix/mod.rs")]
#[cfg_attr(not(all(unix, not(any(target_os = "android", target_os = "emscripten")))), path = "stub.rs")]
mod system;

#[cfg(all(fuzzing, target_os = "linux"))]
pub use system::ByCalls;
pub use system::Link;
pub use system::uninstall_fault_handler;
pub(crate) use system::{Object, Watch, coarse_clock, exists, list_names, native_name, remove};
