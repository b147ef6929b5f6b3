//! Short calls of the native layouts.

use std::time::Duration;

use shm_segment::Segment;
use shm_segment::layout::Error;
use shm_segment::layout::native::{Descriptor, Kind, Message, Queue, Stream};

pub fn bytes(content: &[u8]) -> Message<'_> {
    Message { descriptor: Descriptor::of(Kind::Bytes), content }
}

pub fn read(stream: &Stream, segment: &Segment) -> Result<Vec<u8>, Error> {
    stream.read(segment, |message| message.to_vec())
}

pub fn dequeue(queue: &Queue, segment: &Segment) -> Result<Vec<u8>, Error> {
    queue.dequeue(segment, Duration::ZERO, || true, |message| message.to_vec())
}
