//! Truncation by a peer at any moment, and faults that don't concern this crate.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::common::Name;
use crate::common::random::{Random, rounds};
use shm_segment::{Access, Error, Options, Rows, Segment};

const SIZE: usize = 1 << 20;
const FULL: u8 = 0xA5;

fn full_segment(name: &str) -> Segment {
    let segment = Options::new(name).create(SIZE as u64).unwrap();
    segment.fill(0, SIZE as u64, FULL).unwrap();
    segment
}

#[test]
fn truncation_at_any_moment_is_an_error_and_never_a_crash() {
    let rounds = rounds(1000);
    let mut random = Random::new();
    let mut interrupted = 0;
    for round in 0..rounds {
        let name = Name::new();
        let ours = full_segment(&name);
        let theirs = Options::new(&name).open(0, Access::ReadWrite).unwrap();
        // Whole pages: another test truncates within a page.
        let left = random.below(SIZE as u64 / 4096) * 4096;
        let delay = Duration::from_nanos(random.below(300_000));
        let calls = AtomicU32::new(0);
        std::thread::scope(|scope| {
            let copy = |segment: &Segment, write: bool| {
                let mut bytes = vec![FULL; SIZE];
                let rows = Rows::new(SIZE as u64 - 4096, 4032, -4096).unwrap();
                for turn in 0_u64.. {
                    let part = &mut bytes[..SIZE / 4096 * 4032];
                    let result = match (turn % 2, write) {
                        (0, true) => segment.write_rows(rows, part),
                        (0, false) => segment.read_rows(rows, part),
                        (_, true) => segment.write(0, &bytes),
                        (_, false) => segment.read(0, &mut bytes),
                    };
                    calls.fetch_add(1, Ordering::Relaxed);
                    match result {
                        Ok(()) => {
                            assert!(bytes.iter().all(|byte| *byte == FULL), "round {round}: a wrong OK")
                        }
                        Err(Error::Truncated { .. }) => return,
                        Err(other) => panic!("round {round}: {other}"),
                    }
                }
            };
            for (segment, write) in [(&ours, false), (&ours, true), (&theirs, false), (&theirs, true)] {
                scope.spawn(move || copy(segment, write));
            }
            std::thread::sleep(delay);
            File::options().write(true).open(name.path()).unwrap().set_len(left).unwrap();
        });
        interrupted += u32::from(calls.into_inner() > 4);
        for segment in [&ours, &theirs] {
            assert!(
                matches!(segment.read(0, &mut [0; 8]), Err(Error::Truncated { .. })),
                "it stays an error"
            );
        }
    }
    println!("{interrupted} of {rounds} were truncated after copies had begun");
}

/// Missing pages are replaced in pieces, when they are touched.
#[test]
fn a_truncation_larger_than_one_replacement_is_an_error() {
    const LARGE: usize = 5 * SIZE + 4096 + 100;
    for left in [0, 4096, SIZE + 4096] {
        let name = Name::new();
        let ours = Options::new(&name).create(LARGE as u64).unwrap();
        ours.fill(0, LARGE as u64, FULL).unwrap();
        File::options().write(true).open(name.path()).unwrap().set_len(left as u64).unwrap();
        let mut bytes = vec![1; LARGE];
        let read = ours.read(0, &mut bytes);
        assert!(matches!(read, Err(Error::Truncated { .. })), "{left}: {read:?}");
        for at in [left, LARGE - 1, LARGE / 2] {
            let write = ours.write(at as u64, &[1]);
            assert!(matches!(write, Err(Error::Truncated { .. })), "{left}, {at}: {write:?}");
        }
    }
}

#[test]
fn a_truncation_within_the_last_page_is_noticed_soon() {
    let name = Name::new();
    let segment = full_segment(&name);
    let mut byte = [0];
    segment.read(0, &mut byte).unwrap();
    File::options().write(true).open(name.path()).unwrap().set_len(SIZE as u64 - 5).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert!(matches!(
        segment.read(0, &mut byte),
        Err(Error::Truncated { actual, expected, .. }) if actual == SIZE as u64 - 5 && expected == SIZE as u64
    ));
}

#[test]
fn hundreds_of_mappings_are_watched() {
    let held: Vec<(Name, Segment)> = (0..300)
        .map(|_| {
            let name = Name::new();
            let segment = Options::new(&name).create(8192).unwrap();
            (name, segment)
        })
        .collect();
    for (name, segment) in held.iter().rev().step_by(7) {
        File::options().write(true).open(name.path()).unwrap().set_len(0).unwrap();
        assert!(matches!(segment.write(5000, b"x"), Err(Error::Truncated { .. })));
    }
    let (_, untouched) = &held[0];
    assert!(untouched.write(0, b"x").is_ok());
}

#[test]
fn a_new_segment_works_after_a_truncation() {
    let name = Name::new();
    let gone = full_segment(&name);
    File::options().write(true).open(name.path()).unwrap().set_len(0).unwrap();
    assert!(gone.read(0, &mut [0]).is_err());
    drop(gone);
    let again = full_segment(&name);
    let mut byte = [0];
    again.read(SIZE as u64 - 1, &mut byte).unwrap();
    assert_eq!(byte, [FULL]);
}

/// Starts this program again as `role`, and returns its exit code, or the negative number of the signal that
/// ended it.
fn ends(role: &str) -> i32 {
    // Made here: a process that ends by a signal removes nothing.
    let name = Name::new();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "truncation::victim", "--test-threads=1"])
        .env("SHM_SEGMENT_VICTIM", role)
        .env("SHM_SEGMENT_NAME", &*name)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    status.code().unwrap_or_else(|| -status.signal().unwrap())
}

extern "C" fn exit_42(_: libc::c_int) {
    // SAFETY: the call ends the process, and is allowed in a handler.
    unsafe { libc::_exit(42) };
}

extern "C" fn exit_43(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO, `info` is valid. `_exit` is allowed in a handler.
    unsafe { libc::_exit(if (*info).si_addr().is_null() { 1 } else { 43 }) };
}

static OURS: std::sync::OnceLock<libc::sigaction> = std::sync::OnceLock::new();

extern "C" fn hand_back(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    // SAFETY: the handler was installed with SA_SIGINFO, so it has this type.
    let ours = unsafe { std::mem::transmute::<usize, Handler>(OURS.get().unwrap().sa_sigaction) };
    ours(signal, info, context);
}

fn handle_with(handler: usize, flags: libc::c_int) -> libc::sigaction {
    // SAFETY: all zeros is a valid `sigaction`, and the arguments of the call are complete.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let mut before: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(libc::SIGBUS, &raw const action, &raw mut before), 0);
        before
    }
}

/// Not a test: the process that [`ends`] starts.
#[test]
fn victim() {
    let Ok(role) = std::env::var("SHM_SEGMENT_VICTIM") else { return };
    let name = Name(std::env::var("SHM_SEGMENT_NAME").unwrap());
    match role.as_str() {
        "handler before" => drop(handle_with(exit_42 as *const () as usize, 0)),
        // Rust's own programs have a handler, for stack overflows; other programs have none.
        "sent" => drop(handle_with(libc::SIG_DFL, 0)),
        "detailed handler before" | "uninstalled" => {
            handle_with(exit_43 as *const () as usize, libc::SA_SIGINFO);
        }
        _ => {}
    }
    let segment = full_segment(&name);
    match role.as_str() {
        "handler after" => {
            handle_with(exit_42 as *const () as usize, 0);
            // Any new mapping puts our handler on top again.
            let other = Name::new();
            drop(full_segment(&other));
        }
        "handler after that hands back" => {
            let ours = handle_with(hand_back as *const () as usize, libc::SA_SIGINFO);
            assert!(OURS.set(ours).is_ok());
            let other = Name::new();
            drop(full_segment(&other));
        }
        "uninstalled while mapped" => {
            shm_segment::uninstall_fault_handler();
            File::options().write(true).open(name.path()).unwrap().set_len(0).unwrap();
            assert!(matches!(segment.read(0, &mut [0]), Err(Error::Truncated { .. })));
            drop((name, segment));
            std::process::exit(44);
        }
        "uninstalled" => {
            drop((name, segment));
            shm_segment::uninstall_fault_handler();
            let now = handle_with(exit_42 as *const () as usize, 0);
            std::process::exit(if now.sa_sigaction == exit_43 as *const () as usize { 44 } else { 1 });
        }
        _ => {}
    }
    if role == "sent" || role == "sent, with a handler" || role == "sent, ignored" {
        match role.as_str() {
            "sent, with a handler" => drop(handle_with(exit_42 as *const () as usize, 0)),
            "sent, ignored" => drop(handle_with(libc::SIG_IGN, 0)),
            _ => {}
        }
        // Puts our handler on top again.
        let other = Name::new();
        drop(full_segment(&other));
        // SAFETY: the signal goes to this process, as another process might send it.
        unsafe { libc::kill(libc::getpid(), libc::SIGBUS) };
        // Any thread may get the signal.
        std::thread::sleep(Duration::from_millis(300));
        // Only reached if the signal is ignored. Our handler must still work.
        File::options().write(true).open(name.path()).unwrap().set_len(0).unwrap();
        assert!(matches!(segment.read(0, &mut [0]), Err(Error::Truncated { .. })));
        std::process::exit(44);
    }
    // In every role, our own faults are caught.
    File::options().write(true).open(name.path()).unwrap().set_len(0).unwrap();
    assert!(matches!(segment.read(0, &mut [0]), Err(Error::Truncated { .. })));
    // Faults in other mappings are not.
    let stranger = Name::new();
    std::fs::write(stranger.path(), [1; 4096]).unwrap();
    let file = File::options().read(true).write(true).open(stranger.path()).unwrap();
    let map = memmap2::MmapOptions::new().map_raw(&file).unwrap();
    file.set_len(0).unwrap();
    drop((name, segment));
    std::fs::remove_file(stranger.path()).unwrap();
    // SAFETY: none: the read is meant to fault, and to end the process.
    unsafe { map.as_ptr().read_volatile() };
    unreachable!("the process should have ended");
}

#[test]
fn a_foreign_fault_ends_the_process() {
    assert_eq!(ends("nothing else"), -libc::SIGBUS);
}

#[test]
fn an_uninstalled_handler_stays_while_memory_is_mapped() {
    assert_eq!(ends("uninstalled"), 44);
    assert_eq!(ends("uninstalled while mapped"), 44);
}

#[test]
fn a_foreign_fault_goes_to_the_previous_handler() {
    assert_eq!(ends("handler before"), 42);
    assert_eq!(ends("detailed handler before"), 43);
}

#[test]
fn a_later_handler_gets_foreign_faults() {
    assert_eq!(ends("handler after"), 42);
    assert_eq!(ends("handler after that hands back"), -libc::SIGBUS);
}

#[test]
fn a_sent_signal_keeps_its_effect() {
    assert_eq!(ends("sent"), -libc::SIGBUS);
    assert_eq!(ends("sent, with a handler"), 42);
    assert_eq!(ends("sent, ignored"), 44);
}

#[test]
fn a_lost_page_is_not_reported_as_a_truncation() {
    for _ in 0..100 {
        let name = Name::new();
        let segment = full_segment(&name);
        let file = File::options().write(true).open(name.path()).unwrap();
        // Checks the size, and doesn't check it again for a few milliseconds.
        segment.read(0, &mut [0]).unwrap();
        file.set_len(0).unwrap();
        assert!(matches!(segment.read(0, &mut [0]), Err(Error::Truncated { actual: 0, .. })));
        // The size is right again, but the old memory is gone.
        file.set_len(SIZE as u64).unwrap();
        match segment.read(0, &mut [0]) {
            Err(Error::PageLost { .. }) => return,
            // The milliseconds were over: the check of the size noticed the truncation, and no page was
            // touched.
            Ok(()) => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("it never touched a page that was gone");
}
