//! Tests with bytes made by hand. `tests/it/variants.rs` has those that the engine makes.
#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};

use super::*;

const NEW: Engine = Engine { typed_dictionaries: true };

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn check(bytes: &[u8]) -> Result<u64, Error> {
    size(bytes, 0, bytes.len() as u64, NEW)
}

fn text(number: u32, text: &[u8]) -> Vec<u8> {
    let mut bytes = words(&[number, u32::try_from(text.len()).unwrap()]);
    bytes.extend(text);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Returns `inner` in `depth` arrays.
fn nested(depth: usize, inner: &[u8]) -> Vec<u8> {
    let mut bytes = words(&[28, 1]).repeat(depth);
    bytes.extend(inner);
    bytes
}

/// Returns a dictionary with one key, whose value is null.
fn with_key(key: &[u8]) -> Vec<u8> {
    [words(&[27, 1]), key.to_vec(), words(&[0])].concat()
}

#[test]
fn bytes_after_the_value_are_not_read() {
    let mut bytes = words(&[0xffff_ffff, 2, 7, 0xffff_ffff]);
    assert_eq!(size(bytes.as_slice(), 4, 12, NEW).unwrap(), 8);
    bytes.truncate(11);
    let error = size(bytes.as_slice(), 4, 7, NEW).unwrap_err();
    assert!(matches!(error, Error::Truncated { at: 8, needed: 4, left: 3 }), "{error}");
    assert_eq!(error.to_string(), "the part at offset 8 takes at least 4 bytes, but 3 are left");
    // If the limit is wrong, the source reports it.
    assert!(matches!(size(bytes.as_slice(), 4, 12, NEW), Err(Error::Source(_))));
    assert!(matches!(size(bytes.as_slice(), u64::MAX, 12, NEW), Err(Error::Truncated { .. })));
}

#[test]
fn wide_numbers_take_eight_bytes() {
    for (number, numbers) in
        [(2, 1), (3, 1), (5, 2), (7, 4), (9, 3), (11, 6), (16, 6), (17, 9), (18, 12), (19, 16)]
    {
        for (header, width) in [(number, 4), (number | 1 << 16, 8)] {
            let mut bytes = words(&[header]);
            bytes.resize(4 + numbers * width, 0xff);
            assert_eq!(check(&bytes).unwrap(), bytes.len() as u64, "{header:#x}");
            assert!(check(&bytes[..bytes.len() - 1]).is_err());
        }
    }
    let mut bytes = words(&[36 | 1 << 16, 2]);
    bytes.resize(8 + 2 * 24, 1);
    assert_eq!(check(&bytes).unwrap(), 56);
}

#[test]
fn values_that_the_engine_prints_about_are_refused() {
    assert!(matches!(check(&words(&[39])), Err(Error::UnknownType { at: 0, number: 39 })));
    assert!(matches!(check(&words(&[24, 0, 0])), Err(Error::Object { at: 0 })));
    assert!(matches!(check(&words(&[22, 4, 0, 0])), Err(Error::OldNodePath { at: 0 })));
    for string in
        [&b"a\0b"[..], b"\0a", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80"]
    {
        for number in [4, 21] {
            assert!(
                matches!(check(&text(number, string)), Err(Error::InvalidString { at: 8 })),
                "{string:?}"
            );
        }
    }
    // Each string of a PackedStringArray ends so.
    for string in [&b"abc\0"[..], b"\0"] {
        assert_eq!(check(&text(4, string)).unwrap(), 12);
    }
    // An object's id is a value. So is a callable, which becomes an empty one.
    assert_eq!(check(&words(&[24 | 1 << 16, 5, 6])).unwrap(), 12);
    assert_eq!(check(&words(&[25])).unwrap(), 4);
}

#[test]
fn bits_without_a_meaning_are_refused() {
    for header in [1 | 1 << 16, 20 | 1 << 16, 2 | 1 << 8, 2 | 1 << 17, 28 | 1 << 18, 27 | 1 << 20] {
        let bytes = words(&[header, 0, 0, 0, 0, 0]);
        assert!(matches!(check(&bytes), Err(Error::UnknownFlags { at: 0, .. })), "{header:#x}");
    }
    // Godot 4.3 would take the type for the number of entries.
    let typed = words(&[27 | 0b01 << 16, 2, 0]);
    assert_eq!(check(&typed).unwrap(), 12);
    let error = size(typed.as_slice(), 0, 12, Engine::version(4, 3)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the header 0x0001001b at offset 0 has bits without a meaning for Dictionary"
    );
    assert_eq!(Engine::version(4, 4), NEW);
    assert_eq!(Engine::version(5, 0), NEW);
}

#[test]
fn strings_are_checked_across_windows() {
    for length in 0..1100 {
        for character in ["a", "é", "€", "😀"] {
            let string =
                [&"b".repeat(length % 4), character.repeat(length / character.len()).as_str()].concat();
            let bytes = text(4, string.as_bytes());
            assert_eq!(check(&bytes).unwrap(), bytes.len() as u64);
            let mut broken = bytes.clone();
            if string.len() > 1 {
                broken[8 + string.len() / 2 - 1] = if length.is_multiple_of(2) { 0xff } else { 0 };
            }
            assert_eq!(check(&broken).is_ok(), bytes == broken, "{length} {character}");
        }
    }
}

#[test]
fn a_count_is_not_believed() {
    let most = 0x7fff_ffff;
    for header in [28, 29, 30, 31, 34, 35, 36, 37, 38, 27, 4, 21, 26] {
        for count in [2, most, 0x8000_0000 | most, 0x4000_0000, 0x2000_0001, 0x1555_5556] {
            assert!(
                matches!(check(&words(&[header, count])), Err(Error::Truncated { .. })),
                "{header}: {count}"
            );
        }
    }
    for counts in [[0x8000_0000 | most, most, 2], [0x8000_0001, u32::MAX, 0], [0x8000_0000, u32::MAX, 2]] {
        let bytes = [words(&[22]), words(&counts), words(&[0])].concat();
        assert!(matches!(check(&bytes), Err(Error::Truncated { .. })));
    }
}

#[test]
fn missing_padding_is_refused() {
    let string = text(4, b"abcde");
    assert_eq!(check(&string).unwrap(), 16);
    assert!(check(&string[..15]).is_err());
    let packed = [words(&[29, 5]), vec![1; 8]].concat();
    assert_eq!(check(&packed).unwrap(), 16);
    assert!(check(&packed[..13]).is_err());
}

#[test]
fn elements_have_the_type_of_their_container() {
    let of = |kind: u32, elements: &[u32]| check(&words(&[&[28 | 0b01 << 16, kind], elements].concat()));
    assert_eq!(of(2, &[1, 2, 7]).unwrap(), 20);
    let error = of(2, &[1, 1, 7]).unwrap_err();
    assert_eq!(error.to_string(), "the value at offset 12 has the type bool, in a container of int");
    // null is an object, and an untyped array takes all.
    assert!(of(24, &[2, 0, 24 | 1 << 16, 1, 2]).is_ok());
    assert!(of(0, &[2, 0, 1, 1]).is_ok());
    assert!(matches!(of(39, &[0]), Err(Error::UnknownType { at: 4, number: 39 })));
    // An array of a class.
    let class = [words(&[28 | 0b10 << 16]), text(0, b"Node")[4..].to_vec(), words(&[1, 2, 7])].concat();
    assert!(matches!(check(&class), Err(Error::WrongElement { .. })));
    // A dictionary from int to String.
    let typed = |entry: &[Vec<u8>]| check(&[words(&[27 | 0b0101 << 16, 2, 4, 1]), entry.concat()].concat());
    assert!(typed(&[words(&[2, 7]), text(4, b"a")]).is_ok());
    assert!(matches!(typed(&[text(4, b"a"), words(&[2, 7])]), Err(Error::WrongElement { at: 16, .. })));
    assert!(matches!(typed(&[words(&[2, 7]), words(&[2, 7])]), Err(Error::WrongElement { at: 24, .. })));
}

#[test]
fn nesting_is_limited() {
    let null = words(&[0]);
    assert_eq!(check(&nested(MAX_DEPTH, &null)).unwrap(), 8 * 1024 + 4);
    assert!(matches!(check(&nested(MAX_DEPTH + 1, &null)), Err(Error::TooDeep { at: 8200 })));
    assert!(check(&with_key(&nested(MAX_KEY_DEPTH, &null))).is_ok());
    assert!(matches!(
        check(&with_key(&nested(MAX_KEY_DEPTH + 1, &null))),
        Err(Error::KeyTooDeep { at: 808 })
    ));
    // A dictionary in a key is part of the key, and so are its values. A value of the outer dictionary is
    // not.
    let value = [words(&[27, 1, 0]), nested(MAX_KEY_DEPTH, &null)].concat();
    assert!(check(&value).is_ok());
    assert!(matches!(check(&with_key(&value)), Err(Error::KeyTooDeep { .. })));
}

#[test]
fn memory_covers_the_values() {
    let memory = |bytes: &[u8]| measure(bytes, 0, bytes.len() as u64, NEW).unwrap().memory;
    assert!(memory(&words(&[0])) < 100);
    // Many empty containers take much more than their bytes, a packed array little more.
    let many = [words(&[28, 1000]), words(&[28, 0]).repeat(1000)].concat();
    assert!(memory(&many) > 20 * many.len() as u64);
    let packed = [words(&[29, 1 << 16]), vec![7; 1 << 16]].concat();
    assert!(memory(&packed) < 2 * packed.len() as u64);
    // A character takes 4 bytes.
    assert!(memory(&text(4, &[b'a'; 1000])) > 4000);
    let strings = [words(&[34, 1000]), words(&[0]).repeat(1000)].concat();
    assert!(memory(&strings) > 30_000);
}

/// Bytes that a peer writes all the time: none is the same twice.
struct Restless {
    state: Cell<u64>,
    bytes: RefCell<u64>,
}

impl Source for Restless {
    fn copy(&self, _offset: u64, into: &mut [u8]) -> crate::Result<()> {
        *self.bytes.borrow_mut() += into.len() as u64;
        for word in into.chunks_mut(4) {
            let state = self.state.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            self.state.set(state);
            // Small numbers: types, counts and lengths that are plausible.
            let number = u32::try_from(state >> 33).unwrap() % 40;
            word.copy_from_slice(&number.to_le_bytes()[..word.len()]);
        }
        Ok(())
    }
}

#[test]
fn measuring_ends_while_bytes_change() {
    let mut sizes = 0;
    for seed in 0..2000 {
        let source = Restless { state: Cell::new(seed << 40), bytes: RefCell::new(0) };
        if let Ok(size) = size(&source, 0, 4096, NEW) {
            assert!(size <= 4096);
            sizes += 1;
        }
        // A part of a window may be fetched again, but never more than that for each value.
        assert!(*source.bytes.borrow() <= 4096 * 64);
    }
    assert!(sizes > 100);
}

/// Returns an array with these values, each of which is complete.
fn array_of(values: &[Vec<u8>]) -> Vec<u8> {
    let count = u32::try_from(values.len()).unwrap();
    [&28_u32.to_le_bytes()[..], &count.to_le_bytes(), &values.concat()].concat()
}

fn nil() -> Vec<u8> {
    vec![0; 4]
}

#[test]
fn memory_grows_with_the_number_of_values() {
    let memory = |count: usize| {
        let bytes = array_of(&vec![nil(); count]);
        measure(&*bytes, 0, bytes.len() as u64, Engine::version(4, 6)).unwrap().memory
    };
    let (none, one, thousand) = (memory(0), memory(1), memory(1000));
    let each = one - none;
    assert!((24..100).contains(&each), "{each} bytes for a value of 24");
    assert_eq!(thousand - none, 1000 * each);
}

/// Only what is in a key has a lower limit.
#[test]
fn arrays_with_several_values_nest_as_deep_as_others() {
    let nested = |depth: usize, last: usize| {
        (0..depth).fold(nil(), |inner, _| {
            let mut values = vec![nil(); last];
            values.insert(0, inner);
            array_of(&values)
        })
    };
    for others in 0..4 {
        let bytes = nested(500, others);
        let found = size(&*bytes, 0, bytes.len() as u64, Engine::version(4, 6)).unwrap();
        assert_eq!(found, bytes.len() as u64, "{others}");
    }
}

/// Properties were once a part of the names. A flag tells that there is one more name.
#[test]
fn an_old_node_path_has_one_more_name() {
    const NODE_PATH: u32 = 22;
    let name = words(&[1, u32::from(b'a')]);
    for (flags, names) in [(0, 1), (1, 1), (2, 2), (3, 2)] {
        let bytes = [words(&[NODE_PATH, 0x8000_0001, 0, flags]), name.repeat(2)].concat();
        assert_eq!(check(&bytes).unwrap(), 16 + 8 * names, "{flags}");
    }
}

#[test]
fn plain_values_hold_nothing_that_another_program_lacks() {
    let plain = |bytes: &[u8]| measure_plain(bytes, 0, bytes.len() as u64);
    for (number, name, rest) in
        [(23, "RID", 8), (24 | 1 << 16, "Object", 8), (25, "Callable", 0), (26, "Signal", 12)]
    {
        let mut value = words(&[number]);
        value.resize(4 + rest, 0);
        assert_eq!(check(&value).unwrap(), value.len() as u64);
        for (bytes, at) in [(value.clone(), 0), (nested(3, &value), 24), (with_key(&value), 8)] {
            let error = plain(&bytes).unwrap_err();
            assert!(matches!(error, Error::NotPlain { at: found, .. } if found == at), "{error}");
            let expected = format!("a value of type {name} at offset {at}");
            assert!(error.to_string().contains(&expected), "{error}");
        }
    }
    for typed in [words(&[28 | 1 << 16, 2, 0]), words(&[27 | 1 << 18, 2, 0])] {
        assert_eq!(check(&typed).unwrap(), 12);
        assert!(matches!(plain(&typed), Err(Error::UnknownFlags { at: 0, .. })));
    }
    assert!(matches!(plain(&words(&[0])), Err(Error::Null)));
    assert_eq!(plain(&nested(1, &words(&[0]))).unwrap().size, 12);
}

#[test]
fn types_are_removed_at_any_depth() {
    let untyped = [
        nested(2, &words(&[2, 7])),
        with_key(&text(4, b"key")),
        nested(3, &with_key(&nested(2, &words(&[0])))),
        words(&[28, 3, 28, 0, 27, 0, 28, 1, 0]),
    ];
    for value in untyped {
        // The type null is that of a container of any values.
        let typed = value.chunks(4).flat_map(|word| match word[0] {
            28 => words(&[28 | 0b01 << 16, 0]),
            27 => words(&[27 | 0b0101 << 16, 0, 0]),
            _ => word.to_vec(),
        });
        let mut typed: Vec<u8> = typed.collect();
        assert_eq!(check(&typed).unwrap(), typed.len() as u64);
        let size = remove_types(&mut typed, NEW).unwrap();
        assert_eq!(typed[..size], value);
        let mut same = value.clone();
        assert_eq!(remove_types(&mut same, NEW).unwrap(), value.len());
        assert_eq!(same, value);
    }
    // Keys of a class, which is given by its name, and values that are typed arrays.
    let mut typed = [words(&[27 | 0b0110 << 16]), text(0, b"Node")[4..].to_vec(), words(&[28, 1])].concat();
    typed.extend(words(&[0, 28 | 1 << 16, 2, 1, 2, 7]));
    let size = remove_types(&mut typed, NEW).unwrap();
    assert_eq!(typed[..size], words(&[27, 1, 0, 28, 1, 2, 7]));
    let mut broken = words(&[28 | 1 << 16, 2, 1]);
    assert!(remove_types(&mut broken, NEW).is_err());
    assert_eq!(broken, words(&[28 | 1 << 16, 2, 1]), "unchanged");
}

#[test]
fn no_value_grows_beyond_the_limit() {
    for bytes in [
        words(&[28, 0]),
        words(&[27, 0]),
        with_key(&words(&[0])),
        with_key(&nested(1, &with_key(&words(&[28, 0])))),
        nested(500, &words(&[28, 0])),
        words(&[34, 3, 0, 0, 0]),
        words(&[22, 0x8000_0000, 0, 0]),
        words(&[4, 0]),
        words(&[29, 0]),
    ] {
        let measured = measure(&*bytes, 0, bytes.len() as u64, NEW).unwrap();
        assert!(measured.memory <= MAX_GROWTH * measured.size, "{bytes:?}: {measured:?}");
    }
}
