//! The matrix of kills: a process is killed at any moment of any operation, while another one uses the same
//! memory. No call hangs, nothing leaks, and the next creator gets the name at once.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use crate::common::random::{Random, rounds, seed, variable};
use crate::common::{start_and_wait, this_program};
use shm_segment::{Access, Error, Lifetime, Maker, Options, Segment};

/// The operations that the victim repeats, with their names.
const OPERATIONS: &[(&str, Operation)] = &[
    ("create", |it| it.hold_new(create)),
    ("open", |it| drop(open(&it.name))),
    ("open_or_create", |it| it.hold_new(open_or_create)),
    ("read", |it| it.with_held(|segment, bytes| segment.read(0, bytes))),
    ("write", |it| it.with_held(|segment, bytes| segment.write(0, bytes))),
    ("fill", |it| it.with_held(|segment, _| segment.fill(0, SIZE, 7))),
    ("atomics", |it| it.with_held(|segment, _| change_words(segment))),
    ("wait", |it| it.with_held(|segment, _| wait(segment))),
    ("close", |it| it.once(|_, _| Ok(()))),
    ("release_name", |it| it.once(|segment, _| release_name(segment))),
    ("unlink", |it| it.once(|segment, _| segment.name().unlink())),
    ("remove", |it| it.once(|segment, _| Options::new(segment.name().as_str()).remove())),
    (SET_LIFETIME, |it| it.with_held(|segment, _| toggle_lifetime(segment))),
    ("stream_v0_write", |it| it.wire_write("stream_v0")),
    ("stream_v0_read", |it| it.wire_read("stream_v0")),
    ("stream_v1_write", |it| it.wire_write("stream_v1")),
    ("stream_v1_read", |it| it.wire_read("stream_v1")),
    ("stream_v2_write", |it| it.wire_write("stream_v2")),
    ("stream_v2_read", |it| it.wire_read("stream_v2")),
    ("queue_v1_enqueue", |it| it.wire_write("queue_v1")),
    ("queue_v1_dequeue", |it| it.wire_read("queue_v1")),
    ("queue_v2_enqueue", |it| it.wire_write("queue_v2")),
    ("queue_v2_dequeue", |it| it.wire_read("queue_v2")),
    ("array_write", |it| it.wire_write("array")),
    ("array_read", |it| it.wire_read("array")),
    ("native_stream_write", |it| it.wire_write("native_stream")),
    ("native_stream_read", |it| it.wire_read("native_stream")),
    ("native_queue_enqueue", |it| it.wire_write("native_queue")),
    ("native_queue_dequeue", |it| it.wire_read("native_queue")),
];

type Operation = fn(&mut Victim);

/// Only a victim that is killed in this operation may leave a name that its lifetime keeps.
const SET_LIFETIME: &str = "set_lifetime";

/// The process that created the memory: the victim itself, or the survivor.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    Owner,
    Opener,
}

const SIZE: u64 = 256 << 10;
/// No round takes longer than this.
const LIMIT: Duration = Duration::from_secs(20);
const BEGINNING: &str = "rust-test_killed";

/// Accepts the errors of creating or opening a name that other processes create and remove at the same time.
fn documented<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(Error::AlreadyExists { .. } | Error::DoesNotExist { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

fn create(name: &str) -> Option<Segment> {
    documented(Options::new(name).create(SIZE))
}

fn open(name: &str) -> Option<Segment> {
    documented(Options::new(name).open(0, Access::ReadWrite))
}

fn open_or_create(name: &str) -> Option<Segment> {
    documented(Options::new(name).open_or_create(SIZE))
}

fn release_name(segment: &Segment) -> Result<(), Error> {
    segment.release_name();
    Ok(())
}

fn change_words(segment: &Segment) -> Result<(), Error> {
    segment.fetch_add_u32(8, 1)?;
    segment.swap_u64(16, 1)?;
    segment.notify_u32(8)
}

fn wait(segment: &Segment) -> Result<(), Error> {
    let word = segment.load_u32(8)?;
    segment.wait_u32(8, word, Duration::from_millis(1), || true).map(|_| ())
}

fn toggle_lifetime(segment: &Segment) -> Result<(), Error> {
    segment.set_lifetime(Lifetime::Persistent)?;
    segment.set_lifetime(Lifetime::Owner)
}

/// The process that is killed.
struct Victim {
    name: String,
    side: Side,
    held: Option<Segment>,
    bytes: Vec<u8>,
}

impl Victim {
    /// Drops the segment that is held, and holds the one that `make` makes.
    fn hold_new(&mut self, make: fn(&str) -> Option<Segment>) {
        self.held = None;
        self.held = make(&self.name);
    }

    /// Calls `call` with the segment that is held, or else with a new one.
    fn with_held(&mut self, call: impl Fn(&Segment, &mut [u8]) -> Result<(), Error>) {
        if self.held.is_none() {
            self.hold_new(if self.side == Side::Owner { create } else { open });
        }
        if let Some(segment) = &self.held {
            documented(call(segment, &mut self.bytes));
        }
    }

    fn wire_write(&mut self, format: &str) {
        let format = crate::common::wire::format_of(format).unwrap();
        self.with_held(|segment, bytes| format.write(segment, bytes));
    }

    fn wire_read(&mut self, format: &str) {
        let format = crate::common::wire::format_of(format).unwrap();
        self.with_held(|segment, bytes| format.read(segment, bytes));
    }

    /// Does as `with_held`, and drops the segment.
    fn once(&mut self, call: fn(&Segment, &mut [u8]) -> Result<(), Error>) {
        self.with_held(call);
        self.held = None;
    }
}

/// Not a test: the process that is killed.
#[test]
fn victim() {
    let Ok(role) = env::var("SHM_SEGMENT_VICTIM") else { return };
    let mut words = role.split(' ');
    let side = if words.next() == Some("Owner") { Side::Owner } else { Side::Opener };
    let (operation, name) = (words.next().unwrap(), words.next().unwrap().to_owned());
    let (_, run) = OPERATIONS.iter().find(|(label, _)| *label == operation).unwrap();
    let mut it = Victim { name, side, held: None, bytes: vec![7; SIZE as usize] };
    it.with_held(|_, _| Ok(()));
    assert!(it.held.is_some());
    println!("ready");
    loop {
        run(&mut it);
    }
}

/// Started with a `/dev/shm` of its own if that is possible: there, pages can be counted exactly.
#[test]
fn a_kill_at_any_moment_hangs_and_leaks_nothing() {
    let mut command = this_program("killed::survivor");
    command.env("SHM_SEGMENT_SURVIVOR", crate::common::private_shm::device().to_string());
    crate::common::must_run(crate::common::private_shm::private_shm(&mut command), " killed in ");
}

/// Not a test: the process that survives.
#[test]
fn survivor() {
    let Some(outside) = variable("SHM_SEGMENT_SURVIVOR") else { return };
    let is_private = crate::common::private_shm::is_private(outside);
    if !is_private {
        println!("a private /dev/shm is not possible here: its pages are not counted");
    }
    let (seed, rounds) = (seed(), rounds(50));
    thread::spawn(watch);

    let mut survivor =
        Survivor { name: format!("{BEGINNING}-{}", process::id()), random: Random::with_seed(seed) };
    // Some resources are set up once and kept.
    survivor.round(Side::Owner, "read");
    let before = Resources::now(is_private);
    for side in [Side::Owner, Side::Opener] {
        for (operation, _) in OPERATIONS {
            let (start, mut left, mut locked, mut slowest) = (Instant::now(), 0, 0, Duration::ZERO);
            for round in 0..rounds {
                *WATCHED.lock().unwrap() = Some((
                    Instant::now() + LIMIT,
                    format!("{side:?}, {operation}, round {round}, seed {seed}"),
                ));
                let outcome = survivor.round(side, operation);
                left += u64::from(outcome.name_was_left);
                locked += u64::from(outcome.lock_was_left);
                slowest = slowest.max(outcome.next);
                before.assert_back(is_private, &format!("{side:?}, {operation}, round {round}"));
            }
            let took = start.elapsed().as_secs_f32();
            println!(
                "{side:?} killed in {operation}: {rounds} rounds in {took:.1} s, {left} left the name, {locked} a \
                 lock; the next create took at most {slowest:.1?}"
            );
        }
    }
}

/// The time at which the current round must be over, and its description.
static WATCHED: Mutex<Option<(Instant, String)>> = Mutex::new(None);

/// Ends the process if a round hangs. The victim ends with it.
fn watch() {
    loop {
        thread::sleep(Duration::from_millis(100));
        if let Some((end, round)) = &*WATCHED.lock().unwrap()
            && Instant::now() > *end
        {
            eprintln!("hangs: {round}");
            process::abort();
        }
    }
}

/// The resources that a leak would use up.
#[derive(Debug, PartialEq)]
struct Resources {
    names: Vec<PathBuf>,
    descriptors: usize,
    mappings: usize,
    /// The free pages and files of `/dev/shm`, if no other program uses it.
    free: Option<(u64, u64)>,
}

impl Resources {
    fn now(is_private: bool) -> Self {
        let is_ours = |path: &Path| is_private || path.to_string_lossy().contains(BEGINNING);
        let names = fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().path());
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let shm = rustix::fs::statvfs("/dev/shm").unwrap();
        Self {
            names: names.filter(|path| is_ours(path)).collect(),
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
            mappings: maps.lines().filter(|line| line.contains("/dev/shm/")).count(),
            free: is_private.then_some((shm.f_bfree, shm.f_ffree)),
        }
    }

    fn assert_back(&self, is_private: bool, when: &str) {
        assert_eq!(Self::now(is_private), *self, "{when}");
    }
}

/// The things that a victim has left, and the time that the next creator of the name took.
struct Outcome {
    name_was_left: bool,
    lock_was_left: bool,
    next: Duration,
}

struct Survivor {
    name: String,
    random: Random,
}

impl Drop for Survivor {
    fn drop(&mut self) {
        if let (true, Some((_, round))) = (thread::panicking(), &*WATCHED.lock().unwrap()) {
            eprintln!("failed: {round}");
        }
        // Left by a round that failed.
        let _ = Options::new(&self.name).remove();
    }
}

impl Survivor {
    /// Starts a victim that does `operation`, and kills it.
    fn round(&mut self, side: Side, operation: &str) -> Outcome {
        let format = crate::common::wire::format_of(operation);
        let mut ours = if side == Side::Opener { create(&self.name) } else { None };
        let mut victim = start(side, operation, &self.name);
        let end = Instant::now() + Duration::from_micros(self.random.below(2000));
        let theirs = open(&self.name);
        loop {
            self.use_memory(side, theirs.as_ref(), &mut ours, format);
            if Instant::now() >= end {
                break;
            }
        }
        victim.kill().unwrap();
        let status = victim.wait().unwrap();
        assert_eq!(
            status.signal(),
            Some(libc::SIGKILL),
            "it should have been killed, not have ended: {status}"
        );

        let mut lock_was_left = false;
        for (format, segment) in format.into_iter().zip(theirs.as_ref().or(ours.as_ref())) {
            lock_was_left |= format.recover(segment, &vec![5; SIZE as usize]);
        }
        // An open segment stays usable for its own users.
        for segment in theirs.iter().chain(&ours) {
            assert_bytes_come_back(segment);
        }
        drop(ours);
        let left = Options::new(&self.name).exists();
        let start = Instant::now();
        let next = self.next(side == Side::Owner && operation == SET_LIFETIME);
        let took = start.elapsed();
        let mut all = vec![1; SIZE as usize];
        next.read(0, &mut all).unwrap();
        assert!(all.iter().all(|byte| *byte == 0), "new memory is zero");
        drop((next, theirs));
        assert!(!Options::new(&self.name).exists());
        Outcome { name_was_left: left, lock_was_left, next: took }
    }

    /// Does something at random to the name and the memory, while the victim is at work.
    fn use_memory(
        &mut self,
        side: Side,
        theirs: Option<&Segment>,
        ours: &mut Option<Segment>,
        format: Option<&crate::common::wire::Format>,
    ) {
        if side == Side::Opener && !ours.as_ref().is_some_and(|ours| ours.name().is_current()) {
            // The victim has removed its name.
            *ours = create(&self.name);
        }
        let mut bytes = [0; 64];
        match self.random.below(if format.is_some() { 8 } else { 6 }) {
            0 => {
                for segment in theirs.into_iter().chain(&*ours) {
                    let at = self.random.below(SIZE - 64);
                    segment.read(at, &mut bytes).unwrap();
                    segment.write(at, &bytes).unwrap();
                }
            }
            1 => drop(create(&self.name)),
            2 => drop(open_or_create(&self.name)),
            3 => {
                if let Some(segment) = open(&self.name) {
                    segment.fill(0, SIZE, 9).unwrap();
                }
            }
            4 => drop(shm_segment::list_names()),
            6.. => {
                let bytes = vec![3; SIZE as usize];
                for (format, segment) in format.into_iter().zip(theirs.or(ours.as_ref())) {
                    format.write(segment, &bytes).unwrap();
                    format.read(segment, &bytes).unwrap();
                }
            }
            _ => drop(theirs.map(|segment| segment.name().is_current())),
        }
    }

    /// Creates the segment, as the next run would.
    fn next(&mut self, may_be_persistent: bool) -> Segment {
        let make = |name: &str| Options::new(name).create(SIZE);
        let made = if self.random.below(2) == 0 {
            Options::new(&self.name)
                .open_or_create(SIZE)
                .and_then(|made| if made.is_created() { Ok(made) } else { make(&self.name) })
        } else {
            make(&self.name)
        };
        match made {
            Err(Error::AlreadyExists { .. }) if may_be_persistent => {
                let maker = Options::new(&self.name).info().unwrap().maker;
                assert_ne!(maker, Maker::Ours(Lifetime::Owner), "a dead owner's name is free");
                Options::new(&self.name).remove().unwrap();
                make(&self.name).unwrap()
            }
            other => other.unwrap(),
        }
    }
}

fn assert_bytes_come_back(segment: &Segment) {
    let (from, mut back) = (vec![3; SIZE as usize], vec![0; SIZE as usize]);
    segment.write(0, &from).unwrap();
    segment.read(0, &mut back).unwrap();
    assert!(from == back);
}

/// Starts a victim, and waits until it has begun.
fn start(side: Side, operation: &str, name: &str) -> Child {
    let mut command = this_program("killed::victim");
    start_and_wait(command.env("SHM_SEGMENT_VICTIM", format!("{side:?} {operation} {name}")))
}
