//! Streams and queues that make and find their memory under a name.

mod following;
mod leaving;
mod program;
mod table;

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use self::program::{Part, Program};
use crate::common::Name;
use crate::common::random::{Random, rounds};
use shm_segment::layout::native::{Descriptor, Incoming, Kind, Look, Message, Named, Queue, Stream, look};
use shm_segment::layout::{Error, Result};
use shm_segment::{Access, Options, OwnerState, Scope, Segment};

const LONGEST: u64 = 100;
const NOW: Duration = Duration::ZERO;

fn message(content: &[u8]) -> Message<'_> {
    Message { descriptor: Descriptor::of(Kind::Bytes), content }
}

fn read((segment, stream): &(Segment, Stream)) -> Result<Vec<u8>> {
    stream.read(segment, |message: &Incoming<'_>| message.to_vec())
}

fn dequeue((segment, queue): &(Segment, Queue)) -> Result<Vec<u8>> {
    queue.dequeue(segment, NOW, || true, |message: &Incoming<'_>| message.to_vec())
}

fn enqueue((segment, queue): &(Segment, Queue), content: &[u8]) {
    queue.enqueue(segment, &message(content), NOW, || true).unwrap();
}

fn incarnation_of(segment: &Segment) -> u64 {
    segment.load_u64(0x18).unwrap()
}

/// Drops what a creator has, and leaves the name, as if its process were killed.
fn kill<L>(name: &Name, owner: (Segment, L)) {
    let path = std::path::Path::new("/dev/shm").join(&**name);
    let other = path.with_extension("kept");
    fs::hard_link(&path, &other).unwrap();
    drop(owner);
    fs::rename(other, path).unwrap();
    // Another test may just have forked a process, which has the locks until it executes its program.
    let end = Instant::now() + Duration::from_secs(10);
    while Options::new(name).info().unwrap().owner != OwnerState::Dead {
        assert!(Instant::now() < end, "the owner lives");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Returns what a new owner with the same arguments gets after the death of one, and a reader with a pin.
fn restarted(name: &Name) -> ((Segment, Stream), (Segment, Stream)) {
    let options = Options::new(name);
    let owner = Stream::create(&options, LONGEST, 2).unwrap();
    owner.1.write(&owner.0, &message(b"before")).unwrap();
    let reader = Stream::open(&options).unwrap();
    assert_eq!(read(&reader).unwrap(), b"before");
    kill(name, owner);
    (Stream::create(&options, LONGEST, 2).unwrap(), reader)
}

#[test]
fn a_writer_that_restarts_goes_on_in_the_memory_of_its_readers() {
    let name = Name::new();
    let (owner, reader) = restarted(&name);
    assert_eq!(incarnation_of(&owner.0), incarnation_of(&reader.0));
    assert!(
        owner.0.is_created()
            && matches!(look(&Options::new(&name), Some((&reader.0, &reader.1))), Look::Same)
    );
    let sequence = reader.1.sequence();
    owner.1.write(&owner.0, &message(b"after")).unwrap();
    assert_eq!(read(&reader).unwrap(), b"after");
    assert_eq!(reader.1.sequence(), sequence + 1, "the numbers go on");
    // It is the owner in every respect.
    assert!(matches!(
        Stream::create(&Options::new(&name), LONGEST, 2),
        Err(Error::Segment(shm_segment::Error::AlreadyExists { .. }))
    ));
    drop(owner);
    assert!(!name.exists(), "an owner that ends removes the name");
}

#[test]
fn memory_that_nobody_uses_is_made_anew() {
    let name = Name::new();
    let options = Options::new(&name);
    let owner = Stream::create(&options, LONGEST, 2).unwrap();
    owner.1.write(&owner.0, &message(b"yesterday")).unwrap();
    // It has the memory open, but no role.
    let looker = Stream::open(&options).unwrap();
    let before = incarnation_of(&owner.0);
    kill(&name, owner);
    assert!(
        matches!(Stream::open(&options), Err(Error::LeftOver)),
        "a reader doesn't find yesterday's either"
    );
    let owner = Stream::create(&options, LONGEST, 2).unwrap();
    assert_ne!(incarnation_of(&owner.0), before);
    assert!(matches!(read(&owner), Err(Error::Empty)));
    let Look::Moved(segment, stream) = look(&options, Some((&looker.0, &looker.1))) else { panic!() };
    assert_eq!(incarnation_of(&segment), incarnation_of(&owner.0));
    assert!(matches!(read(&(segment, stream)), Err(Error::Empty)));
}

#[test]
fn memory_of_another_geometry_or_scope_is_made_anew() {
    for (size, readers, scope) in
        [(LONGEST + 1, 2, Scope::Local), (LONGEST, 3, Scope::Local), (LONGEST, 2, Scope::Global)]
    {
        let name = Name::new();
        let options = Options::new(&name);
        let owner = Stream::create(&options, LONGEST, 2).unwrap();
        owner.1.write(&owner.0, &message(b"before")).unwrap();
        let reader = Stream::open(&options).unwrap();
        read(&reader).unwrap();
        kill(&name, owner);
        let owner = Stream::create(&options.scope(scope), size, readers).unwrap();
        assert_eq!((owner.1.max_message_size(), owner.1.readers(), owner.0.scope()), (size, readers, scope));
        let Look::Moved(segment, _) = look(&options, Some((&reader.0, &reader.1))) else { panic!() };
        assert_eq!(incarnation_of(&segment), incarnation_of(&owner.0));
        assert_ne!(incarnation_of(&segment), incarnation_of(&reader.0));
    }
}

#[test]
fn any_role_of_another_process_keeps_the_memory() {
    let name = Name::new();
    let options = Options::new(&name);
    for is_producer in [false, true] {
        let owner = Queue::create(&options, 1000, 2).unwrap();
        assert_eq!(owner.1.capacity(), 2048);
        let other = Queue::open(&options).unwrap();
        if is_producer {
            enqueue(&other, b"kept");
        } else {
            enqueue(&owner, b"first");
            enqueue(&owner, b"kept");
            assert_eq!(dequeue(&other).unwrap(), b"first");
        }
        kill(&name, owner);
        let owner = Queue::create(&options, 1000, 2).unwrap();
        assert_eq!(incarnation_of(&owner.0), incarnation_of(&other.0), "{is_producer}");
        let consumer = if is_producer { &owner } else { &other };
        assert_eq!(dequeue(consumer).unwrap(), b"kept", "{is_producer}");
    }
}

#[test]
fn of_many_that_adopt_at_once_one_does() {
    let name = Name::new();
    let options = Options::new(&name);
    for round in 0..20 {
        let owner = Stream::create(&options, LONGEST, 2).unwrap();
        owner.1.write(&owner.0, &message(b"x")).unwrap();
        let reader = Stream::open(&options).unwrap();
        read(&reader).unwrap();
        kill(&name, owner);
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Stream::create(&options, LONGEST, 2))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let adopted: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert_eq!(adopted.len(), 1, "round {round}: {results:?}");
        assert_eq!(incarnation_of(&adopted[0].0), incarnation_of(&reader.0), "round {round}");
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            assert!(
                matches!(error, Error::Segment(shm_segment::Error::AlreadyExists { .. })),
                "round {round}: {error}"
            );
        }
    }
}

#[test]
fn a_kill_at_any_moment_of_adopting_leaves_the_memory_to_the_next() {
    let name = Name::new();
    let options = Options::new(&name);
    let mut random = Random::new();
    let owner = Stream::create(&options, LONGEST, 2).unwrap();
    owner.1.write(&owner.0, &message(b"first")).unwrap();
    let reader = Stream::open(&options).unwrap();
    read(&reader).unwrap();
    kill(&name, owner);
    let mut adopted = 0;
    for round in 0..rounds(60) {
        let before = reader.1.newest(&reader.0).unwrap().sequence;
        let program = Program { part: Part::Writer, is_owner: true, size: LONGEST, number: round };
        let mut victim = program.command(&name).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(random.below(15_000)));
        victim.kill().unwrap();
        victim.wait().unwrap();
        adopted += u64::from(reader.1.newest(&reader.0).unwrap().sequence > before);
        let owner = Stream::create(&options, LONGEST, 2).unwrap();
        assert_eq!(incarnation_of(&owner.0), incarnation_of(&reader.0), "round {round}");
        read(&reader).unwrap();
        kill(&name, owner);
    }
    println!("{adopted} of the killed processes had adopted it, and written");
    name.remove().unwrap();
}

#[test]
fn what_another_program_has_under_the_name_is_told() {
    let name = Name::new();
    let options = Options::new(&name);
    let owner = Stream::create(&options, LONGEST, 2).unwrap();
    let reader = Stream::open(&options).unwrap();
    name.remove().unwrap();
    let Look::Gone(error) = look(&options, Some((&reader.0, &reader.1))) else { panic!() };
    assert!(error.to_string().contains("does not exist"), "{error}");
    // Another kind of layout, other bytes, and nothing yet.
    let queue = Queue::create(&options, 1000, 1).unwrap();
    let Look::Gone(error) = look(&options, Some((&reader.0, &reader.1))) else { panic!() };
    assert!(error.to_string().contains("the number of the layout is 2"), "{error}");
    drop(queue);
    let other = options.create(4096).unwrap();
    let Look::Gone(error) = look(&options, Some((&reader.0, &reader.1))) else { panic!() };
    assert!(matches!(error, Error::NotLaidOutYet { .. }), "{error}");
    other.write(0, b"other bytes").unwrap();
    let Look::Gone(error) = look(&options, Some((&reader.0, &reader.1))) else { panic!() };
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
    // An owner whose name another program has taken leaves it alone.
    drop(owner);
    assert!(name.exists());
}

#[test]
fn messages_that_wait_are_taken_out_before_a_side_moves_on() {
    let name = Name::new();
    let options = Options::new(&name);
    let owner = Queue::create(&options, 1000, 1).unwrap();
    let mut consumer = Queue::open(&options).unwrap();
    for content in [b"1", b"2", b"3"] {
        enqueue(&owner, content);
    }
    drop(owner);
    let seen = |it: &(Segment, Queue)| look(&options, Some((&it.0, &it.1)));
    // It may become the consumer.
    assert!(matches!(seen(&consumer), Look::Same));
    assert_eq!(dequeue(&consumer).unwrap(), b"1");
    let owner = Queue::create(&options, 1000, 1).unwrap();
    enqueue(&owner, b"4");
    for expected in [b"2", b"3"] {
        assert!(matches!(seen(&consumer), Look::Same));
        assert_eq!(dequeue(&consumer).unwrap(), expected);
    }
    let Look::Moved(segment, queue) = seen(&consumer) else { panic!() };
    consumer = (segment, queue);
    assert_eq!(dequeue(&consumer).unwrap(), b"4");
    // Nothing is left, or nobody will take it out here.
    drop(owner);
    assert!(matches!(seen(&consumer), Look::Gone(_)));
    let owner = Queue::create(&options, 1000, 1).unwrap();
    let producer = Queue::open(&options).unwrap();
    enqueue(&producer, b"5");
    drop(owner);
    assert!(matches!(seen(&producer), Look::Gone(_)));
}

#[test]
fn the_last_message_of_a_stream_is_read_before_a_side_moves_on() {
    let name = Name::new();
    let options = Options::new(&name);
    let seen = |it: &(Segment, Stream)| look(&options, Some((&it.0, &it.1)));
    let owner = Stream::create(&options, LONGEST, 2).unwrap();
    let reader = Stream::open(&options).unwrap();
    owner.1.write(&owner.0, &message(b"last")).unwrap();
    drop(owner);
    assert!(matches!(seen(&reader), Look::Same));
    assert_eq!(read(&reader).unwrap(), b"last");
    assert!(matches!(seen(&reader), Look::Gone(_)));
    // A newer one is elsewhere.
    let owner = Stream::create(&options, LONGEST, 2).unwrap();
    let reader = Stream::open(&options).unwrap();
    owner.1.write(&owner.0, &message(b"last")).unwrap();
    drop(owner);
    let _owner = Stream::create(&options, LONGEST, 2).unwrap();
    assert!(matches!(seen(&reader), Look::Moved(..)));
}

#[test]
fn a_persistent_or_foreign_segment_is_not_adopted() {
    let name = Name::new();
    let options = Options::new(&name);
    let owner = Stream::create(&options, LONGEST, 2).unwrap();
    owner.1.write(&owner.0, &message(b"kept")).unwrap();
    owner.0.set_lifetime(shm_segment::Lifetime::Persistent).unwrap();
    drop(owner);
    let reader = Stream::open(&options).unwrap();
    assert_eq!(read(&reader).unwrap(), b"kept", "persistent memory is for those who come later");
    assert!(Stream::create(&options, LONGEST, 2).is_err());
    name.remove().unwrap();
    fs::write(std::path::Path::new("/dev/shm").join(&*name), [0; 4096]).unwrap();
    assert!(Stream::create(&options, LONGEST, 2).is_err());
    assert!(name.exists(), "another program made it");
    let foreign = options.open(0, Access::ReadWrite).unwrap();
    Stream::attach(&foreign, LONGEST, 1).unwrap();
    // The system doesn't say whether its owner lives.
    Stream::open(&options).unwrap();
}

#[test]
fn a_name_without_permission_to_write_is_opened_for_reading() {
    use std::os::unix::fs::PermissionsExt;
    let name = Name::new();
    let options = Options::new(&name);
    let owner = Stream::create(&options, LONGEST, 2).unwrap();
    owner.1.write(&owner.0, &message(b"x")).unwrap();
    let path = std::path::Path::new("/dev/shm").join(&*name);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    let reader = Stream::open(&options).unwrap();
    // Root may do everything.
    let may_write = fs::File::options().write(true).open(&path).is_ok();
    assert_eq!(reader.0.access(), if may_write { Access::ReadWrite } else { Access::ReadOnly });
    assert_eq!(read(&reader).unwrap(), b"x");
}

#[test]
fn a_size_of_zero_is_refused_and_nothing_is_changed() {
    let name = Name::new();
    let options = Options::new(&name);
    let owner = Stream::create(&options, LONGEST, 2).unwrap();
    kill(&name, owner);
    for result in [Stream::create(&options, 0, 2).map(|_| ()), Queue::create(&options, 0, 1).map(|_| ())] {
        assert!(
            matches!(result, Err(Error::Segment(shm_segment::Error::InvalidSize { size: 0, .. }))),
            "{result:?}"
        );
    }
    assert!(name.exists(), "it was left alone");
    name.remove().unwrap();
}
