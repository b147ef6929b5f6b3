//! Where a name may lead: Windows has names for the session (`Local\`) and names for the whole machine (`Global\`).
//!
//! A name without either is `Local\` to the system. That word is written out all the same, so that a name is the same
//! however it was found.

use crate::options::Scope;

/// One of the places that a name may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// As users write it.
    pub(super) name: String,
    /// As the system's calls take it.
    pub(super) native: String,
    pub(super) scope: Scope,
}

impl Place {
    /// `name` has no `\`.
    pub(super) fn new(name: &str, scope: Scope) -> Self {
        Self { name: name.to_owned(), native: format!("{}{name}", prefix(scope)), scope }
    }

    /// Of a name that says where it leads: with a `\`.
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

/// The places to look for somebody's segment in, in this order: the name as it was `given`, then without its leading
/// `/` (`plain`); in `scope`, or in the session and then in the machine.
pub(super) fn places(given: &str, plain: &str, scope: Option<Scope>) -> Vec<Place> {
    let mut names = vec![given];
    if plain != given {
        names.push(plain);
    }
    if plain.contains('\\') {
        return names.into_iter().map(Place::as_given).collect();
    }
    let scopes = scope.map_or_else(|| vec![Scope::Local, Scope::Global], |scope| vec![scope]);
    scopes
        .into_iter()
        .flat_map(|scope| names.iter().map(move |name| Place::new(name, scope)).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn natives(given: &str, scope: Option<Scope>) -> Vec<String> {
        places(given, given.trim_start_matches('/'), scope).into_iter().map(|place| place.native).collect()
    }

    #[test]
    fn the_session_comes_before_the_machine() {
        assert_eq!(natives("frames", None), ["Local\\frames", "Global\\frames"]);
        assert_eq!(natives("frames", Some(Scope::Local)), ["Local\\frames"]);
        assert_eq!(natives("frames", Some(Scope::Global)), ["Global\\frames"]);
    }

    #[test]
    fn a_name_comes_as_given_before_it_loses_its_slash() {
        let expected = ["Local\\/test", "Local\\test", "Global\\/test", "Global\\test"];
        assert_eq!(natives("/test", None), expected);
    }

    #[test]
    fn a_name_that_says_where_is_taken_at_its_word() {
        assert_eq!(natives("Local\\IRSDKMemMapFileName", None), ["Local\\IRSDKMemMapFileName"]);
        assert_eq!(natives("/Global\\a", Some(Scope::Local)), ["/Global\\a", "Global\\a"]);
        assert_eq!(places("Global\\a", "Global\\a", None)[0].scope, Scope::Global);
        assert_eq!(places("Local\\a", "Local\\a", None)[0].scope, Scope::Local);
    }
}
