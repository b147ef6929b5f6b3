//! Native streams and queues: any calls of two sides, compared with a model.
#![no_main]

libfuzzer_sys::fuzz_target!(|plan: shm_fuzz::native::Plan| plan.run());
