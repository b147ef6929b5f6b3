//! Owners on systems whose segments can be neither locked nor marked. A lock file stands for both.
//!
//! Only a segment that a dead owner really made is reclaimed, whatever the lock file is.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use arbitrary::Arbitrary;
use shm_segment::fuzzing::ByCalls;
use shm_segment::{Error, Lifetime};

use crate::scratch::{Scratch, in_bounded_time};

/// The planted lock file, the file under the name, and the segments that are made then.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    lock: Lock,
    is_held: bool,
    /// The size of a file under the name, if there is one.
    segment: Option<u16>,
    rounds: Vec<Round>,
}

#[derive(Debug, Arbitrary)]
enum Lock {
    Nothing,
    Folder,
    Link,
    File(Text),
}

#[derive(Debug, Arbitrary)]
enum Text {
    Any(Vec<u8>),
    /// The text of the owner of the file under the name, with a byte changed and more bytes behind it.
    Near {
        at: u8,
        change: u8,
        more: Vec<u8>,
    },
}

#[derive(Debug, Arbitrary)]
struct Round {
    size: u16,
    persistent: bool,
    dies: bool,
}

impl Plan {
    /// Runs the plan.
    pub fn run(self) {
        let (scratch, folder, precious) =
            (Scratch::new("calls"), Scratch::new("locks"), Scratch::new("precious"));
        fs::DirBuilder::new().mode(0o700).create(folder.path()).unwrap();
        fs::write(precious.path(), b"precious").unwrap();
        let lock = folder.path().join(format!("{}.lock", scratch.name));
        if let Some(size) = self.segment {
            fs::write(scratch.path(), vec![7; usize::from(size)]).unwrap();
        }
        self.lock.plant(&lock, &precious, scratch.metadata().as_ref());
        let holder = self.is_held.then(|| hold(&lock)).flatten();
        let calls = ByCalls::new(folder.path());
        for round in self.rounds.iter().take(4) {
            in_bounded_time(|| round.run(&calls, &scratch, &lock, holder.is_some()));
        }
        assert_eq!(fs::read(precious.path()).unwrap(), b"precious");
    }
}

/// Returns the text that an owner writes into its lock file, without the crate's help.
fn owner_text(segment: &Metadata) -> String {
    [segment.dev(), segment.ino(), segment.uid().into(), segment.size()].map(|n| n.to_string()).join(" ")
        + "\n"
}

impl Lock {
    fn plant(&self, path: &Path, precious: &Scratch, segment: Option<&Metadata>) {
        match self {
            Self::Nothing => {}
            Self::Folder => fs::create_dir(path).unwrap(),
            Self::Link => symlink(precious.path(), path).unwrap(),
            Self::File(Text::Any(bytes)) => fs::write(path, bytes).unwrap(),
            Self::File(Text::Near { at, change, more }) => {
                let mut text = segment.map(owner_text).unwrap_or_default().into_bytes();
                if !text.is_empty() {
                    let at = usize::from(*at) % text.len();
                    text[at] ^= change;
                }
                text.extend(more);
                fs::write(path, text).unwrap();
            }
        }
    }
}

/// Locks the file as a living owner does, if it can be locked.
fn hold(path: &PathBuf) -> Option<File> {
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let file = File::options().read(true).write(true).open(path).ok()?;
    file.try_lock().ok()?;
    Some(file)
}

impl Round {
    fn run(&self, calls: &ByCalls, scratch: &Scratch, lock: &PathBuf, is_held: bool) {
        let size = u64::from(self.size).max(1);
        let before = scratch.metadata();
        let text = if fs::symlink_metadata(lock).is_ok_and(|found| found.is_file()) {
            Some(fs::read(lock).unwrap())
        } else {
            None
        };
        let is_orphan = before.as_ref().is_some_and(|found| text == Some(owner_text(found).into_bytes()));
        let lifetime = if self.persistent { Lifetime::Persistent } else { Lifetime::Owner };
        match calls.create(&scratch.name, size, lifetime) {
            Ok(made) => {
                assert!(before.is_none() || (is_orphan && !is_held), "{before:?} was reclaimed");
                let after = scratch.metadata().unwrap();
                assert!(after.is_file() && after.size() == size);
                assert!(before.is_none_or(|before| before.ino() != after.ino()), "a new file");
                if made.is_reclaimable() && !self.persistent {
                    assert_eq!(fs::read(lock).unwrap(), owner_text(&after).into_bytes());
                }
                assert!(matches!(
                    calls.create(&scratch.name, size, lifetime),
                    Err(Error::AlreadyExists { .. })
                ));
                if self.dies { made.die() } else { made.close(scratch.name.as_str(), calls) }
            }
            Err(Error::AlreadyExists { .. }) => {
                let found = before.expect("the name was free");
                assert!(!is_orphan || is_held, "a dead owner's segment was not reclaimed");
                let all = |found: &Metadata| (found.ino(), found.mode(), found.size());
                assert_eq!(scratch.metadata().as_ref().map(all), Some(all(&found)));
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}
