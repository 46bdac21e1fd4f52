//! Kafka's messages, cut and changed at random, and bytes that never were one: neither the checker nor a decoder behind it
//! panics, and what passes is written and read again without a change of meaning.

use super::{APIS, Kind, bytes, golden};
use millrace_wire::Error;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

/// Reads the bytes, writes what was read, and reads that again. An error of the decoder instead of the checker is a fault.
fn read_write_read(kind: &Kind, version: i16, bytes: &[u8]) -> Result<(), Error> {
    let convert = |bytes: &[u8]| match (kind.convert)(bytes, version, version) {
        Ok(None) => panic!("read and not written again: {bytes:02x?}"),
        Err(error @ Error::Unreadable { .. }) => panic!("{error}: {bytes:02x?}"),
        Err(error) => Err(error),
        Ok(Some(written)) => Ok(written),
    };
    let written = convert(bytes)?;
    let again = convert(&written).unwrap_or_else(|error| panic!("{error}: {bytes:02x?}"));
    assert_eq!(again, written, "{bytes:02x?}");
    Ok(())
}

/// The filled messages, with their lines.
fn filled() -> Vec<(&'static Kind, &'static str, i16, Vec<u8>)> {
    let filled: Vec<_> = golden("fill")
        .map(|(kind, line, words)| (kind, line, words[0].parse().unwrap(), bytes(words[1])))
        .filter(|(.., bytes)| !bytes.is_empty())
        .collect();
    assert!(filled.len() > 2000);
    filled
}

#[test]
fn a_message_that_is_cut_anywhere_is_refused() {
    for (kind, line, version, bytes) in filled() {
        for end in 0..bytes.len() {
            let result = read_write_read(kind, version, &bytes[..end]);
            assert!(
                matches!(result, Err(Error::Malformed { .. })),
                "{line}\ncut at {end}: {result:?}"
            );
        }
    }
}

#[test]
fn what_follows_a_message_is_passed_over_in_a_request_and_refused_in_an_answer() {
    for (kind, line, version, mut bytes) in filled() {
        bytes.push(0);
        let result = read_write_read(kind, version, &bytes);
        let is_right = match line.contains(" request ") {
            true => result.is_ok(),
            false => matches!(result, Err(Error::Malformed { .. })),
        };
        assert!(is_right, "{line}\n{result:?}");
    }
}

/// Bytes that mean something: ends of ranges of lengths and of compact lengths.
const NASTY: [u8; 8] = [0x00, 0x01, 0x02, 0x0f, 0x7f, 0x80, 0xfe, 0xff];

#[test]
fn changed_messages_are_refused_or_read_as_what_they_say() {
    let mut random = StdRng::seed_from_u64(4);
    let rounds = if std::env::var_os("MILLRACE_TEST_FULL").is_some() {
        200
    } else {
        10
    };
    let (mut passed, mut refused) = (0, 0);
    for (kind, _, version, bytes) in filled() {
        for _ in 0..rounds {
            let mut changed = bytes.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..changed.len());
                match random.random_range(0..5) {
                    0 => changed[at] = random.random(),
                    1 => changed[at] = changed[at].wrapping_add(1),
                    2 => changed.insert(at, NASTY[random.random_range(0..NASTY.len())]),
                    3 if changed.len() > 1 => drop(changed.remove(at)),
                    _ => changed[at] = NASTY[random.random_range(0..NASTY.len())],
                }
            }
            match read_write_read(kind, version, &changed) {
                Ok(()) => passed += 1,
                Err(_) => refused += 1,
            }
        }
    }
    // A change of a number passes, a change of a length does not: if either never happened, this would test nothing.
    assert!(
        passed > 1000 && refused > 1000,
        "{passed} passed, {refused} refused"
    );
}

#[test]
fn random_bytes_are_survived() {
    let mut random = StdRng::seed_from_u64(5);
    let mut bytes = [0; 64];
    for api in APIS {
        for version in api.key.versions() {
            for kind in [&api.request, &api.response] {
                for _ in 0..50 {
                    let length = random.random_range(0..bytes.len());
                    random.fill_bytes(&mut bytes[..length]);
                    // Small counts and lengths come further than large ones.
                    let mask = if random.random() { 0x03 } else { 0xff };
                    bytes.iter_mut().for_each(|byte| *byte &= mask);
                    let _ = read_write_read(kind, version, &bytes[..length]);
                }
            }
        }
    }
}
