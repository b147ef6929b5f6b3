//! Locks under a name, with processes that die, and with what a hostile program may do to their memory.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, mem, thread};

use crate::common::random::{Random, rounds};
use crate::common::{Name, SetAtEnd, in_another_process, start_and_wait, this_program, wait_for_state};
use shm_segment::layout::Error;
use shm_segment::layout::native::Lock;
use shm_segment::{Access, Lifetime, Options, Scope};

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(20);
/// The offset of `dirty` of lock 0.
const DIRTY: u64 = 0x108;
const LENGTH: u64 = 8448;

fn open(name: &str) -> Lock {
    Lock::open(name, 0, Scope::Local).unwrap()
}

/// Not a test: a process that holds a lock until it is killed, only has it open, or owns other memory.
#[test]
fn holder() {
    let Ok(words) = env::var("SHM_SEGMENT_HOLDER") else { return };
    let (does_lock, name) = words.split_once(' ').unwrap();
    if does_lock == "owns" {
        let _owned = Options::new(name).create(64).unwrap();
        println!("ready");
        thread::sleep(Duration::from_secs(600));
    }
    let lock = open(name);
    if does_lock == "locks" {
        lock.lock(LONG).unwrap();
    }
    println!("ready");
    thread::sleep(Duration::from_secs(600));
}

/// A process that is killed at the latest when this is dropped.
struct Holder(Child);

impl Holder {
    fn start(name: &str) -> Self {
        Self::start_and("locks", name)
    }

    fn start_and(does_lock: &str, name: &str) -> Self {
        let mut command = this_program("locks_linux::holder");
        Self(start_and_wait(command.env("SHM_SEGMENT_HOLDER", format!("{does_lock} {name}"))))
    }

    fn signal(&self, signal: i32) {
        // SAFETY: the call takes numbers; the process is a child that was not waited for.
        assert_eq!(unsafe { libc::kill(self.0.id().cast_signed(), signal) }, 0);
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_death_inside_is_told_to_the_next_holder_once() {
    let name = Name::new();
    let (ours, theirs) = (open(&name), open(&name));
    let holder = Holder::start(&name);
    assert!(matches!(ours.lock(NOW), Err(Error::Locked)));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| ours.lock(LONG));
        thread::sleep(Duration::from_millis(20));
        holder.signal(libc::SIGKILL);
        let start = Instant::now();
        waiting.join().unwrap().unwrap();
        println!("the lock was free {:.1?} after the kill", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(1));
    });
    assert!(ours.was_abandoned(), "the holder is a zombie");
    ours.unlock().unwrap();
    assert!(!ours.was_abandoned());
    theirs.lock(NOW).unwrap();
    assert!(!theirs.was_abandoned());
}

#[test]
fn a_process_that_dies_without_the_lock_is_not_told() {
    let name = Name::new();
    let ours = open(&name);
    drop(Holder::start_and("opens", &name));
    ours.lock(NOW).unwrap();
    assert!(!ours.was_abandoned());
}

#[test]
fn a_stopped_holder_keeps_the_lock() {
    let name = Name::new();
    let ours = open(&name);
    let holder = Holder::start(&name);
    holder.signal(libc::SIGSTOP);
    wait_for_state(holder.0.id(), "T");
    let waited = ours.lock(Duration::from_millis(300));
    assert!(matches!(waited, Err(Error::WaitTimedOut { .. })), "{waited:?}");
    assert!(ours.is_locked().unwrap());
    holder.signal(libc::SIGKILL);
    ours.lock(LONG).unwrap();
    assert!(ours.was_abandoned());
}

/// Even if no process had the memory open in between.
#[test]
fn a_death_is_told_to_the_next_holder_whenever_it_comes() {
    let name = Name::new();
    drop(Holder::start(&name));
    // A program that only looks, and leaves last.
    drop(open(&name));
    assert!(name.exists(), "a death is to be told");
    let ours = open(&name);
    ours.lock(NOW).unwrap();
    assert!(ours.was_abandoned());
    drop(ours);
    assert!(!name.exists());
}

#[test]
fn the_name_goes_with_the_last_user_whoever_made_it() {
    let inode = |name: &Name| fs::metadata(name.path()).unwrap().ino();
    let name = Name::new();
    let maker = open(&name);
    let theirs = open(&name);
    let made = inode(&name);
    drop(maker);
    // The maker has gone, but the others meet in the same memory.
    let third = open(&name);
    assert_eq!(inode(&name), made);
    theirs.lock(NOW).unwrap();
    assert!(matches!(third.lock(NOW), Err(Error::Locked)));
    drop(theirs);
    third.lock(NOW).unwrap();
    drop(third);
    assert!(!name.exists());
    // The same after a kill of the maker.
    let holder = Holder::start_and("opens", &name);
    let made = inode(&name);
    let ours = open(&name);
    drop(holder);
    drop(open(&name));
    assert_eq!(inode(&name), made);
    drop(ours);
    assert!(!name.exists());
    // And of the last user.
    drop(Holder::start_and("opens", &name));
    assert!(name.exists());
    drop(open(&name));
    assert!(!name.exists());
}

/// Another segment under the name would let two programs hold the same lock.
#[test]
fn no_creator_replaces_memory_whose_maker_is_dead() {
    let name = Name::new();
    let holder = Holder::start_and("opens", &name);
    let ours = open(&name);
    drop(holder);
    let made = Options::new(&name).create(LENGTH);
    assert!(matches!(made, Err(shm_segment::Error::AlreadyExists { .. })), "{made:?}");
    ours.lock(NOW).unwrap();
    let theirs = open(&name);
    assert!(matches!(theirs.lock(NOW), Err(Error::Locked)));
}

#[test]
fn memory_that_goes_with_its_owner_is_refused() {
    let name = Name::new();
    let owner = Options::new(&name).create(LENGTH).unwrap();
    let refused = Lock::open(&name, 0, Scope::Local);
    assert!(matches!(refused, Err(Error::OtherMemory { .. })), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("one program owns"));
    assert!(name.exists());
    let mut bytes = [1; LENGTH as usize];
    owner.read(0, &mut bytes).unwrap();
    assert!(bytes.iter().all(|byte| *byte == 0), "it is not laid out");
}

/// Zeros look as if nobody used them. But the last user of locks removes the name.
#[test]
fn zeros_that_were_not_made_for_locks_are_refused_and_stay() {
    let is_unchanged = |name: &Name, size: u64| {
        let bytes = fs::read(name.path()).unwrap();
        bytes.len() as u64 == size && bytes.iter().all(|byte| *byte == 0)
    };
    for size in [LENGTH - 1, LENGTH + 1, 65536] {
        let name = Name::new();
        let memory = Options::new(&name).lifetime(Lifetime::Persistent).create(size).unwrap();
        for _ in 0..2 {
            let refused = Lock::open(&name, 0, Scope::Local);
            assert!(refused.is_err() && is_unchanged(&name, size), "{size}: {refused:?}");
        }
        drop(memory);
        assert!(Lock::open(&name, 0, Scope::Local).is_err() && is_unchanged(&name, size), "{size}");
    }
    // A file of another program, which has no mark.
    for size in [LENGTH, LENGTH + 1] {
        let name = Name::new();
        fs::write(name.path(), vec![0; size as usize]).unwrap();
        if size == LENGTH && rustix::fs::ioctl_getflags(File::open(name.path()).unwrap()).is_err() {
            println!(
                "Linux before 6.0 has no flags, so a file of the right size looks as if it were for locks"
            );
            continue;
        }
        let refused = Lock::open(&name, 0, Scope::Local);
        assert!(matches!(refused, Err(Error::OtherMemory { .. })), "{size}: {refused:?}");
        assert!(is_unchanged(&name, size), "{size}");
    }
}

#[test]
fn what_a_dead_owner_left_is_replaced() {
    let name = Name::new();
    let owner = Holder::start_and("owns", &name);
    let refused = Lock::open(&name, 0, Scope::Local);
    assert!(refused.is_err(), "the owner lives");
    drop(owner);
    assert!(name.exists());
    let ours = open(&name);
    ours.lock(NOW).unwrap();
    drop(ours);
    assert!(!name.exists());
}

#[test]
fn a_lock_whose_name_was_removed_is_not_taken() {
    let name = Name::new();
    let (ours, waiting) = (open(&name), open(&name));
    ours.lock(NOW).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| waiting.lock(LONG));
        thread::sleep(Duration::from_millis(10));
        name.remove().unwrap();
        let next = open(&name);
        next.lock(NOW).unwrap();
        ours.unlock().unwrap();
        let lost = waiting.join().unwrap();
        assert!(matches!(lost, Err(Error::NameLost { .. })), "{lost:?}");
        let lost = ours.lock(NOW);
        assert!(matches!(lost, Err(Error::NameLost { .. })), "{lost:?}");
        assert!(!ours.is_locked().unwrap(), "it was given back");
        drop(ours);
        assert!(name.exists(), "the name is that of the next segment");
        assert!(matches!(open(&name).lock(NOW), Err(Error::Locked)));
    });
}

#[test]
fn a_lost_name_is_noticed_while_another_one_holds_the_lock() {
    let name = Name::new();
    let (holder, ours) = (open(&name), open(&name));
    holder.lock(NOW).unwrap();
    name.remove().unwrap();
    for timeout in [NOW, Duration::from_millis(1), LONG] {
        let start = Instant::now();
        let lost = ours.lock(timeout);
        assert!(matches!(lost, Err(Error::NameLost { .. })), "{timeout:?}: {lost:?}");
        assert!(start.elapsed() < LONG / 2, "{:?}", start.elapsed());
    }
    holder.unlock().unwrap();
}

#[test]
fn truncation_is_an_error_and_frees_the_lock() {
    for left in [0, 4096] {
        let name = Name::new();
        let [ours, theirs] = [0, 63].map(|index| Lock::open(&name, index, Scope::Local).unwrap());
        let other = Lock::open(&name, 63, Scope::Local).unwrap();
        theirs.lock(NOW).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| other.lock(LONG));
            thread::sleep(Duration::from_millis(20));
            File::options().write(true).open(name.path()).unwrap().set_len(left).unwrap();
            thread::sleep(Duration::from_millis(20));
            let is_gone = |result: &Result<(), Error>| {
                matches!(result, Err(Error::Segment(shm_segment::Error::Truncated { .. })))
            };
            let unlocked = theirs.unlock();
            assert!(is_gone(&unlocked), "{unlocked:?}");
            assert!(!theirs.is_locked().unwrap(), "the kernel has it back");
            let waited = waiting.join().unwrap();
            assert!(is_gone(&waited), "{waited:?}");
            let locked = ours.lock(NOW);
            assert!(is_gone(&locked), "{locked:?}");
        });
    }
}

/// Neither can two programs hold the lock, nor does a call take longer than its time.
#[test]
fn no_word_makes_two_holders_or_a_call_that_hangs() {
    let mut random = Random::new();
    let name = Name::new();
    let locks: Vec<Lock> = (0..3).map(|_| open(&name)).collect();
    let memory = Options::new(&name).open(0, Access::ReadWrite).unwrap();
    let (is_over, is_inside) = (AtomicBool::new(false), AtomicBool::new(false));
    let taken = thread::scope(|scope| {
        let guard = SetAtEnd(&is_over);
        let threads: Vec<_> = locks
            .iter()
            .map(|lock| {
                let (is_over, is_inside) = (&is_over, &is_inside);
                scope.spawn(move || {
                    let (limit, mut taken) = (Duration::from_millis(5), 0_u64);
                    while !is_over.load(Ordering::Relaxed) {
                        let start = Instant::now();
                        let locked = lock.lock(limit);
                        assert!(start.elapsed() < limit + Duration::from_secs(2));
                        if locked.is_ok() {
                            assert!(!is_inside.swap(true, Ordering::SeqCst), "two are inside");
                            is_inside.store(false, Ordering::SeqCst);
                            taken += 1;
                            lock.unlock().unwrap();
                        }
                    }
                    taken
                })
            })
            .collect();
        let end = Instant::now() + Duration::from_millis(rounds(1) * 500);
        let words = [0x00, 0x04, 0x08, 0x0C, 0x10, 0x18, 0x1C, 0x30, 0x38, 0x80, 0x100, 0x104, 0x108];
        while Instant::now() < end {
            let at = words[random.below(words.len() as u64) as usize];
            let value = [0, 1, 2, u32::MAX, random.below(1 << 32) as u32][random.below(5) as usize];
            let before = memory.load_u32(at).unwrap();
            memory.store_u32(at, value).unwrap();
            if at < 0x80 || random.below(4) > 0 {
                // Of the header, for a moment only: with a wrong one, no lock is taken.
                thread::sleep(Duration::from_micros(random.below(200)));
                memory.store_u32(at, before).unwrap();
            }
        }
        drop(guard);
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
    });
    println!("{taken} locks were taken");
}

/// A word that was cleared by another program hides a death, and one that was set feigns one. That is all.
#[test]
fn the_dirty_word_decides_nothing_but_what_is_told() {
    let name = Name::new();
    let (ours, theirs) = (open(&name), open(&name));
    let memory = Options::new(&name).open(0, Access::ReadWrite).unwrap();
    memory.store_u32(DIRTY, u32::MAX).unwrap();
    ours.lock(NOW).unwrap();
    assert!(ours.was_abandoned());
    assert_eq!(memory.load_u32(DIRTY).unwrap(), 1);
    memory.store_u32(DIRTY, 0).unwrap();
    assert!(matches!(theirs.lock(NOW), Err(Error::Locked)));
    ours.unlock().unwrap();
    assert_eq!(memory.load_u32(DIRTY).unwrap(), 0);
}

/// Sets a lock of this kind on the byte of a role (`docs/FORMAT.md`, *Locks*), as another program may.
fn set(file: &File, kind: i32, number: i64) {
    let lock = libc::flock {
        l_type: kind as _,
        l_whence: 0,
        l_start: (1 << 62) + 4 + 2 * number,
        l_len: 1,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open, and the lock lives until the call returns.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }, 0);
}

fn assert_blocked<T: std::fmt::Debug>(result: &Result<T, Error>) {
    let is_blocked = matches!(result, Err(Error::Segment(shm_segment::Error::RoleBlocked { .. })));
    assert!(is_blocked, "{result:?}");
}

/// A program that may only read can place a read lock.
#[test]
fn a_call_keeps_to_its_time_while_a_foreign_lock_is_in_the_way() {
    let name = Name::new();
    let ours = open(&name);
    let file = File::options().read(true).write(true).open(name.path()).unwrap();
    set(&file, libc::F_RDLCK, 144);
    let took = |timeout: Duration| {
        let start = Instant::now();
        assert_blocked(&ours.lock(timeout));
        start.elapsed()
    };
    let shortest = (0..20).map(|_| took(NOW)).min().unwrap();
    assert!(shortest < Duration::from_millis(10), "a call without a timeout took {shortest:?}");
    let timeout = Duration::from_millis(100);
    assert!(took(timeout) >= timeout);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| ours.lock(LONG));
        thread::sleep(Duration::from_millis(60));
        set(&file, libc::F_UNLCK, 144);
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn a_foreign_lock_in_the_way_is_reported() {
    let name = Name::new();
    let ours = open(&name);
    let file = File::options().read(true).write(true).open(name.path()).unwrap();
    // On the lock itself.
    set(&file, libc::F_RDLCK, 144);
    assert_blocked(&ours.lock(NOW));
    set(&file, libc::F_WRLCK, 144);
    assert!(matches!(ours.lock(NOW), Err(Error::Locked)));
    set(&file, libc::F_UNLCK, 144);
    ours.lock(NOW).unwrap();
    drop(ours);
    // On the byte of the users: another one, so that the name stays, then one that is about to remove it.
    let ours = open(&name);
    set(&file, libc::F_RDLCK, 3);
    drop(ours);
    assert!(!name.exists(), "the file is that of the name before");
    let ours = open(&name);
    let file = File::options().read(true).write(true).open(name.path()).unwrap();
    set(&file, libc::F_RDLCK, 3);
    drop(ours);
    assert!(name.exists());
    set(&file, libc::F_WRLCK, 3);
    let start = Instant::now();
    let blocked = Lock::open(&name, 0, Scope::Local);
    assert_blocked(&blocked);
    assert!(start.elapsed() < Duration::from_secs(2));
    drop(file);
    drop(open(&name));
    assert!(!name.exists());
}

#[test]
fn a_program_that_is_slow_to_remove_the_name_is_waited_for() {
    let name = Name::new();
    let ours = open(&name);
    let file = File::options().read(true).write(true).open(name.path()).unwrap();
    // The name stays, as another program uses it.
    set(&file, libc::F_RDLCK, 3);
    drop(ours);
    set(&file, libc::F_WRLCK, 3);
    thread::scope(|scope| {
        let opening = scope.spawn(|| Lock::open(&name, 0, Scope::Local).map(drop));
        thread::sleep(Duration::from_millis(300));
        drop(file);
        opening.join().unwrap().unwrap();
    });
    assert!(!name.exists());
}

#[test]
fn locks_leave_no_descriptor_and_no_name() {
    in_another_process("locks_linux::locks_leave_no_descriptor_and_no_name", || {
        let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
        let name = Name::new();
        drop(open(&name));
        let before = descriptors();
        for round in 0..200 {
            let (ours, theirs) = (open(&name), open(&name));
            ours.lock(NOW).unwrap();
            let _ = theirs.lock(NOW);
            if round % 2 == 0 {
                ours.unlock().unwrap();
            }
            drop(ours);
            theirs.lock(NOW).unwrap();
            let _ = Lock::open("a/b", 0, Scope::Local);
            drop(theirs);
            assert!(!name.exists());
        }
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn waiting_takes_no_processor_time() {
    let processor_time = || {
        // SAFETY: zeros are valid numbers, and the call writes one structure.
        let usage: libc::rusage = unsafe {
            let mut usage = mem::zeroed();
            libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage);
            usage
        };
        let of = |time: libc::timeval| {
            Duration::from_secs(time.tv_sec.cast_unsigned())
                + Duration::from_micros(time.tv_usec.cast_unsigned())
        };
        of(usage.ru_utime) + of(usage.ru_stime)
    };
    let name = Name::new();
    let (ours, theirs) = (open(&name), open(&name));
    ours.lock(NOW).unwrap();
    let took = thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let before = processor_time();
            assert!(theirs.lock(Duration::from_secs(1)).is_err());
            processor_time() - before
        });
        waiting.join().unwrap()
    });
    println!("a wait of 1 s took {took:.1?} of a processor");
    assert!(took < Duration::from_millis(50), "{took:?}");
}
