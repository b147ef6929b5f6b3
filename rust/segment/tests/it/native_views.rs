//! Messages of a native stream that a program reads, or draws, in the memory itself.

use std::time::Duration;

use shm_segment::layout::Error;
use shm_segment::layout::native::{Descriptor, Draft, Frame, Kind, Stream};
use shm_segment::{Access, Options, Segment};

use crate::common::native::{bytes, read};

/// Returns two open segments of the same memory.
fn pair(tag: &str) -> (Segment, Segment) {
    let name = shm_segment::generate_name(tag).unwrap();
    let ours = Options::new(&name).create(8192).unwrap();
    let theirs = Options::new(&name).open(0, Access::ReadWrite).unwrap();
    (ours, theirs)
}

fn content(segment: &Segment, frame: &Frame) -> Vec<u8> {
    let mut content = vec![0; usize::try_from(frame.length).unwrap()];
    segment.read(frame.offset, &mut content).unwrap();
    content
}

fn frame(stream: &Stream, segment: &Segment) -> Frame {
    stream.frame(segment).unwrap().unwrap()
}

fn draw(segment: &Segment, draft: &Draft, byte: u8) {
    segment.fill(draft.offset, draft.length, byte).unwrap();
}

const BYTES: Descriptor = Descriptor::of(Kind::Bytes);

#[test]
fn a_frame_stays_while_the_writer_goes_on() {
    let (ours, theirs) = pair("frame");
    let (writer, reader) = (Stream::attach(&ours, 100, 1).unwrap(), Stream::attach(&theirs, 0, 0).unwrap());
    assert!(matches!(reader.frame(&theirs), Err(Error::Empty)));
    writer.write(&ours, &bytes(b"first")).unwrap();
    let first = frame(&reader, &theirs);
    assert!(!reader.has_new_data(&theirs).unwrap());
    for round in 0..20 {
        writer.write(&ours, &bytes(&[round; 50])).unwrap();
        assert_eq!(content(&theirs, &first), b"first");
        // This side's one pin is lent, so a read copies and checks.
        assert_eq!(read(&reader, &theirs).unwrap(), [round; 50]);
        assert!(reader.frame(&theirs).unwrap().is_none());
    }
    assert!(matches!(reader.reset(&theirs), Err(Error::Unfinished { .. })));
    reader.end_frame(&theirs, &first).unwrap();
    let second = frame(&reader, &theirs);
    assert_eq!(content(&theirs, &second), [19; 50]);
    reader.end_frame(&theirs, &second).unwrap();
    // Only the first call does something.
    let third = frame(&reader, &theirs);
    reader.end_frame(&theirs, &second).unwrap();
    assert!(reader.frame(&theirs).unwrap().is_none());
    reader.end_frame(&theirs, &third).unwrap();
}

#[test]
fn a_frame_keeps_its_pin_after_the_roles_are_given_back() {
    let (ours, theirs) = pair("lent");
    let (writer, reader) = (Stream::attach(&ours, 100, 1).unwrap(), Stream::attach(&theirs, 0, 0).unwrap());
    let other = Stream::attach(&ours, 0, 0).unwrap();
    writer.write(&ours, &bytes(b"first")).unwrap();
    let first = frame(&reader, &theirs);
    reader.release(&theirs);
    for round in 0..20 {
        writer.write(&ours, &bytes(&[round; 50])).unwrap();
        assert_eq!(content(&theirs, &first), b"first");
    }
    assert!(other.frame(&ours).unwrap().is_none(), "the pin is still held");
    reader.end_frame(&theirs, &first).unwrap();
    // Without a pin, a reader asks for one again after a while.
    std::thread::sleep(Duration::from_millis(150));
    let second = frame(&other, &ours);
    other.end_frame(&ours, &second).unwrap();
}

#[test]
fn a_frame_that_was_changed_is_noticed() {
    let (ours, theirs) = pair("changed");
    let (writer, reader) = (Stream::attach(&ours, 100, 1).unwrap(), Stream::attach(&theirs, 0, 0).unwrap());
    writer.write(&ours, &bytes(b"first")).unwrap();
    let first = frame(&reader, &theirs);
    ours.store_u64(first.offset - 128, 7).unwrap();
    assert!(matches!(reader.end_frame(&theirs, &first), Err(Error::Corrupt { found: 7, .. })));
}

#[test]
fn a_reader_without_a_pin_has_no_frame() {
    let (ours, _theirs) = pair("no pin");
    let writer = Stream::attach(&ours, 100, 1).unwrap();
    writer.write(&ours, &bytes(b"first")).unwrap();
    let view = Options::new(ours.name().as_str()).open(0, Access::ReadOnly).unwrap();
    let reader = Stream::attach(&view, 0, 0).unwrap();
    assert!(reader.frame(&view).unwrap().is_none());
}

#[test]
fn a_draft_is_read_once_it_is_published() {
    let (ours, theirs) = pair("draft");
    let (writer, reader) = (Stream::attach(&ours, 100, 2).unwrap(), Stream::attach(&theirs, 0, 0).unwrap());
    for round in 1..50 {
        let draft = writer.begin(&ours, 60).unwrap();
        draw(&ours, &draft, round);
        assert!(!reader.has_new_data(&theirs).unwrap());
        assert!(matches!(writer.write(&ours, &bytes(b"x")), Err(Error::Unfinished { .. })));
        assert!(matches!(writer.begin(&ours, 1), Err(Error::Unfinished { .. })));
        assert!(matches!(writer.reset(&ours), Err(Error::Unfinished { .. })));
        if round % 3 == 0 {
            writer.discard(&ours, &draft);
            assert!(matches!(writer.publish(&ours, &draft, BYTES), Err(Error::Stopped)));
        } else {
            writer.publish(&ours, &draft, BYTES).unwrap();
            assert_eq!(read(&reader, &theirs).unwrap(), [round; 60]);
        }
    }
    assert!(matches!(writer.begin(&ours, 101), Err(Error::TooLarge { size: 101, .. })));
    writer.write(&ours, &bytes(b"after")).unwrap();
    assert_eq!(read(&reader, &theirs).unwrap(), b"after");
}

#[test]
fn a_draft_that_does_not_fit_its_descriptor_is_not_published() {
    let (ours, theirs) = pair("misfit");
    let (writer, reader) = (Stream::attach(&ours, 100, 2).unwrap(), Stream::attach(&theirs, 0, 0).unwrap());
    let draft = writer.begin(&ours, 60).unwrap();
    let picture = Descriptor { kind: Kind::Image, shape: [2, 2, 4, 6] };
    assert!(matches!(writer.publish(&ours, &draft, picture), Err(Error::Invalid { .. })));
    assert!(matches!(read(&reader, &theirs), Err(Error::Empty)));
    writer.write(&ours, &bytes(b"after")).unwrap();
    assert_eq!(read(&reader, &theirs).unwrap(), b"after");
}

#[test]
fn a_draft_keeps_the_role_until_it_ends() {
    let (ours, theirs) = pair("ending");
    let (writer, other) = (Stream::attach(&ours, 100, 2).unwrap(), Stream::attach(&theirs, 0, 0).unwrap());
    let draft = writer.begin(&ours, 60).unwrap();
    writer.release(&ours);
    assert!(matches!(other.write(&theirs, &bytes(b"x")), Err(Error::RoleTaken { .. })));
    draw(&ours, &draft, 7);
    assert!(matches!(writer.publish(&ours, &draft, BYTES), Err(Error::Stopped)));
    other.write(&theirs, &bytes(b"x")).unwrap();
    assert_eq!(read(&writer, &ours).unwrap(), b"x");
}

#[test]
fn a_pinned_message_is_never_the_place_of_a_draft() {
    let (ours, theirs) = pair("both");
    let (writer, reader) = (Stream::attach(&ours, 100, 2).unwrap(), Stream::attach(&theirs, 0, 0).unwrap());
    writer.write(&ours, &bytes(&[1; 60])).unwrap();
    for round in 2..50 {
        let newest = frame(&reader, &theirs);
        let draft = writer.begin(&ours, 60).unwrap();
        assert_ne!(draft.offset, newest.offset);
        draw(&ours, &draft, round);
        assert_eq!(content(&theirs, &newest), [round - 1; 60]);
        writer.publish(&ours, &draft, BYTES).unwrap();
        reader.end_frame(&theirs, &newest).unwrap();
    }
}

#[test]
fn the_address_is_that_of_the_bytes() {
    let (ours, theirs) = pair("address");
    ours.write(8191, b"x").unwrap();
    shm_segment::install_fault_handler().unwrap();
    // SAFETY: the segment is mapped, and has this byte. No other thread or process changes it.
    let last = unsafe { theirs.address().wrapping_add(8191).read_volatile() };
    assert_eq!(last, b'x');
    assert!(!theirs.is_inherited());
}
