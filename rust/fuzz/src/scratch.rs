//! Names that only this process uses, with nothing under them before and after.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A name in `/dev/shm`. What is under it goes when this goes, and when the next one of that name is made: a run
/// that finds something ends without cleaning up.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) name: String,
}

impl Scratch {
    pub(crate) fn new(suffix: &str) -> Self {
        // `build.sh fuzz` says which, to be able to clean up.
        let base =
            std::env::var("SHM_FUZZ_NAME").unwrap_or_else(|_| format!("fuzz-test_{}", std::process::id()));
        let scratch = Self { name: format!("{base}_{suffix}") };
        scratch.clear();
        scratch
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from("/dev/shm").join(&self.name)
    }

    pub(crate) fn clear(&self) {
        let path = self.path();
        let Ok(found) = fs::symlink_metadata(&path) else { return };
        let gone = if found.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        assert!(gone.is_ok(), "{path:?}: {gone:?}");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Runs `call`, which must not wait longer than a busy machine makes it.
pub(crate) fn in_bounded_time<T>(call: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = call();
    assert!(start.elapsed() < Duration::from_secs(2), "took {:?}", start.elapsed());
    result
}
