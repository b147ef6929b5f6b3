//! Names of Windows: those of the session (`Local\`) and those of the whole machine (`Global\`).
//!
//! To the system, a name without either prefix is `Local\`. The prefix is written out nevertheless, so that a
//! name is always the same, however it was found.

use crate::options::Scope;

/// One of the native names that a name may stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The name as users write it.
    pub(super) name: String,
    /// The name as the system's calls take it.
    pub(super) native: String,
    pub(super) scope: Scope,
}

impl Candidate {
    /// Adds the prefix of a scope to a `name` without `\`.
    pub(super) fn new(name: &str, scope: Scope) -> Self {
        Self { name: name.to_owned(), native: format!("{}{name}", prefix(scope)), scope }
    }

    /// Returns the name without the prefix of a scope.
    pub(super) fn plain(&self) -> &str {
        self.native.strip_prefix(prefix(self.scope)).unwrap_or(&self.native)
    }

    /// Takes a name with a `\` as it is: it has its own prefix.
    fn as_given(name: &str) -> Self {
        let scope = if name.starts_with(prefix(Scope::Global)) { Scope::Global } else { Scope::Local };
        Self { name: name.to_owned(), native: name.to_owned(), scope }
    }
}

const fn prefix(scope: Scope) -> &'static str {
    match scope {
        Scope::Local => "Local\\",
        Scope::Global => "Global\\",
    }
}

/// Returns the native names to try, in order: the name as it was `given`, then without its leading `/`
/// (`plain`). Each is tried in `scope`, or in the session and then in the machine.
pub(super) fn candidates(given: &str, plain: &str, scope: Option<Scope>) -> Vec<Candidate> {
    let mut names = vec![given];
    if plain != given {
        names.push(plain);
    }
    if plain.contains('\\') {
        return names.into_iter().map(Candidate::as_given).collect();
    }
    let scopes = scope.map_or_else(|| vec![Scope::Local, Scope::Global], |scope| vec![scope]);
    scopes
        .into_iter()
        .flat_map(|scope| names.iter().map(move |name| Candidate::new(name, scope)).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn natives(given: &str, scope: Option<Scope>) -> Vec<String> {
        candidates(given, given.trim_start_matches('/'), scope)
            .into_iter()
            .map(|candidate| candidate.native)
            .collect()
    }

    #[test]
    fn the_session_comes_before_the_machine() {
        assert_eq!(natives("frames", None), ["Local\\frames", "Global\\frames"]);
        assert_eq!(natives("frames", Some(Scope::Local)), ["Local\\frames"]);
        assert_eq!(natives("frames", Some(Scope::Global)), ["Global\\frames"]);
    }

    #[test]
    fn a_name_is_tried_as_given_before_without_its_slash() {
        let expected = ["Local\\/test", "Local\\test", "Global\\/test", "Global\\test"];
        assert_eq!(natives("/test", None), expected);
    }

    #[test]
    fn a_name_with_a_prefix_is_used_as_given() {
        assert_eq!(natives("Local\\IRSDKMemMapFileName", None), ["Local\\IRSDKMemMapFileName"]);
        assert_eq!(natives("/Global\\a", Some(Scope::Local)), ["/Global\\a", "Global\\a"]);
        assert_eq!(candidates("Global\\a", "Global\\a", None)[0].scope, Scope::Global);
        assert_eq!(candidates("Local\\a", "Local\\a", None)[0].scope, Scope::Local);
    }
}
