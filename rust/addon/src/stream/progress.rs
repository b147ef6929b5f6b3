//! The progress of a stream, for its readers: the numbers and the age of messages, and its writer.

use godot::global::Error as Code;
use shm_segment::layout::native::Stream as Native;
use shm_segment::{OwnerState, Segment};

use super::{SharedMemoryStream, StreamLayout};
use crate::args::signed;
use crate::attachment::Attached;
use crate::binding::{Definition, Enum, ErrorCode, methods};
use crate::error::{Failure, Result};

pub(super) fn define(class: &mut Definition<SharedMemoryStream>) {
    methods!(class, SharedMemoryStream {
        const fn get_sequence() -> i64;
        const fn get_missed_count() -> i64;
        const fn get_age_usec() -> i64;
        const fn get_writer_state() -> Enum<OwnerState>;
    });
}

impl SharedMemoryStream {
    fn get_sequence(&self) -> i64 {
        self.query_native(|stream, _| Ok(signed(stream.sequence()))).unwrap_or_default()
    }

    fn get_missed_count(&self) -> i64 {
        self.query_native(|stream, _| Ok(signed(stream.missed()))).unwrap_or_default()
    }

    fn get_age_usec(&self) -> i64 {
        let age = self.query_native(|stream, segment| {
            let age = stream.age(segment)?;
            Ok(age.map_or(-1, |age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX)))
        });
        age.unwrap_or(-1)
    }

    fn get_writer_state(&self) -> Enum<OwnerState> {
        let state = self.query_native(|stream, segment| Ok(stream.writer_state(segment)?));
        Enum(state.unwrap_or(OwnerState::Unknown))
    }

    fn query_native<T>(&self, getter: fn(&Native, &Segment) -> Result<T>) -> Result<T, ErrorCode> {
        self.with_layout(|stream, segment| match stream {
            StreamLayout::Native(stream) => getter(stream, segment),
            StreamLayout::Lsm(_) => {
                Err(Failure::new(Code::ERR_UNAVAILABLE, "only streams of LAYOUT_NATIVE tell this"))
            }
        })
    }
}
