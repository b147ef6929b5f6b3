//! The steps of `latest` (`docs/FORMAT.md`, *`latest`: the newest value*): slots, pins, and one word that
//! publishes.
//!
//! A slot that a pin names, and the newest one, are never written. With two slots more than readers, there is
//! always another one. A reader that asks for a pin is answered by whichever is first: itself, or the writer,
//! which publishes a newer message at that moment. So neither waits for the other.

use super::header::{Geometry, LINE, LINES_AT, TRIES};
use super::message::{Descriptor, Message, shape_in};
use super::shared::Shared;
use super::{Error, Result, invalid_stream};

const LATEST_AT: u64 = LINES_AT;
const PINS_AT: u64 = LINES_AT + LINE;

/// The values of a pin: free, asking, and from here on a slot.
const FREE: u32 = 0;
const ASKING: u32 = 1;
const FIRST_SLOT: u32 = 2;

/// The bits of the slot in the word `latest`.
const SLOT_BITS: u32 = 8;
/// The largest sequence number that is taken over.
pub(super) const MAX_SEQUENCE: u64 = 1 << 55;

/// The fields of a slot's header behind its sequence, up to the end of the shape.
const FIELDS_AT: u64 = 8;
const FIELDS_SIZE: usize = 40;

/// The word `latest` of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Latest {
    pub(super) sequence: u64,
    slot: u32,
}

impl Latest {
    const fn word(self) -> u64 {
        self.sequence << SLOT_BITS | self.slot as u64
    }
}

/// The places of a stream's parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots {
    readers: u32,
    limit: u64,
}

/// A message in a slot.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) sequence: u64,
    pub(super) length: u64,
    /// In nanoseconds of the system's monotonic clock; 0: unknown.
    pub(super) time: u64,
    /// An error if this version can't read it.
    pub(super) descriptor: Result<Descriptor>,
    /// The offset of the content.
    pub(super) at: u64,
}

impl Slots {
    pub(super) const fn new(geometry: Geometry) -> Self {
        Self { readers: geometry.count, limit: geometry.limit }
    }

    const fn count(self) -> u32 {
        self.readers + 2
    }

    const fn pin_at(self, reader: u32) -> u64 {
        PINS_AT + reader as u64 * LINE
    }

    /// Returns the offset of the first slot, and the distance from each to the next.
    pub(super) const fn slots(self) -> (u64, u64) {
        (self.pin_at(self.readers), LINE + self.limit.next_multiple_of(LINE))
    }

    /// Returns the offset of a slot's content.
    pub(super) const fn content_at(self, slot: u32) -> u64 {
        self.slot_at(slot) + LINE
    }

    const fn slot_at(self, slot: u32) -> u64 {
        let (first, stride) = self.slots();
        first + slot as u64 * stride
    }

    /// Loads the word that tells the newest message. `None` before the first one.
    #[inline]
    pub(super) fn latest<S: Shared>(self, shared: &S) -> Result<Option<Latest>>
    where
        Box<Error>: From<S::Error>,
    {
        let word = shared.load_u64(LATEST_AT)?;
        if word == 0 {
            return Ok(None);
        }
        let latest = Latest { sequence: word >> SLOT_BITS, slot: (word & 0xFF) as u32 };
        if latest.sequence == 0 || latest.sequence > MAX_SEQUENCE || latest.slot >= self.count() {
            return Err(invalid_stream("the word that tells the newest message", word));
        }
        Ok(Some(latest))
    }
}

/// The writer's own state. It never reads it from the memory again.
#[derive(Debug)]
pub(super) struct Writer {
    latest: Option<Latest>,
}

impl Writer {
    /// Goes on where another writer has stopped, perhaps in the middle.
    pub(super) fn take_over<S: Shared>(slots: Slots, shared: &S) -> Result<Self>
    where
        Box<Error>: From<S::Error>,
    {
        let latest = slots.latest(shared)?;
        if let Some(latest) = latest {
            // The previous writer may have published this message, and died before the fence, or before it
            // helped.
            shared.full_fence();
            help(slots, shared, latest.slot)?;
        }
        Ok(Self { latest })
    }

    /// Publishes a message, which was checked. `first_sequence` is the number before the first one.
    pub(super) fn write<S: Shared>(
        &mut self,
        slots: Slots,
        shared: &S,
        first_sequence: u64,
        time: u64,
        message: &Message<'_>,
    ) -> Result<u64>
    where
        Box<Error>: From<S::Error>,
    {
        let slot = self.begin(slots, shared)?;
        shared.write(slots.slot_at(slot) + LINE, message.content)?;
        let length = message.content.len() as u64;
        self.publish(slots, shared, first_sequence, time, slot, (message.descriptor, length))
    }

    /// Takes a slot for the next message, and returns its number. Until it is published, no reader uses it.
    pub(super) fn begin<S: Shared>(&self, slots: Slots, shared: &S) -> Result<u32>
    where
        Box<Error>: From<S::Error>,
    {
        let slot = self.free_slot(slots, shared)?;
        shared.store_u64(slots.slot_at(slot), 0)?;
        Ok(slot)
    }

    /// Publishes the content of `length` bytes that is in a slot, which [`begin`](Self::begin) has returned.
    pub(super) fn publish<S: Shared>(
        &mut self,
        slots: Slots,
        shared: &S,
        first_sequence: u64,
        time: u64,
        slot: u32,
        (descriptor, length): (Descriptor, u64),
    ) -> Result<u64>
    where
        Box<Error>: From<S::Error>,
    {
        let before = self.latest.map_or(first_sequence, |latest| latest.sequence);
        let sequence = before.checked_add(1).filter(|sequence| *sequence <= MAX_SEQUENCE);
        let sequence = sequence.ok_or_else(|| invalid_stream("the sequence number", before))?;
        let at = slots.slot_at(slot);
        let mut fields = [0; FIELDS_SIZE];
        fields[..8].copy_from_slice(&length.to_le_bytes());
        fields[8..16].copy_from_slice(&time.to_le_bytes());
        fields[16..20].copy_from_slice(&descriptor.tag().to_le_bytes());
        fields[24..].copy_from_slice(&descriptor.shape_bytes());
        shared.write(at + FIELDS_AT, &fields)?;
        shared.store_u64(at, sequence)?;
        let latest = Latest { sequence, slot };
        shared.store_u64(LATEST_AT, latest.word())?;
        self.latest = Some(latest);
        shared.full_fence();
        help(slots, shared, slot)?;
        Ok(sequence)
    }

    /// Returns a slot that no reader uses, and that isn't the newest one.
    fn free_slot<S: Shared>(&self, slots: Slots, shared: &S) -> Result<u32>
    where
        Box<Error>: From<S::Error>,
    {
        let newest = self.latest.map_or(0, |latest| latest.slot);
        let mut used = 1_u128 << newest;
        for reader in 0..slots.readers {
            let pin = shared.load_u32(slots.pin_at(reader))?;
            if let Some(slot) = slot_of(pin, slots) {
                used |= 1 << slot;
            }
        }
        // In a circle, so that a reader without a pin has as much time as there can be.
        let next = (1..slots.count()).map(|step| (newest + step) % slots.count());
        let free = next.clone().find(|slot| used >> slot & 1 == 0);
        // There are fewer pins than other slots, so only false pins can use them all.
        Ok(free.unwrap_or((newest + 1) % slots.count()))
    }
}

fn slot_of(pin: u32, slots: Slots) -> Option<u32> {
    pin.checked_sub(FIRST_SLOT).filter(|slot| *slot < slots.count())
}

/// Gives each reader that asks for a pin this slot.
fn help<S: Shared>(slots: Slots, shared: &S, slot: u32) -> Result<()>
where
    Box<Error>: From<S::Error>,
{
    for reader in 0..slots.readers {
        // The load first: a compare-exchange takes the line from the reader, even if it changes nothing.
        if shared.load_u32(slots.pin_at(reader))? == ASKING {
            shared.compare_exchange_u32(slots.pin_at(reader), ASKING, FIRST_SLOT + slot)?;
        }
    }
    Ok(())
}

/// Frees a pin: that of a reader that ends, or one that a dead reader has left.
pub(super) fn free_pin<S: Shared>(slots: Slots, shared: &S, reader: u32) -> Result<()>
where
    Box<Error>: From<S::Error>,
{
    Ok(shared.store_u32(slots.pin_at(reader), FREE)?)
}

/// Calls `take` with the newest message, which can't change until it returns. `None` without a message.
pub(super) fn read_pinned<S: Shared, T, E>(
    slots: Slots,
    shared: &S,
    reader: u32,
    take: impl FnOnce(Found) -> Result<T, E>,
) -> Result<Option<T>, E>
where
    Box<Error>: From<S::Error>,
    E: From<Box<Error>>,
{
    let Some(before) = slots.latest(shared)? else { return Ok(None) };
    let result = pin_and_read(slots, shared, reader, before, take);
    free_pin(slots, shared, reader)?;
    result
}

fn pin_and_read<S: Shared, T, E>(
    slots: Slots,
    shared: &S,
    reader: u32,
    before: Latest,
    take: impl FnOnce(Found) -> Result<T, E>,
) -> Result<Option<T>, E>
where
    Box<Error>: From<S::Error>,
    E: From<Box<Error>>,
{
    let Some(found) = pin(slots, shared, reader, before)? else { return Ok(None) };
    let (at, sequence) = (found.at, found.sequence);
    let result = take(found)?;
    check_pinned(shared, at, sequence)?;
    Ok(Some(result))
}

/// Sets a pin to the newest message, which then can't change until [`free_pin`]. `before` is a message of
/// this moment. After an error, the pin may be set.
pub(super) fn pin<S: Shared>(slots: Slots, shared: &S, reader: u32, before: Latest) -> Result<Option<Found>>
where
    Box<Error>: From<S::Error>,
{
    let pin_at = slots.pin_at(reader);
    shared.store_u32(pin_at, ASKING)?;
    // Either the load below finds what the writer has published, or the writer finds the pin, and helps.
    shared.full_fence();
    let Some(latest) = slots.latest(shared)? else { return Ok(None) };
    shared.compare_exchange_u32(pin_at, ASKING, FIRST_SLOT + latest.slot)?;
    let pin = shared.load_u32(pin_at)?;
    let Some(slot) = slot_of(pin, slots) else {
        return Err(invalid_stream("a reader's pin", pin.into()));
    };
    let at = slots.slot_at(slot);
    let sequence = shared.load_u64(at)?;
    // It may be less than that of `latest`: the writer may have helped, and then published once more before
    // the load.
    if !(before.sequence..=MAX_SEQUENCE).contains(&sequence) {
        return Err(invalid_stream("the sequence number of the newest message", sequence));
    }
    found(slots, shared, at, sequence).map(Some)
}

/// Checks that a message that was pinned is still the one with this sequence number. `at` is the offset of
/// its content.
pub(super) fn check_pinned<S: Shared>(shared: &S, at: u64, sequence: u64) -> Result<()>
where
    Box<Error>: From<S::Error>,
{
    match shared.load_u64(at - LINE)? {
        after if after == sequence => Ok(()),
        after => Err(invalid_stream("the sequence number of a message in use", after)),
    }
}

/// Calls `take` with the newest message, which may change at any time. If it has changed, calls it again, and
/// at last fails with [`Error::Overtaken`]. `is_current` returns whether the memory was not reset.
pub(super) fn read_unpinned<S: Shared, T, E>(
    slots: Slots,
    shared: &S,
    is_current: impl Fn() -> Result<bool>,
    mut take: impl FnMut(Found) -> Result<T, E>,
) -> Result<Option<T>, E>
where
    Box<Error>: From<S::Error>,
    E: From<Box<Error>>,
{
    for _ in 0..TRIES {
        let Some(latest) = slots.latest(shared)? else { return Ok(None) };
        let at = slots.slot_at(latest.slot);
        if shared.load_u64(at).map_err(Box::<Error>::from)? != latest.sequence {
            continue;
        }
        let result = found(slots, shared, at, latest.sequence).map_err(E::from).and_then(&mut take);
        if shared.load_u64(at).map_err(Box::<Error>::from)? == latest.sequence && is_current()? {
            return result.map(Some);
        }
    }
    Err(Box::new(Error::Overtaken).into())
}

/// Copies and checks the header of a slot.
fn found<S: Shared>(slots: Slots, shared: &S, at: u64, sequence: u64) -> Result<Found>
where
    Box<Error>: From<S::Error>,
{
    let mut fields = [0; FIELDS_SIZE];
    shared.read(at + FIELDS_AT, &mut fields)?;
    let number = |at: usize| {
        let bytes = fields.get(at..at + 8).and_then(|bytes| bytes.first_chunk());
        u64::from_le_bytes(bytes.copied().unwrap_or_default())
    };
    let (length, time, tag) = (number(0), number(8), (number(16) & 0xFFFF_FFFF) as u32);
    if length > slots.limit {
        return Err(invalid_stream("the length of a message", length));
    }
    let descriptor = Descriptor::found(tag, shape_in(&fields[24..]), length);
    Ok(Found { sequence, length, time, descriptor, at: at + LINE })
}
