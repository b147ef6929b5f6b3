//! Anything at all where a dead owner's lock file would be, on systems that need such files.
#![no_main]

libfuzzer_sys::fuzz_target!(|plan: shm_fuzz::lock_file::Plan| plan.run());
