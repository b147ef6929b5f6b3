//! macOS and FreeBSD: segments are not visible as files, and are reached through `shm_open(3)` alone.

use rustix::fs::Mode;
use rustix::shm::{self, OFlags};

use super::{Name, Peer};

/// The call that finds that there is no room.
pub const RESERVING: &str = if cfg!(target_os = "macos") { "ftruncate" } else { "fallocate" };

/// Returns the size that a segment of `size` bytes has.
pub fn whole(size: u64) -> u64 {
    if cfg!(target_os = "macos") { size.next_multiple_of(rustix::param::page_size() as u64) } else { size }
}

impl Name {
    /// Returns whether anything has this name: only segments can.
    pub fn is_there(&self) -> bool {
        self.exists()
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = self.remove();
    }
}

/// A segment of another program.
pub struct Foreign;

impl Foreign {
    pub fn make(name: &Name, size: usize) -> Self {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        let made = shm::open(format!("/{}", &**name), flags, Mode::RUSR | Mode::WUSR).unwrap();
        rustix::fs::ftruncate(&made, size as u64).unwrap();
        Self
    }
}

/// Leaves what a killed creator leaves.
pub fn leave_a_dead_owner(name: &Name) {
    let mut peer = Peer::start("peer");
    assert_eq!(peer.ask(&format!("create {}", &**name)), "created");
    peer.kill();
}

/// Returns whether the name leads to a segment of [`Scope::Local`](shm_segment::Scope).
pub fn is_as_created(name: &Name) -> bool {
    let found = shm::open(format!("/{}", &**name), OFlags::RDONLY, Mode::empty()).unwrap();
    rustix::fs::fstat(&found).unwrap().st_mode & 0o777 == 0o600
}
