//! Copies and life cycles of segments. They are compared with a plain `memcpy` into the same kind of memory,
//! with bare system calls, and with the crate `shared_memory`. `./build.sh bench` runs it, and reads its
//! output.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may")]

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::OwnedFd;
    use std::ptr::copy_nonoverlapping;

    use divan::{Bencher, black_box};
    use memmap2::{MmapOptions, MmapRaw};
    use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate};
    use rustix::shm;
    use shared_memory::{Shmem, ShmemConf};
    use shm_segment::{Options, Segment};

    const SIZES: [usize; 5] = [64, 4096, 65_536, 1_048_576, 8_294_400];
    const MEBIBYTE: usize = 1_048_576;

    /// The prefix lets a caller find what a killed run has left.
    fn name() -> String {
        let prefix = std::env::var("BENCH_PREFIX").unwrap_or_else(|_| "bench-".into());
        shm_segment::generate_name(&prefix).unwrap()
    }

    fn segment(size: usize) -> Segment {
        Options::new(&name()).create(size as u64).unwrap()
    }

    fn foreign(size: usize) -> Shmem {
        ShmemConf::new().size(size).os_id(name()).create().unwrap()
    }

    fn mapped(file: &OwnedFd, size: usize) -> MmapRaw {
        fallocate(file, FallocateFlags::empty(), 0, size as u64).unwrap();
        MmapOptions::new().len(size).map_raw(file).unwrap()
    }

    /// Maps memory like a segment's, but without a name.
    fn raw(size: usize) -> MmapRaw {
        let flags = OFlags::TMPFILE | OFlags::RDWR;
        mapped(&rustix::fs::open("/dev/shm", flags, Mode::RUSR | Mode::WUSR).unwrap(), size)
    }

    /// Copies once without measuring, then measures. divan estimates the time of a call from the first one.
    /// Page faults would make that long, and divan would read the clock around each call.
    fn measure(bencher: Bencher<'_, '_>, mut copy: impl FnMut()) {
        copy();
        bencher.bench_local(copy);
    }

    mod write {
        use super::*;

        #[divan::bench(args = SIZES)]
        fn segment(bencher: Bencher<'_, '_>, size: usize) {
            let (to, from) = (super::segment(size), vec![0x5A; size]);
            measure(bencher, || to.write(0, black_box(&from)).unwrap());
        }

        #[divan::bench(args = SIZES)]
        fn memcpy(bencher: Bencher<'_, '_>, size: usize) {
            let (to, from) = (raw(size), vec![0x5A; size]);
            // SAFETY: both have `size` bytes.
            measure(bencher, || unsafe {
                copy_nonoverlapping(black_box(from.as_ptr()), black_box(to.as_mut_ptr()), size);
            });
        }

        #[divan::bench(args = SIZES)]
        fn shared_memory(bencher: Bencher<'_, '_>, size: usize) {
            let (to, from) = (foreign(size), vec![0x5A; size]);
            // SAFETY: both have `size` bytes.
            measure(bencher, || unsafe {
                copy_nonoverlapping(black_box(from.as_ptr()), black_box(to.as_ptr()), size);
            });
        }
    }

    mod read {
        use super::*;

        #[divan::bench(args = SIZES)]
        fn segment(bencher: Bencher<'_, '_>, size: usize) {
            let (from, mut to) = (super::segment(size), vec![0; size]);
            measure(bencher, || from.read(0, black_box(&mut to)).unwrap());
        }

        #[divan::bench(args = SIZES)]
        fn memcpy(bencher: Bencher<'_, '_>, size: usize) {
            let (from, mut to) = (raw(size), vec![0_u8; size]);
            // SAFETY: both have `size` bytes.
            measure(bencher, || unsafe {
                copy_nonoverlapping(black_box(from.as_ptr()), black_box(to.as_mut_ptr()), size);
            });
        }

        #[divan::bench(args = SIZES)]
        fn shared_memory(bencher: Bencher<'_, '_>, size: usize) {
            let (from, mut to) = (foreign(size), vec![0_u8; size]);
            // SAFETY: both have `size` bytes.
            measure(bencher, || unsafe {
                copy_nonoverlapping(black_box(from.as_ptr()), black_box(to.as_mut_ptr()), size);
            });
        }
    }

    /// Creates 1 MiB, and drops it at once.
    mod create {
        use super::*;

        #[divan::bench]
        fn segment(bencher: Bencher<'_, '_>) {
            let name = name();
            bencher.bench_local(|| {
                drop(Options::new(&name).create(MEBIBYTE as u64).unwrap());
            });
        }

        #[divan::bench]
        fn system_calls(bencher: Bencher<'_, '_>) {
            let name = format!("/{}", name());
            let flags = shm::OFlags::CREATE | shm::OFlags::EXCL | shm::OFlags::RDWR;
            bencher.bench_local(|| {
                let file = shm::open(&name, flags, Mode::RUSR | Mode::WUSR).unwrap();
                drop(mapped(&file, MEBIBYTE));
                shm::unlink(&name).unwrap();
            });
        }

        /// Reserves no pages.
        #[divan::bench]
        fn shared_memory(bencher: Bencher<'_, '_>) {
            let name = name();
            bencher.bench_local(|| drop(ShmemConf::new().size(MEBIBYTE).os_id(&name).create().unwrap()));
        }
    }
}

fn main() {
    divan::main();
}
