//! Linux: names are files in `/dev/shm`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Name;

/// The call that finds that there is no room.
pub const RESERVING: &str = "MemAvailable";

/// Returns the size that a segment of `size` bytes has.
pub fn whole(size: u64) -> u64 {
    size
}

impl Name {
    pub fn path(&self) -> PathBuf {
        Path::new("/dev/shm").join(&self.0)
    }

    /// Returns whether anything has this name, even if it isn't a segment.
    pub fn is_there(&self) -> bool {
        fs::symlink_metadata(self.path()).is_ok()
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if fs::remove_file(self.path()).is_err() {
            let _ = fs::remove_dir(self.path());
        }
    }
}

/// A segment of another program.
pub struct Foreign;

impl Foreign {
    pub fn make(name: &Name, size: usize) -> Self {
        fs::write(name.path(), vec![0; size]).unwrap();
        Self
    }
}

/// Leaves what a killed creator leaves: the mark, and no lock. Other tests do kill processes.
pub fn leave_a_dead_owner(name: &Name) {
    fs::write(name.path(), [0; 4096]).unwrap();
    fs::set_permissions(name.path(), fs::Permissions::from_mode(0o1600)).unwrap();
}

/// Returns whether the segment has the mode and the mark of one that was created with
/// [`Scope::Local`](shm_segment::Scope).
pub fn is_as_created(name: &Name) -> bool {
    let maker = shm_segment::Options::new(name).info().unwrap().maker;
    fs::metadata(name.path()).unwrap().permissions().mode() & 0o777 == 0o600
        && maker == shm_segment::Maker::Ours(shm_segment::Lifetime::Owner)
}
