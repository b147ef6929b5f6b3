//! Locks under a name, between four objects, compared with a model that is written from `docs/FORMAT.md`. In
//! other runs, a peer changes any word, and each call ends with a result or an error.

use std::time::Duration;

use arbitrary::Arbitrary;
use shm_segment::layout::Error;
use shm_segment::layout::native::Lock;
use shm_segment::{Access, Options, Scope, Segment};

use crate::planted::{NO_WAIT, run_beside};
use crate::scratch::{Scratch, in_bounded_time};

/// The calls of the objects, and the stores of a peer.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    stores: Vec<(u16, u32)>,
    calls: Vec<(u8, Call)>,
}

#[derive(Debug, Arbitrary)]
enum Call {
    Open {
        index: u8,
    },
    Lock {
        wait: bool,
    },
    Unlock,
    Close,
    Look,
    /// A process dies with the lock of this object.
    Death,
}

const OBJECTS: usize = 4;
const SIZE: u64 = 8448;
/// A wait that takes its time.
const SHORT: Duration = Duration::from_micros(50);

/// An object, as the model has it.
struct Object {
    lock: Lock,
    index: usize,
    /// It holds the lock. True inside if the holder before has died.
    held: Option<bool>,
}

struct Model<'a> {
    name: &'a str,
    objects: [Option<Object>; OBJECTS],
    /// The memory, if the name leads to any.
    memory: Option<Segment>,
    dirty: [bool; 64],
}

impl Plan {
    /// Runs the plan.
    pub fn run(self) {
        let scratch = Scratch::new("locks");
        let objects = [None, None, None, None];
        let mut model = Model { name: &scratch.name, objects, memory: None, dirty: [false; 64] };
        if self.stores.is_empty() {
            return in_bounded_time(|| {
                for (number, (object, call)) in self.calls.iter().take(200).enumerate() {
                    let timeout = if number < 20 { SHORT } else { NO_WAIT };
                    model.make(usize::from(*object) % OBJECTS, call, timeout);
                    model.check_words();
                }
            });
        }
        // It keeps the name, whichever object closes.
        let keeper = Lock::open(&scratch.name, 0, Scope::Local).unwrap();
        let peer = Options::new(&scratch.name).open(0, Access::ReadWrite).unwrap();
        let store = || {
            for (at, value) in self.stores.iter().take(32) {
                // Mostly the header and the lines of the first locks.
                let word = if at % 4 == 0 { u64::from(*at) % (SIZE / 4) } else { u64::from(*at) % 128 };
                peer.store_u32(word * 4, *value).unwrap();
            }
        };
        let mut opened = 0;
        run_beside(store, || {
            for (object, call) in self.calls.iter().take(60) {
                in_bounded_time(|| model.disturbed(usize::from(*object) % OBJECTS, call, &mut opened));
            }
        });
        drop(model);
        drop(keeper);
    }
}

impl Model<'_> {
    fn make(&mut self, at: usize, call: &Call, timeout: Duration) {
        if let Call::Open { index } = call {
            return self.open(at, usize::from(*index) % 68);
        }
        let Some(object) = &self.objects[at] else { return };
        let index = object.index;
        let is_held = object.held.is_some();
        let is_others = !is_held && self.is_held(index);
        match call {
            Call::Open { .. } => unreachable!(),
            Call::Lock { wait } => {
                let timeout = if *wait { timeout } else { NO_WAIT };
                match object.lock.lock(timeout) {
                    Ok(()) => {
                        assert!(!is_held && !is_others);
                        assert_eq!(object.lock.was_abandoned(), self.dirty[index]);
                        let held = Some(self.dirty[index]);
                        self.dirty[index] = true;
                        self.objects[at].as_mut().unwrap().held = held;
                    }
                    Err(Error::LockHeld) => assert!(is_held),
                    Err(Error::Locked) => assert!(is_others && timeout.is_zero()),
                    Err(Error::WaitTimedOut { .. }) => assert!(is_others && !timeout.is_zero()),
                    Err(error) => panic!("{error}"),
                }
            }
            Call::Unlock => match object.lock.unlock() {
                Ok(()) => {
                    assert!(is_held);
                    self.dirty[index] = false;
                    self.objects[at].as_mut().unwrap().held = None;
                }
                Err(Error::LockNotHeld) => assert!(!is_held),
                Err(error) => panic!("{error}"),
            },
            Call::Close => {
                self.dirty[index] &= !is_held;
                object.lock.close();
                assert!(matches!(object.lock.lock(NO_WAIT), Err(Error::Stopped)));
                self.objects[at] = None;
                self.forget();
            }
            Call::Look => {
                assert_eq!(object.lock.is_locked().unwrap(), is_held || is_others);
                assert_eq!(object.lock.was_abandoned(), object.held == Some(true));
            }
            Call::Death if is_held || is_others => {}
            Call::Death => {
                self.dirty[index] = true;
                let memory = self.memory.as_ref().unwrap();
                memory.store_u32(256 + 128 * index as u64 + 8, 1).unwrap();
            }
        }
    }

    fn is_held(&self, index: usize) -> bool {
        self.objects.iter().flatten().any(|object| object.index == index && object.held.is_some())
    }

    fn open(&mut self, at: usize, index: usize) {
        if self.objects[at].is_some() {
            return;
        }
        match Lock::open(self.name, index as u8, Scope::Local) {
            Ok(lock) => {
                assert!(index < 64);
                self.objects[at] = Some(Object { lock, index, held: None });
                let open = || Options::new(self.name).open(0, Access::ReadWrite).unwrap();
                self.memory.get_or_insert_with(open);
            }
            Err(Error::InvalidCount { .. }) => assert!(index >= 64),
            Err(error) => panic!("{error}"),
        }
    }

    /// The last object removes the name, unless a death is to be told.
    fn forget(&mut self) {
        let is_used = self.objects.iter().any(Option::is_some) || self.dirty.contains(&true);
        assert_eq!(Options::new(self.name).exists(), is_used);
        if !is_used {
            self.memory = None;
        }
    }

    /// Checks the words that the format promises between two calls.
    fn check_words(&self) {
        let Some(memory) = &self.memory else { return };
        for (index, is_dirty) in self.dirty.iter().enumerate() {
            let dirty = memory.load_u32(256 + 128 * index as u64 + 8).unwrap();
            assert_eq!(dirty, u32::from(*is_dirty), "lock {index}");
        }
    }

    /// Does a call while a peer changes the memory.
    fn disturbed(&mut self, at: usize, call: &Call, opened: &mut u32) {
        let result = match (call, &self.objects[at]) {
            (Call::Open { index }, None) => {
                *opened += 1;
                // That takes a while if it is impossible.
                if *opened > 6 {
                    return;
                }
                Lock::open(self.name, index % 64, Scope::Local).map(|lock| {
                    let index = usize::from(index % 64);
                    self.objects[at] = Some(Object { lock, index, held: None });
                })
            }
            (_, None) | (Call::Open { .. } | Call::Death, _) => return,
            (Call::Lock { wait }, Some(object)) => object.lock.lock(if *wait { SHORT } else { NO_WAIT }),
            (Call::Unlock, Some(object)) => object.lock.unlock(),
            (Call::Look, Some(object)) => object.lock.is_locked().map(drop),
            (Call::Close, Some(object)) => {
                object.lock.close();
                self.objects[at] = None;
                return;
            }
        };
        match result {
            Err(error @ (Error::Segment(_) | Error::OutOfMemory { .. })) => panic!("{error:?}"),
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(()) => {}
        }
    }
}
