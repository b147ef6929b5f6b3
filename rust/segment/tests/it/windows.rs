//! Features of Windows alone: names of the session and of the machine, access lists, pages, other kinds of
//! objects.

use std::fs::{self, File};
use std::os::windows::io::AsRawHandle;
use std::ptr;

use crate::common::{Foreign, Name, Peer, whole, wide};
use shm_segment::{Access, Backend, Error, Lifetime, Options, Scope, Segment};
use windows_sys::Win32::Foundation::{CloseHandle, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, GetSecurityInfo, SDDL_REVISION_1, SE_KERNEL_OBJECT,
};
use windows_sys::Win32::Security::DACL_SECURITY_INFORMATION;
use windows_sys::Win32::Storage::FileSystem::READ_CONTROL;
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_WRITE, MEM_COMMIT, MapViewOfFile, OpenFileMappingW, PAGE_GUARD,
    PAGE_NOACCESS, PAGE_READONLY, PAGE_READWRITE, SEC_IMAGE, SEC_RESERVE, VirtualAlloc,
};
use windows_sys::Win32::System::Threading::CreateEventW;

fn create(name: &str, size: u64) -> Result<Segment, Error> {
    Options::new(name).create(size)
}

fn open(name: &str) -> Result<Segment, Error> {
    Options::new(name).open(0, Access::ReadWrite)
}

fn byte(segment: &Segment) -> u8 {
    let mut byte = [0];
    segment.read(0, &mut byte).unwrap();
    byte[0]
}

/// Checks that the name is taken, and that calls of this process don't change that.
fn assert_taken(name: &Name) {
    match create(name, 8) {
        Err(Error::AlreadyExists { .. }) => {}
        other => panic!("{other:?}"),
    }
    match name.remove() {
        Err(error @ Error::Unsupported { .. }) => {
            assert!(error.to_string().contains("last handle"), "{error}")
        }
        other => panic!("{other:?}"),
    }
    assert!(name.exists());
}

#[test]
fn an_opener_keeps_name_and_memory() {
    let name = Name::new();
    let ours = create(&name, 8).unwrap();
    ours.write(0, b"7").unwrap();
    let theirs = open(&name).unwrap();
    let handle = ours.name().clone();
    ours.release_name();
    drop(ours);
    assert!(!handle.is_current() && theirs.name().is_current());
    theirs.name().unlink().unwrap();
    assert_taken(&name);
    let joined = Options::new(&name).open_or_create(8).unwrap();
    assert!(!joined.is_created());
    assert_eq!(byte(&joined), b'7');
    drop((theirs, joined));
    assert!(!name.is_there());
    assert!(matches!(name.remove(), Err(Error::DoesNotExist { .. })));
    assert_eq!(byte(&create(&name, 8).unwrap()), 0);
}

#[test]
fn openers_keep_a_dead_owners_memory() {
    let name = Name::new();
    let mut peer = Peer::start("peer");
    assert_eq!(peer.ask(&format!("create {}", &*name)), "created");
    assert_eq!(peer.ask("write 7"), "written");
    let ours = open(&name).unwrap();
    peer.kill();
    assert_eq!(byte(&ours), b'7');
    assert_taken(&name);
    drop(ours);
    assert!(create(&name, 8).is_ok());
}

#[test]
fn nothing_is_inherited() {
    let name = Name::new();
    let ours = create(&name, 8).unwrap();
    let _theirs = open(&name).unwrap();
    let mut peer = Peer::start("peer");
    assert_eq!(peer.ask("close"), "closed");
    drop((ours, _theirs));
    assert!(!name.exists());
}

#[test]
fn persistent_segments_are_refused() {
    let name = Name::new();
    assert!(!Backend::Native.can_persist());
    for create in [Options::create, Options::open_or_create] {
        let result = create(&Options::new(&name).lifetime(Lifetime::Persistent), 8);
        assert!(matches!(result, Err(Error::Unsupported { .. })), "{result:?}");
        assert!(!name.is_there());
    }
    let ours = create(&name, 8).unwrap();
    assert!(matches!(ours.set_lifetime(Lifetime::Persistent), Err(Error::Unsupported { .. })));
    ours.set_lifetime(Lifetime::Owner).unwrap();
    assert!(shm_segment::list_names().is_empty());
}

#[test]
fn the_session_and_the_machine_have_names_of_their_own() {
    let name = Name::new();
    let global = Options::new(&name).scope(Scope::Global).create(8).unwrap();
    global.write(0, b"G").unwrap();
    assert_eq!(global.name().native_name(), format!("Global\\{}", &*name));
    assert!(!name.exists() && Options::new(&name).scope(Scope::Global).exists());

    let found = open(&name).unwrap();
    assert_eq!((found.scope(), byte(&found)), (Scope::Global, b'G'));
    assert_eq!(found.name().as_str(), &*name);
    assert_eq!(found.name().native_name(), global.name().native_name());

    let local = create(&name, 8).unwrap();
    local.write(0, b"L").unwrap();
    assert_eq!(local.name().native_name(), format!("Local\\{}", &*name));
    let found = open(&name).unwrap();
    assert_eq!((found.scope(), byte(&found)), (Scope::Local, b'L'), "the session's comes first");
    for (scope, expected) in [(Scope::Local, b'L'), (Scope::Global, b'G')] {
        assert!(Options::new(&name).scope(scope).exists());
        let joined = Options::new(&name).scope(scope).open_or_create(8).unwrap();
        assert_eq!((joined.is_created(), joined.scope(), byte(&joined)), (false, scope, expected));
        let result = Options::new(&name).scope(scope).create(8);
        assert!(matches!(result, Err(Error::AlreadyExists { .. })));
    }
}

#[test]
fn a_name_is_tried_as_given_first() {
    let name = Name::new();
    let slashed = format!("/{}", &*name);
    let ours = create(&slashed, 8).unwrap();
    assert_eq!(ours.name().as_str(), &*name);
    ours.write(0, b"p").unwrap();
    assert_eq!(byte(&open(&slashed).unwrap()), b'p', "without its slash, if there is none with it");
    let _foreign = Foreign::make(&slashed, 8);
    let with_slash = open(&slashed).unwrap();
    assert_eq!((byte(&with_slash), with_slash.name().as_str()), (0, &*slashed));
    assert_eq!(byte(&open(&name).unwrap()), b'p');

    for (given, scope) in [("Local", Scope::Local), ("Global", Scope::Global)] {
        let qualified = format!("{given}\\{}", &*Name::new());
        let _foreign = Foreign::make(&qualified, 8);
        let found = open(&qualified).unwrap();
        assert_eq!((found.scope(), found.name().as_str()), (scope, &*qualified));
        assert_eq!(found.name().native_name(), qualified);
        assert!(Options::new(&qualified).exists());
    }
}

#[test]
fn a_name_has_upper_and_lower_case() {
    let name = Name::new();
    let _ours = create(&name, 8).unwrap();
    assert!(matches!(open(&name.to_uppercase()), Err(Error::DoesNotExist { .. })));
}

#[test]
fn a_creator_has_its_size_and_an_opener_whole_pages() {
    let name = Name::new();
    for (size, pages) in [(1, 4096), (4096, 4096), (4097, 8192)] {
        let ours = create(&name, size).unwrap();
        assert_eq!((ours.size(), ours.current_size().unwrap()), (size, pages));
        assert!(matches!(ours.write(size, b"x"), Err(Error::OutOfBounds { .. })));
        let theirs = open(&name).unwrap();
        assert_eq!((theirs.size(), theirs.current_size().unwrap()), (pages, pages));
        theirs.write(pages - 1, b"x").unwrap();
    }
}

#[test]
fn sizes_beyond_four_gibibytes_use_both_halves() {
    let name = Name::new();
    let size = (5 << 30) + 1;
    let ours = create(&name, size).unwrap();
    assert_eq!((ours.size(), ours.current_size().unwrap()), (size, whole(size)));
    ours.write(size - 1, b"x").unwrap();
    let theirs = Options::new(&name).open(size, Access::ReadOnly).unwrap();
    let mut last = [0];
    theirs.read(size - 1, &mut last).unwrap();
    assert_eq!(&last, b"x");
}

#[test]
fn a_segment_that_is_too_small_is_not_touched() {
    let name = Name::new();
    let _foreign = Foreign::make(&name, 4096);
    let theirs = open(&name).unwrap();
    theirs.fill(0, 4096, 0xA5).unwrap();
    match Options::new(&name).open_or_create(4097) {
        Err(Error::TooSmall { actual: 4096, requested: 4097, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_taken(&name);
    let mut bytes = vec![0; 4096];
    theirs.read(0, &mut bytes).unwrap();
    assert!(bytes.iter().all(|byte| *byte == 0xA5));
}

#[test]
fn addresses_without_memory_are_not_touched() {
    let name = Name::new();
    let foreign = Foreign::with_flags(&name, 16 << 12, PAGE_READWRITE | SEC_RESERVE);
    assert!(matches!(open(&name), Err(Error::NotSizedYet { .. })), "{:?}", open(&name));
    // SAFETY: the handle is open, and the call commits the first two pages of the view.
    let committed = unsafe {
        let view = MapViewOfFile(foreign.handle(), FILE_MAP_WRITE, 0, 0, 0);
        VirtualAlloc(view.Value, 2 << 12, MEM_COMMIT, PAGE_READWRITE)
    };
    assert!(!committed.is_null());
    let ours = open(&name).unwrap();
    assert_eq!(ours.size(), 2 << 12);
    ours.fill(0, 2 << 12, 1).unwrap();
    assert!(matches!(
        Options::new(&name).open(3 << 12, Access::ReadOnly),
        Err(Error::TooSmall { actual: 8192, .. })
    ));
}

/// Each process gets a copy of its own of the pages that it writes to.
#[test]
fn the_image_of_a_program_is_refused() {
    let name = Name::new();
    let program = File::open(std::env::current_exe().unwrap()).unwrap();
    let native = wide(&format!("Local\\{}", &*name));
    // SAFETY: the file is open, the access list is null, and the name ends with a zero.
    let section = unsafe {
        CreateFileMappingW(
            program.as_raw_handle(),
            ptr::null(),
            PAGE_READONLY | SEC_IMAGE,
            0,
            0,
            native.as_ptr(),
        )
    };
    assert!(!section.is_null());
    let opened = Options::new(&name).open(0, Access::ReadOnly);
    assert!(matches!(opened, Err(Error::NotASegment { .. })), "{opened:?}");
    // SAFETY: the handle was opened above, and is closed once.
    unsafe { CloseHandle(section) };
}

/// A peer decides what its pages allow. Pages committed without access are so for every process.
#[test]
fn pages_without_the_access_are_not_touched() {
    for protection in [PAGE_NOACCESS, PAGE_READONLY, PAGE_READWRITE | PAGE_GUARD] {
        let name = Name::new();
        let foreign = Foreign::with_flags(&name, 1 << 20, PAGE_READWRITE | SEC_RESERVE);
        // SAFETY: the section is open, and the call commits the first page of the view with other rights.
        let page = unsafe {
            let view = MapViewOfFile(foreign.handle(), FILE_MAP_WRITE, 0, 0, 0);
            assert!(!view.Value.is_null());
            VirtualAlloc(view.Value, 4096, MEM_COMMIT, protection)
        };
        assert!(!page.is_null());
        match open(&name) {
            Err(Error::NotASegment { .. }) => {}
            // In Wine, the rights belong to the view that they were set in.
            Ok(segment) => segment.write(0, &[1; 4096]).unwrap(),
            Err(other) => panic!("{protection:#x}: {other:?}"),
        }
    }
}

#[test]
fn a_file_that_was_renamed_and_replaced_is_left_alone() {
    let folder = std::env::temp_dir().join(shm_segment::generate_name("windows-test").unwrap());
    fs::create_dir(&folder).unwrap();
    let (path, other) = (folder.join("file"), folder.join("other"));
    let name = path.to_str().unwrap();
    let ours = Options::new(name).backend(Backend::File).create(100).unwrap();
    let handle = ours.name().clone();
    assert!(handle.is_current());
    drop(ours);
    fs::rename(&path, &other).unwrap();
    assert!(!handle.is_current());
    handle.unlink().unwrap();
    fs::write(&path, b"a stranger's").unwrap();
    assert!(!handle.is_current());
    handle.unlink().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"a stranger's");
    fs::remove_file(&path).unwrap();
    fs::rename(&other, &path).unwrap();
    assert!(handle.is_current());
    handle.unlink().unwrap();
    assert!(!path.exists());
    // If the path is taken, create fails, and the file stays.
    fs::write(&path, b"a stranger's").unwrap();
    let made = Options::new(name).backend(Backend::File).create(100);
    assert!(matches!(made, Err(Error::AlreadyExists { .. })), "{made:?}");
    assert_eq!(fs::read(&path).unwrap(), b"a stranger's");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn other_kinds_of_objects_are_refused() {
    let name = Name::new();
    let native = wide(&name);
    // SAFETY: the name ends with a zero.
    let event = unsafe { CreateEventW(ptr::null(), 1, 0, native.as_ptr()) };
    assert!(!event.is_null());
    for access in [Access::ReadWrite, Access::ReadOnly] {
        let result = Options::new(&name).open(0, access);
        assert!(matches!(result, Err(Error::NotASegment { .. })), "{result:?}");
    }
    for create in [Options::create, Options::open_or_create] {
        assert!(create(&Options::new(&name), 8).is_err());
    }
    let error = create(&name, 8).unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error}");
    assert!(!name.exists());
    assert!(matches!(name.remove(), Err(Error::NotASegment { .. })));
    // SAFETY: the handle is this test's own, and not used any more.
    unsafe { CloseHandle(event) };
    assert!(create(&name, 8).is_ok());
}

/// Returns the access list of the section, as text.
fn access_list(native: &str) -> String {
    let native = wide(native);
    // SAFETY: the name ends with a zero. The other calls write to their own pointers, and take what the calls
    // before them have returned.
    unsafe {
        let handle = OpenFileMappingW(READ_CONTROL, 0, native.as_ptr());
        assert!(!handle.is_null());
        let mut descriptor = ptr::null_mut();
        let code = GetSecurityInfo(
            handle,
            SE_KERNEL_OBJECT,
            DACL_SECURITY_INFORMATION,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            &raw mut descriptor,
        );
        assert_eq!(code, 0);
        CloseHandle(handle);
        let mut words = ptr::null_mut();
        let done = ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor,
            SDDL_REVISION_1,
            DACL_SECURITY_INFORMATION,
            &raw mut words,
            ptr::null_mut(),
        );
        assert_ne!(done, 0);
        let length = (0..).take_while(|&i| *words.add(i) != 0).count();
        let text = String::from_utf16(std::slice::from_raw_parts(words, length)).unwrap();
        LocalFree(words.cast());
        LocalFree(descriptor);
        text
    }
}

#[test]
fn the_access_list_follows_the_scope() {
    let name = Name::new();
    let local = create(&name, 8).unwrap();
    let list = access_list(&local.name().native_name());
    println!("{list}");
    assert!(list.starts_with("D:P"), "nothing is inherited: {list}");
    assert_eq!(list.matches("(A;").count(), 2, "{list}");
    assert!(list.contains(";SY)") && !list.contains(";WD)"), "{list}");
    let global = Options::new(&name).scope(Scope::Global).create(8).unwrap();
    let list = access_list(&global.name().native_name());
    println!("{list}");
    assert_eq!(list.matches("(A;").count(), 3, "{list}");
    assert!(list.contains(";SY)") && list.contains(";WD)"), "{list}");
}

#[test]
fn a_section_that_allows_only_reading_can_be_read() {
    let name = Name::new();
    let _foreign = Foreign::with_access_list(&name, 8, "D:P(A;;GR;;;WD)");
    let error = open(&name).unwrap_err();
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error}");
    let reader = Options::new(&name).open(8, Access::ReadOnly).unwrap();
    assert_eq!(byte(&reader), 0);
    assert!(matches!(reader.write(0, b"x"), Err(Error::ReadOnly { .. })));
    drop(reader);
    assert_taken(&name);
}

#[test]
fn a_forbidden_section_still_exists() {
    let name = Name::new();
    let _foreign = Foreign::with_access_list(&name, 8, "D:P(D;;GA;;;WD)");
    for access in [Access::ReadWrite, Access::ReadOnly] {
        let error = Options::new(&name).open(0, access).unwrap_err();
        assert!(matches!(error, Error::PermissionDenied { .. }), "{error}");
    }
    assert_taken(&name);
}
