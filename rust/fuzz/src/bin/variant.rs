//! Values in the engine's own form: whole and truncated, unchanging and changing.
#![no_main]

libfuzzer_sys::fuzz_target!(|plan: shm_fuzz::variant::Plan| plan.run());
