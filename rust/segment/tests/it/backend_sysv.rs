//! System V memory: what only this backend does.

use std::process::Command;

use crate::common::backends::Place;
use shm_segment::{Access, Backend, Error, Lifetime, Options, Scope, Segment};

fn create(place: &Place, scope: Scope) -> Segment {
    Options::new(&place.name).backend(Backend::SystemV).scope(scope).create(100).unwrap()
}

/// Returns the line of `ipcs -m`: key, id, owner, permissions, bytes.
fn line_of(segment: &Segment) -> Option<Vec<String>> {
    let printed = Command::new("ipcs").arg("-m").output().unwrap();
    let key = segment.name().native_name();
    String::from_utf8(printed.stdout)
        .unwrap()
        .lines()
        .find(|line| line.starts_with(&key))
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
}

#[test]
fn the_system_lists_size_and_permissions() {
    for (scope, permissions) in [(Scope::Local, "600"), (Scope::Global, "666")] {
        let place = Place::new(Backend::SystemV);
        let segment = create(&place, scope);
        let line = line_of(&segment).unwrap();
        assert_eq!((&*line[3], &*line[4]), (permissions, "100"));
        assert_eq!(segment.scope(), scope);
        let opened = Options::new(&place.name).backend(Backend::SystemV).open(0, Access::ReadOnly).unwrap();
        assert_eq!((opened.scope(), opened.size()), (scope, 100));
    }
}

/// Other programs' memory has no name, only the key that `ipcs` prints.
#[test]
fn the_native_name_opens_the_same_memory() {
    let place = Place::new(Backend::SystemV);
    let segment = create(&place, Scope::Local);
    segment.write(0, b"by key").unwrap();
    let key = segment.name().native_name();
    let by_key = Options::new(&key).backend(Backend::SystemV);
    assert!(by_key.exists());
    let opened = by_key.open(0, Access::ReadOnly).unwrap();
    assert_eq!((opened.size(), opened.name().native_name()), (100, key.clone()));
    let mut bytes = [0; 6];
    opened.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"by key");
    by_key.remove().unwrap();
    assert!(!segment.name().is_current());
}

#[test]
fn a_removed_segment_stays_while_it_is_open() {
    let place = Place::new(Backend::SystemV);
    let segment = create(&place, Scope::Local);
    segment.write(0, b"kept").unwrap();
    let id = line_of(&segment).unwrap()[1].clone();
    assert!(Command::new("ipcrm").args(["-m", &id]).status().unwrap().success());
    assert!(!segment.name().is_current());
    let mut bytes = [0; 4];
    segment.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"kept");
    assert_eq!(segment.current_size().unwrap(), 100);
    let opened = Options::new(&place.name).backend(Backend::SystemV).open(0, Access::ReadWrite);
    assert!(matches!(opened, Err(Error::DoesNotExist { .. })), "{opened:?}");
}

/// No process can know that its owner is dead, so it stays until it is removed.
#[test]
fn a_leftover_stays_until_it_is_removed() {
    let place = Place::new(Backend::SystemV);
    let key = {
        let segment = Options::new(&place.name)
            .backend(Backend::SystemV)
            .lifetime(Lifetime::Persistent)
            .create(100)
            .unwrap();
        segment.name().native_name()
    };
    let taken = Options::new(&place.name).backend(Backend::SystemV).create(100);
    assert!(matches!(taken, Err(Error::AlreadyExists { .. })), "{taken:?}");
    assert!(Command::new("ipcrm").args(["-M", &key]).status().unwrap().success());
    drop(create(&place, Scope::Local));
    assert!(!Options::new(&place.name).backend(Backend::SystemV).exists());
}

#[test]
fn any_name_has_a_key() {
    for name in ["a", "x/y", "/x", "ä", "123456789", &"long".repeat(1000)] {
        let name = format!("{name}{}", shm_segment::generate_name("t").unwrap());
        let segment = Options::new(&name).backend(Backend::SystemV).create(1).unwrap();
        assert!(Options::new(&name).backend(Backend::SystemV).exists(), "{name}");
        assert_eq!(segment.name().as_str(), name);
    }
}

/// The fault handler could not replace a part of a huge page.
#[test]
fn huge_pages_are_refused() {
    let place = Place::new(Backend::SystemV);
    let key = create(&place, Scope::Local).name().native_name();
    let key = i32::from_str_radix(key.trim_start_matches("0x"), 16)
        .unwrap_or_else(|_| u32::from_str_radix(&key[2..], 16).unwrap().cast_signed());
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o600 | libc::SHM_HUGETLB | libc::SHM_NORESERVE;
    // Not only multiples of a huge page.
    for size in [4 << 20, 3 << 20, 1, 4096, 4097] {
        // SAFETY: the call takes and returns numbers only.
        let id = unsafe { libc::shmget(key, size, flags) };
        if id < 0 {
            println!("skipped: no huge pages: {}", std::io::Error::last_os_error());
            return;
        }
        for access in [Access::ReadWrite, Access::ReadOnly] {
            let opened = Options::new(&place.name).backend(Backend::SystemV).open(0, access);
            assert!(matches!(opened, Err(Error::NotASegment { .. })), "{opened:?}");
        }
        // `ipcs -m` must show, before the removal, that no process has it attached any more.
        let printed = Command::new("ipcs").args(["-m", "-i", &id.to_string()]).output().unwrap();
        let printed = String::from_utf8(printed.stdout).unwrap();
        Options::new(&place.name).backend(Backend::SystemV).remove().unwrap();
        assert!(printed.contains("nattch=0"), "{printed}");
    }
}

#[test]
fn set_lifetime_decides_whether_a_segment_stays() {
    for (first, then) in [(Lifetime::Owner, Lifetime::Persistent), (Lifetime::Persistent, Lifetime::Owner)] {
        let place = Place::new(Backend::SystemV);
        let segment =
            Options::new(&place.name).backend(Backend::SystemV).lifetime(first).create(100).unwrap();
        segment.set_lifetime(then).unwrap();
        drop(segment);
        let stays = Options::new(&place.name).backend(Backend::SystemV).exists();
        assert_eq!(stays, then == Lifetime::Persistent, "{first:?}, then {then:?}");
    }
}

#[test]
fn forbidden_calls_of_another_user_are_refused() {
    for scope in [Scope::Local, Scope::Global] {
        let place = Place::new(Backend::SystemV);
        let segment = create(&place, scope);
        crate::common::backends::as_nobody(|is_another| {
            if !is_another {
                println!("skipped: only root has another user");
                return;
            }
            let opened = Options::new(&place.name).backend(Backend::SystemV).open(0, Access::ReadWrite);
            match scope {
                Scope::Local => {
                    assert!(matches!(opened, Err(Error::PermissionDenied { .. })), "{opened:?}");
                }
                Scope::Global => assert_eq!(opened.unwrap().size(), 100),
            }
            assert!(Options::new(&place.name).backend(Backend::SystemV).scope(scope).exists());
            let removed = [
                Options::new(&place.name).backend(Backend::SystemV).scope(scope).remove(),
                segment.name().unlink(),
            ];
            for removed in removed {
                assert!(matches!(removed, Err(Error::PermissionDenied { .. })), "{removed:?}");
            }
        });
        assert!(segment.name().is_current());
    }
}
