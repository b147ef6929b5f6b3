//! Wire formats over the bytes of another program, or of another format: they are refused, and stay as they
//! are.

use std::time::{Duration, Instant};

use crate::common::layouts::{
    NO_WAIT, Random, WAIT, bytes_of, fresh, golden, hex, open_part, planted, rounds,
};
use shm_segment::layout::array::Array;
use shm_segment::layout::queue::{self, Queue};
use shm_segment::layout::stream::{self, Kind, Stream};
use shm_segment::layout::{Error, Result};
use shm_segment::{Access, Options, Segment};

const SIZE: usize = 4096;
const STREAMS: [(&str, stream::Version); 3] =
    [("v0", stream::Version::V0), ("v1", stream::Version::V1), ("v2", stream::Version::V2)];
const QUEUES: [(&str, queue::Version); 2] = [("v1", queue::Version::V1), ("v2", queue::Version::V2)];

/// Returns contents that no wire format has: noise, a gradient, and pictures of one colour.
fn pixels() -> Vec<Vec<u8>> {
    let mut random = Random::new();
    let mut noise: Vec<u8> = (0..SIZE).map(|_| random.byte()).collect();
    let mut gradient: Vec<u8> = (0..SIZE).map(|at| (at % 256) as u8).collect();
    // Of V0 and V1, flags and a size are all that can be wrong.
    (noise[0], gradient[0]) = (0x66, 0x66);
    let colours = (1..=u8::MAX).map(|colour| vec![colour; SIZE]);
    [noise, gradient].into_iter().chain(colours).collect()
}

/// Attaches in each format. Returns each result, with a label.
fn attach_all(segment: &Segment) -> Vec<(String, Result<()>)> {
    let streams = STREAMS
        .map(|(label, version)| (format!("stream {label}"), Stream::attach(segment, version).map(drop)));
    let queues = QUEUES.iter().flat_map(|(label, version)| {
        [0, 100].map(|longest| {
            (format!("queue {label}, {longest}"), Queue::attach(segment, *version, longest).map(drop))
        })
    });
    let array = ("array".to_owned(), Array::attach(segment, 8).map(drop));
    streams.into_iter().chain(queues).chain([array]).collect()
}

fn is_refused<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Invalid { .. } | Error::NotZeros { .. }))
}

#[test]
fn attach_refuses_pixels() {
    for content in pixels() {
        let (ours, theirs) = planted(&content);
        for segment in [&theirs, &ours] {
            for (label, result) in attach_all(segment) {
                assert!(is_refused(&result), "{label} on {}: {result:?}", hex(&content[..20]));
            }
        }
        assert!(bytes_of(&ours)[..SIZE] == content);
    }
}

/// Returns each golden file of streams, with the label of its version, in memory of this size.
fn golden_streams(size: usize) -> Vec<(&'static str, Vec<u8>)> {
    let kinds = ["bytes", "string", "floats", "doubles", "second"];
    let files = STREAMS.into_iter().flat_map(|(label, _)| kinds.map(|kind| (label, kind)));
    files
        .map(|(label, kind)| {
            let mut bytes = golden(&format!("stream_{label}_{kind}"));
            bytes.resize(size, 0);
            (label, bytes)
        })
        .collect()
}

/// Returns whether this is the one message that looks like another: floats of V0 begin where those of V2 do.
/// Their size is where V2 has its revision, and the size of V2 is 0.
fn is_like_v2(made: &str, bytes: &[u8]) -> bool {
    made == "v0" && bytes[0] == 5
}

#[test]
fn messages_of_v2_and_of_older_versions_are_told_apart() {
    // In 20 MiB, the revision of V2 is a size of V1 that fits.
    for size in [64, 20 << 20] {
        for (made, bytes) in golden_streams(size) {
            let (_ours, theirs) = planted(&bytes);
            for (read, version) in STREAMS {
                let result = Stream::attach(&theirs, version);
                if (made == "v2") != (read == "v2") && !is_like_v2(made, &bytes) {
                    assert!(is_refused(&result), "{made} as {read}: {result:?}, {}", hex(&bytes[..40]));
                }
            }
        }
    }
    // A revision whose low byte is 0 looks like an empty message of V1.
    for revision in [256u32, 512, 1 << 24, 0xFFFF_FF00] {
        let mut bytes = golden("stream_v2_string");
        bytes[4..8].copy_from_slice(&revision.to_le_bytes());
        let (_ours, theirs) = planted(&bytes);
        Stream::attach(&theirs, stream::Version::V2).unwrap();
        for (label, version) in &STREAMS[..2] {
            let result = Stream::attach(&theirs, *version);
            assert!(is_refused(&result), "{revision} as {label}: {result:?}");
        }
    }
}

/// The other side may also write in another version than this one was attached as.
#[test]
fn calls_refuse_messages_of_another_version() {
    for (label, version) in STREAMS {
        for (made, bytes) in golden_streams(SIZE) {
            if (made == "v2") == (label == "v2") || is_like_v2(made, &bytes) {
                continue;
            }
            let (name, ours) = fresh(SIZE as u64);
            let theirs = open_part(&name, SIZE as u64);
            let stream = Stream::attach(&theirs, version).unwrap();
            ours.write(0, &bytes).unwrap();
            for result in stream_calls(&stream, &theirs) {
                assert!(
                    matches!(result, Err(Error::Invalid { .. } | Error::ResetRefused { .. })),
                    "{made} as {label}: {result:?}"
                );
            }
            assert_eq!(bytes_of(&ours)[..SIZE], bytes, "{made} as {label}");
        }
    }
}

/// A writer of libsharedmemory clears all fields except the flags when it starts.
#[test]
fn flags_without_a_revision_are_no_message() {
    let mut bytes = vec![0; 64];
    bytes[0] = 3;
    let (_ours, theirs) = planted(&bytes);
    let stream = Stream::attach(&theirs, stream::Version::V2).unwrap();
    let mut into = Vec::new();
    assert!(matches!(stream.read_into(&theirs, &mut into, NO_WAIT), Err(Error::Empty)));
    assert!(!stream.has_new_data(&theirs).unwrap());
}

/// The header of V0 and V1 is five bytes, so much else may look like one. All other headers are larger.
#[test]
fn one_format_is_refused_as_another() {
    let queues = QUEUES.iter().flat_map(|(label, _)| ["new", "full", "around"].map(|state| (label, state)));
    let queues = queues.map(|(label, state)| ("queue", format!("queue_{label}_{state}")));
    let arrays = ["struct", "slice", "fitting"].map(|of| ("array", format!("array_{of}")));
    for (kind, file) in queues.chain(arrays) {
        let mut bytes = golden(&file);
        bytes.resize(SIZE, 0);
        let (ours, theirs) = planted(&bytes);
        for (label, result) in attach_all(&theirs) {
            if !label.starts_with(kind) && !["stream v0", "stream v1"].contains(&label.as_str()) {
                assert!(is_refused(&result), "{file} as {label}: {result:?}");
            }
        }
        assert_eq!(bytes_of(&ours)[..SIZE], bytes);
    }
    for (made, bytes) in golden_streams(SIZE) {
        let (ours, theirs) = planted(&bytes);
        for (label, result) in attach_all(&theirs) {
            if !label.starts_with("stream") {
                assert!(is_refused(&result), "stream {made} as {label}: {result:?}");
            }
        }
        assert_eq!(bytes_of(&ours)[..SIZE], bytes);
    }
}

/// Where V1 has its first message, V2 has its locks.
#[test]
fn a_queue_of_v1_with_a_message_is_refused_as_v2() {
    for state in ["full", "around"] {
        let mut bytes = golden(&format!("queue_v1_{state}"));
        bytes.resize(SIZE, 0);
        let (_ours, theirs) = planted(&bytes);
        let result = Queue::attach(&theirs, queue::Version::V2, 0);
        assert!(is_refused(&result), "{state}: {result:?}");
    }
}

fn stream_calls(stream: &Stream, segment: &Segment) -> Vec<Result<()>> {
    let mut bytes = Vec::new();
    let mut results = vec![
        stream.has_new_data(segment).map(drop),
        stream.read_into(segment, &mut bytes, WAIT).map(drop),
        stream.write(segment, Kind::String, b"x", WAIT),
        stream.reset(segment),
    ];
    if stream.version() != stream::Version::V0 {
        // V0 has no acknowledgement.
        results.push(stream.mark_as_read(segment));
        results.push(stream.is_message_read(segment).map(drop));
    }
    results
}

fn queue_calls(queue: &Queue, segment: &Segment) -> Vec<Result<()>> {
    let mut bytes = Vec::new();
    vec![
        queue.count(segment).map(drop),
        queue.peek_into(segment, &mut bytes, WAIT),
        queue.dequeue_into(segment, &mut bytes, WAIT),
        queue.enqueue(segment, b"x", WAIT),
        queue.reset(segment),
    ]
}

/// No call waits for a lock that isn't one, writes a byte, or makes something of such bytes.
#[test]
fn memory_that_becomes_foreign_stays_as_it_is() {
    let start = Instant::now();
    for content in pixels() {
        let (name, ours) = fresh(SIZE as u64);
        let theirs = open_part(&name, SIZE as u64);
        let mut results = Vec::new();
        let mut check = |label: &str, calls: &dyn Fn() -> Vec<Result<()>>| {
            ours.write(0, &content).unwrap();
            for result in calls() {
                assert!(
                    matches!(result, Err(Error::Invalid { .. } | Error::ResetRefused { .. })),
                    "{label} on {}: {result:?}",
                    hex(&content[..20])
                );
                results.push(result);
            }
            assert!(bytes_of(&ours)[..SIZE] == content, "{label}");
            ours.fill(0, SIZE as u64, 0).unwrap();
        };
        for (label, version) in STREAMS {
            let stream = Stream::attach(&theirs, version).unwrap();
            check(label, &|| stream_calls(&stream, &theirs));
        }
        for (label, version) in QUEUES {
            let queue = Queue::attach(&theirs, version, 100).unwrap();
            check(label, &|| queue_calls(&queue, &theirs));
        }
        let array = Array::attach(&theirs, 8).unwrap();
        check("array", &|| {
            let mut bytes = Vec::new();
            vec![
                array.count(&theirs).map(drop),
                array.set(&theirs, 0, &[1; 8]),
                array.fill(&theirs, &[1; 8]),
                array.read_into(&theirs, &mut bytes),
                array.reset(&theirs),
            ]
        });
        let refused = results.iter().filter(|result| matches!(result, Err(Error::ResetRefused { .. })));
        assert_eq!(refused.count(), STREAMS.len() + QUEUES.len() + 1);
    }
    assert!(start.elapsed() < WAIT, "a single wait takes as long");
}

/// A word that is neither 0 nor 1 is no lock.
#[test]
fn a_word_that_is_no_lock_is_not_waited_for() {
    let (name, ours) = fresh(SIZE as u64);
    let theirs = open_part(&name, SIZE as u64);
    let stream = Stream::attach(&theirs, stream::Version::V2).unwrap();
    stream.write(&theirs, Kind::String, b"message", NO_WAIT).unwrap();
    ours.store_u32(16, 2).unwrap();
    let start = Instant::now();
    for result in stream_calls(&stream, &theirs) {
        assert!(matches!(result, Err(Error::Invalid { .. } | Error::ResetRefused { .. })), "{result:?}");
    }
    let looking = Options::new(&name).open(SIZE as u64, Access::ReadOnly).unwrap();
    let mut bytes = Vec::new();
    let result = stream.read_into(&looking, &mut bytes, WAIT);
    assert!(matches!(result, Err(Error::Invalid { what: "the lock", found: 2, .. })), "{result:?}");

    ours.fill(0, SIZE as u64, 0).unwrap();
    let queue = Queue::attach(&theirs, queue::Version::V2, 100).unwrap();
    queue.enqueue(&theirs, b"message", NO_WAIT).unwrap();
    for (lock, call) in [(20, 3), (24, 1), (24, 2)] {
        ours.store_u32(lock, 2).unwrap();
        let result = queue_calls(&queue, &theirs).swap_remove(call);
        assert!(matches!(result, Err(Error::Invalid { what: "the lock", found: 2, .. })), "{result:?}");
        assert!(is_refused(&Queue::attach(&theirs, queue::Version::V2, 0)));
        ours.store_u32(lock, 0).unwrap();
    }
    assert!(start.elapsed() < WAIT);
}

#[test]
fn an_acknowledgement_ahead_of_its_revision_is_refused() {
    let (name, ours) = fresh(64);
    let theirs = open_part(&name, 64);
    let stream = Stream::attach(&theirs, stream::Version::V2).unwrap();
    stream.write(&theirs, Kind::String, b"message", NO_WAIT).unwrap();
    for acknowledged in [2, 3, 1 << 31] {
        ours.store_u32(8, acknowledged).unwrap();
        for result in stream_calls(&stream, &theirs) {
            assert!(matches!(result, Err(Error::Invalid { .. } | Error::ResetRefused { .. })), "{result:?}");
        }
    }
    // A reader that has read before a reset acknowledges nothing after it.
    ours.store_u32(8, 0).unwrap();
    Stream::attach(&ours, stream::Version::V2).unwrap().reset(&ours).unwrap();
    stream.mark_as_read(&theirs).unwrap();
    stream.write(&theirs, Kind::String, b"next", NO_WAIT).unwrap();
}

/// Readers acknowledge each message or none, or stopped long ago.
#[test]
fn a_stream_stays_valid_when_its_revision_wraps_around() {
    for acknowledged in [0, 1000, 1 << 31, u32::MAX] {
        let (name, ours) = fresh(64);
        let theirs = open_part(&name, 64);
        let stream = Stream::attach(&theirs, stream::Version::V2).unwrap();
        stream.write(&theirs, Kind::String, b"message", NO_WAIT).unwrap();
        ours.store_u32(4, u32::MAX - 1).unwrap();
        ours.store_u32(8, acknowledged.min(u32::MAX - 1)).unwrap();
        let mut bytes = Vec::new();
        for round in 0..4 {
            stream.write(&theirs, Kind::String, b"next", NO_WAIT).unwrap();
            stream.read_into(&theirs, &mut bytes, NO_WAIT).unwrap();
            Stream::attach(&theirs, stream::Version::V2).unwrap();
            if acknowledged == u32::MAX {
                stream.mark_as_read(&theirs).unwrap();
            }
            assert_eq!(stream.is_message_read(&theirs).unwrap(), acknowledged == u32::MAX || round == 1);
        }
    }
    // Half of all revisions later, a stream that no reader acknowledges is one as well.
    let (name, ours) = fresh(64);
    let stream = Stream::attach(&ours, stream::Version::V2).unwrap();
    stream.write(&ours, Kind::String, b"message", NO_WAIT).unwrap();
    ours.store_u32(4, (1 << 31) + 1).unwrap();
    Stream::attach(&open_part(&name, 64), stream::Version::V2).unwrap();
}

#[test]
fn the_creator_resets_whatever_is_there() {
    for content in pixels().iter().take(3) {
        let (_name, ours) = fresh(SIZE as u64);
        let mut bytes = Vec::new();
        for (label, version) in STREAMS {
            ours.fill(0, SIZE as u64, 0).unwrap();
            let stream = Stream::attach(&ours, version).unwrap();
            ours.write(0, content).unwrap();
            stream.reset(&ours).unwrap();
            stream.write(&ours, Kind::String, b"x", NO_WAIT).unwrap();
            assert_eq!(stream.read_into(&ours, &mut bytes, NO_WAIT).unwrap(), Kind::String, "{label}");
        }
        for (label, version) in QUEUES {
            ours.fill(0, SIZE as u64, 0).unwrap();
            let queue = Queue::attach(&ours, version, 100).unwrap();
            ours.write(0, content).unwrap();
            queue.reset(&ours).unwrap();
            assert_eq!(queue.max_message_size(&ours).unwrap(), 100, "{label}");
        }
        ours.fill(0, SIZE as u64, 0).unwrap();
        let array = Array::attach(&ours, 8).unwrap();
        ours.write(0, content).unwrap();
        array.reset(&ours).unwrap();
        assert_eq!(array.count(&ours).unwrap(), (SIZE as u64 - 16) / 8);
    }
}

/// Attaching, asking and reading write no byte, whatever is there. V0 and V1 take random bytes for a message
/// if flags and size fit. All others are always refused.
#[test]
fn random_bytes_are_hardly_ever_taken_for_a_message() {
    let mut random = Random::new();
    let (ours, theirs) = planted(&[0; SIZE]);
    let (mut bytes, mut into) = (vec![0; SIZE], Vec::new());
    let mut taken = [0u64; STREAMS.len()];
    // Among fewer, there may be none that is taken.
    let rounds = rounds(5_000).max(5_000);
    for round in 0..rounds {
        for byte in &mut bytes {
            *byte = random.byte();
        }
        // Otherwise hardly one round would get further than the flags and the size.
        let has_flags = round % 2 == 0;
        if has_flags {
            bytes[0] = [0, 1, 2, 3, 4, 5, 8, 9][random.below(8) as usize];
            // A size below 64 KiB.
            bytes[3..5].fill(0);
        }
        ours.write(0, &bytes).unwrap();
        for (count, (label, version)) in taken.iter_mut().zip(STREAMS) {
            let Ok(stream) = Stream::attach(&theirs, version) else { continue };
            let _ = stream.has_new_data(&theirs);
            if stream.read_into(&theirs, &mut into, NO_WAIT).is_ok() {
                assert!(has_flags, "{label}: {}", hex(&bytes[..20]));
                assert!(into.len() < SIZE, "{label}");
                *count += 1;
            }
        }
        for (label, result) in attach_all(&theirs).into_iter().skip(STREAMS.len()) {
            assert!(is_refused(&result), "{label}: {result:?}");
        }
        assert!(bytes_of(&ours)[..SIZE] == bytes);
    }
    println!("of {rounds}, half of them with the flags and a short size: {taken:?} were taken for a message");
    // A size below 64 KiB fits into 4 KiB in one of 16 cases. For floats and doubles, it is also a multiple.
    assert!(taken[1] > 0 && taken[1] < rounds / 16, "{taken:?}");
    assert_eq!(taken[2], 0, "V2 has more fields that must fit");
}

#[test]
fn zeros_are_an_empty_stream() {
    for (label, version) in STREAMS {
        let (ours, theirs) = planted(&[0; SIZE]);
        let stream = Stream::attach(&theirs, version).unwrap();
        let mut bytes = Vec::new();
        let start = Instant::now();
        let result = stream.read_into(&theirs, &mut bytes, WAIT);
        assert!(matches!(result, Err(Error::Empty)), "{label}: {result:?}");
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(bytes_of(&ours)[..SIZE] == [0; SIZE]);
    }
}
