//! Any format strings of Python's module `struct`, with bytes to unpack and values to pack.
//!
//! A test of the segment crate compares the results with those of CPython. This target checks that nothing
//! panics, that errors are true, and that packed values are unpacked unchanged.

use arbitrary::Arbitrary;
use shm_segment::values::structs::{Format, FormatError, PackError, Value};

/// A format, bytes to unpack, and values to pack.
#[derive(Debug, Arbitrary)]
pub struct Plan<'a> {
    format: Text<'a>,
    bytes: &'a [u8],
    values: Vec<Input<'a>>,
}

#[derive(Debug, Arbitrary)]
enum Text<'a> {
    Any(&'a str),
    Parts {
        prefix: u8,
        parts: Vec<(Option<u16>, u8)>,
    },
    /// A count that may be too large.
    Large {
        count: u64,
        code: u8,
    },
}

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Int(i64),
    Bool(bool),
    Float(f64),
    Bytes(&'a [u8]),
}

const PREFIXES: [&str; 6] = ["", "@", "=", "<", ">", "!"];
const CODES: &[u8] = b"xc?bBhHiIlLqQnNPefdsp ";
/// A larger format is parsed, but not used.
const MAX: usize = 1 << 16;

impl Text<'_> {
    fn get(&self) -> String {
        let code = |at: u8| char::from(CODES[usize::from(at) % CODES.len()]);
        match self {
            Self::Any(text) => (*text).to_owned(),
            Self::Parts { prefix, parts } => {
                let mut text = PREFIXES[usize::from(*prefix) % PREFIXES.len()].to_owned();
                for (count, at) in parts {
                    text.extend(count.iter().map(|count| (count % 300).to_string()));
                    text.push(code(*at));
                }
                text
            }
            Self::Large { count, code: at } => format!("{count}{}", code(*at)),
        }
    }
}

impl Plan<'_> {
    /// Runs the plan.
    pub fn run(self) {
        let text = self.format.get();
        let format = match Format::parse(&text) {
            Ok(format) => format,
            Err(error) => return check_error(&text, &error),
        };
        if !text.starts_with(['@', '=', '<', '>', '!']) {
            assert_eq!(Format::parse(&format!("@{text}")).as_ref(), Ok(&format), "'@' is the default prefix");
        }
        let mut bytes = self.bytes.to_vec();
        assert_eq!(format.unpack(&bytes).is_ok(), bytes.len() == format.size());
        let values: Vec<Value<'_>> = self.values.iter().map(Input::get).collect();
        if format.size() <= MAX && format.count() <= MAX {
            bytes.resize(format.size(), 0xA5);
            check_round_trip(&format, &bytes);
            check_pack(&format, &values);
        } else {
            assert!(format.pack(&values, &mut bytes).is_err(), "too few values");
        }
    }
}

fn check_round_trip(format: &Format, bytes: &[u8]) {
    let values: Vec<Value<'_>> = format.unpack(bytes).unwrap().collect();
    assert_eq!(values.len(), format.count());
    let mut repacked = vec![0x5A; bytes.len()];
    format.pack(&values, &mut repacked).unwrap();
    let unpacked = format.unpack(&repacked).unwrap();
    assert_eq!(unpacked.len(), values.len());
    for (before, after) in values.iter().zip(unpacked) {
        let is_same = match (before, &after) {
            (Value::Float(before), Value::Float(after)) => {
                before.to_bits() == after.to_bits() || (before.is_nan() && after.is_nan())
            }
            (before, after) => before == after,
        };
        assert!(is_same, "{before:?} came back as {after:?}");
    }
}

fn check_pack(format: &Format, values: &[Value<'_>]) {
    let mut out = vec![0; format.size()];
    match format.pack(values, &mut out) {
        Ok(()) => {
            assert_eq!(values.len(), format.count());
            check_round_trip(format, &out);
        }
        Err(PackError::WrongCount { expected, given }) => {
            assert!(expected == format.count() && given == values.len() && given != expected);
        }
        Err(error) => match error {
            PackError::WrongType { index, .. } | PackError::NotOneByte { index, .. } => {
                assert!(index < values.len());
            }
            PackError::OutOfRange { index, value, least, most, .. } => {
                assert!(!(least..=most).contains(&value));
                assert!(values[index] == Value::Int(value) || matches!(values[index], Value::Bool(_)));
            }
            PackError::TooLarge { index, value, .. } => {
                assert!(value.is_finite() && matches!(values[index], Value::Float(_) | Value::Int(_)));
            }
            other => panic!("{other:?}"),
        },
    }
}

impl<'a> Input<'a> {
    fn get(&self) -> Value<'a> {
        match *self {
            Self::Int(value) => Value::Int(value),
            Self::Bool(value) => Value::Bool(value),
            Self::Float(value) => Value::Float(value),
            Self::Bytes(value) => Value::Bytes(value),
        }
    }
}

fn check_error(text: &str, error: &FormatError) {
    let at = |position: usize| text.chars().nth(position);
    match *error {
        FormatError::BadCharacter { character, position } => assert_eq!(at(position), Some(character)),
        FormatError::NativeOnly { character, position, prefix } => {
            assert!(at(position) == Some(character) && text.starts_with(prefix));
        }
        FormatError::CountWithoutCode { position } => {
            assert!(text.chars().skip(position).all(|digit| digit.is_ascii_digit()));
            assert!(at(position).is_some());
        }
        FormatError::TooLong { position, .. } => assert!(at(position).is_some()),
        ref other => panic!("{other:?}"),
    }
    assert!(!error.to_string().is_empty());
}
