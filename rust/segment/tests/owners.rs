//! Where names are files: who removes one, which stay, and whose are taken over.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::{Name, Peer};
use shm_segment::{Access, Error, Lifetime, Scope, Segment};

/// Not a test: what [`Peer`] runs.
#[test]
fn peer() {
    common::serve();
}

fn create(name: &str) -> Result<Segment, Error> {
    Segment::create(name, 4096, Scope::Local, Lifetime::Owner)
}

fn assert_exists_already(result: &Result<Segment, Error>) {
    assert!(matches!(result, Err(Error::AlreadyExists { .. })), "{result:?}");
}

#[test]
fn who_may_not_have_a_name_is_told_why() {
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
fn the_creator_takes_the_name_with_it() {
    let name = Name::new();
    let ours = create(&name).unwrap();
    let theirs = Segment::open(&name, 0, Access::ReadWrite).unwrap();
    assert!(name.exists() && theirs.link().is_current());
    drop(ours);
    assert!(!name.exists() && !theirs.link().is_current());
    theirs.write(0, b"still there").unwrap();
}

#[test]
fn a_dead_owner_is_reclaimed_and_its_memory_stays_with_who_has_it() {
    let name = Name::new();
    let mut peer = Peer::start();
    assert_eq!(peer.ask(&format!("create {}", &*name)), "created");
    assert_eq!(peer.ask("write old"), "written");
    let old = Segment::open(&name, 0, Access::ReadWrite).unwrap();
    assert_exists_already(&create(&name));
    peer.kill();
    assert!(name.exists());
    assert!(Segment::open(&name, 0, Access::ReadWrite).is_ok(), "what is left can be opened");

    let new = create(&name).unwrap();
    assert!(new.link().is_current() && !old.link().is_current());
    let mut bytes = [1; 3];
    old.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"old");
    new.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 3]);
    old.link().unlink().unwrap();
    assert!(new.link().is_current(), "the old one's name is no longer its to remove");
}

#[test]
fn a_persistent_segment_outlives_its_creator_and_is_never_reclaimed() {
    let name = Name::new();
    let mut peer = Peer::start();
    assert_eq!(peer.ask(&format!("persist {}", &*name)), "created");
    peer.kill();
    assert_exists_already(&create(&name));
    drop(Segment::open(&name, 0, Access::ReadWrite).unwrap());
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
    let ours = Segment::create(&name, 1, Scope::Local, Lifetime::Persistent).unwrap();
    ours.set_lifetime(Lifetime::Owner).unwrap();
    drop(ours);
    assert!(!name.exists());
}

#[test]
fn a_mark_on_another_users_segment_is_not_believed() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let name = Name::new();
    fs::write(name.path(), [0; 4096]).unwrap();
    std::os::unix::fs::chown(name.path(), Some(65534), Some(65534)).unwrap();
    fs::set_permissions(name.path(), fs::Permissions::from_mode(0o1666)).unwrap();
    assert_exists_already(&create(&name));
}

#[test]
fn an_old_owner_does_not_remove_its_successors_name() {
    let name = Name::new();
    let old = create(&name).unwrap();
    name.remove().unwrap();
    let new = create(&name).unwrap();
    drop(old);
    assert!(new.link().is_current());
}

#[test]
fn a_name_is_released_once() {
    let name = Name::new();
    let ours = create(&name).unwrap();
    ours.release_name();
    let successor = create(&name).unwrap();
    ours.release_name();
    drop(ours);
    assert!(successor.link().is_current());
}

#[test]
fn a_link_outlives_the_segment() {
    let name = Name::new();
    let ours = Segment::create(&name, 1, Scope::Local, Lifetime::Persistent).unwrap();
    let link = ours.link().clone();
    drop(ours);
    assert!(link.is_current());
    link.unlink().unwrap();
    assert!(!link.is_current() && !name.exists());
    link.unlink().unwrap();
}
