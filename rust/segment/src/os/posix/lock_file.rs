//! A lock file per name, for systems where segments can be neither locked nor marked. The files are in a
//! folder that only this user can write to.
//!
//! The file's lock (`flock(2)`) is the life lock. Its text, which describes the segment, is the mark.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use rustix::fs::{FlockOperation, Stat, flock};
use rustix::io::Errno;

use super::Identity;
use super::owner::OwnerLock;
use crate::info::{Maker, OwnerState};
use crate::options::Lifetime;
use crate::os::common::escaped;

/// The time for which a lock is tried again.
const LOOKED_AT: Duration = Duration::from_millis(20);

/// Returns what the lock file of `plain` tells about a segment, if it is about this one. Takes a shared lock
/// for some microseconds: [`LockFile::take`] tries again.
pub(super) fn look(folder: &Path, plain: &str, segment: &Stat) -> Option<(Maker, OwnerState)> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(folder.join(file_name(plain)))
        .ok()?;
    let is_locked = !lock(&file, FlockOperation::NonBlockingLockShared).ok()?;
    let owner = if is_locked { OwnerState::Alive } else { OwnerState::Dead };
    let text = text_of(&file)?;
    if text == mark_text(segment) {
        return Some((Maker::Ours(Lifetime::Owner), owner));
    }
    // Of a persistent segment, there is only the lock.
    (is_locked && text.is_empty()).then_some((Maker::Ours(Lifetime::Persistent), owner))
}

/// A file that stands for the owner of a name. A process that has locked it owns the name, or is about to.
#[derive(Debug)]
pub(super) struct LockFile {
    file: File,
    path: PathBuf,
}

impl LockFile {
    /// Locks the file of `plain`, and makes it where there is none. Returns `None` if another process has
    /// locked it.
    pub(super) fn take(folder: &Path, plain: &str) -> io::Result<Option<Self>> {
        let path = folder.join(file_name(plain));
        let end = Instant::now() + LOOKED_AT;
        loop {
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(&path)?;
            if !lock(&file, FlockOperation::NonBlockingLockExclusive)? {
                // It may be a process that looks, and not an owner.
                if Instant::now() >= end {
                    return Ok(None);
                }
                sleep(Duration::from_millis(1));
                continue;
            }
            // Its last owner may have removed it between `open` and the lock.
            let ours = file.metadata()?;
            match fs::symlink_metadata(&path) {
                Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => {
                    return Ok(Some(Self { file, path }));
                }
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Returns whether the file was a dead owner's, and `segment` is what that owner made.
    pub(super) fn is_mark_of(&self, segment: &Stat) -> bool {
        text_of(&self.file).is_some_and(|text| text == mark_text(segment))
    }

    /// Removes the file after a failed creation, unless it is still the mark of a dead owner's segment.
    pub(super) fn withdraw(&self) {
        if self.file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            self.discard();
        }
    }
}

impl OwnerLock for LockFile {
    fn mark(&self, segment: &OwnedFd, lifetime: Lifetime) -> Result<(), Errno> {
        rustix::fs::ftruncate(&self.file, 0)?;
        if lifetime == Lifetime::Persistent {
            return Ok(());
        }
        let stat = rustix::fs::fstat(segment)?;
        let mut file = &self.file;
        file.rewind()
            .and_then(|()| file.write_all(mark_text(&stat).as_bytes()))
            .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
    }

    fn discard(&self) {
        // While it is locked: a process that takes the lock afterwards sees that the path leads elsewhere. A
        // file that is left does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

fn file_name(plain: &str) -> String {
    escaped(plain) + ".lock"
}

fn lock(fd: impl AsFd, operation: FlockOperation) -> Result<bool, Errno> {
    match rustix::io::retry_on_intr(|| flock(&fd, operation)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn text_of(mut file: &File) -> Option<String> {
    let mut text = String::new();
    file.rewind().ok()?;
    // The text of a mark is short: anything longer is not one.
    file.take(256).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Returns what is known of a segment that a stranger's segment of the same name would not share. On macOS,
/// where all segments have device 0 and inode 0, that is its user and its size in pages.
fn mark_text(stat: &Stat) -> String {
    let Identity { device, inode } = Identity::of(stat);
    format!("{device} {inode} {} {}\n", stat.st_uid, stat.st_size)
}

/// Returns the folder for lock files, to which only this user may write, or `None` if it can't be had.
pub(super) fn private_folder() -> Option<PathBuf> {
    // On macOS, the folder for temporary files is this user's own.
    private_folder_in(&env::var_os("XDG_RUNTIME_DIR").map_or_else(env::temp_dir, PathBuf::from))
}

fn private_folder_in(base: &Path) -> Option<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let folder = base.join(format!("shared_memory-{user}"));
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return None,
        _ => {}
    }
    // Another user may have been first, with a folder or a symbolic link.
    let found = fs::symlink_metadata(&folder).ok()?;
    (found.is_dir() && found.uid() == user && found.mode().trailing_zeros() >= 6).then_some(folder)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_folder_of_lock_files_is_this_users_alone() {
        let base = env::temp_dir().join(crate::generate_name("lock-folder").unwrap());
        assert_eq!(private_folder_in(&base), None, "there is no place for it");
        fs::create_dir(&base).unwrap();
        let folder = private_folder_in(&base).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        assert_eq!(private_folder_in(&base).as_ref(), Some(&folder), "it is used again");
        for mode in [0o770, 0o701] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(private_folder_in(&base), None, "{mode:o}");
        }
        fs::remove_dir(&folder).unwrap();
        symlink(env::temp_dir(), &folder).unwrap();
        assert_eq!(private_folder_in(&base), None, "a symbolic link");
        fs::remove_file(&folder).unwrap();
        fs::write(&folder, "").unwrap();
        assert_eq!(private_folder_in(&base), None, "a file");
        fs::remove_file(&folder).unwrap();
        fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
        // Only root may, and only where there is such a user.
        if std::os::unix::fs::chown(&folder, Some(65534), None).is_ok() {
            assert_eq!(private_folder_in(&base), None, "another user's");
        }
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn names_that_differ_in_case_have_different_lock_files() {
        assert_eq!(file_name("frames_1-a.b"), "frames_1-a.b.lock");
        assert_eq!(file_name("Frames"), "%46rames.lock");
        assert_eq!(file_name("ä%"), "%c3%a4%25.lock");
        // Even the longest name of macOS becomes a valid file name.
        assert!(file_name(&"ä".repeat(15)).len() <= 255);
    }
}
