//! Things that another program may have put under the name.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use crate::common::Name;
use shm_segment::{Access, Error, Lifetime, Options};

/// Checks that the thing under the name is not a segment, that no call waits for it, and that it stays.
fn assert_refused(name: &Name) {
    let start = Instant::now();
    for access in [Access::ReadWrite, Access::ReadOnly] {
        match Options::new(name).open(0, access) {
            Err(Error::NotASegment { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(Options::new(name).create(1), Err(Error::AlreadyExists { .. })));
    assert!(Options::new(name).open_or_create(1).is_err());
    assert!(matches!(name.remove(), Err(Error::NotASegment { .. })));
    assert!(!name.exists());
    assert!(!shm_segment::list_names().contains(&name.0));
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(fs::symlink_metadata(name.path()).is_ok());
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let (name, target) = (Name::new(), Name::new());
    fs::write(target.path(), b"precious").unwrap();
    symlink(target.path(), name.path()).unwrap();
    assert_refused(&name);
    assert_eq!(fs::read(target.path()).unwrap(), b"precious");
}

#[test]
fn a_dangling_link_is_not_filled() {
    let (name, target) = (Name::new(), Name::new());
    symlink(target.path(), name.path()).unwrap();
    assert_refused(&name);
    assert!(!target.path().exists());
}

#[test]
fn a_fifo_does_not_block() {
    let name = Name::new();
    let done = std::process::Command::new("mkfifo").arg(name.path()).status().unwrap();
    assert!(done.success());
    assert_refused(&name);
}

#[test]
fn a_marked_fifo_does_not_block_either() {
    let name = Name::new();
    assert!(std::process::Command::new("mkfifo").arg(name.path()).status().unwrap().success());
    fs::set_permissions(name.path(), fs::Permissions::from_mode(0o1600)).unwrap();
    assert_refused(&name);
}

#[test]
fn a_directory_is_refused() {
    let name = Name::new();
    fs::create_dir(name.path()).unwrap();
    assert_refused(&name);
}

#[test]
fn a_socket_is_refused() {
    let name = Name::new();
    let _socket = UnixListener::bind(name.path()).unwrap();
    assert_refused(&name);
}

#[test]
fn open_fails_at_once_without_a_size() {
    let name = Name::new();
    fs::write(name.path(), b"").unwrap();
    let start = Instant::now();
    assert!(matches!(Options::new(&name).open(0, Access::ReadWrite), Err(Error::NotSizedYet { .. })));
    assert!(start.elapsed() < Duration::from_millis(40));
    assert!(matches!(Options::new(&name).open_or_create(1), Err(Error::NotSizedYet { .. })));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_segment_that_gets_its_size_late_is_opened() {
    let name = Name::new();
    fs::write(name.path(), b"").unwrap();
    let path = name.path();
    let creator = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(10));
        fs::write(path, [5; 8]).unwrap();
    });
    let opened = Options::new(&name).open_or_create(8).unwrap();
    assert!(!opened.is_created());
    creator.join().unwrap();
}

/// .NET takes such a lock on every file it opens. Unless told otherwise, it is a shared one.
#[test]
fn flock_of_another_program_changes_nothing() {
    let name = Name::new();
    let ours = Options::new(&name).create(8).unwrap();
    let file = fs::File::open(name.path()).unwrap();
    file.try_lock().unwrap();
    assert!(Options::new(&name).open(0, Access::ReadWrite).is_ok());
    ours.set_lifetime(Lifetime::Persistent).unwrap();
    ours.set_lifetime(Lifetime::Owner).unwrap();
    drop(ours);
    fs::write(name.path(), [0; 8]).unwrap();
    fs::set_permissions(name.path(), fs::Permissions::from_mode(0o1600)).unwrap();
    let left = fs::File::open(name.path()).unwrap();
    left.lock().unwrap();
    assert!(
        Options::new(&name).create(8).is_ok(),
        "a dead owner's segment is free, even if it has such a lock"
    );
}

#[test]
fn semaphores_are_not_listed() {
    let name = Name(format!("sem.{}", &*Name::new()));
    fs::write(name.path(), [0; 32]).unwrap();
    assert!(!shm_segment::list_names().contains(&name.0));
    let segment = Name::new();
    let _held = Options::new(&segment).create(1).unwrap();
    assert!(shm_segment::list_names().contains(&segment.0));
}
