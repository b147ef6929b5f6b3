//! Waiting for a word, and waking the threads that wait: the rules on every system.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Name, SetAtEnd};
use shm_segment::{Access, Error, Options, Segment, Waited};

const SIZE: u64 = 64;
/// A wait that ends by itself does so long before.
const LONG: Duration = Duration::from_secs(20);
/// The longest time until a change without a wake is noticed, on a busy machine.
const SOON: Duration = Duration::from_millis(500);

fn create(name: &str) -> Segment {
    Options::new(name).create(SIZE).unwrap()
}

fn wait(segment: &Segment, offset: u64, expected: u32, timeout: Duration) -> Waited {
    segment.wait_u32(offset, expected, timeout, || true).unwrap()
}

#[test]
fn a_wait_ends_at_once_if_the_word_is_another() {
    let name = Name::new();
    let segment = create(&name);
    segment.store_u32(8, 7).unwrap();
    let start = Instant::now();
    for timeout in [Duration::ZERO, LONG, Duration::MAX] {
        assert_eq!(wait(&segment, 8, 6, timeout), Waited::Changed);
    }
    assert_eq!(wait(&segment, 8, 7, Duration::ZERO), Waited::TimedOut);
    assert!(start.elapsed() < SOON);
}

#[test]
fn a_wait_lasts_as_long_as_its_timeout() {
    let name = Name::new();
    let segment = create(&name);
    let reader = Options::new(&name).open(0, Access::ReadOnly).unwrap();
    for milliseconds in [1, 5, 30, 150] {
        let timeout = Duration::from_millis(milliseconds);
        for waiter in [&segment, &reader] {
            let start = Instant::now();
            assert_eq!(wait(waiter, 8, 0, timeout), Waited::TimedOut);
            let took = start.elapsed();
            assert!((timeout..timeout + SOON).contains(&took), "{timeout:?} took {took:?}");
        }
    }
}

#[test]
fn a_change_ends_a_wait_of_any_length() {
    let name = Name::new();
    let segment = create(&name);
    let reader = Options::new(&name).open(0, Access::ReadOnly).unwrap();
    for (round, is_notified) in (0..).zip([false, true, false, true]) {
        thread::scope(|scope| {
            let waits =
                [&segment, &reader].map(|waiter| scope.spawn(move || wait(waiter, 8, round, Duration::MAX)));
            thread::sleep(Duration::from_millis(50));
            let start = Instant::now();
            segment.store_u32(8, round + 1).unwrap();
            if is_notified {
                segment.notify_u32(8).unwrap();
            }
            for wait in waits {
                assert_eq!(wait.join().unwrap(), Waited::Changed);
            }
            assert!(start.elapsed() < SOON);
        });
    }
}

/// After 50 ms, a waiter that isn't woken looks about 17 ms later.
#[test]
#[cfg(target_os = "linux")]
fn a_notify_wakes_at_once() {
    let name = Name::new();
    let segment = create(&name);
    let reader = Options::new(&name).open(0, Access::ReadOnly).unwrap();
    for waiter in [&segment, &reader] {
        segment.store_u32(8, 0).unwrap();
        let mut delays: Vec<Duration> = (0..11)
            .map(|round| {
                thread::scope(|scope| {
                    let woken = scope.spawn(move || {
                        assert_eq!(wait(waiter, 8, round, LONG), Waited::Changed);
                        Instant::now()
                    });
                    thread::sleep(Duration::from_millis(50));
                    let start = Instant::now();
                    segment.store_u32(8, round + 1).unwrap();
                    segment.notify_u32(8).unwrap();
                    woken.join().unwrap() - start
                })
            })
            .collect();
        delays.sort();
        assert!(delays[5] < Duration::from_millis(4), "{delays:?}");
    }
}

#[test]
fn a_wake_without_a_change_does_not_end_a_wait() {
    let name = Name::new();
    let segment = create(&name);
    let timeout = Duration::from_millis(200);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let guard = SetAtEnd(&is_over);
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                segment.notify_u32(8).unwrap();
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

#[test]
fn a_wait_stops_soon_if_it_is_not_wanted() {
    let name = Name::new();
    let segment = create(&name);
    let is_wanted = AtomicBool::new(true);
    thread::scope(|scope| {
        let wait =
            scope.spawn(|| segment.wait_u32(8, 0, Duration::MAX, || is_wanted.load(Ordering::Relaxed)));
        thread::sleep(Duration::from_millis(50));
        assert!(!wait.is_finished());
        let start = Instant::now();
        is_wanted.store(false, Ordering::Relaxed);
        assert_eq!(wait.join().unwrap().unwrap(), Waited::Stopped);
        assert!(start.elapsed() < SOON);
    });
}

#[test]
fn a_word_outside_or_misaligned_is_refused() {
    let name = Name::new();
    let segment = create(&name);
    for offset in [1, 2, 59, 61, 64, u64::MAX - 3, u64::MAX] {
        for error in
            [segment.wait_u32(offset, 0, LONG, || true).unwrap_err(), segment.notify_u32(offset).unwrap_err()]
        {
            let is_inside = offset <= SIZE - 4;
            match error {
                Error::Misaligned { alignment: 4, .. } => assert!(is_inside, "{offset}"),
                Error::OutOfBounds { length: 4, .. } => assert!(!is_inside, "{offset}"),
                other => panic!("{offset}: {other}"),
            }
        }
    }
}
