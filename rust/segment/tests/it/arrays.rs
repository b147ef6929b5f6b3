//! The arrays of shared-memory-zig: byte for byte, with a partner in Python, and with hostile partners.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::common::SetAtEnd;
use crate::common::layouts::{Random, bytes_of, fresh, golden, hex, open_part, planted, read_only, rounds};
use shm_segment::Segment;
use shm_segment::layout::Error;
use shm_segment::layout::array::Array;

fn get(array: &Array, segment: &Segment, index: u64) -> Result<Vec<u8>, Error> {
    let mut element = vec![0; usize::try_from(array.stride()).unwrap()];
    array.get(segment, index, &mut element).map(|()| element)
}

fn all(array: &Array, segment: &Segment) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    array.read_into(segment, &mut bytes).map(|()| bytes)
}

#[test]
fn golden_files_are_read() {
    let (_ours, theirs) = planted(&golden("array_struct"));
    let array = Array::attach(&theirs, 16).unwrap();
    assert_eq!(array.count(&theirs).unwrap(), 1);
    let element = get(&array, &theirs, 0).unwrap();
    assert_eq!(element[..4], 42i32.to_le_bytes());
    assert_eq!(element[8..], 6.02f64.to_le_bytes());

    let (_ours, theirs) = planted(&golden("array_slice"));
    let array = Array::attach(&theirs, 4).unwrap();
    assert_eq!(array.count(&theirs).unwrap(), 3, "the total has no effect");
    for (index, value) in (0..).zip([1i32, -2, 3]) {
        assert_eq!(get(&array, &theirs, index).unwrap(), value.to_le_bytes());
    }
    assert_eq!(all(&array, &theirs).unwrap(), [1i32, -2, 3].map(i32::to_le_bytes).concat());
}

#[test]
fn written_bytes_match_the_golden_file() {
    let (_name, ours) = fresh(30);
    let array = Array::attach(&ours, 4).unwrap();
    array.set(&ours, 1, &7i32.to_le_bytes()).unwrap();
    assert_eq!(hex(&bytes_of(&ours)), hex(&golden("array_fitting")));
    ours.fill(0, 16, 0xFF).unwrap();
    assert!(matches!(get(&array, &ours, 0), Err(Error::Invalid { .. })));
    array.reset(&ours).unwrap();
    assert_eq!(hex(&bytes_of(&ours)), hex(&golden("array_fitting")));
}

#[test]
fn attach_lays_out_as_many_elements_as_fit() {
    let (name, ours) = fresh(100);
    let theirs = open_part(&name, 100);
    let looking = read_only(&name);
    assert!(matches!(Array::attach(&looking, 4), Err(Error::NotLaidOutYet { .. })));
    assert_eq!(bytes_of(&ours)[..100], [0; 100]);
    assert!(matches!(Array::attach(&ours, 85), Err(Error::SegmentTooSmall { size: 100, needed: 101, .. })));
    assert!(matches!(Array::attach(&ours, 0), Err(Error::InvalidElementSize { given: 0, limit: 84, .. })));
    assert!(matches!(Array::attach(&ours, u64::MAX), Err(Error::SegmentTooSmall { .. })));
    let array = Array::attach(&ours, 84).unwrap();
    assert_eq!(array.count(&ours).unwrap(), 1);
    // A later attach with another element size changes nothing.
    assert_eq!(Array::attach(&ours, 3).unwrap().count(&ours).unwrap(), 1);
    assert!(matches!(Array::attach(&theirs, 85), Err(Error::SegmentTooSmall { needed: 101, .. })));
    let (_name, ours) = fresh(15);
    assert!(matches!(Array::attach(&ours, 1), Err(Error::SegmentTooSmall { needed: 16, .. })));
}

#[test]
fn missing_and_partial_elements_are_refused() {
    let (name, ours) = fresh(16 + 5 * 3);
    let array = Array::attach(&ours, 3).unwrap();
    array.fill(&ours, b"abc").unwrap();
    let before = bytes_of(&ours);
    for index in [5, 6, u64::MAX / 3, u64::MAX] {
        assert!(matches!(get(&array, &ours, index), Err(Error::NoSuchElement { count: 5, .. })));
        assert!(matches!(array.set(&ours, index, b"xyz"), Err(Error::NoSuchElement { count: 5, .. })));
    }
    for element in [&b""[..], b"xy", b"wxyz"] {
        assert!(matches!(array.set(&ours, 0, element), Err(Error::WrongLength { .. })));
        assert!(matches!(array.fill(&ours, element), Err(Error::WrongLength { .. })));
        assert!(matches!(array.get(&ours, 0, &mut element.to_vec()), Err(Error::WrongLength { .. })));
    }
    let theirs = read_only(&name);
    let looking = Array::attach(&theirs, 3).unwrap();
    for result in [looking.set(&theirs, 0, b"xyz"), looking.fill(&theirs, b"xyz"), looking.reset(&theirs)] {
        assert!(matches!(result, Err(Error::Segment(shm_segment::Error::ReadOnly { .. }))), "{result:?}");
    }
    assert_eq!(get(&looking, &theirs, 4).unwrap(), b"abc");
    assert_eq!(bytes_of(&ours), before);
}

/// Even the header of an array without elements is not trusted.
#[test]
fn attach_refuses_an_element_larger_than_the_segment() {
    let (name, ours) = fresh(16 + 100);
    ours.write(0, &16u64.to_le_bytes()).unwrap();
    let theirs = open_part(&name, 16 + 100);
    for segment in [&ours, &theirs] {
        assert_eq!(Array::attach(segment, 100).unwrap().count(segment).unwrap(), 0);
        for stride in [101, 1 << 40, u64::MAX] {
            let attached = Array::attach(segment, stride);
            assert!(matches!(attached, Err(Error::SegmentTooSmall { .. })), "{stride}: {attached:?}");
        }
    }
}

#[test]
fn fill_sets_large_elements() {
    for stride in [(64 << 10) - 1, 64 << 10, 200_000] {
        let (_name, ours) = fresh(16 + 3 * stride);
        let array = Array::attach(&ours, stride).unwrap();
        let element: Vec<u8> = (0..stride).map(|i| (i % 251) as u8).collect();
        array.fill(&ours, &element).unwrap();
        assert_eq!(all(&array, &ours).unwrap(), element.repeat(3), "{stride}");
    }
}

#[test]
fn fill_sets_every_element_and_no_byte_more() {
    // Less than, exactly, and more than one write covers; an element that is larger than that.
    for (stride, count) in [(1, 65_535), (1, 65_536), (1, 65_537), (7, 30_000), (4096, 33), (100_000, 2)] {
        let (_name, ours) = fresh(16 + stride * count + 5.min(stride - 1));
        let array = Array::attach(&ours, stride).unwrap();
        assert_eq!(array.count(&ours).unwrap(), count);
        let element: Vec<u8> = (0..stride).map(|i| u8::try_from(i % 255 + 1).unwrap()).collect();
        array.fill(&ours, &element).unwrap();
        assert!(all(&array, &ours).unwrap() == element.repeat(usize::try_from(count).unwrap()));
        let behind = bytes_of(&ours)[usize::try_from(16 + stride * count).unwrap()..].to_vec();
        assert!(behind.iter().all(|byte| *byte == 0), "no byte behind the last");
    }
}

/// Makes every call, whatever the memory holds.
fn call_everything(segment: &Segment, stride: u64, context: &str) {
    let array = match Array::attach(segment, stride) {
        Ok(array) => array,
        Err(Error::Invalid { .. } | Error::NotZeros { .. }) => return,
        Err(other) => panic!("{context}: {other}"),
    };
    let count = array.count(segment).unwrap();
    assert!(16 + count * stride <= segment.size(), "{context}");
    let element = vec![1; usize::try_from(stride).unwrap()];
    array.fill(segment, &element).unwrap();
    assert_eq!(all(&array, segment).unwrap().len() as u64, count * stride, "{context}");
    for index in [0, 1, count.wrapping_sub(1), count, u64::MAX] {
        assert_eq!(get(&array, segment, index).is_ok(), index < count, "{context}");
        assert_eq!(array.set(segment, index, &element).is_ok(), index < count, "{context}");
    }
}

#[test]
fn no_field_is_trusted() {
    for (file, stride) in [("array_struct", 16), ("array_slice", 4), ("array_fitting", 4)] {
        let golden = golden(file);
        let (ours, theirs) = planted(&golden);
        for at in [0, 8] {
            for value in crate::common::layouts::hostile_values(golden.len() as u64) {
                // Also values whose product with the stride would wrap around.
                for value in [value, (u64::MAX / stride).wrapping_add(value), value << 32] {
                    let mut bytes = golden.clone();
                    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
                    for stride in [1, 3, stride, 1 << 40, u64::MAX] {
                        ours.write(0, &bytes).unwrap();
                        let context = format!("{file}: {value:#x} at {at}, stride {stride}");
                        if stride < 1 << 40 {
                            call_everything(&theirs, stride, &context);
                        } else if let Ok(array) = Array::attach(&theirs, stride) {
                            assert_eq!(array.count(&theirs).unwrap(), 0, "{context}");
                            assert!(all(&array, &theirs).unwrap().is_empty(), "{context}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn random_bytes_do_no_harm() {
    let mut random = Random::new();
    let (ours, theirs) = planted(&[0; 100]);
    for round in 0..rounds(5000) {
        let mut bytes: Vec<u8> = (0..100).map(|_| random.byte()).collect();
        let kept = 8 + random.below(9) as usize;
        bytes[kept..16].fill(0);
        ours.write(0, &bytes).unwrap();
        let stride = 1 + random.below(20);
        call_everything(&theirs, stride, &format!("round {round}, stride {stride}: {}", hex(&bytes)));
    }
}

#[test]
fn a_count_that_changes_during_a_call_does_no_harm() {
    let (ours, theirs) = planted(&golden("array_slice"));
    let array = Array::attach(&theirs, 4).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let guard = SetAtEnd(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for count in [3, u64::MAX, 12, 13, 0, 1 << 62] {
                    ours.write(8, &u64::to_le_bytes(count)).unwrap();
                }
            }
        });
        let result = std::panic::catch_unwind(|| {
            let mut outcomes = [0; 2];
            let mut bytes = Vec::new();
            for _ in 0..50_000 {
                for result in [
                    array.read_into(&theirs, &mut bytes),
                    array.fill(&theirs, b"1234"),
                    array.set(&theirs, 11, b"1234"),
                ] {
                    outcomes[usize::from(result.is_ok())] += 1;
                    assert!(!matches!(result, Err(Error::Segment(_))), "{result:?}");
                    assert!(bytes.len() <= 48);
                }
            }
            assert!(outcomes.iter().all(|count| *count > 100), "{outcomes:?}");
        });
        drop(guard);
        result.unwrap();
    });
}

#[cfg(target_os = "linux")]
mod partners {
    use super::*;

    #[test]
    fn python_and_rust_see_the_same_elements() {
        let name = crate::common::Name::new();
        let mut python = crate::common::layouts::python();
        assert_eq!(python.ask(&format!("create {} 100", &*name)), "done");
        let theirs = crate::common::layouts::open(&name);
        let looking = read_only(&name);
        assert!(matches!(Array::attach(&looking, 8), Err(Error::NotLaidOutYet { .. })));
        assert_eq!(python.ask("array 96 10"), "done");
        let array = Array::attach(&theirs, 8).unwrap();
        for index in 0..10 {
            let element: [u8; 8] = std::array::from_fn(|i| u8::try_from(index * 8).unwrap() + i as u8);
            assert_eq!(python.ask(&format!("set {index} {}", hex(&element))), "done");
            assert_eq!(get(&array, &theirs, index).unwrap(), element);
            array.set(&theirs, 9 - index, &element).unwrap();
            assert_eq!(python.ask(&format!("get {} 8", 9 - index)), hex(&element));
        }
        array.fill(&theirs, b"in place").unwrap();
        assert_eq!(python.ask("get 9 8"), hex(b"in place"));
    }

    #[test]
    fn a_truncated_segment_is_an_error() {
        let (name, ours) = fresh(8192);
        let array = Array::attach(&ours, 8).unwrap();
        std::fs::File::options().write(true).open(name.path()).unwrap().set_len(4096).unwrap();
        for result in [
            all(&array, &ours).map(|_| ()),
            get(&array, &ours, 1000).map(|_| ()),
            array.set(&ours, 1000, &[0; 8]),
            array.fill(&ours, &[0; 8]),
        ] {
            assert!(
                matches!(result, Err(Error::Segment(shm_segment::Error::Truncated { .. }))),
                "{result:?}"
            );
        }
    }
}
