//! Format strings of Python's module `struct`, whoever wrote them, and bytes taken apart and put together by them.
//!
//! That both are as CPython does it, a test of the segment crate shows. Here: nothing panics, an error tells the truth,
//! and what was put together comes apart as the same values.

use arbitrary::Arbitrary;
use shm_segment::values::structs::{Format, FormatError, PackError, Value};

/// A format, bytes to unpack, and values to pack.
#[derive(Debug, Arbitrary)]
pub struct Plan<'a> {
    format: Text<'a>,
    bytes: &'a [u8],
    values: Vec<Given<'a>>,
}

#[derive(Debug, Arbitrary)]
enum Text<'a> {
    Any(&'a str),
    Parts {
        prefix: u8,
        parts: Vec<(Option<u16>, u8)>,
    },
    /// One count that may be too large.
    Large {
        count: u64,
        code: u8,
    },
}

#[derive(Debug, Arbitrary)]
enum Given<'a> {
    Int(i64),
    Bool(bool),
    Float(f64),
    Bytes(&'a [u8]),
}

const PREFIXES: [&str; 6] = ["", "@", "=", "<", ">", "!"];
const CODES: &[u8] = b"xc?bBhHiIlLqQnNPefdsp ";
/// More is only read, not used.
const MOST: usize = 1 << 16;

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
    /// Does it.
    pub fn run(self) {
        let text = self.format.get();
        let format = match Format::parse(&text) {
            Ok(format) => format,
            Err(error) => return explains(&text, &error),
        };
        if !text.starts_with(['@', '=', '<', '>', '!']) {
            assert_eq!(Format::parse(&format!("@{text}")).as_ref(), Ok(&format), "the prefix that is meant");
        }
        let mut bytes = self.bytes.to_vec();
        assert_eq!(format.unpack(&bytes).is_ok(), bytes.len() == format.size());
        let values: Vec<Value<'_>> = self.values.iter().map(Given::get).collect();
        if format.size() <= MOST && format.count() <= MOST {
            bytes.resize(format.size(), 0xA5);
            there_and_back(&format, &bytes);
            pack(&format, &values);
        } else {
            assert!(format.pack(&values, &mut bytes).is_err(), "too few");
        }
    }
}

fn there_and_back(format: &Format, bytes: &[u8]) {
    let values: Vec<Value<'_>> = format.unpack(bytes).unwrap().collect();
    assert_eq!(values.len(), format.count());
    let mut again = vec![0x5A; bytes.len()];
    format.pack(&values, &mut again).unwrap();
    let unpacked = format.unpack(&again).unwrap();
    assert_eq!(unpacked.len(), values.len());
    for (before, after) in values.iter().zip(unpacked) {
        let same = match (before, &after) {
            (Value::Float(before), Value::Float(after)) => {
                before.to_bits() == after.to_bits() || (before.is_nan() && after.is_nan())
            }
            (before, after) => before == after,
        };
        assert!(same, "{before:?} came back as {after:?}");
    }
}

fn pack(format: &Format, values: &[Value<'_>]) {
    let mut out = vec![0; format.size()];
    match format.pack(values, &mut out) {
        Ok(()) => {
            assert_eq!(values.len(), format.count());
            there_and_back(format, &out);
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

impl<'a> Given<'a> {
    fn get(&self) -> Value<'a> {
        match *self {
            Self::Int(value) => Value::Int(value),
            Self::Bool(value) => Value::Bool(value),
            Self::Float(value) => Value::Float(value),
            Self::Bytes(value) => Value::Bytes(value),
        }
    }
}

fn explains(text: &str, error: &FormatError) {
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
