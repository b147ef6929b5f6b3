//! Images of locks.

use std::time::Duration;

use shm_segment::layout::Error;
use shm_segment::layout::native::Lock;
use shm_segment::{Access, Backend, Lifetime, Options, Scope, Segment};

use super::{changed, fix_header, put_u32, put_u64, result_of};
use crate::common::Name;

const SIZE: usize = 8448;
const NOW: Duration = Duration::ZERO;
/// The offset of a lock's line, and of its words there.
const LINES: usize = 0x100;
const LINE: usize = 128;
const BELL: usize = 4;
const DIRTY: usize = 8;
/// The lock that the roles use besides the first one.
const LAST: u8 = 63;

/// Returns the memory after `use_it`, which gets the first lock.
fn locks(use_it: impl FnOnce(&Lock, &Segment)) -> Vec<u8> {
    let name = Name::new();
    let lock = Lock::open(&name, 0, Scope::Local).unwrap();
    let segment = Options::new(&name).open(0, Access::ReadWrite).unwrap();
    fix_header(&segment);
    use_it(&lock, &segment);
    let mut bytes = vec![0; SIZE];
    segment.read(0, &mut bytes).unwrap();
    // The time in the header means nothing.
    put_u64(&mut bytes, 0x28, 0);
    bytes
}

/// Returns the memory of a lock that is held.
pub(super) fn held() -> Vec<u8> {
    locks(|lock, _| lock.lock(NOW).unwrap())
}

/// Returns all images that only locks have.
pub(super) fn images() -> Vec<(String, &'static str, Vec<u8>)> {
    let mut images = Vec::new();
    let mut add = |name: &str, about, bytes| images.push((format!("locks_{name}"), about, bytes));
    let fresh = || locks(|_, _| {});
    add("fresh", "Laid out, and no holder.", fresh());
    add("held", "Lock 0 is held, or its holder has died.", held());
    add(
        "released",
        "Lock 0 was released while another process waited.",
        locks(|lock, segment| {
            lock.lock(NOW).unwrap();
            segment.store_u32(LINES as u64, 1).unwrap();
            lock.unlock().unwrap();
        }),
    );
    add(
        "waited_for",
        "The holder of lock 0 has died while another process waited.",
        changed(held(), |bytes| put_u32(bytes, LINES, 1)),
    );
    let line = LINES + usize::from(LAST) * LINE;
    add(
        "last_held",
        "The holder of lock 63 has died.",
        changed(fresh(), |bytes| put_u32(bytes, line + DIRTY, 1)),
    );
    add(
        "any_word",
        "The words of lock 0 have values that no program stores.",
        changed(fresh(), |bytes| {
            for (at, value) in [(0, 0xFFFF_FFFF), (BELL, 0xFFFF_FFFF), (DIRTY, 0x8000_0000)] {
                put_u32(bytes, LINES + at, value);
            }
        }),
    );
    add(
        "half_header",
        "Its maker has died before the magic number.",
        changed(fresh(), |bytes| put_u32(bytes, 0, 0)),
    );
    add(
        "reset",
        "The resetting process has died before it emptied the lines.",
        changed(held(), |bytes| put_u64(bytes, 0x18, 0)),
    );
    let mut add_wrong = |name, about, change: &dyn Fn(&mut [u8])| add(name, about, changed(fresh(), change));
    add_wrong("fewer", "The header tells of 63 locks.", &|bytes| {
        put_u32(bytes, 0x30, 63);
        put_u64(bytes, 0x10, (SIZE - LINE) as u64);
    });
    add_wrong("short_lines", "The header tells of lines of 64 bytes.", &|bytes| {
        put_u64(bytes, 0x38, 64);
        put_u64(bytes, 0x10, 256 + 64 * 64);
    });
    images
}

/// Takes the lock, tells whether the holder before has died, and gives it back.
fn hold(lock: &Lock) -> Result<&'static str, Error> {
    lock.lock(NOW)?;
    let found = if lock.was_abandoned() { "abandoned" } else { "clean" };
    lock.unlock()?;
    Ok(found)
}

fn result(image: &[u8], index: u8) -> String {
    let name = Name::new();
    let can_persist = Backend::Native.can_persist();
    let lifetime = if can_persist { Lifetime::Persistent } else { Lifetime::Owner };
    let segment = Options::new(&name).lifetime(lifetime).create(SIZE as u64).unwrap();
    segment.write(0, image).unwrap();
    let held = || {
        let lock = Lock::open(&name, index, Scope::Local)?;
        Ok((hold(&lock)?, hold(&lock)?))
    };
    let line = LINES as u64 + u64::from(index) * LINE as u64;
    let told = result_of(held(), |(first, second)| {
        let [bell, dirty] = [BELL, DIRTY].map(|at| segment.load_u32(line + at as u64).unwrap());
        format!("ok {first} {second} bell {bell} dirty {dirty}")
    });
    let _ = name.remove();
    told
}

pub(super) fn roles(image: &[u8]) -> Vec<(&'static str, String)> {
    vec![("holder", result(image, 0)), ("holder_of_last", result(image, LAST))]
}
