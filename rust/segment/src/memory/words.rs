//! Words: integers that several processes change, each by one atomic access. They are stored in
//! little-endian order.
//!
//! The orders are here alone. Loads acquire, stores release, and the others do both: a reader that sees the
//! stored value also sees what was written before it. `tests/loom.rs` includes this file, and tries every
//! order of the threads' steps.

use super::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// An integer that the processor reads, writes and changes as a whole.
pub(crate) trait Word: Copy + Eq {
    type Atomic;

    fn load(word: &Self::Atomic) -> Self;

    fn store(word: &Self::Atomic, value: Self);

    /// Stores `value`, and returns the previous word.
    fn swap(word: &Self::Atomic, value: Self) -> Self;

    /// Adds `value`, wrapping around, and returns the previous word.
    fn fetch_add(word: &Self::Atomic, value: Self) -> Self;

    /// Stores `new` if the word is `current`, and returns the previous word.
    fn compare_exchange(word: &Self::Atomic, current: Self, new: Self) -> Self;
}

macro_rules! words {
    ($($integer:ty: $atomic:ty,)+) => {$(
        impl Word for $integer {
            type Atomic = $atomic;

            #[inline]
            fn load(word: &$atomic) -> Self {
                // The mapping may be read-only, where Rust allows relaxed loads and no other atomic access.
                let value = word.load(Ordering::Relaxed);
                fence(Ordering::Acquire);
                Self::from_le(value)
            }

            #[inline]
            fn store(word: &$atomic, value: Self) {
                word.store(value.to_le(), Ordering::Release);
            }

            fn swap(word: &$atomic, value: Self) -> Self {
                Self::from_le(word.swap(value.to_le(), Ordering::AcqRel))
            }

            fn fetch_add(word: &$atomic, value: Self) -> Self {
                if cfg!(target_endian = "little") {
                    return word.fetch_add(value, Ordering::AcqRel);
                }
                let add = |word: Self| Some(Self::from_le(word).wrapping_add(value).to_le());
                // Both variants hold the previous word: `add` never refuses.
                let (Ok(word) | Err(word)) = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
                Self::from_le(word)
            }

            fn compare_exchange(word: &$atomic, current: Self, new: Self) -> Self {
                let orders = (Ordering::AcqRel, Ordering::Acquire);
                let (Ok(word) | Err(word)) =
                    word.compare_exchange(current.to_le(), new.to_le(), orders.0, orders.1);
                Self::from_le(word)
            }
        }
    )+};
}

words! {
    u32: AtomicU32,
    u64: AtomicU64,
}
