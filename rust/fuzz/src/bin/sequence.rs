//! Any calls in any order, with any numbers, while a peer truncates and removes.
#![no_main]

libfuzzer_sys::fuzz_target!(|plan: shm_fuzz::sequence::Plan| plan.run());
