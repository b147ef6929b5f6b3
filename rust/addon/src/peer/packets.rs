//! The methods of the engine's `PacketPeer`, so that `put_var()`, `get_var()` and code for any `PacketPeer`
//! run.
//!
//! A packet that is sent is a message of bytes. A packet that is received is any message: bytes as they are,
//! and everything else as `var_to_bytes()` makes it. Borders between partners are passed without an error.

use std::time::Duration;

use godot::builtin::{PackedByteArray, Variant, VariantType};
use godot::global::{Error as Code, var_to_bytes};
use shm_segment::layout::native::{Descriptor, Kind, Message};

use super::SharedMemoryPeer;
use crate::args::signed;
use crate::binding::{Definition, ErrorCode, PacketIn, PacketOut, PacketPlace, packed};
use crate::error::{Failure, Result, code_of};
use crate::messages::Received;
use crate::room::require_room;
use crate::script_values::to_usize;
use crate::variant_codec::check_plain;
use crate::variant_size::least_plain_size;

pub(super) fn define(class: &mut Definition<SharedMemoryPeer>) {
    class.virtual_method::<PacketIn, ErrorCode>("_put_packet", SharedMemoryPeer::put_packet);
    class.virtual_method::<PacketOut, ErrorCode>("_get_packet", SharedMemoryPeer::get_packet);
    class.virtual_method::<(), i64>("_get_available_packet_count", |peer, ()| peer.packet_count());
    class.virtual_method::<(), i64>("_get_max_packet_size", |peer, ()| peer.max_packet_size());
}

impl SharedMemoryPeer {
    fn put_packet(&self, bytes: &[u8]) -> ErrorCode {
        code_of(self.with_peer(|peer| {
            let message = Message { descriptor: Descriptor::of(Kind::Bytes), content: bytes };
            peer.send(&message, Duration::ZERO).map_err(|e| Failure::of_message("packet", &e))
        }))
    }

    fn get_packet(&self, place: PacketPlace<'_>) -> ErrorCode {
        code_of(self.with_peer(|peer| {
            let message = match peer.receive(Duration::ZERO, Received::copy) {
                // At most once, as no partner can end before it was found.
                Err(failure) if Failure::code(&failure) == Code::ERR_CONNECTION_ERROR => {
                    peer.receive(Duration::ZERO, Received::copy)
                }
                other => other,
            };
            let message = message.map_err(|failure: Failure| match failure.code() {
                // As with the engine's own classes.
                Code::ERR_DOES_NOT_EXIST => Failure::new(Code::ERR_UNAVAILABLE, failure.message()),
                _ => failure,
            })?;
            if place.hand_out(packet_of(message)?) {
                return Ok(());
            }
            Err(Failure::new(Code::ERR_OUT_OF_MEMORY, "the message is too long for a packet"))
        }))
    }

    fn packet_count(&self) -> i64 {
        self.query(|peer| peer.count().map(signed)).min(i32::MAX.into())
    }

    fn max_packet_size(&self) -> i64 {
        self.query(|peer| peer.max_message_size().map(signed))
    }
}

/// Returns the bytes that the engine gets for a message.
fn packet_of(message: Received) -> Result<Vec<u8>> {
    match message {
        // Checked as for `receive()`: `get_var()` decodes it.
        Received::Encoded(bytes) => {
            check_plain(packed::bytes(&bytes))?;
            to_vec(&bytes)
        }
        Received::Image(..) => {
            let advice = "the message is an image, which is no packet; get it with receive()";
            Err(Failure::new(Code::ERR_INVALID_DATA, advice))
        }
        message => {
            let value: Variant = message.into_value()?;
            if value.get_type() == VariantType::PACKED_BYTE_ARRAY {
                return to_vec(&value.to());
            }
            require_room("a packet", to_usize(least_plain_size(&value, u64::MAX)?), 0)?;
            to_vec(&var_to_bytes(&value))
        }
    }
}

fn to_vec(array: &PackedByteArray) -> Result<Vec<u8>> {
    let bytes = packed::bytes(array);
    let mut copy = Vec::new();
    require_room("a packet", bytes.len(), 0)?;
    let no_memory = |_| Failure::new(Code::ERR_OUT_OF_MEMORY, "there is no memory for a packet");
    copy.try_reserve_exact(bytes.len()).map_err(no_memory)?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}
