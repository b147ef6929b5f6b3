//! Questions about the messages in a segment that is not open.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::Name;
use crate::common::backends::{BACKENDS, Place};
use crate::common::random::{Random, rounds};
use shm_segment::layout::Error;
use shm_segment::layout::native::{Descriptor, Kind, Message, Queue, Stream};
use shm_segment::{Backend, Messages, Options, Segment};

const NOW: Duration = Duration::ZERO;
const SIZE: u64 = 8192;

const HELLO: Message<'_> = Message { descriptor: Descriptor::of(Kind::Bytes), content: b"hello" };

/// The backends whose memory can hold a native layout.
fn places() -> impl Iterator<Item = Place> {
    BACKENDS.into_iter().filter(|backend| *backend != Backend::SystemV).map(Place::new)
}

fn messages(options: Options<'_>) -> Option<Messages> {
    options.info().unwrap().messages
}

fn dequeue(queue: &Queue, segment: &Segment) {
    queue.dequeue::<_, Error>(segment, NOW, || true, |_| Ok(())).unwrap();
}

fn put(queue: &Queue, segment: &Segment) {
    queue.enqueue(segment, &HELLO, NOW, || true).unwrap();
}

#[test]
fn a_stream_tells_its_messages() {
    for place in places() {
        let ours = place.options().create(SIZE).unwrap();
        assert_eq!(messages(place.options()), None, "zeros");
        let stream = Stream::attach(&ours, 100, 2).unwrap();
        let empty = messages(place.options()).unwrap();
        assert_eq!((empty.layout, empty.count, empty.newest_age), ("latest", 0, None));
        assert_ne!(empty.incarnation, 0);
        for count in 1..=3 {
            stream.write(&ours, &HELLO).unwrap();
            let told = messages(place.options()).unwrap();
            assert_eq!((told.count, told.incarnation), (count, empty.incarnation));
            assert!(told.newest_age.unwrap() < Duration::from_secs(10));
        }
        std::thread::sleep(Duration::from_millis(30));
        assert!(messages(place.options()).unwrap().newest_age.unwrap() >= Duration::from_millis(30));
        stream.reset(&ours).unwrap();
        let reset = messages(place.options()).unwrap();
        assert_eq!((reset.layout, reset.count, reset.newest_age), ("latest", 0, None));
        assert_ne!(reset.incarnation, empty.incarnation);
        stream.write(&ours, &HELLO).unwrap();
        assert_eq!(messages(place.options()).unwrap().count, 1);
    }
}

#[test]
fn a_queue_tells_its_messages() {
    for place in places() {
        let ours = place.options().create(SIZE).unwrap();
        let [first, second] = [(); 2].map(|()| Queue::attach(&ours, 256, 2).unwrap());
        (0..3).for_each(|_| put(&first, &ours));
        (0..2).for_each(|_| put(&second, &ours));
        let told = messages(place.options()).unwrap();
        assert_eq!((told.layout, told.count, told.newest_age), ("lanes", 5, None));
        dequeue(&first, &ours);
        assert_eq!(messages(place.options()), Some(told), "one was taken out, and was there nevertheless");
    }
}

#[test]
fn the_list_of_segments_tells_the_same() {
    for place in places().filter(|place| place.backend != Backend::File) {
        let ours = place.options().create(SIZE).unwrap();
        put(&Queue::attach(&ours, 0, 1).unwrap(), &ours);
        let listed = shm_segment::list_segments();
        let found = listed.iter().find(|(_, name, _)| *name == place.name);
        if cfg!(target_os = "linux") {
            assert_eq!(found.unwrap().2.messages, messages(place.options()), "{:?}", place.backend);
        }
    }
}

/// A layout that a look accepts is one that a program can attach to, with the same number of messages.
#[test]
fn no_field_is_trusted() {
    let mut random = Random::new();
    for is_stream in [true, false] {
        let name = Name::new();
        let ours = Options::new(&name).create(SIZE).unwrap();
        if is_stream {
            let stream = Stream::attach(&ours, 100, 2).unwrap();
            (0..5).for_each(|_| stream.write(&ours, &HELLO).unwrap());
        } else {
            let queue = Queue::attach(&ours, 256, 2).unwrap();
            (0..5).for_each(|_| put(&queue, &ours));
        }
        let true_count = messages(Options::new(&name)).unwrap().count;
        assert_eq!(true_count, 5);
        let mut image = vec![0; SIZE as usize];
        ours.read(0, &mut image).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        // Among fewer, there may be too few of one kind.
        let rounds = rounds(20_000).max(2_000);
        for round in 0..rounds {
            // A word of the header and the lines, in most rounds the one field.
            let at = random.below(0x300 / 4) * 4;
            let interesting = [0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x8000_0000, u32::MAX];
            let any = random.below(1 << 32) as u32;
            let value = *interesting.get(random.below(13) as usize).unwrap_or(&any);
            ours.write(at, &value.to_le_bytes()).unwrap();
            let told = messages(Options::new(&name));
            match told {
                None => invalid += 1,
                Some(told) => {
                    valid += 1;
                    check(&ours, told, &format!("round {round}: {value:#x} at {at:#x}"));
                }
            }
            if random.below(4) != 0 {
                ours.write(0, &image[..0x300]).unwrap();
                assert_eq!(messages(Options::new(&name)).unwrap().count, true_count);
            }
        }
        let enough = rounds / 50;
        assert!(valid > enough && invalid > enough, "{valid} valid, {invalid} not");
    }
}

fn check(segment: &Segment, told: Messages, what: &str) {
    assert_ne!(told.incarnation, 0, "{what}");
    if told.layout == "latest" {
        let stream = Stream::attach(segment, 0, 0).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(stream.message_count(segment).unwrap(), told.count, "{what}");
    } else if told.layout != "pair" {
        // The memory of two lanes is that of a pair, if the number of the layout says so.
        let queue = Queue::attach(segment, 0, 1).unwrap_or_else(|error| panic!("{what}: {error}"));
        // A queue whose other end is damaged says so when it is used.
        if let Ok(filled) = queue.filled(segment) {
            assert_eq!(filled.put, told.count, "{what}");
        }
    }
}

#[test]
fn bytes_of_something_else_tell_nothing() {
    let mut random = Random::new();
    let name = Name::new();
    let ours = Options::new(&name).create(SIZE).unwrap();
    let mut bytes = vec![0; SIZE as usize];
    for _ in 0..200 {
        bytes.iter_mut().for_each(|byte| *byte = random.byte());
        // Even with the right magic number.
        bytes[..4].copy_from_slice(&0x314D_5347_u32.to_le_bytes());
        ours.write(0, &bytes).unwrap();
        assert_eq!(messages(Options::new(&name)), None);
    }
    for size in [1, 4, 127, 128, 256] {
        let name = Name::new();
        let small = Options::new(&name).create(size).unwrap();
        small.write(0, &vec![0xFF; size as usize]).unwrap();
        assert_eq!(messages(Options::new(&name)), None, "{size} bytes");
    }
}

/// The looks see an instant of each look, so the numbers never go back.
#[test]
fn a_fast_writer_is_counted() {
    const COUNT: u64 = 200_000;
    for is_stream in [true, false] {
        let name = Name::new();
        let ours = Options::new(&name).create(SIZE).unwrap();
        let is_over = AtomicBool::new(false);
        let attached = (
            is_stream.then(|| Stream::attach(&ours, 100, 2).unwrap()),
            (!is_stream).then(|| Queue::attach(&ours, 256, 2).unwrap()),
        );
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..COUNT {
                    if let Some(stream) = &attached.0 {
                        stream.write(&ours, &HELLO).unwrap();
                    }
                    if let Some(queue) = &attached.1 {
                        put(queue, &ours);
                        dequeue(queue, &ours);
                    }
                }
                is_over.store(true, Ordering::Release);
            });
            let (mut before, mut looks) = (0, 0);
            while !is_over.load(Ordering::Acquire) {
                let told = messages(Options::new(&name)).expect("the layout is valid at every instant");
                assert!((before..=COUNT).contains(&told.count), "{} after {before}", told.count);
                (before, looks) = (told.count, looks + 1);
            }
            println!("{looks} looks");
        });
        assert_eq!(messages(Options::new(&name)).unwrap().count, COUNT);
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::common::backends::as_nobody;
    use shm_segment::{Access, Scope};

    #[test]
    fn a_look_changes_no_time() {
        for place in places().filter(|place| place.backend != Backend::Memfd) {
            let ours = place.options().create(SIZE).unwrap();
            Stream::attach(&ours, 100, 2).unwrap().write(&ours, &HELLO).unwrap();
            let path = match place.backend {
                Backend::File => place.path(),
                _ => std::path::Path::new("/dev/shm").join(&place.name),
            };
            // So that the system would have to set it (`mount(8)`, `relatime`).
            let old = fs::FileTimes::new().set_accessed(std::time::SystemTime::UNIX_EPOCH);
            fs::File::options().write(true).open(&path).unwrap().set_times(old).unwrap();
            let seen = || {
                let found = fs::metadata(&path).unwrap();
                (found.atime(), found.atime_nsec(), found.mtime_nsec(), found.ctime_nsec(), found.mode())
            };
            let before = seen();
            assert_eq!(messages(place.options()).unwrap().count, 1);
            assert_eq!(seen(), before, "{:?}", place.backend);
            assert_eq!(before.0, 0);
        }
    }

    #[test]
    fn a_user_that_may_not_read_is_told_nothing() {
        for (scope, may_read) in [(Scope::Local, false), (Scope::Global, true)] {
            let name = Name::new();
            let ours = Options::new(&name).scope(scope).create(SIZE).unwrap();
            Stream::attach(&ours, 100, 2).unwrap().write(&ours, &HELLO).unwrap();
            as_nobody(|is_other| {
                let info = Options::new(&name).info().unwrap();
                assert_eq!(info.size, SIZE);
                assert_eq!(info.messages.is_some(), may_read || !is_other, "{scope:?}");
            });
        }
    }

    #[test]
    fn a_truncated_segment_tells_nothing() {
        let name = Name::new();
        let ours = Options::new(&name).create(SIZE).unwrap();
        Stream::attach(&ours, 100, 2).unwrap().write(&ours, &HELLO).unwrap();
        let file = fs::File::options().write(true).open(name.path()).unwrap();
        // The layout has 1536 bytes.
        for size in [1535, 300, 200, 128, 3, 0] {
            file.set_len(size).unwrap();
            let info = Options::new(&name).info().unwrap();
            assert_eq!((info.size, info.messages), (size, None));
        }
    }

    /// Opened through its descriptor, as with Wine.
    #[test]
    fn an_open_file_of_a_process_tells_its_messages() {
        let place = Place::new(Backend::File);
        let ours = place.options().create(SIZE).unwrap();
        Stream::attach(&ours, 100, 2).unwrap().write(&ours, &HELLO).unwrap();
        let file = fs::File::open(place.path()).unwrap();
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        assert_eq!(messages(Options::new(&path).backend(Backend::File)).unwrap().count, 1);
        let view = Options::new(&path).backend(Backend::File).open(0, Access::ReadOnly).unwrap();
        assert_eq!(Stream::attach(&view, 0, 0).unwrap().message_count(&view).unwrap(), 1);
    }
}
