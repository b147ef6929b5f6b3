//! Systems without locks of open file descriptions: no memory there has roles.

use std::convert::Infallible;
use std::marker::PhantomData;

use crate::error::Result;
use crate::roles::RoleLock;

/// The locks of a segment's roles. There is no such value.
#[derive(Debug)]
pub(crate) struct RoleLocks<'a>(Infallible, PhantomData<&'a ()>);

impl RoleLocks<'_> {
    pub(crate) fn take(&self, _: RoleLock) -> Result<bool> {
        match self.0 {}
    }

    pub(crate) fn release(&self, _: RoleLock) {
        match self.0 {}
    }

    pub(crate) fn is_taken(&self, _: RoleLock) -> Result<bool> {
        match self.0 {}
    }
}
