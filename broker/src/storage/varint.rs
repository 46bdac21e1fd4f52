//! Numbers that are small most of the time: seven bits a byte, low bits first, the high bit says that another byte follows.

use bytes::BufMut;

/// The longest encoding of 64 bits.
pub(super) const MAX_LEN: usize = 10;

pub(super) fn put(out: &mut impl BufMut, value: u64) {
    let mut rest = value;
    while rest >= 0x80 {
        out.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

pub(super) fn len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// `None` when the bytes end inside the number, or it has more than 64 bits.
pub(super) fn get(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..MAX_LEN {
        let byte = *bytes.get(at)?;
        let low = u64::from(byte & 0x7f);
        // Of the tenth group only one bit is left: what exceeds it would silently vanish.
        if at + 1 == MAX_LEN && low > 1 {
            return None;
        }
        value |= low << (7 * at);
        if byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Some(value);
        }
    }
    None
}

/// Numbers near zero, of either sign, become small ones.
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_decodes_to_what_was_encoded(value: u64, shift in 0u32..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            put(&mut out, value);
            prop_assert_eq!(out.len(), len(value));
            out.push(7);
            let mut rest = &out[..];
            prop_assert_eq!(get(&mut rest), Some(value));
            prop_assert_eq!(rest, [7]);
            prop_assert_eq!(get(&mut &out[..out.len() - 2]), None);
            prop_assert_eq!(unzigzag(zigzag(value as i64)), value as i64);
        }
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_refused() {
        let mut bytes = [0xff; 11];
        assert_eq!(get(&mut &bytes[..]), None);
        bytes[9] = 2;
        assert_eq!(get(&mut &bytes[..]), None);
        bytes[9] = 1;
        assert_eq!(get(&mut &bytes[..]), Some(u64::MAX));
    }
}
