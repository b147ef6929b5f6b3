//! Truncation while the system refuses new pages: at its limits on mappings and on memory.
//!
//! Each test runs in a process of its own, as a limit belongs to a process.

use std::fs::{self, File};
use std::ptr;

use crate::common::backends::{BACKENDS, Place};
use crate::common::{Name, in_another_process};
use shm_segment::{Access, Backend, Error, Options, Segment};

const PAGE: usize = 4096;
const SIZE: usize = 3 << 19;

/// The engine opens files all the time: after a script has opened too many segments, it must still do so.
#[test]
fn a_process_that_has_opened_too_many_segments_can_still_open_files() {
    in_another_process("limits::a_process_that_has_opened_too_many_segments_can_still_open_files", || {
        let limit = libc::rlimit { rlim_cur: 256, rlim_max: 256 };
        // SAFETY: the call reads one `rlimit`.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
        for backend in BACKENDS {
            let place = Place::new(backend);
            let mut held = Vec::new();
            let first = place.options().create(1).unwrap();
            let refused = loop {
                match place.options().open(0, Access::ReadOnly) {
                    Ok(segment) if held.len() < 300 => held.push(segment),
                    other => break other,
                }
            };
            if backend == Backend::SystemV {
                assert!(refused.is_ok(), "no segment keeps a file");
                continue;
            }
            let refused = refused.unwrap_err();
            assert!(matches!(refused, Error::TooManyFiles { .. }), "{refused}");
            assert!(refused.to_string().contains("RLIMIT_NOFILE is 256, of which 32 stay free"), "{refused}");
            // To open a memfd takes two files for a moment, so one more may fit.
            let others = [Place::new(backend), Place::new(backend)];
            let [_fits, refused] = others.each_ref().map(|place| place.options().create(1));
            assert!(matches!(refused, Err(Error::TooManyFiles { .. })), "{backend:?}: {refused:?}");
            assert!(!others[1].options().exists(), "nothing is left");
            // The fault handler has a file of its own.
            let files: Vec<File> = (0..30).map(|_| File::open("/dev/null").unwrap()).collect();
            drop((files, held, first));
        }
    });
}

/// Segments that are about to be truncated. All of their pages have been touched.
struct Victims {
    held: Vec<(Name, Segment, Segment)>,
    bytes: Vec<u8>,
}

impl Victims {
    fn new(count: usize) -> Self {
        let one = || {
            let name = Name::new();
            let segment = Options::new(&name).create(SIZE as u64).unwrap();
            segment.fill(0, SIZE as u64, 0xA5).unwrap();
            let reader = Options::new(&name).open(0, Access::ReadOnly).unwrap();
            (name, segment, reader)
        };
        Self { held: (0..count).map(|_| one()).collect(), bytes: vec![1; SIZE] }
    }

    /// Truncates each to half its size while it is in use, until both its reader and its writer have touched
    /// missing pages.
    fn truncate_in_use(&mut self) {
        for (name, writer, reader) in &self.held {
            let file = File::options().write(true).open(format!("/dev/shm/{}", &**name)).unwrap();
            let cut = |to: usize| file.set_len(to as u64).unwrap();
            let mut touched = false;
            for _ in 0..1000 {
                // Each checks the size now, and not again for a few milliseconds.
                let _ = (reader.read(0, &mut [0]), writer.read(0, &mut [0]));
                cut(SIZE / 2);
                for _ in 0..2 {
                    let read = reader.read(0, &mut self.bytes);
                    assert!(matches!(read, Err(Error::Truncated { .. } | Error::PageLost { .. })));
                    let written = writer.write(0, &self.bytes);
                    assert!(matches!(written, Err(Error::Truncated { .. } | Error::PageLost { .. })));
                }
                // Even with the old size, the touched pages stay lost.
                cut(SIZE);
                let is_lost =
                    |segment: &Segment| matches!(segment.read(0, &mut [0]), Err(Error::PageLost { .. }));
                if is_lost(reader) && is_lost(writer) {
                    touched = true;
                    break;
                }
            }
            assert!(touched, "the size told of the truncation each time");
        }
    }
}

/// Makes mappings until the system refuses one more.
fn use_up_mappings() -> usize {
    let mut count = 0;
    loop {
        // Two protections alternate, so that the system doesn't merge the mappings.
        let protection = if count % 2 == 0 { libc::PROT_READ } else { libc::PROT_NONE };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
        // SAFETY: with a null address, the system finds a free range.
        let at = unsafe { libc::mmap(ptr::null_mut(), PAGE, protection, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return count;
        }
        count += 1;
    }
}

fn try_limit(resource: libc::__rlimit_resource_t, bytes: u64) -> bool {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the call takes one `rlimit`.
    unsafe { libc::setrlimit(resource, &raw const limit) == 0 }
}

/// Returns a field of `/proc/self/status` that is in KiB, in bytes.
fn status(field: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<u64>().unwrap() * 1024
}

/// Makes the system refuse private memory from here on.
fn no_private_memory() {
    assert!(try_limit(libc::RLIMIT_DATA, 0));
    let (size, flags) = (PAGE, libc::MAP_PRIVATE | libc::MAP_ANON);
    // SAFETY: with a null address, the system finds a free range.
    let at = unsafe { libc::mmap(ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    assert_eq!(at, libc::MAP_FAILED, "the limit has no effect");
}

#[test]
fn a_truncation_at_the_limit_on_mappings_is_an_error() {
    in_another_process("limits::a_truncation_at_the_limit_on_mappings_is_an_error", || {
        let limit = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
        if limit.trim().parse::<u64>().unwrap() > 4_000_000 {
            eprintln!("skipped: {limit} mappings would take all of the memory");
            return;
        }
        let mut victims = Victims::new(3);
        let count = use_up_mappings();
        victims.truncate_in_use();
        eprintln!("truncated with {count} mappings more");
    });
}

#[test]
fn a_truncation_at_the_limit_on_data_is_an_error() {
    in_another_process("limits::a_truncation_at_the_limit_on_data_is_an_error", || {
        let mut victims = Victims::new(3);
        no_private_memory();
        victims.truncate_in_use();
    });
}

#[test]
fn another_file_under_the_sinks_descriptor_is_left_alone() {
    in_another_process("limits::another_file_under_the_sinks_descriptor_is_left_alone", || {
        let mut victims = Victims::new(3);
        // Some programs close all descriptors that they have inherited, and ours with them.
        let sink = sink_descriptor();
        let path = std::env::temp_dir().join(shm_segment::generate_name("limits").unwrap());
        fs::write(&path, [7; PAGE]).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        use std::os::fd::AsRawFd as _;
        // SAFETY: both descriptors are open, and the second one is replaced.
        assert!(unsafe { libc::dup2(file.as_raw_fd(), sink) } >= 0);
        no_private_memory();
        // Private pages, the last resort, are refused as well. So the process ends as without this crate.
        // SAFETY: the child makes system calls and copies, and leaves by `_exit` or by the signal.
        let child = unsafe { libc::fork() };
        if child == 0 {
            victims.truncate_in_use();
            // SAFETY: the call has no preconditions.
            unsafe { libc::_exit(0) };
        }
        let mut ended = 0;
        // SAFETY: the call writes one integer.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut ended, 0) }, child);
        assert!(libc::WIFSIGNALED(ended) && libc::WTERMSIG(ended) == libc::SIGBUS, "{ended:#x}");
        let mut there = [0; PAGE];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut there, 0).unwrap();
        assert_eq!(there, [7; PAGE]);
    });
}

/// Another program of this user can open the sink.
#[test]
fn the_sink_keeps_its_pages() {
    in_another_process("limits::the_sink_keeps_its_pages", || {
        let mut victims = Victims::new(1);
        let sink =
            File::options().read(true).write(true).open(format!("/proc/self/fd/{}", sink_descriptor()));
        let sink = sink.unwrap();
        for size in [0, 4096, 1 << 30] {
            assert!(sink.set_len(size).is_err(), "{size}");
        }
        victims.truncate_in_use();
    });
}

/// Returns the descriptor of the memory that stands in for lost pages.
fn sink_descriptor() -> i32 {
    let is_sink = |fd: &i32| {
        fs::read_link(format!("/proc/self/fd/{fd}"))
            .is_ok_and(|link| link.to_string_lossy().contains("shared_memory_sink"))
    };
    (3..256).find(is_sink).unwrap()
}

#[test]
fn a_truncation_of_locked_memory_is_an_error() {
    in_another_process("limits::a_truncation_of_locked_memory_is_an_error", || {
        // Where this is not allowed, the existing limit may do.
        let _ = try_limit(libc::RLIMIT_MEMLOCK, 1 << 30);
        drop_capability_to_lock();
        // SAFETY: the call takes flags only.
        let locked = unsafe { libc::mlockall(libc::MCL_FUTURE) };
        if locked != 0 {
            eprintln!("skipped: mlockall: {}", std::io::Error::last_os_error());
            return;
        }
        let limit_now = {
            let mut found = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: the call writes one `rlimit`.
            assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut found) }, 0);
            found.rlim_cur
        };
        if limit_now < 8 << 20 {
            eprintln!("skipped: RLIMIT_MEMLOCK is {limit_now} bytes");
            return;
        }
        let mut victims = Victims::new(1);
        assert!(try_limit(libc::RLIMIT_MEMLOCK, status("VmLck")));
        victims.truncate_in_use();
    });
}

#[test]
fn create_without_addresses_leaves_nothing() {
    in_another_process("limits::create_without_addresses_leaves_nothing", || {
        let places: Vec<Place> = BACKENDS.into_iter().map(Place::new).collect();
        let warm_up: Vec<_> = places.iter().map(|place| create(place, 1)).collect();
        assert!(warm_up.iter().all(Result::is_ok), "{warm_up:?}");
        drop(warm_up);
        let _ = places[1].options().remove();
        assert!(try_limit(libc::RLIMIT_AS, status("VmSize") + (64 << 20)));
        for place in &places {
            let made = create(place, 128 << 20);
            assert!(matches!(made, Err(Error::OutOfMemory { .. })), "{:?}: {made:?}", place.backend);
            assert!(!place.options().exists(), "{:?}", place.backend);
        }
    });
}

fn create(place: &Place, size: u64) -> shm_segment::Result<Segment> {
    place.options().create(size)
}

/// The system reports it with the same error as a lease (`EAGAIN`).
#[test]
fn no_room_for_locked_memory_is_not_a_lease() {
    in_another_process("limits::no_room_for_locked_memory_is_not_a_lease", || {
        let places: Vec<Place> = BACKENDS.into_iter().map(Place::new).collect();
        let held: Vec<_> = places.iter().map(|place| create(place, 1 << 20).unwrap()).collect();
        drop_capability_to_lock();
        // SAFETY: the call takes flags only.
        if unsafe { libc::mlockall(libc::MCL_FUTURE) } != 0 {
            eprintln!("skipped: mlockall: {}", std::io::Error::last_os_error());
            return;
        }
        assert!(try_limit(libc::RLIMIT_MEMLOCK, status("VmLck")));
        for place in &places {
            let opened = place.options().open(0, Access::ReadWrite);
            assert!(matches!(opened, Err(Error::System { .. })), "{:?}: {opened:?}", place.backend);
            let made = create(&Place::new(place.backend), 1 << 20);
            assert!(matches!(made, Err(Error::OutOfMemory { .. })), "{:?}: {made:?}", place.backend);
        }
        drop(held);
    });
}

/// Drops the capability that lifts the limit on locked memory (`capabilities(7)`, `CAP_IPC_LOCK`).
fn drop_capability_to_lock() {
    const VERSION_3: u32 = 0x2008_0522;
    const IPC_LOCK: u32 = 14;
    #[repr(C)]
    struct Header {
        version: u32,
        process: i32,
    }
    let header = Header { version: VERSION_3, process: 0 };
    let mut sets = [[0_u32; 3]; 2];
    // SAFETY: the header is of version 3, for which the calls use three sets of two words (`capget(2)`).
    unsafe {
        assert_eq!(libc::syscall(libc::SYS_capget, &raw const header, sets.as_mut_ptr()), 0);
        for set in &mut sets[0] {
            *set &= !(1 << IPC_LOCK);
        }
        assert_eq!(libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()), 0);
    }
}

/// A changed setting of the whole system, which is restored at the end.
struct Setting(&'static str, String);

impl Setting {
    fn change(path: &'static str, value: &str) -> Self {
        let before = fs::read_to_string(path).unwrap();
        fs::write(path, value).unwrap();
        Self(path, before)
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = fs::write(self.0, &self.1);
    }
}

#[test]
#[ignore = "changes a system setting; as root: cargo test -p shm-segment --test it -- --ignored limits"]
fn a_truncation_where_all_memory_is_committed_is_an_error() {
    in_another_process("limits::a_truncation_where_all_memory_is_committed_is_an_error", || {
        let mut victims = Victims::new(3);
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
        let committed = meminfo.lines().find_map(|line| line.strip_prefix("Committed_AS:")).unwrap();
        let committed: u64 = committed.trim_matches([' ', 'k', 'B']).parse().unwrap();
        // Setting one of the two sets the other to 0, so the one that is not 0 is restored last.
        const RATIO: &str = "/proc/sys/vm/overcommit_ratio";
        let ratio = fs::read_to_string(RATIO).unwrap();
        let _ratio = (ratio.trim() != "0").then(|| Setting::change(RATIO, &ratio));
        // This process takes all of the room that is left.
        let _limit = Setting::change("/proc/sys/vm/overcommit_kbytes", &(committed + 200_000).to_string());
        let _admin = Setting::change("/proc/sys/vm/admin_reserve_kbytes", "0");
        let _user = Setting::change("/proc/sys/vm/user_reserve_kbytes", "0");
        let _mode = Setting::change("/proc/sys/vm/overcommit_memory", "2");
        let mut size = 1 << 30;
        while size >= PAGE {
            let (access, flags) = (
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE,
            );
            // SAFETY: with a null address, the system finds a free range.
            if unsafe { libc::mmap(ptr::null_mut(), size, access, flags, -1, 0) } == libc::MAP_FAILED {
                size /= 2;
            }
        }
        victims.truncate_in_use();
    });
}
