//! From the batches of an answer to the records that a consumer may see.

use super::{ConsumerConfig, Isolation};
use crate::wire::messages::fetch_response::{AbortedTransaction, PartitionData};
use crate::{Error, TopicPartition};
use bytes::Bytes;
use millrace_wire::batch::{self, Batch, TimestampType};
use millrace_wire::control::ControlType;
use millrace_wire::record::Headers;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct ConsumerRecord {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    /// Negative when the batch has none.
    pub leader_epoch: i32,
    pub timestamp_ms: i64,
    pub timestamp_type: TimestampType,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Headers,
}

impl ConsumerRecord {
    /// Of its key and value, as Kafka's performance tools count them.
    pub fn payload_bytes(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len)
    }

    /// What it keeps in memory, about.
    pub(super) fn size_bytes(&self) -> usize {
        size_of::<ConsumerRecord>() + self.payload_bytes()
    }
}

/// What was read of one partition.
#[derive(Debug)]
pub struct Read {
    pub records: Vec<ConsumerRecord>,
    /// To be fetched next: behind everything read, whether it was shown or not.
    pub next_offset: i64,
    /// What stopped the reading, after the records.
    pub fault: Option<Error>,
}

pub fn read(
    at: &TopicPartition,
    offset: i64,
    mut data: PartitionData,
    config: &ConsumerConfig,
) -> Read {
    let mut read = Read {
        records: Vec::new(),
        next_offset: offset,
        fault: None,
    };
    let mut aborted = Aborted::new(match config.isolation {
        Isolation::ReadCommitted => data.aborted_transactions.take().unwrap_or_default(),
        Isolation::ReadUncommitted => Vec::new(),
    });
    for batch in batch::split(data.records.take().unwrap_or_default()) {
        let batch = match batch {
            Ok(batch) => batch,
            // A broker may cut its answer within a batch, as long as one is whole.
            Err(split)
                if matches!(split.error, batch::Error::Truncated { .. })
                    && read.next_offset > offset =>
            {
                break;
            }
            Err(split) => {
                read.fault = Some(fault(at, read.next_offset, &split.error));
                break;
            }
        };
        if let Err(error) = read_batch(at, offset, &batch, &mut aborted, config, &mut read.records)
        {
            read.fault = Some(fault(at, batch.header().base_offset.max(offset), &error));
            break;
        }
        read.next_offset = batch.header().next_offset().max(read.next_offset);
    }
    read
}

fn fault(at: &TopicPartition, offset: i64, reason: &dyn std::fmt::Display) -> Error {
    Error::Records(format!("{at} cannot be read at offset {offset}: {reason}"))
}

fn read_batch(
    at: &TopicPartition,
    offset: i64,
    batch: &Batch,
    aborted: &mut Aborted,
    config: &ConsumerConfig,
    records: &mut Vec<ConsumerRecord>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let header = batch.header();
    if header.last_offset() < offset {
        return Ok(());
    }
    if config.check_crcs {
        batch.verify_crc()?;
    }
    aborted.begin_up_to(header.last_offset());
    if header.attributes.is_control() {
        if let Some(record) = batch.records(config.batch_limit_bytes)?.next() {
            let key = record?.key.unwrap_or_default();
            if ControlType::decode_key(&key)? == ControlType::Abort {
                aborted.end(header.producer_id);
            }
        }
        return Ok(());
    }
    if header.attributes.is_transactional() && aborted.contains(header.producer_id) {
        return Ok(());
    }
    for record in batch.records(config.batch_limit_bytes)? {
        let record = record?;
        let own_offset = header.base_offset + i64::from(record.offset_delta);
        if own_offset < offset {
            continue;
        }
        records.push(ConsumerRecord {
            topic: Arc::clone(&at.topic),
            partition: at.partition,
            offset: own_offset,
            leader_epoch: header.leader_epoch,
            timestamp_ms: header.timestamp_ms(&record),
            timestamp_type: header.attributes.timestamp_type(),
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
    }
    Ok(())
}

/// Which producers' transactions are being read that were aborted in the end (KIP-98).
struct Aborted {
    /// By first offset, those not yet begun.
    coming: VecDeque<AbortedTransaction>,
    producers: HashSet<i64>,
}

impl Aborted {
    fn new(mut transactions: Vec<AbortedTransaction>) -> Aborted {
        transactions.sort_by_key(|transaction| transaction.first_offset);
        Aborted {
            coming: transactions.into(),
            producers: HashSet::new(),
        }
    }

    fn begin_up_to(&mut self, last_offset: i64) {
        while let Some(next) = self.coming.front()
            && next.first_offset <= last_offset
        {
            self.producers.insert(next.producer_id.0);
            self.coming.pop_front();
        }
    }

    fn contains(&self, producer_id: i64) -> bool {
        self.producers.contains(&producer_id)
    }

    fn end(&mut self, producer_id: i64) {
        self.producers.remove(&producer_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::ProducerId;
    use millrace_wire::builder::{BatchBuilder, BatchSettings};
    use millrace_wire::record::Record;

    fn batch(base_offset: i64, producer_id: i64, values: &[&str]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(BatchSettings {
            base_offset,
            is_transactional: producer_id >= 0,
            producer_id,
            producer_epoch: 0,
            base_sequence: 0,
            ..BatchSettings::default()
        });
        for value in values {
            builder.push(1, None, Some(value.as_bytes()));
        }
        builder.build().expect("a batch").to_vec()
    }

    fn marker(base_offset: i64, producer_id: i64, kind: ControlType) -> Vec<u8> {
        let mut builder = BatchBuilder::new(BatchSettings {
            base_offset,
            is_transactional: true,
            is_control: true,
            producer_id,
            producer_epoch: 0,
            ..BatchSettings::default()
        });
        let record = Record {
            key: Some(kind.encode_key()),
            value: Some(Bytes::from_static(&[0, 0, 0, 0, 0, 0])),
            ..Record::default()
        };
        builder.push_record(1, record);
        builder.build().expect("a marker").to_vec()
    }

    fn check(
        isolation: Isolation,
        offset: i64,
        log: &[Vec<u8>],
        aborted: &[(i64, i64)],
        expected: &[(i64, &str)],
        next_offset: i64,
    ) {
        let mut data = PartitionData::default();
        data.records = Some(Bytes::from(log.concat()));
        let aborted = aborted.iter().map(|&(producer_id, first_offset)| {
            let mut transaction = AbortedTransaction::default();
            transaction.producer_id = ProducerId(producer_id);
            transaction.first_offset = first_offset;
            transaction
        });
        data.aborted_transactions = Some(aborted.collect());
        let config = ConsumerConfig {
            isolation,
            ..ConsumerConfig::default()
        };
        let read = read(&TopicPartition::new("t", 0), offset, data, &config);
        let shown: Vec<(i64, String)> = read
            .records
            .iter()
            .map(|record| {
                let value = record.value.clone().unwrap_or_default();
                (record.offset, String::from_utf8_lossy(&value).into_owned())
            })
            .collect();
        let shown: Vec<(i64, &str)> = shown
            .iter()
            .map(|(at, value)| (*at, value.as_str()))
            .collect();
        assert_eq!(shown, expected);
        assert_eq!(read.next_offset, next_offset);
        assert!(read.fault.is_none());
    }

    #[test]
    fn what_lies_before_the_position_is_not_shown() {
        let log = [batch(0, -1, &["a", "b"]), batch(2, -1, &["c"])];
        check(
            Isolation::ReadUncommitted,
            1,
            &log,
            &[],
            &[(1, "b"), (2, "c")],
            3,
        );
    }

    #[test]
    fn markers_are_never_shown_and_aborted_records_only_to_those_who_read_uncommitted() {
        let log = [
            batch(0, 7, &["aborted"]),
            batch(1, 8, &["kept"]),
            marker(2, 7, ControlType::Abort),
            batch(3, 7, &["later"]),
            marker(4, 7, ControlType::Commit),
            marker(5, 8, ControlType::Commit),
        ];
        let all = [(0, "aborted"), (1, "kept"), (3, "later")];
        check(Isolation::ReadUncommitted, 0, &log, &[(7, 0)], &all, 6);
        check(Isolation::ReadCommitted, 0, &log, &[(7, 0)], &all[1..], 6);
    }

    #[test]
    fn a_cut_last_batch_is_left_for_the_next_fetch() {
        let mut second = batch(1, -1, &["b"]);
        second.truncate(second.len() - 1);
        let log = [batch(0, -1, &["a"]), second];
        check(Isolation::ReadUncommitted, 0, &log, &[], &[(0, "a")], 1);
    }

    #[test]
    fn a_damaged_batch_stops_the_reading_and_says_where() {
        let mut data = PartitionData::default();
        let mut log = [batch(0, -1, &["a"]), batch(1, -1, &["b"])].concat();
        let last = log.len() - 1;
        log[last] ^= 1;
        data.records = Some(Bytes::from(log));
        let read = read(
            &TopicPartition::new("t", 0),
            0,
            data,
            &ConsumerConfig::default(),
        );
        assert_eq!(read.records.len(), 1);
        assert_eq!(read.next_offset, 1);
        let fault = read.fault.expect("a fault").to_string();
        assert!(
            fault.starts_with("t-0 cannot be read at offset 1: "),
            "{fault}"
        );
    }
}
