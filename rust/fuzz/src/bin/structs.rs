//! Format strings of Python's `struct`, and bytes taken apart and put together by them.
#![no_main]

libfuzzer_sys::fuzz_target!(|plan: shm_fuzz::structs::Plan<'_>| plan.run());
