//! Kafka's variable-length integers: zigzag, seven bits a byte, low bits first (as protobuf's `sint`).

use bytes::BufMut;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the bytes end inside a variable-length integer")]
    Truncated,
    #[error("a variable-length integer exceeds {bits} bits")]
    TooLong { bits: u32 },
}

pub(crate) fn put(out: &mut impl BufMut, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

pub(crate) fn encoded_len(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

pub(crate) fn get_i32(bytes: &mut &[u8]) -> Result<i32, Error> {
    read_i32(|| first(bytes))
}

pub(crate) fn get_i64(bytes: &mut &[u8]) -> Result<i64, Error> {
    read_i64(|| first(bytes))
}

/// From wherever the bytes come.
#[inline]
pub(crate) fn read_i32<E: From<Error>>(next: impl FnMut() -> Result<u8, E>) -> Result<i32, E> {
    let raw = read(next, 32)? as u32;
    Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

#[inline]
pub(crate) fn read_i64<E: From<Error>>(next: impl FnMut() -> Result<u8, E>) -> Result<i64, E> {
    let raw = read(next, 64)?;
    Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

fn first(bytes: &mut &[u8]) -> Result<u8, Error> {
    let (&byte, rest) = bytes.split_first().ok_or(Error::Truncated)?;
    *bytes = rest;
    Ok(byte)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline]
fn read<E: From<Error>>(mut next: impl FnMut() -> Result<u8, E>, bits: u32) -> Result<u64, E> {
    let mut value = 0;
    let mut shift = 0;
    loop {
        let byte = next()?;
        let low = u64::from(byte & 0x7f);
        // The last group has fewer than seven bits left: 4 of 32, 1 of 64. What exceeds them would silently vanish.
        if shift >= bits || (bits - shift < 7 && low >> (bits - shift) != 0) {
            return Err(Error::TooLong { bits }.into());
        }
        value |= low << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values_have_their_known_bytes() {
        for (value, bytes) in [
            (0, vec![0x00]),
            (-1, vec![0x01]),
            (1, vec![0x02]),
            (63, vec![0x7e]),
            (-64, vec![0x7f]),
            (64, vec![0x80, 0x01]),
            (i64::from(i32::MAX), vec![0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i64::from(i32::MIN), vec![0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            put(&mut out, value);
            assert_eq!(out, bytes, "{value}");
            assert_eq!(i64::from(get_i32(&mut &bytes[..]).unwrap()), value);
        }
    }

    #[test]
    fn bits_beyond_the_width_are_refused() {
        let fits = [0xff, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(get_i32(&mut &fits[..]), Ok(i32::MIN));
        let over = [0xff, 0xff, 0xff, 0xff, 0x1f];
        assert_eq!(get_i32(&mut &over[..]), Err(Error::TooLong { bits: 32 }));
        let six_bytes = [0x80, 0x80, 0x80, 0x80, 0x80, 0x00];
        assert_eq!(
            get_i32(&mut &six_bytes[..]),
            Err(Error::TooLong { bits: 32 })
        );
        let mut ten = [0xff; 10];
        ten[9] = 0x01;
        assert_eq!(get_i64(&mut &ten[..]), Ok(i64::MIN));
        ten[9] = 0x02;
        assert_eq!(get_i64(&mut &ten[..]), Err(Error::TooLong { bits: 64 }));
        assert_eq!(
            get_i64(&mut &[0x80; 11][..]),
            Err(Error::TooLong { bits: 64 })
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value: i64, narrow: i32) {
            for value in [value, i64::from(narrow)] {
                let mut out = Vec::new();
                put(&mut out, value);
                prop_assert_eq!(out.len(), encoded_len(value));
                let mut rest = &out[..];
                prop_assert_eq!(get_i64(&mut rest).unwrap(), value);
                prop_assert!(rest.is_empty());
                prop_assert_eq!(get_i64(&mut &out[..out.len() - 1]), Err(Error::Truncated));
            }
            let mut out = Vec::new();
            put(&mut out, i64::from(narrow));
            prop_assert_eq!(get_i32(&mut &out[..]).unwrap(), narrow);
        }
    }
}
