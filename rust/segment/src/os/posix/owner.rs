//! Who owns a name, and whether the owner is still alive.
//!
//! A killed process can't remove its names. So that the next run may have them, a creator leaves two things with
//! its segment: a *mark*, which says that the segment may be reclaimed once its owner is dead, and a *life lock*,
//! which the kernel drops when the owner dies, however it dies.
//!
//! On Linux both are the segment's own. The mark is the sticky bit of its mode: it means nothing on a regular file,
//! and no other program sets it. The life lock is an open file description lock (`F_OFD_SETLK`, fcntl(2)) on a byte
//! far behind the end of any segment; who wants the name asks whether it is held (`F_OFD_GETLK`), and takes nothing
//! by asking. Which of those who found it free may remove the name is settled by a second byte. (`flock(2)` would be
//! simpler, but .NET takes one on every file it opens, and would fail to open a segment whose owner lives.)
//!
//! Where segments can be neither locked nor marked (macOS), a lock file a name stands in for both, in a folder
//! that only this user can write to.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{env, fs, io};
#[cfg(target_os = "linux")]
use std::{os::fd::AsRawFd, ptr};

use rustix::fs::{FlockOperation, Mode, Stat, flock};
use rustix::io::Errno;

use super::Identity;

/// Why a name was not taken over, in words that tell what to do.
pub(super) const ALIVE: &str = "the process that made it is running";
pub(super) const NOT_OURS: &str =
    "another program made it, or it was made to be persistent; remove() removes it";
pub(super) const CHANGING: &str = "other processes are making or removing it just now";

/// The sticky bit.
pub(super) const MARK: Mode = Mode::SVTX;

/// How a creator shows that it lives.
#[derive(Debug)]
pub(super) enum Keeper {
    /// By the lock on the segment's own file, which is held as long as that is open.
    Segment,
    /// By the lock on a file beside it.
    File(LockFile),
}

impl Keeper {
    /// Sets or removes the mark. `mode` is the segment's, without the mark.
    pub(super) fn mark(&self, segment: &OwnedFd, mode: Mode, marked: bool) -> Result<(), Errno> {
        match self {
            Self::Segment => rustix::fs::fchmod(segment, if marked { mode | MARK } else { mode }),
            Self::File(file) if marked => file.mark(segment),
            Self::File(file) => file.unmark(),
        }
    }

    /// Was it a dead owner's, and is `segment` what that owner made? Only a file can tell.
    pub(super) fn is_mark_of(&self, segment: &Stat) -> bool {
        match self {
            Self::Segment => false,
            Self::File(file) => file.is_mark_of(segment),
        }
    }

    /// Nothing was made: leaves no file behind, unless it is still the mark of what a dead owner left.
    pub(super) fn withdraw(&self) {
        if let Self::File(file) = self
            && file.is_empty()
        {
            file.remove();
        }
    }

    /// The name is gone: what stood for its owner may go too.
    pub(super) fn forget(&self) {
        if let Self::File(file) = self {
            file.remove();
        }
    }
}

/// Where the locks are. No segment is as large, so that a lock on a part of its contents is never in the way. One on
/// all of the file is (the default of `lockf`): while such a lock is held, nobody can take ours; and while the owner
/// lives, nobody can take such a lock.
#[cfg(target_os = "linux")]
const LIFE_BYTE: i64 = 1 << 62;
/// Not the next one: the kernel makes one lock of two that touch.
#[cfg(target_os = "linux")]
const REMAINS_BYTE: i64 = LIFE_BYTE + 2;

/// Takes the life lock of a new segment. False if another process has been first.
pub(super) fn take_life(segment: impl AsFd) -> Result<bool, Errno> {
    #[cfg(target_os = "linux")]
    return take(segment, LIFE_BYTE);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = segment;
        Ok(true)
    }
}

/// Is this a segment of this user, which may be taken once its owner is dead?
pub(super) fn is_reclaimable(stat: &Stat) -> bool {
    super::not_memory(stat).is_none()
        && Mode::from_raw_mode(stat.st_mode).contains(MARK)
        && stat.st_uid == rustix::process::geteuid().as_raw()
}

/// Is nobody holding the life lock?
pub(super) fn is_dead(segment: impl AsFd) -> Result<bool, Errno> {
    #[cfg(target_os = "linux")]
    {
        let mut found = lock_of(LIFE_BYTE);
        fcntl_lock(segment, libc::F_OFD_GETLK, &mut found)?;
        // Another program may hold a lock on all of the file; only where nobody holds ours.
        let is_life = found.l_start == LIFE_BYTE && found.l_len == 1;
        Ok(i32::from(found.l_type) == libc::F_UNLCK || !is_life)
    }
    // Elsewhere segments have no locks of their own, and none is reclaimed that way.
    #[cfg(not(target_os = "linux"))]
    {
        let _ = segment;
        Ok(false)
    }
}

/// Takes the right to remove the name of a dead owner's segment. False if another process has it.
///
/// Held until `segment`, which must be open for writing, is closed.
pub(super) fn take_remains(segment: impl AsFd) -> Result<bool, Errno> {
    #[cfg(target_os = "linux")]
    return take(segment, REMAINS_BYTE);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = segment;
        Ok(false)
    }
}

#[cfg(target_os = "linux")]
fn take(segment: impl AsFd, byte: i64) -> Result<bool, Errno> {
    match fcntl_lock(segment, libc::F_OFD_SETLK, &mut lock_of(byte)) {
        Ok(()) => Ok(true),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(target_os = "linux")]
#[allow(clippy::cast_possible_truncation, reason = "constants that C declares as int, for fields of short")]
const fn lock_of(byte: i64) -> libc::flock64 {
    libc::flock64 {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte,
        l_len: 1,
        // Must be 0 for these commands.
        l_pid: 0,
    }
}

#[cfg(target_os = "linux")]
fn fcntl_lock(segment: impl AsFd, command: libc::c_int, lock: &mut libc::flock64) -> Result<(), Errno> {
    // SAFETY: the descriptor is open for the duration of the borrow; both commands take a pointer to one `flock64`,
    // which lives until the call returns.
    let result = unsafe { libc::fcntl(segment.as_fd().as_raw_fd(), command, ptr::from_mut(lock)) };
    if result == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO))
}

fn lock(fd: impl AsFd, operation: FlockOperation) -> Result<bool, Errno> {
    match rustix::io::retry_on_intr(|| flock(&fd, operation)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// A file that stands for the owner of a name. Whoever has it locked owns the name, or is about to.
#[derive(Debug)]
pub(super) struct LockFile {
    file: File,
    path: PathBuf,
}

impl LockFile {
    /// Locks the file of `plain`, making it where there is none. `None` if another process has it.
    pub(super) fn take(folder: &Path, plain: &str) -> io::Result<Option<Self>> {
        let path = folder.join(format!("{plain}.lock"));
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
                return Ok(None);
            }
            // Its last owner may have removed it between our `open` and our lock.
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

    fn is_mark_of(&self, segment: &Stat) -> bool {
        let mut found = String::new();
        let mut file = &self.file;
        file.rewind().is_ok()
            // What it holds is ours and short; anything longer is no mark.
            && file.take(256).read_to_string(&mut found).is_ok()
            && found == mark_text(segment)
    }

    fn mark(&self, segment: &OwnedFd) -> Result<(), Errno> {
        let stat = rustix::fs::fstat(segment)?;
        self.unmark()?;
        let mut file = &self.file;
        file.rewind()
            .and_then(|()| file.write_all(mark_text(&stat).as_bytes()))
            .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
    }

    fn unmark(&self) -> Result<(), Errno> {
        rustix::fs::ftruncate(&self.file, 0)
    }

    /// Is there no mark in it?
    fn is_empty(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.len() == 0)
    }

    fn remove(&self) {
        // While locked: who takes the lock afterwards sees that the path leads elsewhere. A leftover does no
        // harm but to be there.
        let _ = fs::remove_file(&self.path);
    }
}

/// What is known of a segment that a stranger's under the same name would not share.
fn mark_text(stat: &Stat) -> String {
    let Identity { device, inode } = Identity::of(stat);
    format!("{device} {inode} {} {}\n", stat.st_uid, stat.st_size)
}

/// The folder for lock files: only this user may write to it. `None` where no such folder can be had.
pub(super) fn private_folder() -> Option<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    // On macOS, this is already a folder of this user's own.
    let base = env::var_os("XDG_RUNTIME_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let folder = base.join(format!("shared_memory-{user}"));
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return None,
        _ => {}
    }
    // Somebody else may have been first, with a folder or a link of theirs.
    let found = fs::symlink_metadata(&folder).ok()?;
    (found.is_dir() && found.uid() == user && found.mode().trailing_zeros() >= 6).then_some(folder)
}
