//! Ids as Kafka draws and prints them: 16 random bytes, and their 22 characters of URL-safe base64.

use uuid::Uuid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A new one. Its text does not begin with a dash, which tools would take for a flag.
pub fn new_id() -> Uuid {
    loop {
        let id = Uuid::new_v4();
        if !id_text(&id).starts_with('-') {
            return id;
        }
    }
}

pub fn id_text(id: &Uuid) -> String {
    let bits = id.as_u128();
    // 21 characters of six bits, and two bits that are left.
    let digit = |at: u32| match at {
        21 => (bits << 4) & 0x3f,
        _ => (bits >> (122 - 6 * at)) & 0x3f,
    };
    (0..22)
        .map(|at| char::from(ALPHABET[digit(at) as usize]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_printed_as_kafka_prints_it() {
        // org.apache.kafka.common.Uuid: ONE_UUID and the largest.
        assert_eq!(id_text(&Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(
            id_text(&Uuid::from_u128(u128::MAX)),
            "_____________________w"
        );
        assert_eq!(id_text(&Uuid::from_u128(0)), "AAAAAAAAAAAAAAAAAAAAAA");
    }
}
