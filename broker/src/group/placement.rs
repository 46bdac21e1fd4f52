//! Which partition of `__consumer_offsets` a group belongs to: Java's hash of its name, as in Kafka, so that the topic can be
//! taken over.

/// Of a topic with `partitions` partitions.
pub fn partition_of(group: &str, partitions: usize) -> i32 {
    let count = i32::try_from(partitions).unwrap_or(i32::MAX).max(1);
    // Of the least number Kafka makes 0, where Java's `abs` would leave it negative.
    hash(group).checked_abs().unwrap_or(0) % count
}

/// `String.hashCode`
fn hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_javas() {
        for (text, java) in [
            ("", 0),
            ("quickstart-events", 728_817_489),
            ("polygenelubricants", i32::MIN),
            ("my-group", -1_906_497_762),
            ("\u{1f980}", 1_772_802),
        ] {
            assert_eq!(hash(text), java, "{text}");
        }
    }

    #[test]
    fn a_group_belongs_to_the_partition_that_kafka_gives_it() {
        assert_eq!(partition_of("polygenelubricants", 50), 0);
        assert_eq!(partition_of("my-group", 50), 12);
        assert_eq!(partition_of("quickstart-events", 50), 39);
        assert_eq!(partition_of("my-group", 1), 0);
    }
}
