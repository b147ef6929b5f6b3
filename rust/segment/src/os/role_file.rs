//! A file for each name whose bytes are the locks of roles, where segments can't be locked: macOS and Windows
//! (`docs/FORMAT.md`, *Lock files*). Its folder belongs to this user.
//!
//! The file is empty, and is never removed. Each incarnation of a layout has bytes of its own, so a file may
//! even stand for several names.

use std::fs::File;
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(windows)]
use std::os::windows::io::AsHandle;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::common::{escaped, failure};
use super::file::opener;
use super::roles::{Place, RoleLocks};
use crate::error::{Error, Result};
use crate::options::Access;

/// The characters of a name that count. A longer one may not fit into the name of a file.
const CHARACTERS: usize = 100;

const NO_FOLDER: Error =
    Error::Unsupported { what: "a native layout without a folder of this user for the locks of roles" };

/// The file of a segment, which is opened when it is first needed.
#[derive(Debug, Default)]
pub(super) struct RoleFile(OnceLock<File>);

impl RoleFile {
    /// Returns the locks of the segment that is called `plain`.
    pub(super) fn locks<'a>(
        &'a self,
        folder: impl FnOnce() -> Option<PathBuf>,
        plain: &'a str,
    ) -> Result<RoleLocks<'a>> {
        let file = match self.0.get() {
            Some(file) => file,
            None => {
                let path = folder().ok_or(NO_FOLDER)?.join(file_name(plain));
                let file = open(&path).map_err(|e| failure(plain, "open of the file of its roles", e))?;
                self.0.get_or_init(|| file)
            }
        };
        #[cfg(unix)]
        let file = file.as_fd();
        #[cfg(windows)]
        let file = file.as_handle();
        Ok(RoleLocks::new(file, plain, Place::Name))
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    opener(Access::ReadWrite).create(true).truncate(false).open(path)
}

/// Returns the name of the file. With the `_`, it isn't the name of a device on Windows, such as `aux`.
fn file_name(plain: &str) -> String {
    let mut name = escaped(plain);
    name.truncate(CHARACTERS);
    format!("_{name}.roles")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    //! On Linux, too, which has the same locks, but needs no such file.
    use std::fs;

    use super::*;
    use crate::roles::{Role, RoleLock};

    const WRITER: RoleLock = RoleLock { role: Role::Writer, incarnation: u64::MAX };

    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(crate::generate_name("role-test").unwrap());
            fs::create_dir(&folder).unwrap();
            Self(folder)
        }

        fn locks<'a>(&self, file: &'a RoleFile) -> RoleLocks<'a> {
            file.locks(|| Some(self.0.clone()), "frames").unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_role_has_one_holder_and_ends_with_its_file() {
        let scratch = Scratch::new();
        let [first, second] = [RoleFile::default(), RoleFile::default()];
        let (ours, theirs) = (scratch.locks(&first), scratch.locks(&second));
        assert!(!theirs.is_taken(WRITER).unwrap());
        assert!(ours.take(WRITER).unwrap());
        assert!(theirs.is_taken(WRITER).unwrap() && !theirs.take(WRITER).unwrap());
        ours.release(WRITER);
        assert!(!theirs.is_taken(WRITER).unwrap() && ours.take(WRITER).unwrap());
        drop(first);
        assert!(theirs.take(WRITER).unwrap(), "the descriptor is closed");
        assert_eq!(fs::metadata(scratch.0.join("_frames.roles")).unwrap().len(), 0);
    }

    #[test]
    fn roles_and_incarnations_have_bytes_of_their_own() {
        let scratch = Scratch::new();
        let [first, second] = [RoleFile::default(), RoleFile::default()];
        let (ours, theirs) = (scratch.locks(&first), scratch.locks(&second));
        let readers = (0..64).flat_map(|index| [Role::Reader(index), Role::Producer(index)]);
        let locks: Vec<RoleLock> = [Role::Layout, Role::Writer, Role::Consumer]
            .into_iter()
            .chain(readers)
            .flat_map(|role| [1, 2, u64::MAX].map(|incarnation| RoleLock { role, incarnation }))
            .collect();
        for (index, lock) in locks.iter().enumerate() {
            assert!(!theirs.is_taken(*lock).unwrap(), "{index}");
            assert!(ours.take(*lock).unwrap(), "{index}");
        }
        // Every second one goes, and no other.
        locks.iter().step_by(2).for_each(|lock| ours.release(*lock));
        for (index, lock) in locks.iter().enumerate() {
            assert_eq!(theirs.is_taken(*lock).unwrap(), index % 2 == 1, "{index}");
        }
    }

    #[test]
    fn a_name_of_any_length_and_sign_has_a_file() {
        assert_eq!(file_name("frames_1-a.b"), "_frames_1-a.b.roles");
        assert_eq!(file_name("Aux"), "_%41ux.roles");
        assert_eq!(file_name("a/../b"), "_a%2f..%2fb.roles");
        assert!(file_name(&"ä".repeat(200)).len() < 120);
    }

    #[test]
    fn without_a_folder_there_is_no_role() {
        let file = RoleFile::default();
        assert!(matches!(file.locks(|| None, "frames"), Err(Error::Unsupported { .. })));
        let absent = || Some(PathBuf::from("/absent/folder"));
        assert!(file.locks(absent, "frames").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_planted_link_is_not_followed() {
        let scratch = Scratch::new();
        let precious = scratch.0.join("precious");
        fs::write(&precious, b"precious").unwrap();
        std::os::unix::fs::symlink(&precious, scratch.0.join("_frames.roles")).unwrap();
        assert!(RoleFile::default().locks(|| Some(scratch.0.clone()), "frames").is_err());
    }
}
