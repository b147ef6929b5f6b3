//! A partner in C that makes and opens sections as CPython does, in both directions, and dies.

use crate::common::{Name, Peer, whole};
use shm_segment::{Access, Error, Options, Segment};

fn create(name: &str, size: u64) -> Result<Segment, Error> {
    Options::new(name).create(size)
}

fn text(segment: &Segment, offset: u64, length: usize) -> String {
    let mut bytes = vec![0; length];
    segment.read(offset, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_partner_opens_our_section() {
    let name = Name::new();
    let ours = create(&name, 5000).unwrap();
    ours.write(4990, b"from_us").unwrap();
    for (open, size) in [(format!("map {} 5000", &*name), 5000), (format!("attach {}", &*name), whole(5000))]
    {
        let mut partner = Peer::partner();
        assert_eq!(partner.ask(&open), "opened");
        assert_eq!(partner.ask("size"), size.to_string());
        assert_eq!(partner.ask("read 4990 7"), "from_us");
        assert_eq!(partner.ask("write 0 from_them"), "written");
        assert_eq!(text(&ours, 0, 9), "from_them");
        ours.fill(0, 9, 0).unwrap();
    }
    let mut partner = Peer::partner();
    assert_eq!(partner.ask(&format!("create {} 5000", &*name)), "exists");
    assert_eq!(partner.ask(&format!("map {} 5000", ours.name().native_name())), "opened");
}

#[test]
fn rust_opens_the_partners_section() {
    let name = Name::new();
    for make in ["map", "create"] {
        let mut partner = Peer::partner();
        assert_eq!(partner.ask(&format!("{make} {} 5000", &*name)), "made");
        assert_eq!(partner.ask("write 4990 from_them"), "written");
        let ours = Options::new(&name).open(0, Access::ReadWrite).unwrap();
        assert_eq!(ours.size(), whole(5000));
        assert_eq!(text(&ours, 4990, 9), "from_them");
        ours.write(0, b"from_us").unwrap();
        assert_eq!(partner.ask("read 0 7"), "from_us");
        assert_eq!(Options::new(&name).open(5000, Access::ReadOnly).unwrap().size(), 5000);
        assert!(matches!(create(&name, 5000), Err(Error::AlreadyExists { .. })));
        let joined = Options::new(&name).open_or_create(5000).unwrap();
        assert!(!joined.is_created());
        drop((ours, joined));
        assert!(name.exists());
        assert_eq!(partner.ask("close"), "closed");
        assert!(!name.exists());
    }
}

#[test]
fn a_section_outlives_its_dead_creator() {
    let name = Name::new();
    let mut partner = Peer::partner();
    assert_eq!(partner.ask(&format!("map {} 5000", &*name)), "made");
    assert_eq!(partner.ask("write 0 old"), "written");
    let ours = Options::new(&name).open(0, Access::ReadWrite).unwrap();
    partner.send("die");
    assert_eq!(partner.exit_code(), Some(9));

    assert_eq!(text(&ours, 0, 3), "old");
    ours.write(0, b"new").unwrap();
    assert!(ours.name().is_current() && name.exists());
    assert!(matches!(create(&name, 5000), Err(Error::AlreadyExists { .. })));
    let joined = Options::new(&name).open_or_create(5000).unwrap();
    assert!(!joined.is_created());
    assert_eq!(text(&joined, 0, 3), "new");
    drop((ours, joined));
    assert!(!name.exists());
    let again = create(&name, 5000).unwrap();
    assert_eq!(text(&again, 0, 3), "\0\0\0");
}

#[test]
fn a_section_goes_with_its_only_holder() {
    let name = Name::new();
    let mut partner = Peer::partner();
    assert_eq!(partner.ask(&format!("create {} 5000", &*name)), "made");
    assert!(name.exists());
    partner.send("die");
    assert_eq!(partner.exit_code(), Some(9));
    assert!(!name.exists());
    let ours = Options::new(&name).open_or_create(5000).unwrap();
    assert!(ours.is_created());
}

#[test]
fn a_dead_opener_changes_nothing() {
    let name = Name::new();
    let ours = create(&name, 64).unwrap();
    let mut partner = Peer::partner();
    assert_eq!(partner.ask(&format!("attach {}", &*name)), "opened");
    assert_eq!(partner.ask("write 0 last"), "written");
    partner.send("die");
    assert_eq!(partner.exit_code(), Some(9));
    assert_eq!(text(&ours, 0, 4), "last");
    drop(ours);
    assert!(!name.exists());
}
