//! Whatever a segment of the shared log holds, replaying it neither panics nor reads beyond it; and a record that was decoded
//! is within the bytes it came from.

use bytes::{BufMut, Bytes, BytesMut};
use crc32c::{crc32c, crc32c_append};
use millrace_broker::storage::log::{Record, decode_record, replay_bytes};

const SEGMENT_HEADER_LEN: usize = 4096;
const NUMBER: u64 = 1;
const SALT: u64 = 7;

pub fn run(input: &[u8]) -> bool {
    let bytes = Bytes::copy_from_slice(input);
    if let Some(Record::Entry { entry, .. }) = decode_record(&bytes) {
        assert!(entry.context.len() + entry.data.len() <= bytes.len());
    }
    replay(&bytes);
    let mut image = segment_header();
    image.extend_from_slice(input);
    replay(&image.freeze());
    let block = in_a_block(input);
    // Read is a block of records that was taken whole.
    replay(&block).is_some_and(|end| end as usize + 8 > block.len() && !input.is_empty())
}

/// An entry and a hard state, each behind its length: `kind | group | ...` with small numbers (`storage/log/format.rs`).
pub fn seeds() -> Vec<Vec<u8>> {
    let entry = [1, 5, 1, 1, 2, 9, 9, b'd', b'a', b't', b'a'];
    let hard_state = [2, 5, 1, 1, 1];
    let mut both = vec![entry.len() as u8];
    both.extend(entry);
    both.push(hard_state.len() as u8);
    both.extend(hard_state);
    vec![both]
}

fn replay(image: &Bytes) -> Option<u32> {
    let mut last = 0;
    let end = replay_bytes(image, &mut |offset, _| {
        assert!(offset > last, "records come in order");
        last = offset;
    });
    let end = end.ok()?;
    assert!(end as usize <= image.len() && last < end.max(1));
    Some(end)
}

fn segment_header() -> BytesMut {
    let mut image = BytesMut::new();
    image.put_slice(b"mrlogseg");
    image.put_u32_le(2);
    let mut rest = BytesMut::new();
    rest.put_u64_le(NUMBER);
    rest.put_u64_le(SALT);
    rest.put_u64_le(0);
    image.put_u32_le(crc32c_append(crc32c(&image), &rest));
    image.put_slice(&rest);
    image.resize(SEGMENT_HEADER_LEN, 0);
    image
}

/// The input as records of one block whose checksums are right, so that the fuzzer need not guess them. Each begins with a
/// byte that says how long it is.
fn in_a_block(input: &[u8]) -> Bytes {
    let seed = crc32c_append(crc32c(&SALT.to_le_bytes()), &NUMBER.to_le_bytes());
    let (mut body, mut records, mut rest) = (BytesMut::new(), 0, input);
    while let Some((&len, more)) = rest.split_first() {
        let (content, more) = more.split_at(more.len().min(usize::from(len)));
        let mut record = BytesMut::new();
        record.put_u32_le(8 + content.len() as u32);
        record.put_slice(content);
        body.put_u32_le(crc32c_append(seed, &record));
        body.put_slice(&record);
        records += 1;
        rest = more;
    }
    let mut header = BytesMut::new();
    header.put_u64_le(SALT);
    header.put_u64_le(NUMBER);
    header.put_u32_le(SEGMENT_HEADER_LEN as u32);
    header.put_u32_le(SEGMENT_HEADER_LEN as u32);
    header.put_u32_le(records);
    header.put_u32_le(body.len() as u32);
    let mut image = segment_header();
    image.put_slice(b"mrbk");
    image.put_u32_le(crc32c(&header));
    image.put_slice(&header);
    image.put_slice(&body);
    image.freeze()
}
