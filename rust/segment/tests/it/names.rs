//! Names that are refused, and names that work.

use crate::common::Name;
use shm_segment::{Access, Error, Options};

#[test]
fn names_that_the_system_cannot_take_are_refused() {
    let too_long = "n".repeat(256);
    let mut refused = vec!["", "/", "a\0b"];
    if cfg!(unix) {
        refused.extend(["a/b", &too_long]);
    }
    for name in refused {
        let is_refused = |error: Option<Error>| matches!(error, Some(Error::InvalidName { .. }));
        assert!(is_refused(Options::new(name).open(0, Access::ReadWrite).err()), "{name:?}");
        assert!(is_refused(Options::new(name).remove().err()), "{name:?}");
        assert!(!Options::new(name).exists(), "{name:?}");
    }
}

#[test]
fn names_that_some_system_cannot_take_are_not_created() {
    for name in ["a/b", "a\\b", "Local\\a", "Global\\a", ".", ".."] {
        for create in [Options::create, Options::open_or_create] {
            let result = create(&Options::new(name), 1);
            assert!(matches!(result, Err(Error::InvalidName { .. })), "{name:?}");
        }
    }
}

#[test]
fn absent_names_are_reported() {
    let name = Name::new();
    for absent in [&*name, &format!("/{}", &*name), &format!("a\\{}", &*name)] {
        let result = Options::new(absent).open(0, Access::ReadOnly);
        assert!(matches!(result, Err(Error::DoesNotExist { .. })), "{result:?}");
        let result = Options::new(absent).remove();
        assert!(matches!(result, Err(Error::DoesNotExist { .. })), "{result:?}");
        assert!(!Options::new(absent).exists());
    }
}

#[test]
fn the_longest_name_and_any_characters_work() {
    let longest = format!("{}{}", &*Name::new(), "n".repeat(255));
    // At most 30 bytes, for macOS.
    let colourful = format!("{} äöü 日本 😀", &Name::new()[18..]);
    for name in [&longest[..shm_segment::MAX_NAME_BYTES], &colourful] {
        let name = Name(name.to_owned());
        let ours = Options::new(&name).create(8).unwrap();
        assert_eq!(ours.name().as_str(), &*name);
        let theirs = Options::new(&ours.name().native_name()).open(8, Access::ReadWrite).unwrap();
        theirs.write(0, b"x").unwrap();
        let mut byte = [0];
        ours.read(0, &mut byte).unwrap();
        assert_eq!(&byte, b"x");
        assert!(name.exists());
    }
}
