//! Texts that may be invalid Unicode, as a script may give them.
#![no_main]

libfuzzer_sys::fuzz_target!(|parts: Vec<shm_fuzz::texts::Part>| shm_fuzz::texts::run(&parts));
