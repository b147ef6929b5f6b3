//! Helpers of the tests of wire formats: planted bytes, golden files, random numbers, and partners in other
//! languages.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};
use std::{env, fs, process};

use shm_segment::{Access, Options, Segment};

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

/// A small generator, so that a failure can be repeated from its seed.
pub struct Random(pub u64);

impl Random {
    /// Takes the seed from `SHM_SEGMENT_SEED` or from the clock, and prints it.
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let seed = from_environment("SHM_SEGMENT_SEED").unwrap_or(u64::from(now.subsec_nanos()));
        println!("seed {seed}");
        Self(seed)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    pub fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

/// Returns the number of rounds, which `SHM_SEGMENT_ROUNDS` overrides.
pub fn rounds(default: u64) -> u64 {
    from_environment("SHM_SEGMENT_ROUNDS").unwrap_or(default)
}

fn from_environment(variable: &str) -> Option<u64> {
    env::var(variable).ok().and_then(|n| n.parse().ok())
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
