//! Concurrent calls on one segment, while other threads create and remove the same name.

use std::thread;

use crate::common::Name;
use shm_segment::{Access, Backend, Error, Lifetime, Options};

const THREADS: u8 = 8;
const SIZE: u64 = 4096 * THREADS as u64;

#[test]
fn each_thread_has_its_own_bytes_of_one_segment() {
    let name = Name::new();
    let segment = Options::new(&name).create(SIZE).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let segment = &segment;
            scope.spawn(move || {
                let start = u64::from(thread) * 4096;
                let mut back = [0; 4096];
                for round in 0..200u8 {
                    let value = thread.wrapping_mul(31) ^ round;
                    if round % 2 == 0 {
                        segment.write(start, &[value; 4096]).unwrap();
                    } else {
                        segment.fill(start, 4096, value).unwrap();
                    }
                    segment.read(start, &mut back).unwrap();
                    assert_eq!(back, [value; 4096]);
                }
            });
        }
    });
}

#[test]
fn all_calls_may_run_concurrently() {
    let name = Name::new();
    let segment = Options::new(&name).create(SIZE).unwrap();
    thread::scope(|scope| {
        for thread in 0..u32::from(THREADS) {
            let (segment, name) = (&segment, &*name);
            scope.spawn(move || {
                let mut bytes = [0; 100];
                for round in 0..400 {
                    match (thread + round) % 8 {
                        0 => segment.read(1000, &mut bytes).unwrap(),
                        1 => segment.write(1050, &bytes).unwrap(),
                        2 => segment.fill(0, SIZE, 1).unwrap(),
                        3 if Backend::Native.can_persist() => {
                            segment.set_lifetime(Lifetime::Persistent).unwrap();
                        }
                        3 | 4 => segment.set_lifetime(Lifetime::Owner).unwrap(),
                        5 => assert!(segment.current_size().unwrap() == SIZE && segment.name().is_current()),
                        6 => assert!(Options::new(name).open(0, Access::ReadWrite).is_ok()),
                        _ => {
                            let again = Options::new(name).create(1);
                            assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
                        }
                    }
                }
            });
        }
    });
    segment.set_lifetime(Lifetime::Owner).unwrap();
    drop(segment);
    assert!(!Options::new(&name).exists());
}

#[test]
fn a_contested_name_has_one_owner_at_a_time() {
    let name = Name::new();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let name = &*name;
            scope.spawn(move || {
                for _ in 0..200 {
                    match Options::new(name).create(8) {
                        Ok(ours) => {
                            let mut before = [1; 8];
                            ours.read(0, &mut before).unwrap();
                            assert_eq!(before, [0; 8], "another thread's bytes");
                            ours.write(0, &[thread; 8]).unwrap();
                            ours.release_name();
                        }
                        Err(Error::AlreadyExists { .. }) => {
                            // Its owner may be gone already, and the memory with it.
                            drop(Options::new(name).open(8, Access::ReadOnly));
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
    });
    assert!(!Options::new(&name).exists());
}
