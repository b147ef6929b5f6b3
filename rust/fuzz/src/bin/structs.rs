//! Format strings of Python's `struct`, with bytes to unpack and values to pack.
#![no_main]

libfuzzer_sys::fuzz_target!(|plan: shm_fuzz::structs::Plan<'_>| plan.run());
