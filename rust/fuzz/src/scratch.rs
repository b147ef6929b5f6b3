//! Names that only this process uses. Nothing is under them before a run and after it.

use std::fs::{self, Metadata};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A name in `/dev/shm`. A segment under it is removed when this is dropped, and before this is made: a run
/// that finds something ends without cleaning up.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) name: String,
}

impl Scratch {
    pub(crate) fn new(suffix: &str) -> Self {
        // `build.sh fuzz` sets the name, so that it can clean up.
        let base =
            std::env::var("SHM_FUZZ_NAME").unwrap_or_else(|_| format!("fuzz-test_{}", std::process::id()));
        let scratch = Self { name: format!("{base}_{suffix}") };
        scratch.clear();
        scratch
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from("/dev/shm").join(&self.name)
    }

    /// Returns the metadata of whatever is under the name.
    pub(crate) fn metadata(&self) -> Option<Metadata> {
        fs::symlink_metadata(self.path()).ok()
    }

    fn clear(&self) {
        let path = self.path();
        let Some(metadata) = self.metadata() else { return };
        let removed = if metadata.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        assert!(removed.is_ok(), "{path:?}: {removed:?}");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Runs `call`, and panics if it takes longer than even a busy machine needs.
pub(crate) fn in_bounded_time<T>(call: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = call();
    assert!(start.elapsed() < Duration::from_secs(2), "took {:?}", start.elapsed());
    result
}
