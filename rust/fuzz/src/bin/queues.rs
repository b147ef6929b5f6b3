//! Queues of libsharedmemory, V1.10 and V2: any bytes in memory, changing while they are used.
#![no_main]

libfuzzer_sys::fuzz_target!(|plan: shm_fuzz::queues::Plan| plan.run());
