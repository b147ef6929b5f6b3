//! Variants of the engine (`data/variants.bin`, made by `tests/harness/variant_corpus.gd`), unchanged and
//! with changed bytes.
//!
//! `SHM_SEGMENT_ROUNDS` sets the number of changes, `SHM_SEGMENT_SEED` repeats a run. With
//! `SHM_SEGMENT_ACCEPTED=FILE`, the accepted Variants are written to a file, for the same script to decode:
//! the engine must print nothing about them.

use std::cell::Cell;
use std::collections::BTreeSet;

use crate::common::random::{rounds, seed};
use fastrand::Rng;
use shm_segment::values::Source;
use shm_segment::values::variant::{
    Engine, Error, MAX_GROWTH, measure as measure_whole, measure_plain, remove_types, size,
};
use shm_segment::{Error as SegmentError, Options};

const CORPUS: &[u8] = include_bytes!("../data/variants.bin");
const TYPES: u8 = 39;

fn corpus() -> Vec<&'static [u8]> {
    let mut rest = CORPUS;
    let mut all = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let (bytes, after) = after.split_at(u32::from_le_bytes(*length).try_into().unwrap());
        all.push(bytes);
        rest = after;
    }
    assert!(rest.is_empty() && all.len() > 500);
    all
}

fn measure(bytes: &[u8]) -> Result<u64, Error> {
    size(bytes, 0, bytes.len() as u64, Engine::version(4, 6))
}

fn is_typed_dictionary(bytes: &[u8]) -> bool {
    bytes[0] == 27 && bytes[2] != 0
}

/// Returns Variants with numbers of 8 bytes, as an engine built with `precision=double` writes them.
fn wide() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (number, numbers) in
        [(5, 2), (7, 4), (9, 3), (11, 6), (12, 4), (14, 4), (15, 4), (16, 6), (17, 9), (18, 12), (19, 16)]
    {
        let mut bytes = vec![number, 0, 1, 0];
        bytes.extend((0..numbers).flat_map(|n| f64::from(n).to_le_bytes()));
        all.push(bytes);
    }
    for (number, numbers) in [(35, 2), (36, 3), (38, 4)] {
        let mut bytes = vec![number, 0, 1, 0, 3, 0, 0, 0];
        bytes.extend((0..3 * numbers).flat_map(|n| f64::from(n).to_le_bytes()));
        all.push(bytes);
    }
    all
}

#[test]
fn segments_and_copies_measure_the_same() {
    let name = shm_segment::generate_name("rust-test").unwrap();
    let size_of_segment = corpus().iter().map(|bytes| bytes.len()).max().unwrap() as u64 + 8;
    let segment = Options::new(&name).create(size_of_segment).unwrap();
    for bytes in corpus() {
        segment.write(4, bytes).unwrap();
        let found = size(&segment, 4, bytes.len() as u64, Engine::version(4, 6)).unwrap();
        assert_eq!(found, bytes.len() as u64);
    }
    let outside = size(&segment, size_of_segment, 8, Engine::version(4, 6));
    assert!(matches!(outside, Err(Error::Source(_))), "{outside:?}");
}

/// A long text in memory whose pages were never touched.
struct Holes {
    left: Cell<u64>,
}

impl Source for Holes {
    fn copy(&self, offset: u64, into: &mut [u8]) -> shm_segment::Result<()> {
        const HEADER: [u8; 8] = [4, 0, 0, 0, 0, 0, 0, 0x0c];
        into.fill(b'a');
        if offset == 0 {
            into[..8].copy_from_slice(&HEADER);
        }
        Ok(())
    }

    fn check_room(&self, length: u64) -> shm_segment::Result<()> {
        let left = self.left.get().checked_sub(length);
        self.left.set(left.ok_or(SegmentError::Unsupported { what: "more memory" })?);
        Ok(())
    }
}

#[test]
fn the_source_is_asked_for_memory_during_the_walk() {
    const TEXT: u64 = 0x0c00_0000;
    let measure = |left| {
        let holes = Holes { left: Cell::new(left) };
        (size(&holes, 0, 2 * TEXT, Engine::version(4, 6)), left - holes.left.get())
    };
    let (refused, asked) = measure(TEXT);
    assert!(matches!(refused, Err(Error::Source(SegmentError::Unsupported { .. }))), "{refused:?}");
    assert!(asked <= TEXT, "{asked}");
    let (found, asked) = measure(4 * TEXT);
    assert_eq!(found.unwrap(), TEXT + 8);
    assert!((TEXT..3 * TEXT).contains(&asked), "{asked}");
}

#[test]
fn the_size_is_that_of_the_engine() {
    let mut types = BTreeSet::new();
    let mut typed = BTreeSet::new();
    for bytes in corpus() {
        let length = bytes.len() as u64;
        assert_eq!(measure(bytes).unwrap(), length, "{bytes:?}");
        // The bytes after it make no difference.
        for after in [0, 0xff] {
            let mut more = bytes.to_vec();
            more.extend([after; 300]);
            assert_eq!(measure(&more).unwrap(), length);
        }
        types.insert(bytes[0]);
        if bytes[0] == 28 && bytes[2] == 1 {
            typed.insert(bytes[4]);
        }
        if is_typed_dictionary(bytes) {
            assert!(size(bytes, 0, length, Engine::version(4, 3)).is_err());
        }
    }
    // Callables and signals are also elements of typed arrays. null and objects are not: their number names
    // no element type.
    assert_eq!(types, (0..TYPES).collect());
    assert_eq!(typed, (1..TYPES).filter(|number| *number != 24).collect());
}

#[test]
fn every_truncation_is_an_error() {
    for bytes in corpus() {
        for length in 0..bytes.len() {
            let cut = &bytes[..length];
            assert!(matches!(measure(cut), Err(Error::Truncated { .. })), "{length} of {bytes:?}");
        }
    }
}

fn change(rng: &mut Rng, bytes: &mut Vec<u8>, all: &[Vec<u8>]) {
    let at = rng.usize(..bytes.len());
    let word = at / 4 * 4;
    match rng.u8(..7) {
        0 => bytes[at] ^= 1 << rng.u8(..8),
        1 => bytes[at] = rng.u8(..),
        2 => {
            let edges = [0, 1, 2, 3, 0x7f, 0xffff, 1 << 16, 1 << 31, (1 << 31) - 1, u32::MAX, u32::MAX - 3];
            let number = if rng.bool() { rng.u32(..40) } else { edges[rng.usize(..edges.len())] };
            let end = (word + 4).min(bytes.len());
            bytes[word..end].copy_from_slice(&number.to_le_bytes()[..end - word]);
        }
        // Another value in the place of, or before, the existing one.
        3 => drop(bytes.splice(word..word, all[rng.usize(..all.len())].iter().copied())),
        4 => drop(bytes.splice(word.., all[rng.usize(..all.len())].iter().copied())),
        5 => drop(bytes.drain(word..(word + 4 * rng.usize(1..4)).min(bytes.len()))),
        // The type and the flags.
        _ => {
            bytes[word] = rng.u8(..TYPES + 1);
            if let Some(flags) = bytes.get_mut(word + 2) {
                *flags = rng.u8(..16);
            }
        }
    }
    if bytes.is_empty() {
        bytes.push(0);
    }
}

#[test]
fn changed_bytes_are_measured_or_refused() {
    let rounds = rounds(20_000);
    let mut rng = Rng::with_seed(seed());
    let mut all: Vec<_> = corpus().into_iter().map(<[u8]>::to_vec).collect();
    all.extend(wide());
    let mut accepted = Vec::new();
    let mut passed = 0;
    for _ in 0..rounds {
        let original = &all[rng.usize(..all.len())];
        let mut bytes = original.clone();
        for _ in 0..rng.usize(1..4) {
            change(&mut rng, &mut bytes, &all);
        }
        let Ok(size) = measure(&bytes) else { continue };
        let size = usize::try_from(size).unwrap();
        assert!(size <= bytes.len());
        // The measured bytes are the whole value, and nothing else.
        assert_eq!(measure(&bytes[..size]).unwrap(), size as u64);
        assert!(measure(&bytes[..size - 1]).is_err());
        passed += 1;
        accepted.extend(u32::try_from(size).unwrap().to_le_bytes());
        accepted.extend(&bytes[..size]);
    }
    println!("{passed} passed, {} were refused", rounds - passed);
    assert!(passed > rounds / 20 && passed < rounds / 20 * 19);
    if let Some(path) = std::env::var_os("SHM_SEGMENT_ACCEPTED") {
        std::fs::write(path, accepted).unwrap();
    }
}

#[test]
fn values_of_the_engine_become_plain_or_hold_what_no_message_has() {
    let engine = Engine::version(4, 6);
    let (mut typed, mut plain) = (0, 0);
    for bytes in corpus() {
        let mut untyped = bytes.to_vec();
        let size = remove_types(&mut untyped, engine).unwrap();
        let measured = measure_whole(bytes, 0, bytes.len() as u64, engine).unwrap();
        assert!(measured.memory <= MAX_GROWTH * measured.size, "{measured:?}");
        match measure_plain(&untyped[..size], 0, size as u64) {
            Ok(after) => {
                assert_eq!(after.size, size as u64);
                typed += usize::from(size < bytes.len());
                plain += 1;
            }
            Err(error) => assert!(matches!(error, Error::NotPlain { .. } | Error::Null), "{error}"),
        }
    }
    assert!(typed > 20 && plain > 300, "{typed} of {plain}");
}
