//! The way of systems whose segments can be neither locked nor marked: a lock file beside each stands for both.
//! Whatever is in its place, only what a dead owner really made is taken over.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use arbitrary::Arbitrary;
use shm_segment::fuzzing::ByCalls;
use shm_segment::{Error, Lifetime};

use crate::scratch::{Scratch, in_bounded_time};

/// What is where the lock file would be, what is under the name, and what is made then.
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
    /// The true one of what is under the name, with a byte changed and some more behind it.
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
    /// Does it.
    pub fn run(self) {
        let (place, folder, precious) =
            (Scratch::new("calls"), Scratch::new("locks"), Scratch::new("precious"));
        fs::DirBuilder::new().mode(0o700).create(folder.path()).unwrap();
        fs::write(precious.path(), b"precious").unwrap();
        let lock = folder.path().join(format!("{}.lock", place.name));
        if let Some(size) = self.segment {
            fs::write(place.path(), vec![7; usize::from(size)]).unwrap();
        }
        self.lock.put(&lock, &precious, look(&place).as_ref());
        let holder = self.is_held.then(|| hold(&lock)).flatten();
        let calls = ByCalls::new(folder.path());
        for round in self.rounds.iter().take(4) {
            in_bounded_time(|| round.run(&calls, &place, &lock, holder.is_some()));
        }
        assert_eq!(fs::read(precious.path()).unwrap(), b"precious");
    }
}

fn look(place: &Scratch) -> Option<Metadata> {
    fs::symlink_metadata(place.path()).ok()
}

/// What an owner writes into its lock file, in other words than the crate's.
fn mark_of(segment: &Metadata) -> String {
    [segment.dev(), segment.ino(), segment.uid().into(), segment.size()].map(|n| n.to_string()).join(" ")
        + "\n"
}

impl Lock {
    fn put(&self, path: &Path, precious: &Scratch, segment: Option<&Metadata>) {
        match self {
            Self::Nothing => {}
            Self::Folder => fs::create_dir(path).unwrap(),
            Self::Link => symlink(precious.path(), path).unwrap(),
            Self::File(Text::Any(bytes)) => fs::write(path, bytes).unwrap(),
            Self::File(Text::Near { at, change, more }) => {
                let mut text = segment.map(mark_of).unwrap_or_default().into_bytes();
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

/// As a living owner does.
fn hold(path: &PathBuf) -> Option<File> {
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let file = File::options().read(true).write(true).open(path).ok()?;
    file.try_lock().ok()?;
    Some(file)
}

impl Round {
    fn run(&self, calls: &ByCalls, place: &Scratch, lock: &PathBuf, is_held: bool) {
        let size = u64::from(self.size).max(1);
        let before = look(place);
        let text = if fs::symlink_metadata(lock).is_ok_and(|found| found.is_file()) {
            Some(fs::read(lock).unwrap())
        } else {
            None
        };
        let is_remains = before.as_ref().is_some_and(|found| text == Some(mark_of(found).into_bytes()));
        let lifetime = if self.persistent { Lifetime::Persistent } else { Lifetime::Owner };
        match calls.create(&place.name, size, lifetime) {
            Ok(made) => {
                assert!(before.is_none() || (is_remains && !is_held), "{before:?} was taken over");
                let after = look(place).unwrap();
                assert!(after.is_file() && after.size() == size);
                assert!(before.is_none_or(|before| before.ino() != after.ino()), "a new file");
                if made.is_reclaimable() && !self.persistent {
                    assert_eq!(fs::read(lock).unwrap(), mark_of(&after).into_bytes());
                }
                assert!(matches!(
                    calls.create(&place.name, size, lifetime),
                    Err(Error::AlreadyExists { .. })
                ));
                if self.dies { made.die() } else { made.close(place.name.as_str(), calls) }
            }
            Err(Error::AlreadyExists { .. }) => {
                let found = before.expect("nothing was there");
                assert!(!is_remains || is_held, "a dead owner's was not taken over");
                let all = |found: &Metadata| (found.ino(), found.mode(), found.size());
                assert_eq!(look(place).as_ref().map(all), Some(all(&found)));
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}
