//! Texts in each encoding, compared with Python's codecs.
//!
//! `SHM_SEGMENT_ROUNDS` sets the number of rounds, `SHM_SEGMENT_SEED` repeats a run.

use fastrand::Rng;
use shm_segment::{TextEncoding, TextError};

use crate::common::oracle::Oracle;
use crate::common::random::{rounds, seed};

const CODECS: [(TextEncoding, &str); 4] = [
    (TextEncoding::Utf8, "utf-8"),
    (TextEncoding::Latin1, "latin-1"),
    (TextEncoding::Utf16, "utf-16-le"),
    (TextEncoding::Utf32, "utf-32-le"),
];

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() { ".".to_owned() } else { crate::common::layouts::hex(bytes) }
}

fn utf32(units: impl Iterator<Item = u32>) -> Vec<u8> {
    units.flat_map(u32::to_le_bytes).collect()
}

/// Returns a unit at an edge, or any below U+110000: halves of surrogate pairs are among them.
fn some_unit(rng: &mut Rng) -> u32 {
    const EDGES: [u32; 16] = [
        1, 0x41, 0x7F, 0x80, 0xFF, 0x100, 0x7FF, 0x800, 0xD7FF, 0xD83D, 0xDBFF, 0xDE00, 0xE000, 0xFEFF,
        0xFFFF, 0x10_FFFF,
    ];
    match rng.u8(..4) {
        0 => rng.u32(1..0x11_0000),
        1 => rng.u32(1..0x100),
        _ => EDGES[rng.usize(..EDGES.len())],
    }
}

/// Returns bytes that are a text, almost one, or none.
fn some_bytes(rng: &mut Rng, encoding: TextEncoding) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..rng.usize(..8))
        .flat_map(|_| {
            let unit = some_unit(rng);
            match encoding {
                // Halves of pairs in any order, and whole pairs.
                TextEncoding::Utf16 if unit <= 0xFFFF => unit.to_le_bytes()[..2].to_vec(),
                TextEncoding::Utf32 if rng.u8(..8) == 0 => rng.u32(0x10_FF00..).to_le_bytes().to_vec(),
                TextEncoding::Utf32 => unit.to_le_bytes().to_vec(),
                TextEncoding::Latin1 => vec![rng.u8(..)],
                _ => encoding.encode(&[unit]).unwrap_or_else(|_| vec![rng.u8(..)]),
            }
        })
        .collect();
    if rng.u8(..3) == 0 {
        bytes.truncate(rng.usize(..=bytes.len()));
    }
    if !bytes.is_empty() && rng.u8(..4) == 0 {
        let at = rng.usize(..bytes.len());
        bytes[at] = rng.u8(..);
    }
    bytes
}

#[test]
fn texts_are_those_of_python() {
    let mut rng = Rng::with_seed(seed());
    let mut oracle = Oracle::start("text_oracle.py");
    let mut refused = 0;
    for round in 0..rounds(1000) {
        for (encoding, codec) in CODECS {
            let bytes = some_bytes(&mut rng, encoding);
            let text = encoding.decode(&bytes).unwrap();
            let ours = hex(&utf32(text.chars().map(u32::from)));
            assert_eq!(
                ours,
                oracle.ask(&format!("decode {codec} {}", hex(&bytes))),
                "round {round}, {codec}, {}",
                hex(&bytes)
            );

            let units: Vec<u32> = (0..rng.usize(..6)).map(|_| some_unit(&mut rng)).collect();
            let ours = match encoding.encode(&units) {
                Ok(bytes) => hex(&bytes),
                Err(TextError::NotUnicode { index, .. }) => format!("error {index}"),
                Err(TextError::NotLatin1 { index, .. }) => {
                    assert_eq!(encoding, TextEncoding::Latin1);
                    // Python names the first of both kinds.
                    format!("error {index}")
                }
                Err(error) => panic!("{error}"),
            };
            refused += usize::from(ours.starts_with("error"));
            let theirs = oracle.ask(&format!("encode {codec} {}", hex(&utf32(units.iter().copied()))));
            assert_eq!(ours, theirs, "round {round}, {codec}, {units:x?}");
        }
    }
    assert_ne!(refused, 0, "some texts can't be encoded");
}

#[test]
fn an_encoded_text_is_decoded_unchanged() {
    for text in ["", "a", "Grüße", "ÿ", "\u{FEFF}mark", "a😀b\u{10FFFF}"] {
        let units: Vec<u32> = text.chars().map(u32::from).collect();
        for (encoding, _) in CODECS {
            let Ok(bytes) = encoding.encode(&units) else {
                assert_eq!(encoding, TextEncoding::Latin1, "{text}");
                continue;
            };
            assert_eq!(encoding.decode(&bytes).unwrap(), text, "{encoding}");
            assert_eq!(encoding.up_to_nul(&bytes), bytes.len(), "{encoding}");
        }
    }
}

#[test]
fn a_nul_has_the_width_of_a_unit() {
    let bytes = b"a\0\0\0\0b\0\0\0\0\0\0\0c";
    for (encoding, end) in CODECS.map(|(encoding, _)| encoding).into_iter().zip([1, 1, 2, 8]) {
        assert_eq!(encoding.up_to_nul(bytes), end, "{encoding}");
    }
    // A part of a NUL ends nothing.
    assert_eq!(TextEncoding::Utf32.up_to_nul(&[1, 0, 0, 0, 0, 0, 0]), 7);
    assert_eq!(TextEncoding::Utf16.up_to_nul(&[]), 0);
}

#[test]
fn a_refused_text_names_the_character_and_its_position() {
    let message = |units: &[u32]| TextEncoding::Latin1.encode(units).unwrap_err().to_string();
    assert_eq!(message(&[0x61, 0x20AC]), "the character at index 1 is U+20AC, and Latin-1 ends at U+00FF");
    assert!(message(&[0xD800]).contains("not valid Unicode"));
    assert_eq!(TextEncoding::Latin1.encode(&[0x61, 0xFF]).unwrap(), [0x61, 0xFF]);
}
