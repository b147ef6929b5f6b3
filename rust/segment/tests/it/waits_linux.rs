//! Waits on Linux: their cost, partners in C, and peers that die, truncate, or send signals.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Name, SetAtEnd, layouts};
use shm_segment::{Access, Error, Options, Segment, Waited};

const SIZE: u64 = 8192;
const LONG: Duration = Duration::from_secs(20);
/// As in `waits.rs`.
const SOON: Duration = Duration::from_millis(500);
/// As in `partner/futex.c`.
const QUESTION: u64 = 0;
const ANSWER: u64 = 128;

fn create(name: &str) -> Segment {
    Options::new(name).create(SIZE).unwrap()
}

fn wait(segment: &Segment, offset: u64, expected: u32, timeout: Duration) -> Waited {
    segment.wait_u32(offset, expected, timeout, || true).unwrap()
}

fn store(segment: &Segment, offset: u64, value: u32) {
    segment.store_u32(offset, value).unwrap();
    segment.notify_u32(offset).unwrap();
}

/// Starts `partner/futex.c`.
fn partner(arguments: &[&str]) -> Child {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| layouts::compiled("futex.c"));
    Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().unwrap()
}

fn told(partner: Child) -> String {
    let ended = partner.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", ended.status);
    String::from_utf8(ended.stdout).unwrap().trim_end().to_owned()
}

/// Waits until a process sleeps in futex(2), or has ended.
fn until_asleep(process: &Child) {
    let end = Instant::now() + LONG;
    let path = format!("/proc/{}/wchan", process.id());
    while !std::fs::read_to_string(&path).is_ok_and(|call| call.contains("futex")) {
        if Instant::now() > end {
            panic!("the partner doesn't wait");
        }
        // Where the system doesn't tell, a pause must do.
        thread::sleep(Duration::from_millis(20));
        if std::fs::read_to_string(&path).is_ok_and(|call| call == "0") {
            thread::sleep(Duration::from_millis(200));
            return;
        }
    }
}

fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills `time`.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) }, 0);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
}

#[test]
fn waiting_costs_no_processor_time() {
    let name = Name::new();
    let segment = create(&name);
    let reader = Options::new(&name).open(0, Access::ReadOnly).unwrap();
    for (side, waiter) in [("owner", &segment), ("reader", &reader)] {
        let before = processor_time();
        assert_eq!(wait(waiter, 8, 0, Duration::from_secs(1)), Waited::TimedOut);
        let cost = processor_time() - before;
        println!("{side}: {cost:?} of processor time in a wait of 1 s");
        assert!(cost < Duration::from_millis(30), "{side}: {cost:?}");
    }
}

#[test]
fn c_answers_our_questions() {
    const ROUNDS: u32 = 2000;
    let name = Name::new();
    let segment = create(&name);
    let c = partner(&["answer", &name, &ROUNDS.to_string()]);
    let start = Instant::now();
    for round in 1..=ROUNDS {
        store(&segment, QUESTION, round);
        assert_eq!(wait(&segment, ANSWER, round - 1, LONG), Waited::Changed, "{round}");
        assert_eq!(segment.load_u32(ANSWER).unwrap(), round);
    }
    // C doesn't look without a wake: each one that is missing takes it 10 s.
    assert!(start.elapsed() < Duration::from_millis(5) * ROUNDS, "{:?}", start.elapsed());
    told(c);
}

#[test]
fn c_asks_and_we_answer() {
    const ROUNDS: u32 = 500;
    let name = Name::new();
    let segment = create(&name);
    let c = partner(&["ask", &name, &ROUNDS.to_string(), "100"]);
    for round in 1..=ROUNDS {
        assert_eq!(wait(&segment, QUESTION, round - 1, LONG), Waited::Changed, "{round}");
        store(&segment, ANSWER, round);
    }
    assert_eq!(told(c).lines().count(), ROUNDS as usize);
}

#[test]
fn a_notify_wakes_every_process() {
    let name = Name::new();
    let segment = create(&name);
    let waiting = [(); 3].map(|()| partner(&["wait", &name, "64", "0", "20000"]));
    waiting.iter().for_each(until_asleep);
    store(&segment, 64, 1);
    let start = Instant::now();
    for one in waiting {
        assert_eq!(told(one), "changed");
    }
    // C looks only when it is woken.
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(told(partner(&["wait", &name, "64", "1", "30"])), "timed out");
}

#[test]
fn c_wakes_our_waiter() {
    let name = Name::new();
    let segment = create(&name);
    // A thread sleeps in slices, so at some moments it doesn't.
    let woken: u32 = (0..10)
        .map(|round| {
            thread::scope(|scope| {
                let waiter = scope.spawn(|| wait(&segment, 64, round, LONG));
                thread::sleep(Duration::from_millis(50));
                let woken: u32 =
                    told(partner(&["notify", &name, "64", &(round + 1).to_string()])).parse().unwrap();
                assert_eq!(waiter.join().unwrap(), Waited::Changed);
                woken
            })
        })
        .sum();
    assert!(woken > 0, "the kernel knew of no sleeper in ten tries");
}

/// A partner that is killed neither hangs its waiter nor leaves anything that a later wait meets.
#[test]
fn a_wait_ends_in_its_time_if_the_partner_is_killed() {
    let name = Name::new();
    let segment = create(&name);
    let mut c = partner(&["answer", &name, "100"]);
    store(&segment, QUESTION, 1);
    assert_eq!(wait(&segment, ANSWER, 0, LONG), Waited::Changed);
    c.kill().unwrap();
    c.wait().unwrap();
    store(&segment, QUESTION, 2);
    let (start, timeout) = (Instant::now(), Duration::from_millis(100));
    assert_eq!(wait(&segment, ANSWER, 1, timeout), Waited::TimedOut);
    assert!((timeout..timeout + SOON).contains(&start.elapsed()));

    // A partner that was killed in its wait is not counted as a waiter.
    let mut c = partner(&["wait", &name, "64", "0", "20000"]);
    until_asleep(&c);
    c.kill().unwrap();
    c.wait().unwrap();
    assert_eq!(told(partner(&["notify", &name, "64", "0"])), "0");
    assert_eq!(wait(&segment, 64, 0, Duration::from_millis(1)), Waited::TimedOut);
}

#[test]
fn nonsense_in_the_word_ends_a_wait_or_leaves_it_its_time() {
    let name = Name::new();
    let segment = create(&name);
    let theirs = Options::new(&name).open(0, Access::ReadWrite).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let guard = SetAtEnd(&is_over);
        scope.spawn(|| {
            let mut value = 1_u32;
            while !is_over.load(Ordering::Relaxed) {
                value = value.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
                // Mostly the expected value: the waiter is awake all the time, and sees no change.
                theirs.store_u32(64, if value < 1000 { value } else { 0 }).unwrap();
                theirs.notify_u32(64).unwrap();
            }
        });
        for _ in 0..20 {
            let start = Instant::now();
            wait(&segment, 64, 0, Duration::from_millis(30));
            assert!(start.elapsed() < SOON);
        }
        drop(guard);
    });
}

#[test]
fn a_truncation_ends_a_wait_with_an_error() {
    for (left, offset) in [(0, 8), (4096, 4096), (4096, SIZE - 4)] {
        let name = Name::new();
        let segment = create(&name);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| segment.wait_u32(offset, 0, LONG, || true));
            thread::sleep(Duration::from_millis(50));
            assert!(!waiter.is_finished());
            let start = Instant::now();
            File::options().write(true).open(name.path()).unwrap().set_len(left).unwrap();
            let waited = waiter.join().unwrap();
            assert!(matches!(waited, Err(Error::Truncated { .. })), "{left}, {offset}: {waited:?}");
            assert!(start.elapsed() < SOON);
        });
        let calls = [
            segment.wait_u32(offset, 0, LONG, || true).map(|_| ()),
            segment.notify_u32(offset),
            segment.load_u64(offset & !7).map(|_| ()),
            segment.store_u64(offset & !7, 1),
            segment.swap_u32(offset, 1).map(|_| ()),
            segment.fetch_add_u64(offset & !7, 1).map(|_| ()),
            segment.compare_exchange_u64(offset & !7, 0, 1).map(|_| ()),
        ];
        for call in calls {
            assert!(matches!(call, Err(Error::Truncated { .. })), "{left}, {offset}: {call:?}");
        }
    }
}

/// The first access after a truncation meets the missing page itself. No call has looked at the size before.
#[test]
fn each_access_survives_a_page_that_has_just_gone() {
    type Access = fn(&Segment) -> Result<(), Error>;
    let accesses: [Access; 9] = [
        |segment| segment.load_u32(4096).map(|_| ()),
        |segment| segment.load_u64(4096).map(|_| ()),
        |segment| segment.store_u64(4096, 1),
        |segment| segment.swap_u32(4096, 1).map(|_| ()),
        |segment| segment.swap_u64(4096, 1).map(|_| ()),
        |segment| segment.fetch_add_u64(4096, 1).map(|_| ()),
        |segment| segment.compare_exchange_u64(4096, 0, 1).map(|_| ()),
        |segment| segment.wait_u32(4096, 0, LONG, || true).map(|_| ()),
        |segment| segment.notify_u32(4096),
    ];
    for (index, access) in accesses.iter().enumerate() {
        let name = Name::new();
        let segment = create(&name);
        // The size is looked at once per tick of a few milliseconds, so the next access doesn't.
        segment.load_u32(0).unwrap();
        File::options().write(true).open(name.path()).unwrap().set_len(4096).unwrap();
        let result = access(&segment);
        assert!(matches!(result, Err(Error::Truncated { .. })), "{index}: {result:?}");
    }
}

#[test]
fn signals_neither_end_nor_prolong_a_wait() {
    extern "C" fn ignore(_: libc::c_int) {}
    let name = Name::new();
    let segment = create(&name);
    // SAFETY: the handler does nothing. No flag: a call that it interrupts is not begun again.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as *const () as libc::sighandler_t;
        assert_eq!(libc::sigaction(libc::SIGURG, &raw const action, std::ptr::null_mut()), 0);
    }
    let timeout = Duration::from_millis(300);
    let is_over = &AtomicBool::new(false);
    thread::scope(|scope| {
        let guard = SetAtEnd(is_over);
        // SAFETY: the call has no preconditions.
        let this_thread = unsafe { libc::pthread_self() } as usize;
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                // SAFETY: that thread waits for this one, so it lives.
                unsafe { libc::pthread_kill(this_thread as libc::pthread_t, libc::SIGURG) };
                thread::sleep(Duration::from_millis(1));
            }
        });
        let start = Instant::now();
        let waited = wait(&segment, 8, 0, timeout);
        let took = start.elapsed();
        drop(guard);
        assert_eq!(waited, Waited::TimedOut);
        assert!((timeout..timeout + SOON).contains(&took), "{took:?}");
    });
}
