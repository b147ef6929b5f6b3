//! A measured value is complete and has no other bytes. Measuring takes bounded time even if bytes change.
//! A value in a message is one that the engine can decode, and any other program, too.

use std::cell::Cell;

use arbitrary::Arbitrary;
use shm_segment::values::Source;
use shm_segment::values::variant::{
    Engine, Error, MAX_GROWTH, Measured, Part, Parts, Type, Writer, measure, measure_plain, remove_types,
};

/// Bytes that may contain a value, and the concurrent changes of a peer.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    before: u8,
    value: Vec<u8>,
    after: Vec<u8>,
    old_engine: bool,
    changes: Vec<(u16, u8)>,
}

impl Plan {
    /// Measures the value, first without changes and then with them.
    pub fn run(&self) {
        let engine = Engine { typed_dictionaries: !self.old_engine };
        if let Ok(measured) = measure_all(&self.value, engine) {
            self.check_unchanging(measured, engine);
        }
        self.check_plain(engine);
        self.check_changing(engine);
    }

    fn check_plain(&self, engine: Engine) {
        let plain = |bytes: &[u8]| measure_plain(bytes, 0, bytes.len() as u64);
        let decodable = measure_all(&self.value, engine);
        let before = plain(&self.value);
        if let Ok(before) = before {
            assert_eq!(decodable.as_ref().unwrap(), &before, "a plain value is one for every engine");
        }
        if let Ok(before) = before {
            check_parts(&self.value[..usize::try_from(before.size).unwrap()]);
        }
        let mut untyped = self.value.clone();
        let Ok(size) = remove_types(&mut untyped, engine) else {
            assert!(decodable.is_err());
            assert_eq!(untyped, self.value, "unchanged");
            return;
        };
        assert!(size as u64 <= decodable.unwrap().size);
        let after = plain(&untyped[..size]);
        // Only the types were removed.
        match (&before, &after) {
            (Ok(before), Ok(after)) => assert_eq!(before, after),
            (Err(Error::UnknownFlags { .. }), Ok(after)) => assert_eq!(after.size, size as u64),
            (_, after) => assert!(matches!(after, Err(Error::NotPlain { .. } | Error::Null)), "{after:?}"),
        }
    }

    fn check_unchanging(&self, measured: Measured, engine: Engine) {
        let size = usize::try_from(measured.size).unwrap();
        assert!(size >= 4 && size <= self.value.len());
        // No value takes more memory than this for each of its bytes, and none takes less than it has bytes.
        assert!(measured.memory >= measured.size && measured.memory <= measured.size * MAX_GROWTH);
        let value = &self.value[..size];
        assert_eq!(measure_all(value, engine).unwrap(), measured, "without the bytes behind it");
        assert!(
            matches!(measure_all(&value[..size - 1], engine), Err(Error::Truncated { .. })),
            "one byte less"
        );
        let around = [&vec![0xff; self.before.into()], value, &self.after].concat();
        let limit = around.len() as u64 - u64::from(self.before);
        assert_eq!(
            measure(&*around, self.before.into(), limit, engine).unwrap(),
            measured,
            "at another offset"
        );
        // A newer engine can read all values of an older one.
        let newer = Engine { typed_dictionaries: true };
        assert_eq!(measure_all(value, newer).unwrap(), measured);
        // An array of the value twice.
        let array = [&28_u32.to_le_bytes(), &2_u32.to_le_bytes(), value, value].concat();
        match measure_all(&array, engine) {
            Ok(array) => assert_eq!(array.size, 8 + 2 * measured.size),
            Err(error) => assert!(matches!(error, Error::TooDeep { .. }), "{error}"),
        }
    }

    fn check_changing(&self, engine: Engine) {
        let limit = self.value.len() as u64;
        let source = Changing { plan: self, copies: Cell::new(0), bytes: Cell::new(0) };
        if let Ok(measured) = measure(&source, 0, limit, engine) {
            assert!(measured.size <= limit);
        }
        // At most one window is copied for each 4 bytes of progress.
        assert!(source.bytes.get() <= (limit / 4 + 2) * 256);
    }
}

/// A plain value has all its parts, and one byte less or more is none.
fn check_parts(value: &[u8]) {
    let (mut left, mut writer) = (1_u64, Writer::new(value.len() as u64 * 2 + 64));
    let mut parts = Parts::of(value).unwrap();
    while left > 0 {
        left -= 1;
        // Values that Python has are written as they were read.
        let written = match parts.next().expect("as many parts as the containers say") {
            Part::Null => writer.null(),
            Part::Bool(value) => writer.bool(value),
            Part::Int(value) => writer.int(value),
            Part::Float(value) => writer.float(value),
            Part::String(text) => writer.string(text),
            Part::StringName(text) => writer.string_name(text),
            Part::NodePath(path) => {
                assert!(path.to_string().len() <= path.length());
                writer.null()
            }
            Part::Numbers(numbers) => {
                let numbers: Vec<f64> = (0..numbers.of.count()).map(|index| numbers.get(index)).collect();
                writer.packed(Type::FLOAT64_ARRAY, false, numbers.len(), &vec![0; numbers.len() * 8])
            }
            Part::Array(count) => {
                left += u64::from(count);
                writer.array(count as usize)
            }
            Part::Dictionary(count) => {
                left += 2 * u64::from(count);
                writer.dictionary(count as usize)
            }
            Part::Packed { array, is_wide, bytes } => {
                let size = array.count() * if is_wide { 8 } else { 4 };
                let size = match array {
                    Type::BYTES => 1,
                    Type::INT64_ARRAY | Type::FLOAT64_ARRAY => 8,
                    _ => size,
                };
                writer.packed(array, is_wide, bytes.len() / size, bytes)
            }
            Part::Strings(texts) => {
                assert_eq!(texts.len(), texts.count());
                writer.null()
            }
        };
        // A text of another program may have a NUL at its end only.
        written.unwrap();
    }
    assert_eq!(parts.next(), None);
    let written = writer.finish();
    // Null stands for a path or for texts.
    if written.len() > 4 {
        assert_eq!(measure_plain(&*written, 0, written.len() as u64).unwrap().size, written.len() as u64);
    }
    assert!(Parts::of(&[value, &[0; 4]].concat()).is_err());
    assert!(Parts::of(&value[..value.len() - 1]).is_err());
}

fn measure_all(bytes: &[u8], engine: Engine) -> Result<Measured, Error> {
    measure(bytes, 0, bytes.len() as u64, engine)
}

/// A source that changes: before each copy, one more of the plan's changes is made.
struct Changing<'p> {
    plan: &'p Plan,
    copies: Cell<usize>,
    bytes: Cell<u64>,
}

impl Source for Changing<'_> {
    fn copy(&self, offset: u64, into: &mut [u8]) -> shm_segment::Result<()> {
        self.plan.value.as_slice().copy(offset, into)?;
        self.bytes.set(self.bytes.get() + into.len() as u64);
        let copies = self.copies.replace(self.copies.get() + 1);
        let applied = self.plan.changes.len().min(copies);
        for (at, value) in &self.plan.changes[..applied] {
            let at = u64::from(*at).checked_sub(offset).and_then(|at| usize::try_from(at).ok());
            if let Some(byte) = at.and_then(|at| into.get_mut(at)) {
                *byte = *value;
            }
        }
        Ok(())
    }
}
