//! When a name goes, whose it is, and what becomes of a dead owner's.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

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
    shm_segment::remove(&name).unwrap();
    fs::create_dir(name.path()).unwrap();
    assert!(create(&name).unwrap_err().to_string().contains("a directory"));
}

#[test]
fn the_creator_takes_the_name_with_it() {
    let name = Name::new();
    let ours = create(&name).unwrap();
    let theirs = Segment::open(&name, 0, Access::ReadWrite).unwrap();
    assert!(shm_segment::exists(&name) && theirs.link().is_current());
    drop(ours);
    assert!(!shm_segment::exists(&name) && !theirs.link().is_current());
    theirs.write(0, b"still there").unwrap();
}

#[test]
fn an_opener_leaves_the_name() {
    let name = Name::new();
    let _ours = create(&name).unwrap();
    drop(Segment::open(&name, 0, Access::ReadWrite).unwrap());
    assert!(shm_segment::exists(&name));
}

#[test]
fn a_living_owner_is_never_reclaimed() {
    let name = Name::new();
    let _ours = create(&name).unwrap();
    assert_exists_already(&create(&name));
    let mut peer = Peer::start();
    assert_eq!(peer.ask(&format!("create {}", &*name)), "exists");
    assert_eq!(peer.ask(&format!("open_or_create {}", &*name)), "opened");
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
    assert!(shm_segment::exists(&name));
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
fn open_or_create_reclaims_too() {
    let name = Name::new();
    let mut peer = Peer::start();
    assert_eq!(peer.ask(&format!("create {}", &*name)), "created");
    peer.kill();
    let ours = Segment::open_or_create(&name, 4096, Scope::Local, Lifetime::Owner).unwrap();
    assert!(ours.is_created());
}

#[test]
fn a_persistent_segment_outlives_its_creator_and_is_never_reclaimed() {
    let name = Name::new();
    let mut peer = Peer::start();
    assert_eq!(peer.ask(&format!("persist {}", &*name)), "created");
    peer.kill();
    assert_exists_already(&create(&name));
    drop(Segment::open(&name, 0, Access::ReadWrite).unwrap());
    assert!(shm_segment::exists(&name));
    shm_segment::remove(&name).unwrap();
    assert!(create(&name).is_ok());
}

#[test]
fn a_lifetime_can_change() {
    let name = Name::new();
    let ours = create(&name).unwrap();
    ours.set_lifetime(Lifetime::Persistent).unwrap();
    drop(ours);
    assert!(shm_segment::exists(&name));
    shm_segment::remove(&name).unwrap();
    let ours = Segment::create(&name, 1, Scope::Local, Lifetime::Persistent).unwrap();
    ours.set_lifetime(Lifetime::Owner).unwrap();
    drop(ours);
    assert!(!shm_segment::exists(&name));
}

#[test]
fn what_others_made_is_never_reclaimed() {
    let name = Name::new();
    // As any other program would.
    fs::write(name.path(), [0; 4096]).unwrap();
    assert_exists_already(&create(&name));
    assert!(Segment::open(&name, 0, Access::ReadWrite).is_ok());
    assert_eq!(fs::metadata(name.path()).unwrap().size(), 4096);
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
    shm_segment::remove(&name).unwrap();
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
    assert!(!link.is_current() && !shm_segment::exists(&name));
    link.unlink().unwrap();
}

/// Rounds of the races below; `SHM_SEGMENT_ROUNDS` overrides.
fn rounds() -> u32 {
    std::env::var("SHM_SEGMENT_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1000)
}

/// Ten processes want a dead owner's name at once: one gets it, and the name leads to what that one made.
#[test]
fn of_ten_racing_reclaimers_one_wins() {
    let mut peers: Vec<Peer> = (0..10).map(|_| Peer::start()).collect();
    for round in 0..rounds() {
        let name = Name::new();
        leave_a_dead_owner(&name);
        for peer in &mut peers {
            peer.send(&format!("create {}", &*name));
        }
        let answers: Vec<String> = peers.iter_mut().map(Peer::answer).collect();
        let winners = answers.iter().filter(|answer| *answer == "created").count();
        let losers = answers.iter().filter(|answer| *answer == "exists").count();
        assert_eq!((winners, losers), (1, 9), "round {round}: {answers:?}");
        assert_eq!(fs::metadata(name.path()).unwrap().mode() & 0o7777, 0o1600);
        for peer in &mut peers {
            assert_eq!(peer.ask("close"), "closed");
        }
        assert!(!name.path().exists(), "round {round}: the winner's name went with it");
    }
}

/// As before, but each opens what another made: one creator, and all ten have the same memory.
#[test]
fn of_ten_racing_for_one_memory_all_get_it() {
    let mut peers: Vec<Peer> = (0..10).map(|_| Peer::start()).collect();
    for round in 0..rounds() / 2 {
        let name = Name::new();
        if round % 2 == 0 {
            leave_a_dead_owner(&name);
        }
        for peer in &mut peers {
            peer.send(&format!("open_or_create {}", &*name));
        }
        let answers: Vec<String> = peers.iter_mut().map(Peer::answer).collect();
        let created = answers.iter().filter(|answer| *answer == "created").count();
        let opened = answers.iter().filter(|answer| *answer == "opened").count();
        assert_eq!((created, opened), (1, 9), "round {round}: {answers:?}");
        let ours = Segment::open(&name, 0, Access::ReadOnly).unwrap();
        for (i, peer) in peers.iter_mut().enumerate() {
            assert_eq!(peer.ask(&format!("write {i}")), "written");
            let mut byte = [0];
            ours.read(0, &mut byte).unwrap();
            assert_eq!(
                char::from(byte[0]),
                char::from_digit(i.try_into().unwrap(), 10).unwrap(),
                "round {round}"
            );
        }
        for peer in &mut peers {
            assert_eq!(peer.ask("close"), "closed");
        }
    }
}

/// Just what a creator leaves that was killed: the mark, and no lock. (A real kill is tried above.)
fn leave_a_dead_owner(name: &Name) {
    fs::write(name.path(), [0; 4096]).unwrap();
    fs::set_permissions(name.path(), fs::Permissions::from_mode(0o1600)).unwrap();
}
