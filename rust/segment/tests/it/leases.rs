//! Files with a lease (`fcntl(2)`, `F_SETLEASE`): opening one waits for its holder.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::Name;
use crate::common::backends::Place;
use shm_segment::{Access, Backend, Error, Options};

/// A file with a lease, which keeps others from opening it.
struct Leased {
    file: File,
}

impl Leased {
    /// Returns `None` where the file system has no leases.
    fn new(path: &Path) -> Option<Self> {
        Self::of(File::options().read(true).write(true).open(path).unwrap(), libc::F_WRLCK)
    }

    fn of(file: File, kind: libc::c_int) -> Option<Self> {
        // The signal that asks for the lease back; SIGURG does nothing.
        // SAFETY: the descriptor is open, and the calls take numbers.
        let set = unsafe {
            libc::fcntl(file.as_raw_fd(), 10 /* F_SETSIG */, libc::SIGURG);
            libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind)
        };
        if set != 0 {
            eprintln!("skipped: no lease: {}", std::io::Error::last_os_error());
        }
        (set == 0).then_some(Self { file })
    }
}

/// Ends the lease explicitly: a process that another test is starting may still have the descriptor.
impl Drop for Leased {
    fn drop(&mut self) {
        // SAFETY: the descriptor is open, and the call takes numbers.
        unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
    }
}

/// Makes every call that opens `name`, and checks that each is refused at once.
fn assert_refused(backend: Backend, name: &str) {
    let start = Instant::now();
    for access in [Access::ReadWrite, Access::ReadOnly] {
        let opened = Options::new(name).backend(backend).open(0, access);
        assert!(matches!(opened, Err(Error::Leased { .. })), "{backend:?}, {access:?}: {opened:?}");
    }
    let either = Options::new(name).backend(backend).open_or_create(100);
    assert!(matches!(either, Err(Error::Leased { .. })), "{backend:?}: {either:?}");
    // The system ends a lease after /proc/sys/fs/lease-break-time, 45 seconds.
    assert!(start.elapsed() < Duration::from_secs(10), "{backend:?}");
}

fn opens(backend: Backend, name: &str) {
    Options::new(name).backend(backend).open(0, Access::ReadWrite).unwrap();
}

#[test]
fn a_leased_segment_is_refused_at_once() {
    let name = Name::new();
    fs::write(name.path(), [0; 4096]).unwrap();
    let Some(leased) = Leased::new(&name.path()) else { return };
    assert_refused(Backend::Native, &name);
    drop(leased);
    opens(Backend::Native, &name);
}

#[test]
fn a_leased_segment_of_a_dead_owner_is_not_reclaimed() {
    let name = Name::new();
    crate::common::leave_a_dead_owner(&name);
    let Some(leased) = Leased::new(&name.path()) else { return };
    let created = Options::new(&name).create(100);
    assert!(matches!(created, Err(Error::Leased { .. })), "{created:?}");
    assert_refused(Backend::Native, &name);
    drop(leased);
    drop(Options::new(&name).create(100).unwrap());
}

#[test]
fn a_leased_file_is_refused_at_once() {
    let place = Place::new(Backend::File);
    fs::write(place.path(), [0; 4096]).unwrap();
    let Some(leased) = Leased::new(&place.path()) else { return };
    assert_refused(Backend::File, &place.name);
    drop(leased);
    opens(Backend::File, &place.name);
}

#[test]
fn a_leased_meta_file_is_refused_at_once() {
    let place = Place::new(Backend::Memfd);
    let ours = Options::new(&place.name).backend(Backend::Memfd).create(100).unwrap();
    let Some(leased) = Leased::new(&place.path()) else { return };
    assert_refused(Backend::Memfd, &place.name);
    drop(leased);
    opens(Backend::Memfd, &place.name);
    drop(ours);
}

/// A memfd can have a lease only while no process has it open for writing. So the holder closes the
/// descriptor that it made it with.
#[test]
fn a_leased_memfd_is_refused_at_once() {
    const PROGRAM: &str = "
import ctypes, fcntl, os, signal, struct, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
name, meta = sys.argv[1:]
first = os.memfd_create(name)
os.ftruncate(first, 4096)
leased = os.open(f'/proc/self/fd/{first}', os.O_RDONLY)
os.close(first)
fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_RDLCK)
with open(meta, 'wb') as file:
    file.write(struct.pack('<qqii', 4096, 0, os.getpid(), leased))
print('answer: ready', flush=True)
sys.stdin.readline()
";
    let place = Place::new(Backend::Memfd);
    let mut program = Command::new("python3");
    program.args(["-c", PROGRAM, &place.name]).arg(place.path());
    let mut holder = crate::common::Peer::of(&mut program);
    assert_eq!(holder.answer(), "ready");
    let start = Instant::now();
    let opened = Options::new(&place.name).backend(Backend::Memfd).open(0, Access::ReadWrite);
    assert!(matches!(opened, Err(Error::Leased { .. })), "{opened:?}");
    // A lease for reading lets others read.
    Options::new(&place.name).backend(Backend::Memfd).open(0, Access::ReadOnly).unwrap();
    let taken = Options::new(&place.name).backend(Backend::Memfd).create(100);
    assert!(matches!(taken, Err(Error::AlreadyExists { .. })), "{taken:?}");
    assert!(start.elapsed() < Duration::from_secs(10));
    holder.send("end");
}
