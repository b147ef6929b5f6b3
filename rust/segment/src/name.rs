//! Which names are allowed, and what the system calls them.
//!
//! A name has two forms. The *plain* one, `frames`, is what this crate's users write; Python's
//! `multiprocessing.shared_memory` calls segments the same. The *native* one is what the system's calls take: `/frames`
//! for POSIX `shm_open(3)`, `Local\frames` or `Global\frames` for Windows. A leading `/` is therefore allowed, and
//! dropped.

use std::fmt;

use crate::error::{Error, Result};

/// The longest name in bytes, without its leading `/`.
///
/// Linux, FreeBSD: `NAME_MAX`, 255. macOS: `PSHMNAMLEN` (`bsd/sys/posix_shm.h`) allows 31 with the slash.
pub const MAX_NAME_BYTES: usize = if cfg!(target_vendor = "apple") { 30 } else { 255 };

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameProblem {
    /// There is nothing in it, or nothing after the leading `/`.
    Empty,
    /// It has more than [`MAX_NAME_BYTES`].
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// It contains a character that some system can't have in a name.
    Forbidden(char),
    /// It is `.` or `..`.
    Dots,
    /// The key that is made of it is that of segments without a key.
    NoKey,
}

impl fmt::Display for NameProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong { bytes } => {
                write!(f, "is {bytes} bytes long; this system allows {MAX_NAME_BYTES}")
            }
            Self::Forbidden(c) => write!(f, "contains {c:?}, which is not allowed in a name"),
            Self::Dots => f.write_str("is a directory's name"),
            Self::NoKey => f.write_str("has the key 0, which no segment can have"),
        }
    }
}

/// Checks a name for a new segment and drops one leading `/`.
///
/// Stricter than any one system, so that a name that works here works on the others (but for macOS's
/// length): 1 to [`MAX_NAME_BYTES`] bytes, no NUL, no `/`, no `\`, not `.` or `..`.
///
/// # Errors
/// [`Error::InvalidName`].
pub(crate) fn portable(name: &str) -> Result<&str> {
    let plain = name.strip_prefix('/').unwrap_or(name);
    check(name, plain, b"\0/\\")?;
    check_length(name, plain)?;
    if plain == "." || plain == ".." {
        return Err(invalid(name, NameProblem::Dots));
    }
    Ok(plain)
}

/// Checks a name of somebody else's segment and drops all leading `/`, as glibc's `shm_open` does.
///
/// Only what no call of this system can take is refused, so that every foreign segment can be reached.
///
/// # Errors
/// [`Error::InvalidName`].
pub(crate) fn foreign(name: &str) -> Result<&str> {
    let plain = name.trim_start_matches('/');
    if cfg!(windows) {
        check(name, plain, b"\0")?;
    } else {
        check(name, plain, b"\0/")?;
        check_length(name, plain)?;
    }
    Ok(plain)
}

/// Looks at bytes, as the system does: a `/` is a separator wherever it stands.
fn check(name: &str, plain: &str, forbidden: &[u8]) -> Result<()> {
    if plain.is_empty() {
        return Err(invalid(name, NameProblem::Empty));
    }
    if let Some(byte) = plain.bytes().find(|byte| forbidden.contains(byte)) {
        return Err(invalid(name, NameProblem::Forbidden(char::from(byte))));
    }
    Ok(())
}

fn check_length(name: &str, plain: &str) -> Result<()> {
    if plain.len() > MAX_NAME_BYTES {
        return Err(invalid(name, NameProblem::TooLong { bytes: plain.len() }));
    }
    Ok(())
}

pub(crate) fn invalid(name: &str, problem: NameProblem) -> Error {
    Error::InvalidName { name: name.to_owned(), problem }
}

/// The longest name that [`generate`] makes, in bytes: what fits on every system.
pub const MAX_GENERATED_BYTES: usize = 30;
/// 16 characters of 5 random bits each.
const RANDOM_CHARS: usize = 16;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Makes a name that nobody can guess: the prefix, `_`, and 80 random bits in base 32.
///
/// # Errors
/// [`Error::InvalidName`] where `prefix` is no portable name or has more than 13 bytes, so that the whole
/// would not fit [`MAX_GENERATED_BYTES`]. [`Error::System`] where the system gives no random numbers.
pub fn generate(prefix: &str) -> Result<String> {
    const MAX_PREFIX: usize = MAX_GENERATED_BYTES - 1 - RANDOM_CHARS;
    let prefix = portable(prefix)?;
    if prefix.len() > MAX_PREFIX {
        // Not `TooLong`, which names the limit of whole names.
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
        let bytes = umlauts.len();
        assert_eq!(problem(portable(&umlauts)), Some(NameProblem::TooLong { bytes }));
    }

    #[test]
    fn foreign_names_may_be_what_the_system_takes() {
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
