//! The life of a name: when it goes, and when it is reclaimed.

use crate::common::random::rounds;
use crate::common::{Foreign, Name, Peer};
use shm_segment::{Access, Error, Options, Segment};

fn create(name: &str) -> Result<Segment, Error> {
    Options::new(name).create(4096)
}

fn assert_exists_already(result: &Result<Segment, Error>) {
    assert!(matches!(result, Err(Error::AlreadyExists { .. })), "{result:?}");
}

#[test]
fn a_name_goes_with_its_only_holder() {
    let name = Name::new();
    let ours = create(&name).unwrap();
    assert!(name.exists() && ours.name().is_current());
    let handle = ours.name().clone();
    drop(ours);
    assert!(!name.exists() && !name.is_there() && !handle.is_current());
    handle.unlink().unwrap();
    assert!(create(&name).is_ok());
}

#[test]
fn an_opener_leaves_the_name() {
    let name = Name::new();
    let _ours = create(&name).unwrap();
    drop(Options::new(&name).open(0, Access::ReadWrite).unwrap());
    assert!(name.exists());
}

#[test]
fn a_living_owner_is_never_reclaimed() {
    let name = Name::new();
    let _ours = create(&name).unwrap();
    assert_exists_already(&create(&name));
    let mut peer = Peer::start("peer");
    assert_eq!(peer.ask(&format!("create {}", &*name)), "exists");
    assert_eq!(peer.ask(&format!("open_or_create {}", &*name)), "opened");
}

#[test]
fn create_reclaims_the_name_of_a_dead_owner() {
    let name = Name::new();
    let mut peer = Peer::start("peer");
    assert_eq!(peer.ask(&format!("create {}", &*name)), "created");
    assert_eq!(peer.ask("write old"), "written");
    peer.kill();
    let ours = create(&name).unwrap();
    let mut bytes = [1; 3];
    ours.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 3]);
}

#[test]
fn open_or_create_reclaims_the_name_of_a_dead_owner() {
    let name = Name::new();
    let mut peer = Peer::start("peer");
    assert_eq!(peer.ask(&format!("create {}", &*name)), "created");
    peer.kill();
    let ours = Options::new(&name).open_or_create(4096).unwrap();
    assert!(ours.is_created());
}

#[test]
fn foreign_segments_are_never_reclaimed() {
    let name = Name::new();
    let _foreign = Foreign::make(&name, 4096);
    assert_exists_already(&create(&name));
    assert_eq!(Options::new(&name).open(0, Access::ReadWrite).unwrap().size(), 4096);
}

/// Ten processes try to reclaim a name at once: one gets it, and the name leads to the segment that it made.
#[test]
fn exactly_one_of_ten_reclaimers_wins() {
    let mut peers: Vec<Peer> = (0..10).map(|_| Peer::start("peer")).collect();
    for round in 0..rounds(1000) {
        let name = Name::new();
        crate::common::leave_a_dead_owner(&name);
        for peer in &mut peers {
            peer.send(&format!("create {}", &*name));
        }
        let answers: Vec<String> = peers.iter_mut().map(Peer::answer).collect();
        let winners = answers.iter().filter(|answer| *answer == "created").count();
        let losers = answers.iter().filter(|answer| *answer == "exists").count();
        assert_eq!((winners, losers), (1, 9), "round {round}: {answers:?}");
        assert!(crate::common::is_as_created(&name), "round {round}");
        for peer in &mut peers {
            assert_eq!(peer.ask("close"), "closed");
        }
        assert!(!name.is_there(), "round {round}: the winner's name went with it");
    }
}

/// Ten processes open or create a name at once: one creates the segment, and all ten have the same memory.
#[test]
fn all_of_ten_racing_processes_get_the_memory() {
    let mut peers: Vec<Peer> = (0..10).map(|_| Peer::start("peer")).collect();
    for round in 0..rounds(1000) / 2 {
        let name = Name::new();
        if round % 2 == 0 {
            crate::common::leave_a_dead_owner(&name);
        }
        for peer in &mut peers {
            peer.send(&format!("open_or_create {}", &*name));
        }
        let answers: Vec<String> = peers.iter_mut().map(Peer::answer).collect();
        let created = answers.iter().filter(|answer| *answer == "created").count();
        let opened = answers.iter().filter(|answer| *answer == "opened").count();
        assert_eq!((created, opened), (1, 9), "round {round}: {answers:?}");
        let ours = Options::new(&name).open(0, Access::ReadOnly).unwrap();
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
