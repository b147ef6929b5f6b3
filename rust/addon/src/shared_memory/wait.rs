//! Waiting for another program to change a word, and waking the programs that wait.

use std::time::Duration;

use godot::global::Error as Code;
use shm_segment::Waited;

use super::SharedMemory;
use super::args::unsigned;
use super::atomics::{Word, word_offset};
use crate::binding::{Definition, ErrorCode, methods};
use crate::error::{Failure, code_of};

pub(super) fn define(class: &mut Definition<SharedMemory>) {
    methods!(class, SharedMemory {
        const fn wait_u32(byte_offset: i64, expected: i64, timeout_msec: i64) -> ErrorCode;
        fn notify_u32(byte_offset: i64) -> ErrorCode;
    });
}

impl SharedMemory {
    /// The segment is in use during the wait. That makes no other thread wait: `close()` takes the segment
    /// out, and the wait ends at its next look.
    fn wait_u32(&self, byte_offset: i64, expected: i64, timeout_msec: i64) -> ErrorCode {
        code_of(self.with_segment(|segment| {
            let offset = word_offset::<u32>(byte_offset)?;
            let expected = u32::from_script("expected", expected)?;
            let timeout = Duration::from_millis(unsigned("timeout_msec", timeout_msec)?);
            match segment.wait_u32(offset, expected, timeout, || self.segment.holds(segment))? {
                Waited::Changed => Ok(()),
                Waited::Stopped => Err(Failure::closed_while_waiting()),
                Waited::TimedOut => {
                    let what =
                        format!("the word at byte {offset} was still {expected} after {timeout_msec} ms");
                    Err(Failure::new(Code::ERR_TIMEOUT, what))
                }
            }
        }))
    }

    fn notify_u32(&self, byte_offset: i64) -> ErrorCode {
        code_of(self.with_segment(|segment| Ok(segment.notify_u32(word_offset::<u32>(byte_offset)?)?)))
    }
}
