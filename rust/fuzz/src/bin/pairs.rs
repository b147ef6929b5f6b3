//! Pairs: any calls of sides that come and go, compared with a model.
#![no_main]

libfuzzer_sys::fuzz_target!(|plan: shm_fuzz::pairs::Plan| plan.run());
