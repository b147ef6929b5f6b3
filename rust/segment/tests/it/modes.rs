//! Modes, pages and descriptors of segments that are files.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::common::Name;
use shm_segment::{Access, Error, Lifetime, Options, Scope, Segment};

fn create(name: &str, size: u64) -> Segment {
    Options::new(name).create(size).unwrap()
}

#[test]
fn a_reader_needs_no_right_to_write() {
    if rustix::process::geteuid().is_root() {
        // Root may do anything.
        return;
    }
    let name = Name::new();
    let _ours = create(&name, 10);
    fs::set_permissions(name.path(), fs::Permissions::from_mode(0o400)).unwrap();
    assert!(Options::new(&name).open(0, Access::ReadOnly).is_ok());
    assert!(matches!(Options::new(&name).open(0, Access::ReadWrite), Err(Error::PermissionDenied { .. })));
}

#[test]
fn the_mode_shows_the_scope() {
    let name = Name::new();
    for (scope, mode) in [(Scope::Local, 0o600), (Scope::Global, 0o666)] {
        for lifetime in [Lifetime::Owner, Lifetime::Persistent] {
            let segment = Options::new(&name).scope(scope).lifetime(lifetime).create(1).unwrap();
            assert_eq!(fs::metadata(name.path()).unwrap().mode() & 0o777, mode, "{scope:?} {lifetime:?}");
            assert_eq!(segment.scope(), scope);
            assert_eq!(Options::new(&name).open(0, Access::ReadWrite).unwrap().scope(), scope);
            drop(segment);
            let _ = name.remove();
        }
    }
}

#[test]
fn pages_are_reserved_at_creation() {
    let name = Name::new();
    let size = 1 << 20;
    let _segment = create(&name, size);
    assert!(fs::metadata(name.path()).unwrap().blocks() * 512 >= size);
}

#[test]
fn a_segment_truncated_by_a_peer_is_an_error() {
    let name = Name::new();
    let segment = create(&name, 100_000);
    fs::File::options().write(true).open(name.path()).unwrap().set_len(50).unwrap();
    let mut byte = [0];
    for result in [segment.read(0, &mut byte), segment.write(99_999, &byte), segment.fill(0, 1, 1)] {
        match result {
            Err(Error::Truncated { actual: 50, expected: 100_000, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(segment.current_size().unwrap(), 50);
}

#[test]
fn descriptors_are_not_inherited() {
    let name = Name::new();
    let _ours = create(&name, 1);
    let _theirs = Options::new(&name).open(0, Access::ReadWrite).unwrap();
    let listing = std::process::Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    assert!(listing.contains("/proc/"), "{listing}");
    assert!(!listing.contains(&*name), "{listing}");
}
