//! Format strings, compared with Python's module `struct`: thousands of random formats and values.
//!
//! `SHM_SEGMENT_ROUNDS` sets the number of rounds, `SHM_SEGMENT_SEED` repeats a run.

use std::fmt::Write as _;

use crate::common::layouts::hex;
use crate::common::oracle::Oracle;
use crate::common::random::{rounds, seed};
use fastrand::Rng;
use shm_segment::values::structs::{Format, Value};

const CODES: &str = "xcbB?hHiIlLqQnNefdspP";
const SPACES: &str = " \t\n\x0b\x0c\r";
/// Larger structs are measured, but not packed or unpacked.
const MOST_BYTES: usize = 8192;

/// A value that owns its bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum Owned {
    Int(i64),
    Bool(bool),
    Float(f64),
    Bytes(Vec<u8>),
}

impl Owned {
    pub fn borrow(&self) -> Value<'_> {
        match self {
            Self::Int(value) => Value::Int(*value),
            Self::Bool(value) => Value::Bool(*value),
            Self::Float(value) => Value::Float(*value),
            Self::Bytes(value) => Value::Bytes(value),
        }
    }
}

/// Returns the value in the notation of the oracle.
fn word(value: Value<'_>) -> String {
    match value {
        Value::Int(value) => format!("i{value}"),
        Value::Bool(value) => format!("b{}", u8::from(value)),
        Value::Float(value) => format!("f{:016x}", value.to_bits()),
        Value::Bytes(value) => format!("s{}", hex(value)),
    }
}

fn or_dot(text: String) -> String {
    if text.is_empty() { ".".to_owned() } else { text }
}

/// Asks for the size, the packed bytes and the unpacked values.
pub fn ask(oracle: &mut Oracle, format: &str, values: &str, bytes: &str) -> [String; 3] {
    let format = or_dot(hex(format.as_bytes()));
    let answer = oracle.ask(&format!("{format} {values} {bytes}"));
    let words: Vec<_> = answer.split_whitespace().map(str::to_owned).collect();
    words.try_into().unwrap()
}

fn one_of(rng: &mut Rng, ascii: &str) -> char {
    char::from(ascii.as_bytes()[rng.usize(..ascii.len())])
}

/// Returns a format, and for each of its values the code and the length that a string may have.
fn some_format(rng: &mut Rng) -> (String, Vec<(char, usize)>) {
    let mut format = String::new();
    let mut values = Vec::new();
    format.push_str(["", "@", "=", "<", ">", "!"][rng.usize(..6)]);
    for _ in 0..rng.usize(..7) {
        if rng.u8(..6) == 0 {
            format.push(one_of(rng, SPACES));
        }
        let code = one_of(rng, CODES);
        let repeat = match rng.u8(..40) {
            0 => rng.usize(..),
            1 => rng.usize(1_000_000..4_000_000_000),
            2..8 if "sp".contains(code) => rng.usize(..600),
            2..24 => rng.usize(..6),
            _ => 1,
        };
        if repeat != 1 || rng.u8(..4) == 0 {
            write!(format, "{repeat}").unwrap();
        }
        format.push(code);
        match code {
            'x' => {}
            's' | 'p' => values.push((code, repeat)),
            _ => values.extend(std::iter::repeat_n((code, 1), repeat.min(MOST_BYTES))),
        }
    }
    if rng.u8(..30) == 0 {
        // A count at the end, a space in the wrong place, a prefix in the middle, or characters that are not
        // codes.
        let at = rng.usize(..=format.len());
        format.insert_str(at, ["7", "3 ", "<", "é", "\0", "z", "-1"][rng.usize(..7)]);
    }
    (format, values)
}

/// Returns a random text of characters that may have a meaning.
fn garbage(rng: &mut Rng) -> String {
    let alphabet: Vec<char> = format!("{CODES}{SPACES}@=<>!0123456789-.é\0kz").chars().collect();
    (0..rng.usize(..10)).map(|_| alphabet[rng.usize(..alphabet.len())]).collect()
}

fn some_int(rng: &mut Rng) -> i64 {
    let edge = [0, 1 << 7, 1 << 8, 1 << 15, 1 << 16, 1 << 31, 1 << 32, i64::MAX, i64::MIN][rng.usize(..9)];
    match rng.u8(..4) {
        0 => rng.i64(..),
        1 => rng.i64(-200..300),
        2 => edge.wrapping_add(rng.i64(-2..3)),
        _ => edge.wrapping_neg().wrapping_add(rng.i64(-2..3)),
    }
}

fn some_float(rng: &mut Rng) -> f64 {
    let least_half = 2f64.powi(-24);
    // The smallest value that rounds to infinity.
    let no_single = 2f64.powi(128) - 2f64.powi(103);
    let edges = [
        0.0,
        1.0,
        f64::INFINITY,
        f64::NAN,
        f64::MAX,
        f64::MIN_POSITIVE,
        f64::from_bits(1),
        f64::from(f32::MAX),
        f64::from(f32::MIN_POSITIVE),
        f64::from(f32::from_bits(1)),
        f64::from(f32::from_bits(1)) / 2.0,
        no_single,
        no_single.next_down(),
        65504.0,
        65520.0,
        65520.0_f64.next_down(),
        least_half,
        least_half / 2.0,
        (least_half / 2.0).next_up(),
        2f64.powi(-14),
        2f64.powi(-14).next_down(),
    ];
    let value = match rng.u8(..6) {
        0 | 1 => edges[rng.usize(..edges.len())],
        2 => rng.f64(),
        // Between two halves, exactly or almost.
        3 => {
            let middle = f64::from(rng.u32(..1 << 12)) / f64::from(1u32 << rng.u32(..30));
            [middle, middle.next_up(), middle.next_down()][rng.usize(..3)]
        }
        4 => f64::from(f32::from_bits(rng.u32(..))),
        _ => f64::from_bits(rng.u64(..)),
    };
    // Python's version decides how much of a NaN's payload is kept.
    let value = if value.is_nan() { f64::NAN } else { value };
    if rng.bool() { -value } else { value }
}

fn some_bytes(rng: &mut Rng, length: usize) -> Owned {
    let length = match rng.u8(..4) {
        0 => rng.usize(..4),
        1 => length.saturating_add(rng.usize(..3)).min(MOST_BYTES),
        _ => length.min(MOST_BYTES),
    };
    Owned::Bytes((0..length).map(|_| rng.u8(..)).collect())
}

fn some_value(rng: &mut Rng, code: char, length: usize) -> Owned {
    let kind = match code {
        _ if rng.u8(..40) == 0 => rng.u8(..4),
        '?' => rng.u8(..4),
        'c' | 's' | 'p' => 3,
        'e' | 'f' | 'd' if rng.u8(..4) > 0 => 2,
        _ => u8::from(rng.u8(..20) == 0),
    };
    match kind {
        0 => Owned::Int(some_int(rng)),
        1 => Owned::Bool(rng.bool()),
        2 => Owned::Float(some_float(rng)),
        _ => some_bytes(rng, length),
    }
}

/// Returns the value as a word for Python, which has unsigned integers where this crate has negative ones.
fn question(value: &Owned, code: char, native: bool) -> String {
    let long = native && size_of::<std::ffi::c_long>() == 8;
    let size = native && size_of::<usize>() == 8;
    match value {
        Owned::Int(value) if code == 'Q' || (code == 'L' && long) || (code == 'N' && size) => {
            format!("i{}", value.cast_unsigned())
        }
        _ => word(value.borrow()),
    }
}

/// Returns whether the format has a `p` of length 0. CPython up to some version 3.14 writes one byte for it,
/// and can't unpack it.
fn has_empty_pascal(format: &str) -> bool {
    let before = format.match_indices('p').map(|(at, _)| &format[..at]);
    before.into_iter().any(|before| {
        let count = &before[before.trim_end_matches(|c: char| c.is_ascii_digit()).len()..];
        !count.is_empty() && count.bytes().all(|digit| digit == b'0')
    })
}

/// Returns whether both are the same, except for the payload of a NaN.
fn same(ours: &str, theirs: &str) -> bool {
    let nan = |word: &str| {
        let bits = word.strip_prefix('f').and_then(|bits| u64::from_str_radix(bits, 16).ok());
        bits.map(f64::from_bits).filter(|value| value.is_nan()).map(f64::is_sign_negative)
    };
    ours == theirs || nan(ours).is_some_and(|sign| nan(theirs) == Some(sign))
}

#[derive(Debug, Default)]
struct Seen {
    formats_refused: u32,
    packed: u32,
    values_refused: u32,
    unpacked: u32,
}

fn compare(
    oracle: &mut Oracle,
    rng: &mut Rng,
    format: &str,
    codes: Option<&[(char, usize)]>,
    seen: &mut Seen,
) {
    let parsed = Format::parse(format);
    let fits = |format: &Format| format.size() <= MOST_BYTES && format.count() <= MOST_BYTES;
    let small = parsed.as_ref().ok().filter(|format| fits(format));
    let small = small.filter(|_| !has_empty_pascal(format));
    let bytes: Option<Vec<u8>> = small.map(|format| (0..format.size()).map(|_| rng.u8(..)).collect());
    let native = !format.starts_with(['=', '<', '>', '!']);

    let mut values = Vec::new();
    let mut words = "-".to_owned();
    if let (Some(_), Some(codes)) = (small, codes) {
        let mut codes = codes.to_vec();
        match rng.u8(..40) {
            0 => codes.truncate(codes.len().saturating_sub(1)),
            1 => codes.push(('i', 1)),
            _ => {}
        }
        values = codes.iter().map(|&(code, length)| some_value(rng, code, length)).collect();
        let all = values.iter().zip(&codes).map(|(value, &(code, _))| question(value, code, native));
        words = or_dot(all.collect::<Vec<_>>().join(","));
    }
    let raw = bytes.as_ref().map_or_else(|| "-".to_owned(), |bytes| or_dot(hex(bytes)));
    let [size, packed, unpacked] = ask(oracle, format, &words, &raw);

    let ours = parsed.as_ref().map_or_else(|_| "error".to_owned(), |format| format.size().to_string());
    assert_eq!(ours, size, "the size of {format:?}: {parsed:?}");
    seen.formats_refused += u32::from(parsed.is_err());
    let Some(parsed) = small else { return };

    if words != "-" {
        let borrowed: Vec<_> = values.iter().map(Owned::borrow).collect();
        let mut out = vec![0xaa; parsed.size()];
        let result = parsed.pack(&borrowed, &mut out);
        let ours = result.map_or_else(|_| "error".to_owned(), |()| or_dot(hex(&out)));
        assert_eq!(ours, packed, "{values:?} packed as {format:?}: {result:?}");
        seen.packed += u32::from(result.is_ok());
        seen.values_refused += u32::from(result.is_err());
    }
    let ours: Vec<_> = parsed.unpack(bytes.as_ref().unwrap()).unwrap().into_iter().map(word).collect();
    assert_eq!(ours.len(), parsed.count(), "the values of {format:?}");
    let theirs: Vec<_> = unpacked.split(',').filter(|word| *word != ".").collect();
    let equal = ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(a, b)| same(a, b));
    assert!(equal, "{raw} unpacked as {format:?}: {ours:?}, not {theirs:?}");
    seen.unpacked += 1;
}

#[test]
fn python_agrees() {
    let rounds = rounds(5000);
    let mut rng = Rng::with_seed(seed());
    let mut oracle = Oracle::start("struct_oracle.py");
    let mut seen = Seen::default();
    for _ in 0..rounds {
        if rng.u8(..4) == 0 {
            let format = garbage(&mut rng);
            compare(&mut oracle, &mut rng, &format, None, &mut seen);
        } else {
            let (format, codes) = some_format(&mut rng);
            compare(&mut oracle, &mut rng, &format, Some(&codes), &mut seen);
        }
    }
    println!("{seen:?}");
    // Errors alone compare nothing. A few rounds prove nothing about the generator.
    if let few @ 5.. = u32::try_from(rounds / 20).unwrap() {
        assert!(seen.packed > few && seen.values_refused > few, "{seen:?}");
        assert!(seen.unpacked > few && seen.formats_refused > few, "{seen:?}");
    }
}

/// Tries each code alone, with each prefix: every half, and the edges of every integer and float.
#[test]
fn python_agrees_on_every_edge() {
    let mut oracle = Oracle::start("struct_oracle.py");
    let mut seen = Seen::default();
    let mut rng = Rng::with_seed(0);
    let halves: Vec<_> = (0..=u16::MAX).collect();
    for halves in halves.chunks(MOST_BYTES / 2) {
        let bytes: Vec<_> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        let format = format!("<{}e", halves.len());
        let [_, _, theirs] = ask(&mut oracle, &format, "-", &hex(&bytes));
        let parsed = Format::parse(&format).unwrap();
        let ours: Vec<_> = parsed.unpack(&bytes).unwrap().into_iter().map(word).collect();
        assert!(ours.iter().zip(theirs.split(',')).all(|(a, b)| same(a, b)));
    }
    for prefix in ["", "@", "=", "<", ">", "!"] {
        for code in CODES.chars() {
            for count in ["", "0", "2", "3"] {
                let format = format!("{prefix}{count}{code}");
                let repeat = count.parse().unwrap_or(1);
                let codes = match code {
                    'x' => vec![],
                    's' | 'p' => vec![(code, repeat)],
                    _ => vec![(code, 1); repeat],
                };
                for _ in 0..4 {
                    compare(&mut oracle, &mut rng, &format, Some(&codes), &mut seen);
                }
            }
        }
    }
    println!("{seen:?}");
    assert!(seen.packed > 500 && seen.values_refused > 100, "{seen:?}");
}
