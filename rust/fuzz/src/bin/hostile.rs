//! Anything under the name: types, modes, sizes, locks.
#![no_main]

libfuzzer_sys::fuzz_target!(|plan: shm_fuzz::hostile::Plan| plan.run());
