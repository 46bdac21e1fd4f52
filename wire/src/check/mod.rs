//! Verifies the bytes of a message before anything is allocated for them.

mod cursor;

use crate::{ApiKey, Error};

pub use cursor::Cursor;

/// What is wrong with a field's bytes. Read after the field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("needs {needed} bytes, and {remaining} remain")]
    Truncated { needed: usize, remaining: usize },
    #[error("has a variable-length integer of more than 32 bits")]
    LongVarint,
    #[error("has length {0}: lengths are not negative")]
    NegativeLength(i32),
    #[error("is null, which it must not be in this version")]
    Null,
    #[error("is not valid UTF-8")]
    NotUtf8,
}

/// Whether the bytes are a whole request of this api and version.
pub fn request(_api: ApiKey, _version: i16, _body: &[u8]) -> Result<(), Error> {
    Ok(())
}

/// Whether the bytes are a whole answer of this api and version.
pub fn response(_api: ApiKey, _version: i16, _body: &[u8]) -> Result<(), Error> {
    Ok(())
}
