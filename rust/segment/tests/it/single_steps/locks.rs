//! A process opens, locks, unlocks and closes, an instruction at a time. After each, the kernel's lock and
//! the words agree. Killed at any of them, it leaves a lock that another process takes, with what
//! `docs/FORMAT.md` tells of its death.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use super::stepper::{is_thorough, kill_at, step};
use crate::common::Name;
use crate::common::random::Random;
use shm_segment::layout::native::Lock;
use shm_segment::{Access, Options, Scope, Segment};

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(2);

/// The line of lock 0.
const WANTED: u64 = 0x100;
const BELL: u64 = 0x104;
const DIRTY: u64 = 0x108;

/// The progress of the process, as it tells itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Phase {
    Opening,
    Locking,
    Inside,
    Unlocking,
    Closing,
    Closed,
}

impl Phase {
    const ALL: [Self; 6] =
        [Self::Opening, Self::Locking, Self::Inside, Self::Unlocking, Self::Closing, Self::Closed];
}

/// A program, or a fault of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// This crate's.
    Ours,
    /// Written here, by `docs/FORMAT.md`.
    ByFormat,
    SetsDirtyBeforeLocking,
    SetsDirtyLate,
    CleansLate,
    NeverCleans,
    RingsBeforeUnlocking,
    NeverRings,
}

impl Program {
    pub(super) const FAULTS: [Self; 6] = [
        Self::SetsDirtyBeforeLocking,
        Self::SetsDirtyLate,
        Self::CleansLate,
        Self::NeverCleans,
        Self::RingsBeforeUnlocking,
        Self::NeverRings,
    ];
}

/// The name of a lock, and the memory in which the process tells its phase.
struct Place {
    name: Name,
    told: Segment,
    _told: Name,
}

impl Place {
    fn new() -> Self {
        let (name, told) = (Name::new(), Name::new());
        Self { name, told: Options::new(&told).create(4096).unwrap(), _told: told }
    }

    fn open(&self) -> Lock {
        Lock::open(&self.name, 0, Scope::Local).unwrap()
    }

    fn memory(&self) -> Segment {
        Options::new(&self.name).open(0, Access::ReadWrite).unwrap()
    }

    fn tell(&self, phase: Phase) {
        self.told.store_u32(0, phase as u32).unwrap();
    }

    fn phase(&self) -> Phase {
        Phase::ALL[self.told.load_u32(0).unwrap() as usize]
    }

    fn run(&self, program: Program) {
        if program != Program::Ours {
            return self.run_by_format(program);
        }
        let lock = self.open();
        self.tell(Phase::Locking);
        lock.lock(NOW).unwrap();
        self.tell(Phase::Inside);
        self.tell(Phase::Unlocking);
        lock.unlock().unwrap();
        self.tell(Phase::Closing);
        drop(lock);
        self.tell(Phase::Closed);
    }

    /// The memory is laid out already, and another process keeps its name.
    fn run_by_format(&self, program: Program) {
        use Program as P;
        let file = File::options().read(true).write(true).open(self.name.path()).unwrap();
        let set = |kind: i32| {
            let lock = libc::flock {
                l_type: kind as _,
                l_whence: 0,
                l_start: (1 << 62) + 4 + 2 * 144,
                l_len: 1,
                l_pid: 0,
            };
            // SAFETY: the descriptor is open, and the lock lives until the call returns.
            assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }, 0);
        };
        let memory = self.memory();
        let store = |at, value| memory.store_u32(at, value).unwrap();
        let ring = || {
            if memory.load_u32(WANTED).unwrap() != 0 {
                store(WANTED, 0);
                memory.fetch_add_u32(BELL, 1).unwrap();
                memory.notify_u32(BELL).unwrap();
            }
        };
        self.tell(Phase::Locking);
        if program == P::SetsDirtyBeforeLocking {
            store(DIRTY, 1);
        }
        set(libc::F_WRLCK);
        if program != P::SetsDirtyLate {
            store(DIRTY, 1);
        }
        self.tell(Phase::Inside);
        store(DIRTY, 1);
        self.tell(Phase::Unlocking);
        if program == P::RingsBeforeUnlocking {
            ring();
        }
        if !matches!(program, P::CleansLate | P::NeverCleans) {
            store(DIRTY, 0);
        }
        set(libc::F_UNLCK);
        if program == P::CleansLate {
            store(DIRTY, 0);
        }
        if program != P::NeverRings {
            ring();
        }
        self.tell(Phase::Closing);
        self.tell(Phase::Closed);
    }
}

/// Runs a program while another process has the lock open. Returns the instructions.
pub(super) fn run_beside_another(program: Program) -> u64 {
    let place = Place::new();
    let watcher = place.open();
    let memory = place.memory();
    // A process that waits, or has died while it waited.
    memory.store_u32(WANTED, 1).unwrap();
    let look = |_| {
        let phase = place.phase();
        let [wanted, bell, dirty] = [WANTED, BELL, DIRTY].map(|at| memory.load_u32(at).unwrap());
        let is_locked = watcher.is_locked().unwrap();
        assert!(dirty == 0 || is_locked, "dirty, but not locked: {phase:?}");
        match phase {
            Phase::Opening => assert!(!is_locked),
            Phase::Locking => {}
            Phase::Inside => assert!(is_locked && dirty == 1, "inside, but not both"),
            Phase::Unlocking => assert!(bell == 0 || !is_locked, "it rings before it unlocks"),
            Phase::Closing | Phase::Closed => {
                assert!(!is_locked && dirty == 0);
                assert!(wanted == 0 && bell == 1, "the waiting process was not woken");
            }
        }
    };
    step(|| place.run(program), drop, look)
}

/// Runs the program alone, so that it makes the memory and removes the name. Returns the instructions, or a
/// usual number of them without running it: that takes many seconds.
pub(super) fn run_alone() -> u64 {
    if !is_thorough() {
        return 430_000;
    }
    let place = Place::new();
    let look = |_| {
        let phase = place.phase();
        let is_there = place.name.is_there();
        assert!(is_there || matches!(phase, Phase::Opening | Phase::Closing | Phase::Closed));
        assert!(!is_there || phase != Phase::Closed);
    };
    step(|| place.run(Program::Ours), drop, look)
}

/// Kills the program after this many of its instructions.
fn kill(at: u64, is_alone: bool) {
    let place = Place::new();
    let other = (!is_alone).then(|| place.open());
    kill_at(|| place.run(Program::Ours), at);
    let phase = place.phase();
    let ours = place.open();
    ours.lock(LONG).unwrap();
    let was_told = ours.was_abandoned();
    match phase {
        Phase::Inside => assert!(was_told, "a death inside was not told"),
        Phase::Locking | Phase::Unlocking => {}
        _ => assert!(!was_told, "a death in {phase:?} was told"),
    }
    ours.unlock().unwrap();
    ours.lock(NOW).unwrap();
    assert!(!ours.was_abandoned(), "it was told twice");
    drop((ours, other));
    assert!(!place.name.is_there(), "the name is left after a death in {phase:?}");
}

/// Kills the program at some of its instructions.
pub(super) fn kills(steps: u64, is_alone: bool) {
    let mut random = Random::new();
    let number = if is_thorough() { 10_000_000 } else { 500_000 } / steps;
    for _ in 0..number.max(2) {
        kill(random.below(steps), is_alone);
    }
}
