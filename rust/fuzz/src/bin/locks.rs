//! Locks: any calls of several objects, compared with a model, also in memory that a peer changes.
#![no_main]

libfuzzer_sys::fuzz_target!(|plan: shm_fuzz::locks::Plan| plan.run());
