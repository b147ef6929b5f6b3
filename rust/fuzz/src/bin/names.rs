//! Names, as a script or a peer may spell them.
#![no_main]

libfuzzer_sys::fuzz_target!(|name: &str| shm_fuzz::names::run(name));
