//! Looks at segments without opening them: the facts that the system gives, and the messages of a native
//! layout.

use std::fs::File;
use std::io;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::info::{Messages, SegmentInfo};
use crate::layout::native::{Shared, messages_in};
use crate::options::{Backend, Options};
use crate::os;

impl Options<'_> {
    /// Looks at the segment of this name, without changing anything.
    ///
    /// On Linux, the call opens a file for a moment, for reading, and maps nothing. Elsewhere, it maps the
    /// segment for a moment, read-only. The name is looked up as in [`open`](Self::open).
    ///
    /// # Errors
    /// [`Error::InvalidName`]; [`Error::DoesNotExist`]; [`Error::NotASegment`]; [`Error::Unsupported`];
    /// [`Error::PermissionDenied`] where it can't even be looked at; [`Error::System`].
    pub fn info(&self) -> Result<SegmentInfo> {
        let (mut info, file) = self.provider()?.info(self)?;
        info.messages = match file {
            Some(file) => messages_in(&Unmapped(file), info.size),
            None => self.mapped_messages(),
        };
        Ok(info)
    }

    /// Returns the messages in a segment that is not a file.
    #[cfg(not(target_os = "linux"))]
    fn mapped_messages(&self) -> Option<Messages> {
        let segment = self.open(0, crate::options::Access::ReadOnly).ok()?;
        messages_in(&segment.direct().ok()?, segment.size())
    }

    /// Returns `None`: on Linux, only System V segments are not files, and these hold no native layout.
    #[cfg(target_os = "linux")]
    #[allow(clippy::unused_self, reason = "the same as on other systems")]
    const fn mapped_messages(&self) -> Option<Messages> {
        None
    }
}

/// Returns what is known of each segment whose name the system can list, with its backend and its name.
///
/// These are the native ones, and on Linux also memfds and those of System V, which have their keys as names.
#[must_use]
pub fn list_segments() -> Vec<(Backend, String, SegmentInfo)> {
    let providers = Backend::ALL.into_iter().filter_map(|backend| Some((backend, os::provider(backend)?)));
    let named = providers
        .flat_map(|(backend, provider)| provider.list_names().into_iter().map(move |name| (backend, name)));
    named
        .filter_map(|(backend, name)| {
            let info = Options::new(&name).backend(backend).info().ok()?;
            Some((backend, name, info))
        })
        .collect()
}

/// A segment that is a file, and is not mapped. It may be truncated at any time, which is an error of a call.
struct Unmapped(File);

impl Unmapped {
    fn bytes<const N: usize>(&self, at: u64) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read(at, &mut bytes)?;
        Ok(bytes)
    }
}

/// The error of a store.
fn read_only() -> Error {
    Error::ReadOnly { name: String::new() }
}

/// Loads only. The system copies a whole word at once, or the steps of the layouts notice it.
impl Shared for Unmapped {
    type Error = Error;

    fn load_u32(&self, at: u64) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes(at)?))
    }

    fn load_u64(&self, at: u64) -> Result<u64> {
        Ok(u64::from_le_bytes(self.bytes(at)?))
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<()> {
        read_exact_at(&self.0, at, into).map_err(|source| Error::System {
            name: String::new(),
            call: "pread",
            source,
        })
    }

    fn store_u32(&self, _: u64, _: u32) -> Result<()> {
        Err(read_only())
    }

    fn fetch_add_u32(&self, _: u64, _: u32) -> Result<u32> {
        Err(read_only())
    }

    fn compare_exchange_u32(&self, _: u64, _: u32, _: u32) -> Result<u32> {
        Err(read_only())
    }

    fn store_u64(&self, _: u64, _: u64) -> Result<()> {
        Err(read_only())
    }

    fn write(&self, _: u64, _: &[u8]) -> Result<()> {
        Err(read_only())
    }

    fn full_fence(&self) {}

    fn sleep(&self, _: u64, _: u32, _: Duration, _: Duration) -> Result<()> {
        Ok(())
    }

    fn wake(&self, _: u64) -> Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, at: u64, into: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, at)
}

/// Reads at once, or not at all: these reads are short.
#[cfg(windows)]
fn read_exact_at(file: &File, at: u64, into: &mut [u8]) -> io::Result<()> {
    match std::os::windows::fs::FileExt::seek_read(file, into, at)? {
        length if length == into.len() => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(not(any(unix, windows)))]
fn read_exact_at(_: &File, _: u64, _: &mut [u8]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
