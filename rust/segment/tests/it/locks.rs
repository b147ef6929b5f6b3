//! Locks under a name: one holder at a time, whoever makes, leaves or removes the memory.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Name, SetAtEnd};
use shm_segment::layout::native::{LOCKS, Lock};
use shm_segment::layout::{Error, Result};
use shm_segment::{Lifetime, Options, Scope};

const NOW: Duration = Duration::ZERO;
/// Ends only a test that hangs.
const LONG: Duration = Duration::from_secs(20);

fn open(name: &str) -> Lock {
    Lock::open(name, 0, Scope::Local).unwrap()
}

fn assert_locked(result: Result<()>) {
    assert!(matches!(result, Err(Error::Locked)), "{result:?}");
}

#[test]
fn a_lock_has_one_holder_among_objects() {
    let name = Name::new();
    let (ours, theirs) = (open(&name), open(&name));
    assert!(!ours.is_locked().unwrap() && !theirs.is_locked().unwrap());
    ours.lock(NOW).unwrap();
    assert!(ours.is_locked().unwrap() && theirs.is_locked().unwrap());
    assert_locked(theirs.lock(NOW));
    let start = Instant::now();
    let waited = theirs.lock(Duration::from_millis(30));
    assert!(matches!(waited, Err(Error::WaitTimedOut { .. })), "{waited:?}");
    assert!(start.elapsed() >= Duration::from_millis(30));
    ours.unlock().unwrap();
    theirs.lock(NOW).unwrap();
    assert_locked(ours.lock(NOW));
    assert!(!ours.was_abandoned() && !theirs.was_abandoned());
}

#[test]
fn a_wait_ends_once_the_caller_does_not_want_it() {
    let name = Name::new();
    let (ours, theirs) = (open(&name), open(&name));
    ours.lock(NOW).unwrap();
    let start = Instant::now();
    assert!(matches!(theirs.lock_while(LONG, || false), Err(Error::Stopped)));
    assert!(start.elapsed() < Duration::from_secs(1));
    ours.unlock().unwrap();
    theirs.lock_while(NOW, || false).unwrap();
}

#[test]
fn an_object_locks_once_and_unlocks_once() {
    let name = Name::new();
    let (ours, theirs) = (open(&name), open(&name));
    assert!(matches!(ours.unlock(), Err(Error::LockNotHeld)));
    ours.lock(NOW).unwrap();
    let start = Instant::now();
    assert!(matches!(ours.lock(LONG), Err(Error::LockHeld)));
    assert!(start.elapsed() < LONG / 2, "it doesn't wait for itself");
    assert!(matches!(theirs.unlock(), Err(Error::LockNotHeld)), "the lock is another object's");
    ours.unlock().unwrap();
    assert!(matches!(ours.unlock(), Err(Error::LockNotHeld)));
    ours.close();
    assert!(matches!(ours.lock(NOW), Err(Error::Stopped)));
    assert!(matches!(ours.unlock(), Err(Error::LockNotHeld)));
    theirs.lock(NOW).unwrap();
}

#[test]
fn each_number_is_a_lock_of_its_own() {
    let name = Name::new();
    let locks: Vec<(Lock, Lock)> = (0..LOCKS)
        .map(|index| [0; 2].map(|_| Lock::open(&name, index, Scope::Local).unwrap()).into())
        .collect();
    for (ours, _) in locks.iter().step_by(2) {
        ours.lock(NOW).unwrap();
    }
    for (index, (_, theirs)) in locks.iter().enumerate() {
        assert_eq!(theirs.lock(NOW).is_ok(), index % 2 == 1, "{index}");
    }
    for index in [LOCKS, u8::MAX] {
        let refused = Lock::open(&name, index, Scope::Local);
        assert!(matches!(refused, Err(Error::InvalidCount { .. })), "{refused:?}");
    }
}

#[test]
fn closing_and_dropping_release_the_lock() {
    let name = Name::new();
    let theirs = open(&name);
    for drop_it in [false, true] {
        let ours = open(&name);
        ours.lock(NOW).unwrap();
        assert_locked(theirs.lock(NOW));
        if drop_it {
            drop(ours)
        } else {
            ours.close()
        }
        theirs.lock(NOW).unwrap();
        assert!(!theirs.was_abandoned(), "the holder has ended in an orderly way");
        theirs.unlock().unwrap();
    }
}

#[test]
fn a_waiting_thread_gets_the_lock_when_it_is_released() {
    let name = Name::new();
    let (ours, theirs) = (open(&name), open(&name));
    for _ in 0..20 {
        ours.lock(NOW).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| theirs.lock(LONG));
            thread::sleep(Duration::from_millis(2));
            ours.unlock().unwrap();
            waiting.join().unwrap().unwrap();
        });
        theirs.unlock().unwrap();
    }
}

#[test]
fn close_ends_the_wait_of_another_thread() {
    let name = Name::new();
    let holder = open(&name);
    holder.lock(NOW).unwrap();
    for delay in [0, 5, 60] {
        let ours = open(&name);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| ours.lock(LONG));
            thread::sleep(Duration::from_millis(delay));
            ours.close();
            let start = Instant::now();
            let ended = waiting.join().unwrap();
            assert!(matches!(ended, Err(Error::Stopped)), "{ended:?}");
            println!("the wait ended {:.1?} after close()", start.elapsed());
            assert!(start.elapsed() < Duration::from_secs(1));
        });
    }
    // The closed objects have not taken it.
    holder.unlock().unwrap();
    holder.lock(NOW).unwrap();
}

/// A number that nothing but the lock guards.
struct Plain(UnsafeCell<u64>);

// SAFETY: only the holder of the lock uses it, if the lock works. That is the test.
unsafe impl Sync for Plain {}

impl Plain {
    fn count(&self) {
        // SAFETY: the holder of the lock is alone.
        unsafe {
            let number = self.0.get().read_volatile();
            std::hint::spin_loop();
            self.0.get().write_volatile(number + 1);
        }
    }
}

#[test]
fn threads_with_an_object_each_lose_no_count() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 2000;
    let name = Name::new();
    let number = Plain(UnsafeCell::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let lock = open(&name);
                for _ in 0..ROUNDS {
                    lock.lock(LONG).unwrap();
                    number.count();
                    lock.unlock().unwrap();
                }
            });
        }
    });
    assert_eq!(number.0.into_inner(), THREADS * ROUNDS);
}

/// Each thread may be the one that makes the memory, or the one that removes its name.
#[test]
fn threads_that_open_and_close_all_the_time_lose_no_count() {
    const THREADS: u64 = 4;
    let name = Name::new();
    let number = Plain(UnsafeCell::new(0));
    let counted = AtomicU32::new(0);
    let end = Instant::now() + Duration::from_millis(500);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while Instant::now() < end {
                    let lock = match Lock::open(&name, 0, Scope::Local) {
                        Ok(lock) => lock,
                        // Others were faster, each time.
                        Err(Error::Segment(
                            shm_segment::Error::AlreadyExists { .. } | shm_segment::Error::RoleBlocked { .. },
                        )) => continue,
                        Err(error) => panic!("{error}"),
                    };
                    lock.lock(LONG).unwrap();
                    number.count();
                    counted.fetch_add(1, Ordering::Relaxed);
                    assert!(!lock.was_abandoned());
                    // Half of them leave it to close().
                    if counted.load(Ordering::Relaxed).is_multiple_of(2) {
                        lock.unlock().unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(number.0.into_inner(), u64::from(counted.into_inner()));
    if cfg!(not(target_os = "macos")) {
        assert!(!name.exists(), "the last one has removed it");
    }
}

#[test]
fn memory_with_other_contents_is_refused_and_left_alone() {
    let [small, large, stream] = [Name::new(), Name::new(), Name::new()];
    let can_persist = shm_segment::Backend::Native.can_persist();
    let lifetime = if can_persist { Lifetime::Persistent } else { Lifetime::Owner };
    let make = |name, size| Options::new(name).lifetime(lifetime).create(size).unwrap();
    let _small = make(&small, 100);
    let refused = Lock::open(&small, 0, Scope::Local);
    if cfg!(target_os = "linux") {
        let is_small = matches!(refused, Err(Error::Segment(shm_segment::Error::TooSmall { .. })));
        assert!(is_small, "{refused:?}");
    }
    let contents = make(&large, 20_000);
    contents.write(300, b"other contents").unwrap();
    let refused = Lock::open(&large, 0, Scope::Local);
    assert!(matches!(refused, Err(Error::OtherMemory { .. })), "{refused:?}");
    let segment = make(&stream, 20_000);
    shm_segment::layout::native::Stream::attach(&segment, 0, 2).unwrap();
    let refused = Lock::open(&stream, 0, Scope::Local);
    assert!(matches!(refused, Err(Error::OtherMemory { .. })), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("locks"));
    for name in [&small, &large, &stream] {
        assert!(name.exists());
    }
    let mut bytes = [0; 14];
    contents.read(300, &mut bytes).unwrap();
    assert_eq!(&bytes, b"other contents");
}

#[test]
fn a_wrong_name_is_refused() {
    for name in ["", "a/b", "..", "a\0b"] {
        let refused = Lock::open(name, 0, Scope::Local);
        assert!(
            matches!(refused, Err(Error::Segment(shm_segment::Error::InvalidName { .. }))),
            "{refused:?}"
        );
    }
}

#[test]
fn a_lock_for_every_user_is_refused_where_users_do_not_see_each_others_locks() {
    let name = Name::new();
    let opened = Lock::open(&name, 0, Scope::Global);
    if cfg!(target_os = "linux") {
        assert_eq!(Options::new(&name).info().unwrap().scope, Scope::Global);
        drop(opened.unwrap());
    } else {
        let is_refused = matches!(opened, Err(Error::Segment(shm_segment::Error::Unsupported { .. })));
        assert!(is_refused, "{opened:?}");
    }
    assert!(!name.exists());
}

#[test]
fn calls_of_all_kinds_at_once_end() {
    let name = Name::new();
    let is_over = AtomicBool::new(false);
    let locks: Vec<Lock> = (0..3).map(|_| open(&name)).collect();
    thread::scope(|scope| {
        let guard = SetAtEnd(&is_over);
        let threads: Vec<_> = (0..6)
            .map(|number| {
                let (lock, is_over) = (&locks[number % 3], &is_over);
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        let _ = lock.lock(Duration::from_millis(number as u64));
                        let _ = lock.is_locked();
                        let _ = lock.was_abandoned();
                        let _ = lock.unlock();
                    }
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(200));
        locks[0].close();
        drop(guard);
        for thread in threads {
            thread.join().unwrap();
        }
    });
    drop(locks);
    let last = open(&name);
    last.lock(NOW).unwrap();
    assert!(!last.was_abandoned());
}
