//! Static methods. They print a failure that is the script's fault, and have no last error.

use godot::builtin::{Array, GString, PackedInt32Array, PackedStringArray, VarDictionary, Variant};
use godot::meta::ToGodot;
use shm_segment::{Backend, Options, Scope, SegmentInfo};

use super::args::{name_in, signed};
use super::{Result, SharedMemory};
use crate::binding::{EngineText, EnumArg, ErrorCode, ScriptEnum};
use crate::error::{code_of, constant};
use crate::last_error::report;
use crate::unicode::{engine_text, to_utf8};

impl SharedMemory {
    pub(super) fn exists(name: EngineText<'_>, scope: EnumArg<Scope>, backend: EnumArg<Backend>) -> bool {
        reported(scope_and_backend(&scope, &backend)).is_ok_and(|(scope, backend)| {
            // An invalid name has no segment.
            name_in(backend, &name)
                .is_ok_and(|name| Options::new(&name).backend(backend).scope(scope).exists())
        })
    }

    pub(super) fn remove(
        name: EngineText<'_>,
        scope: EnumArg<Scope>,
        backend: EnumArg<Backend>,
    ) -> ErrorCode {
        let removed = scope_and_backend(&scope, &backend).and_then(|(scope, backend)| {
            Ok(Options::new(&name_in(backend, &name)?).backend(backend).scope(scope).remove()?)
        });
        code_of(reported(removed))
    }

    pub(super) fn get_info(name: EngineText<'_>, backend: EnumArg<Backend>) -> VarDictionary {
        let info = reported(constant("backend", &backend)).ok().and_then(|backend| {
            // An invalid name has no segment.
            let info = Options::new(&name_in(backend, &name).ok()?).backend(backend).info().ok()?;
            Some(info_dictionary(backend, &info))
        });
        info.unwrap_or_default()
    }

    pub(super) fn get_users(name: EngineText<'_>, backend: EnumArg<Backend>) -> PackedInt32Array {
        let users = reported(constant("backend", &backend))
            .ok()
            .and_then(|backend| Some(Options::new(&name_in(backend, &name).ok()?).backend(backend).users()));
        // The system's largest PID has 22 bits (`proc_sys_kernel(5)`, `pid_max`).
        users.unwrap_or_default().into_iter().filter_map(|user| i32::try_from(user).ok()).collect()
    }

    pub(super) fn list_names() -> PackedStringArray {
        shm_segment::list_names().iter().map(|name| engine_text(name)).collect()
    }

    pub(super) fn list_segments() -> Array<VarDictionary> {
        let described = |(backend, name, info): (Backend, String, SegmentInfo)| {
            let mut segment = info_dictionary(backend, &info);
            segment.set("name", &engine_text(&name).to_variant());
            segment
        };
        shm_segment::list_segments().into_iter().map(described).collect()
    }

    pub(super) fn generate_name(prefix: EngineText<'_>) -> GString {
        let generated = to_utf8("prefix", &prefix)
            .and_then(|prefix| Ok(engine_text(&shm_segment::generate_name(&prefix)?)));
        reported(generated).unwrap_or_default()
    }
}

/// Returns what is known of a segment, as a script sees it.
fn info_dictionary(backend: Backend, info: &SegmentInfo) -> VarDictionary {
    let mut told = VarDictionary::new();
    let mut tell = |key: &str, value: Variant| told.set(key, &value);
    tell("size", signed(info.size).to_variant());
    tell("scope", info.scope.number().to_variant());
    tell("owner_state", info.owner.number().to_variant());
    tell("is_mine", info.other_user.is_none().to_variant());
    tell("backend", backend.number().to_variant());
    let messages = info.messages.as_ref();
    tell("layout", GString::from(messages.map_or("", |messages| messages.layout)).to_variant());
    // Only equality counts: a random number of 64 bits.
    tell("incarnation", messages.map_or(0, |messages| messages.incarnation.cast_signed()).to_variant());
    tell("sequence", messages.map_or(0, |messages| signed(messages.count)).to_variant());
    let age = messages.and_then(|messages| messages.newest_age);
    let age = age.map_or(-1, |age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
    tell("newest_age_usec", age.to_variant());
    told
}

/// Reports a failure that is the script's fault.
pub(super) fn reported<T>(result: Result<T>) -> Result<T, ErrorCode> {
    result.inspect_err(report).map_err(|failure| ErrorCode(failure.code()))
}

fn scope_and_backend(scope: &EnumArg<Scope>, backend: &EnumArg<Backend>) -> Result<(Scope, Backend)> {
    Ok((constant("scope", scope)?, constant("backend", backend)?))
}
