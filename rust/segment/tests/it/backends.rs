//! Tests of every backend, and of those that other programs share, with a partner in Python.

use std::thread;

#[cfg(target_os = "linux")]
use crate::common::Peer;
use crate::common::backends::{BACKENDS, Place};
#[cfg(target_os = "linux")]
use shm_segment::layout::{Error as LayoutError, array::Array};
use shm_segment::{Access, Backend, Error, Lifetime, Options, Segment};

fn create(place: &Place, size: u64) -> shm_segment::Result<Segment> {
    place.options().create(size)
}

#[test]
fn each_side_reads_what_the_other_writes() {
    for backend in BACKENDS {
        let place = Place::new(backend);
        assert!(!Options::new(&place.name).backend(backend).exists(), "{backend:?}");
        let ours = create(&place, 5000).unwrap();
        assert!(Options::new(&place.name).backend(backend).exists(), "{backend:?}");
        assert!(ours.is_created() && ours.size() == 5000 && ours.name().is_current(), "{backend:?}");
        assert!(ours.current_size().unwrap() >= 5000, "{backend:?}");
        assert_eq!(ours.name().as_str(), place.name, "{backend:?}");
        let mut bytes = [1; 5000];
        ours.read(0, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 5000], "{backend:?}");

        let theirs = Options::new(&place.name).backend(backend).open(0, Access::ReadWrite).unwrap();
        assert!(!theirs.is_created() && theirs.size() >= 5000, "{backend:?}");
        ours.write(4990, b"to them").unwrap();
        theirs.write(0, b"to us").unwrap();
        let (mut there, mut here) = ([0; 7], [0; 5]);
        theirs.read(4990, &mut there).unwrap();
        ours.read(0, &mut here).unwrap();
        assert_eq!((&there, &here), (b"to them", b"to us"), "{backend:?}");
        assert!(matches!(ours.write(4995, b"too long"), Err(Error::OutOfBounds { .. })), "{backend:?}");
    }
}

#[test]
fn available_backends_are_those_of_this_system() {
    for backend in [Backend::Native, Backend::File, Backend::SystemV, Backend::Memfd] {
        assert_eq!(backend.is_available(), BACKENDS.contains(&backend), "{backend:?}");
        let keeps = match backend {
            Backend::Native => cfg!(unix),
            Backend::Memfd => false,
            _ => backend.is_available(),
        };
        assert_eq!(backend.can_persist(), keeps, "{backend:?}");
    }
    assert_eq!(Backend::Native.can_persist(), cfg!(unix));
}

#[test]
#[cfg(unix)]
fn a_name_handle_removes_its_name_once() {
    for backend in BACKENDS {
        let place = Place::new(backend);
        let ours = create(&place, 100).unwrap();
        let handle = ours.name().clone();
        handle.unlink().unwrap();
        assert!(!Options::new(&place.name).backend(backend).exists() && !handle.is_current(), "{backend:?}");
        handle.unlink().unwrap();
        let next = create(&place, 100).unwrap();
        handle.unlink().unwrap();
        assert!(next.name().is_current(), "{backend:?}: the name belongs to another segment");
        drop(next);
        let _ = Options::new(&place.name).backend(backend).remove();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn existing_names_are_listed() {
    let place = Place::new(Backend::Native);
    let ours = create(&place, 100).unwrap();
    let names = shm_segment::list_names();
    assert!(names.contains(&place.name) && names.is_sorted());
    drop(ours);
    assert!(!shm_segment::list_names().contains(&place.name));
}

/// Within the time limit, the creator may still give it a size.
#[test]
#[cfg(target_os = "linux")]
fn open_or_create_waits_a_limited_time_for_a_size() {
    let place = Place::new(Backend::Native);
    let path = std::path::Path::new("/dev/shm").join(&place.name);
    let file = std::fs::File::create(&path).unwrap();
    let either = || place.options().open_or_create(100);
    let start = std::time::Instant::now();
    let unsized_yet = either();
    assert!(matches!(unsized_yet, Err(Error::NotSizedYet { .. })), "{unsized_yet:?}");
    assert!(start.elapsed() >= std::time::Duration::from_millis(40), "it gets some time");
    let opened = thread::scope(|scope| {
        let waiting = scope.spawn(either);
        thread::sleep(std::time::Duration::from_millis(5));
        file.set_len(100).unwrap();
        waiting.join().unwrap()
    });
    assert!(!opened.unwrap().is_created());
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_reader_can_open_a_part() {
    for backend in BACKENDS {
        let place = Place::new(backend);
        let ours = create(&place, 5000).unwrap();
        ours.write(0, b"hello").unwrap();
        let reader = Options::new(&place.name).backend(backend).open(100, Access::ReadOnly).unwrap();
        assert_eq!((reader.size(), reader.access()), (100, Access::ReadOnly), "{backend:?}");
        let mut bytes = [0; 5];
        reader.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"hello", "{backend:?}");
        assert!(matches!(reader.write(0, b"x"), Err(Error::ReadOnly { .. })), "{backend:?}");
        let too_much = Options::new(&place.name).backend(backend).open(1 << 30, Access::ReadOnly);
        assert!(matches!(too_much, Err(Error::TooSmall { requested: 0x4000_0000, .. })), "{backend:?}");
    }
}

#[test]
fn taken_and_absent_names_are_reported() {
    for backend in BACKENDS {
        let place = Place::new(backend);
        let absent = Options::new(&place.name).backend(backend).open(0, Access::ReadWrite);
        assert!(matches!(absent, Err(Error::DoesNotExist { .. })), "{backend:?}: {absent:?}");
        let ours = create(&place, 100).unwrap();
        ours.write(0, b"kept").unwrap();
        let taken = create(&place, 100);
        assert!(matches!(taken, Err(Error::AlreadyExists { .. })), "{backend:?}: {taken:?}");
        let mut bytes = [0; 4];
        ours.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"kept", "{backend:?}");
        if backend != Backend::Native || cfg!(unix) {
            drop(ours);
            let _ = Options::new(&place.name).backend(backend).remove();
            let removed = Options::new(&place.name).backend(backend).remove();
            assert!(matches!(removed, Err(Error::DoesNotExist { .. })), "{backend:?}: {removed:?}");
        }
    }
}

#[test]
fn invalid_names_and_sizes_are_refused() {
    for backend in BACKENDS {
        let place = Place::new(backend);
        for name in ["", "a\0b"] {
            let refused = Options::new(name).backend(backend).create(100);
            assert!(matches!(refused, Err(Error::InvalidName { .. })), "{backend:?} {name:?}: {refused:?}");
            let refused = Options::new(name).backend(backend).open(100, Access::ReadOnly);
            assert!(matches!(refused, Err(Error::InvalidName { .. })), "{backend:?} {name:?}: {refused:?}");
            let refused = Options::new(name).backend(backend).remove();
            assert!(matches!(refused, Err(Error::InvalidName { .. })), "{backend:?} {name:?}: {refused:?}");
            assert!(!Options::new(name).backend(backend).exists(), "{backend:?}");
        }
        for size in [0, u64::MAX, 1 << 63] {
            let refused = create(&place, size);
            assert!(matches!(refused, Err(Error::InvalidSize { .. })), "{backend:?} {size}: {refused:?}");
        }
        for size in [1 << 46, i64::MAX.unsigned_abs()] {
            let refused = create(&place, size);
            assert!(matches!(refused, Err(Error::OutOfMemory { .. })), "{backend:?} {size}: {refused:?}");
            assert!(!Options::new(&place.name).backend(backend).exists(), "{backend:?}: nothing is left");
        }
    }
}

/// One and a half times the available memory, of which no page was ever touched.
#[test]
#[cfg(target_os = "linux")]
fn pages_beyond_available_memory_are_not_touched() {
    let available = shm_segment::available_memory().unwrap();
    let (size, page) = (available / 2 * 3, 4096);
    let place = Place::new(Backend::Native);
    let path = std::path::Path::new("/dev/shm").join(&place.name);
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(size).unwrap();
    // The same memory, opened by its path.
    let by_path =
        Options::new(path.to_str().unwrap()).backend(Backend::File).open(0, Access::ReadWrite).unwrap();
    let filled = by_path.fill(0, size, 1);
    assert!(matches!(filled, Err(Error::OutOfMemory { .. })), "{filled:?}");
    let segment = Options::new(&place.name).open(0, Access::ReadWrite).unwrap();
    assert_eq!((segment.unpopulated(size), by_path.unpopulated(size)), (size, size));
    segment.write(0, &[1; 4096]).unwrap();
    assert_eq!((segment.unpopulated(size), segment.unpopulated(page)), (size - page, page));
    let filled = segment.fill(0, size, 1);
    assert!(matches!(filled, Err(Error::OutOfMemory { .. })), "{filled:?}");
    segment.fill(0, 32 << 20, 1).unwrap();
    assert_eq!(segment.unpopulated(size), size - (32 << 20));
    // The fill consists of pieces, each of which would be allowed.
    segment.write(0, &[size.to_le_bytes(), (size - 16).to_le_bytes()].concat()).unwrap();
    let array = Array::attach(&segment, 1).unwrap();
    let filled = array.fill(&segment, &[1]);
    assert!(
        matches!(filled, Err(LayoutError::Segment(Error::OutOfMemory { .. }))),
        "an array of one element for each byte: {filled:?}"
    );
    assert!(segment.unpopulated(size) >= size - (33 << 20), "no more was touched");
    drop(segment);
    Options::new(&place.name).remove().unwrap();
}

/// A System V segment has none at first.
#[test]
#[cfg(target_os = "linux")]
fn a_created_segment_has_its_pages() {
    for backend in BACKENDS {
        let place = Place::new(backend);
        let segment = create(&place, 50_000).unwrap();
        let expected = if backend == Backend::SystemV { 50_000 } else { 0 };
        assert_eq!(segment.unpopulated(u64::MAX), expected, "{backend:?}");
        segment.fill(0, 50_000, 1).unwrap();
        assert_eq!(segment.unpopulated(u64::MAX), 0, "{backend:?}");
    }
}

#[test]
fn open_or_create_works_in_any_order() {
    for backend in BACKENDS {
        let place = Place::new(backend);
        let either = || Options::new(&place.name).backend(backend).open_or_create(100).unwrap();
        let both: Vec<Segment> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(either)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(both.iter().filter(|one| one.is_created()).count(), 1, "{backend:?}");
        both[0].write(7, b"!").unwrap();
        for one in &both {
            let mut byte = [0];
            one.read(7, &mut byte).unwrap();
            assert_eq!(byte, *b"!", "{backend:?}");
        }
    }
}

#[test]
fn a_name_lives_as_long_as_its_lifetime_says() {
    for backend in BACKENDS {
        let place = Place::new(backend);
        let ours = create(&place, 100).unwrap();
        let handle = ours.name().clone();
        ours.write(0, b"kept").unwrap();
        let theirs = Options::new(&place.name).backend(backend).open(0, Access::ReadWrite).unwrap();
        drop(ours);
        let stays = backend == Backend::File || (backend == Backend::Native && cfg!(windows));
        assert_eq!(Options::new(&place.name).backend(backend).exists(), stays, "{backend:?}");
        let mut bytes = [0; 4];
        theirs.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"kept", "{backend:?}: an opener keeps the memory");
        drop(theirs);
        handle.unlink().unwrap();
        assert!(!Options::new(&place.name).backend(backend).exists(), "{backend:?}");
        handle.unlink().unwrap();

        let persistent =
            Options::new(&place.name).backend(backend).lifetime(Lifetime::Persistent).create(100);
        assert_eq!(persistent.is_ok(), backend.can_persist(), "{backend:?}");
        if let Ok(ours) = persistent {
            ours.write(0, b"left").unwrap();
            drop(ours);
            let theirs = Options::new(&place.name).backend(backend).open(0, Access::ReadOnly).unwrap();
            theirs.read(0, &mut bytes).unwrap();
            assert_eq!(&bytes, b"left", "{backend:?}");
            drop(theirs);
            Options::new(&place.name).backend(backend).remove().unwrap();
            assert!(!Options::new(&place.name).backend(backend).exists(), "{backend:?}");
        }
    }
}

/// Another program removes the name, and creates it again.
#[cfg(unix)]
#[test]
fn a_name_that_leads_elsewhere_is_left_alone() {
    for backend in BACKENDS {
        let place = Place::new(backend);
        let first = create(&place, 100).unwrap();
        Options::new(&place.name).backend(backend).remove().unwrap();
        assert!(!first.name().is_current(), "{backend:?}");
        let second = create(&place, 100).unwrap();
        assert!(second.name().is_current() && !first.name().is_current(), "{backend:?}");
        first.name().unlink().unwrap();
        drop(first);
        assert!(second.name().is_current(), "{backend:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn python_opens_what_rust_creates() {
    for (backend, kind) in crate::common::backends::OF_PYTHON {
        let place = Place::new(backend);
        let ours = create(&place, 100).unwrap();
        ours.write(0, b"to Python").unwrap();
        let mut partner = Peer::of(&mut crate::common::backends::python());
        assert_eq!(partner.ask(&format!("open {kind} {}", place.name)), "done", "{backend:?}");
        assert_eq!(partner.ask("read 9"), "to Python", "{backend:?}");
        assert_eq!(partner.ask("write from Python"), "done", "{backend:?}");
        let mut bytes = [0; 11];
        ours.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"from Python", "{backend:?}");
        assert_eq!(partner.ask("close"), "done", "{backend:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn rust_opens_what_python_creates() {
    for (backend, kind) in crate::common::backends::OF_PYTHON {
        let place = Place::new(backend);
        let mut partner = Peer::of(&mut crate::common::backends::python());
        assert_eq!(partner.ask(&format!("create {kind} {} 100", place.name)), "done", "{backend:?}");
        assert_eq!(partner.ask("write from Python"), "done", "{backend:?}");
        let ours = Options::new(&place.name).backend(backend).open(0, Access::ReadWrite).unwrap();
        assert_eq!(ours.size(), 100, "{backend:?}");
        let mut bytes = [0; 11];
        ours.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"from Python", "{backend:?}");
        ours.write(0, b"to Python").unwrap();
        assert_eq!(partner.ask("read 9"), "to Python", "{backend:?}");
        let taken = create(&place, 100);
        assert!(matches!(taken, Err(Error::AlreadyExists { .. })), "{backend:?}: {taken:?}");
        assert_eq!(partner.ask("close"), "done", "{backend:?}");
        let _ = Options::new(&place.name).backend(backend).remove();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn each_listed_segment_is_described() {
    for backend in [Backend::Native, Backend::SystemV, Backend::Memfd] {
        let place = Place::new(backend);
        let find = |name: &str| {
            let listed = shm_segment::list_segments();
            listed.into_iter().find(|found| (found.0, &*found.1) == (backend, name)).map(|found| found.2)
        };
        let name = match backend {
            Backend::SystemV => {
                let segment = place.options().create(100).unwrap();
                segment.name().native_name()
            }
            _ => place.name.clone(),
        };
        assert_eq!(find(&name), None, "{backend:?}");
        let segment = place.options().create(100).unwrap();
        let found = find(&name).unwrap();
        assert_eq!((found.size, found.other_user), (100, None), "{backend:?}");
        assert_eq!(found, Options::new(&name).backend(backend).info().unwrap());
        assert_eq!(Options::new(&name).backend(backend).users(), [std::process::id()], "{backend:?}");
        let opened = Options::new(&name).backend(backend).open(0, Access::ReadOnly).unwrap();
        assert_eq!(opened.size(), 100);
        drop(segment);
        assert_eq!(find(&name), None, "{backend:?}");
    }
}

/// The form of the name that a program prints can be opened by another one.
#[test]
fn a_native_name_leads_to_the_segment() {
    for backend in BACKENDS {
        let place = Place::new(backend);
        let segment = place.options().create(100).unwrap();
        segment.write(0, b"native").unwrap();
        let native = segment.name().native_name();
        let opened = Options::new(&native).backend(backend).open(0, Access::ReadOnly).unwrap();
        let mut bytes = [0; 6];
        opened.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"native", "{backend:?}: {native}");
    }
}
