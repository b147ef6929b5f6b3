//! Children of `fork(2)` let go of the segments of their parent.

use std::time::{Duration, Instant};
use std::{env, thread};

use shm_segment::layout::native::{Descriptor, Kind, Lock, Message, Stream};
use shm_segment::{Access, Options, OwnerState, Scope};

use crate::common::{Name, in_another_process, start_and_wait, this_program};

const HELLO: Message<'_> = Message { descriptor: Descriptor::of(Kind::Bytes), content: b"hello" };

/// Runs `work` in a child, and returns its exit code. The child runs nothing else.
fn in_child(work: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child only calls `work`, and ends at once. The work of these tests takes no lock that
    // another thread may have.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = work();
        // SAFETY: the call has no preconditions.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: `status` is valid for writes.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -1 }
}

#[test]
fn a_child_takes_nothing_from_its_parent() {
    in_another_process("forks::a_child_takes_nothing_from_its_parent", || {
        shm_segment::guard_forks().unwrap();
        shm_segment::guard_forks().unwrap();
        let name = Name::new();
        let lock_name = Name::new();
        let (segment, stream) = Stream::create(&Options::new(&name), 100, 1).unwrap();
        let lock = Lock::open(&lock_name, 0, Scope::Local).unwrap();
        lock.lock(Duration::ZERO).unwrap();
        stream.write(&segment, &HELLO).unwrap();
        let (forks, address) = (shm_segment::forks(), segment.address());
        segment.write(segment.size() - 1, b"x").unwrap();
        let last = usize::try_from(segment.size()).unwrap() - 1;
        let code = in_child(|| {
            // SAFETY: the byte is mapped, as in the parent.
            let byte = unsafe { address.wrapping_add(last).read_volatile() };
            // SAFETY: the byte is mapped for writing, as in the parent, and no Rust reference leads to it.
            unsafe { address.wrapping_add(last).write_volatile(b'y') };
            // A program must not use what it has inherited. Here, no thread has a lock in it.
            let is_inherited = segment.is_inherited();
            segment.release_name();
            lock.unlock().ok();
            stream.release(&segment);
            i32::from(!(is_inherited && shm_segment::forks() != forks && byte == b'x'))
        });
        assert_eq!(code, 0);
        assert!(!segment.is_inherited());
        assert!(segment.name().is_current());
        let mut byte = [0];
        segment.read(segment.size() - 1, &mut byte).unwrap();
        assert_eq!(&byte, b"y", "the child has the same memory");
        // The kernel's locks are still this process's.
        let other = Options::new(&name).open(0, Access::ReadWrite).unwrap();
        assert_eq!(other.owner_state(), OwnerState::Alive);
        let theirs = Stream::attach(&other, 0, 0).unwrap();
        assert!(theirs.write(&other, &HELLO).is_err());
        assert!(Lock::open(&lock_name, 0, Scope::Local).unwrap().lock(Duration::ZERO).is_err());
        // In a child, new segments are its own.
        let own = Name::new();
        let code = in_child(|| {
            let made = Stream::create(&Options::new(&own), 100, 1);
            i32::from(!made.is_ok_and(|(segment, stream)| stream.write(&segment, &HELLO).is_ok()))
        });
        assert_eq!(code, 0);
    });
}

/// Not a test: a process that is killed while its child lives on for three seconds.
#[test]
fn parent() {
    let Ok(name) = env::var("SHM_SEGMENT_FORKER") else { return };
    shm_segment::guard_forks().unwrap();
    let (segment, stream) = Stream::create(&Options::new(&name), 100, 1).unwrap();
    stream.write(&segment, &HELLO).unwrap();
    // SAFETY: the child only sleeps, and ends.
    if unsafe { libc::fork() } == 0 {
        // SAFETY: both calls have no preconditions.
        unsafe {
            libc::close(1);
            libc::sleep(3);
            libc::_exit(0);
        }
    }
    println!("ready");
    thread::sleep(Duration::from_secs(600));
}

#[test]
fn a_child_does_not_keep_the_locks_of_a_dead_parent() {
    let name = Name::new();
    let mut process = start_and_wait(this_program("forks::parent").env("SHM_SEGMENT_FORKER", &*name));
    let segment = Options::new(&name).open(0, Access::ReadWrite).unwrap();
    assert_eq!(segment.owner_state(), OwnerState::Alive);
    process.kill().unwrap();
    process.wait().unwrap();
    // The child still lives then.
    let end = Instant::now() + Duration::from_secs(2);
    while segment.owner_state() != OwnerState::Dead {
        assert!(Instant::now() < end, "the child keeps the lock");
        thread::sleep(Duration::from_millis(1));
    }
    let stream = Stream::attach(&segment, 0, 0).unwrap();
    stream.write(&segment, &HELLO).unwrap();
    drop((stream, segment));
    name.remove().unwrap();
}
