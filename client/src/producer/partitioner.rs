//! Which partition a record goes to, as Kafka's default partitioner decides it.

use rand::seq::IndexedRandom;

/// A keyed record's: the same as every other Kafka client's for the same key.
pub fn of_key(key: &[u8], partitions: i32) -> i32 {
    let positive = murmur2(key) & 0x7fff_ffff;
    (positive % partitions.max(1) as u32) as i32
}

/// The hash of Kafka's Java client: murmur2 with its seed.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in words.by_ref() {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> R;
        k = k.wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (at, &byte) in rest.iter().enumerate() {
            hash ^= u32::from(byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// Keyless records stay with one partition for a batch's worth of bytes, then go to another at random (KIP-794).
#[derive(Debug, Default)]
pub struct Sticky {
    partition: Option<i32>,
    bytes: usize,
}

impl Sticky {
    /// `led` are the partitions with a leader; without any, one of all `count`.
    pub fn next(
        &mut self,
        led: &[i32],
        count: i32,
        record_bytes: usize,
        batch_bytes: usize,
    ) -> i32 {
        let stays = self.bytes < batch_bytes;
        if let Some(partition) = self.partition
            && stays
            && (led.contains(&partition) || led.is_empty())
        {
            self.bytes += record_bytes;
            return partition;
        }
        let mut rng = rand::rng();
        let chosen = match led.choose(&mut rng) {
            Some(&partition) => partition,
            None => rand::random_range(0..count.max(1)),
        };
        self.partition = Some(chosen);
        self.bytes = record_bytes;
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_kafkas_own_tests() {
        // From the test of Kafka's Utils.murmur2.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
        assert_eq!(murmur2(b"abc") as i32, 479_470_107);
    }

    #[test]
    fn a_keys_partition_is_within_the_topic() {
        for key in 0..1000u32 {
            assert!((0..7).contains(&of_key(&key.to_le_bytes(), 7)));
        }
    }

    #[test]
    fn keyless_records_stay_for_a_batch_and_avoid_partitions_without_a_leader() {
        let mut sticky = Sticky::default();
        let first = sticky.next(&[1, 2], 3, 60, 100);
        assert_eq!(sticky.next(&[1, 2], 3, 60, 100), first);
        for _ in 0..50 {
            assert_ne!(sticky.next(&[1, 2], 3, 100, 100), 0);
        }
        let left = sticky.next(&[1], 3, 1, 100);
        assert_eq!(left, 1);
        assert!((0..3).contains(&Sticky::default().next(&[], 3, 1, 100)));
    }
}
