//! Native streams and queues in memory of which a peer changes any word at any time.
#![no_main]

libfuzzer_sys::fuzz_target!(|plan: shm_fuzz::native_hostile::Plan| plan.run());
