//! A walk from one header to the next, with an explicit stack of open containers.

use std::ops::Range;

use super::cursor::Cursor;
use super::types::{
    CALLABLE, ELEMENT_SHIFT, FLAG_ID, FLAG_WIDE, NIL, NUMBER_MASK, OBJECT, RID, SIGNAL, Shape, VALUE_SHIFT,
    name, shape,
};
use super::{Engine, Error, MAX_DEPTH, MAX_KEY_DEPTH, Measured, Source};

/// The memory that the engine needs for a value in addition to its bytes. An entry of a dictionary takes
/// most.
const VALUE_BYTES: u64 = 64;
/// The memory that the engine needs for a container in addition to its values.
const CONTAINER_BYTES: u64 = 184;

/// The values that are accepted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    typed_arrays: bool,
    typed_dictionaries: bool,
    /// Values that mean nothing in another process.
    references: bool,
}

impl Rules {
    pub(super) const PLAIN: Self = Self { typed_arrays: false, typed_dictionaries: false, references: false };

    /// Returns the rules for values that the engine can decode.
    pub(super) const fn of(engine: Engine) -> Self {
        Self { typed_arrays: true, typed_dictionaries: engine.typed_dictionaries, references: true }
    }

    /// Returns the bits, in addition to the number, that a header may have.
    const fn flags(self, shape: Shape) -> u32 {
        match shape {
            Shape::Array if !self.typed_arrays => 0,
            Shape::Dictionary if !self.typed_dictionaries => 0,
            _ => shape.flags(),
        }
    }
}

/// The type of a container's elements, if it is typed.
type Element = Option<u8>;

/// A container that is not complete yet.
struct Open {
    /// The number of values to come. A dictionary has two for each entry.
    left: u64,
    /// The element types when an odd and when an even number of values is to come. That is a dictionary's
    /// values and its keys. In an array, both are the same.
    elements: [Element; 2],
    is_dictionary: bool,
    /// The number of containers from the outermost key inwards to this one; 0 outside keys.
    key_depth: usize,
}

/// The rules for a value that follow from its container.
struct Context {
    element: Element,
    /// The [`Open::key_depth`] of the value if it is a container.
    key_depth: usize,
}

/// Measures the value at the cursor. Calls `typed` with the place of each typed container's types.
pub(super) fn measure<S: Source + ?Sized>(
    mut cursor: Cursor<'_, S>,
    rules: Rules,
    mut typed: impl FnMut(Range<u64>),
) -> Result<Measured, Error> {
    let mut memory = 0;
    let mut open: Vec<Open> = Vec::new();
    let mut context = Context { element: None, key_depth: 0 };
    loop {
        if open.len() > MAX_DEPTH {
            return Err(Error::TooDeep { at: cursor.at() });
        }
        let before = cursor.passed();
        let (shape, container) = value(&mut cursor, &context, rules, &mut typed)?;
        memory += VALUE_BYTES + (cursor.passed() - before) * shape.growth();
        if let Some(container) = container {
            memory += CONTAINER_BYTES;
            open.push(container);
        }
        while open.pop_if(|container| container.left == 0).is_some() {}
        match open.last_mut() {
            Some(container) => context = container.next(),
            None => return Ok(Measured { size: cursor.passed(), memory }),
        }
    }
}

impl Open {
    /// Takes the next value from the count, and returns the rules for it.
    fn next(&mut self) -> Context {
        let even = self.left.is_multiple_of(2);
        self.left -= 1;
        let in_key = self.key_depth > 0 || (self.is_dictionary && even);
        Context {
            element: self.elements[usize::from(even)],
            key_depth: if in_key { self.key_depth + 1 } else { 0 },
        }
    }
}

/// Passes a value. Of a container, passes only the beginning: its values come next.
fn value<S: Source + ?Sized>(
    cursor: &mut Cursor<'_, S>,
    context: &Context,
    rules: Rules,
    typed: &mut impl FnMut(Range<u64>),
) -> Result<(Shape, Option<Open>), Error> {
    let at = cursor.at();
    let header = cursor.u32()?;
    let (number, shape) = type_of(header & NUMBER_MASK, at)?;
    if !rules.references && matches!(number, RID | OBJECT | CALLABLE | SIGNAL) {
        return Err(Error::NotPlain { at, name: name(number) });
    }
    if header & !(NUMBER_MASK | rules.flags(shape)) != 0 {
        return Err(Error::UnknownFlags { at, header, name: name(number) });
    }
    match context.element {
        Some(wanted) if wanted != number && (wanted, number) != (OBJECT, NIL) => {
            return Err(Error::WrongElement { at, found: name(number), wanted: name(wanted) });
        }
        _ => {}
    }
    let width = if header & FLAG_WIDE == 0 { 4 } else { 8 };
    match shape {
        Shape::Bytes(bytes) => cursor.skip(bytes)?,
        Shape::Numbers(numbers) => cursor.skip(numbers * width)?,
        Shape::Packed(bytes) => packed(cursor, bytes)?,
        Shape::PackedNumbers(numbers) => packed(cursor, numbers * width)?,
        Shape::String => cursor.string()?,
        Shape::Strings => {
            let count = u64::from(cursor.u32()?);
            strings(cursor, count)?;
        }
        Shape::NodePath => node_path(cursor, at)?,
        Shape::Signal => {
            cursor.string()?;
            cursor.skip(8)?;
        }
        Shape::Object if header & FLAG_ID == 0 => return Err(Error::Object { at }),
        Shape::Object => cursor.skip(8)?,
        Shape::Array | Shape::Dictionary => {
            if context.key_depth > MAX_KEY_DEPTH {
                return Err(Error::KeyTooDeep { at });
            }
            let is_dictionary = shape == Shape::Dictionary;
            let first = element(cursor, header >> ELEMENT_SHIFT)?;
            let second = if is_dictionary { element(cursor, header >> VALUE_SHIFT)? } else { first };
            if header != u32::from(number) {
                typed(at + 4..cursor.at());
            }
            // The engine ignores the upper bit, which once meant that the container is shared.
            let count = u64::from(cursor.u32()? & 0x7fff_ffff);
            let left = if is_dictionary { count * 2 } else { count };
            // The shortest value is a header. So a false count is noticed at once.
            cursor.check(left * 4)?;
            let elements = [second, first];
            let container = Open { left, elements, is_dictionary, key_depth: context.key_depth };
            return Ok((shape, Some(container)));
        }
    }
    Ok((shape, None))
}

fn type_of(number: u32, at: u64) -> Result<(u8, Shape), Error> {
    let known = u8::try_from(number).ok().and_then(|number| Some((number, shape(number)?)));
    known.ok_or(Error::UnknownType { at, number })
}

/// Returns the type of a container's elements, which the two lower bits of `kind` describe.
fn element<S: Source + ?Sized>(cursor: &mut Cursor<'_, S>, kind: u32) -> Result<Element, Error> {
    let at = cursor.at();
    match kind & 0b11 {
        0b00 => Ok(None),
        // The type's number.
        0b01 => {
            let (number, _) = type_of(cursor.u32()?, at)?;
            Ok(Some(number).filter(|number| *number != NIL))
        }
        // The name of a class or the path of a script. The engine ignores both where objects aren't decoded.
        _ => cursor.string().map(|()| Some(OBJECT)),
    }
}

fn packed<S: Source + ?Sized>(cursor: &mut Cursor<'_, S>, bytes: u64) -> Result<(), Error> {
    let count = u64::from(cursor.u32()?);
    cursor.skip((count * bytes).next_multiple_of(4))
}

fn strings<S: Source + ?Sized>(cursor: &mut Cursor<'_, S>, count: u64) -> Result<(), Error> {
    cursor.check(count * 4)?;
    (0..count).try_for_each(|_| cursor.string())
}

fn node_path<S: Source + ?Sized>(cursor: &mut Cursor<'_, S>, at: u64) -> Result<(), Error> {
    let names = cursor.u32()?;
    if names & 0x8000_0000 == 0 {
        return Err(Error::OldNodePath { at });
    }
    let subnames = cursor.u32()?;
    let flags = cursor.u32()?;
    // 1: absolute. 2: one more name, from the time before properties were part of the path.
    let more = u64::from(flags & 2 != 0);
    strings(cursor, u64::from(names & 0x7fff_ffff) + u64::from(subnames) + more)
}
