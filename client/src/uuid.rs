//! Kafka's text form of a UUID: its sixteen bytes in the URL-safe base64 alphabet, without padding.

use crate::Error;
use crate::wire::messages::Uuid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A random one that is none of Kafka's reserved ones and, as with Kafka, does not start with `-`: shells would take it for an
/// option.
pub fn random() -> Uuid {
    loop {
        let mut bytes: [u8; 16] = rand::random();
        // Version 4, the variant of RFC 4122.
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let uuid = Uuid::from_bytes(bytes);
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

/// With Kafka's words for what is wrong.
pub fn parse(text: &str) -> Result<Uuid, Error> {
    if text.len() > 24 {
        return Err(Error::Invalid(format!(
            "Input string with prefix `{}` is too long to be decoded as a base64 UUID",
            text.chars().take(24).collect::<String>()
        )));
    }
    let mut bytes = Vec::with_capacity(18);
    let (mut word, mut bits) = (0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let Some(value) = ALPHABET.iter().position(|&known| known == byte) else {
            return Err(Error::Invalid(format!("Illegal base64 character {byte:x}")));
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
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| {
        Error::Invalid(format!(
            "Input string `{text}` decoded as {found} bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID"
        ))
    })?;
    Ok(Uuid::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_kafkas() {
        assert_eq!(to_text(Uuid::nil()), "AAAAAAAAAAAAAAAAAAAAAA");
        let bytes = *b"0123456789abcdef";
        assert_eq!(to_text(Uuid::from_bytes(bytes)), "MDEyMzQ1Njc4OWFiY2RlZg");
    }

    #[test]
    fn what_is_written_is_read_back() {
        for _ in 0..1000 {
            let uuid = random();
            let text = to_text(uuid);
            assert_eq!(text.len(), 22);
            assert!(!text.starts_with('-'));
            assert_eq!(parse(&text).expect("a uuid"), uuid);
        }
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
