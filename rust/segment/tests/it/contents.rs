//! Creating, opening, bytes in and out, bounds, sizes.

use crate::common::{Name, whole};
use shm_segment::{Access, Error, Options, Segment};

fn create(name: &str, size: u64) -> Segment {
    Options::new(name).create(size).unwrap()
}

#[test]
fn a_new_segment_has_its_size_and_is_zero() {
    let name = Name::new();
    for size in [1, 4095, 4096, 4097, 1_000_003] {
        let segment = create(&name, size);
        assert_eq!(segment.size(), size);
        assert_eq!(segment.current_size().unwrap(), whole(size));
        assert!(segment.is_created());
        let mut bytes = vec![1; usize::try_from(size).unwrap()];
        segment.read(0, &mut bytes).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 0));
    }
}

#[test]
fn each_side_reads_what_the_other_writes() {
    let name = Name::new();
    let ours = create(&name, 100);
    let theirs = Options::new(&format!("/{}", &*name)).open(0, Access::ReadWrite).unwrap();
    assert!(!theirs.is_created());
    assert_eq!(theirs.size(), whole(100));
    ours.write(10, b"ping").unwrap();
    theirs.write(96, b"pong").unwrap();
    theirs.fill(14, 3, b'!').unwrap();
    let mut text = [0; 8];
    theirs.read(10, &mut text).unwrap();
    assert_eq!(&text, b"ping!!!\0");
    ours.read(92, &mut text).unwrap();
    assert_eq!(&text, b"\0\0\0\0pong");
}

#[test]
fn words_are_changed_atomically() {
    let name = Name::new();
    let ours = create(&name, 16);
    let theirs = Options::new(&name).open(16, Access::ReadOnly).unwrap();
    ours.store_u32(4, 0x0403_0201).unwrap();
    let mut bytes = [0; 4];
    theirs.read(4, &mut bytes).unwrap();
    assert_eq!((bytes, theirs.load_u32(4).unwrap()), ([1, 2, 3, 4], 0x0403_0201));
    assert_eq!(ours.fetch_add_u32(4, 0x10).unwrap(), 0x0403_0201);
    assert_eq!(ours.compare_exchange_u32(4, 7, 8).unwrap(), 0x0403_0211);
    assert_eq!(ours.compare_exchange_u32(4, 0x0403_0211, 8).unwrap(), 0x0403_0211);
    assert_eq!(theirs.load_u32(4).unwrap(), 8);
    assert!(matches!(theirs.store_u32(4, 1), Err(Error::ReadOnly { .. })));
    assert!(matches!(theirs.fetch_add_u32(4, 1), Err(Error::ReadOnly { .. })));
    assert!(matches!(theirs.compare_exchange_u32(4, 8, 1), Err(Error::ReadOnly { .. })));
    assert_eq!(ours.swap_u32(4, 0xFFFF_FFFF).unwrap(), 8);
    assert_eq!(ours.fetch_add_u32(4, 2).unwrap(), 0xFFFF_FFFF);
    assert_eq!(theirs.load_u32(4).unwrap(), 1, "it wraps around");
    assert!(matches!(theirs.swap_u32(4, 8), Err(Error::ReadOnly { .. })));
    // Waking changes no byte.
    assert!(theirs.notify_u32(4).is_ok());

    ours.store_u64(8, 0x0807_0605_0403_0201).unwrap();
    let mut bytes = [0; 8];
    theirs.read(8, &mut bytes).unwrap();
    assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(ours.fetch_add_u64(8, 1).unwrap(), 0x0807_0605_0403_0201);
    assert_eq!(ours.swap_u64(8, u64::MAX).unwrap(), 0x0807_0605_0403_0202);
    assert_eq!(ours.compare_exchange_u64(8, 7, 8).unwrap(), u64::MAX);
    assert_eq!(ours.compare_exchange_u64(8, u64::MAX, 8).unwrap(), u64::MAX);
    assert_eq!(ours.load_u64(8).unwrap(), 8);
    if cfg!(target_pointer_width = "64") {
        assert_eq!(theirs.load_u64(8).unwrap(), 8);
    }
    for refused in [theirs.swap_u64(8, 1), theirs.fetch_add_u64(8, 1), theirs.compare_exchange_u64(8, 8, 1)] {
        assert!(matches!(refused, Err(Error::ReadOnly { .. })));
    }
    assert_eq!((ours.load_u32(4).unwrap(), ours.load_u64(8).unwrap()), (1, 8));
    assert!(matches!(ours.load_u64(4), Err(Error::Misaligned { offset: 4, alignment: 8 })));

    for (offset, is_misaligned) in [(13, true), (2, true), (16, false)] {
        let refused = [ours.load_u32(offset).err(), ours.store_u32(offset, 1).err()];
        for error in refused {
            match error {
                Some(Error::Misaligned { .. }) => assert!(is_misaligned, "{offset}"),
                Some(Error::OutOfBounds { .. }) => assert!(offset > 12, "{offset}"),
                other => panic!("{offset}: {other:?}"),
            }
        }
    }
}

#[test]
fn each_segment_has_its_own_id() {
    let name = Name::new();
    let ours = create(&name, 8);
    let theirs = Options::new(&name).open(0, Access::ReadOnly).unwrap();
    assert_ne!(ours.id(), theirs.id());
    let first = ours.id();
    drop((ours, theirs));
    assert_ne!(create(&name, 8).id(), first, "not even after it was closed");
}

#[test]
fn check_bounds_uses_the_size_of_the_segment() {
    let name = Name::new();
    let segment = create(&name, 10);
    for (offset, length) in [(0, 0), (0, 10), (10, 0), (9, 1)] {
        segment.check_bounds(offset, length).unwrap();
    }
    for (offset, length) in [(0, 11), (10, 1), (11, 0), (1, u64::MAX), (u64::MAX, 1), (u64::MAX, u64::MAX)] {
        let refused = segment.check_bounds(offset, length);
        assert!(
            matches!(refused, Err(Error::OutOfBounds { size: 10, .. })),
            "{offset}, {length}: {refused:?}"
        );
    }
}

#[test]
fn nothing_beyond_the_end_is_touched() {
    let name = Name::new();
    let segment = create(&name, 10);
    let mut into = [7; 4];
    for offset in [7, 10, 11, 4096, u64::MAX - 3, u64::MAX] {
        assert!(matches!(segment.read(offset, &mut into), Err(Error::OutOfBounds { size: 10, .. })));
        assert!(matches!(segment.write(offset, &into), Err(Error::OutOfBounds { .. })));
        assert!(matches!(segment.fill(offset, 4, 7), Err(Error::OutOfBounds { .. })));
    }
    assert!(segment.fill(0, u64::MAX, 7).is_err());
    assert_eq!(into, [7; 4]);
    let mut all = [1; 10];
    segment.read(0, &mut all).unwrap();
    assert_eq!(all, [0; 10]);
}

#[test]
fn an_opener_may_ask_for_less_but_not_more() {
    let name = Name::new();
    let _ours = create(&name, 100);
    let prefix = Options::new(&name).open(40, Access::ReadWrite).unwrap();
    assert_eq!(prefix.size(), 40);
    assert_eq!(prefix.current_size().unwrap(), whole(100));
    assert!(prefix.write(37, b"four").is_err());
    let more = whole(100) + 1;
    for result in
        [Options::new(&name).open(more, Access::ReadWrite), Options::new(&name).open_or_create(more)]
    {
        match result {
            Err(Error::TooSmall { actual, requested, .. }) => {
                assert_eq!((actual, requested), (whole(100), more));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_reader_can_only_read() {
    let name = Name::new();
    let ours = create(&name, 10);
    ours.write(0, b"x").unwrap();
    let reader = Options::new(&name).open(0, Access::ReadOnly).unwrap();
    let mut byte = [0];
    reader.read(0, &mut byte).unwrap();
    assert_eq!(&byte, b"x");
    assert!(matches!(reader.write(0, b"y"), Err(Error::ReadOnly { .. })));
    assert!(matches!(reader.fill(0, 1, 0), Err(Error::ReadOnly { .. })));
    assert_eq!(reader.access(), Access::ReadOnly);
}

#[test]
fn create_without_room_leaves_nothing() {
    let name = Name::new();
    for size in [1 << 50, i64::MAX as u64] {
        match Options::new(&name).create(size) {
            Err(Error::OutOfMemory { .. }) => {}
            other => panic!("{size}: {other:?}"),
        }
        assert!(!name.is_there());
    }
    for size in [0, i64::MAX as u64 + 1, u64::MAX] {
        assert!(matches!(Options::new(&name).create(size), Err(Error::InvalidSize { .. })));
    }
}

#[test]
fn errors_name_the_call_and_the_limit() {
    let name = Name::new();
    let error = Options::new(&name).create(1 << 50).unwrap_err().to_string();
    assert!(error.contains("1125899906842624") && error.contains(crate::common::RESERVING), "{error}");
    let error = Options::new(&"n".repeat(300)).create(1).unwrap_err().to_string();
    assert!(error.contains("300") && error.contains("255"), "{error}");
    let segment = create(&name, 10);
    let error = segment.write(8, b"four").unwrap_err().to_string();
    assert!(
        error.contains("offset 8") && error.contains("length 4") && error.contains("10 bytes"),
        "{error}"
    );
}
