//! Which names a topic may have. The words are Kafka's.

pub const MAX_LENGTH: usize = 249;

/// `INVALID_TOPIC_EXCEPTION`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("Topic name is invalid: the empty string is not allowed")]
    Empty,
    #[error("Topic name is invalid: '{name}' is not allowed")]
    Dots { name: String },
    #[error(
        "Topic name is invalid: the length of '{name}' is longer than the max allowed length {MAX_LENGTH}"
    )]
    TooLong { name: String },
    #[error(
        "Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )]
    Character { name: String },
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    Collision { name: String, existing: String },
}

pub fn check(name: &str) -> Result<(), Error> {
    let owned = || name.to_owned();
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() {
        Err(Error::Empty)
    } else if name == "." || name == ".." {
        Err(Error::Dots { name: owned() })
    } else if name.encode_utf16().count() > MAX_LENGTH {
        // Java counts UTF-16.
        Err(Error::TooLong { name: owned() })
    } else if !name.bytes().all(is_legal) {
        Err(Error::Character { name: owned() })
    } else {
        Ok(())
    }
}

/// Names that differ only in `.` and `_` were one metric in Kafka and are not allowed beside each other: topics with
/// the same key collide.
pub fn collision_key(name: &str) -> String {
    name.replace('.', "_")
}

/// `existing` is a topic with the same [`collision_key`].
pub fn check_collision(name: &str, existing: &str) -> Result<(), Error> {
    if name != existing && collision_key(name) == collision_key(existing) {
        return Err(Error::Collision {
            name: name.to_owned(),
            existing: existing.to_owned(),
        });
    }
    Ok(())
}
