//! Histories: processes do random operations on a queue, a stream or a pair, while they are killed, stopped
//! and started again at random. Each logs its operations. In the end, a checker compares all logs with the
//! promises of `docs/FORMAT.md`.

mod check;
mod log;
mod pairs;
mod roles;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use shm_segment::layout::native::{Queue, Stream};
use shm_segment::{Options, Segment};

use self::check::Summary;
use self::log::{Event, Log};
use crate::common::random::{Random, rounds, seed};
use crate::common::{Name, this_program};

/// A few messages of a usual length fit, and one of the longest.
const RING: u64 = 4096;
const LANES: u32 = 3;
const LONGEST: u64 = 3000;
const PINS: u32 = 2;
const SIZE: u64 = 1 << 16;

/// The extension of a file in which a process says why it has failed.
const FAILED: &str = "failed";

const QUEUE: &[&str] = &["producer", "producer", "producer", "producer", "consumer", "consumer", "watcher"];
const STREAM: &[&str] = &["writer", "writer", "reader", "reader", "reader", "viewer"];

/// Not a test: one of the processes.
#[test]
fn process() {
    let Ok(words) = env::var("SHM_SEGMENT_HISTORY") else { return };
    let words: Vec<&str> = words.split(' ').collect();
    let [role, name, number, seed, path] = words[..] else { panic!("{words:?}") };
    let (number, seed) = (number.parse().unwrap(), seed.parse().unwrap());
    // A process that fails may be killed before it has ended.
    let failed = Path::new(path).with_extension(FAILED);
    std::panic::set_hook(Box::new(move |panic| {
        let _ = fs::write(&failed, panic.to_string());
        eprintln!("{panic}");
    }));
    if role == "side" {
        return pairs::run(name, number, Random::with_seed(seed), Path::new(path));
    }
    roles::run(role, name, number, Random::with_seed(seed), Log::create(Path::new(path)));
}

/// The processes of a history. They are killed at the latest when this is dropped.
struct Processes {
    name: Name,
    folder: PathBuf,
    running: Vec<Running>,
    started: usize,
    random: Random,
    /// The microseconds between two kills, stops or continuations, at most.
    pace: u64,
    kills: Vec<Kill>,
}

struct Running {
    role: &'static str,
    process: usize,
    child: Child,
}

/// The end of a process, which was between these times.
struct Kill {
    process: usize,
    before: u64,
    after: u64,
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.kill_all();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Processes {
    fn new(seed: u64) -> Self {
        let name = Name::new();
        let folder = env::temp_dir().join(format!("{}-history", &*name));
        fs::create_dir(&folder).unwrap();
        let (running, kills) = (Vec::new(), Vec::new());
        Self { name, folder, running, started: 0, random: Random::with_seed(seed), pace: 20_000, kills }
    }

    fn path(&self, process: usize) -> PathBuf {
        self.folder.join(process.to_string())
    }

    fn start(&mut self, role: &'static str) {
        let (process, seed) = (self.started, self.random.below(u64::MAX));
        let words = format!("{role} {} {process} {seed} {}", &*self.name, self.path(process).display());
        let mut command: Command = this_program("histories::process");
        command.env("SHM_SEGMENT_HISTORY", words).stdout(Stdio::null());
        self.running.push(Running { role, process, child: command.spawn().unwrap() });
        self.started += 1;
    }

    fn signal(&self, index: usize, signal: i32) {
        // SAFETY: the call takes numbers; the process is a child that was not waited for.
        assert_eq!(unsafe { libc::kill(self.running[index].child.id().cast_signed(), signal) }, 0);
    }

    fn kill(&mut self, index: usize) -> &'static str {
        let Running { role, process, mut child } = self.running.swap_remove(index);
        assert!(child.try_wait().unwrap().is_none(), "a {role} has ended by itself");
        let before = log::now();
        child.kill().unwrap();
        child.wait().unwrap();
        self.kills.push(Kill { process, before, after: log::now() });
        role
    }

    fn kill_all(&mut self) {
        for Running { role, process, mut child } in self.running.drain(..) {
            let has_ended = child.try_wait().unwrap().is_some();
            let before = log::now();
            let _ = child.kill();
            let _ = child.wait();
            self.kills.push(Kill { process, before, after: log::now() });
            assert!(!has_ended || thread::panicking(), "a {role} has ended by itself");
        }
    }

    /// Kills, stops and continues processes at random, for this time. Returns how many were killed.
    fn disturb(&mut self, time: Duration) -> usize {
        let (start, mut killed) = (Instant::now(), 0);
        while start.elapsed() < time {
            thread::sleep(Duration::from_micros(self.random.below(self.pace)));
            let index = self.random.below(self.running.len() as u64) as usize;
            match self.random.below(6) {
                0 | 1 => {
                    let role = self.kill(index);
                    self.start(role);
                    killed += 1;
                }
                2 => self.signal(index, libc::SIGSTOP),
                _ => self.signal(index, libc::SIGCONT),
            }
        }
        for index in 0..self.running.len() {
            self.signal(index, libc::SIGCONT);
        }
        killed
    }

    /// Returns the events of all processes.
    fn events(&self) -> Vec<Event> {
        self.assert_none_has_failed();
        (0..self.started).flat_map(|process| log::read(&self.path(process), process)).collect()
    }

    fn assert_none_has_failed(&self) {
        for entry in fs::read_dir(&self.folder).unwrap() {
            let path = entry.unwrap().path();
            assert!(path.extension().is_none(), "{}", fs::read_to_string(path).unwrap());
        }
    }

    /// Runs the processes, and returns how many were killed.
    fn run(&mut self, all: &[&'static str]) -> usize {
        for role in all {
            self.start(role);
        }
        // Seconds in each run of the tests, and minutes in `./build.sh soak`.
        let killed = self.disturb(Duration::from_secs(rounds(4).min(120)));
        self.kill_all();
        killed
    }
}

fn report(what: &str, summary: Summary, killed: usize) {
    println!("{what}: {summary:?}, {killed} processes killed");
    assert!(summary.received > 0 && killed > 0, "nothing has happened");
}

#[test]
fn messages_of_a_queue_keep_their_order_while_processes_are_killed() {
    let mut processes = Processes::new(seed());
    let segment = Options::new(&processes.name).create(SIZE).unwrap();
    Queue::attach(&segment, RING, LANES).unwrap();
    let killed = processes.run(QUEUE);
    drain(&segment, &mut processes);
    let summary = check::queue(&processes.events()).unwrap();
    report("queue", summary, killed);
}

/// Takes the rest out.
fn drain(segment: &Segment, processes: &mut Processes) {
    let log = Log::create(&processes.path(processes.started));
    processes.started += 1;
    let queue = Queue::attach(segment, 0, 1).unwrap();
    roles::drain(segment, &queue, log);
}

#[test]
fn a_stream_never_goes_back_while_processes_are_killed() {
    let mut processes = Processes::new(seed());
    let segment = Options::new(&processes.name).create(SIZE).unwrap();
    Stream::attach(&segment, LONGEST, PINS).unwrap();
    let killed = processes.run(STREAM);
    let summary = check::stream(&processes.events()).unwrap();
    report("stream", summary, killed);
}
