//! The crate `shared_memory`, in both directions.

use crate::common::{Name, whole};
use shared_memory::ShmemConf;
use shm_segment::{Access, Error, Options};

#[test]
fn the_crate_shared_memory_opens_our_segment() {
    let name = Name::new();
    let ours = Options::new(&name).create(64).unwrap();
    ours.write(0, b"from us").unwrap();
    let theirs = ShmemConf::new().os_id(&*name);
    // By default, it opens only its own segments, which have a file.
    #[cfg(windows)]
    let theirs = theirs.allow_raw(true);
    let theirs = theirs.open().unwrap();
    assert_eq!(theirs.len() as u64, whole(64));
    // SAFETY: 64 bytes are mapped, and nothing writes to them now.
    let seen = unsafe { std::slice::from_raw_parts(theirs.as_ptr(), 7) };
    assert_eq!(seen, b"from us");
    // SAFETY: as above.
    unsafe { theirs.as_ptr().add(63).write(9) };
    let mut byte = [0];
    ours.read(63, &mut byte).unwrap();
    assert_eq!(byte, [9]);
}

#[test]
fn segments_of_the_crate_shared_memory_are_opened() {
    let name = Name::new();
    let theirs = ShmemConf::new().size(64).os_id(&*name).create().unwrap();
    // SAFETY: 64 bytes are mapped, and nothing else uses them now.
    unsafe { theirs.as_ptr().copy_from_nonoverlapping(b"from them".as_ptr(), 9) };
    let ours = Options::new(&name).open(0, Access::ReadWrite).unwrap();
    assert_eq!(ours.size(), whole(64));
    let mut text = [0; 9];
    ours.read(0, &mut text).unwrap();
    assert_eq!(&text, b"from them");
    assert!(matches!(Options::new(&name).create(64), Err(Error::AlreadyExists { .. })));
    drop(ours);
    assert!(name.exists(), "an opener leaves the name");
    drop(theirs);
    assert!(!name.exists());
}
