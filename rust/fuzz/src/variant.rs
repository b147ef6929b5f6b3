//! What is measured is there, whole, and nothing else; and bytes that change end in bounded time.

use std::cell::Cell;

use arbitrary::Arbitrary;
use shm_segment::values::Source;
use shm_segment::values::variant::{Engine, Error, Measured, measure};

/// Bytes in which a value may stand, and what a peer does meanwhile.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    before: u8,
    value: Vec<u8>,
    after: Vec<u8>,
    old_engine: bool,
    changes: Vec<(u16, u8)>,
}

impl Plan {
    /// Measures the value at rest, and then while it changes.
    pub fn run(&self) {
        let engine = Engine { typed_dictionaries: !self.old_engine };
        if let Ok(measured) = whole(&self.value, engine) {
            self.at_rest(measured, engine);
        }
        self.restless(engine);
    }

    fn at_rest(&self, measured: Measured, engine: Engine) {
        let size = usize::try_from(measured.size).unwrap();
        assert!(size >= 4 && size <= self.value.len());
        // No value takes more memory than this for each of its bytes, and none takes less than it has bytes.
        assert!(measured.memory >= measured.size && measured.memory <= measured.size * 80);
        let value = &self.value[..size];
        assert_eq!(whole(value, engine).unwrap(), measured, "what is behind it doesn't matter");
        assert!(matches!(whole(&value[..size - 1], engine), Err(Error::Truncated { .. })), "one byte less");
        let around = [&vec![0xff; self.before.into()], value, &self.after].concat();
        let limit = around.len() as u64 - u64::from(self.before);
        assert_eq!(measure(&*around, self.before.into(), limit, engine).unwrap(), measured, "elsewhere");
        // What an older engine can read a newer one can.
        let newer = Engine { typed_dictionaries: true };
        assert_eq!(whole(value, newer).unwrap(), measured);
        // Two of them in an array.
        let array = [&28_u32.to_le_bytes(), &2_u32.to_le_bytes(), value, value].concat();
        match whole(&array, engine) {
            Ok(array) => assert_eq!(array.size, 8 + 2 * measured.size),
            Err(error) => assert!(matches!(error, Error::TooDeep { .. }), "{error}"),
        }
    }

    fn restless(&self, engine: Engine) {
        let limit = self.value.len() as u64;
        let source = Restless { plan: self, looks: Cell::new(0), bytes: Cell::new(0) };
        if let Ok(measured) = measure(&source, 0, limit, engine) {
            assert!(measured.size <= limit);
        }
        // At most a window is fetched for 4 bytes of progress.
        assert!(source.bytes.get() <= (limit / 4 + 2) * 256);
    }
}

fn whole(bytes: &[u8], engine: Engine) -> Result<Measured, Error> {
    measure(bytes, 0, bytes.len() as u64, engine)
}

/// One of the changes is made before each look.
struct Restless<'p> {
    plan: &'p Plan,
    looks: Cell<usize>,
    bytes: Cell<u64>,
}

impl Source for Restless<'_> {
    fn copy(&self, offset: u64, into: &mut [u8]) -> shm_segment::Result<()> {
        self.plan.value.as_slice().copy(offset, into)?;
        self.bytes.set(self.bytes.get() + into.len() as u64);
        let looks = self.looks.replace(self.looks.get() + 1);
        let made = self.plan.changes.len().min(looks);
        for (at, value) in &self.plan.changes[..made] {
            let at = u64::from(*at).checked_sub(offset).and_then(|at| usize::try_from(at).ok());
            if let Some(byte) = at.and_then(|at| into.get_mut(at)) {
                *byte = *value;
            }
        }
        Ok(())
    }
}
