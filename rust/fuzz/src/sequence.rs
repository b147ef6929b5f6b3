//! Any calls in any order, compared with a model.
//!
//! After a peer has truncated a file, less is certain: an access out of bounds still fails, and all errors
//! are documented ones.

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

/// A call. `name` and `which` are indices, modulo the number of names and of open segments.
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
    /// The peer's steps are this one and the next.
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
    /// More than any machine's memory.
    Huge(u16),
    Any(u64),
}

#[derive(Debug, Arbitrary)]
enum Number {
    Small(u16),
    /// The segment's size plus this number.
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

/// The expected file under a name.
struct Content {
    bytes: Vec<u8>,
    is_marked: bool,
    is_truncated: bool,
}

type Shared = Rc<RefCell<Content>>;

struct OpenSegment {
    segment: Segment,
    content: Shared,
    name: usize,
    size: u64,
    lifetime: Lifetime,
    name_released: bool,
}

struct Model {
    scratch: [Scratch; 2],
    names: [Option<Shared>; 2],
    segments: Vec<OpenSegment>,
}

impl Plan {
    /// Runs the plan.
    pub fn run(self) {
        let mut model = Model {
            scratch: [Scratch::new("first"), Scratch::new("second")],
            names: [None, None],
            segments: Vec::new(),
        };
        for step in self.steps.iter().take(40) {
            in_bounded_time(|| model.step(step));
            model.check();
        }
        while !model.segments.is_empty() {
            model.close(0);
            model.check();
        }
    }
}

impl Model {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Create { name, ref size, persistent } => {
                let name = usize::from(name) % 2;
                let size = match *size {
                    Size::Small(size) => size.into(),
                    Size::Huge(more) => (1 << 50) + u64::from(more),
                    // Left out, as a machine may have the memory for it.
                    Size::Any(size) if (1 << 17..1 << 48).contains(&size) => return,
                    Size::Any(size) => size,
                };
                let lifetime = lifetime(persistent);
                let result = Options::new(&self.scratch[name].name).lifetime(lifetime).create(size);
                self.check_created(name, size, lifetime, result);
            }
            Step::Open { name, size, read_only } => {
                let name = usize::from(name) % 2;
                let access = if read_only { Access::ReadOnly } else { Access::ReadWrite };
                let result = Options::new(&self.scratch[name].name).open(size.into(), access);
                self.check_opened(name, size.into(), result);
            }
            Step::OpenOrCreate { name, size, persistent } => {
                let (name, lifetime) = (usize::from(name) % 2, lifetime(persistent));
                let size = u64::from(size).max(1);
                let result = Options::new(&self.scratch[name].name).lifetime(lifetime).open_or_create(size);
                if self.is_free(name) {
                    self.check_created(name, size, lifetime, result);
                } else {
                    self.check_opened(name, size, result);
                }
            }
            Step::Read { which, ref offset, length } => {
                let Some(open) = self.segment_mut(which) else { return };
                let offset = offset.of(open.size);
                let mut into = vec![0xEE; length.into()];
                let result = open.segment.read(offset, &mut into);
                if let Some(range) = open.check_access(&result, offset, length.into(), false) {
                    assert_eq!(into, open.content.borrow().bytes[range]);
                } else if matches!(result, Err(Error::OutOfBounds { .. })) {
                    assert!(into.iter().all(|byte| *byte == 0xEE));
                }
            }
            Step::Write { which, ref offset, length, byte } => {
                let Some(open) = self.segment_mut(which) else { return };
                let offset = offset.of(open.size);
                let from: Vec<u8> = (0..length).map(|i| byte.wrapping_add(i as u8)).collect();
                let result = open.segment.write(offset, &from);
                if let Some(range) = open.check_access(&result, offset, length.into(), true) {
                    open.content.borrow_mut().bytes[range].copy_from_slice(&from);
                }
            }
            Step::Fill { which, ref offset, ref length, byte } => {
                let Some(open) = self.segment_mut(which) else { return };
                let (offset, length) = (offset.of(open.size), length.of(open.size));
                let result = open.segment.fill(offset, length, byte);
                if let Some(range) = open.check_access(&result, offset, length, true) {
                    open.content.borrow_mut().bytes[range].fill(byte);
                }
            }
            Step::SetLifetime { which, persistent } => {
                let Some(open) = self.segment_mut(which) else { return };
                open.segment.set_lifetime(lifetime(persistent)).unwrap();
                if open.segment.is_created() {
                    open.lifetime = lifetime(persistent);
                    open.content.borrow_mut().is_marked = !persistent;
                }
            }
            Step::Unlink { which } => {
                let Some(open) = self.segment_mut(which) else { return };
                open.segment.name().unlink().unwrap();
                let (name, content) = (open.name, Rc::clone(&open.content));
                self.forget(name, &content);
            }
            Step::ReleaseName { which } => {
                let Some(which) = self.index(which) else { return };
                self.segments[which].segment.release_name();
                self.expect_release(which);
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
        usize::from(which).checked_rem(self.segments.len())
    }

    fn segment_mut(&mut self, which: u8) -> Option<&mut OpenSegment> {
        self.index(which).map(|which| &mut self.segments[which])
    }

    /// Returns whether a creator would get the name.
    fn is_free(&self, name: usize) -> bool {
        self.names[name].as_ref().is_none_or(|content| {
            let owner_lives = self.segments.iter().any(|open| open.segment.is_created() && open.is(content));
            content.borrow().is_marked && !owner_lives
        })
    }

    fn check_created(&mut self, name: usize, size: u64, lifetime: Lifetime, result: Result<Segment, Error>) {
        let segment = match result {
            Ok(segment) => segment,
            Err(Error::InvalidSize { .. }) => return assert!(size == 0 || size > i64::MAX as u64),
            Err(Error::AlreadyExists { .. }) => return assert!(!self.is_free(name)),
            Err(Error::OutOfMemory { .. }) => {
                assert!(self.is_free(name) && size >= 1 << 48);
                // A dead owner's segment is removed even then.
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
        self.segments.push(OpenSegment { segment, content, name, size, lifetime, name_released: false });
    }

    fn check_opened(&mut self, name: usize, requested_size: u64, result: Result<Segment, Error>) {
        let size_now = self.names[name].as_ref().map(|content| content.borrow().bytes.len() as u64);
        match result {
            Ok(segment) => {
                let content = Rc::clone(self.names[name].as_ref().unwrap());
                assert!(!segment.is_created());
                let size = if requested_size == 0 { size_now.unwrap() } else { requested_size };
                let lifetime = Lifetime::Persistent;
                self.segments.push(OpenSegment {
                    segment,
                    content,
                    name,
                    size,
                    lifetime,
                    name_released: false,
                });
            }
            Err(Error::DoesNotExist { .. }) => assert_eq!(size_now, None),
            Err(Error::NotSizedYet { .. }) => assert_eq!(size_now, Some(0)),
            Err(Error::TooSmall { actual, requested, .. }) => {
                assert!(Some(actual) == size_now && requested == requested_size && requested_size > actual);
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    /// Removes the name from the model if it leads to `content`.
    fn forget(&mut self, name: usize, content: &Shared) {
        if self.names[name].as_ref().is_some_and(|current| Rc::ptr_eq(current, content)) {
            self.names[name] = None;
        }
    }

    /// Updates the model for an owner that releases its name.
    fn expect_release(&mut self, which: usize) {
        let open = &mut self.segments[which];
        if open.segment.is_created() && open.lifetime == Lifetime::Owner && !open.name_released {
            open.name_released = true;
            let (name, content) = (open.name, Rc::clone(&open.content));
            self.forget(name, &content);
        }
    }

    fn close(&mut self, which: usize) {
        self.expect_release(which);
        self.segments.swap_remove(which);
    }

    fn check(&self) {
        for (scratch, content) in self.scratch.iter().zip(&self.names) {
            assert_eq!(Options::new(&scratch.name).exists(), content.is_some());
        }
        for open in &self.segments {
            assert_eq!(open.segment.size(), open.size);
            let is_current = self.names[open.name].as_ref().is_some_and(|content| open.is(content));
            assert_eq!(open.segment.name().is_current(), is_current);
            assert_eq!(open.segment.current_size().unwrap(), open.content.borrow().bytes.len() as u64);
        }
    }
}

fn lifetime(persistent: bool) -> Lifetime {
    if persistent { Lifetime::Persistent } else { Lifetime::Owner }
}

impl OpenSegment {
    fn is(&self, content: &Shared) -> bool {
        Rc::ptr_eq(&self.content, content)
    }

    /// Checks the result of an access. Returns its range if it took place and the content is known.
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
                // Nothing can be copied beyond the last page.
                let pages_end = (self.content.borrow().bytes.len() as u64).next_multiple_of(4096);
                assert!(length == 0 || offset + length <= pages_end, "copied beyond the last page");
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
