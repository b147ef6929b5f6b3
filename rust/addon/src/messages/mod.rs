//! Values of scripts as messages of the native layouts (`docs/FORMAT.md`, *Messages*), and back.
//!
//! A value is sent from an [`Outgoing`], which shares the elements of a packed array and the pixels of an
//! image with the script. It is received in two steps: [`Received::copy`] copies the content out of the
//! memory, and [`Received::into_value`] makes the value. So no other process can change what is being
//! decoded, and a message that can't be decoded counts as read.

mod outgoing;
mod pixels;
mod received;

pub(crate) use outgoing::Outgoing;
pub(crate) use pixels::Picture;
pub(crate) use received::Received;
