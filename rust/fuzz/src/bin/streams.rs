//! Streams of libsharedmemory, V0, V1 and V2: any bytes in memory, changing while they are used.
#![no_main]

libfuzzer_sys::fuzz_target!(|plan: shm_fuzz::streams::Plan| plan.run());
