//! Values in the engine's binary form, for programs that encode them without the engine.

use super::Type;
use super::types::FLAG_WIDE;

/// The reason why a value is not encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The value takes more bytes than it may.
    #[error("the value takes more than {limit} bytes")]
    TooLong {
        /// The most bytes that it may take.
        limit: u64,
    },
    /// A container or a text has more elements than the form can count.
    #[error("{count} elements are too many: at most {limit} can be counted", limit = i32::MAX)]
    TooMany {
        /// The number of elements.
        count: usize,
    },
    /// A text has a NUL, which ends a text of the engine.
    #[error("a text has a NUL at byte {at}, and the engine's texts end there")]
    Nul {
        /// The offset of the NUL.
        at: usize,
    },
    /// There is no memory for the bytes.
    #[error("there is no memory for {bytes} more bytes of the value")]
    OutOfMemory {
        /// The number of bytes.
        bytes: usize,
    },
}

type Result<T = ()> = std::result::Result<T, WriteError>;

/// Writes the parts of a value, each as the engine does.
///
/// The values in a container follow it, one after the other. In a dictionary, each key is before its value.
/// The caller keeps to the number that it has given, and to [`MAX_DEPTH`](super::MAX_DEPTH) and
/// [`MAX_KEY_DEPTH`](super::MAX_KEY_DEPTH).
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    limit: u64,
}

impl Writer {
    /// Begins a value of at most `limit` bytes.
    #[must_use]
    pub const fn new(limit: u64) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// Returns the bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// Writes null.
    ///
    /// # Errors
    /// [`WriteError`] lists them, for this and each other method.
    pub fn null(&mut self) -> Result {
        self.u32(0)
    }

    /// Writes a truth value.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn bool(&mut self, value: bool) -> Result {
        self.u32(1)?;
        self.u32(value.into())
    }

    /// Writes an integer.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn int(&mut self, value: i64) -> Result {
        match i32::try_from(value) {
            Ok(short) => {
                self.u32(2)?;
                self.u32(short.cast_unsigned())
            }
            Err(_) => {
                self.u32(2 | FLAG_WIDE)?;
                self.push(&value.to_le_bytes())
            }
        }
    }

    /// Writes a float.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn float(&mut self, value: f64) -> Result {
        #[allow(clippy::cast_possible_truncation, reason = "compared with the whole number")]
        let short = value as f32;
        if f64::from(short).to_bits() == value.to_bits() {
            self.u32(3)?;
            self.push(&short.to_le_bytes())
        } else {
            self.u32(3 | FLAG_WIDE)?;
            self.push(&value.to_le_bytes())
        }
    }

    /// Writes a text.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn string(&mut self, text: &str) -> Result {
        self.u32(4)?;
        self.text(text)
    }

    /// Writes a text that the engine keeps once.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn string_name(&mut self, text: &str) -> Result {
        self.u32(21)?;
        self.text(text)
    }

    /// Writes a path to a node, as a script writes it: `/root/Player:position:x`.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn node_path(&mut self, path: &str) -> Result {
        let (is_absolute, path) = path.strip_prefix('/').map_or((false, path), |rest| (true, rest));
        let (nodes, properties) = path.split_once(':').unwrap_or((path, ""));
        let parts = |text: &str, separator| -> Vec<String> {
            text.split(separator).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let (names, subnames) = (parts(nodes, '/'), parts(properties, ':'));
        self.u32(22)?;
        self.u32(count(names.len())? | 0x8000_0000)?;
        self.u32(count(subnames.len())?)?;
        self.u32(is_absolute.into())?;
        names.iter().chain(&subnames).try_for_each(|name| self.text(name))
    }

    /// Writes a value that is a few numbers. There are as many as [`Type::count`] says. They are rounded to
    /// 32 bits.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn numbers(&mut self, of: Type, numbers: &[f64]) -> Result {
        self.u32(of.number().into())?;
        for number in numbers {
            #[allow(clippy::cast_possible_truncation, reason = "the type has no more bits")]
            if of.has_integers() {
                self.push(&(*number as i32).to_le_bytes())?;
            } else {
                self.push(&(*number as f32).to_le_bytes())?;
            }
        }
        Ok(())
    }

    /// Begins an array of this number of values.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn array(&mut self, length: usize) -> Result {
        self.u32(28)?;
        self.u32(count(length)?)
    }

    /// Begins a dictionary of this number of entries.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn dictionary(&mut self, length: usize) -> Result {
        self.u32(27)?;
        self.u32(count(length)?)
    }

    /// Writes a packed array of `length` elements, which `bytes` has in little-endian order. The floats of
    /// vectors have 8 bytes if it is wide.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn packed(&mut self, array: Type, is_wide: bool, length: usize, bytes: &[u8]) -> Result {
        self.u32(u32::from(array.number()) | if is_wide { FLAG_WIDE } else { 0 })?;
        self.u32(count(length)?)?;
        self.padded(bytes)
    }

    fn text(&mut self, text: &str) -> Result {
        if let Some(at) = text.bytes().position(|byte| byte == 0) {
            return Err(WriteError::Nul { at });
        }
        self.u32(count(text.len())?)?;
        self.padded(text.as_bytes())
    }

    fn padded(&mut self, bytes: &[u8]) -> Result {
        self.push(bytes)?;
        let padding = bytes.len().next_multiple_of(4) - bytes.len();
        self.push(&[0; 3][..padding])
    }

    fn u32(&mut self, value: u32) -> Result {
        self.push(&value.to_le_bytes())
    }

    fn push(&mut self, bytes: &[u8]) -> Result {
        if self.bytes.len() as u64 + bytes.len() as u64 > self.limit {
            return Err(WriteError::TooLong { limit: self.limit });
        }
        self.bytes.try_reserve(bytes.len()).map_err(|_| WriteError::OutOfMemory { bytes: bytes.len() })?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

fn count(count: usize) -> Result<u32> {
    u32::try_from(count)
        .ok()
        .filter(|number| i32::try_from(*number).is_ok())
        .ok_or(WriteError::TooMany { count })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::super::{Part, Parts};
    use super::*;

    fn written(write: impl FnOnce(&mut Writer) -> Result) -> Vec<u8> {
        let mut writer = Writer::new(1000);
        write(&mut writer).unwrap();
        writer.finish()
    }

    fn only_part(bytes: &[u8]) -> Part<'_> {
        let mut parts = Parts::of(bytes).unwrap();
        let part = parts.next().unwrap();
        assert_eq!(parts.next(), None);
        part
    }

    #[test]
    fn a_part_is_read_as_it_was_written() {
        assert_eq!(only_part(&written(|w| w.bool(true))), Part::Bool(true));
        for int in [0, -1, i32::MAX.into(), i64::from(i32::MIN) - 1, i64::MIN] {
            assert_eq!(only_part(&written(|w| w.int(int))), Part::Int(int));
        }
        for float in [0.0, -0.0, 0.5, 0.1, f64::INFINITY, 1e300] {
            assert_eq!(only_part(&written(|w| w.float(float))), Part::Float(float));
        }
        for text in ["", "a", "abcd", "ä€😀"] {
            assert_eq!(only_part(&written(|w| w.string(text))), Part::String(text));
            assert_eq!(only_part(&written(|w| w.string_name(text))), Part::StringName(text));
        }
        let bytes = written(|w| w.packed(Type::BYTES, false, 5, b"12345"));
        assert_eq!(only_part(&bytes), Part::Packed { array: Type::BYTES, is_wide: false, bytes: b"12345" });
    }

    #[test]
    fn numbers_are_read_as_they_were_written() {
        for number in 5..=20 {
            let of = Type::of_numbers(number).unwrap();
            let numbers: Vec<f64> = (0..of.count()).map(|index| index as f64 - 2.0).collect();
            let bytes = written(|w| w.numbers(of, &numbers));
            let Part::Numbers(found) = only_part(&bytes) else { panic!("{of:?}") };
            assert_eq!(found.of, of);
            assert_eq!((0..of.count()).map(|index| found.get(index)).collect::<Vec<_>>(), numbers);
        }
        assert_eq!((Type::of_numbers(4), Type::of_numbers(21)), (None, None));
    }

    #[test]
    fn a_path_is_read_as_it_was_written() {
        for path in ["", "/root", "a/b", "../a:b:c", ":position:x", "/root/A:b"] {
            let bytes = written(|w| w.node_path(path));
            let Part::NodePath(found) = only_part(&bytes) else { panic!("{path}") };
            assert_eq!(found.to_string(), path);
        }
    }

    #[test]
    fn a_container_stands_before_its_values() {
        let bytes = written(|w| {
            w.dictionary(1)?;
            w.string("key")?;
            w.array(2)?;
            w.null()?;
            w.int(7)
        });
        let parts: Vec<_> = Parts::of(&bytes).unwrap().collect();
        let expected = [Part::Dictionary(1), Part::String("key"), Part::Array(2), Part::Null, Part::Int(7)];
        assert_eq!(parts, expected);
    }

    #[test]
    fn nothing_beyond_the_limit_is_written() {
        let mut writer = Writer::new(11);
        writer.int(1).unwrap();
        assert_eq!(writer.int(1), Err(WriteError::TooLong { limit: 11 }));
        assert_eq!(Writer::new(99).string("a\0b"), Err(WriteError::Nul { at: 1 }));
    }

    #[test]
    fn bytes_behind_a_value_are_refused() {
        let mut bytes = written(|w| w.int(1));
        bytes.extend([0; 4]);
        assert!(Parts::of(&bytes).is_err());
    }
}
