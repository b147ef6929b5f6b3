//! Arguments and errors of the system's calls.

use std::io;

use windows_sys::Win32::Foundation as errors;

/// A failed call, and the system's error.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) call: &'static str,
    pub(super) source: io::Error,
}

impl Failed {
    pub(super) fn new(call: &'static str, code: u32) -> Self {
        Self { call, source: io::Error::from_raw_os_error(code.cast_signed()) }
    }

    /// Returns the last error of this thread.
    pub(super) fn last(call: &'static str) -> Self {
        Self { call, source: io::Error::last_os_error() }
    }

    /// Returns the error of opening a name that leads nowhere.
    pub(super) fn absent() -> Self {
        Self::new("OpenFileMappingW", errors::ERROR_FILE_NOT_FOUND)
    }

    pub(super) fn code(&self) -> u32 {
        self.source.raw_os_error().unwrap_or(0).cast_unsigned()
    }

    pub(super) fn source(&self) -> io::Error {
        io::Error::from_raw_os_error(self.code().cast_signed())
    }

    /// Returns whether nothing has the name: neither the name nor, before a `\`, its namespace exists, or
    /// neither can.
    pub(super) fn is_absent(&self) -> bool {
        matches!(
            self.code(),
            errors::ERROR_FILE_NOT_FOUND
                | errors::ERROR_PATH_NOT_FOUND
                | errors::ERROR_INVALID_NAME
                | errors::ERROR_BAD_PATHNAME
                | errors::ERROR_FILENAME_EXCED_RANGE
        )
    }
}

/// Returns UTF-16 with a zero at the end, for the system's calls. Names contain no zero: `name.rs` refuses
/// it.
pub(super) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}
