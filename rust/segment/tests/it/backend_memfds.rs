//! Memory without a name: what a meta file may lead to, and which processes leave one.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::backends::Place;
use shm_segment::{Access, Backend, Error, Lifetime, Options, Scope, Segment};

fn create(place: &Place) -> shm_segment::Result<Segment> {
    Options::new(&place.name).backend(Backend::Memfd).create(100)
}

fn open(place: &Place) -> shm_segment::Result<Segment> {
    Options::new(&place.name).backend(Backend::Memfd).open(0, Access::ReadWrite)
}

fn meta(size: u64, process: u32, descriptor: i32) -> Vec<u8> {
    let mut bytes = size.to_ne_bytes().to_vec();
    bytes.extend(1_700_000_000i64.to_ne_bytes());
    bytes.extend(process.to_ne_bytes());
    bytes.extend(descriptor.to_ne_bytes());
    bytes
}

/// Returns the PID of a process that has ended.
fn dead() -> u32 {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

#[test]
fn the_meta_file_leads_to_the_memory() {
    let place = Place::new(Backend::Memfd);
    let segment = create(&place).unwrap();
    let bytes = fs::read(place.path()).unwrap();
    assert_eq!(bytes.len(), 24);
    assert_eq!(bytes[..8], 100u64.to_ne_bytes());
    assert_eq!(bytes[16..20], std::process::id().to_ne_bytes());
    let descriptor = i32::from_ne_bytes(bytes[20..].try_into().unwrap());
    let link = fs::read_link(format!("/proc/self/fd/{descriptor}")).unwrap();
    assert_eq!(link.to_str().unwrap(), format!("/memfd:{} (deleted)", place.name));
    assert_eq!(segment.name().native_name(), place.path().to_str().unwrap());
    drop(segment);
    assert!(!place.path().exists());
}

/// A dead process's numbers may lead to any of these now, and another program may have planted any of them.
#[test]
fn a_meta_file_that_leads_elsewhere_is_replaced() {
    let place = Place::new(Backend::Memfd);
    let other = Place::new(Backend::Memfd);
    let other_memory = create(&other).unwrap();
    let other_descriptor = i32::from_ne_bytes(fs::read(other.path()).unwrap()[20..].try_into().unwrap());
    let (file, null) = (File::open("/proc/self/maps").unwrap(), File::open("/dev/null").unwrap());
    // Opening the FIFO would wait for a writer.
    let fifo_path = crate::common::backends::folder().join(shm_segment::generate_name("fifo").unwrap());
    assert!(Command::new("mkfifo").arg(&fifo_path).status().unwrap().success());
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
    let fifo = rustix::fs::open(&fifo_path, flags, rustix::fs::Mode::empty()).unwrap();
    fs::remove_file(&fifo_path).unwrap();
    let me = std::process::id();
    for (what, bytes) in [
        ("a dead process", meta(100, dead(), 3)),
        ("another memory", meta(100, me, other_descriptor)),
        ("a file", meta(100, me, file.as_raw_fd())),
        ("a device", meta(100, me, null.as_raw_fd())),
        ("a FIFO", meta(100, me, fifo.as_raw_fd())),
        ("no descriptor", meta(100, me, 1_000_000)),
        ("a negative one", meta(100, me, -1)),
        ("no process", meta(100, 0, 3)),
        ("a negative one", meta(100, u32::MAX, 3)),
        ("a size that is a lie", meta(u64::MAX, dead(), 3)),
    ] {
        fs::write(place.path(), bytes).unwrap();
        let opened = open(&place);
        assert!(matches!(opened, Err(Error::DoesNotExist { .. })), "{what}: {opened:?}");
        assert!(!Options::new(&place.name).backend(Backend::Memfd).exists(), "{what}");
        let ours = create(&place).unwrap();
        assert!(ours.name().is_current(), "{what}");
    }
    assert!(other_memory.name().is_current());
}

/// The memory's own size counts.
#[test]
fn the_size_in_a_meta_file_is_not_trusted() {
    let place = Place::new(Backend::Memfd);
    let ours = create(&place).unwrap();
    let mut bytes = fs::read(place.path()).unwrap();
    bytes[..8].copy_from_slice(&u64::MAX.to_ne_bytes());
    fs::write(place.path(), bytes).unwrap();
    let theirs = open(&place).unwrap();
    assert_eq!(theirs.size(), 100);
    assert!(!ours.name().is_current(), "the meta file differs from what was written");
}

#[test]
fn an_invalid_meta_file_is_refused() {
    let place = Place::new(Backend::Memfd);
    fs::write(place.path(), [1; 23]).unwrap();
    assert!(matches!(open(&place), Err(Error::NotSizedYet { .. })));
    assert!(matches!(create(&place), Err(Error::AlreadyExists { .. })), "a peer may be writing it");
    thread::sleep(Duration::from_millis(2100));
    drop(create(&place).expect("no peer is writing it any more"));

    symlink("/dev/zero", place.path()).unwrap();
    assert!(matches!(open(&place), Err(Error::NotASegment { .. })));
    let created = create(&place);
    assert!(matches!(created, Err(Error::AlreadyExists { .. })), "{created:?}");
    fs::remove_file(place.path()).unwrap();

    assert!(Command::new("mkfifo").arg(place.path()).status().unwrap().success());
    let start = Instant::now();
    assert!(open(&place).is_err());
    assert!(start.elapsed() < Duration::from_secs(1), "without blocking");
}

#[test]
fn unsupported_options_are_refused() {
    let place = Place::new(Backend::Memfd);
    let global = Options::new(&place.name).backend(Backend::Memfd).scope(Scope::Global).create(100);
    assert!(matches!(global, Err(Error::Unsupported { .. })), "{global:?}");
    let persistent =
        Options::new(&place.name).backend(Backend::Memfd).lifetime(Lifetime::Persistent).create(100);
    assert!(matches!(persistent, Err(Error::Unsupported { .. })), "{persistent:?}");
    let ours = create(&place).unwrap();
    assert!(matches!(ours.set_lifetime(Lifetime::Persistent), Err(Error::Unsupported { .. })));
    let long = "x".repeat(239);
    let long = Options::new(&long).backend(Backend::Memfd).create(100);
    assert!(matches!(long, Err(Error::InvalidName { .. })), "{long:?}");
}

#[test]
fn truncated_memory_is_an_error() {
    let place = Place::new(Backend::Memfd);
    let ours = Options::new(&place.name).backend(Backend::Memfd).create(100_000).unwrap();
    let descriptor = i32::from_ne_bytes(fs::read(place.path()).unwrap()[20..].try_into().unwrap());
    File::options().write(true).open(format!("/proc/self/fd/{descriptor}")).unwrap().set_len(10).unwrap();
    let mut bytes = vec![0; 100_000];
    assert!(matches!(ours.read(0, &mut bytes), Err(Error::Truncated { .. } | Error::PageLost { .. })));
}

/// Several threads find the leftover of a dead process at once, and one of them replaces it.
#[test]
fn one_of_many_creators_replaces_a_dead_one() {
    for round in 0..100 {
        let place = Place::new(Backend::Memfd);
        fs::write(place.path(), meta(100, dead(), 3)).unwrap();
        let start = Barrier::new(6);
        let made: Vec<_> = thread::scope(|scope| {
            let race = || {
                start.wait();
                create(&place)
            };
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(race)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(made.iter().filter(|one| one.is_ok()).count(), 1, "round {round}: {made:?}");
        for one in &made {
            assert!(matches!(one, Ok(_) | Err(Error::AlreadyExists { .. })), "round {round}: {one:?}");
        }
    }
}

/// An opener has asked for no memory, so the error must not say that there is none.
#[test]
fn opening_more_bytes_than_addresses_is_a_system_error() {
    const SIZE: u64 = 1 << 50;
    let native = Place::new(Backend::Native);
    let memfd = Place::new(Backend::Memfd);
    let path = std::path::Path::new("/dev/shm").join(&native.name);
    File::create_new(&path).unwrap().set_len(SIZE).unwrap();
    let object = rustix::fs::memfd_create(&*memfd.name, rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&object, SIZE).unwrap();
    fs::write(memfd.path(), meta(SIZE, std::process::id(), object.as_raw_fd())).unwrap();
    let places = [
        (Backend::Native, native.name.as_str()),
        (Backend::File, path.to_str().unwrap()),
        (Backend::Memfd, memfd.name.as_str()),
    ];
    for (backend, name) in places {
        for access in [Access::ReadWrite, Access::ReadOnly] {
            let opened = Options::new(name).backend(backend).open(0, access);
            assert!(matches!(opened, Err(Error::System { call: "mmap", .. })), "{backend:?}: {opened:?}");
        }
        if backend != Backend::Memfd {
            let opened = Options::new(name).backend(backend).open_or_create(SIZE);
            assert!(matches!(opened, Err(Error::System { call: "mmap", .. })), "{backend:?}: {opened:?}");
        }
        // A part of it can be mapped.
        Options::new(name).backend(backend).open(4096, Access::ReadWrite).unwrap().write(0, b"!").unwrap();
    }
}

/// The fault handler can't replace a part of a huge page.
#[test]
fn huge_pages_are_refused() {
    let place = Place::new(Backend::Memfd);
    let flags = rustix::fs::MemfdFlags::CLOEXEC | rustix::fs::MemfdFlags::HUGETLB;
    let Ok(object) = rustix::fs::memfd_create(&*place.name, flags) else {
        println!("there are no huge pages here");
        return;
    };
    rustix::fs::ftruncate(&object, 1 << 21).unwrap();
    fs::write(place.path(), meta(1 << 21, std::process::id(), object.as_raw_fd())).unwrap();
    for access in [Access::ReadWrite, Access::ReadOnly] {
        let opened = Options::new(&place.name).backend(Backend::Memfd).open(0, access);
        assert!(
            matches!(opened, Err(Error::NotASegment { found: "memory of huge pages", .. })),
            "{opened:?}"
        );
    }
}

#[test]
fn create_fails_if_the_path_of_the_meta_file_is_taken() {
    for kind in ["link", "dangling link", "folder", "FIFO"] {
        let place = Place::new(Backend::Memfd);
        let path = place.path();
        match kind {
            "link" => symlink("/etc/hostname", &path).unwrap(),
            "dangling link" => symlink("/nowhere", &path).unwrap(),
            "folder" => fs::create_dir(&path).unwrap(),
            _ => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
        }
        let start = Instant::now();
        let created = create(&place);
        assert!(matches!(created, Err(Error::AlreadyExists { .. })), "{kind}: {created:?}");
        assert!(open(&place).is_err(), "{kind}");
        assert!(start.elapsed() < Duration::from_secs(1), "without blocking");
        assert!(fs::symlink_metadata(&path).is_ok(), "{kind}: it is left alone");
        let _ = fs::remove_dir(&path);
    }
}

/// `memfd_create(2)` takes 249 bytes, and the name of the meta file needs some of them.
#[test]
fn names_have_at_most_237_bytes() {
    // Sets the folder of the meta files.
    let _place = Place::new(Backend::Memfd);
    for (length, is_allowed) in [(237, true), (238, false)] {
        let made = Options::new(&"x".repeat(length)).backend(Backend::Memfd).create(1);
        match made {
            Ok(_) => assert!(is_allowed, "{length}"),
            Err(error) => {
                assert!(!is_allowed, "{length}: {error:?}");
                assert!(error.to_string().contains("238 bytes long; this system allows 237"), "{error}");
            }
        }
    }
}

/// Tried for the meta file, and for the memory that it leads to.
#[test]
fn another_users_memory_is_forbidden() {
    let place = Place::new(Backend::Memfd);
    let _holder = holder(&place, 5);
    for mode in [0o600, 0o644] {
        fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        crate::common::backends::as_nobody(|is_another| {
            if !is_another {
                println!("skipped: only root has another user");
                return;
            }
            let opened = open(&place);
            assert!(matches!(opened, Err(Error::PermissionDenied { .. })), "{mode:o}: {opened:?}");
            assert!(!Options::new(&place.name).backend(Backend::Memfd).exists());
        });
    }
    assert!(Options::new(&place.name).backend(Backend::Memfd).exists());
}

#[test]
fn descriptors_are_not_inherited() {
    let place = Place::new(Backend::Memfd);
    let _ours = create(&place).unwrap();
    let _theirs = open(&place).unwrap();
    let listing = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    assert!(listing.contains("/proc/") && !listing.contains(&place.name), "{listing}");
}

/// Starts a program that has memory of this name under this descriptor.
fn holder(place: &Place, descriptor: i32) -> crate::common::Peer {
    const PROGRAM: &str = "
import os, struct, sys, time
name, meta, descriptor = sys.argv[1], sys.argv[2], int(sys.argv[3])
memory = os.memfd_create(name)
os.ftruncate(memory, 100)
os.dup2(memory, descriptor)
with open(meta, 'wb') as file:
    file.write(struct.pack('<qqii', 100, 0, os.getpid(), descriptor))
print('answer: ready', flush=True)
time.sleep(60)
";
    let mut program = Command::new("python3");
    program.args(["-c", PROGRAM, &place.name]).arg(place.path()).arg(descriptor.to_string());
    let mut holder = crate::common::Peer::of(&mut program);
    assert_eq!(holder.answer(), "ready");
    holder
}

/// Even the descriptor of its standard input.
#[test]
fn memory_may_have_any_descriptor() {
    for descriptor in [0, 9] {
        let place = Place::new(Backend::Memfd);
        let holder = holder(&place, descriptor);
        assert_eq!(open(&place).unwrap().size(), 100);
        holder.kill();
        assert!(matches!(open(&place), Err(Error::DoesNotExist { .. })));
    }
}
