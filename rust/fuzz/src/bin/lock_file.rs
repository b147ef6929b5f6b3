//! Anything in the place of a dead owner's lock file, on systems that need such files.
#![no_main]

libfuzzer_sys::fuzz_target!(|plan: shm_fuzz::lock_file::Plan| plan.run());
