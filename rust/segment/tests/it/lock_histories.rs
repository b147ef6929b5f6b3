//! Many processes with one lock, which are killed, stopped and started again. Plain numbers that the lock
//! guards are exact, and each death inside is told to the next holder, and no other.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use crate::common::random::{Random, rounds};
use crate::common::{Name, start_and_wait, this_program, wait_for_state};
use shm_segment::layout::Error;
use shm_segment::layout::native::Lock;
use shm_segment::{Access, Options, Scope, Segment};

const LONG: Duration = Duration::from_secs(30);
const SLOTS: u64 = 5;

/// Numbers in a segment of their own. Only the holder of the lock reads and writes them.
struct Numbers(Segment);

/// The sum of what all processes have counted.
const COUNTER: u64 = 0;
/// Not 0 while a process is inside.
const INSIDE: u64 = 8;
/// The times that a holder was told of a death, and those in which it also found [`INSIDE`] not 0.
const TOLD: u64 = 16;
const FOUND: u64 = 24;
/// The counts of each process.
const COUNTED: u64 = 64;

impl Numbers {
    fn open(name: &str) -> Self {
        Self(Options::new(name).open(0, Access::ReadWrite).unwrap())
    }

    fn get(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.read(at, &mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    }

    fn set(&self, at: u64, value: u64) {
        self.0.write(at, &value.to_le_bytes()).unwrap();
    }

    fn increment(&self, at: u64) {
        self.set(at, self.get(at) + 1);
    }

    fn sum(&self) -> u64 {
        (0..SLOTS).map(|slot| self.get(COUNTED + 8 * slot)).sum()
    }

    /// Checks what the holder before has left, and repairs it if the holder is told of a death.
    fn check(&self, was_told: bool) {
        let inside = self.get(INSIDE);
        assert!(inside == 0 || was_told, "the death of process {} inside was not told", inside - 1);
        if was_told {
            self.increment(TOLD);
        }
        if inside != 0 {
            self.increment(FOUND);
            self.set(COUNTER, self.sum());
        }
        assert_eq!(self.get(COUNTER), self.sum(), "two processes were inside");
    }

    fn count(&self, slot: u64, pause: impl FnOnce()) {
        self.set(INSIDE, slot + 1);
        self.increment(COUNTED + 8 * slot);
        pause();
        self.increment(COUNTER);
        self.set(INSIDE, 0);
    }
}

fn open(name: &str) -> Lock {
    let end = Instant::now() + LONG;
    loop {
        match Lock::open(name, 7, Scope::Local) {
            Ok(lock) => return lock,
            // A process that was stopped is about to remove the name, or to lay the memory out.
            Err(
                Error::NotLaidOutYet { .. }
                | Error::Segment(
                    shm_segment::Error::AlreadyExists { .. } | shm_segment::Error::RoleBlocked { .. },
                ),
            ) if Instant::now() < end => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Not a test: one of the processes.
#[test]
fn process() {
    let Ok(words) = env::var("SHM_SEGMENT_LOCKER") else { return };
    let words: Vec<&str> = words.split(' ').collect();
    let [name, numbers, slot, seed] = words[..] else { panic!("{words:?}") };
    let (numbers, slot) = (Numbers::open(numbers), slot.parse().unwrap());
    let mut random = Random::with_seed(seed.parse().unwrap());
    let mut lock = open(name);
    println!("ready");
    loop {
        if random.below(8) == 0 {
            // First the old one, so that the last process may remove the name.
            drop(lock);
            lock = open(name);
        }
        let timeout = [Duration::ZERO, Duration::from_millis(random.below(30)), LONG];
        match lock.lock(timeout[random.below(3) as usize]) {
            Ok(()) => {}
            Err(Error::Locked | Error::WaitTimedOut { .. }) => continue,
            Err(error) => panic!("{error}"),
        }
        numbers.check(lock.was_abandoned());
        numbers.count(slot, || match random.below(20) {
            0 => thread::sleep(Duration::from_micros(random.below(3000))),
            1..4 => thread::yield_now(),
            _ => {}
        });
        if random.below(10) > 0 {
            lock.unlock().unwrap();
        } else {
            lock.close();
            lock = open(name);
        }
    }
}

/// The processes of a history. They are killed at the latest when this is dropped.
struct Processes {
    name: Name,
    numbers: Name,
    running: Vec<Child>,
    random: Random,
}

impl Processes {
    fn start(&mut self, slot: u64) -> Child {
        let seed = self.random.below(u64::MAX);
        let words = format!("{} {} {slot} {seed}", &*self.name, &*self.numbers);
        let mut command = this_program("lock_histories::process");
        start_and_wait(command.env("SHM_SEGMENT_LOCKER", words).stdin(Stdio::null()))
    }

    fn signal(&self, index: usize, signal: i32) {
        // SAFETY: the call takes numbers; the process is a child that was not waited for.
        assert_eq!(unsafe { libc::kill(self.running[index].id().cast_signed(), signal) }, 0);
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.running.iter_mut().for_each(end);
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let status = child.wait().unwrap();
    let is_killed = status.signal() == Some(libc::SIGKILL);
    assert!(is_killed || thread::panicking(), "a process has ended by itself: {status}");
}

/// Lets processes run for some time, kills some of them if `does_kill`, and checks the numbers.
fn run(does_kill: bool) {
    let (name, numbers) = (Name::new(), Name::new());
    let all = Numbers(Options::new(&numbers).create(4096).unwrap());
    let mut processes = Processes { name, numbers, running: Vec::new(), random: Random::new() };
    for slot in 0..SLOTS {
        let child = processes.start(slot);
        processes.running.push(child);
    }
    let (start, mut killed) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(rounds(2)) {
        thread::sleep(Duration::from_micros(processes.random.below(15_000)));
        let index = processes.random.below(SLOTS) as usize;
        match processes.random.below(6) {
            0 | 1 if does_kill => {
                end(&mut processes.running[index]);
                killed += 1;
                processes.running[index] = processes.start(index as u64);
            }
            2 => {
                processes.signal(index, libc::SIGSTOP);
                thread::sleep(Duration::from_millis(processes.random.below(80)));
                processes.signal(index, libc::SIGCONT);
            }
            _ => {}
        }
    }
    // All at the same moment. Otherwise, those that are left would take the lock between two kills.
    for index in 0..processes.running.len() {
        processes.signal(index, libc::SIGSTOP);
        wait_for_state(processes.running[index].id(), "T");
    }
    for mut child in processes.running.drain(..) {
        end(&mut child);
        killed += 1;
    }
    let last = open(&processes.name);
    last.lock(LONG).unwrap();
    all.check(last.was_abandoned());
    last.unlock().unwrap();
    let (counted, told, found) = (all.get(COUNTER), all.get(TOLD), all.get(FOUND));
    println!("{counted} counts, {killed} kills, of which {told} were told and {found} inside");
    assert!(counted > 100 && found <= told && told <= killed);
    // The five kills at the end are one death inside, at most.
    assert!(does_kill || told <= 1, "a process that was stopped was taken for dead");
    drop(last);
    assert!(!processes.name.exists());
}

#[test]
fn numbers_are_exact_though_processes_are_killed() {
    run(true);
}

#[test]
fn a_stopped_process_is_never_taken_for_dead() {
    run(false);
}
