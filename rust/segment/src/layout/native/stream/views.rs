//! Messages that a program reads, or draws, in the memory itself.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Bell, Pin, Stream, Use, Writing, latest, lock};
use crate::Segment;
use crate::layout::native::header::WAITING_AT;
use crate::layout::native::message::Descriptor;
use crate::layout::{self, Error};
use crate::os;
use crate::segment::Direct;

/// A message in the memory, which the writer leaves as it is until [`Stream::end_frame`]. Only a program that
/// breaks the rules of the format changes it.
///
/// [`Segment::address`] tells where the memory is.
#[derive(Debug)]
pub struct Frame {
    /// The offset of the content, in bytes.
    pub offset: u64,
    /// The bytes of the content.
    pub length: u64,
    /// The kind and the shape of the content.
    pub descriptor: Descriptor,
    /// Its number.
    pub sequence: u64,
    number: u64,
}

/// The place of the next message in the memory, which no reader reads until [`Stream::publish`].
#[derive(Debug)]
pub struct Draft {
    /// The offset of the content, in bytes.
    pub offset: u64,
    /// The bytes of the content.
    pub length: u64,
    slot: u32,
    number: u64,
}

/// Returns a number that no other frame or draft of this process has.
fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Stream {
    /// Returns the newest message where it is, if this side can have a pin, and has not lent it. Otherwise,
    /// the caller has to [`read`](Self::read) it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn frame(&self, segment: &Segment) -> layout::Result<Option<Frame>> {
        let direct = segment.direct()?;
        let seen = self.seen.load(Ordering::Relaxed);
        let mut pin = lock(&self.pin);
        let Some(before) = self.slots.latest(&direct)? else { return Err(Error::Empty) };
        let Some(reader) = self.take_pin(segment, direct, &mut pin)? else { return Ok(None) };
        let pinned = latest::pin(self.slots, &direct, reader.into(), before);
        let found = match pinned {
            Ok(Some(found)) => found,
            other => {
                self.free_pin(segment, reader);
                return other.map_err(Error::from)?.map(|_| None).ok_or(Error::Empty);
            }
        };
        self.note(seen, found.sequence);
        let descriptor = found.descriptor.inspect_err(|_| self.free_pin(segment, reader))?;
        let number = next_number();
        *pin = Pin::Lent(reader, Use::Lent(number));
        Ok(Some(Frame {
            offset: found.at,
            length: found.length,
            descriptor,
            sequence: found.sequence,
            number,
        }))
    }

    /// Gives a frame back.
    ///
    /// # Errors
    /// [`Error::Invalid`] if another program has changed it; [`Error::Segment`].
    pub fn end_frame(&self, segment: &Segment, frame: &Frame) -> layout::Result<()> {
        let mut pin = lock(&self.pin);
        let (reader, is_last) = match *pin {
            Pin::Lent(reader, Use::Lent(number)) if number == frame.number => (reader, false),
            Pin::Lent(reader, Use::Ending(number)) if number == frame.number => (reader, true),
            // It was given back before.
            _ => return Ok(()),
        };
        let checked =
            segment.direct().and_then(|direct| latest::check_pinned(&direct, frame.offset, frame.sequence));
        self.free_pin(segment, reader);
        *pin = Pin::Held(reader);
        if is_last {
            self.give_back(segment, &mut None, &mut pin);
        }
        Ok(checked?)
    }

    /// Takes the place of the next message, for a content of `length` bytes. Until the draft ends, this side
    /// writes no other message.
    ///
    /// # Errors
    /// As [`write`](Self::write), and [`Error::Unfinished`].
    pub fn begin(&self, segment: &Segment, length: u64) -> layout::Result<Draft> {
        let limit = self.header.geometry.limit;
        if length > limit {
            return Err(Error::TooLarge { size: length, limit });
        }
        let mut writer = lock(&self.writer);
        let direct = segment.direct_mut()?;
        // The program may be the first to touch these pages.
        segment.check_room(length)?;
        let writing = match &mut *writer {
            Some(Writing { draft: Use::Lent(_) | Use::Ending(_), .. }) => {
                return Err(Error::Unfinished { what: "a draft of a message" });
            }
            Some(writing) => writing,
            none => none.insert(self.take_writer(segment, direct)?),
        };
        let slot = writing.writer.begin(self.slots, &direct)?;
        // The program's own stores come after that of the slot's sequence number.
        std::sync::atomic::fence(Ordering::SeqCst);
        let number = next_number();
        writing.draft = Use::Lent(number);
        Ok(Draft { offset: self.slots.content_at(slot), length, slot, number })
    }

    /// Publishes a draft, whose content has been written.
    ///
    /// # Errors
    /// The draft has ended, and nothing was published.
    /// - [`Error::Invalid`] if the descriptor doesn't fit the length.
    /// - [`Error::Stopped`] if the role was given back; [`Error::Segment`].
    pub fn publish(&self, segment: &Segment, draft: &Draft, descriptor: Descriptor) -> layout::Result<()> {
        self.end_draft(segment, draft, |writing, direct| {
            descriptor.check(draft.length)?;
            let content = (descriptor, draft.length);
            let (first, now) = (self.header.first_sequence(), os::monotonic_nanoseconds());
            writing.writer.publish(self.slots, &direct, first, now, draft.slot, content)?;
            Ok(Bell(WAITING_AT).ring_if_wanted(&direct)?)
        })
    }

    /// Ends a draft that is not published.
    pub fn discard(&self, segment: &Segment, draft: &Draft) {
        let _ = self.end_draft(segment, draft, |_, _| Ok(()));
    }

    fn end_draft(
        &self,
        segment: &Segment,
        draft: &Draft,
        work: impl FnOnce(&mut Writing, Direct<'_>) -> layout::Result<()>,
    ) -> layout::Result<()> {
        let mut writer = lock(&self.writer);
        match &mut *writer {
            Some(writing) if writing.draft == Use::Lent(draft.number) => {
                writing.draft = Use::None;
                work(writing, segment.direct_mut()?)
            }
            Some(writing) if writing.draft == Use::Ending(draft.number) => {
                writing.draft = Use::None;
                self.give_back(segment, &mut writer, &mut Pin::NoneUntil(0));
                Err(Error::Stopped)
            }
            _ => Err(Error::Stopped),
        }
    }
}
