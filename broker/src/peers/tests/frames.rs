//! Frames in a stream of bytes.

use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::peers::frame::{Body, Kind, Outgoing, read_ask, read_note};
use crate::peers::reader::{ReadError, Reader};
use crate::peers::seal::Sealer;

const KEY: [u8; 32] = [9; 32];
const LIMIT: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(30);

fn sealed(frames: &[Outgoing]) -> Vec<Vec<u8>> {
    let mut sealer = Sealer::new(KEY);
    frames
        .iter()
        .map(|frame| {
            let mut out = Body::default();
            frame.write(&mut sealer, &mut out);
            out.into_parts().concat()
        })
        .collect()
}

fn notes(lengths: &[usize]) -> Vec<Outgoing> {
    let note = |(length, number): (&usize, u16)| {
        Outgoing::note(number, &Bytes::from(vec![number as u8; *length]))
    };
    lengths.iter().zip(1..).map(note).collect()
}

/// The bodies of all frames, and how it ended.
async fn read_all<S: tokio::io::AsyncRead + Unpin>(
    source: S,
) -> (Vec<Bytes>, Result<(), ReadError>) {
    let mut reader = Reader::new(source, Sealer::new(KEY), LIMIT);
    let mut bodies = Vec::new();
    loop {
        match reader.next(PATIENCE).await {
            Ok(Some(frame)) => bodies.push(frame.body),
            Ok(None) => return (bodies, Ok(())),
            Err(error) => return (bodies, Err(error)),
        }
    }
}

fn read_now(bytes: &[u8]) -> (Vec<Bytes>, Result<(), ReadError>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(read_all(bytes))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn frames_are_read_as_they_were_sent_however_they_are_cut(
        lengths in vec(prop_oneof![0..200_usize, 10_000..90_000_usize, 250_000..900_000_usize], 1..8),
        pieces in vec(1..70_000_usize, 1..10),
    ) {
        let bytes = sealed(&notes(&lengths)).concat();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let (bodies, end) = runtime.block_on(async {
            let (mut to, from) = tokio::io::duplex(100_000);
            let writes = async {
                use tokio::io::AsyncWriteExt as _;
                let mut rest = bytes.as_slice();
                for piece in pieces.iter().cycle() {
                    let (now, later) = rest.split_at(rest.len().min(*piece));
                    to.write_all(now).await.expect("it is read");
                    rest = later;
                    if rest.is_empty() {
                        break;
                    }
                }
                drop(to);
            };
            tokio::join!(read_all(from), writes).0
        });
        prop_assert!(end.is_ok(), "{:?}", end);
        let read: Vec<_> = bodies.iter().map(|body| read_note(body).expect("a note")).collect();
        for ((kind, body), (length, number)) in read.iter().zip(lengths.iter().zip(1..)) {
            prop_assert_eq!(*kind, number);
            prop_assert!(body.len() == *length && body.iter().all(|byte| *byte == number as u8));
        }
        prop_assert_eq!(read.len(), lengths.len());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let (bodies, _) = read_now(&bytes);
        prop_assert!(bodies.is_empty(), "nobody can have sealed it");
    }
}

#[test]
fn a_changed_byte_anywhere_is_noticed() {
    let frames = sealed(&notes(&[10, 30, 5]));
    let (first, second) = (frames[0].len(), frames[1].len());
    for at in first..first + second {
        for change in [1, 0x80] {
            let mut bytes = frames.concat();
            bytes[at] ^= change;
            let (bodies, end) = read_now(&bytes);
            assert_eq!(bodies.len(), 1, "byte {at}");
            assert!(end.is_err(), "byte {at}");
        }
    }
}

#[test]
fn a_frame_that_is_lost_doubled_or_moved_is_noticed() {
    let frames = sealed(&notes(&[10, 30, 5]));
    let check = |order: &[usize], good: usize| {
        let bytes: Vec<u8> = order.iter().flat_map(|at| frames[*at].clone()).collect();
        let (bodies, end) = read_now(&bytes);
        assert_eq!(bodies.len(), good, "{order:?}");
        assert!(matches!(end, Err(ReadError::Seal)), "{order:?}: {end:?}");
    };
    assert_eq!(read_now(&frames.concat()).0.len(), 3);
    check(&[0, 2], 1);
    check(&[1, 2], 0);
    check(&[0, 0, 1], 1);
    check(&[0, 2, 1], 1);
    check(&[0, 1, 2, 2], 3);
}

#[test]
fn a_stream_that_ends_within_a_frame_is_torn() {
    let bytes = sealed(&notes(&[40])).concat();
    assert!(read_now(&[]).1.is_ok());
    for end in 1..bytes.len() {
        let (bodies, error) = read_now(&bytes[..end]);
        assert!(bodies.is_empty());
        assert!(matches!(error, Err(ReadError::Torn)), "cut at {end}");
    }
}

#[test]
fn a_length_out_of_bounds_is_refused_by_itself() {
    let too_long = (LIMIT as u32 - 3).to_be_bytes();
    assert!(matches!(
        read_now(&too_long).1,
        Err(ReadError::TooLong { .. })
    ));
    assert!(matches!(
        read_now(&[0xff; 4]).1,
        Err(ReadError::TooLong { .. })
    ));
    assert!(matches!(
        read_now(&16_u32.to_be_bytes()).1,
        Err(ReadError::TooShort(16))
    ));
}

#[test]
fn a_kind_that_does_not_exist_is_refused() {
    let head = [0, 0, 0, 17, 99];
    let seal = Sealer::new(KEY).seal([&head[..]]);
    let (_, error) = read_now(&[&head[..], &seal].concat());
    assert!(matches!(error, Err(ReadError::Kind(99))));
}

#[test]
fn a_question_has_its_id_and_kind() {
    let bytes = sealed(&[Outgoing::ask(7, 3, &Bytes::from_static(b"why"))]).concat();
    let (bodies, _) = read_now(&bytes);
    assert_eq!(read_ask(&bodies[0]), Ok((7, 3, Bytes::from_static(b"why"))));
    assert!(read_ask(&Bytes::from_static(b"short")).is_err());
    assert_eq!(Kind::from_code(bytes[4]), Some(Kind::Ask));
}
