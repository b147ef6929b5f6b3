//! Values of scripts in the engine's own binary form.
//!
//! The engine only decodes measured copies, which other programs can't change. It therefore prints no error,
//! and allocates no more than the bytes account for, whatever another program has written. A value is
//! measured before it is encoded, too: the engine would print an error for one that contains itself.

use godot::builtin::{PackedByteArray, Variant};
use godot::global::{Error as Code, bytes_to_var, var_to_bytes};
use godot::init::GdextBuild;
use shm_segment::values::Source;
use shm_segment::values::variant::{Engine, Error, Measured, measure, measure_plain, remove_types};

use crate::binding::packed;
use crate::error::{Failure, Result};
use crate::room::require_room;
use crate::script_values::{resized, to_usize};

/// Returns what the running engine can decode.
fn engine() -> Engine {
    let (major, minor, _) = GdextBuild::godot_runtime_version_triple();
    Engine::version(major.into(), minor.into())
}

/// Measures the value at `offset`, which has `limit` bytes at most.
pub(crate) fn measure_value<S: Source + ?Sized>(source: &S, offset: u64, limit: u64) -> Result<Measured> {
    measure(source, offset, limit, engine()).map_err(|error| match error {
        Error::Source(error) => error.into(),
        error => Failure::new(Code::ERR_INVALID_DATA, format!("no value at byte {offset}: {error}")),
    })
}

/// Decodes a value that was `measured` in memory that other programs may change. `copy` copies it from there,
/// and `unpopulated` is [`unpopulated_if_large`](shm_segment::Segment::unpopulated_if_large) of its size.
pub(crate) fn decode(
    measured: Measured,
    unpopulated: u64,
    copy: impl FnOnce(&mut [u8]) -> Result<()>,
) -> Result<Variant> {
    let (size, extra) = (to_usize(measured.size), to_usize(measured.memory.saturating_add(unpopulated)));
    let mut array = PackedByteArray::new();
    let bytes = resized("a value", &mut array, size, extra)?;
    copy(bytes)?;
    // Measured again: another program may have changed the value between measuring and copying.
    match measure(&*bytes, 0, size as u64, engine()) {
        Ok(copied) if copied.size == measured.size && copied.memory <= measured.memory => {
            Ok(bytes_to_var(&array))
        }
        _ => Err(Failure::new(Code::ERR_INVALID_DATA, "another program changed the value while it was read")),
    }
}

/// Encodes a value of which `least` is the [`least_size`](crate::variant_size::least_size). Refuses one that
/// could not be decoded again.
pub(crate) fn encode(value: &Variant, least: u64) -> Result<PackedByteArray> {
    require_room("a value", to_usize(least), 0)?;
    let array = var_to_bytes(value);
    let bytes = packed::bytes(&array);
    match measure(bytes, 0, bytes.len() as u64, engine()) {
        Ok(measured) if measured.size == bytes.len() as u64 => Ok(array),
        Ok(_) => Err(invalid_value("has an encoded form that can't be decoded")),
        Err(error) => Err(undecodable(error)),
    }
}

/// The most memory that a value in a message may need.
const MAX_MEMORY: u64 = 1 << 30;

/// Decodes the value in a message, of which `array` is a copy.
pub(crate) fn decode_plain(array: &PackedByteArray) -> Result<Variant> {
    check_plain(packed::bytes(array))?;
    Ok(bytes_to_var(array))
}

/// Checks that bytes are one value as in a message, and that there is memory for it.
pub(crate) fn check_plain(bytes: &[u8]) -> Result<()> {
    let invalid =
        |why: String| Failure::new(Code::ERR_INVALID_DATA, format!("the message is not a value: {why}"));
    let measured = measure_plain(bytes, 0, bytes.len() as u64).map_err(|error| invalid(error.to_string()))?;
    let behind = bytes.len() as u64 - measured.size;
    if behind > 0 {
        return Err(invalid(format!("{behind} bytes follow it")));
    }
    if measured.memory > MAX_MEMORY {
        let limit = format!("may need {} bytes of memory; the limit is {MAX_MEMORY}", measured.memory);
        return Err(Failure::new(Code::ERR_OUT_OF_MEMORY, format!("the value in the message {limit}")));
    }
    require_room("a value", to_usize(measured.memory), 0)
}

/// Encodes a value for a message, with untyped containers. `least` is its
/// [`least_plain_size`](crate::variant_size::least_plain_size).
pub(crate) fn encode_plain(value: &Variant, least: u64) -> Result<PackedByteArray> {
    require_room("a value", to_usize(least), 0)?;
    let mut array = var_to_bytes(value);
    let length = packed::bytes(&array).len() as u64;
    let measured = match measure_plain(packed::bytes(&array), 0, length) {
        // Only typed containers have such bits.
        Err(Error::UnknownFlags { .. }) => {
            let count = remove_types(packed::bytes_mut(&mut array), engine()).map_err(undecodable)?;
            packed::resize(&mut array, count);
            measure_plain(packed::bytes(&array), 0, count as u64)
        }
        measured => measured,
    };
    match measured.map_err(undecodable)? {
        measured if measured.size == packed::bytes(&array).len() as u64 => Ok(array),
        _ => Err(invalid_value("has an encoded form that can't be decoded")),
    }
}

fn undecodable(error: Error) -> Failure {
    invalid_value(&format!("has an encoded form that can't be decoded: {error}"))
}

pub(crate) fn invalid_value(why: &str) -> Failure {
    Failure::invalid(format!("value {why}"))
}
