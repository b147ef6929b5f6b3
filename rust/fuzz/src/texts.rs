//! A text of any 32-bit units, as in Godot's strings, for each purpose that a text can have.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use shm_segment::values::structs::Format;
use shm_segment::{Access, Backend, Error, Options, TextEncoding, TextError, utf8_from_units, utf8_length};

use crate::scratch::Scratch;

/// A part of a text.
#[derive(Debug, Arbitrary)]
pub enum Part {
    /// A character with a meaning for file systems, formats or UTF-8.
    Special(u8),
    /// Any character.
    Character(char),
    /// Any unit.
    Unit(u32),
    /// Half of a surrogate pair.
    Surrogate(u16),
}

const SPECIAL: [u32; 16] = [
    0,
    0x2F,
    0x5C,
    0x2E,
    0x3C,
    0x69,
    0x39,
    0x78,
    0x20,
    0xFEFF,
    0xFFFE,
    0xD7FF,
    0xE000,
    0x10_FFFF,
    0x11_0000,
    0x8000_002F,
];

impl Part {
    fn unit(&self) -> u32 {
        match *self {
            Self::Special(index) => SPECIAL[usize::from(index) % SPECIAL.len()],
            Self::Character(character) => character.into(),
            Self::Unit(unit) => unit,
            Self::Surrogate(half) => 0xD800 | u32::from(half & 0x7FF),
        }
    }
}

/// Converts the text. If it is valid, uses it as a format and in a name on each backend.
pub fn run(parts: &[Part]) {
    let units: Vec<u32> = parts.iter().map(Part::unit).collect();
    check_encodings(&units);
    let invalid = units.iter().position(|unit| matches!(unit, 0xD800..=0xDFFF | 0x11_0000..));
    let converted = utf8_from_units(&units);
    assert_eq!(utf8_length(&units), converted.as_ref().map(String::len).map_err(|e| *e));
    let text = match (converted, invalid) {
        (Ok(text), None) => text,
        (Err(TextError::NotUnicode { index, unit }), Some(invalid)) => {
            assert_eq!((index, unit), (invalid, units[invalid]));
            return;
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(text.chars().map(u32::from).collect::<Vec<_>>(), units);
    if let Err(error) = Format::parse(&text) {
        assert!(!error.to_string().is_empty());
    }
    for backend in [Backend::Native, Backend::File, Backend::SystemV, Backend::Memfd] {
        check_name(backend, &text);
    }
}

/// Encodes the text, and decodes it again; decodes the units themselves, whatever they are.
fn check_encodings(units: &[u32]) {
    use TextEncoding as E;
    let raw: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    for encoding in [E::Utf8, E::Latin1, E::Utf16, E::Utf32] {
        let is_character = |unit: &u32| char::from_u32(*unit).is_some();
        let is_allowed = |unit: &u32| is_character(unit) && (encoding != E::Latin1 || *unit <= 0xFF);
        match encoding.encode(units) {
            Ok(bytes) => {
                assert!(units.iter().all(is_allowed));
                let text = encoding.decode(&bytes).unwrap();
                assert!(text.chars().map(u32::from).eq(units.iter().copied()));
            }
            Err(TextError::NotUnicode { index, unit } | TextError::NotLatin1 { index, unit }) => {
                assert_eq!((Some(index), unit), (units.iter().position(|u| !is_allowed(u)), units[index]));
            }
            Err(other) => panic!("{other:?}"),
        }
        // An odd number of bytes, too.
        for bytes in [&raw[..], raw.get(1..).unwrap_or_default()] {
            let text = encoding.decode(&bytes[..encoding.up_to_nul(bytes)]).unwrap();
            assert!(!text.contains('\0'));
        }
    }
}

/// Creates a segment whose name ends in this text, and checks the other calls with that name.
fn check_name(backend: Backend, text: &str) {
    let scratch = Scratch::new("texts");
    let folder = runtime_folder();
    let name = match backend {
        Backend::File => format!("{}/{}{text}", folder.display(), scratch.name),
        _ => format!("{}{text}", scratch.name),
    };
    let has_parent = Path::new(&name).components().any(|part| part.as_os_str() == "..");
    if backend == Backend::File && has_parent {
        return; // The path may lead out of the scratch folder.
    }
    match Options::new(&name).backend(backend).create(1) {
        Ok(segment) => {
            assert_eq!(segment.name().as_str(), name);
            assert!(segment.name().is_current() && Options::new(&name).backend(backend).exists());
            Options::new(&name).backend(backend).open(0, Access::ReadWrite).unwrap();
            if backend == Backend::Native {
                assert!(!text.contains(['/', '\\', '\0']));
                assert!(shm_segment::list_names().contains(&name));
            }
            drop(segment);
            if backend == Backend::File {
                Options::new(&name).backend(backend).remove().unwrap();
            }
        }
        Err(Error::InvalidName { name: reported, .. }) => assert_eq!(reported, name),
        // A folder is missing, or the path is too long.
        Err(Error::System { .. } | Error::AlreadyExists { .. }) if backend == Backend::File => {}
        Err(other) => panic!("{backend:?}: {other:?}"),
    }
    assert!(!Options::new(&name).backend(backend).exists());
    assert!(Options::new(&name).backend(backend).remove().is_err());
    assert!(Options::new(&name).backend(backend).open(0, Access::ReadOnly).is_err());
}

/// Returns a folder of this process, for files and for the metadata of segments.
fn runtime_folder() -> PathBuf {
    static FOLDER: LazyLock<Scratch> = LazyLock::new(|| {
        let folder = Scratch::new("texts-folder");
        fs::create_dir(folder.path()).unwrap();
        // SAFETY: no other thread of this process reads the environment.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", folder.path()) };
        folder
    });
    FOLDER.path()
}
