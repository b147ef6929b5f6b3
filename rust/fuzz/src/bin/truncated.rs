//! Streams, queues and arrays in memory that a peer truncates and restores while they are used.
#![no_main]

libfuzzer_sys::fuzz_target!(|plan: shm_fuzz::truncated::Plan| plan.run());
