//! Arrays of shared-memory-zig: any bytes in memory, changing while they are used.
#![no_main]

libfuzzer_sys::fuzz_target!(|plan: shm_fuzz::arrays::Plan| plan.run());
