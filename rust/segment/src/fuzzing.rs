//! Private functions, for the fuzz targets in `rust/fuzz`. No other build contains this module.
#![allow(missing_docs, clippy::must_use_candidate, clippy::missing_errors_doc, reason = "for our own use")]

use crate::error::Result;

#[cfg(target_os = "linux")]
pub use crate::os::ByCalls;

pub fn portable(name: &str) -> Result<&str> {
    crate::name::portable(name)
}

pub fn foreign(name: &str) -> Result<&str> {
    crate::name::foreign(name)
}
