//! Parsing a format string.
//!
//! To the language of Python's `struct`, this adds groups and names, in the notation of PEP 3118, and a
//! packing. Python refuses each of them: `T`, `:` and the `a` of `pack(` are no codes.

use std::collections::HashMap;

use super::codes::{ByteOrder, Code};
use super::format::{FieldKind, Format, MAX_SIZE};

/// The most groups inside each other.
pub const MAX_DEPTH: usize = 16;
/// The most values of a format that has groups. Repeated groups can have any number of values in no bytes.
pub const MAX_VALUES: usize = 1 << 24;
/// No code has a greater alignment, so this packing changes none.
const NATURAL: usize = 16;
const PACKING: &str = "pack(";

/// A mistake in a format string. Positions count its characters from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The character is not a code.
    #[error("{character:?} at {position} is not a format character")]
    BadCharacter {
        /// The character.
        character: char,
        /// Its position.
        position: usize,
    },
    /// The character is not a code, but the first of several letters, as in a name without its colons.
    #[error(
        "{character:?} at {position} is not a format character; a name has a ':' on each side, as in I:frame:, \
         and may have any characters except ':'"
    )]
    BadWord {
        /// The character.
        character: char,
        /// Its position.
        position: usize,
    },
    /// `n`, `N` and `P` have no standard size.
    #[error("{character:?} at {position} needs native sizes, but the prefix is {prefix:?}")]
    NativeOnly {
        /// The character.
        character: char,
        /// Its position.
        position: usize,
        /// The prefix of the format.
        prefix: char,
    },
    /// The string ends after a repeat count.
    #[error("the repeat count at {position} has no format character after it")]
    CountWithoutCode {
        /// The position of the count.
        position: usize,
    },
    /// The struct is larger than any memory.
    #[error("with the code at {position}, the struct has more than {limit} bytes")]
    TooLong {
        /// The position of the code, or of its count.
        position: usize,
        /// The largest size in bytes.
        limit: usize,
    },
    /// A format with groups has more than [`MAX_VALUES`].
    #[error("with the code at {position}, a format with groups has more than {limit} values")]
    TooManyValues {
        /// The position of the code, or of its count.
        position: usize,
        /// The largest number of values.
        limit: usize,
    },
    /// `T` without `{`.
    #[error("the 'T' at {position} has no '{{' after it")]
    NoBrace {
        /// The position of the `T`.
        position: usize,
    },
    /// `}` without `T{`.
    #[error("the '}}' at {position} has no 'T{{' before it")]
    NotOpened {
        /// The position of the `}`.
        position: usize,
    },
    /// `T{` without `}`.
    #[error("the group at {position} has no '}}' at its end")]
    NotClosed {
        /// The position of the group's `T`.
        position: usize,
    },
    /// A group has no values.
    #[error("the group at {position} has no values")]
    EmptyGroup {
        /// The position of the group's `T`.
        position: usize,
    },
    /// A group is inside [`MAX_DEPTH`] others.
    #[error("the group at {position} is inside {limit} others, and no more than {limit} are allowed")]
    TooDeep {
        /// The position of the group's `T`.
        position: usize,
        /// The greatest depth.
        limit: usize,
    },
    /// A packing is none that C compilers have.
    #[error("the packing at {position} must be pack(1), pack(2), pack(4), pack(8) or pack(16)")]
    BadPacking {
        /// The position of `pack(`.
        position: usize,
    },
    /// A packing is not at the beginning of the format or of a group.
    #[error("the packing at {position} must be at the beginning of the format or after 'T{{'")]
    LatePacking {
        /// The position of `pack(`.
        position: usize,
    },
    /// A name has no `:` after it, or no characters.
    #[error("the name at {position} must have a ':' before it, a ':' after it, and characters in between")]
    BadName {
        /// The position of the first `:`.
        position: usize,
    },
    /// There is no value before a name, or that value has a name already.
    #[error("the name at {position} has no value of its own before it")]
    NothingToName {
        /// The position of the first `:`.
        position: usize,
    },
    /// Two values of a struct have the same name.
    #[error("the name {name:?} at {position} is at {first} already")]
    DuplicateName {
        /// The name.
        name: String,
        /// The position of the second one's first `:`.
        position: usize,
        /// The position of the first one's first `:`.
        first: usize,
    },
}

type Result<T, E = FormatError> = std::result::Result<T, E>;

impl Format {
    /// Parses a format string.
    ///
    /// # Errors
    /// [`FormatError`] lists them.
    pub fn parse(format: &str) -> Result<Self> {
        let prefix = format.chars().next().filter(|first| "@=<>!".contains(*first));
        let prefixed = usize::from(prefix.is_some());
        let native = matches!(prefix, None | Some('@'));
        let big_endian = match prefix {
            Some('<') => false,
            Some('>' | '!') => true,
            _ => cfg!(target_endian = "big"),
        };
        let order = ByteOrder { big_endian, native };
        let rest = &format[prefixed..];
        let mut parser = Parser { rest, position: prefixed, prefix, order, groups: Vec::new(), limit: None };
        parser.fields(if native { NATURAL } else { 1 })
    }
}

struct Parser<'t> {
    /// The text that is left, and the position of its beginning.
    rest: &'t str,
    position: usize,
    prefix: Option<char>,
    order: ByteOrder,
    /// The positions of the groups around the current place.
    groups: Vec<usize>,
    /// The most values, once there is a group.
    limit: Option<usize>,
}

impl<'t> Parser<'t> {
    /// Parses the fields of a struct up to its end. `packing` is that of the struct around it.
    fn fields(&mut self, packing: usize) -> Result<Format> {
        let own_packing = self.packing()?;
        let packing = own_packing.unwrap_or(packing);
        let mut format = Format::default();
        let mut names = HashMap::new();
        // The last field has values, and no name yet.
        let mut is_nameable = false;
        loop {
            self.skip_spaces();
            let position = self.position;
            if self.rest.starts_with(PACKING) {
                return Err(FormatError::LatePacking { position });
            }
            match self.next() {
                None => break,
                Some('}') => match self.groups.pop() {
                    Some(_) => return self.end(format, position),
                    None => return Err(FormatError::NotOpened { position }),
                },
                Some(':') if is_nameable => {
                    let name = self.name(position)?;
                    if let Some(first) = names.insert(name, position) {
                        return Err(FormatError::DuplicateName { name: name.to_owned(), position, first });
                    }
                    format.name_last(name);
                    is_nameable = false;
                }
                Some(':') => return Err(FormatError::NothingToName { position }),
                Some(first) => {
                    let (repeat, code, at) = self.counted(first, position)?;
                    let kind = if code == 'T' { self.group(packing, at)? } else { self.code(code, at)? };
                    let added = format.add(kind, repeat, packing);
                    is_nameable = added.ok_or(FormatError::TooLong { position, limit: MAX_SIZE })?;
                    if let Some(limit) = self.limit.filter(|limit| format.count() > *limit) {
                        return Err(FormatError::TooManyValues { position, limit });
                    }
                }
            }
        }
        if let Some(position) = self.groups.pop() {
            return Err(FormatError::NotClosed { position });
        }
        if own_packing.is_some() { self.end(format, self.position) } else { Ok(format) }
    }

    /// Pads a struct that ends at `position` as C does.
    fn end(&self, mut format: Format, position: usize) -> Result<Format> {
        format.pad_end().ok_or(FormatError::TooLong { position, limit: MAX_SIZE })?;
        Ok(format)
    }

    /// Parses a group whose `T` is at `position`.
    fn group(&mut self, packing: usize, position: usize) -> Result<FieldKind> {
        if !self.skip("{") {
            return Err(FormatError::NoBrace { position });
        }
        if self.groups.len() == MAX_DEPTH {
            return Err(FormatError::TooDeep { position, limit: MAX_DEPTH });
        }
        self.groups.push(position);
        self.limit = Some(MAX_VALUES);
        let group = self.fields(packing)?;
        if group.count() == 0 {
            return Err(FormatError::EmptyGroup { position });
        }
        Ok(FieldKind::Group(group))
    }

    fn code(&self, character: char, position: usize) -> Result<FieldKind> {
        let code = Code::find(character, self.order);
        Ok(FieldKind::Code(code.ok_or_else(|| match self.prefix {
            Some(prefix) if Code::find(character, ByteOrder { native: true, ..self.order }).is_some() => {
                FormatError::NativeOnly { character, position, prefix }
            }
            _ if character.is_alphabetic() && self.rest.starts_with(char::is_alphabetic) => {
                FormatError::BadWord { character, position }
            }
            _ => FormatError::BadCharacter { character, position },
        })?))
    }

    /// Parses a repeat count that begins with `character`, if that is a digit. Returns the count, and the
    /// character after it with its position.
    fn counted(&mut self, mut character: char, position: usize) -> Result<(Option<usize>, char, usize)> {
        let mut repeat = None;
        let mut at = position;
        while let Some(digit) = character.to_digit(10).and_then(|digit| usize::try_from(digit).ok()) {
            let count = repeat.unwrap_or(0usize).checked_mul(10).and_then(|tens| tens.checked_add(digit));
            repeat = Some(count.ok_or(FormatError::TooLong { position, limit: MAX_SIZE })?);
            at = self.position;
            character = self.next().ok_or(FormatError::CountWithoutCode { position })?;
        }
        Ok((repeat, character, at))
    }

    /// Parses the rest of a name, whose first `:` is at `position`.
    fn name(&mut self, position: usize) -> Result<&'t str> {
        match self.rest.split_once(':') {
            Some((name, rest)) if !name.is_empty() => {
                self.position += name.chars().count() + 1;
                self.rest = rest;
                Ok(name)
            }
            _ => Err(FormatError::BadName { position }),
        }
    }

    /// Parses a packing, if there is one.
    fn packing(&mut self) -> Result<Option<usize>> {
        self.skip_spaces();
        let position = self.position;
        if !self.skip(PACKING) {
            return Ok(None);
        }
        let packings = [("1)", 1), ("2)", 2), ("4)", 4), ("8)", 8), ("16)", 16)];
        let found = packings.iter().find(|(text, _)| self.skip(text));
        found.map(|(_, packing)| Some(*packing)).ok_or(FormatError::BadPacking { position })
    }

    fn skip_spaces(&mut self) {
        while self.rest.starts_with([' ', '\t', '\n', '\x0b', '\x0c', '\r']) {
            self.next();
        }
    }

    /// Skips an ASCII `text`, and returns whether it was there.
    fn skip(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        if let Some(rest) = rest {
            self.position += text.len();
            self.rest = rest;
        }
        rest.is_some()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.position += 1;
        self.rest = &self.rest[character.len_utf8()..];
        Some(character)
    }
}
