//! The steps of the native layouts, in every order in which threads can interleave, up to a number of
//! preemptions. They need `RUSTFLAGS="--cfg loom"`; see `./build.sh test --help`.
//!
//! The files of the layouts are included as they are, over memory of loom (`memory.rs`). Each promise has at
//! least one flaw that loom must find: an order or a step left out.
//!
//! `SHM_SEGMENT_PREEMPTIONS` raises the number of preemptions, which is small in a run of all tests.
#![cfg(loom)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "tests use a part of the files"
)]

#[path = "../../src/layout/native/bell.rs"]
mod bell;
mod bells;
mod holders;
#[path = "../../src/layout/native/lanes.rs"]
mod lanes;
#[path = "../../src/layout/native/latest.rs"]
mod latest;
#[path = "../../src/layout/native/lock_line.rs"]
mod lock_line;
mod memory;
#[path = "../../src/layout/native/message.rs"]
mod message;
mod newest;
mod rings;
#[path = "../../src/layout/native/shared.rs"]
mod shared;
// Under loom, its atomics are loom's.
#[path = "../../src/memory/words.rs"]
mod words;

use loom::sync::atomic;

/// The parts of `header.rs` that have to do with no segment. The places don't matter here.
mod header {
    #[derive(Debug, Clone, Copy)]
    pub(super) struct Geometry {
        pub(super) count: u32,
        pub(super) limit: u64,
    }

    pub(super) const WAITING_AT: u64 = 0x80;
    pub(super) const LINES_AT: u64 = 0x100;
    pub(super) const LINE: u64 = 128;
    /// Fewer than in the crate: each further one is like the first ones.
    pub(super) const TRIES: u32 = 2;
}

mod layout {
    pub(crate) use shm_segment::layout::{Error, Result};
}

use layout::Error;

type Result<T, E = Box<Error>> = std::result::Result<T, E>;

fn invalid_stream(what: &'static str, found: u64) -> Box<Error> {
    Box::new(Error::Corrupt { layout: "stream", what, found })
}

fn invalid_queue(what: &'static str, found: u64) -> Box<Error> {
    Box::new(Error::Corrupt { layout: "queue", what, found })
}

/// Runs `body` in every order with at most `preemptions`, or as many more as the environment asks for.
fn explore(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let more = std::env::var("SHM_SEGMENT_PREEMPTIONS").map_or(0, |more| more.parse().unwrap());
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions + more);
    model.max_branches = 10_000;
    model.check(body);
}

/// Checks that loom finds the flaw in `body`.
fn must_fail(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| explore(preemptions, body)));
    assert!(found.is_err(), "the flaw has no effect");
}

fn bytes(content: &[u8]) -> message::Message<'_> {
    message::Message { descriptor: message::Descriptor::of(message::Kind::Bytes), content }
}
