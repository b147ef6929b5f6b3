//! The orders of atomic accesses to words, in every order in which threads can interleave. They need
//! `RUSTFLAGS="--cfg loom"`; see `./build.sh test --help`.
#![cfg(loom)]
#![allow(clippy::unwrap_used, missing_docs)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic;
use loom::thread;

// The file itself: under loom, its atomics are loom's.
#[path = "../src/memory/words.rs"]
mod words;

use atomic::{AtomicU32, AtomicU64};
use words::Word;

/// A word, and bytes that are written before it. loom reports an access to them that a write may race with.
struct Message<W: Word> {
    word: W::Atomic,
    bytes: UnsafeCell<u8>,
}

// SAFETY: loom checks all accesses of the cell.
unsafe impl<W: Word<Atomic: Sync>> Sync for Message<W> {}

/// The ways to store 1 where 0 was.
fn publications<W: Word + From<u8>>() -> [fn(&W::Atomic); 4] {
    [
        |word| W::store(word, W::from(1)),
        |word| drop_word(W::swap(word, W::from(1))),
        |word| drop_word(W::fetch_add(word, W::from(1))),
        |word| drop_word(W::compare_exchange(word, W::from(0), W::from(1))),
    ]
}

/// The ways to find the word.
fn observations<W: Word + From<u8>>() -> [fn(&W::Atomic) -> W; 5] {
    [
        W::load,
        |word| W::swap(word, W::from(2)),
        |word| W::fetch_add(word, W::from(0)),
        |word| W::compare_exchange(word, W::from(1), W::from(2)),
        |word| W::compare_exchange(word, W::from(9), W::from(2)),
    ]
}

fn drop_word<W: Word>(_: W) {}

fn a_reader_of_the_word_sees_what_was_written_before<W>(new: fn() -> W::Atomic)
where
    W: Word<Atomic: Send + Sync> + From<u8> + 'static,
{
    for publish in publications::<W>() {
        for observe in observations::<W>() {
            loom::model(move || {
                let message = Arc::new(Message::<W> { word: new(), bytes: UnsafeCell::new(0) });
                let writer = Arc::clone(&message);
                let written = thread::spawn(move || {
                    // SAFETY: loom reports a concurrent access instead of letting it happen.
                    writer.bytes.with_mut(|bytes| unsafe { *bytes = 7 });
                    publish(&writer.word);
                });
                if observe(&message.word) == W::from(1) {
                    // SAFETY: loom reports a concurrent access instead of letting it happen.
                    message.bytes.with(|bytes| assert_eq!(unsafe { *bytes }, 7));
                }
                written.join().unwrap();
            });
        }
    }
}

#[test]
fn a_reader_of_a_word_of_4_bytes_sees_what_was_written_before() {
    a_reader_of_the_word_sees_what_was_written_before::<u32>(|| AtomicU32::new(0));
}

#[test]
fn a_reader_of_a_word_of_8_bytes_sees_what_was_written_before() {
    a_reader_of_the_word_sees_what_was_written_before::<u64>(|| AtomicU64::new(0));
}

#[test]
fn of_two_who_exchange_one_wins() {
    loom::model(|| {
        let word = Arc::new(AtomicU32::new(0));
        let other = Arc::clone(&word);
        let theirs = thread::spawn(move || u32::compare_exchange(&other, 0, 1));
        let ours = u32::compare_exchange(&word, 0, 2);
        let theirs = theirs.join().unwrap();
        assert!((ours, theirs) == (0, 2) || (ours, theirs) == (1, 0), "{ours}, {theirs}");
    });
}
