//! Ids as Kafka draws and prints them: 16 bytes, and their 22 characters of URL-safe base64 without padding.

pub use uuid::Uuid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Two more than an id has, for padding.
const MAX_LEN: usize = 24;

/// Why a text is no id, in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("Input string with prefix `{prefix}` is too long to be decoded as a base64 UUID")]
    TooLong { prefix: String },
    #[error("Illegal base64 character {0:x}")]
    Character(u8),
    #[error(
        "Input string `{text}` decoded as {bytes} bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID"
    )]
    Length { text: String, bytes: usize },
}

/// A random one that is none of Kafka's reserved ones. As with Kafka its text does not start with a dash, which shells and
/// tools would take for an option.
pub fn random() -> Uuid {
    loop {
        let uuid = Uuid::new_v4();
        if !to_text(uuid).starts_with('-') {
            return uuid;
        }
    }
}

pub fn to_text(uuid: Uuid) -> String {
    let mut text = String::with_capacity(22);
    for chunk in uuid.as_bytes().chunks(3) {
        let word = (0..3).fold(0u32, |word, at| {
            word << 8 | u32::from(chunk.get(at).copied().unwrap_or(0))
        });
        for digit in 0..=chunk.len() {
            let index = word >> (18 - 6 * digit) & 63;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}

pub fn parse(text: &str) -> Result<Uuid, ParseError> {
    if text.len() > MAX_LEN {
        let prefix = text.chars().take(MAX_LEN).collect();
        return Err(ParseError::TooLong { prefix });
    }
    let mut bytes = Vec::with_capacity(18);
    let (mut word, mut bits) = (0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let Some(value) = ALPHABET.iter().position(|&known| known == byte) else {
            return Err(ParseError::Character(byte));
        };
        word = word << 6 | value as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    let found = bytes.len();
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| ParseError::Length {
        text: text.to_owned(),
        bytes: found,
    })?;
    Ok(Uuid::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bits: u128) {
            let text = to_text(Uuid::from_u128(bits));
            prop_assert_eq!(text.len(), 22);
            prop_assert_eq!(parse(&text), Ok(Uuid::from_u128(bits)));
        }
    }

    #[test]
    fn the_text_form_is_kafkas() {
        // org.apache.kafka.common.Uuid: ZERO_UUID, ONE_UUID and the largest.
        assert_eq!(to_text(Uuid::nil()), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(to_text(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(to_text(Uuid::max()), "_____________________w");
        let bytes = *b"0123456789abcdef";
        assert_eq!(to_text(Uuid::from_bytes(bytes)), "MDEyMzQ1Njc4OWFiY2RlZg");
    }

    #[test]
    fn no_new_one_looks_like_an_option() {
        assert!((0..1000).all(|_| !to_text(random()).starts_with('-')));
    }

    #[test]
    fn what_is_none_is_refused_in_kafkas_words() {
        let check = |text: &str, message: &str| {
            assert_eq!(parse(text).expect_err("refused").to_string(), message);
        };
        check(
            "abc",
            "Input string `abc` decoded as 2 bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID",
        );
        check("a b", "Illegal base64 character 20");
        check(
            &"x".repeat(30),
            "Input string with prefix `xxxxxxxxxxxxxxxxxxxxxxxx` is too long to be decoded as a base64 UUID",
        );
    }
}
