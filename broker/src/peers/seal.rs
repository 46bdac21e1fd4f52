//! The seal of a frame: that it is what the dialer sent, and in its place.
//!
//! BLAKE3 with a key, cut to 16 bytes, over the frame's number on its connection and all that stands before the seal. Of
//! what was tried for frames of 1 MiB it is the fastest (3.0 GB/s; HMAC-SHA256 with the processor's own instructions 1.5).

pub(super) const SEAL_BYTES: usize = 16;

/// Seals or checks the frames of one connection, in their order.
pub struct Sealer {
    key: [u8; 32],
    number: u64,
}

impl Sealer {
    pub fn new(key: [u8; 32]) -> Sealer {
        Sealer { key, number: 0 }
    }

    /// Of the next frame.
    pub fn seal<'a>(&mut self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; SEAL_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&self.number.to_be_bytes());
        // At a million frames a second it lasts for half a million years.
        self.number += 1;
        for part in parts {
            hasher.update(part);
        }
        let mut seal = [0; SEAL_BYTES];
        seal.copy_from_slice(&hasher.finalize().as_bytes()[..SEAL_BYTES]);
        seal
    }

    pub(super) fn is_sealed<'a>(
        &mut self,
        parts: impl IntoIterator<Item = &'a [u8]>,
        seal: &[u8],
    ) -> bool {
        let expected = self.seal(parts);
        // Every byte is looked at, so that the time taken tells nothing.
        let difference = expected
            .iter()
            .zip(seal)
            .fold(0, |difference, (a, b)| difference | (a ^ b));
        seal.len() == SEAL_BYTES && std::hint::black_box(difference) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_holds_for_its_frame_in_its_place_only() {
        let key = [5; 32];
        let mut sealer = Sealer::new(key);
        let parts: [&[u8]; 2] = [b"head", b"body"];
        let (first, second) = (sealer.seal(parts), sealer.seal(parts));
        assert_ne!(first, second);
        let mut checker = Sealer::new(key);
        assert!(checker.is_sealed([&b"headbody"[..]], &first));
        assert!(!checker.is_sealed(parts, &first), "it was sent twice");
        assert!(!Sealer::new(key).is_sealed(parts, &second), "one is lost");
        assert!(!Sealer::new([6; 32]).is_sealed(parts, &first));
        assert!(!Sealer::new(key).is_sealed(parts, &first[..15]));
        assert!(!Sealer::new(key).is_sealed([&b"headbodY"[..]], &first));
    }
}
