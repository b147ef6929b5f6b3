//! Any calls in any order, beside a model of what they must do.
//!
//! Once a peer has truncated a file, only this is certain: what was out of bounds still is, and nothing but the
//! documented errors comes.

use std::cell::RefCell;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;

use arbitrary::Arbitrary;
use shm_segment::{Access, Error, Lifetime, Options, Segment};

use crate::scratch::{Scratch, in_bounded_time};

/// The calls.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    steps: Vec<Step>,
}

/// `name` and `which` count modulo what there is.
#[derive(Debug, Arbitrary)]
enum Step {
    Create {
        name: u8,
        size: Size,
        persistent: bool,
    },
    Open {
        name: u8,
        size: u16,
        read_only: bool,
    },
    OpenOrCreate {
        name: u8,
        size: u16,
        persistent: bool,
    },
    Read {
        which: u8,
        offset: Number,
        length: u16,
    },
    Write {
        which: u8,
        offset: Number,
        length: u16,
        byte: u8,
    },
    Fill {
        which: u8,
        offset: Number,
        length: Number,
        byte: u8,
    },
    SetLifetime {
        which: u8,
        persistent: bool,
    },
    Unlink {
        which: u8,
    },
    ReleaseName {
        which: u8,
    },
    Close {
        which: u8,
    },
    Remove {
        name: u8,
    },
    /// By a peer, from here on.
    Truncate {
        name: u8,
        size: u16,
    },
    Plant {
        name: u8,
        size: u16,
        marked: bool,
    },
}

#[derive(Debug, Arbitrary)]
enum Size {
    Small(u16),
    /// More than any machine has.
    Huge(u16),
    Any(u64),
}

#[derive(Debug, Arbitrary)]
enum Number {
    Small(u16),
    /// From the end of the segment on.
    NearEnd(i8),
    Any(u64),
}

impl Number {
    fn of(&self, size: u64) -> u64 {
        match *self {
            Self::Small(n) => n.into(),
            Self::NearEnd(n) => size.wrapping_add_signed(n.into()),
            Self::Any(n) => n,
        }
    }
}

/// What is behind a name, as it should be.
struct Content {
    bytes: Vec<u8>,
    is_marked: bool,
    is_truncated: bool,
}

type Shared = Rc<RefCell<Content>>;

struct Held {
    segment: Segment,
    content: Shared,
    name: usize,
    size: u64,
    lifetime: Lifetime,
    name_released: bool,
}

struct World {
    scratch: [Scratch; 2],
    names: [Option<Shared>; 2],
    held: Vec<Held>,
}

impl Plan {
    /// Does it.
    pub fn run(self) {
        let mut world = World {
            scratch: [Scratch::new("first"), Scratch::new("second")],
            names: [None, None],
            held: Vec::new(),
        };
        for step in self.steps.iter().take(40) {
            in_bounded_time(|| world.step(step));
            world.check();
        }
        while !world.held.is_empty() {
            world.close(0);
            world.check();
        }
    }
}

impl World {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Create { name, ref size, persistent } => {
                let name = usize::from(name) % 2;
                let size = match *size {
                    Size::Small(size) => size.into(),
                    Size::Huge(more) => (1 << 50) + u64::from(more),
                    // What a machine may have is left out: it would be made.
                    Size::Any(size) if (1 << 17..1 << 48).contains(&size) => return,
                    Size::Any(size) => size,
                };
                let lifetime = lifetime(persistent);
                let result = Options::new(&self.scratch[name].name).lifetime(lifetime).create(size);
                self.created(name, size, lifetime, result);
            }
            Step::Open { name, size, read_only } => {
                let name = usize::from(name) % 2;
                let access = if read_only { Access::ReadOnly } else { Access::ReadWrite };
                let result = Options::new(&self.scratch[name].name).open(size.into(), access);
                self.opened(name, size.into(), result);
            }
            Step::OpenOrCreate { name, size, persistent } => {
                let (name, lifetime) = (usize::from(name) % 2, lifetime(persistent));
                let size = u64::from(size).max(1);
                let result = Options::new(&self.scratch[name].name).lifetime(lifetime).open_or_create(size);
                if self.is_free(name) {
                    self.created(name, size, lifetime, result);
                } else {
                    self.opened(name, size, result);
                }
            }
            Step::Read { which, ref offset, length } => {
                let Some(held) = self.at(which) else { return };
                let offset = offset.of(held.size);
                let mut into = vec![0xEE; length.into()];
                let result = held.segment.read(offset, &mut into);
                if let Some(range) = held.check_access(&result, offset, length.into(), false) {
                    assert_eq!(into, held.content.borrow().bytes[range]);
                } else if matches!(result, Err(Error::OutOfBounds { .. })) {
                    assert!(into.iter().all(|byte| *byte == 0xEE));
                }
            }
            Step::Write { which, ref offset, length, byte } => {
                let Some(held) = self.at(which) else { return };
                let offset = offset.of(held.size);
                let from: Vec<u8> = (0..length).map(|i| byte.wrapping_add(i as u8)).collect();
                let result = held.segment.write(offset, &from);
                if let Some(range) = held.check_access(&result, offset, length.into(), true) {
                    held.content.borrow_mut().bytes[range].copy_from_slice(&from);
                }
            }
            Step::Fill { which, ref offset, ref length, byte } => {
                let Some(held) = self.at(which) else { return };
                let (offset, length) = (offset.of(held.size), length.of(held.size));
                let result = held.segment.fill(offset, length, byte);
                if let Some(range) = held.check_access(&result, offset, length, true) {
                    held.content.borrow_mut().bytes[range].fill(byte);
                }
            }
            Step::SetLifetime { which, persistent } => {
                let Some(held) = self.at(which) else { return };
                held.segment.set_lifetime(lifetime(persistent)).unwrap();
                if held.segment.is_created() {
                    held.lifetime = lifetime(persistent);
                    held.content.borrow_mut().is_marked = !persistent;
                }
            }
            Step::Unlink { which } => {
                let Some(held) = self.at(which) else { return };
                held.segment.name().unlink().unwrap();
                let (name, content) = (held.name, Rc::clone(&held.content));
                self.forget(name, &content);
            }
            Step::ReleaseName { which } => {
                let Some(which) = self.index(which) else { return };
                self.held[which].segment.release_name();
                self.released(which);
            }
            Step::Close { which } => {
                let Some(which) = self.index(which) else { return };
                self.close(which);
            }
            Step::Remove { name } => {
                let name = usize::from(name) % 2;
                match Options::new(&self.scratch[name].name).remove() {
                    Ok(()) => assert!(self.names[name].take().is_some()),
                    Err(Error::DoesNotExist { .. }) => assert!(self.names[name].is_none()),
                    Err(other) => panic!("{other:?}"),
                }
            }
            Step::Truncate { name, size } => {
                let name = usize::from(name) % 2;
                let Some(content) = &self.names[name] else { return };
                let file = File::options().write(true).open(self.scratch[name].path()).unwrap();
                file.set_len(size.into()).unwrap();
                let mut content = content.borrow_mut();
                content.is_truncated |= usize::from(size) < content.bytes.len();
                content.bytes.resize(size.into(), 0);
            }
            Step::Plant { name, size, marked } => {
                let name = usize::from(name) % 2;
                if self.names[name].is_some() {
                    return;
                }
                let path = self.scratch[name].path();
                let bytes = vec![0x5A; size.into()];
                fs::write(&path, &bytes).unwrap();
                let mode = if marked { 0o1600 } else { 0o600 };
                fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
                self.names[name] =
                    Some(Rc::new(RefCell::new(Content { bytes, is_marked: marked, is_truncated: false })));
            }
        }
    }

    fn index(&self, which: u8) -> Option<usize> {
        usize::from(which).checked_rem(self.held.len())
    }

    fn at(&mut self, which: u8) -> Option<&mut Held> {
        self.index(which).map(|which| &mut self.held[which])
    }

    /// Would a creator get the name?
    fn is_free(&self, name: usize) -> bool {
        self.names[name].as_ref().is_none_or(|content| {
            let lives = self.held.iter().any(|held| held.segment.is_created() && held.is(content));
            content.borrow().is_marked && !lives
        })
    }

    fn created(&mut self, name: usize, size: u64, lifetime: Lifetime, result: Result<Segment, Error>) {
        let segment = match result {
            Ok(segment) => segment,
            Err(Error::InvalidSize { .. }) => return assert!(size == 0 || size > i64::MAX as u64),
            Err(Error::AlreadyExists { .. }) => return assert!(!self.is_free(name)),
            Err(Error::OutOfMemory { .. }) => {
                assert!(self.is_free(name) && size >= 1 << 48);
                // What a dead owner left is gone all the same.
                self.names[name] = None;
                return;
            }
            Err(other) => panic!("{other:?}"),
        };
        assert!(segment.is_created() && self.is_free(name));
        let bytes = vec![0; usize::try_from(size).unwrap()];
        let is_marked = lifetime == Lifetime::Owner;
        let content = Rc::new(RefCell::new(Content { bytes, is_marked, is_truncated: false }));
        self.names[name] = Some(Rc::clone(&content));
        self.held.push(Held { segment, content, name, size, lifetime, name_released: false });
    }

    fn opened(&mut self, name: usize, wanted: u64, result: Result<Segment, Error>) {
        let there = self.names[name].as_ref().map(|content| content.borrow().bytes.len() as u64);
        match result {
            Ok(segment) => {
                let content = Rc::clone(self.names[name].as_ref().unwrap());
                assert!(!segment.is_created());
                let size = if wanted == 0 { there.unwrap() } else { wanted };
                let lifetime = Lifetime::Persistent;
                self.held.push(Held { segment, content, name, size, lifetime, name_released: false });
            }
            Err(Error::DoesNotExist { .. }) => assert_eq!(there, None),
            Err(Error::NotSizedYet { .. }) => assert_eq!(there, Some(0)),
            Err(Error::TooSmall { actual, requested, .. }) => {
                assert!(Some(actual) == there && requested == wanted && wanted > actual);
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn forget(&mut self, name: usize, content: &Shared) {
        if self.names[name].as_ref().is_some_and(|there| Rc::ptr_eq(there, content)) {
            self.names[name] = None;
        }
    }

    fn released(&mut self, which: usize) {
        let held = &mut self.held[which];
        if held.segment.is_created() && held.lifetime == Lifetime::Owner && !held.name_released {
            held.name_released = true;
            let (name, content) = (held.name, Rc::clone(&held.content));
            self.forget(name, &content);
        }
    }

    fn close(&mut self, which: usize) {
        self.released(which);
        self.held.swap_remove(which);
    }

    fn check(&self) {
        for (scratch, content) in self.scratch.iter().zip(&self.names) {
            assert_eq!(Options::new(&scratch.name).exists(), content.is_some());
        }
        for held in &self.held {
            assert_eq!(held.segment.size(), held.size);
            let is_current = self.names[held.name].as_ref().is_some_and(|content| held.is(content));
            assert_eq!(held.segment.name().is_current(), is_current);
            assert_eq!(held.segment.mapped_size().unwrap(), held.content.borrow().bytes.len() as u64);
        }
    }
}

fn lifetime(persistent: bool) -> Lifetime {
    if persistent { Lifetime::Persistent } else { Lifetime::Owner }
}

impl Held {
    fn is(&self, content: &Shared) -> bool {
        Rc::ptr_eq(&self.content, content)
    }

    /// Where in the content the access took place, if it did and the content is known.
    fn check_access(
        &self,
        result: &Result<(), Error>,
        offset: u64,
        length: u64,
        writes: bool,
    ) -> Option<std::ops::Range<usize>> {
        let is_truncated = self.content.borrow().is_truncated;
        let fits = offset.checked_add(length).is_some_and(|end| end <= self.size);
        let may_write = self.segment.access() == Access::ReadWrite;
        match result {
            Ok(()) => {
                assert!(fits && (may_write || !writes), "{offset} {length}");
                // Where there is no page, nothing was copied.
                let there = (self.content.borrow().bytes.len() as u64).next_multiple_of(4096);
                assert!(length == 0 || offset + length <= there, "a wrong OK");
                let range = usize::try_from(offset).unwrap()..usize::try_from(offset + length).unwrap();
                (!is_truncated).then_some(range)
            }
            Err(Error::ReadOnly { .. }) => {
                assert!(writes && !may_write);
                None
            }
            Err(Error::OutOfBounds { .. }) => {
                assert!(!fits);
                None
            }
            Err(Error::Truncated { .. } | Error::PageLost { .. }) => {
                assert!(is_truncated);
                None
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}
