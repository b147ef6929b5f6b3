//! Owners where names are files: when a name is removed, kept or reclaimed.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use crate::common::backends::as_nobody;
use crate::common::{Foreign, Name, Peer};
use shm_segment::{Access, Error, Lifetime, Maker, Options, OwnerState, Scope, Segment};

fn create(name: &str) -> Result<Segment, Error> {
    Options::new(name).create(4096)
}

fn assert_exists_already(result: &Result<Segment, Error>) {
    assert!(matches!(result, Err(Error::AlreadyExists { .. })), "{result:?}");
}

fn message_of_create(name: &Name, size: u64) -> String {
    Options::new(name).create(size).unwrap_err().to_string()
}

#[test]
fn create_tells_why_a_name_is_taken_and_the_way_out() {
    let name = Name::new();
    let owner = create(&name).unwrap();
    let quoted = format!("{:?}", &*name);
    assert_eq!(
        message_of_create(&name, 4096),
        format!("{quoted} exists already: a running process of this user owns it")
    );
    assert_eq!(
        message_of_create(&name, 100),
        format!(
            "{quoted} exists already: a running process of this user owns it \
             (it has 4096 bytes, and 100 were asked for)"
        )
    );
    owner.set_lifetime(Lifetime::Persistent).unwrap();
    assert!(message_of_create(&name, 1).contains("a running process of this user owns it"));
    drop(owner);
    assert_eq!(
        message_of_create(&name, 4096),
        format!(
            "{quoted} exists already: a process of this user made it persistent, and has ended; \
             remove() removes it"
        )
    );
    name.remove().unwrap();
    let _foreign = Foreign::make(&name, 10);
    assert_eq!(
        message_of_create(&name, 10),
        format!("{quoted} exists already: another program of this user made it; remove() removes it")
    );
    name.remove().unwrap();
    fs::create_dir(name.path()).unwrap();
    assert!(message_of_create(&name, 1).contains("a directory"));
}

#[test]
fn an_opener_of_too_much_is_told_whose_segment_it_is() {
    let name = Name::new();
    let owner = create(&name).unwrap();
    let too_much = || Options::new(&name).open(5000, Access::ReadOnly).unwrap_err().to_string();
    let start = format!("{:?} has 4096 bytes, fewer than the 5000 asked for: ", &*name);
    assert_eq!(too_much(), format!("{start}a running process of this user owns it"));
    owner.set_lifetime(Lifetime::Persistent).unwrap();
    drop(owner);
    let way_out = "a process of this user made it persistent, and has ended; remove() removes it";
    assert_eq!(too_much(), format!("{start}{way_out}"));
    assert!(matches!(Options::new(&name).open_or_create(5000), Err(Error::TooSmall { .. })));
}

/// Another user can't remove root's segment from `/dev/shm`, so nothing advises that.
#[test]
fn another_user_gets_no_advice_that_cannot_work() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    for (lifetime, owner) in [
        ("create", "it is left over from a process of another user (ID 0) that has ended"),
        ("persist", "a process of another user (ID 0) made it persistent, and has ended"),
    ] {
        let name = Name::new();
        let mut peer = Peer::start("peer");
        assert_eq!(peer.ask(&format!("{lifetime} {}", &*name)), "created");
        fs::set_permissions(name.path(), fs::Permissions::from_mode(0o666)).unwrap();
        let told = |owner: &str| {
            let told = as_nobody(|_| message_of_create(&name, 4096));
            let way_out = "only that user and root can remove it, so use another name";
            assert_eq!(told, format!("{:?} exists already: {owner}; {way_out}", &*name));
            let removed = as_nobody(|_| name.remove().map_err(|error| error.to_string()));
            assert!(removed.unwrap_err().contains("refused"));
        };
        told("a running process of another user (ID 0) owns it");
        peer.kill();
        told(owner);
        fs::set_permissions(name.path(), fs::Permissions::from_mode(0o600)).unwrap();
        let closed =
            "it belongs to another user (ID 0), and the system does not say whether its owner is running";
        told(closed);
    }
}

#[test]
fn the_state_of_an_owner_is_that_of_its_lock() {
    let name = Name::new();
    let mut peer = Peer::start("peer");
    assert_eq!(peer.ask(&format!("create {}", &*name)), "created");
    let theirs = Options::new(&name).open(0, Access::ReadOnly).unwrap();
    let info = Options::new(&name).info().unwrap();
    assert_eq!((theirs.owner_state(), info.owner), (OwnerState::Alive, OwnerState::Alive));
    assert_eq!((info.size, info.scope, info.other_user), (4096, Scope::Local, None));
    peer.kill();
    let info = Options::new(&name).info().unwrap();
    assert_eq!((theirs.owner_state(), info.owner), (OwnerState::Dead, OwnerState::Dead));
    let ours = create(&name).unwrap();
    assert_eq!((theirs.owner_state(), ours.owner_state()), (OwnerState::Dead, OwnerState::Alive));
    drop(ours);
    assert!(matches!(Options::new(&name).info(), Err(Error::DoesNotExist { .. })));
    let _foreign = Foreign::make(&name, 10);
    let foreign = Options::new(&name).open(0, Access::ReadOnly).unwrap();
    assert_eq!(foreign.owner_state(), OwnerState::Unknown);
    assert_eq!(Options::new(&name).info().unwrap().maker, Maker::Other);
}

/// A stopped process holds its lock, and so does one in a debugger. A zombie holds none.
#[test]
fn a_stopped_owner_is_alive_and_a_zombie_is_dead() {
    let name = Name::new();
    let mut peer = Peer::start("peer");
    assert_eq!(peer.ask(&format!("create {}", &*name)), "created");
    peer.stop();
    assert_eq!(Options::new(&name).info().unwrap().owner, OwnerState::Alive);
    peer.end_unseen();
    // Its first thread may be a zombie before the others have ended.
    let end = Instant::now() + Duration::from_secs(10);
    while Options::new(&name).info().unwrap().owner != OwnerState::Dead {
        assert!(Instant::now() < end, "a zombie is taken for a living owner");
    }
}

#[test]
fn users_are_the_processes_that_map_the_segment() {
    let name = Name::new();
    let this = std::process::id();
    let ours = create(&name).unwrap();
    let mut peer = Peer::start("peer");
    assert_eq!(Options::new(&name).users(), [this]);
    assert_eq!(peer.ask(&format!("open {}", &*name)), "opened");
    let mut both = [this, peer.id()];
    both.sort_unstable();
    assert_eq!(Options::new(&name).users(), both);
    drop(ours);
    assert_eq!(Options::new(&name).users(), [0_u32; 0], "the name is gone");
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

/// A user may change the mode in a shell. That takes every bit of the old mode away.
#[test]
fn a_dead_owners_name_is_reclaimed_whatever_became_of_its_mode() {
    for mode in [0o666, 0o600, 0o1666, 0o400, 0o000] {
        let name = Name::new();
        let mut peer = Peer::start("peer");
        assert_eq!(peer.ask(&format!("create {}", &*name)), "created");
        fs::set_permissions(name.path(), fs::Permissions::from_mode(mode)).unwrap();
        let alive = create(&name).unwrap_err().to_string();
        assert!(alive.contains("running"), "{mode:o}: {alive}");
        let there = fs::metadata(name.path()).unwrap().permissions().mode() & 0o7777;
        assert_eq!(there, mode, "asking changes nothing");
        peer.kill();
        let ours = Options::new(&name).open_or_create(100).unwrap();
        assert!(ours.is_created(), "{mode:o}");
    }
}

/// Root may open everything, so the test does this as another user.
#[test]
fn a_look_changes_no_mode_and_many_creators_restore_it() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let name = Name::new();
    let mut peer = Peer::start("peer");
    assert_eq!(peer.ask(&format!("create {}", &*name)), "created");
    std::os::unix::fs::chown(name.path(), Some(65534), Some(65534)).unwrap();
    fs::set_permissions(name.path(), fs::Permissions::from_mode(0o000)).unwrap();
    let seen = || {
        let found = fs::metadata(name.path()).unwrap();
        (found.mode() & 0o777, found.ctime(), found.ctime_nsec())
    };
    let before = seen();
    let info = as_nobody(|_| Options::new(&name).info().unwrap());
    assert_eq!((info.owner, info.maker), (OwnerState::Unknown, Maker::Unknown));
    assert_eq!(seen(), before, "neither mode nor time");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| as_nobody(|_| (0..200).for_each(|_| assert_exists_already(&create(&name)))));
        }
    });
    assert_eq!(seen().0, 0, "the mode that the user has set");
    peer.kill();
    as_nobody(|_| assert!(create(&name).is_ok(), "the name of a dead owner"));
}

#[test]
fn a_change_of_the_lifetime_keeps_mode_and_group() {
    let name = Name::new();
    let ours = create(&name).unwrap();
    let groups = rustix::process::getgroups().unwrap();
    let group = groups.first().map_or_else(|| rustix::process::getegid().as_raw(), |group| group.as_raw());
    let group = if rustix::process::geteuid().is_root() { 65534 } else { group };
    std::os::unix::fs::chown(name.path(), None, Some(group)).unwrap();
    fs::set_permissions(name.path(), fs::Permissions::from_mode(0o660)).unwrap();
    for lifetime in [Lifetime::Persistent, Lifetime::Owner, Lifetime::Persistent] {
        ours.set_lifetime(lifetime).unwrap();
        let there = fs::metadata(name.path()).unwrap();
        assert_eq!((there.mode() & 0o777, there.gid()), (0o660, group), "{lifetime:?}");
    }
    drop(ours);
    assert_exists_already(&create(&name));
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
