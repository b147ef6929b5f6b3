//! Names: which are allowed, and their form in the system's calls.
//!
//! A name has two forms. The *plain* one, `frames`, is what users of this crate write, and those of Python's
//! `multiprocessing.shared_memory`. The *native* one is what the system's calls take: `/frames` for POSIX
//! `shm_open(3)`, `Local\frames` or `Global\frames` for Windows. So a leading `/` is allowed, and dropped.

use std::fmt;

use crate::error::{Error, Result};

/// The longest name in bytes, without its leading `/`.
///
/// Linux, FreeBSD: `NAME_MAX`, 255. macOS: `PSHMNAMLEN` (`bsd/sys/posix_shm.h`) allows 31 with the slash.
pub const MAX_NAME_BYTES: usize = if cfg!(target_vendor = "apple") { 30 } else { 255 };

/// The reason why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameProblem {
    /// The name is empty, or only a leading `/`.
    Empty,
    /// The name is too long.
    TooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The longest length: [`MAX_NAME_BYTES`], or less for some backends.
        limit: usize,
    },
    /// The name contains a character that a name can't have.
    Forbidden(char),
    /// The name is `.` or `..`.
    Dots,
    /// The System V key of the name is 0, which stands for segments without a key.
    NoKey,
}

impl fmt::Display for NameProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong { bytes, limit } => {
                write!(f, "is {bytes} bytes long; this system allows {limit}")
            }
            Self::Forbidden(c) => write!(f, "contains {c:?}, which is not allowed in a name"),
            Self::Dots => f.write_str("must not be \".\" or \"..\""),
            Self::NoKey => f.write_str("has the key 0, which no segment can have"),
        }
    }
}

/// Checks a name for a new segment and drops one leading `/`.
///
/// The check is stricter than any one system's, so that a name that works here works on the others. Only the
/// length may not, on macOS. A name has 1 to [`MAX_NAME_BYTES`] bytes, without NUL, `/` and `\`. It is not
/// `.` or `..`.
///
/// # Errors
/// [`Error::InvalidName`].
pub(crate) fn portable(name: &str) -> Result<&str> {
    let plain = name.strip_prefix('/').unwrap_or(name);
    check(name, plain, b"\0/\\")?;
    check_length(name, plain, MAX_NAME_BYTES)?;
    if plain == "." || plain == ".." {
        return Err(invalid(name, NameProblem::Dots));
    }
    Ok(plain)
}

/// Checks the name of another program's segment and drops all leading `/`, as glibc's `shm_open` does.
///
/// Refuses only what no call of this system takes, so that every foreign segment can be reached.
///
/// # Errors
/// [`Error::InvalidName`].
pub(crate) fn foreign(name: &str) -> Result<&str> {
    let plain = name.trim_start_matches('/');
    if cfg!(windows) {
        check(name, plain, b"\0")?;
    } else {
        check(name, plain, b"\0/")?;
        check_length(name, plain, MAX_NAME_BYTES)?;
    }
    Ok(plain)
}

/// Refuses empty names and forbidden bytes. The system looks at bytes, too: a `/` separates wherever it
/// stands.
fn check(name: &str, plain: &str, forbidden: &[u8]) -> Result<()> {
    if plain.is_empty() {
        return Err(invalid(name, NameProblem::Empty));
    }
    if let Some(byte) = plain.bytes().find(|byte| forbidden.contains(byte)) {
        return Err(invalid(name, NameProblem::Forbidden(char::from(byte))));
    }
    Ok(())
}

/// Checks that a name has at most `limit` bytes.
pub(crate) fn check_length(name: &str, plain: &str, limit: usize) -> Result<()> {
    let bytes = plain.len();
    if bytes > limit { Err(invalid(name, NameProblem::TooLong { bytes, limit })) } else { Ok(()) }
}

pub(crate) fn invalid(name: &str, problem: NameProblem) -> Error {
    Error::InvalidName { name: name.to_owned(), problem }
}

/// The longest name that [`generate`] makes, in bytes. It fits on every system.
pub const MAX_GENERATED_BYTES: usize = 30;
/// The number of random characters, of 5 random bits each.
const RANDOM_CHARS: usize = 16;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Returns a name that can't be guessed: the prefix, `_`, and 80 random bits in base 32.
///
/// # Errors
/// [`Error::InvalidName`] if `prefix` is not a portable name. [`Error::InvalidPrefix`] if it has more than 13
/// bytes, so that the whole would not fit into [`MAX_GENERATED_BYTES`]. [`Error::System`] if the system gives
/// no random numbers.
pub fn generate(prefix: &str) -> Result<String> {
    const MAX_PREFIX: usize = MAX_GENERATED_BYTES - 1 - RANDOM_CHARS;
    let prefix = portable(prefix)?;
    if prefix.len() > MAX_PREFIX {
        // Not `TooLong`, whose text speaks of whole names.
        return Err(Error::InvalidPrefix { prefix: prefix.to_owned(), limit: MAX_PREFIX });
    }
    let mut random = [0u8; RANDOM_CHARS];
    getrandom::fill(&mut random).map_err(|e| Error::System {
        name: prefix.to_owned(),
        call: "getrandom",
        source: e.into(),
    })?;
    let tail = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    Ok(format!("{prefix}_{}", tail.collect::<String>()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn problem(result: Result<&str>) -> Option<NameProblem> {
        match result {
            Err(Error::InvalidName { problem, .. }) => Some(problem),
            _ => None,
        }
    }

    #[test]
    fn one_leading_slash_is_dropped() {
        assert_eq!(portable("frames").unwrap(), "frames");
        assert_eq!(portable("/frames").unwrap(), "frames");
        assert_eq!(problem(portable("//frames")), Some(NameProblem::Forbidden('/')));
    }

    #[test]
    fn names_that_no_system_takes_are_refused() {
        for (name, expected) in [
            ("", NameProblem::Empty),
            ("/", NameProblem::Empty),
            (".", NameProblem::Dots),
            ("/..", NameProblem::Dots),
            ("a/b", NameProblem::Forbidden('/')),
            ("a\\b", NameProblem::Forbidden('\\')),
            ("a\0b", NameProblem::Forbidden('\0')),
        ] {
            assert_eq!(problem(portable(name)), Some(expected), "{name:?}");
        }
    }

    #[test]
    fn length_is_counted_in_bytes() {
        let longest = "a".repeat(MAX_NAME_BYTES);
        assert!(portable(&longest).is_ok());
        assert!(portable(&format!("/{longest}")).is_ok());
        let umlauts = "ä".repeat(MAX_NAME_BYTES / 2 + 1);
        let too_long = NameProblem::TooLong { bytes: umlauts.len(), limit: MAX_NAME_BYTES };
        assert_eq!(problem(portable(&umlauts)), Some(too_long));
    }

    #[test]
    fn foreign_names_follow_the_system() {
        assert_eq!(foreign("///Local\\IRSDKMemMapFileName").unwrap(), "Local\\IRSDKMemMapFileName");
        assert_eq!(problem(foreign("///")), Some(NameProblem::Empty));
        assert_eq!(problem(foreign("a\0b")), Some(NameProblem::Forbidden('\0')));
        let expected = if cfg!(windows) { None } else { Some(NameProblem::Forbidden('/')) };
        assert_eq!(problem(foreign("a/b")), expected);
    }

    #[test]
    fn generated_names_are_portable_and_differ() {
        let names: Vec<String> = (0..100).map(|_| generate("godot").unwrap()).collect();
        for (i, name) in names.iter().enumerate() {
            assert!(name.len() <= MAX_GENERATED_BYTES);
            assert!(name.starts_with("godot_"));
            assert_eq!(portable(name).unwrap(), name);
            assert!(!names[..i].contains(name));
        }
    }

    #[test]
    fn a_prefix_may_have_13_bytes() {
        assert_eq!(generate("abcdefghijklm").unwrap().len(), MAX_GENERATED_BYTES);
        assert!(matches!(generate("abcdefghijklmn"), Err(Error::InvalidPrefix { limit: 13, .. })));
        assert!(generate("").is_err());
        assert!(generate("a/b").is_err());
    }
}
