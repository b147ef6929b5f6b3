//! The streams of libsharedmemory: byte for byte, with partners in Python and C, and with hostile and dying
//! partners.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::layouts::{
    NO_WAIT, Random, WAIT, bytes_of, fresh, golden, hex, open, planted, read_only, rounds,
};
use crate::common::{Peer, SetAtEnd};
use shm_segment::Segment;
use shm_segment::layout::Error;
use shm_segment::layout::stream::{Kind, Stream, Version};

const VERSIONS: [(&str, Version); 3] = [("v0", Version::V0), ("v1", Version::V1), ("v2", Version::V2)];

/// Returns the messages in the golden files.
fn values() -> [(&'static str, Kind, Vec<u8>); 4] {
    [
        ("bytes", Kind::Bytes, vec![0, 255, 1]),
        ("string", Kind::String, "Grüße".into()),
        (
            "floats",
            Kind::Floats,
            crate::common::layouts::little_endian(&[1.5, -2.25, 1e10].map(f32::to_le_bytes)),
        ),
        (
            "doubles",
            Kind::Doubles,
            crate::common::layouts::little_endian(&[0.1, -1e300].map(f64::to_le_bytes)),
        ),
    ]
}

fn read(stream: &Stream, segment: &Segment) -> Result<(Kind, Vec<u8>), Error> {
    let mut bytes = Vec::new();
    stream.read_into(segment, &mut bytes, NO_WAIT).map(|kind| (kind, bytes))
}

fn assert_read_only<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::Segment(shm_segment::Error::ReadOnly { .. }))), "{result:?}");
}

#[test]
fn golden_files_are_read() {
    for (label, version) in VERSIONS {
        for (kind_label, kind, bytes) in values() {
            let (_ours, theirs) = planted(&golden(&format!("stream_{label}_{kind_label}")));
            let stream = Stream::attach(&theirs, version).unwrap();
            assert!(stream.has_new_data(&theirs).unwrap(), "{label} {kind_label}");
            assert_eq!(read(&stream, &theirs).unwrap(), (kind, bytes), "{label} {kind_label}");
            assert!(!stream.has_new_data(&theirs).unwrap(), "{label} {kind_label}");
        }
    }
}

#[test]
fn written_bytes_match_the_golden_files() {
    for (label, version) in VERSIONS {
        for (kind_label, kind, bytes) in values() {
            let (_name, ours) = fresh(64);
            Stream::attach(&ours, version).unwrap().write(&ours, kind, &bytes, NO_WAIT).unwrap();
            assert_eq!(
                hex(&bytes_of(&ours)),
                hex(&golden(&format!("stream_{label}_{kind_label}"))),
                "{label} {kind_label}"
            );
        }
        let (_name, ours) = fresh(64);
        let stream = Stream::attach(&ours, version).unwrap();
        stream.write(&ours, Kind::Doubles, &values()[3].2, NO_WAIT).unwrap();
        stream.write(&ours, Kind::String, b"2nd", NO_WAIT).unwrap();
        read(&stream, &ours).unwrap();
        stream.mark_as_read(&ours).unwrap();
        assert_eq!(hex(&bytes_of(&ours)), hex(&golden(&format!("stream_{label}_second"))), "{label}");
    }
}

#[test]
fn a_new_stream_is_empty() {
    for (label, version) in VERSIONS {
        let (name, ours) = fresh(64);
        let theirs = read_only(&name);
        let stream = Stream::attach(&theirs, version).unwrap();
        assert!(matches!(read(&stream, &theirs), Err(Error::Empty)), "{label}");
        assert!(!stream.has_new_data(&theirs).unwrap(), "{label}");
        assert_eq!(bytes_of(&ours), [0; 64], "{label}: attaching stores nothing");
    }
}

#[test]
fn a_message_that_does_not_fit_changes_nothing() {
    for (label, version) in VERSIONS {
        let (_name, ours) = fresh(61);
        let stream = Stream::attach(&ours, version).unwrap();
        stream.write(&ours, Kind::String, b"before", NO_WAIT).unwrap();
        let before = bytes_of(&ours);
        for kind in [Kind::Bytes, Kind::String, Kind::Floats, Kind::Doubles] {
            let data_at = match (version, kind) {
                (Version::V0, Kind::Floats) | (Version::V2, _) => 20,
                (Version::V0, Kind::Doubles) => 40,
                _ => 5,
            };
            let limit = (61 - data_at) / kind.element_size() * kind.element_size();
            assert_eq!(stream.capacity(&ours, kind), limit, "{label} {kind:?}");
            let longest = usize::try_from(limit).unwrap();
            let element = usize::try_from(kind.element_size()).unwrap();
            for size in [longest + element, 4096] {
                let result = stream.write(&ours, kind, &vec![1; size], NO_WAIT);
                assert!(
                    matches!(result, Err(Error::TooLarge { size: found, limit: l }) if found == size as u64 && l == limit),
                    "{label} {kind:?}: {result:?}"
                );
            }
            if element > 1 {
                let result = stream.write(&ours, kind, &vec![1; element + 1], NO_WAIT);
                assert!(matches!(result, Err(Error::WrongLength { .. })), "{label} {kind:?}: {result:?}");
            }
            assert_eq!(hex(&bytes_of(&ours)), hex(&before), "{label} {kind:?}");
            stream.write(&ours, kind, &vec![1; longest], NO_WAIT).unwrap();
            assert_eq!(read(&stream, &ours).unwrap(), (kind, vec![1; longest]), "{label} {kind:?}");
            ours.write(0, &before).unwrap();
        }
    }
}

#[test]
fn attach_refuses_a_segment_that_is_too_small() {
    for ((label, version), header) in VERSIONS.into_iter().zip([5, 5, 20]) {
        let (_name, ours) = fresh(header - 1);
        let result = Stream::attach(&ours, version);
        assert!(
            matches!(result, Err(Error::SegmentTooSmall { needed, .. }) if needed == header),
            "{label}: {result:?}"
        );
        let (_name, ours) = fresh(header);
        let stream = Stream::attach(&ours, version).unwrap();
        stream.write(&ours, Kind::String, b"", NO_WAIT).unwrap();
        assert_eq!(read(&stream, &ours).unwrap(), (Kind::String, vec![]), "{label}");
        assert!(matches!(
            stream.write(&ours, Kind::String, b"x", NO_WAIT),
            Err(Error::TooLarge { size: 1, limit: 0 })
        ));
    }
}

/// In V0, the offset of a message depends on its kind.
#[test]
fn an_empty_message_outside_the_segment_changes_nothing() {
    for (kind, needed) in [(Kind::Floats, 20), (Kind::Doubles, 40)] {
        for size in [5, 8, 12, needed - 1] {
            let (_name, ours) = fresh(size);
            let stream = Stream::attach(&ours, Version::V0).unwrap();
            let before = vec![0x11; size as usize];
            ours.write(0, &before).unwrap();
            let result = stream.write(&ours, kind, &[], NO_WAIT);
            assert!(
                matches!(result, Err(Error::SegmentTooSmall { needed: n, .. }) if n == needed),
                "{result:?}"
            );
            assert_eq!(bytes_of(&ours), before, "{kind:?} in {size}");
        }
        let (_name, ours) = fresh(needed);
        let stream = Stream::attach(&ours, Version::V0).unwrap();
        stream.write(&ours, kind, &[], NO_WAIT).unwrap();
        assert_eq!(read(&stream, &ours).unwrap(), (kind, vec![]));
    }
}

#[test]
fn in_v2_each_side_sees_what_the_other_has_done() {
    let (name, ours) = fresh(64);
    let theirs = open(&name);
    let (writer, reader) =
        (Stream::attach(&ours, Version::V2).unwrap(), Stream::attach(&theirs, Version::V2).unwrap());
    for text in ["one", "two", "three"] {
        writer.write(&ours, Kind::String, text.as_bytes(), NO_WAIT).unwrap();
        assert!(reader.has_new_data(&theirs).unwrap());
        assert!(!writer.is_message_read(&ours).unwrap());
        read(&reader, &theirs).unwrap();
        assert!(!reader.has_new_data(&theirs).unwrap());
        assert!(!writer.is_message_read(&ours).unwrap(), "reading alone tells the writer nothing");
        reader.mark_as_read(&theirs).unwrap();
        assert!(writer.is_message_read(&ours).unwrap());
    }
    // A message that comes between reading and marking is new and unread.
    writer.write(&ours, Kind::String, b"four", NO_WAIT).unwrap();
    read(&reader, &theirs).unwrap();
    writer.write(&ours, Kind::String, b"five", NO_WAIT).unwrap();
    reader.mark_as_read(&theirs).unwrap();
    assert!(reader.has_new_data(&theirs).unwrap() && !writer.is_message_read(&ours).unwrap());
    // Marking without reading marks the current message.
    reader.mark_as_read(&theirs).unwrap();
    assert!(!reader.has_new_data(&theirs).unwrap() && writer.is_message_read(&ours).unwrap());
    // To another reader, every message is new.
    let other = Stream::attach(&theirs, Version::V2).unwrap();
    assert!(other.has_new_data(&theirs).unwrap());
}

#[test]
fn in_v0_and_v1_a_flag_announces_a_message() {
    let (name, ours) = fresh(64);
    let theirs = open(&name);
    let (writer, reader) =
        (Stream::attach(&ours, Version::V1).unwrap(), Stream::attach(&theirs, Version::V1).unwrap());
    for text in ["one", "two", "three"] {
        writer.write(&ours, Kind::String, text.as_bytes(), NO_WAIT).unwrap();
        assert!(reader.has_new_data(&theirs).unwrap() && !writer.is_message_read(&ours).unwrap());
        read(&reader, &theirs).unwrap();
        assert!(!reader.has_new_data(&theirs).unwrap() && !writer.is_message_read(&ours).unwrap());
        reader.mark_as_read(&theirs).unwrap();
        assert!(!reader.has_new_data(&theirs).unwrap() && writer.is_message_read(&ours).unwrap());
    }
    // A message that comes between reading and marking is still seen as new.
    writer.write(&ours, Kind::String, b"four", NO_WAIT).unwrap();
    read(&reader, &theirs).unwrap();
    writer.write(&ours, Kind::String, b"five", NO_WAIT).unwrap();
    reader.mark_as_read(&theirs).unwrap();
    assert!(reader.has_new_data(&theirs).unwrap());
    assert_eq!(read(&reader, &theirs).unwrap().1, b"five");

    let (name, ours) = fresh(64);
    let theirs = read_only(&name);
    let (writer, reader) =
        (Stream::attach(&ours, Version::V0).unwrap(), Stream::attach(&theirs, Version::V0).unwrap());
    for text in ["one", "two", "three"] {
        writer.write(&ours, Kind::String, text.as_bytes(), NO_WAIT).unwrap();
        assert!(reader.has_new_data(&theirs).unwrap());
        reader.mark_as_read(&theirs).unwrap();
        assert!(!reader.has_new_data(&theirs).unwrap());
    }
    assert!(matches!(writer.is_message_read(&ours), Err(Error::NoAcknowledgement { .. })));
}

#[test]
fn read_only_memory_is_not_changed() {
    for (label, version) in VERSIONS {
        let (name, ours) = fresh(64);
        let theirs = read_only(&name);
        let writer = Stream::attach(&ours, version).unwrap();
        let reader = Stream::attach(&theirs, version).unwrap();
        writer.write(&ours, Kind::Floats, &[1; 12], NO_WAIT).unwrap();
        assert_eq!(read(&reader, &theirs).unwrap(), (Kind::Floats, vec![1; 12]), "{label}");
        let before = bytes_of(&ours);
        assert_read_only(reader.write(&theirs, Kind::String, b"x", NO_WAIT));
        assert_read_only(reader.reset(&theirs));
        if version != Version::V0 {
            assert_read_only(reader.mark_as_read(&theirs));
        }
        assert_eq!(bytes_of(&ours), before, "{label}");
    }
}

const LOCK: u64 = 16;

#[test]
fn each_wait_for_a_lock_has_a_limit() {
    let (name, ours) = fresh(64);
    let (theirs, looking) = (open(&name), read_only(&name));
    let stream = Stream::attach(&ours, Version::V2).unwrap();
    stream.write(&ours, Kind::String, b"before", NO_WAIT).unwrap();
    ours.store_u32(LOCK, 1).unwrap();
    let before = bytes_of(&ours);
    for wait in [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(50)] {
        let mut bytes = Vec::new();
        for segment in [&theirs, &looking] {
            let start = Instant::now();
            let result = stream.read_into(segment, &mut bytes, wait);
            assert!(matches!(result, Err(Error::TimedOut { .. })), "{result:?}");
            assert!(start.elapsed() >= wait && start.elapsed() < wait + Duration::from_secs(5));
        }
        let result = stream.write(&theirs, Kind::Doubles, &[0; 8], wait);
        assert!(matches!(result, Err(Error::TimedOut { .. })), "{result:?}");
    }
    assert_eq!(bytes_of(&ours), before);
    assert!(Stream::attach(&theirs, Version::V2).is_ok(), "otherwise no process could reset it");
    stream.reset(&theirs).unwrap();
    assert_eq!(hex(&bytes_of(&ours)[..20]), "00".repeat(20));
    assert!(matches!(read(&stream, &ours), Err(Error::Empty)));
    stream.write(&theirs, Kind::String, b"after", NO_WAIT).unwrap();
    assert_eq!(read(&stream, &ours).unwrap().1, b"after");
}

#[test]
fn a_lock_that_is_released_in_time_is_taken() {
    let (name, ours) = fresh(64);
    let theirs = open(&name);
    let stream = Stream::attach(&ours, Version::V2).unwrap();
    ours.store_u32(LOCK, 1).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            theirs.store_u32(LOCK, 0).unwrap();
        });
        stream.write(&ours, Kind::String, b"x", Duration::MAX).unwrap();
    });
    assert_eq!(ours.load_u32(LOCK).unwrap(), 0, "every return releases it");
    ours.write(0, &[0xFF]).unwrap();
    assert!(matches!(read(&stream, &ours), Err(Error::Invalid { .. })));
    assert_eq!(ours.load_u32(LOCK).unwrap(), 0, "every return releases it");
}

#[test]
fn a_refusal_names_the_field_its_value_and_the_limit() {
    for (label, version) in VERSIONS {
        let (_name, ours) = fresh(64);
        let stream = Stream::attach(&ours, version).unwrap();
        let told = |stream: &Stream| read(stream, &ours).unwrap_err().to_string();
        ours.write(0, &[67]).unwrap();
        let flags = "the flags field is 67, but besides 1, at most one of 2, 4 and 8 may be set";
        assert!(told(&stream).ends_with(flags), "{label}: {}", told(&stream));
        if version == Version::V2 {
            continue; // The next bytes are its lock.
        }
        ours.write(0, &[3]).unwrap();
        ours.write(1, &[0xFF; 20]).unwrap();
        let size = told(&stream);
        assert!(size.contains("the size of the message is 4294967295, but at most "), "{label}: {size}");
        assert!(size.ends_with(" bytes fit"), "{label}: {size}");
    }
}

#[test]
fn a_reset_stream_is_empty_and_usable() {
    for (label, version) in VERSIONS {
        let (_name, ours) = fresh(64);
        ours.fill(0, 64, 0xFF).unwrap();
        assert!(
            version == Version::V2 || matches!(Stream::attach(&ours, version), Err(Error::Invalid { .. })),
            "{label}"
        );
        ours.fill(0, 64, 0).unwrap();
        let stream = Stream::attach(&ours, version).unwrap();
        ours.fill(0, 64, 0xFF).unwrap();
        stream.reset(&ours).unwrap();
        assert!(matches!(read(&stream, &ours), Err(Error::Empty)), "{label}");
        for (_, kind, bytes) in values() {
            stream.write(&ours, kind, &bytes, NO_WAIT).unwrap();
            assert!(stream.has_new_data(&ours).unwrap());
            assert_eq!(read(&stream, &ours).unwrap(), (kind, bytes), "{label}");
        }
    }
}

/// Makes every call, whatever the memory holds. Each returns soon, with a result that fits.
fn call_everything(segment: &Segment, version: Version, context: &str) {
    let start = Instant::now();
    let stream = match Stream::attach(segment, version) {
        Ok(stream) => stream,
        Err(Error::Invalid { found, .. }) => {
            assert!(found <= u64::from(u32::MAX), "{context}");
            return;
        }
        Err(other) => panic!("{context}: {other}"),
    };
    let mut bytes = Vec::new();
    match stream.read_into(segment, &mut bytes, NO_WAIT) {
        Ok(kind) => {
            assert!(bytes.len() as u64 <= stream.capacity(segment, kind), "{context}");
            assert_eq!(bytes.len() as u64 % kind.element_size(), 0, "{context}");
        }
        Err(Error::Empty | Error::Invalid { .. } | Error::TimedOut { .. }) => {}
        Err(other) => panic!("{context}: {other}"),
    }
    stream.has_new_data(segment).unwrap();
    stream.mark_as_read(segment).unwrap();
    let _ = stream.is_message_read(segment);
    match stream.write(segment, Kind::Floats, &[0; 8], NO_WAIT) {
        Ok(()) => {
            stream.read_into(segment, &mut bytes, NO_WAIT).unwrap();
            assert_eq!(bytes, [0; 8], "{context}");
        }
        Err(Error::TimedOut { .. }) => {
            stream.reset(segment).unwrap();
            stream.write(segment, Kind::Floats, &[0; 8], NO_WAIT).unwrap();
        }
        Err(other) => panic!("{context}: {other}"),
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{context}");
}

/// A writer that is at work, or has died, has stored the flags of one message, and has left the size of
/// another.
#[test]
fn attach_to_v2_refuses_a_half_written_message_unless_it_is_locked() {
    let mut bytes = vec![0; 64];
    // Floats, of a size that is not a multiple of 4.
    (bytes[0], bytes[4], bytes[12]) = (4, 1, 7);
    let (_ours, theirs) = planted(&bytes);
    let error = Stream::attach(&theirs, Version::V2).unwrap_err();
    assert!(error.to_string().contains("stream of version V2"), "{error}");
    theirs.store_u32(LOCK, 1).unwrap();
    let stream = Stream::attach(&theirs, Version::V2).unwrap();
    stream.reset(&theirs).unwrap();
    stream.write(&theirs, Kind::Floats, &[7; 8], NO_WAIT).unwrap();
}

#[test]
fn errors_name_the_version() {
    for (version, name) in [(Version::V0, "stream of version V0"), (Version::V1, "stream of version V1")] {
        let (_ours, theirs) = planted(&[0xF0; 64]);
        let error = Stream::attach(&theirs, version).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        let (_name, small) = fresh(4);
        let error = Stream::attach(&small, version).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn no_field_is_trusted() {
    const SIZE: usize = 100;
    // The offset and size of each field; in V0, at each offset that it can have.
    let fields: [&[(usize, usize)]; 3] =
        [&[(0, 1), (1, 4), (4, 4), (8, 4)], &[(0, 1), (1, 4)], &[(0, 1), (4, 4), (8, 4), (12, 4), (16, 4)]];
    for ((label, version), fields) in VERSIONS.into_iter().zip(fields) {
        for (kind_label, ..) in values() {
            let mut golden = golden(&format!("stream_{label}_{kind_label}"));
            golden.resize(SIZE, 0);
            let (ours, theirs) = planted(&golden);
            for (at, size) in fields {
                for value in crate::common::layouts::hostile_values(SIZE as u64) {
                    let mut bytes = golden.clone();
                    bytes[*at..at + size].copy_from_slice(&value.to_le_bytes()[..*size]);
                    ours.write(0, &bytes).unwrap();
                    call_everything(&theirs, version, &format!("{label} {kind_label}: {value:#x} at {at}"));
                }
            }
        }
    }
}

#[test]
fn random_bytes_do_no_harm() {
    let mut random = Random::new();
    for size in [28, 45, 100] {
        let (ours, theirs) = planted(&vec![0; size]);
        for round in 0..rounds(3000) {
            let mut bytes: Vec<u8> = (0..size).map(|_| random.byte()).collect();
            // Otherwise nearly all would be refused for their flags or their size.
            bytes[0] &= if random.below(4) == 0 { 0xFF } else { 0x0F };
            for at in [2, 5, 9, 13, 17] {
                if random.below(4) != 0 {
                    bytes[at..at + 3].fill(0);
                }
            }
            for (label, version) in VERSIONS {
                ours.write(0, &bytes).unwrap();
                call_everything(&theirs, version, &format!("{label} round {round}: {}", hex(&bytes)));
            }
        }
    }
}

#[test]
fn a_size_that_changes_during_a_read_does_no_harm() {
    for ((label, version), size_at) in VERSIONS.into_iter().zip([1, 1, 12]) {
        let (ours, theirs) = planted(&golden(&format!("stream_{label}_string")));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let guard = SetAtEnd(&done);
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for size in [7, u32::MAX, 59, 60, 64, 0, 1 << 31] {
                        ours.write(size_at, &u32::to_le_bytes(size)).unwrap();
                    }
                }
            });
            // A panic must not end this thread, or the other one would run forever.
            let result = std::panic::catch_unwind(|| {
                let (mut good, mut bad) = (0, 0);
                let mut bytes = Vec::new();
                let start = Instant::now();
                while (good < 10_000 || bad < 10_000) && start.elapsed() < WAIT {
                    let Ok(stream) = Stream::attach(&theirs, version) else { continue };
                    match stream.read_into(&theirs, &mut bytes, NO_WAIT) {
                        Ok(_) => good += 1,
                        Err(Error::Invalid { .. }) => bad += 1,
                        Err(other) => panic!("{label}: {other}"),
                    }
                    assert!(bytes.len() <= 59, "{label}");
                }
                assert!(good > 100 && bad > 100, "{label}: {good} good, {bad} bad");
            });
            drop(guard);
            result.unwrap();
        });
    }
}

#[test]
fn a_message_stays_unread_if_reading_it_fails() {
    for (label, version) in VERSIONS {
        let (_name, ours) = fresh(100);
        let stream = Stream::attach(&ours, version).unwrap();
        stream.write(&ours, Kind::String, b"message", NO_WAIT).unwrap();
        let refused: Result<(), _> = stream
            .read_as(&ours, NO_WAIT, |_, message| Err(Error::OutOfMemory { size: message.len() as u64 }));
        assert!(matches!(refused, Err(Error::OutOfMemory { size: 7 })), "{label}: {refused:?}");
        assert!(stream.has_new_data(&ours).unwrap(), "{label}");
        let taken = stream.read_as(&ours, NO_WAIT, |kind, message| Ok((kind, message.to_vec())));
        assert_eq!(taken.unwrap(), (Kind::String, b"message".to_vec()), "{label}");
        assert!(!stream.has_new_data(&ours).unwrap(), "{label}");
    }
}

/// Even without the lock, a reader of V2 gets only whole messages.
#[test]
fn in_v2_readers_get_whole_messages() {
    const MESSAGES: u32 = 20_000;
    let (name, ours) = fresh(300);
    let (theirs, looking) = (open(&name), read_only(&name));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let guard = SetAtEnd(&done);
        for segment in [&theirs, &looking] {
            let done = &done;
            scope.spawn(move || {
                let stream = Stream::attach(segment, Version::V2).unwrap();
                let mut bytes = Vec::new();
                let mut seen = 0;
                while !done.load(Ordering::Relaxed) || stream.has_new_data(segment).unwrap() {
                    match stream.read_into(segment, &mut bytes, WAIT) {
                        Ok(_) => seen += 1,
                        Err(Error::Empty) => continue,
                        Err(other) => panic!("{other}"),
                    }
                    let first = bytes[0];
                    assert!(bytes.iter().all(|byte| *byte == first), "torn: {bytes:?}");
                    assert_eq!(bytes.len(), usize::from(first) + 1, "torn");
                }
                assert!(seen > 10, "{seen}");
            });
        }
        let mut writers = Vec::new();
        for segment in [&ours, &theirs] {
            writers.push(scope.spawn(move || {
                let stream = Stream::attach(segment, Version::V2).unwrap();
                for i in 0..MESSAGES {
                    let byte = u8::try_from(i % 200).unwrap();
                    let message = vec![byte; usize::from(byte) + 1];
                    stream.write(segment, Kind::Bytes, &message, WAIT).unwrap();
                }
            }));
        }
        let results: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        drop(guard);
        results.into_iter().for_each(|result| result.unwrap());
    });
    assert_eq!(ours.load_u32(4).unwrap(), 2 * MESSAGES, "each has its revision");
}

/// Not a test: what [`Peer`] runs. It repeats one operation until it is killed.
#[test]
fn peer() {
    if std::env::var_os("SHM_SEGMENT_PEER").is_none() {
        return;
    }
    let line = std::io::stdin().lines().next().unwrap().unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let version = VERSIONS[words[1].parse::<usize>().unwrap()].1;
    let segment = open(words[2]);
    let stream = Stream::attach(&segment, version).unwrap();
    println!("answer: ready");
    let mut bytes = Vec::new();
    loop {
        match words[0] {
            "write" => stream.write(&segment, Kind::Bytes, &[7; 30_000], WAIT).unwrap(),
            "read" => {
                let result = stream.read_into(&segment, &mut bytes, WAIT);
                assert!(matches!(result, Ok(_) | Err(Error::Empty)), "{result:?}");
            }
            other => panic!("unknown command {other}"),
        }
    }
}

/// A reader or a writer of each version is killed while this process does the opposite. In V2 the lock may
/// stay taken; then the call times out, and `reset` helps.
#[test]
fn no_call_hangs_when_a_peer_is_killed() {
    let mut random = Random::new();
    for (number, (label, version)) in VERSIONS.into_iter().enumerate() {
        for operation in ["write", "read"] {
            let (name, ours) = fresh(40_000);
            let stream = Stream::attach(&ours, version).unwrap();
            let mut left_locked = 0;
            let rounds = rounds(30);
            for round in 0..rounds {
                let context = format!("{label}, {operation}, round {round}");
                let mut peer = Peer::start("streams::peer");
                assert_eq!(peer.ask(&format!("{operation} {number} {}", &*name)), "ready");
                let end = Instant::now() + Duration::from_micros(random.below(3000));
                let mut bytes = Vec::new();
                let mut go_on = |wait: Duration| match operation {
                    "write" => stream.read_into(&ours, &mut bytes, wait).map(|_| ()),
                    _ => stream.write(&ours, Kind::Bytes, &[9; 20_000], wait),
                };
                while Instant::now() < end {
                    let start = Instant::now();
                    let result = go_on(WAIT);
                    let waited = start.elapsed();
                    assert!(
                        matches!(result, Ok(()) | Err(Error::Empty)),
                        "{context}: {result:?}, {waited:?}"
                    );
                }
                peer.kill();
                let start = Instant::now();
                match go_on(Duration::from_millis(10)) {
                    Ok(()) | Err(Error::Empty) => {}
                    Err(Error::TimedOut { .. }) if version == Version::V2 => {
                        left_locked += 1;
                        stream.reset(&ours).unwrap();
                    }
                    other => panic!("{context}: {other:?}"),
                }
                assert!(start.elapsed() < Duration::from_secs(5), "{context}");
                stream.write(&ours, Kind::String, b"next", NO_WAIT).unwrap();
                assert_eq!(read(&stream, &ours).unwrap(), (Kind::String, b"next".to_vec()), "{context}");
            }
            println!("{label}, killed in {operation}: {left_locked} of {rounds} left the lock taken");
        }
    }
}

#[cfg(target_os = "linux")]
mod partners {
    use super::*;
    use crate::common::Name;

    #[test]
    fn the_partner_makes_the_golden_files() {
        let folder =
            std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("golden-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        crate::common::layouts::python_writes_golden_files(&folder);
        let list = |folder: &std::path::Path| {
            let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|ending| ending == "hex"))
                .map(|path| {
                    let name = path.file_name().unwrap().to_string_lossy().into_owned();
                    (name, std::fs::read_to_string(path).unwrap())
                })
                .collect();
            files.sort();
            files
        };
        let (made, committed) =
            (list(&folder), list(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(made.len() > 20);
        assert_eq!(made, committed);
    }

    #[test]
    fn python_and_rust_exchange_messages() {
        for (label, version) in VERSIONS {
            let name = Name::new();
            let mut python = crate::common::layouts::python();
            assert_eq!(python.ask(&format!("create {} 64", &*name)), "done");
            let segment = open(&name);
            let stream = Stream::attach(&segment, version).unwrap();
            for (kind_label, kind, bytes) in values() {
                assert_eq!(python.ask(&format!("write {label} {kind_label} {}", hex(&bytes))), "done");
                assert!(stream.has_new_data(&segment).unwrap(), "{label} {kind_label}");
                assert_eq!(read(&stream, &segment).unwrap(), (kind, bytes.clone()));
                if version != Version::V0 {
                    assert_eq!(python.ask(&format!("is_read {label}")), "False");
                    stream.mark_as_read(&segment).unwrap();
                    assert_eq!(python.ask(&format!("is_read {label}")), "True");
                }
                stream.write(&segment, kind, &bytes, NO_WAIT).unwrap();
                assert_eq!(python.ask(&format!("read {label}")), format!("{kind_label} {}", hex(&bytes)));
                if version != Version::V0 {
                    assert!(!stream.is_message_read(&segment).unwrap());
                    assert_eq!(python.ask(&format!("mark {label}")), "done");
                    assert!(stream.is_message_read(&segment).unwrap());
                }
                // The next message starts from an empty stream again.
                stream.reset(&segment).unwrap();
            }
        }
    }

    const MESSAGES: u32 = 200_000;

    /// Returns the message of this revision, as the partner writes it.
    fn message(revision: u32) -> Vec<u8> {
        let i = revision - 1;
        vec![u8::try_from(i % 251).unwrap(); usize::try_from(i % 200 + 1).unwrap()]
    }

    #[test]
    fn reads_with_and_without_the_lock_are_whole_while_c_writes() {
        let (name, ours) = fresh(300);
        let looking = read_only(&name);
        let mut c = crate::common::layouts::c_program();
        assert_eq!(c.ask(&format!("open {}", &*name)), "done");
        c.send(&format!("flood {MESSAGES}"));
        thread::scope(|scope| {
            for segment in [&ours, &looking] {
                scope.spawn(move || {
                    let stream = Stream::attach(segment, Version::V2).unwrap();
                    let mut bytes = Vec::new();
                    let (mut last, mut seen) = (0, 0);
                    let start = Instant::now();
                    // The revision is not part of the result: it lies between the two reads of it.
                    while last < MESSAGES {
                        assert!(start.elapsed() < WAIT, "got as far as {last}");
                        let before = segment.load_u32(4).unwrap();
                        match stream.read_into(segment, &mut bytes, WAIT) {
                            Ok(kind) => assert_eq!(kind, Kind::String),
                            Err(Error::Empty) => continue,
                            Err(other) => panic!("{other}"),
                        }
                        let after = segment.load_u32(4).unwrap();
                        let is_whole = (before.max(1)..=after).any(|revision| bytes == message(revision));
                        assert!(is_whole, "torn, between {before} and {after}: {bytes:?}");
                        if segment.access() == shm_segment::Access::ReadWrite {
                            stream.mark_as_read(segment).unwrap();
                        }
                        seen += 1;
                        last = before;
                    }
                    println!("{:?}: {seen} looks", segment.access());
                });
            }
        });
        assert_eq!(c.answer(), "done");
    }

    #[test]
    fn c_reads_whole_messages_while_rust_writes() {
        let (name, ours) = fresh(300);
        let mut c = crate::common::layouts::c_program();
        assert_eq!(c.ask(&format!("open {}", &*name)), "done");
        c.send(&format!("watch {MESSAGES}"));
        let stream = Stream::attach(&ours, Version::V2).unwrap();
        for revision in 1..=MESSAGES {
            stream.write(&ours, Kind::String, &message(revision), WAIT).unwrap();
            // Waits for the reader to begin: all of this takes little time.
            while revision == 1 && !stream.is_message_read(&ours).unwrap() {
                thread::yield_now();
            }
        }
        let answer = c.answer();
        println!("{answer}");
        assert!(answer.ends_with("torn 0") && answer != "seen 1 torn 0", "{answer}");
        assert!(stream.is_message_read(&ours).unwrap());
    }

    #[test]
    fn a_write_times_out_after_c_died_with_the_lock() {
        let (name, ours) = fresh(300);
        let stream = Stream::attach(&ours, Version::V2).unwrap();
        let mut c = crate::common::layouts::c_program();
        assert_eq!(c.ask(&format!("open {}", &*name)), "done");
        assert_eq!(c.ask("lock 16"), "done");
        c.kill();
        let result = stream.write(&ours, Kind::String, b"x", Duration::from_millis(10));
        assert!(matches!(result, Err(Error::TimedOut { .. })), "{result:?}");
        stream.reset(&ours).unwrap();
        stream.write(&ours, Kind::String, b"x", NO_WAIT).unwrap();
    }

    #[test]
    fn a_truncated_segment_is_an_error() {
        for (label, version) in VERSIONS {
            let (name, ours) = fresh(8192);
            let stream = Stream::attach(&ours, version).unwrap();
            stream.write(&ours, Kind::Bytes, &[1; 8000], NO_WAIT).unwrap();
            std::fs::File::options().write(true).open(name.path()).unwrap().set_len(0).unwrap();
            for result in [
                read(&stream, &ours).map(|_| ()),
                stream.write(&ours, Kind::Bytes, b"x", NO_WAIT),
                stream.has_new_data(&ours).map(|_| ()),
                stream.reset(&ours),
            ] {
                assert!(
                    matches!(result, Err(Error::Segment(shm_segment::Error::Truncated { .. }))),
                    "{label}: {result:?}"
                );
            }
        }
    }
}
