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
mod forks;
mod golden;
#[cfg(target_os = "linux")]
mod histories;
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
mod lock_histories;
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
mod locks;
#[cfg(target_os = "linux")]
mod locks_linux;
#[cfg(target_os = "linux")]
mod lockstep;
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
mod looks;
mod models;
#[cfg(target_os = "linux")]
mod modes;
#[cfg(target_os = "linux")]
mod named;
#[cfg(windows)]
mod named_windows;
mod names;
#[cfg(target_os = "linux")]
mod native;
#[cfg(target_os = "linux")]
mod native_ends;
#[cfg(target_os = "linux")]
mod native_killed;
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
mod native_resets;
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
mod native_views;
#[cfg(target_os = "linux")]
mod owners;
#[cfg(target_os = "linux")]
mod pairs;
#[cfg(target_os = "linux")]
mod pairs_hostile;
#[cfg(target_os = "linux")]
mod pairs_killed;
#[cfg(windows)]
mod partner;
mod peers;
mod queues;
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
mod roles;
mod rows;
#[cfg(target_os = "linux")]
mod sandboxes;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod single_steps;
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
