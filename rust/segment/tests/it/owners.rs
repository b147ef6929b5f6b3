//! Owners where names are files: when a name is removed, kept or reclaimed.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;

use crate::common::{Name, Peer};
use shm_segment::{Access, Error, Lifetime, Options, Scope, Segment};

fn create(name: &str) -> Result<Segment, Error> {
    Options::new(name).create(4096)
}

fn assert_exists_already(result: &Result<Segment, Error>) {
    assert!(matches!(result, Err(Error::AlreadyExists { .. })), "{result:?}");
}

#[test]
fn create_tells_why_a_name_is_taken() {
    let name = Name::new();
    let owner = create(&name).unwrap();
    assert!(create(&name).unwrap_err().to_string().contains("is running"));
    owner.set_lifetime(Lifetime::Persistent).unwrap();
    drop(owner);
    assert!(create(&name).unwrap_err().to_string().contains("persistent"));
    name.remove().unwrap();
    fs::create_dir(name.path()).unwrap();
    assert!(create(&name).unwrap_err().to_string().contains("a directory"));
}

#[test]
fn the_name_goes_with_its_creator() {
    let name = Name::new();
    let ours = create(&name).unwrap();
    let theirs = Options::new(&name).open(0, Access::ReadWrite).unwrap();
    assert!(name.exists() && theirs.name().is_current());
    drop(ours);
    assert!(!name.exists() && !theirs.name().is_current());
    theirs.write(0, b"still there").unwrap();
}

#[test]
fn openers_keep_the_memory_of_a_reclaimed_name() {
    let name = Name::new();
    let mut peer = Peer::start("peer");
    assert_eq!(peer.ask(&format!("create {}", &*name)), "created");
    assert_eq!(peer.ask("write old"), "written");
    let old = Options::new(&name).open(0, Access::ReadWrite).unwrap();
    assert_exists_already(&create(&name));
    peer.kill();
    assert!(name.exists());
    assert!(Options::new(&name).open(0, Access::ReadWrite).is_ok(), "the leftover can be opened");

    let new = create(&name).unwrap();
    assert!(new.name().is_current() && !old.name().is_current());
    let mut bytes = [1; 3];
    old.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"old");
    new.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 3]);
    old.name().unlink().unwrap();
    assert!(new.name().is_current(), "the old segment must not remove its successor's name");
}

#[test]
fn a_persistent_segment_outlives_its_creator_and_is_never_reclaimed() {
    let name = Name::new();
    let mut peer = Peer::start("peer");
    assert_eq!(peer.ask(&format!("persist {}", &*name)), "created");
    peer.kill();
    assert_exists_already(&create(&name));
    drop(Options::new(&name).open(0, Access::ReadWrite).unwrap());
    assert!(name.exists());
    name.remove().unwrap();
    assert!(create(&name).is_ok());
}

#[test]
fn a_lifetime_can_change() {
    let name = Name::new();
    let ours = create(&name).unwrap();
    ours.set_lifetime(Lifetime::Persistent).unwrap();
    drop(ours);
    assert!(name.exists());
    name.remove().unwrap();
    let ours = Options::new(&name).lifetime(Lifetime::Persistent).create(1).unwrap();
    ours.set_lifetime(Lifetime::Owner).unwrap();
    drop(ours);
    assert!(!name.exists());
}

#[test]
fn a_mark_on_another_users_segment_is_ignored() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can make another user's file");
        return;
    }
    let name = Name::new();
    fs::write(name.path(), [0; 4096]).unwrap();
    std::os::unix::fs::chown(name.path(), Some(65534), Some(65534)).unwrap();
    fs::set_permissions(name.path(), fs::Permissions::from_mode(0o1666)).unwrap();
    assert_exists_already(&create(&name));
}

/// The owner's user is not checked: any segment that may be opened is opened. The scope tells the difference.
#[test]
fn open_or_create_opens_another_users_global_segment() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can make another user's file");
        return;
    }
    let name = Name::new();
    fs::write(name.path(), [7; 4096]).unwrap();
    std::os::unix::fs::chown(name.path(), Some(65534), Some(65534)).unwrap();
    fs::set_permissions(name.path(), fs::Permissions::from_mode(0o666)).unwrap();
    assert_exists_already(&create(&name));
    let opened = Options::new(&name).open_or_create(4096).unwrap();
    assert!(!opened.is_created());
    assert_eq!(opened.scope(), Scope::Global, "even if the local scope was asked for");
    drop(opened);
    assert!(name.exists());
}

#[test]
fn a_planted_life_lock_keeps_the_name_until_it_is_removed() {
    let name = Name::new();
    fs::write(name.path(), [0; 4096]).unwrap();
    fs::set_permissions(name.path(), fs::Permissions::from_mode(0o1600)).unwrap();
    // A user that may only read can take it, too.
    let reader = fs::File::open(name.path()).unwrap();
    let life =
        libc::flock64 { l_type: libc::F_RDLCK as _, l_whence: 0, l_start: 1 << 62, l_len: 1, l_pid: 0 };
    // SAFETY: the descriptor is open, and the call takes one `flock64`.
    assert_eq!(unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_OFD_SETLK, &raw const life) }, 0);
    assert_exists_already(&create(&name));
    name.remove().unwrap();
    assert!(create(&name).is_ok());
}

#[test]
fn an_old_owner_does_not_remove_its_successors_name() {
    let name = Name::new();
    let old = create(&name).unwrap();
    name.remove().unwrap();
    let new = create(&name).unwrap();
    drop(old);
    assert!(new.name().is_current());
}

#[test]
fn a_name_is_released_once() {
    let name = Name::new();
    let ours = create(&name).unwrap();
    ours.release_name();
    let successor = create(&name).unwrap();
    ours.release_name();
    drop(ours);
    assert!(successor.name().is_current());
}

#[test]
fn a_name_handle_outlives_the_segment() {
    let name = Name::new();
    let ours = Options::new(&name).lifetime(Lifetime::Persistent).create(1).unwrap();
    let handle = ours.name().clone();
    drop(ours);
    assert!(handle.is_current());
    handle.unlink().unwrap();
    assert!(!handle.is_current() && !name.exists());
    handle.unlink().unwrap();
}
