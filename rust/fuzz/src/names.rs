//! What is accepted can be a name, what can't be is refused, and both for the reason that is given.

use shm_segment::{Error, MAX_GENERATED_BYTES, MAX_NAME_BYTES, NameProblem, Options, fuzzing};

/// Takes `name` for a portable one, for a foreign one, and for a prefix.
pub fn run(name: &str) {
    match fuzzing::portable(name) {
        Ok(plain) => {
            assert!(can_be_a_name(plain) && !plain.contains('\\') && plain != "." && plain != "..");
            assert!(name == plain || name.strip_prefix('/') == Some(plain));
            assert_eq!(fuzzing::portable(plain).unwrap(), plain);
            assert_eq!(fuzzing::foreign(name).unwrap(), plain, "what may be made may be opened");
            assert_eq!(fuzzing::portable(&format!("/{plain}")).unwrap(), plain, "as the system has it");
        }
        Err(error) => {
            let plain = name.strip_prefix('/').unwrap_or(name);
            let dots = plain == "." || plain == "..";
            assert!(!can_be_a_name(plain) || plain.contains('\\') || dots, "refused without a reason");
            explains(name, plain, &error);
        }
    }
    match fuzzing::foreign(name) {
        Ok(plain) => {
            assert!(can_be_a_name(plain) && name.ends_with(plain));
            assert!(name[..name.len() - plain.len()].bytes().all(|byte| byte == b'/'));
        }
        Err(error) => {
            let plain = name.trim_start_matches('/');
            assert!(!can_be_a_name(plain), "refused without a reason");
            explains(name, plain, &error);
            assert!(!Options::new(name).exists());
            assert!(matches!(Options::new(name).remove(), Err(Error::InvalidName { .. })));
        }
    }
    match shm_segment::generate_name(name) {
        Ok(made) => {
            assert!(made.len() <= MAX_GENERATED_BYTES);
            assert!(made.starts_with(&format!("{}_", fuzzing::portable(name).unwrap())));
            assert_eq!(fuzzing::portable(&made).unwrap(), made);
        }
        Err(Error::InvalidPrefix { prefix, limit }) => {
            assert!(prefix.len() > limit && name.ends_with(&prefix))
        }
        Err(_) => assert!(fuzzing::portable(name).is_err()),
    }
}

/// What the systems allow, in other words than the crate's.
fn can_be_a_name(plain: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&plain.len()) && !plain.bytes().any(|byte| byte == 0 || byte == b'/')
}

fn explains(name: &str, plain: &str, error: &Error) {
    let Error::InvalidName { name: told, problem } = error else { panic!("{error:?}") };
    assert_eq!(told, name);
    match *problem {
        NameProblem::Empty => assert!(plain.is_empty()),
        NameProblem::TooLong { bytes } => assert!(bytes == plain.len() && bytes > MAX_NAME_BYTES),
        NameProblem::Forbidden(c) => assert!(plain.contains(c) && "\0/\\".contains(c)),
        NameProblem::Dots => assert!(plain == "." || plain == ".."),
        other => panic!("{other:?}"),
    }
    // Long ones are cut short, with a sign that is none of theirs.
    let text = error.to_string();
    assert!(text.chars().all(|c| c.is_ascii() || c == '…') || !name.is_ascii());
    assert!(text.chars().count() < 4000, "{text}");
}
