//! What readers are given: the bytes that were written, or of a compacted partition what may be left of them.

use super::history::{self, Aborted, Record};
use super::{Checked, Oracle, checksum, violated};
use bytes::Bytes;
use millrace_broker::partition::Positions;
use millrace_broker::partition::aborted::AbortedTransaction;
use millrace_broker::raft::ports::GroupId;
use millrace_wire::batch::Attributes;
use millrace_wire::{Batch, BatchHeader};
use std::collections::BTreeSet;

/// The flag that log compaction sets in what it writes anew (KIP-534).
const DELETE_HORIZON: i16 = 1 << 6;

/// What a reader got.
pub struct Got {
    pub batches: Vec<Batch>,
    /// The offset behind the last of them.
    pub end: i64,
}

/// What log compaction leaves alone in a header.
fn identity(header: &BatchHeader) -> impl PartialEq + use<> {
    // What lost all its records is not compressed, whatever it was; nothing here is.
    let Attributes(attributes) = header.attributes;
    (
        (header.base_offset, header.next_offset()),
        (
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
        ),
        (header.leader_epoch, attributes & !DELETE_HORIZON),
    )
}

impl Oracle {
    /// Somebody read these batches from `from` on, up to `upto` or less.
    pub fn read(
        &self,
        group: GroupId,
        from: i64,
        upto: i64,
        chunks: &[Bytes],
        now_ms: i64,
    ) -> Checked<Got> {
        let truth = self.truth(group);
        let retention_ms = self.compacted.get(&group).copied();
        let mut got = Got {
            batches: Vec::new(),
            end: from,
        };
        for chunk in chunks {
            let mut rest = chunk.clone();
            while !rest.is_empty() {
                let at = got.end;
                let Ok(header) = BatchHeader::decode(&rest) else {
                    return violated(format!("group {group}: no batch at offset {at}"));
                };
                let bytes = rest.split_to(header.size_bytes);
                let crc = checksum(&bytes)?;
                let (base, next) = (header.base_offset, header.next_offset());
                let known = truth.batches.get(&base);
                if (base > at && retention_ms.is_none()) || next <= at {
                    return violated(format!(
                        "group {group}: batch {base}..{next} was read at offset {at}"
                    ));
                }
                let is_it = known.is_some_and(|known| {
                    identity(&known.header) == identity(&header)
                        && (retention_ms.is_some() || known.crc == crc)
                });
                if !is_it || next > upto {
                    return violated(format!(
                        "group {group}: batch {base}..{next} was read below {upto}, committed is {known:?}"
                    ));
                }
                let Ok(batch) = Batch::decode(bytes) else {
                    return violated(format!("group {group}: no batch at offset {base}"));
                };
                match retention_ms {
                    None => {}
                    Some(_) if known.is_some_and(|known| known.crc == crc) && base <= at => {}
                    Some(retention_ms) => {
                        let records = history::records(&batch)?;
                        self.left_over(group, at.min(base), &records, next, now_ms, retention_ms)?;
                    }
                }
                got.batches.push(batch);
                got.end = next;
            }
        }
        match retention_ms {
            Some(retention_ms) if chunks.is_empty() => {
                truth.history.may_miss(from, upto, now_ms, retention_ms)?;
            }
            Some(_) => {}
            None if chunks.is_empty() => {
                return violated(format!(
                    "group {group}: nothing at offset {from}, below {upto}"
                ));
            }
            None => {}
        }
        Ok(got)
    }

    /// Of the offsets `from..to` log compaction has left these records: none invented, none lost.
    fn left_over(
        &self,
        group: GroupId,
        from: i64,
        records: &[(i64, Record)],
        to: i64,
        now_ms: i64,
        retention_ms: i64,
    ) -> Checked {
        let history = &self.truth(group).history;
        let mut at = from;
        for (offset, record) in records {
            if !history.is_as_written(*offset, record) {
                return violated(format!(
                    "group {group}: nobody wrote the record at {offset}: {record:?}"
                ));
            }
            history.may_miss(at, *offset, now_ms, retention_ms)?;
            at = offset + 1;
        }
        history.may_miss(at, to, now_ms, retention_ms)
    }

    /// A consumer of committed transactions, as Kafka's own goes about it, with the aborted transactions that the broker
    /// names for what it was given: it must see all that was committed, and nothing else.
    pub fn consumed(
        &self,
        group: GroupId,
        from: i64,
        got: &Got,
        aborted: &[AbortedTransaction],
        positions: &Positions,
    ) -> Checked {
        let history = &self.truth(group).history;
        let named: Vec<Aborted> = aborted
            .iter()
            .map(|t| (t.producer_id, t.first_offset.0, t.last_offset.0))
            .collect();
        let (high_watermark, log_start) = (positions.high_watermark.0, positions.log_start.0);
        let wanted = history.aborted_in(from, got.end, high_watermark, log_start);
        if named != wanted {
            return violated(format!(
                "group {group}: of {from}..{} transactions {named:?} are said to be aborted, {wanted:?} are",
                got.end
            ));
        }
        let mut to_come = named;
        to_come.sort_by_key(|(_, first, _)| *first);
        let mut to_come = to_come.into_iter().peekable();
        let mut ignored: BTreeSet<i64> = BTreeSet::new();
        for batch in &got.batches {
            let header = batch.header();
            while let Some((producer_id, ..)) =
                to_come.next_if(|(_, first, _)| *first <= header.last_offset())
            {
                ignored.insert(producer_id);
            }
            let records = history::records(batch)?;
            if header.attributes.is_control() {
                if let Some((_, marker)) = records.first()
                    && !history::is_commit(marker)?
                {
                    ignored.remove(&header.producer_id);
                }
                continue;
            }
            let is_ignored =
                header.attributes.is_transactional() && ignored.contains(&header.producer_id);
            for (offset, _) in &records {
                if history.is_for_consumers(*offset) == is_ignored {
                    return violated(format!(
                        "group {group}: the record at {offset} of producer {} is {} a consumer of committed transactions (aborted: {aborted:?})",
                        header.producer_id,
                        if is_ignored { "lost to" } else { "shown to" }
                    ));
                }
            }
        }
        Ok(())
    }
}
