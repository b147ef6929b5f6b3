//! The native layouts as recorded in `tests/golden`: this version makes the same bytes, and does with them
//! what the index tells.
//!
//! `SHM_SEGMENT_GOLDEN=write` records them again. A difference is then a change of the format.

mod locks;
mod pairs;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use shm_segment::layout::Error;
use shm_segment::layout::native::{Descriptor, Element, Incoming, Kind, Meaning, Message, Queue, Stream};
use shm_segment::{Access, Backend, Options, Segment};

use crate::common::backends::Place;
use crate::common::layouts::{bytes_of, fresh, from_hex, hex};

const INCARNATION: u64 = 0x0123_4567_89AB_CDEF;
const FIRST_SEQUENCE: u64 = 1_000_000;
const TIME: u64 = 0x1122_3344;

/// A stream for messages of 64 bytes, with 2 readers: 4 slots.
const STREAM_SIZE: usize = 1664;
const PINS: usize = 0x180;
const SLOTS: usize = 0x280;
const SLOT: usize = 256;

/// A queue with one ring.
const QUEUE_SIZE: usize = 768;
const LANE: usize = 0x100;
const RING: usize = 0x200;
const RING_SIZE: u64 = 256;

/// A message of each kind.
fn messages() -> [(&'static str, Message<'static>); 5] {
    let array = Kind::Array { element: Element::F32, meaning: Meaning::Vectors, dimensions: 2 };
    let of = |kind, shape, content| Message { descriptor: Descriptor { kind, shape }, content };
    [
        ("bytes", of(Kind::Bytes, [0; 4], &[0, 1, 2, 253, 254, 255])),
        ("text", of(Kind::Text, [0; 4], "grüße".as_bytes())),
        // (1, 2), (-0.5, 0).
        ("array", of(array, [2, 2, 0, 0], &[0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 0, 191, 0, 0, 0, 0])),
        // Two rows of one pixel in RGB8, with one byte between.
        ("image", of(Kind::Image, [1, 2, 4, 4], &[255, 0, 0, 9, 0, 255, 0, 9])),
        // The number 7.
        ("value", of(Kind::Value, [0; 4], &[2, 0, 0, 0, 7, 0, 0, 0])),
    ]
}

fn text(content: &str) -> Message<'_> {
    Message { descriptor: Descriptor::of(Kind::Text), content: content.as_bytes() }
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// Makes the parts of a header that differ each time what they are in each file. They are read at the next
/// attachment.
fn fix_header(segment: &Segment) {
    segment.write(0x18, &INCARNATION.to_le_bytes()).unwrap();
    let mut first = [0; 8];
    segment.read(0x28, &mut first).unwrap();
    // A queue has none.
    if first != [0; 8] {
        segment.write(0x28, &FIRST_SEQUENCE.to_le_bytes()).unwrap();
    }
}

/// Returns a stream that has these messages.
fn stream<'a>(messages: impl IntoIterator<Item = &'a Message<'a>>) -> Vec<u8> {
    let (_name, segment) = fresh(STREAM_SIZE as u64);
    Stream::attach(&segment, 64, 2).unwrap();
    fix_header(&segment);
    let stream = Stream::attach(&segment, 64, 2).unwrap();
    for message in messages {
        stream.write(&segment, message).unwrap();
    }
    let mut bytes = bytes_of(&segment);
    for slot in bytes[SLOTS..].chunks_exact_mut(SLOT) {
        if slot[..8] != [0; 8] {
            put_u64(slot, 0x10, TIME);
        }
    }
    bytes
}

/// Returns a queue after `use_it`.
fn queue(use_it: impl FnOnce(&Segment, &Queue)) -> Vec<u8> {
    let (_name, segment) = fresh(QUEUE_SIZE as u64);
    let laid_out = Queue::attach(&segment, RING_SIZE, 1).unwrap();
    drop(laid_out);
    fix_header(&segment);
    let queue = Queue::attach(&segment, RING_SIZE, 1).unwrap();
    use_it(&segment, &queue);
    let mut bytes = bytes_of(&segment);
    // The time in a queue's header means nothing.
    put_u64(&mut bytes, 0x28, 0);
    bytes
}

fn enqueue(segment: &Segment, queue: &Queue, message: &Message<'_>) {
    queue.enqueue(segment, message, Duration::ZERO, || true).unwrap();
}

fn changed(mut bytes: Vec<u8>, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    change(&mut bytes);
    bytes
}

/// Returns all images: the name, a line about it, and the bytes.
fn images() -> Vec<(String, &'static str, Vec<u8>)> {
    let mut images: Vec<(String, &'static str, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, about, bytes| images.push((name.to_owned(), about, bytes));
    let one = || stream([&text("first")]);
    let all = messages();

    add("stream_fresh", "Laid out, and no message.", stream([]));
    for (kind, message) in &all {
        add(
            &format!("stream_{kind}"),
            "The newest message is of this kind.",
            stream([&text("old"), message]),
        );
    }
    add("stream_around", "Five messages in four slots.", stream(all.iter().map(|(_, message)| message)));
    add(
        "stream_half_header",
        "Its maker has died before the magic number.",
        changed(stream([]), |bytes| put_u32(bytes, 0, 0)),
    );
    add(
        "stream_reset",
        "The resetting process has died before it emptied the lines.",
        changed(one(), |bytes| {
            put_u64(bytes, 0x18, 0);
            put_u64(bytes, 0x28, FIRST_SEQUENCE + 1);
        }),
    );
    add(
        "stream_writer_died",
        "The writer has died during its second message.",
        changed(one(), |bytes| {
            let slot = &mut bytes[SLOTS + 2 * SLOT..];
            slot[128..131].copy_from_slice(b"sec");
        }),
    );
    add(
        "stream_not_helped",
        "The writer has died before it helped reader 1, and that one before it pinned a slot.",
        changed(one(), |bytes| put_u32(bytes, PINS + 128, 1)),
    );
    add(
        "stream_pins_left",
        "Two readers have died with their pins, on slots 2 and 3.",
        changed(one(), |bytes| {
            put_u32(bytes, PINS, 4);
            put_u32(bytes, PINS + 128, 5);
        }),
    );
    add(
        "stream_unknown_kind",
        "The newest message is of a kind that this version doesn't know.",
        changed(one(), |bytes| put_u32(bytes, SLOTS + SLOT + 0x18, 9)),
    );

    add(
        "stream_wrong_shape",
        "The newest message is an image with a shape for more bytes than it has.",
        changed(stream([&text("old"), &all[3].1]), |bytes| put_u32(bytes, SLOTS + 2 * SLOT + 0x24, 3)),
    );
    add(
        "stream_far",
        "The newest message is in a slot that the stream lacks.",
        changed(one(), |bytes| bytes[LANE] = 4),
    );
    add(
        "stream_torn",
        "The slot of the newest message has no sequence number.",
        changed(one(), |bytes| put_u64(bytes, SLOTS + SLOT, 0)),
    );

    add("queue_fresh", "Laid out, and no message.", queue(|_, _| {}));
    add(
        "queue_messages",
        "A message of each kind.",
        queue(|segment, queue| {
            for (_, message) in &all {
                enqueue(segment, queue, message);
            }
        }),
    );
    let around = || {
        queue(|segment, queue| {
            for _ in 0..3 {
                enqueue(segment, queue, &text(&"x".repeat(64)));
                queue.dequeue::<_, Error>(segment, Duration::ZERO, || true, |_| Ok(())).unwrap();
            }
            enqueue(segment, queue, &text(&"y".repeat(40)));
        })
    };
    add("queue_around", "A message behind padding, at the beginning of the ring.", around());
    add(
        "queue_full",
        "No room for another message of 40 bytes.",
        queue(|segment, queue| {
            for digit in ["0", "1", "2", "3", "4"] {
                enqueue(segment, queue, &text(&digit.repeat(40)));
            }
        }),
    );
    add(
        "queue_producer_died",
        "The producer has died before it published its second message.",
        changed(queue(|segment, queue| enqueue(segment, queue, &text("first"))), |bytes| {
            put_u32(bytes, RING + 16, 6);
            put_u32(bytes, RING + 20, 2);
            bytes[RING + 24..RING + 30].copy_from_slice(b"second");
            // put[0].
            put_u64(bytes, LANE + 0x10, 32);
            put_u64(bytes, LANE + 0x18, 2);
        }),
    );
    add(
        "queue_consumer_died",
        "The consumer has died before it told that it has taken the message out.",
        changed(queue(|segment, queue| enqueue(segment, queue, &text("first"))), |bytes| {
            // taken[1].
            put_u64(bytes, LANE + 0xA0, 16);
            put_u64(bytes, LANE + 0xA8, 1);
        }),
    );
    add(
        "queue_half_header",
        "Its maker has died before the magic number.",
        changed(queue(|_, _| {}), |bytes| put_u32(bytes, 0, 0)),
    );
    add(
        "queue_reset",
        "The resetting process has died after it emptied the waiting line.",
        changed(queue(|segment, queue| enqueue(segment, queue, &text("first"))), |bytes| {
            put_u64(bytes, 0x18, 0)
        }),
    );
    add(
        "queue_far",
        "The ends of the lane are where a sum of positions overflows.",
        changed(queue(|_, _| {}), |bytes| {
            for at in [0, 0x10, 0x80, 0x90] {
                put_u64(bytes, LANE + at, u64::MAX - 7);
            }
        }),
    );
    add(
        "queue_long_record",
        "The first record is longer than what was put in.",
        changed(queue(|segment, queue| enqueue(segment, queue, &text("first"))), |bytes| {
            put_u32(bytes, RING, 9);
        }),
    );
    add(
        "queue_no_count",
        "No number of messages belongs to the tail.",
        changed(queue(|segment, queue| enqueue(segment, queue, &text("first"))), |bytes| {
            put_u64(bytes, LANE + 0x20, 24);
        }),
    );
    add(
        "queue_unknown_kind",
        "A message of a kind that this version doesn't know, and one that it knows.",
        changed(
            queue(|segment, queue| {
                enqueue(segment, queue, &text("first"));
                enqueue(segment, queue, &text("second"));
            }),
            |bytes| put_u32(bytes, RING + 4, 9),
        ),
    );

    let queue_one = queue(|segment, queue| enqueue(segment, queue, &text("first")));
    images.extend(pairs::images());
    images.extend(locks::images());
    let all = [("stream", one()), ("queue", queue_one), ("pair", pairs::one()), ("locks", locks::held())];
    for (layout, bytes) in all {
        let mut add = |name: &str, about, change: &dyn Fn(&mut [u8])| {
            images.push((format!("{layout}_{name}"), about, changed(bytes.clone(), change)));
        };
        add(
            "newer_minor",
            "Version 1.7, with an optional feature and a field that this version lacks.",
            &|bytes| {
                bytes[6] = 7;
                put_u32(bytes, 0x24, 1);
                put_u64(bytes, 0x48, 12345);
            },
        );
        add("newer_major", "Version 2.0.", &|bytes| bytes[4] = 2);
        add("unknown_feature", "A required feature that this version doesn't know.", &|bytes| {
            put_u32(bytes, 0x20, 2);
        });
        add("wrong_length", "The header tells another length than its other fields.", &|bytes| {
            bytes[0x10] ^= 0x80;
        });
        add("other_layout", "A number for the layout that no version has.", &|bytes| bytes[8] = 99);
    }
    images
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

fn is_recording() -> bool {
    env::var_os("SHM_SEGMENT_GOLDEN").is_some_and(|value| value == "write")
}

/// Returns the text of an image: its size, then a line for each 16 bytes that aren't all zeros.
fn to_text(about: &str, bytes: &[u8]) -> String {
    let mut text = format!("# {about}\nsize {}\n", bytes.len());
    for (row, sixteen) in bytes.chunks(16).enumerate().filter(|(_, row)| row.iter().any(|byte| *byte != 0)) {
        writeln!(text, "{:04x} {}", row * 16, hex(sixteen)).unwrap();
    }
    text
}

/// Returns the bytes that such a text stands for.
fn from_text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once(' ').unwrap() {
            ("size", size) => bytes = vec![0; size.parse().unwrap()],
            (at, row) => {
                let (at, row) = (usize::from_str_radix(at, 16).unwrap(), from_hex(row));
                bytes[at..at + row.len()].copy_from_slice(&row);
            }
        }
    }
    bytes
}

/// Returns whether this system plays the roles of an image. On Windows, it is not known who owns memory. So a
/// side that comes to a pair without sides empties it, and its own tests are those of `pairs.rs`.
fn is_played(name: &str) -> bool {
    !(cfg!(windows) && name.starts_with("pair_"))
}

#[test]
fn each_image_is_made_as_it_was_recorded() {
    for (name, about, bytes) in images().into_iter().filter(|(name, ..)| is_played(name)) {
        let path = folder().join(&name).with_extension("hex");
        let made = to_text(about, &bytes);
        assert_eq!(from_text(&made), bytes);
        if is_recording() {
            fs::write(&path, &made).unwrap();
        }
        let recorded = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert_eq!(made, recorded, "{name}");
    }
}

/// Returns the tag that the format gives a descriptor.
fn tag(descriptor: &Descriptor) -> u32 {
    match descriptor.kind {
        Kind::Bytes => 1,
        Kind::Text => 2,
        Kind::Array { element, meaning, dimensions } => {
            let element = match element {
                Element::I32 => 1,
                Element::I64 => 2,
                Element::F32 => 3,
                Element::F64 => 4,
            };
            let meaning = match meaning {
                Meaning::Plain => 0,
                Meaning::Vectors => 1,
                Meaning::Colors => 2,
            };
            3 | element << 8 | meaning << 16 | u32::from(dimensions) << 24
        }
        Kind::Image => 4,
        Kind::Value => 5,
    }
}

/// Returns a message as the index has it: tag, shape and content.
fn describe(message: &Incoming<'_>) -> Result<String, Error> {
    let descriptor = message.descriptor();
    let [a, b, c, d] = descriptor.shape;
    Ok(format!("{:08x} {a},{b},{c},{d} {}", tag(&descriptor), hex(&message.to_vec()?)))
}

fn result_of<T>(result: Result<T, Error>, done: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => done(value),
        Err(Error::Empty) => "empty".to_owned(),
        Err(Error::NoRoom) => "full".to_owned(),
        Err(Error::NotLaidOutYet { .. }) => "not_laid_out".to_owned(),
        Err(Error::Corrupt { .. }) => "damaged".to_owned(),
        Err(Error::Overtaken) => "busy".to_owned(),
        Err(Error::Invalid { layout: "native message", .. }) => "unreadable".to_owned(),
        Err(Error::Invalid { what: "the major version" | "the set of required features", .. }) => {
            "newer".to_owned()
        }
        Err(Error::Invalid { .. }) => "refused".to_owned(),
        Err(error) => panic!("{error}"),
    }
}

/// Calls `act` with the image as a file. Each role gets a copy of its own.
fn with_file<T>(image: &[u8], access: Access, act: impl FnOnce(&Segment) -> T) -> T {
    let place = Place::new(Backend::File);
    fs::write(place.path(), image).unwrap();
    act(&Options::new(&place.name).backend(Backend::File).open(0, access).unwrap())
}

fn stream_roles(image: &[u8]) -> Vec<(&'static str, String)> {
    let read =
        |segment: &Segment, stream: &Stream| result_of(stream.read(segment, describe), |message| message);
    let reader = |segment: &Segment| match Stream::attach(segment, 0, 0) {
        Ok(stream) => read(segment, &stream),
        Err(error) => result_of(Err::<(), _>(error), |()| String::new()),
    };
    let maker = |segment: &Segment| match Stream::attach(segment, 64, 2) {
        Ok(stream) => read(segment, &stream),
        Err(error) => result_of(Err::<(), _>(error), |()| String::new()),
    };
    let writer = |segment: &Segment| {
        let stream = match Stream::attach(segment, 64, 2) {
            Ok(stream) => stream,
            Err(error) => return result_of(Err::<(), _>(error), |()| String::new()),
        };
        // As many as there are slots, so that each is written.
        for number in 0..4_u8 {
            if let Err(error) = stream.write(segment, &text(&format!("next {number}"))) {
                return result_of(Err::<(), _>(error), |()| String::new());
            }
            let message = stream.read(segment, |message| message.to_vec()).unwrap();
            assert_eq!(message, format!("next {number}").as_bytes());
        }
        format!("ok {}", stream.message_count(segment).unwrap())
    };
    vec![
        ("reader", with_file(image, Access::ReadWrite, reader)),
        ("view", with_file(image, Access::ReadOnly, reader)),
        ("maker", with_file(image, Access::ReadWrite, maker)),
        ("writer", with_file(image, Access::ReadWrite, writer)),
    ]
}

fn queue_roles(image: &[u8]) -> Vec<(&'static str, String)> {
    let attach = |segment: &Segment| Queue::attach(segment, RING_SIZE, 1);
    let mut roles = Vec::new();
    with_file(image, Access::ReadWrite, |segment| match attach(segment) {
        Ok(queue) => loop {
            let result = queue.dequeue(segment, Duration::ZERO, || true, describe);
            let result = result_of(result, |message| message);
            let is_last = result == "empty" || result == "damaged";
            roles.push(("consumer", result));
            if is_last {
                break;
            }
        },
        Err(error) => roles.push(("consumer", result_of(Err::<(), _>(error), |()| String::new()))),
    });
    with_file(image, Access::ReadWrite, |segment| {
        let result = attach(segment).and_then(|queue| {
            queue.enqueue(segment, &text(&"z".repeat(40)), Duration::ZERO, || true)?;
            queue.filled(segment)
        });
        roles.push((
            "producer",
            result_of(result, |filled| format!("ok {} of {}", filled.messages, filled.put)),
        ));
    });
    with_file(image, Access::ReadOnly, |segment| {
        let result = Queue::attach(segment, 0, 1).and_then(|queue| queue.peek(segment, describe));
        roles.push(("view", result_of(result, |message| message)));
    });
    roles
}

#[test]
fn each_role_does_with_each_image_what_the_index_tells() {
    let mut index = String::from("# image role result; the README explains them\n");
    let mut names: Vec<PathBuf> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "hex"));
    names.sort();
    // The header for C makes the others, and `partners/c/tests/test_golden.py` compares them.
    let ours = names.iter().filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with("c_"));
    assert_eq!(ours.count(), images().len(), "a file of {:?} is not made any more", folder());
    for path in names {
        let name = path.file_stem().unwrap().to_str().unwrap();
        if !is_played(name) {
            continue;
        }
        let image = from_text(&fs::read_to_string(&path).unwrap());
        let roles = match name.trim_start_matches("c_").split_once('_').unwrap().0 {
            "stream" => stream_roles(&image),
            "pair" => pairs::roles(&image),
            "locks" => locks::roles(&image),
            _ => queue_roles(&image),
        };
        for (role, result) in roles {
            writeln!(index, "{name} {role} {result}").unwrap();
        }
    }
    let path = folder().join("index.txt");
    if is_recording() {
        fs::write(&path, &index).unwrap();
    }
    let recorded = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let played = || recorded.lines().filter(|line| is_played(line));
    for (number, (made, recorded)) in index.lines().zip(played()).enumerate() {
        assert_eq!(made, recorded, "line {}", number + 1);
    }
    assert_eq!(index.lines().count(), played().count());
}
