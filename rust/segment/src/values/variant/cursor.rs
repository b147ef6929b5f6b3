//! A cursor over the bytes that reads each of them once, and none behind the limit.

use super::{Error, Source};

/// The number of bytes fetched at once. Most Variants are smaller.
const WINDOW: usize = 256;

/// After this number of bytes, the source is asked again whether there is memory for what follows. A window
/// is too small for that check. But a peer may have made gigabytes without a page behind them, which read as
/// zeros: one huge array of null.
const STEP: u64 = 64 << 20;

/// The engine counts bytes with a signed 32-bit integer.
const MAX_SIZE: u64 = i32::MAX.unsigned_abs() as u64;

pub(super) struct Cursor<'s, S: ?Sized> {
    source: &'s S,
    start: u64,
    at: u64,
    end: u64,
    /// The offset up to which the source was asked.
    supplied: u64,
    window: [u8; WINDOW],
    /// The position of `at` in the window, and the end of the fetched bytes.
    used: usize,
    fetched: usize,
}

impl<'s, S: Source + ?Sized> Cursor<'s, S> {
    pub(super) fn new(source: &'s S, offset: u64, limit: u64) -> Self {
        let end = offset.saturating_add(limit.min(MAX_SIZE));
        let supplied = offset.saturating_add(STEP);
        Self { source, start: offset, at: offset, end, supplied, window: [0; WINDOW], used: 0, fetched: 0 }
    }

    /// Returns the offset of the cursor in the source.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Returns the number of bytes passed.
    pub(super) fn passed(&self) -> u64 {
        self.at - self.start
    }

    /// Checks that there are `needed` more bytes.
    pub(super) fn check(&self, needed: u64) -> Result<(), Error> {
        let left = self.end - self.at;
        if needed > left { Err(Error::Truncated { at: self.at, needed, left }) } else { Ok(()) }
    }

    /// Passes bytes whose values don't matter.
    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), Error> {
        self.check(bytes)?;
        self.pass(bytes);
        Ok(())
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.check(4)?;
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.peek(4)?);
        self.pass(4);
        Ok(u32::from_le_bytes(bytes))
    }

    /// Passes a length, that number of bytes of UTF-8, and padding.
    ///
    /// The last byte may be a NUL: in a PackedStringArray, the engine writes one after each string. Anywhere
    /// else, a NUL would end the string, and the engine would not report it.
    pub(super) fn string(&mut self) -> Result<(), Error> {
        let length = u64::from(self.u32()?);
        let padded = length.next_multiple_of(4);
        self.check(padded)?;
        let at = self.at;
        let mut left = length;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(WINDOW).min(WINDOW);
            let bytes = self.peek(want)?;
            let valid = match std::str::from_utf8(bytes) {
                Ok(_) => want,
                // The window ends in the middle of a character, and more bytes follow.
                Err(e) if e.error_len().is_none() && (want as u64) < left => e.valid_up_to(),
                Err(_) => return Err(Error::InvalidString { at }),
            };
            let nul = bytes[..valid].iter().position(|byte| *byte == 0);
            if nul.is_some_and(|nul| nul as u64 + 1 < left) {
                return Err(Error::InvalidString { at });
            }
            self.pass(valid as u64);
            left -= valid as u64;
        }
        self.skip(padded - length)
    }

    /// Returns the next bytes, at most a window. The caller has checked that they are there.
    fn peek(&mut self, bytes: usize) -> Result<&[u8], Error> {
        if self.fetched - self.used < bytes {
            // Bytes that were fetched and not used are fetched again. No decision depends on them yet.
            if self.at >= self.supplied {
                self.source.check_room(2 * STEP)?;
                self.supplied = self.at.saturating_add(STEP);
            }
            let length = usize::try_from(self.end - self.at).unwrap_or(WINDOW).min(WINDOW);
            (self.used, self.fetched) = (0, 0);
            self.source.copy(self.at, &mut self.window[..length])?;
            self.fetched = length;
        }
        Ok(&self.window[self.used..self.used + bytes])
    }

    fn pass(&mut self, bytes: u64) {
        self.at += bytes;
        let ahead = self.fetched - self.used;
        self.used += usize::try_from(bytes).unwrap_or(ahead).min(ahead);
    }
}
