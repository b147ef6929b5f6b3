//! Files as memory: what a path may lead to, and what may happen to the file.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::backends::Place;
use shm_segment::{Access, Backend, Error, Options, Scope, Segment};

fn create(place: &Place) -> shm_segment::Result<Segment> {
    Options::new(&place.name).backend(Backend::File).create(100)
}

fn open(place: &Place) -> shm_segment::Result<Segment> {
    Options::new(&place.name).backend(Backend::File).open(0, Access::ReadWrite)
}

#[test]
fn the_content_of_the_file_is_the_memory() {
    let place = Place::new(Backend::File);
    fs::write(place.path(), b"written before").unwrap();
    let segment = open(&place).unwrap();
    assert_eq!(segment.name().native_name(), place.name);
    let mut bytes = [0; 14];
    segment.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"written before");
    segment.write(8, b"now   ").unwrap();
    drop(segment);
    assert_eq!(fs::read(place.path()).unwrap(), b"written now   ");
}

#[test]
fn anything_but_a_regular_file_is_refused_at_once() {
    let target = Place::new(Backend::File);
    fs::write(target.path(), b"somebody's").unwrap();
    let (link, dangling, folder, fifo) = (
        Place::new(Backend::File),
        Place::new(Backend::File),
        Place::new(Backend::File),
        Place::new(Backend::File),
    );
    symlink(target.path(), link.path()).unwrap();
    symlink("/nowhere", dangling.path()).unwrap();
    fs::create_dir(folder.path()).unwrap();
    assert!(Command::new("mkfifo").arg(fifo.path()).status().unwrap().success());
    for (place, kind) in [
        (&link, "a symbolic link"),
        (&dangling, "a symbolic link"),
        (&folder, "a directory"),
        (&fifo, "a FIFO"),
    ] {
        let start = Instant::now();
        for access in [Access::ReadWrite, Access::ReadOnly] {
            let opened = Options::new(&place.name).backend(Backend::File).open(0, access);
            assert!(
                matches!(opened, Err(Error::NotASegment { found, .. }) if found.starts_with(kind)),
                "{opened:?}"
            );
        }
        assert!(start.elapsed() < Duration::from_secs(1), "without blocking");
        let created = create(place);
        assert!(matches!(created, Err(Error::AlreadyExists { .. })), "{created:?}");
        assert!(!Options::new(&place.name).backend(Backend::File).exists());
        let removed = Options::new(&place.name).backend(Backend::File).remove();
        assert!(matches!(removed, Err(Error::NotASegment { .. })), "{removed:?}");
        assert!(fs::symlink_metadata(place.path()).is_ok(), "it is left alone");
    }
    assert_eq!(fs::read(target.path()).unwrap(), b"somebody's");
    fs::remove_dir(folder.path()).unwrap();
}

#[test]
fn an_empty_file_is_not_sized_yet() {
    let place = Place::new(Backend::File);
    fs::write(place.path(), b"").unwrap();
    assert!(matches!(open(&place), Err(Error::NotSizedYet { .. })));
}

#[test]
fn a_path_in_a_missing_folder_is_refused() {
    let place = Place::new(Backend::File);
    let name = format!("{}/below", place.name);
    let created = Options::new(&name).backend(Backend::File).create(100);
    assert!(matches!(created, Err(Error::System { .. })), "{created:?}");
    let opened = Options::new(&name).backend(Backend::File).open(0, Access::ReadOnly);
    assert!(matches!(opened, Err(Error::DoesNotExist { .. })), "{opened:?}");
}

#[test]
fn permissions_follow_the_scope() {
    for (scope, mode) in [(Scope::Local, 0o600), (Scope::Global, 0o666)] {
        let place = Place::new(Backend::File);
        let segment = Options::new(&place.name).backend(Backend::File).scope(scope).create(100).unwrap();
        assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o7777, mode);
        assert_eq!(segment.scope(), scope);
        assert_eq!(open(&place).unwrap().scope(), scope);
    }
}

#[test]
fn a_truncated_file_is_an_error() {
    let place = Place::new(Backend::File);
    let segment = Options::new(&place.name).backend(Backend::File).create(100_000).unwrap();
    segment.write(99_999, b"x").unwrap();
    fs::write(place.path(), b"short").unwrap();
    let mut bytes = vec![0; 100_000];
    assert!(matches!(segment.read(0, &mut bytes), Err(Error::Truncated { .. } | Error::PageLost { .. })));
    std::thread::sleep(Duration::from_millis(20));
    assert!(matches!(segment.write(0, b"x"), Err(Error::Truncated { expected: 100_000, .. })));
}

#[test]
fn a_replaced_file_is_not_removed() {
    let place = Place::new(Backend::File);
    let first = create(&place).unwrap();
    fs::remove_file(place.path()).unwrap();
    fs::write(place.path(), b"another").unwrap();
    assert!(!first.name().is_current());
    first.name().unlink().unwrap();
    assert_eq!(fs::read(place.path()).unwrap(), b"another");
}

#[test]
#[cfg(target_os = "linux")]
fn forbidden_calls_report_permission_denied() {
    let folder = Place::new(Backend::File);
    fs::create_dir(folder.path()).unwrap();
    let name = format!("{}/file", folder.name);
    let create = |name: &str| Options::new(name).backend(Backend::File).create(100);
    let handle = create(&name).unwrap().name().clone();
    let allow = |path: &str, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(&name, 0o000);
    allow(&folder.name, 0o555);
    crate::common::backends::as_nobody(|_| {
        for access in [Access::ReadWrite, Access::ReadOnly] {
            let opened = Options::new(&name).backend(Backend::File).open(0, access);
            assert!(matches!(opened, Err(Error::PermissionDenied { .. })), "{opened:?}");
        }
        let made = create(&format!("{name}2"));
        assert!(matches!(made, Err(Error::PermissionDenied { .. })), "{made:?}");
        for removed in [handle.unlink(), Options::new(&name).backend(Backend::File).remove()] {
            assert!(matches!(removed, Err(Error::PermissionDenied { .. })), "{removed:?}");
        }
    });
    assert!(handle.is_current());
    allow(&folder.name, 0o755);
    fs::remove_dir_all(folder.path()).unwrap();
}

#[test]
fn the_system_refuses_a_path_that_is_too_long() {
    let name = format!("{}/{}", crate::common::backends::folder().display(), "x".repeat(300));
    let _place = Place::new(Backend::File);
    for result in [
        Options::new(&name).backend(Backend::File).open(0, Access::ReadOnly),
        Options::new(&name).backend(Backend::File).create(1),
    ] {
        assert!(matches!(result, Err(Error::System { .. })), "{result:?}");
    }
}

/// A path below a file is a mistake, not a segment that doesn't exist.
#[test]
fn create_below_a_file_is_a_system_error() {
    let place = Place::new(Backend::File);
    fs::write(place.path(), b"file").unwrap();
    let name = format!("{}/below", place.name);
    for created in [
        Options::new(&name).backend(Backend::File).create(100),
        Options::new(&name).backend(Backend::File).open_or_create(100),
    ] {
        assert!(matches!(created, Err(Error::System { call: "open", .. })), "{created:?}");
    }
}

/// Some file systems reserve blocks slowly, piece by piece.
#[test]
#[cfg(target_os = "linux")]
fn a_new_file_shows_all_of_its_size_or_none() {
    const SIZE: u64 = 512 << 20;
    let place = Place::new(Backend::File);
    let (path, done) = (place.path(), std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        let guard = crate::common::SetAtEnd(&done);
        let watcher = scope.spawn(|| {
            let mut seen = std::collections::BTreeSet::new();
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                seen.extend(fs::metadata(&path).map(|metadata| metadata.len()));
            }
            seen
        });
        let created = Options::new(&place.name).backend(Backend::File).create(SIZE);
        drop(guard);
        let seen = watcher.join().unwrap();
        if let Err(Error::OutOfMemory { .. }) = created {
            println!("there is no room for {SIZE} bytes in {}", path.display());
            return;
        }
        created.unwrap();
        assert!(seen.iter().all(|size| [0, SIZE].contains(size)), "{seen:?}");
    });
}

/// A program that keeps its memory in a file without a name, as Wine does for named mappings.
#[cfg(target_os = "linux")]
fn holder() -> (crate::common::Peer, String) {
    const PROGRAM: &str = "
import os, sys
memory = os.memfd_create('wine-mapping')
os.ftruncate(memory, 100)
os.pwrite(memory, b'telemetry', 0)
print(f'answer: /proc/{os.getpid()}/fd/{memory}', flush=True)
sys.stdin.readline()
print(f'answer: {os.pread(memory, 4, 96).decode()}', flush=True)
sys.stdin.readline()
";
    let mut holder = crate::common::Peer::of(Command::new("python3").args(["-c", PROGRAM]));
    let path = holder.answer();
    (holder, path)
}

#[cfg(target_os = "linux")]
#[test]
fn an_open_file_of_a_process_can_be_opened() {
    let (mut holder, path) = holder();
    let options = Options::new(&path).backend(Backend::File);
    assert!(options.exists());
    let info = options.info().unwrap();
    assert_eq!((info.size, info.other_user, info.can_remove), (100, None, false));
    let segment = options.open(0, Access::ReadWrite).unwrap();
    let mut bytes = [0; 9];
    segment.read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"telemetry");
    segment.write(96, b"back").unwrap();
    assert_eq!(holder.ask("look"), "back");
    assert!(segment.name().is_current());
    assert_eq!(options.users(), [std::process::id()], "the holder has not mapped it");
    assert!(matches!(options.create(100), Err(Error::AlreadyExists { .. })));
    assert!(options.remove().is_err());
    holder.kill();
    assert!(!segment.name().is_current() && !options.exists());
    segment.read(0, &mut bytes).unwrap();
    assert!(matches!(options.open(0, Access::ReadOnly), Err(Error::DoesNotExist { .. })));
}

#[cfg(target_os = "linux")]
#[test]
fn only_regular_files_of_a_process_can_be_opened_and_no_other_links() {
    use std::os::fd::AsRawFd;
    let (_holder, path) = holder();
    let (pipe, _end) = std::io::pipe().unwrap();
    let device = fs::File::open("/dev/zero").unwrap();
    let folder = fs::File::open("/tmp").unwrap();
    for other in [pipe.as_raw_fd(), device.as_raw_fd(), folder.as_raw_fd()] {
        let name = format!("/proc/self/fd/{other}");
        let opened = Options::new(&name).backend(Backend::File).open(0, Access::ReadOnly);
        assert!(matches!(opened, Err(Error::NotASegment { .. })), "{opened:?}");
        assert!(!Options::new(&name).backend(Backend::File).exists());
    }
    let link = Place::new(Backend::File);
    symlink(&path, link.path()).unwrap();
    let double = path.replace("/fd/", "/fd//");
    let task = path.replacen("/fd/", "/task/../fd/", 1);
    for other in [&*link.name, "/proc/self/exe", "/proc/self/cwd", &double, &task] {
        let opened = Options::new(other).backend(Backend::File).open(0, Access::ReadOnly);
        assert!(opened.is_err(), "{other}: {opened:?}");
    }
}

/// The kernel gives the files of a process to its user and to root only.
#[cfg(target_os = "linux")]
#[test]
fn another_users_process_keeps_its_files() {
    let (_holder, path) = holder();
    let options = Options::new(&path).backend(Backend::File);
    crate::common::backends::as_nobody(|is_other| {
        if is_other {
            let opened = options.open(0, Access::ReadOnly);
            assert!(matches!(opened, Err(Error::PermissionDenied { .. })), "{opened:?}");
        }
    });
}
