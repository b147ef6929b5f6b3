//! Any format strings of Python's module `struct`, with groups, names and packings, bytes to unpack and
//! values to pack.
//!
//! Tests of the segment crate compare the results with those of CPython and of a C compiler. This target
//! checks that nothing panics, that errors are true, and that packed values are unpacked unchanged.

use arbitrary::Arbitrary;
use shm_segment::values::structs::{
    Format, FormatError, MAX_DEPTH, MAX_VALUES, PackError, Value, ValueError,
};

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
    /// Codes, and groups of them inside each other.
    Groups {
        prefix: u8,
        parts: Vec<Part>,
    },
    /// A count that may be too large.
    Large {
        count: u64,
        code: u8,
    },
}

#[derive(Debug, Arbitrary)]
enum Part {
    Code(Option<u16>, u8),
    Open(Option<u16>, Option<u8>),
    Close,
    Name(u8),
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
            Self::Groups { prefix, parts } => {
                let mut text = PREFIXES[usize::from(*prefix) % PREFIXES.len()].to_owned();
                let mut depth = 0u32;
                for part in parts {
                    match part {
                        Part::Code(count, at) => {
                            text.extend(count.iter().map(|count| (count % 300).to_string()));
                            text.push(code(*at));
                        }
                        Part::Open(count, packing) => {
                            text.extend(count.iter().map(|count| (count % 300).to_string()));
                            text.push_str("T{");
                            text.extend(packing.iter().map(|packing| format!("pack({})", packing % 17)));
                            depth += 1;
                        }
                        Part::Close => {
                            text.push('}');
                            depth = depth.saturating_sub(1);
                        }
                        Part::Name(name) => text.push_str(&format!(":{name}:")),
                    }
                }
                text.extend((0..depth).map(|_| '}'));
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
        if bytes.len() != format.size() {
            assert!(format.unpack(&bytes).is_err());
        }
        check_fields(&format, 0);
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

/// Checks that the fields of a struct are inside it, one after the other, and that their counts add up.
fn check_fields(format: &Format, depth: usize) {
    assert!(depth <= MAX_DEPTH);
    let (mut size, mut count, mut outer_count) = (0, 0, 0);
    let mut names = Vec::new();
    for field in format.fields() {
        assert!(field.count() > 0);
        size += field.size();
        names.extend(field.name());
        if let Some(group) = field.group() {
            assert!(format.count() <= MAX_VALUES && group.count() > 0);
            assert_eq!(field.size(), field.count() * group.size());
            check_fields(group, depth + 1);
            count += field.count() * group.count();
            outer_count += 1;
        } else {
            count += field.count();
            outer_count += field.count();
        }
    }
    assert!(size <= format.size());
    assert_eq!((count, outer_count), (format.count(), format.outer_count()));
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "no name twice");
}

fn check_round_trip(format: &Format, bytes: &[u8]) {
    let values = format.unpack(bytes).unwrap();
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
        Err(PackError::Value { index, problem }) => match problem {
            ValueError::WrongType { .. } | ValueError::NotOneByte { .. } => assert!(index < values.len()),
            ValueError::OutOfRange { value, least, most, .. } => {
                assert!(!(least..=most).contains(&value));
                assert!(values[index] == Value::Int(value) || matches!(values[index], Value::Bool(_)));
            }
            ValueError::TooLarge { value, .. } => {
                assert!(value.is_finite() && matches!(values[index], Value::Float(_) | Value::Int(_)));
            }
            other => panic!("{other:?}"),
        },
        Err(other) => panic!("{other:?}"),
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
        FormatError::BadWord { character, position } => {
            assert_eq!(at(position), Some(character));
            assert!(at(position + 1).is_some_and(char::is_alphabetic));
        }
        FormatError::NativeOnly { character, position, prefix } => {
            assert!(at(position) == Some(character) && text.starts_with(prefix));
        }
        FormatError::CountWithoutCode { position } => {
            assert!(text.chars().skip(position).all(|digit| digit.is_ascii_digit()));
            assert!(at(position).is_some());
        }
        // A struct may become too long by its padding, behind the last character.
        FormatError::TooLong { position, .. } => assert!(position <= text.chars().count()),
        FormatError::TooManyValues { position, .. } => assert!(at(position).is_some()),
        FormatError::NoBrace { position } => {
            assert!(at(position) == Some('T') && at(position + 1) != Some('{'))
        }
        FormatError::NotOpened { position } => assert_eq!(at(position), Some('}')),
        FormatError::NotClosed { position }
        | FormatError::EmptyGroup { position }
        | FormatError::TooDeep { position, .. } => {
            assert!(at(position) == Some('T') && at(position + 1) == Some('{'));
        }
        FormatError::BadPacking { position } | FormatError::LatePacking { position } => {
            assert!(text.chars().skip(position).take(5).eq("pack(".chars()));
        }
        FormatError::BadName { position } | FormatError::NothingToName { position } => {
            assert_eq!(at(position), Some(':'));
        }
        FormatError::DuplicateName { ref name, position, first } => {
            assert!(first < position);
            for start in [first, position] {
                let length = name.chars().count() + 2;
                assert!(text.chars().skip(start).take(length).eq(format!(":{name}:").chars()));
            }
        }
        ref other => panic!("{other:?}"),
    }
    assert!(!error.to_string().is_empty());
}
