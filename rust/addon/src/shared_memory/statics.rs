//! Static methods. They print a failure that is the script's fault, and have no last error.

use godot::builtin::{GString, PackedStringArray};
use shm_segment::{Backend, Options, Scope};

use super::args::name_in;
use super::{Result, SharedMemory};
use crate::binding::{EngineText, EnumArg, ErrorCode};
use crate::error::{code_of, constant};
use crate::last_error::report;
use crate::unicode::{engine_text, utf8_of};

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

    pub(super) fn list_names() -> PackedStringArray {
        shm_segment::list_names().iter().map(|name| engine_text(name)).collect()
    }

    pub(super) fn generate_name(prefix: EngineText<'_>) -> GString {
        let generated = utf8_of("prefix", &prefix)
            .and_then(|prefix| Ok(engine_text(&shm_segment::generate_name(&prefix)?)));
        reported(generated).unwrap_or_default()
    }
}

/// Reports a failure that is the script's fault.
pub(super) fn reported<T>(result: Result<T>) -> Result<T, ErrorCode> {
    result.inspect_err(report).map_err(|failure| ErrorCode(failure.code()))
}

fn scope_and_backend(scope: &EnumArg<Scope>, backend: &EnumArg<Backend>) -> Result<(Scope, Backend)> {
    Ok((constant("scope", scope)?, constant("backend", backend)?))
}
