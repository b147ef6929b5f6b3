//! Windows: sections that the page file backs, as `CreateFileMappingW` makes them.
//!
//! A section and its name exist for as long as any process has a handle to the section. No program can remove
//! the name, keep it for longer, give it to another section in that time, or list the existing names. A
//! killed creator leaves nothing, except what others have open.
//!
//! # Why no fault is caught here
//! A peer can't take memory away: a section never shrinks, and no call decommits its pages. It can't grow
//! either, so the size found at the beginning stays right. A page can't be missing: all of them are committed
//! when the section is made. If a peer made a section over a file, the system refuses to truncate the file
//! while it is mapped. A disk or server with the peer's file may still fail to deliver a page. That ends the
//! process, as it does for any memory that was paged out.

pub(super) mod byte_lock;
mod clock;
mod failed;
mod names;
mod section;
mod security;

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Instant;

use windows_sys::Win32::Foundation as errors;

use super::role_file::RoleFile;
use super::{NameHandle, Named, OpenSegment, Opened, Provider, RoleLocks, unwatched};
use crate::error::{Error, Result, Taken};
use crate::info::{Maker, OwnerState, SegmentInfo};
use crate::name;
use crate::options::{Access, Lifetime, Options, Scope};
pub(crate) use clock::monotonic_nanoseconds;
use failed::Failed;
use names::Candidate;
use section::Mapping;
use section::Section;
#[cfg(test)]
pub(crate) use section::anonymous;
pub(crate) use section::coarse_clock;
pub use unwatched::uninstall_fault_handler;
pub(crate) use unwatched::{Inherited, Watch, forks, guard_forks, install_fault_handler};

pub(super) const NATIVE: Option<&dyn Provider> = Some(&Windows);

const TAKEN: &str = "a process has it open, its creator or another one";
const OTHER_USERS: &str = "another user's process has it open";
const OTHER_KIND: &str = "an object of another kind (an event, a mutex, ...)";

struct Windows;

impl Provider for Windows {
    /// Never waits: a name never changes hands.
    fn create(&self, options: &Options<'_>, size: u64, _: Instant) -> Result<Opened> {
        let plain = name::portable(options.name)?;
        if options.lifetime == Lifetime::Persistent {
            return Err(NOT_PERSISTENT);
        }
        let candidate = Candidate::new(plain, options.scope);
        let descriptor = security::Descriptor::new(options.scope).map_err(|e| failure(plain, &e))?;
        let section = match Section::create(&candidate.native, size, &descriptor) {
            Ok(Some(section)) => section,
            Ok(None) => {
                return Err(Error::AlreadyExists { name: plain.to_owned(), why: Taken::Otherwise(TAKEN) });
            }
            Err(e) if e.code() == errors::ERROR_ACCESS_DENIED => {
                return Err(denied(&candidate, e, is_there(&candidate)));
            }
            Err(e) => return Err(creation_failure(plain, size, e)),
        };
        let mut mapping = section.map(Access::ReadWrite).map_err(|e| creation_failure(plain, size, e))?;
        if !mapping.limit(size) {
            // The system guarantees the size, but memory that isn't there must not be touched.
            return Err(too_small(plain, &mapping, size));
        }
        Ok(opened(section, candidate, mapping))
    }

    fn open(&self, options: &Options<'_>, scope: Option<Scope>, size: u64, access: Access) -> Result<Opened> {
        let plain = name::foreign(options.name)?;
        let (candidate, section) = find(options.name, plain, scope, access)?;
        let mut mapping = section.map(access).map_err(|e| failure(&candidate.name, &e))?;
        if let Some(found) = mapping.flaw() {
            return Err(Error::NotASegment { name: candidate.name, found });
        }
        if mapping.committed() == 0 {
            return Err(Error::NotSizedYet { name: candidate.name });
        }
        if !mapping.limit(size) {
            return Err(too_small(&candidate.name, &mapping, size));
        }
        Ok(opened(section, candidate, mapping))
    }

    fn adopt(&self, options: &Options<'_>, _: Instant) -> Result<Option<Opened>> {
        name::portable(options.name)?;
        // Creating the section tells what has the name.
        Ok(self.open(options, Some(options.scope), 0, Access::ReadWrite).ok())
    }

    fn exists(&self, options: &Options<'_>) -> bool {
        let candidates = |plain| names::candidates(options.name, plain, Some(options.scope));
        name::foreign(options.name).is_ok_and(|plain| candidates(plain).iter().any(is_there))
    }

    fn info(&self, options: &Options<'_>) -> Result<(SegmentInfo, Option<File>)> {
        let found = self.open(options, None, 0, Access::ReadOnly)?;
        let info = SegmentInfo {
            size: found.object.size()?,
            scope: found.object.scope(),
            owner: OwnerState::Unknown,
            maker: Maker::Unknown,
            other_user: None,
            can_remove: false,
            messages: None,
        };
        Ok((info, None))
    }

    /// Fails: no call removes a name. A name that doesn't exist is reported as such.
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

fn opened(section: Section, candidate: Candidate, mapping: Mapping) -> Opened {
    let (section, scope) = (Arc::new(section), candidate.scope);
    let name = SectionName { candidate, section: Arc::downgrade(&section) };
    let object = OpenSection {
        _section: section,
        name: name.candidate.plain().to_owned(),
        scope,
        size: mapping.committed() as u64,
        role_file: RoleFile::default(),
    };
    Opened::new(object, NameHandle::new(name), mapping)
}

/// A name, and the section it led to.
#[derive(Debug)]
struct SectionName {
    candidate: Candidate,
    section: Weak<Section>,
}

impl Named for SectionName {
    /// The name as it was given, without a leading `/` that is not part of it.
    fn as_str(&self) -> &str {
        &self.candidate.name
    }

    /// `Local\frames` or `Global\frames`.
    fn native_name(&self) -> String {
        self.candidate.native.clone()
    }

    /// Returns true for as long as the [`Segment`](crate::Segment) has the section open: the name can't be
    /// given to another section. After that, the system gives no way to tell, so returns false.
    fn is_current(&self) -> bool {
        self.section.strong_count() > 0
    }

    /// Does nothing: the name goes with the last handle of any process.
    fn unlink(&self) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct OpenSection {
    /// Keeps the section and its name alive.
    _section: Arc<Section>,
    /// The name without the prefix of a scope.
    name: String,
    scope: Scope,
    size: u64,
    role_file: RoleFile,
}

impl OpenSegment for OpenSection {
    /// Returns the size at the beginning, in whole pages: a section's size never changes.
    fn size(&self) -> Result<u64> {
        Ok(self.size)
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    fn owner_state(&self) -> OwnerState {
        OwnerState::Unknown
    }

    fn role_locks(&self) -> Result<RoleLocks<'_>> {
        self.role_file.locks(private_folder, &self.name)
    }

    fn set_lifetime(&self, lifetime: Lifetime) -> Result<()> {
        match lifetime {
            Lifetime::Owner => Ok(()),
            Lifetime::Persistent => Err(NOT_PERSISTENT),
        }
    }

    /// Does nothing: the name goes with the last handle of any process.
    fn release_name(&self) {}
}

/// Returns the folder for files of roles, which is in this user's own folder.
fn private_folder() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("LOCALAPPDATA")?).join("shared_memory");
    match fs::create_dir(&folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => None,
        _ => Some(folder),
    }
}

const NOT_PERSISTENT: Error = Error::Unsupported { what: "a section that outlives the last handle to it" };

/// Opens the section that `name` leads to, in the order of [`names::candidates`].
fn find(name: &str, plain: &str, scope: Option<Scope>, access: Access) -> Result<(Candidate, Section)> {
    let mut absent = None;
    for candidate in names::candidates(name, plain, scope) {
        match Section::open(&candidate.native, access) {
            Ok(section) => return Ok((candidate, section)),
            Err(e) if e.is_absent() => absent = absent.or(Some(e)),
            Err(e) => return Err(failure(&candidate.name, &e)),
        }
    }
    // There is at least one candidate.
    let absent = absent.unwrap_or_else(Failed::absent);
    Err(failure(plain, &absent))
}

/// Returns whether anything has this name, even if this user may not open it.
fn is_there(candidate: &Candidate) -> bool {
    match Section::open(&candidate.native, Access::ReadOnly) {
        Ok(_) => true,
        Err(e) => e.code() == errors::ERROR_ACCESS_DENIED,
    }
}

/// Returns the error for a section that could not be made: another user has the name, or a privilege is
/// missing.
fn denied(candidate: &Candidate, failed: Failed, is_there: bool) -> Error {
    let name = candidate.name.clone();
    if is_there {
        return Error::AlreadyExists { name, why: Taken::Otherwise(OTHER_USERS) };
    }
    let Failed { call, source } = failed;
    let source = match candidate.scope {
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
    Error::TooSmall { name: name.to_owned(), actual: mapping.committed() as u64, requested, info: None }
}

/// Returns the error for a failed system call of a creator.
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
        // A size that no process has addresses for. Nothing else can be wrong.
        errors::ERROR_INVALID_PARAMETER => size > 1 << 47,
        _ => false,
    };
    if is_room_short {
        let Failed { call, source } = failed;
        return Error::OutOfMemory { name: plain.to_owned(), size, call, source };
    }
    match failed.code() {
        errors::ERROR_INVALID_HANDLE => {
            Error::AlreadyExists { name: plain.to_owned(), why: Taken::Otherwise(OTHER_KIND) }
        }
        _ => failure(plain, &failed),
    }
}

/// Returns the error for a failed system call on a name that exists or is to exist.
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
        let global = Candidate::new("frames", Scope::Global);
        let error = denied(&global, failed(errors::ERROR_ACCESS_DENIED), false);
        assert!(matches!(error, Error::PermissionDenied { .. }));
        assert!(error.to_string().contains("SeCreateGlobalPrivilege"), "{error}");
        let error = denied(&global, failed(errors::ERROR_ACCESS_DENIED), true);
        assert!(matches!(error, Error::AlreadyExists { .. }));
        let local = Candidate::new("frames", Scope::Local);
        let error = denied(&local, failed(errors::ERROR_ACCESS_DENIED), false);
        assert!(matches!(error, Error::PermissionDenied { .. }));
        assert!(!error.to_string().contains("SeCreateGlobalPrivilege"), "{error}");
    }

    #[test]
    fn errors_about_memory_become_out_of_memory() {
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
    fn a_name_of_another_kind_of_object_already_exists() {
        let error = creation_failure("frames", 1, failed(errors::ERROR_INVALID_HANDLE));
        assert!(matches!(error, Error::AlreadyExists { .. }), "{error}");
    }
}
