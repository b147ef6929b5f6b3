//! Helpers of the tests of wire formats: planted bytes, golden files, and partners in other languages.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use std::{fs, process};

use shm_segment::{Access, Options, Segment};

pub use crate::common::random::{Random, rounds};
use crate::common::{Name, Peer};

/// Long enough even if a process doesn't get to run for a while.
pub const WAIT: Duration = Duration::from_secs(20);
pub const NO_WAIT: Duration = Duration::ZERO;

/// Returns a segment of zeros, and its name, which is removed at the end.
pub fn fresh(size: u64) -> (Name, Segment) {
    let name = Name::new();
    let ours = Options::new(&name).create(size).unwrap();
    (name, ours)
}

/// Returns a segment with these bytes twice: its creator's, and an opener's.
pub fn planted(bytes: &[u8]) -> (Segment, Segment) {
    let (name, ours) = fresh(bytes.len() as u64);
    ours.write(0, bytes).unwrap();
    let theirs = open_part(&name, bytes.len() as u64);
    (ours, theirs)
}

/// Opens the whole segment: on some systems, that is whole pages.
pub fn open(name: &str) -> Segment {
    open_part(name, 0)
}

pub fn open_part(name: &str, size: u64) -> Segment {
    Options::new(name).open(size, Access::ReadWrite).unwrap()
}

pub fn read_only(name: &str) -> Segment {
    Options::new(name).open(0, Access::ReadOnly).unwrap()
}

/// Returns all bytes of a segment.
pub fn bytes_of(segment: &Segment) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(segment.size()).unwrap()];
    segment.read(0, &mut bytes).unwrap();
    bytes
}

pub fn little_endian<const SIZE: usize>(values: &[[u8; SIZE]]) -> Vec<u8> {
    values.concat()
}

/// Returns the bytes of a golden file, as the partner in Python has made them and as committed.
pub fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).with_extension("hex");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    from_hex(&text.split_whitespace().collect::<String>())
}

pub fn from_hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns values that no length, count or index may have, in memory of this size.
pub fn hostile_values(size: u64) -> Vec<u64> {
    let mut values =
        vec![0, 1, 2, 3, 4, 5, 7, 8, 0x7F, 0x80, 0xFF, u64::MAX, u64::MAX - 15, 1 << 63, 1 << 60];
    for middle in [size, 1 << 31, 1 << 32, u64::from(u32::MAX) - 15] {
        values.extend([middle - 1, middle, middle + 1]);
    }
    values
}

fn partner(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/partner").join(file)
}

/// Starts the partner in Python, which maps `/dev/shm/NAME`.
pub fn python() -> Peer {
    Peer::of(Command::new("python3").arg(partner("libsharedmemory.py")))
}

/// Lets the partner make the golden files again.
pub fn python_writes_golden_files(folder: &Path) {
    let status = Command::new("python3")
        .arg(partner("libsharedmemory.py"))
        .arg("golden")
        .arg(folder)
        .status()
        .unwrap();
    assert!(status.success());
}

/// Starts the partner in C, which is compiled at its first use. It maps `/dev/shm/NAME`.
pub fn c_program() -> Peer {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    Peer::of(&mut Command::new(PROGRAM.get_or_init(|| compiled("libsharedmemory.c"))))
}

/// Compiles a partner in C, and returns the program.
pub fn compiled(source: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Another test program may compile it at the same time, so each has a file of its own. The last one
    // stays.
    let own = folder.join(format!("{source}-{}", process::id()));
    let status = Command::new("cc")
        .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&own)
        .arg(partner(source))
        .status()
        .unwrap();
    assert!(status.success(), "cc can't compile {source}");
    let program = folder.join(source).with_extension("");
    fs::rename(own, &program).unwrap();
    program
}
