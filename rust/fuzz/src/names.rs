//! Accepted names are valid, invalid ones are refused, and each error names the true reason.

use shm_segment::{Error, MAX_GENERATED_BYTES, MAX_NAME_BYTES, NameProblem, Options, fuzzing};

/// Checks `name` as a portable name, as a foreign one, and as a prefix.
pub fn run(name: &str) {
    match fuzzing::portable(name) {
        Ok(plain) => {
            assert!(can_be_a_name(plain) && !plain.contains('\\') && plain != "." && plain != "..");
            assert!(name == plain || name.strip_prefix('/') == Some(plain));
            assert_eq!(fuzzing::portable(plain).unwrap(), plain);
            assert_eq!(fuzzing::foreign(name).unwrap(), plain, "a portable name can be opened");
            assert_eq!(fuzzing::portable(&format!("/{plain}")).unwrap(), plain, "with the system's '/'");
        }
        Err(error) => {
            let plain = name.strip_prefix('/').unwrap_or(name);
            let is_dots = plain == "." || plain == "..";
            assert!(!can_be_a_name(plain) || plain.contains('\\') || is_dots, "refused without a reason");
            check_error(name, plain, &error);
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
            check_error(name, plain, &error);
            assert!(!Options::new(name).exists());
            assert!(matches!(Options::new(name).remove(), Err(Error::InvalidName { .. })));
        }
    }
    match shm_segment::generate_name(name) {
        Ok(generated) => {
            assert!(generated.len() <= MAX_GENERATED_BYTES);
            assert!(generated.starts_with(&format!("{}_", fuzzing::portable(name).unwrap())));
            assert_eq!(fuzzing::portable(&generated).unwrap(), generated);
        }
        Err(Error::InvalidPrefix { prefix, limit }) => {
            assert!(prefix.len() > limit && name.ends_with(&prefix))
        }
        Err(_) => assert!(fuzzing::portable(name).is_err()),
    }
}

/// Returns whether the systems allow the name, by a rule that doesn't use the crate.
fn can_be_a_name(plain: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&plain.len()) && !plain.bytes().any(|byte| byte == 0 || byte == b'/')
}

fn check_error(name: &str, plain: &str, error: &Error) {
    let Error::InvalidName { name: reported, problem } = error else { panic!("{error:?}") };
    assert_eq!(reported, name);
    match *problem {
        NameProblem::Empty => assert!(plain.is_empty()),
        NameProblem::TooLong { bytes, limit } => {
            assert!(bytes == plain.len() && bytes > limit && limit == MAX_NAME_BYTES);
        }
        NameProblem::Forbidden(c) => assert!(plain.contains(c) && "\0/\\".contains(c)),
        NameProblem::Dots => assert!(plain == "." || plain == ".."),
        other => panic!("{other:?}"),
    }
    // A long name is shortened with a character that isn't ASCII.
    let text = error.to_string();
    assert!(text.chars().all(|c| c.is_ascii() || c == '…') || !name.is_ascii());
    assert!(text.chars().count() < 4000, "{text}");
}
