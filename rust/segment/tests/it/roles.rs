//! Roles of the native layouts: each has one holder, until it gives it back or ends, however it ends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::common::backends::{BACKENDS, Place};
use crate::common::random::rounds;
use crate::common::{Name, Peer, SetAtEnd};
use shm_segment::layout::native::{Descriptor, Kind, Message, Queue, Stream};
use shm_segment::layout::{Error, Result};
use shm_segment::{Access, Backend, Options, OwnerState, Segment};

const NOW: Duration = Duration::ZERO;
const SIZE: u64 = 8192;

const HELLO: Message<'_> = Message { descriptor: Descriptor::of(Kind::Bytes), content: b"hello" };

/// The backends whose memory has roles.
fn with_roles() -> impl Iterator<Item = Backend> {
    BACKENDS.into_iter().filter(|backend| *backend != Backend::SystemV)
}

fn open(place: &Place) -> Segment {
    place.options().open(0, Access::ReadWrite).unwrap()
}

fn stream(segment: &Segment) -> Stream {
    Stream::attach(segment, 100, 2).unwrap()
}

fn queue(segment: &Segment) -> Queue {
    Queue::attach(segment, 256, 2).unwrap()
}

fn enqueue(queue: &Queue, segment: &Segment) -> Result<()> {
    queue.enqueue(segment, &HELLO, NOW, || true)
}

fn dequeue(queue: &Queue, segment: &Segment) -> Result<()> {
    queue.dequeue(segment, NOW, || true, |_| Ok(()))
}

fn read(stream: &Stream, segment: &Segment) -> Result<()> {
    stream.read(segment, |_| Ok(()))
}

fn assert_taken<T: std::fmt::Debug>(result: Result<T>) {
    let is_taken = matches!(result, Err(Error::RoleTaken { .. } | Error::NoLaneFree { .. }));
    assert!(is_taken, "{result:?}");
}

/// Calls `look` until it returns true. A lock is free some milliseconds after the death of its holder.
fn wait_until(what: &str, look: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !look() {
        assert!(Instant::now() < end, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn objects_that_share_a_segment_exclude_each_other() {
    for backend in with_roles() {
        let place = Place::new(backend);
        let segment = place.options().create(SIZE).unwrap();
        check_streams(&segment, &segment);
        let place = Place::new(backend);
        let segment = place.options().create(SIZE).unwrap();
        check_queues(&segment, &segment);
    }
}

#[test]
fn segments_of_one_process_exclude_each_other() {
    for backend in with_roles() {
        let place = Place::new(backend);
        let ours = place.options().create(SIZE).unwrap();
        check_streams(&ours, &open(&place));
        let place = Place::new(backend);
        let ours = place.options().create(SIZE).unwrap();
        check_queues(&ours, &open(&place));
    }
}

fn check_streams(ours: &Segment, theirs: &Segment) {
    let (first, second) = (stream(ours), stream(theirs));
    assert_eq!(second.writer_state(theirs).unwrap(), OwnerState::Unknown);
    first.write(ours, &HELLO).unwrap();
    assert_taken(second.write(theirs, &HELLO));
    assert_eq!(second.writer_state(theirs).unwrap(), OwnerState::Alive);
    // A reader without a pin reads nevertheless.
    let readers = [stream(ours), stream(theirs), stream(theirs)];
    for reader in &readers {
        assert!(read(reader, theirs).is_ok() || read(reader, ours).is_ok());
    }
    assert_taken(second.reset(theirs));
    first.release(ours);
    assert_eq!(second.writer_state(theirs).unwrap(), OwnerState::Dead);
    second.write(theirs, &HELLO).unwrap();
    assert_taken(first.write(ours, &HELLO));
}

fn check_queues(ours: &Segment, theirs: &Segment) {
    let (first, second, third) = (queue(ours), queue(theirs), queue(theirs));
    assert!(!first.has_consumer(ours).unwrap() && !first.has_producer(ours).unwrap());
    enqueue(&first, ours).unwrap();
    enqueue(&second, theirs).unwrap();
    assert_taken(enqueue(&third, theirs));
    dequeue(&first, ours).unwrap();
    assert_taken(dequeue(&second, theirs));
    assert!(third.has_consumer(theirs).unwrap() && third.has_producer(theirs).unwrap());
    second.release(theirs);
    enqueue(&third, theirs).unwrap();
    first.release(ours);
    dequeue(&second, theirs).unwrap();
    third.release(theirs);
    assert!(!third.has_producer(theirs).unwrap(), "only the consumer is left");
}

/// A [`Peer`] that has a role of a stream or queue.
struct Holder {
    peer: Peer,
}

impl Holder {
    fn new(place: &Place, part: &str) -> Self {
        let mut peer = Peer::start("roles::holder");
        let number = Backend::ALL.iter().position(|backend| *backend == place.backend).unwrap();
        assert_eq!(peer.ask(&format!("{part} {number} {}", place.name)), "ok");
        Self { peer }
    }
}

/// Not a test: what a [`Holder`] runs.
#[test]
fn holder() {
    if std::env::var_os("SHM_SEGMENT_PEER").is_none() {
        return;
    }
    let mut held = Vec::new();
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        #[cfg(target_os = "linux")]
        if words[0] == "fork" {
            println!("answer: {}", forked());
            continue;
        }
        let backend = Backend::ALL[words[1].parse::<usize>().unwrap()];
        let segment = Options::new(words[2]).backend(backend).open(0, Access::ReadWrite).unwrap();
        let (mut stream_, mut queue_) = (None, None);
        let done = match words[0] {
            "write" => stream_.insert(stream(&segment)).write(&segment, &HELLO),
            "read" => read(stream_.insert(stream(&segment)), &segment),
            "enqueue" => enqueue(queue_.insert(queue(&segment)), &segment),
            "dequeue" => dequeue(queue_.insert(queue(&segment)), &segment),
            other => panic!("unknown command {other}"),
        };
        held.push((segment, stream_, queue_));
        match done {
            Ok(()) => println!("answer: ok"),
            Err(error) => println!("answer: {error}"),
        }
    }
}

#[test]
fn a_role_of_another_process_ends_with_it() {
    for backend in with_roles() {
        let place = Place::new(backend);
        let ours = place.options().create(SIZE).unwrap();
        let writer = stream(&ours);
        let holder = Holder::new(&place, "write");
        assert_taken(writer.write(&ours, &HELLO));
        assert_eq!(writer.writer_state(&ours).unwrap(), OwnerState::Alive);
        holder.peer.kill();
        wait_until("the writer is dead", || writer.writer_state(&ours).unwrap() == OwnerState::Dead);
        writer.write(&ours, &HELLO).unwrap();

        let place = Place::new(backend);
        let ours = place.options().create(SIZE).unwrap();
        let ends = queue(&ours);
        enqueue(&ends, &ours).unwrap();
        ends.release(&ours);
        let consumer = Holder::new(&place, "dequeue");
        let producer = Holder::new(&place, "enqueue");
        assert_taken(dequeue(&ends, &ours));
        assert!(ends.has_producer(&ours).unwrap());
        consumer.peer.kill();
        wait_until("the consumer is dead", || !ends.has_consumer(&ours).unwrap());
        dequeue(&ends, &ours).unwrap();
        producer.peer.kill();
        wait_until("the producer is dead", || !ends.has_producer(&ours).unwrap());
    }
}

#[test]
fn a_reset_waits_for_no_role_and_takes_none() {
    let place = Place::new(Backend::Native);
    let ours = place.options().create(SIZE).unwrap();
    let reader = stream(&ours);
    let holder = Holder::new(&place, "write");
    assert_taken(reader.reset(&ours));
    holder.peer.kill();
    wait_until("the writer is dead", || reader.writer_state(&ours).unwrap() == OwnerState::Dead);
    reader.reset(&ours).unwrap();
    // Under its new incarnation, the memory has the same roles.
    let holder = Holder::new(&place, "write");
    assert_taken(reader.write(&ours, &HELLO));
    holder.peer.kill();
    wait_until("the writer is dead", || reader.write(&ours, &HELLO).is_ok());
}

/// On Windows, a look takes a lock for some microseconds. With all rounds:
/// `SHM_SEGMENT_ROUNDS=10000 ./build.sh test-windows watchers`.
#[test]
fn watchers_that_look_all_the_time_keep_no_claimer_out() {
    const WATCHERS: u64 = 8;
    let rounds = rounds(300);
    let name = Name::new();
    let ours = Options::new(&name).create(SIZE).unwrap();
    let (is_over, looks, seen) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (writer, consumer) = (stream(&ours), Name::new());
    let queue_memory = Options::new(&consumer).create(SIZE).unwrap();
    let producer = queue(&queue_memory);
    std::thread::scope(|scope| {
        let guard = SetAtEnd(&is_over);
        for watcher in 0..WATCHERS {
            let open = |name: &Name| Options::new(name).open(0, Access::ReadWrite).unwrap();
            let (theirs, memory) = (open(&name), open(&consumer));
            let (is_over, looks, seen) = (&is_over, &looks, &seen);
            scope.spawn(move || {
                let (reader, ends) = (stream(&theirs), queue(&memory));
                while !is_over.load(Ordering::Relaxed) {
                    let is_alive = if watcher % 2 == 0 {
                        reader.writer_state(&theirs).unwrap() == OwnerState::Alive
                    } else {
                        ends.has_producer(&memory).unwrap()
                    };
                    looks.fetch_add(1, Ordering::Relaxed);
                    seen.fetch_add(is_alive.into(), Ordering::Relaxed);
                }
            });
        }
        wait_until("all watchers look", || looks.load(Ordering::Relaxed) > 10 * WATCHERS);
        let start = Instant::now();
        let mut longest = Duration::ZERO;
        let result = (0..rounds).try_for_each(|_| {
            let before = Instant::now();
            writer.write(&ours, &HELLO)?;
            longest = longest.max(before.elapsed());
            writer.release(&ours);
            // Full or not, it takes the role.
            match enqueue(&producer, &queue_memory) {
                Ok(()) | Err(Error::NoRoom) => {}
                Err(error) => return Err(error),
            }
            producer.release(&queue_memory);
            Ok(())
        });
        drop(guard);
        println!("{rounds} rounds in {:?}, the longest claim took {longest:?}", start.elapsed());
        result.unwrap();
    });
    println!("{looks:?} looks, {seen:?} of them saw a holder");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::os::fd::AsRawFd as _;

    use super::*;
    use crate::common::backends::as_nobody;
    use crate::common::fuse::with_fuse;
    use shm_segment::Scope;

    /// The bytes of locks (`docs/FORMAT.md`).
    const WRITER: i64 = (1 << 62) + 4 + 2;
    const FIRST_READER: i64 = (1 << 62) + 4 + 2 * 16;
    const FIRST_PRODUCER: i64 = (1 << 62) + 4 + 2 * 80;

    #[test]
    fn a_stopped_holder_keeps_its_role_and_a_zombie_has_none() {
        let place = Place::new(Backend::Native);
        let ours = place.options().create(SIZE).unwrap();
        let writer = stream(&ours);
        let holder = Holder::new(&place, "write");
        holder.peer.stop();
        assert_eq!(writer.writer_state(&ours).unwrap(), OwnerState::Alive);
        assert_taken(writer.write(&ours, &HELLO));
        // Not reaped: this process is its parent.
        holder.peer.end_unseen();
        // Its other threads may end a moment later.
        wait_until("the zombie has none", || writer.writer_state(&ours).unwrap() == OwnerState::Dead);
        writer.write(&ours, &HELLO).unwrap();
    }

    /// Forks, and returns the PID of a child that does nothing, for a minute at most.
    pub(super) fn forked() -> i32 {
        // SAFETY: the child only makes calls that may be made between `fork` and `exec`.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::alarm(60);
                loop {
                    libc::pause();
                }
            }
            child
        }
    }

    #[test]
    fn a_forked_child_shares_the_role_until_both_have_ended() {
        let place = Place::new(Backend::Native);
        let ours = place.options().create(SIZE).unwrap();
        let writer = stream(&ours);
        let mut holder = Holder::new(&place, "write");
        let child: i32 = holder.peer.ask("fork").parse().unwrap();
        holder.peer.kill();
        std::thread::sleep(Duration::from_millis(50));
        let state = writer.writer_state(&ours).unwrap();
        // SAFETY: the call takes numbers. The process has at least 50 s to live.
        assert_eq!(unsafe { libc::kill(child, libc::SIGKILL) }, 0);
        assert_eq!(state, OwnerState::Alive, "the child has the file description open");
        wait_until("the child is dead", || writer.write(&ours, &HELLO).is_ok());
    }

    fn lock(file: &File, kind: i32, start: i64, length: i64) {
        let lock = libc::flock64 { l_type: kind as _, l_whence: 0, l_start: start, l_len: length, l_pid: 0 };
        // SAFETY: the descriptor is open, and the call takes one `flock64`.
        assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }, 0);
    }

    #[test]
    fn a_lock_that_is_no_role_blocks_a_claimer_with_a_text_of_its_own() {
        let name = Name::new();
        let ours = Options::new(&name).create(SIZE).unwrap();
        let writer = stream(&ours);
        let reading = File::open(name.path()).unwrap();
        let writing = File::options().read(true).write(true).open(name.path()).unwrap();
        let whole = (&writing, libc::F_WRLCK, WRITER - 1, 0);
        for (file, kind, at, length) in [(&reading, libc::F_RDLCK, WRITER, 1), whole] {
            lock(file, kind, at, length);
            assert_eq!(writer.writer_state(&ours).unwrap(), OwnerState::Unknown, "nobody writes");
            let start = Instant::now();
            let error = writer.write(&ours, &HELLO).unwrap_err();
            let waited = start.elapsed();
            assert!(matches!(error, Error::Segment(shm_segment::Error::RoleBlocked { .. })), "{error:?}");
            assert!(error.to_string().contains("is in the way of the role"), "{error}");
            assert!((20..5000).contains(&waited.as_millis()), "{waited:?}");
            lock(file, libc::F_UNLCK, at, length);
        }
        // A reader goes on without its pin, and a producer with another lane.
        writer.write(&ours, &HELLO).unwrap();
        lock(&reading, libc::F_RDLCK, FIRST_READER, 256);
        read(&stream(&ours), &ours).unwrap();
        lock(&reading, libc::F_UNLCK, FIRST_READER, 256);
        writer.release(&ours);
        let other = Name::new();
        let memory = Options::new(&other).create(SIZE).unwrap();
        let producer = queue(&memory);
        let planted = File::open(other.path()).unwrap();
        lock(&planted, libc::F_RDLCK, FIRST_PRODUCER, 1);
        enqueue(&producer, &memory).unwrap();
        let blocked = enqueue(&queue(&memory), &memory);
        assert!(
            matches!(blocked, Err(Error::Segment(shm_segment::Error::RoleBlocked { .. }))),
            "{blocked:?}"
        );
        // One that is there for a moment blocks nobody. On a busy machine, a moment may last too long.
        let is_past_in_time = || {
            lock(&reading, libc::F_RDLCK, WRITER, 1);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(5));
                    lock(&reading, libc::F_UNLCK, WRITER, 1);
                });
                writer.write(&ours, &HELLO).is_ok()
            })
        };
        assert!((0..20).any(|_| is_past_in_time()), "blocked for long");
    }

    #[test]
    fn a_program_that_may_only_read_can_not_look_like_a_holder() {
        let name = Name::new();
        let ours = Options::new(&name).scope(Scope::Global).create(SIZE).unwrap();
        let writer = stream(&ours);
        let view = Options::new(&name).open(0, Access::ReadOnly).unwrap();
        let reader = Stream::attach(&view, 0, 0).unwrap();
        let error = reader.write(&view, &HELLO).unwrap_err();
        assert!(matches!(error, Error::Segment(shm_segment::Error::ReadOnly { .. })), "{error:?}");
        writer.write(&ours, &HELLO).unwrap();
        assert_eq!(reader.writer_state(&view).unwrap(), OwnerState::Alive);
        read(&reader, &view).unwrap();
    }

    #[test]
    fn users_of_a_global_segment_see_each_others_roles() {
        let place = Place::new(Backend::Native);
        let ours = place.options().scope(Scope::Global).create(SIZE).unwrap();
        let writer = stream(&ours);
        as_nobody(|_| {
            let theirs = open(&place);
            let other = stream(&theirs);
            other.write(&theirs, &HELLO).unwrap();
            assert_taken(writer.write(&ours, &HELLO));
            assert_eq!(writer.writer_state(&ours).unwrap(), OwnerState::Alive);
            other.release(&theirs);
            writer.write(&ours, &HELLO).unwrap();
            assert_taken(other.write(&theirs, &HELLO));
            read(&other, &theirs).unwrap();
            assert_taken(writer.reset(&ours));
        });
        writer.reset(&ours).unwrap();
    }

    /// A file system of another machine (NFS, SMB, 9p) is known by a number of its own, as this one is.
    #[test]
    fn a_file_that_a_program_serves_has_no_native_layout_and_the_text_says_why() {
        let place = Place::new(Backend::File);
        let folder = place.path().with_extension("fuse");
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("file");
        let options = Options::new(path.to_str().unwrap()).backend(Backend::File);
        let checked = with_fuse(&folder, || {
            let ours = options.open(0, Access::ReadWrite).unwrap();
            assert_eq!((ours.size(), options.info().unwrap().messages), (SIZE, None));
            for error in [Stream::attach(&ours, 0, 2).unwrap_err(), Queue::attach(&ours, 0, 1).unwrap_err()] {
                let text = error.to_string();
                assert!(matches!(error, Error::Segment(shm_segment::Error::Unsupported { .. })), "{error:?}");
                assert!(text.contains("FUSE") && text.contains("locks"), "{text}");
            }
        });
        std::fs::remove_dir(&folder).unwrap();
        if checked.is_none() {
            println!("skipped: a file system can't be mounted here");
        }
    }

    #[test]
    fn system_v_memory_has_no_native_layout_and_the_text_says_why() {
        let place = Place::new(Backend::SystemV);
        let ours = place.options().create(SIZE).unwrap();
        let view = place.options().open(0, Access::ReadOnly).unwrap();
        for segment in [&ours, &view] {
            for error in
                [Stream::attach(segment, 0, 2).unwrap_err(), Queue::attach(segment, 0, 1).unwrap_err()]
            {
                let text = error.to_string();
                assert!(matches!(error, Error::Segment(shm_segment::Error::Unsupported { .. })), "{error:?}");
                assert!(text.contains("System V") && text.contains("locks"), "{text}");
            }
        }
        let mut bytes = [1; 8];
        ours.read(0, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 8], "nothing was laid out");
    }
}
#[cfg(target_os = "linux")]
use linux::forked;
