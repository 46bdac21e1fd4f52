//! The small rows: what is known of a group below its log, and what runs it has been sealed into.
//!
//! A row says itself where the log takes over from it, because families and log become durable at different times.
//! Every row ends in a CRC32C of what stands before it.

use super::families::PACKED_FAMILIES;
use super::ids::Offset;
use super::log::Position;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use protobuf::Message as _;
use raft::eraftpb::{ConfState, HardState};

/// The version of the rows' format, the first byte of each.
const VERSION: u8 = 1;

/// Everything that a group needs to start from, below its log.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupRow {
    /// The newest when the row was written; a hard state in the log at or behind `hard_state_from` is newer.
    pub hard_state: HardState,
    pub hard_state_from: Position,
    /// The entry before the first one in the log. `truncated_index <= applied <= hard_state.commit`
    pub truncated_index: u64,
    pub truncated_term: u64,
    /// The offset behind that entry.
    pub next_offset: Offset,
    /// Entries of this group before this position are not part of it any more (sealed, or older than a snapshot).
    pub entries_from: Position,
    /// The membership as of `applied`.
    pub conf_state: ConfState,
    /// The newest generation that log compaction has made; records are sealed into generation 0.
    pub generation: u32,
    /// Up to where the log has been compacted; records below are unique by key.
    pub cleaned_to: Offset,
    /// The state machine's own bytes, and the index they are as of.
    pub applied: u64,
    pub machine: Bytes,
}

/// A sealed piece of a partition, in one of the families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub generation: u32,
    pub base: Offset,
    /// The offset behind its last one.
    pub next: Offset,
    pub bytes: u64,
    pub max_timestamp_ms: i64,
    /// The packed family that it lies in; `None` where it has a file of its own in its group's record family.
    pub packed: Option<u8>,
}

/// One try to move a replica between two directories: random, so that what another try left is never taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveId(pub u64);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    #[error("row is damaged: its checksum does not match")]
    Checksum,
    #[error("row has format version {0}, this release reads version {VERSION}")]
    Version(u8),
    #[error("row is cut short or malformed")]
    Malformed,
}

impl GroupRow {
    pub fn encode(&self) -> Vec<u8> {
        let conf_state = self
            .conf_state
            .write_to_bytes()
            .expect("a ConfState has no required fields");
        let mut out = BytesMut::with_capacity(128 + conf_state.len() + self.machine.len());
        out.put_u8(VERSION);
        out.put_u64(self.hard_state.term);
        out.put_u64(self.hard_state.vote);
        out.put_u64(self.hard_state.commit);
        put_position(&mut out, self.hard_state_from);
        out.put_u64(self.truncated_index);
        out.put_u64(self.truncated_term);
        out.put_i64(self.next_offset.0);
        put_position(&mut out, self.entries_from);
        out.put_u32(self.generation);
        out.put_i64(self.cleaned_to.0);
        out.put_u64(self.applied);
        put_bytes(&mut out, &conf_state);
        put_bytes(&mut out, &self.machine);
        seal(out)
    }

    pub fn decode(row: &[u8]) -> Result<GroupRow, RowError> {
        let mut row = open(row)?;
        let row = &mut row;
        let mut hard_state = HardState::new();
        hard_state.term = get_u64(row)?;
        hard_state.vote = get_u64(row)?;
        hard_state.commit = get_u64(row)?;
        let hard_state_from = get_position(row)?;
        let truncated_index = get_u64(row)?;
        let truncated_term = get_u64(row)?;
        let next_offset = Offset(get_u64(row)? as i64);
        let entries_from = get_position(row)?;
        let generation = get_u32(row)?;
        let cleaned_to = Offset(get_u64(row)? as i64);
        let applied = get_u64(row)?;
        let conf_state =
            ConfState::parse_from_bytes(get_bytes(row)?).map_err(|_| RowError::Malformed)?;
        let machine = Bytes::copy_from_slice(get_bytes(row)?);
        if !row.is_empty() {
            return Err(RowError::Malformed);
        }
        Ok(GroupRow {
            hard_state,
            hard_state_from,
            truncated_index,
            truncated_term,
            next_offset,
            entries_from,
            conf_state,
            generation,
            cleaned_to,
            applied,
            machine,
        })
    }
}

impl Run {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = BytesMut::with_capacity(48);
        out.put_u8(VERSION);
        out.put_u32(self.generation);
        out.put_i64(self.base.0);
        out.put_i64(self.next.0);
        out.put_u64(self.bytes);
        out.put_i64(self.max_timestamp_ms);
        out.put_u8(self.packed.map_or(0, |n| n + 1));
        seal(out)
    }

    pub fn decode(row: &[u8]) -> Result<Run, RowError> {
        let mut row = open(row)?;
        let row = &mut row;
        let run = Run {
            generation: get_u32(row)?,
            base: Offset(get_u64(row)? as i64),
            next: Offset(get_u64(row)? as i64),
            bytes: get_u64(row)?,
            max_timestamp_ms: get_u64(row)? as i64,
            packed: match row {
                [0] => None,
                [n] if *n <= PACKED_FAMILIES => Some(n - 1),
                _ => return Err(RowError::Malformed),
            },
        };
        if run.next < run.base {
            Err(RowError::Malformed)
        } else {
            Ok(run)
        }
    }
}

impl MoveId {
    pub fn encode(self) -> Vec<u8> {
        let mut out = BytesMut::with_capacity(13);
        out.put_u8(VERSION);
        out.put_u64(self.0);
        seal(out)
    }

    pub fn decode(row: &[u8]) -> Result<MoveId, RowError> {
        let mut row = open(row)?;
        let id = get_u64(&mut row)?;
        match row.is_empty() {
            true => Ok(MoveId(id)),
            false => Err(RowError::Malformed),
        }
    }
}

fn seal(mut out: BytesMut) -> Vec<u8> {
    let crc = crc32c::crc32c(&out);
    out.put_u32(crc);
    out.to_vec()
}

fn open(row: &[u8]) -> Result<&[u8], RowError> {
    let (body, crc) = row.split_last_chunk::<4>().ok_or(RowError::Malformed)?;
    if crc32c::crc32c(body) != u32::from_be_bytes(*crc) {
        return Err(RowError::Checksum);
    }
    match body.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        Some((&version, _)) => Err(RowError::Version(version)),
        None => Err(RowError::Malformed),
    }
}

fn put_position(out: &mut BytesMut, position: Position) {
    out.put_u64(position.segment);
    out.put_u32(position.offset);
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(u32::try_from(bytes.len()).expect("a row's part is far below 4 GiB"));
    out.put_slice(bytes);
}

fn get_u64(row: &mut &[u8]) -> Result<u64, RowError> {
    row.try_get_u64().map_err(|_| RowError::Malformed)
}

fn get_u32(row: &mut &[u8]) -> Result<u32, RowError> {
    row.try_get_u32().map_err(|_| RowError::Malformed)
}

fn get_position(row: &mut &[u8]) -> Result<Position, RowError> {
    Ok(Position {
        segment: get_u64(row)?,
        offset: get_u32(row)?,
    })
}

fn get_bytes<'a>(row: &mut &'a [u8]) -> Result<&'a [u8], RowError> {
    let len = get_u32(row)? as usize;
    let (bytes, rest) = row.split_at_checked(len).ok_or(RowError::Malformed)?;
    *row = rest;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_row() -> impl Strategy<Value = GroupRow> {
        (
            any::<[u64; 6]>(),
            any::<(u32, u32, u32)>(),
            prop::collection::vec(any::<u64>(), 0..5),
            prop::collection::vec(any::<u8>(), 0..200),
        )
            .prop_map(|(n, (a, b, generation), voters, machine)| GroupRow {
                hard_state: HardState {
                    term: n[0],
                    vote: n[1],
                    commit: n[2],
                    ..Default::default()
                },
                hard_state_from: Position {
                    segment: n[3],
                    offset: a,
                },
                truncated_index: n[4],
                truncated_term: n[5],
                next_offset: Offset(n[0] as i64),
                entries_from: Position {
                    segment: n[1],
                    offset: b,
                },
                conf_state: ConfState {
                    voters,
                    ..Default::default()
                },
                generation,
                cleaned_to: Offset(n[5] as i64),
                applied: n[3],
                machine: machine.into(),
            })
    }

    proptest! {
        #[test]
        fn a_group_row_decodes_to_what_was_encoded(row in any_row()) {
            prop_assert_eq!(GroupRow::decode(&row.encode()), Ok(row));
        }

        #[test]
        fn a_run_decodes_to_what_was_encoded(generation: u32, base in 0i64..1 << 60, len in 0i64..1 << 30, bytes: u64, ts: i64, packed in prop::option::of(0..PACKED_FAMILIES)) {
            let run = Run { generation, base: Offset(base), next: Offset(base + len), bytes, max_timestamp_ms: ts, packed };
            prop_assert_eq!(Run::decode(&run.encode()), Ok(run));
        }

        #[test]
        fn a_move_decodes_to_what_was_encoded(id: u64) {
            prop_assert_eq!(MoveId::decode(&MoveId(id).encode()), Ok(MoveId(id)));
        }

        #[test]
        fn a_flipped_bit_is_refused(row in any_row(), at: prop::sample::Index) {
            let mut bytes = row.encode();
            let bit = at.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(GroupRow::decode(&bytes), Err(RowError::Checksum));
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
            let _ = (GroupRow::decode(&bytes), Run::decode(&bytes), MoveId::decode(&bytes));
            let mut checked = bytes.clone();
            checked.extend(crc32c::crc32c(&bytes).to_be_bytes());
            let _ = (GroupRow::decode(&checked), Run::decode(&checked), MoveId::decode(&checked));
        }
    }
}
