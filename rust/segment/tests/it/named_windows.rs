//! Streams under a name on Windows, where a name stays with its memory while any process has it open.

use crate::common::Name;
use shm_segment::layout::native::{Descriptor, Incoming, Kind, Look, Message, Named, Stream, look};
use shm_segment::layout::{Error, Result};
use shm_segment::{Options, Segment};

const LONGEST: u64 = 100;

fn write((segment, stream): &(Segment, Stream), content: &[u8]) {
    stream.write(segment, &Message { descriptor: Descriptor::of(Kind::Bytes), content }).unwrap();
}

fn read((segment, stream): &(Segment, Stream)) -> Result<Vec<u8>> {
    stream.read(segment, |message: &Incoming<'_>| message.to_vec())
}

fn is_taken(result: Result<(Segment, Stream)>) -> bool {
    matches!(result, Err(Error::Segment(shm_segment::Error::AlreadyExists { .. })))
}

#[test]
fn a_writer_that_restarts_goes_on_in_the_memory_of_its_readers() {
    let name = Name::new();
    let options = Options::new(&name);
    let owner = Stream::create(&options, LONGEST, 2).unwrap();
    write(&owner, b"before");
    let reader = Stream::open(&options).unwrap();
    assert_eq!(read(&reader).unwrap(), b"before");
    assert!(is_taken(Stream::create(&options, LONGEST, 2)), "the owner lives");
    drop(owner);
    assert!(is_taken(Stream::create(&options, LONGEST + 1, 2)), "the memory has another size");
    let owner = Stream::create(&options, LONGEST, 2).unwrap();
    assert!(owner.0.is_created());
    assert_eq!(read(&owner).unwrap(), b"before");
    assert!(is_taken(Stream::create(&options, LONGEST, 2)), "the second owner lives");
    write(&owner, b"after");
    assert!(matches!(look(&options, Some((&reader.0, &reader.1))), Look::Same));
    assert_eq!(read(&reader).unwrap(), b"after");
}

#[test]
fn memory_that_is_open_and_not_in_use_is_emptied() {
    let name = Name::new();
    let options = Options::new(&name);
    let owner = Stream::create(&options, LONGEST, 2).unwrap();
    write(&owner, b"yesterday");
    let looker = Stream::open(&options).unwrap();
    drop(owner);
    let owner = Stream::create(&options, LONGEST, 2).unwrap();
    assert!(matches!(read(&owner), Err(Error::Empty)));
    assert!(matches!(read(&looker), Err(Error::Empty)));
    write(&owner, b"today");
    assert_eq!(read(&looker).unwrap(), b"today");
}
