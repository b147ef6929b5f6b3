//! Sandboxes that refuse a system call, as AppArmor and seccomp do: creating falls back to another way.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use libc::{EACCES, EINVAL, ENOSYS, EPERM, c_int, c_long};

use crate::common::{Name, in_another_process};
use shm_segment::{Access, Error, Lifetime, Options, Scope, Waited};

/// A system call that is refused, if it has this value in the given bits of the argument.
struct Refused {
    call: c_long,
    argument: u32,
    bits: u32,
    value: u32,
}

const LINKAT: Refused = Refused { call: libc::SYS_linkat, argument: 0, bits: 0, value: 0 };
const O_TMPFILE: Refused = {
    let bits = libc::O_TMPFILE as u32;
    Refused { call: libc::SYS_openat, argument: 2, bits, value: bits }
};
const SET_LOCK: Refused =
    Refused { call: libc::SYS_fcntl, argument: 1, bits: u32::MAX, value: libc::F_OFD_SETLK as u32 };
const SIGACTION: Refused =
    Refused { call: libc::SYS_rt_sigaction, argument: 0, bits: u32::MAX, value: libc::SIGBUS as u32 };
/// The calls for several processes. Those of the standard library have another number.
const FUTEX_WAIT: Refused =
    Refused { call: libc::SYS_futex, argument: 1, bits: u32::MAX, value: libc::FUTEX_WAIT as u32 };
const FUTEX_WAKE: Refused =
    Refused { call: libc::SYS_futex, argument: 1, bits: u32::MAX, value: libc::FUTEX_WAKE as u32 };
const ASK_LOCK: Refused =
    Refused { call: libc::SYS_fcntl, argument: 1, bits: u32::MAX, value: libc::F_OFD_GETLK as u32 };

/// Calls `work` in a thread to which the kernel refuses these calls with `errno`.
fn refusing(refused: &[Refused], errno: c_int, work: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let sandboxed = || match refuse(refused, errno) {
            Ok(()) => work(),
            Err(error) => println!("skipped: no seccomp here: {error}"),
        };
        scope.spawn(sandboxed).join().unwrap();
    })
}

/// Makes the kernel refuse these calls to this thread (`seccomp(2)`).
fn refuse(refused: &[Refused], errno: c_int) -> io::Result<()> {
    // Offsets in `struct seccomp_data`.
    const NUMBER: u32 = 0;
    const ARGUMENTS: u32 = 16;
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let jump_if_not = |k: u32, jf: u8| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let mut filter = Vec::new();
    for one in refused {
        filter.push(statement(load, NUMBER));
        filter.push(jump_if_not(u32::try_from(one.call).unwrap(), 4));
        filter.push(statement(load, ARGUMENTS + 8 * one.argument));
        filter.push(statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, one.bits));
        filter.push(jump_if_not(one.value, 1));
        filter.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()));
    }
    filter.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: both calls only read their arguments, and `program` with its filter lives until they return.
    let results = unsafe {
        [
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program),
        ]
    };
    if results == [0, 0] { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Creates a segment, uses it from another opener, and gives it up.
fn create_and_use(scope: Scope) {
    let name = Name::new();
    let ours = Options::new(&name).scope(scope).create(5000).unwrap();
    assert!(ours.is_created());
    ours.write(4990, b"0123456789").unwrap();
    let theirs = Options::new(&name).open(0, Access::ReadOnly).unwrap();
    assert_eq!((theirs.size(), theirs.scope()), (5000, scope));
    let mut bytes = [0; 10];
    theirs.read(4990, &mut bytes).unwrap();
    assert_eq!(&bytes, b"0123456789");
    drop(ours);
    assert!(!name.exists(), "the owner has removed it");
}

#[test]
fn create_works_where_a_sandbox_refuses_files_without_a_name() {
    for refused in [LINKAT, O_TMPFILE] {
        for errno in [EACCES, EPERM, ENOSYS] {
            refusing(std::slice::from_ref(&refused), errno, || {
                for scope in [Scope::Local, Scope::Global] {
                    create_and_use(scope);
                }
            });
        }
    }
}

#[test]
fn create_works_where_a_sandbox_refuses_locks() {
    for errno in [EPERM, ENOSYS, EINVAL] {
        refusing(&[SET_LOCK, ASK_LOCK], errno, || create_and_use(Scope::Local));
    }
    refusing(&[SET_LOCK, ASK_LOCK, LINKAT], EPERM, || create_and_use(Scope::Local));
}

/// Without the lock, no process can tell whether the owner lives, so the name is never reclaimed.
#[test]
fn a_leftover_is_not_reclaimed_where_its_owner_may_live() {
    let name = Name::new();
    let owner = Options::new(&name).create(100).unwrap();
    refusing(&[SET_LOCK, ASK_LOCK], EPERM, || {
        let error = Options::new(&name).create(100).unwrap_err();
        assert!(matches!(error, Error::AlreadyExists { .. }), "{error:?}");
        assert!(error.to_string().contains("remove"), "{error}");
        let persistent = Options::new(&name).lifetime(Lifetime::Persistent).create(100);
        assert!(matches!(persistent, Err(Error::AlreadyExists { .. })), "{persistent:?}");
    });
    drop(owner);
    assert!(!name.exists());
}

/// Without a handler for SIGBUS, a truncation would end the process.
#[test]
fn without_a_fault_handler_no_segment_is_made_or_opened() {
    in_another_process("sandboxes::without_a_fault_handler_no_segment_is_made_or_opened", || {
        let (name, there) = (Name::new(), Name::new());
        std::fs::write(there.path(), [0; 100]).unwrap();
        for errno in [EPERM, EACCES] {
            refusing(&[SIGACTION], errno, || {
                for result in [
                    Options::new(&name).create(100),
                    Options::new(&name).open_or_create(100),
                    Options::new(&there).open(0, Access::ReadOnly),
                ] {
                    let refused = result.unwrap_err();
                    assert!(matches!(refused, Error::PermissionDenied { .. }), "{refused}");
                    assert!(refused.to_string().contains("sigaction(SIGBUS) was refused"), "{refused}");
                }
                assert!(!name.is_there());
            });
        }
        // A handler that is there already stays.
        let segment = Options::new(&name).create(100).unwrap();
        refusing(&[SIGACTION], EPERM, || {
            let opened = Options::new(&name).open(0, Access::ReadOnly).unwrap();
            std::fs::File::options().write(true).open(name.path()).unwrap().set_len(0).unwrap();
            thread::sleep(Duration::from_millis(20));
            assert!(matches!(opened.read(0, &mut [0]), Err(Error::Truncated { .. })));
        });
        drop(segment);
    });
}

#[test]
fn a_wait_looks_again_and_again_where_futex_is_refused() {
    let name = Name::new();
    let segment = Options::new(&name).create(64).unwrap();
    refusing(&[FUTEX_WAIT, FUTEX_WAKE], EPERM, || {
        let wait = |timeout| segment.wait_u32(8, 0, timeout, || true).unwrap();
        let start = Instant::now();
        assert_eq!(wait(Duration::from_millis(200)), Waited::TimedOut);
        assert!((200..700).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(50));
                segment.store_u32(8, 1).unwrap();
                segment.notify_u32(8).unwrap();
            });
            assert_eq!(wait(Duration::from_secs(20)), Waited::Changed);
        });
    });
}
