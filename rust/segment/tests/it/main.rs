//! The tests of the crate from outside, in one program: a module for each subject.
//!
//! Tests that need a process of their own start this program again (`common::Peer`, `killed`, `limits`,
//! `truncation`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]
// Each system uses a part of it.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, unused_imports))]
mod common;

mod arrays;
#[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd"))]
mod backend_files;
#[cfg(target_os = "linux")]
mod backend_memfds;
#[cfg(target_os = "linux")]
mod backend_sysv;
#[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd", windows))]
mod backends;
#[cfg(unix)]
mod c_structs;
mod contents;
mod foreign;
#[cfg(target_os = "linux")]
mod hostile;
#[cfg(target_os = "linux")]
mod killed;
#[cfg(target_os = "linux")]
mod leases;
mod lifetime;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod modes;
mod names;
#[cfg(target_os = "linux")]
mod owners;
#[cfg(windows)]
mod partner;
mod peers;
mod queues;
mod rows;
#[cfg(target_os = "linux")]
mod sandboxes;
mod streams;
mod structs;
mod texts;
mod threads;
#[cfg(target_os = "linux")]
mod truncation;
mod variants;
mod waits;
#[cfg(target_os = "linux")]
mod waits_linux;
#[cfg(windows)]
mod windows;
mod zeros;

/// Not a test: what `Peer::start("peer")` runs.
#[test]
fn peer() {
    common::serve();
}
