//! Windows: sections that the page file backs, as `CreateFileMappingW` makes them.
//!
//! A section is there for as long as any process has a handle to it, and so is its name. Nobody can remove the name,
//! keep it for longer, give it to another section meanwhile, or list the names there are. A creator that is killed
//! leaves nothing behind but what others have open.
//!
//! # Why no fault is caught here
//! A peer can't take memory away: a section never shrinks, and no call decommits a section's pages. (It can't grow
//! either: the size found at the beginning stays right.) Neither can a page be missing: all of them are committed when
//! the section is made. Where a peer made a section over a file, the system refuses to truncate the file while it is
//! mapped. What is left is a disk, or a server with the peer's file, that fails to deliver a page. That ends the
//! process, as it does for any memory that was paged out.

mod failed;
mod names;
mod section;
mod security;

use std::io;
use std::sync::{Arc, Weak};
use std::time::Instant;

use windows_sys::Win32::Foundation as errors;

use super::{NameHandle, Named, OpenSegment, Opened, Provider, unwatched};
use crate::error::{Error, Result};
use crate::name;
use crate::options::{Access, Lifetime, Options, Scope};
use failed::Failed;
use names::Place;
use section::Mapping;
use section::Section;
#[cfg(test)]
pub(crate) use section::anonymous;
pub(crate) use section::coarse_clock;
pub(crate) use unwatched::Watch;
pub use unwatched::uninstall_fault_handler;

pub(super) const NATIVE: Option<&dyn Provider> = Some(&Windows);

const TAKEN: &str = "some process has it open, its creator or another one";
const OTHER_KIND: &str = "an object of another kind (an event, a mutex, ...)";

struct Windows;

impl Provider for Windows {
    /// A name never changes hands, and there is nothing to wait for.
    fn create(&self, options: &Options<'_>, size: u64, _: Instant) -> Result<Opened> {
        let plain = name::portable(options.name)?;
        if options.lifetime == Lifetime::Persistent {
            return Err(NOT_PERSISTENT);
        }
        let place = Place::new(plain, options.scope);
        let descriptor = security::Descriptor::new(options.scope).map_err(|e| failure(plain, &e))?;
        let section = match Section::create(&place.native, size, &descriptor) {
            Ok(Some(section)) => section,
            Ok(None) => return Err(Error::AlreadyExists { name: plain.to_owned(), why: TAKEN }),
            Err(e) if e.code() == errors::ERROR_ACCESS_DENIED => {
                return Err(denied(&place, e, is_there(&place)));
            }
            Err(e) => return Err(creation_failure(plain, size, e)),
        };
        let mut mapping = section.map(Access::ReadWrite).map_err(|e| creation_failure(plain, size, e))?;
        if !mapping.limit(size) {
            // The system's promise; but memory that is not there must not be touched.
            return Err(too_small(plain, &mapping, size));
        }
        Ok(opened(section, place, mapping))
    }

    fn open(&self, options: &Options<'_>, scope: Option<Scope>, size: u64, access: Access) -> Result<Opened> {
        let plain = name::foreign(options.name)?;
        let (place, section) = find(options.name, plain, scope, access)?;
        let mut mapping = section.map(access).map_err(|e| failure(&place.name, &e))?;
        if let Some(found) = mapping.flaw() {
            return Err(Error::NotASegment { name: place.name, found });
        }
        if mapping.committed() == 0 {
            return Err(Error::NotSizedYet { name: place.name });
        }
        if !mapping.limit(size) {
            return Err(too_small(&place.name, &mapping, size));
        }
        Ok(opened(section, place, mapping))
    }

    fn exists(&self, options: &Options<'_>) -> bool {
        let places = |plain| names::places(options.name, plain, Some(options.scope));
        name::foreign(options.name).is_ok_and(|plain| places(plain).iter().any(is_there))
    }

    /// No call removes a name; the caller of one that isn't there is told so.
    fn remove(&self, options: &Options<'_>) -> Result<()> {
        let plain = name::foreign(options.name)?;
        match find(options.name, plain, Some(options.scope), Access::ReadOnly) {
            Ok(_) | Err(Error::PermissionDenied { .. }) => Err(Error::Unsupported {
                what: "removing a name that a process holds (it goes with the last handle)",
            }),
            Err(e) => Err(e),
        }
    }

    fn can_persist(&self) -> bool {
        false
    }
}

fn opened(section: Section, place: Place, mapping: Mapping) -> Opened {
    let (section, scope) = (Arc::new(section), place.scope);
    let name = SectionName { place, section: Arc::downgrade(&section) };
    let object = OpenSection { _section: section, scope, size: mapping.committed() as u64 };
    Opened::new(object, NameHandle::new(name), mapping)
}

/// A name, and the section it led to.
#[derive(Debug)]
struct SectionName {
    place: Place,
    section: Weak<Section>,
}

impl Named for SectionName {
    /// The name as it was given, without a leading `/` that is not part of it.
    fn as_str(&self) -> &str {
        &self.place.name
    }

    /// `Local\frames` or `Global\frames`.
    fn native_name(&self) -> String {
        self.place.native.clone()
    }

    /// True for as long as the [`Segment`](crate::Segment) has it open: the name can't be given to another section.
    /// After that the system gives no way to tell, and it is false.
    fn is_current(&self) -> bool {
        self.section.strong_count() > 0
    }

    /// Nothing to do: the name goes with the last handle of any process.
    fn unlink(&self) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct OpenSection {
    /// Keeps the section and its name.
    _section: Arc<Section>,
    scope: Scope,
    size: u64,
}

impl OpenSegment for OpenSection {
    /// The size at the beginning, in whole pages: a section's size never changes.
    fn size(&self) -> Result<u64> {
        Ok(self.size)
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    fn set_lifetime(&self, lifetime: Lifetime) -> Result<()> {
        match lifetime {
            Lifetime::Owner => Ok(()),
            Lifetime::Persistent => Err(NOT_PERSISTENT),
        }
    }

    /// Nothing to do: the name goes with the last handle of any process.
    fn release_name(&self) {}
}

const NOT_PERSISTENT: Error = Error::Unsupported { what: "a section that outlives the last handle to it" };

/// Opens what `name` leads to, in the order in which [`names::places`] lists the places.
fn find(name: &str, plain: &str, scope: Option<Scope>, access: Access) -> Result<(Place, Section)> {
    let mut absent = None;
    for place in names::places(name, plain, scope) {
        match Section::open(&place.native, access) {
            Ok(section) => return Ok((place, section)),
            Err(e) if e.is_absent() => absent = absent.or(Some(e)),
            Err(e) => return Err(failure(&place.name, &e)),
        }
    }
    // There is at least one place.
    let absent = absent.unwrap_or_else(Failed::absent);
    Err(failure(plain, &absent))
}

/// Is anything in this place, whether or not this user may open it?
fn is_there(place: &Place) -> bool {
    match Section::open(&place.native, Access::ReadOnly) {
        Ok(_) => true,
        Err(e) => e.code() == errors::ERROR_ACCESS_DENIED,
    }
}

/// Why a section could not be made: somebody else has the name, or a privilege is missing.
fn denied(place: &Place, failed: Failed, is_there: bool) -> Error {
    let name = place.name.clone();
    if is_there {
        return Error::AlreadyExists { name, why: "another user's process has it open" };
    }
    let Failed { call, source } = failed;
    let source = match place.scope {
        Scope::Local => source,
        Scope::Global => io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "{source} (a name for all users takes the privilege SeCreateGlobalPrivilege, \
                 which administrators and services have)"
            ),
        ),
    };
    Error::PermissionDenied { name, call, source }
}

fn too_small(name: &str, mapping: &Mapping, requested: u64) -> Error {
    Error::TooSmall { name: name.to_owned(), actual: mapping.committed() as u64, requested }
}

/// What a failed system call means to who makes a segment.
fn creation_failure(plain: &str, size: u64, failed: Failed) -> Error {
    let is_room_short = match failed.code() {
        errors::ERROR_COMMITMENT_LIMIT
        | errors::ERROR_NOT_ENOUGH_MEMORY
        | errors::ERROR_OUTOFMEMORY
        | errors::ERROR_NO_SYSTEM_RESOURCES
        | errors::ERROR_NOT_ENOUGH_QUOTA
        | errors::ERROR_PAGEFILE_QUOTA
        | errors::ERROR_WORKING_SET_QUOTA
        | errors::ERROR_MAPPED_ALIGNMENT
        | errors::ERROR_FILE_TOO_LARGE
        | errors::ERROR_HANDLE_DISK_FULL
        | errors::ERROR_DISK_FULL => true,
        // Nothing but the size can be wrong, where it is more than any process has addresses for.
        errors::ERROR_INVALID_PARAMETER => size > 1 << 47,
        _ => false,
    };
    if is_room_short {
        let Failed { call, source } = failed;
        return Error::OutOfMemory { name: plain.to_owned(), size, call, source };
    }
    match failed.code() {
        errors::ERROR_INVALID_HANDLE => Error::AlreadyExists { name: plain.to_owned(), why: OTHER_KIND },
        _ => failure(plain, &failed),
    }
}

/// What a failed system call on an existing or wanted name means.
fn failure(name: &str, failed: &Failed) -> Error {
    let (name, call, source) = (name.to_owned(), failed.call, failed.source());
    match failed.code() {
        _ if failed.is_absent() => Error::DoesNotExist { name, call, source },
        errors::ERROR_INVALID_HANDLE => Error::NotASegment { name, found: OTHER_KIND },
        errors::ERROR_ACCESS_DENIED | errors::ERROR_PRIVILEGE_NOT_HELD => {
            Error::PermissionDenied { name, call, source }
        }
        _ => Error::System { name, call, source },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn failed(code: u32) -> Failed {
        Failed::new("CreateFileMappingW", code)
    }

    #[test]
    fn a_missing_privilege_is_named() {
        let global = Place::new("frames", Scope::Global);
        let error = denied(&global, failed(errors::ERROR_ACCESS_DENIED), false);
        assert!(matches!(error, Error::PermissionDenied { .. }));
        assert!(error.to_string().contains("SeCreateGlobalPrivilege"), "{error}");
        let error = denied(&global, failed(errors::ERROR_ACCESS_DENIED), true);
        assert!(matches!(error, Error::AlreadyExists { .. }));
        let local = Place::new("frames", Scope::Local);
        let error = denied(&local, failed(errors::ERROR_ACCESS_DENIED), false);
        assert!(matches!(error, Error::PermissionDenied { .. }));
        assert!(!error.to_string().contains("SeCreateGlobalPrivilege"), "{error}");
    }

    #[test]
    fn what_the_system_says_of_room_is_no_room() {
        for code in [errors::ERROR_COMMITMENT_LIMIT, errors::ERROR_NOT_ENOUGH_MEMORY, errors::ERROR_DISK_FULL]
        {
            let error = creation_failure("frames", 1 << 40, failed(code));
            assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
            assert!(error.to_string().contains("CreateFileMappingW"), "{error}");
        }
        let error = creation_failure("frames", 1, failed(errors::ERROR_INVALID_PARAMETER));
        assert!(matches!(error, Error::System { .. }), "{error}");
    }

    #[test]
    fn a_name_of_another_kind_of_object_is_taken() {
        let error = creation_failure("frames", 1, failed(errors::ERROR_INVALID_HANDLE));
        assert!(matches!(error, Error::AlreadyExists { .. }), "{error}");
    }
}
