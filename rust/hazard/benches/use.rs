//! The cost of one use of a shared value, compared with other crates for the same purpose.
//!
//! Run it with `cargo bench -p hazard`. Each benchmark reads a number behind a shared pointer that another
//! thread could replace.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may")]

use std::sync::LazyLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use divan::black_box;

const THREADS: [usize; 3] = [1, 2, 8];

#[divan::bench(threads = THREADS, sample_size = 10_000)]
fn hazard() -> u64 {
    static VALUE: LazyLock<hazard::AtomicOption<u64>> = LazyLock::new(|| {
        let option = hazard::AtomicOption::default();
        option.put(7);
        option
    });
    VALUE.with(|value| *black_box(value).unwrap())
}

#[divan::bench(threads = THREADS, sample_size = 10_000)]
fn arc_swap() -> u64 {
    static VALUE: LazyLock<arc_swap::ArcSwapOption<u64>> =
        LazyLock::new(|| arc_swap::ArcSwapOption::from_pointee(7));
    **black_box(&VALUE.load()).as_ref().unwrap()
}

#[divan::bench(threads = THREADS, sample_size = 10_000)]
fn seize() -> u64 {
    use seize::Guard as _;
    static COLLECTOR: LazyLock<seize::Collector> = LazyLock::new(seize::Collector::new);
    static VALUE: LazyLock<AtomicPtr<u64>> = LazyLock::new(|| AtomicPtr::new(Box::into_raw(Box::new(7))));
    let guard = COLLECTOR.enter();
    // SAFETY: the pointer leads to a box that this benchmark never retires, and the guard protects it.
    unsafe { *black_box(guard.protect(&VALUE, Ordering::Acquire)) }
}

#[divan::bench(threads = THREADS, sample_size = 10_000)]
fn haphazard() -> u64 {
    static VALUE: LazyLock<haphazard::AtomicPtr<u64>> =
        LazyLock::new(|| haphazard::AtomicPtr::from(Box::new(7)));
    let mut pointer = haphazard::HazardPointer::new();
    *black_box(VALUE.safe_load(&mut pointer).unwrap())
}

/// The standard library's way: a lock and a reference count.
#[divan::bench(threads = THREADS, sample_size = 10_000)]
fn mutex_of_arc() -> u64 {
    static VALUE: LazyLock<std::sync::Mutex<std::sync::Arc<u64>>> = LazyLock::new(std::sync::Mutex::default);
    let value = std::sync::Arc::clone(&VALUE.lock().unwrap());
    *black_box(value)
}

fn main() {
    divan::main();
}
