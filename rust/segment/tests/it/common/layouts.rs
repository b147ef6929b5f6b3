//! What the tests of wire formats share: planted bytes, golden files, chance, and partners in other languages.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};
use std::{env, fs, process};

use shm_segment::{Access, Options, Segment};

use crate::common::{Name, Peer};

/// Long enough for a process that doesn't get to run for a while.
pub const WAIT: Duration = Duration::from_secs(20);
pub const ONCE: Duration = Duration::ZERO;

/// A segment of zeros, under a name that is removed at the end.
pub fn fresh(size: u64) -> (Name, Segment) {
    let name = Name::new();
    let ours = Options::new(&name).create(size).unwrap();
    (name, ours)
}

/// A segment that holds these bytes, as its creator sees it and as an opener does.
pub fn planted(bytes: &[u8]) -> (Segment, Segment) {
    let (name, ours) = fresh(bytes.len() as u64);
    ours.write(0, bytes).unwrap();
    let theirs = open_part(&name, bytes.len() as u64);
    (ours, theirs)
}

/// All of it: whole pages, on some systems.
pub fn open(name: &str) -> Segment {
    open_part(name, 0)
}

pub fn open_part(name: &str, size: u64) -> Segment {
    Options::new(name).open(size, Access::ReadWrite).unwrap()
}

pub fn read_only(name: &str) -> Segment {
    Options::new(name).open(0, Access::ReadOnly).unwrap()
}

/// All bytes of a segment.
pub fn bytes_of(segment: &Segment) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(segment.size()).unwrap()];
    segment.read(0, &mut bytes).unwrap();
    bytes
}

pub fn little_endian<const SIZE: usize>(values: &[[u8; SIZE]]) -> Vec<u8> {
    values.concat()
}

/// The bytes of a golden file: what the partner in Python made, as committed.
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

/// What no length, count or index may be believed to be, in memory of this size.
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
    /// A seed from the clock or `SHM_SEGMENT_SEED`, printed.
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

/// `SHM_SEGMENT_ROUNDS` overrides how often.
pub fn rounds(default: u64) -> u64 {
    from_environment("SHM_SEGMENT_ROUNDS").unwrap_or(default)
}

fn from_environment(variable: &str) -> Option<u64> {
    env::var(variable).ok().and_then(|n| n.parse().ok())
}

fn partner(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/partner").join(file)
}

/// The partner in Python, which maps `/dev/shm/NAME`.
pub fn python() -> Peer {
    Peer::of(Command::new("python3").arg(partner("lsm.py")))
}

/// The golden files as the partner makes them now.
pub fn python_writes_golden_files(folder: &Path) {
    let status = Command::new("python3").arg(partner("lsm.py")).arg("golden").arg(folder).status().unwrap();
    assert!(status.success());
}

/// The partner in C, compiled at its first use. It maps `/dev/shm/NAME`.
pub fn c_program() -> Peer {
    static PROGRAM: OnceLock<std::path::PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // Another test program may be compiling it, too: each has its own, and the last one stays.
        let own = folder.join(format!("lsm-{}", process::id()));
        let status = Command::new("cc")
            .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&own)
            .arg(partner("lsm.c"))
            .status()
            .unwrap();
        assert!(status.success(), "cc can't compile the partner");
        let program = folder.join("lsm");
        fs::rename(own, &program).unwrap();
        program
    });
    Peer::of(&mut Command::new(program))
}
