//! The lines, as Kafka's `DumpLogSegments` prints them.

use super::{Names, Options, metadata};
use bytes::Bytes;
use millrace_broker::metadata::GROUP;
use millrace_broker::raft::ports::GroupId;
use millrace_broker::storage::entry::{EntryHeader, EntryKind};
use millrace_broker::storage::log::Record as LogRecord;
use millrace_wire::batch::{Batch, BatchHeader, TimestampType, split};
use millrace_wire::control::{ControlType, EndMarker};
use millrace_wire::record::Record;
use raft::eraftpb::{Entry, EntryType};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::str::FromStr;

/// What a batch may grow to when it is decompressed; more is called damage.
const BATCH_BYTES: usize = 256 << 20;

/// How a key or a value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoder {
    Text,
    Integer,
    Long,
    Double,
    Hex,
}

impl FromStr for Decoder {
    type Err = String;

    /// The last part of the class's name decides: Kafka moved them between packages.
    fn from_str(class: &str) -> Result<Decoder, String> {
        match class.rsplit('.').next().unwrap_or_default() {
            "StringDecoder" => Ok(Decoder::Text),
            "IntegerDecoder" => Ok(Decoder::Integer),
            "LongDecoder" => Ok(Decoder::Long),
            "DoubleDecoder" => Ok(Decoder::Double),
            "DefaultDecoder" => Ok(Decoder::Hex),
            _ => Err("classes cannot be loaded here; known are StringDecoder, IntegerDecoder, LongDecoder, DoubleDecoder and DefaultDecoder".to_owned()),
        }
    }
}

impl Decoder {
    fn show(self, bytes: &[u8]) -> String {
        let hex = || {
            bytes.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
        };
        let number = match self {
            Decoder::Text => return String::from_utf8_lossy(bytes).into_owned(),
            Decoder::Hex => None,
            Decoder::Integer => bytes
                .try_into()
                .ok()
                .map(|b| i32::from_be_bytes(b).to_string()),
            Decoder::Long => bytes
                .try_into()
                .ok()
                .map(|b| i64::from_be_bytes(b).to_string()),
            Decoder::Double => bytes
                .try_into()
                .ok()
                .map(|b| f64::from_be_bytes(b).to_string()),
        };
        // What is no such number is not guessed at.
        number.unwrap_or_else(hex)
    }
}

pub struct Printer<'a, W> {
    pub out: W,
    pub options: &'a Options,
    faults: usize,
    /// Of `--max-bytes`.
    remaining: u64,
    /// What is being dumped.
    source: String,
    partition: String,
    /// Whether the section's head was printed, and where its log starts.
    begun: (bool, bool),
}

impl<'a, W: Write> Printer<'a, W> {
    pub fn new(out: W, options: &'a Options) -> Printer<'a, W> {
        Printer {
            out,
            options,
            faults: 0,
            remaining: options.max_bytes,
            source: String::new(),
            partition: String::new(),
            begun: (false, false),
        }
    }

    /// The next of `--files`.
    pub fn begin(&mut self) {
        self.remaining = self.options.max_bytes;
    }

    /// How many faults were told of.
    pub fn faults(&self) -> usize {
        self.faults
    }

    /// Says what is wrong. It stands between the lines around it when both go to one terminal.
    pub fn fault(&mut self, what: &str) {
        self.faults += 1;
        let _ = self.out.flush();
        eprintln!("{what}");
    }

    pub fn wants(&self, names: &Names, group: GroupId) -> bool {
        let named = &self.options.topic_partition;
        if self.options.cluster_metadata_decoder && named.is_empty() {
            return group == GROUP;
        }
        named.is_empty()
            || named
                .iter()
                .any(|name| Some(name) == names.of(group).as_ref())
    }

    pub fn has_seen_enough(&self) -> bool {
        self.remaining == 0
    }

    /// What follows is of `group`, out of `source`.
    pub fn section(&mut self, source: String, names: &Names, group: GroupId) {
        self.source = source;
        let unknown = || format!("unknown, group {group}");
        self.partition = names.of(group).unwrap_or_else(unknown);
        self.begun = (false, false);
    }

    fn head(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.begun.0, true) {
            return Ok(());
        }
        writeln!(self.out, "Dumping {}", self.source)?;
        writeln!(self.out, "Topic partition: {}", self.partition)
    }

    fn start(&mut self, first: &str) -> io::Result<()> {
        self.head()?;
        match std::mem::replace(&mut self.begun.1, true) {
            true => Ok(()),
            false => writeln!(self.out, "Log starting {first}"),
        }
    }

    /// A record of the shared log, `len` bytes at `position` in its file.
    pub fn log_record(&mut self, record: &LogRecord, position: u64, len: u64) -> io::Result<()> {
        let entry = match record {
            LogRecord::Entry { group, entry } => match *group {
                GROUP => return self.metadata_entry(entry, position),
                _ => entry,
            },
            LogRecord::HardState { state, .. } => {
                let (term, vote, commit) = (state.term, state.vote, state.commit);
                return self.raft(format!(
                    "term: {term} vote: {vote} commit: {commit} position: {position} size: {len}"
                ));
            }
        };
        let header = EntryHeader::decode(&entry.context);
        let kind = match &header {
            _ if entry.entry_type != EntryType::EntryNormal => "membership".to_owned(),
            Ok(None) => "empty".to_owned(),
            Ok(Some(header)) => match header.kind {
                EntryKind::Batches => "batches".to_owned(),
                EntryKind::LogStart => format!("logStart {}", header.base_offset),
            },
            Err(error) => {
                self.damage(position, &format!("entry {}: {error}", entry.index));
                return Ok(());
            }
        };
        let (index, term) = (entry.index, entry.term);
        self.raft(format!(
            "index: {index} term: {term} position: {position} size: {len} kind: {kind}"
        ))?;
        match header {
            Ok(Some(header)) if header.kind == EntryKind::Batches => {
                let start = position + len - entry.data.len() as u64;
                self.batches(&entry.data, start)
            }
            _ => Ok(()),
        }
    }

    fn raft(&mut self, line: String) -> io::Result<()> {
        if !self.options.print_raft || self.options.is_check() {
            return Ok(());
        }
        self.head()?;
        writeln!(self.out, "raft {line}")
    }

    fn metadata_entry(&mut self, entry: &Entry, position: u64) -> io::Result<()> {
        if entry.data.is_empty() && !self.options.print_raft {
            return Ok(());
        }
        let (index, term, size) = (entry.index, entry.term, entry.data.len());
        let change = metadata::change(entry);
        if change.is_none() && !entry.data.is_empty() && entry.entry_type == EntryType::EntryNormal
        {
            self.damage(position, &format!("entry {index} cannot be decoded"));
        }
        if self.options.is_check() {
            return Ok(());
        }
        self.start(&format!("index: {index}"))?;
        write!(
            self.out,
            "index: {index} term: {term} position: {position} size: {size}"
        )?;
        if let Some(change) = change.filter(|_| self.options.cluster_metadata_decoder) {
            write!(self.out, " payload: {}", metadata::to_json(&change))?;
        }
        writeln!(self.out)
    }

    /// The batches in `data`, which begin at `position` in their file.
    pub fn batches(&mut self, data: &Bytes, position: u64) -> io::Result<()> {
        let mut at = position;
        for batch in split(data.clone()) {
            if self.remaining == 0 {
                return Ok(());
            }
            match batch {
                Ok(batch) => {
                    self.batch(&batch, at)?;
                    let size = batch.header().size_bytes as u64;
                    self.remaining = self.remaining.saturating_sub(size);
                    at += size;
                }
                Err(error) => {
                    self.damage(position + error.position as u64, &error.error.to_string());
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn batch(&mut self, batch: &Batch, position: u64) -> io::Result<()> {
        let header = batch.header();
        let valid = batch.verify_crc();
        if !self.options.is_check() {
            self.start(&format!("offset: {}", header.base_offset))?;
            self.batch_line(header, position, valid.is_ok())?;
        }
        if let Err(error) = valid {
            self.damage(position, &error.to_string());
            return Ok(());
        }
        let prints = self.options.print_data_log && !self.options.is_check();
        if !prints && !self.options.deep_iteration && !self.options.is_check() {
            return Ok(());
        }
        let records = match batch.records(BATCH_BYTES) {
            Ok(records) => records,
            Err(error) => {
                self.damage(position, &error.to_string());
                return Ok(());
            }
        };
        for record in records {
            match record {
                Ok(record) if self.options.is_check() => drop(record),
                Ok(record) => self.record(header, &record)?,
                Err(error) => self.damage(position, &error.to_string()),
            }
        }
        Ok(())
    }

    fn batch_line(&mut self, header: &BatchHeader, position: u64, valid: bool) -> io::Result<()> {
        let horizon = match header.delete_horizon_ms() {
            Some(ms) => format!("OptionalLong[{ms}]"),
            None => "OptionalLong.empty".to_owned(),
        };
        let codec = header.attributes.compression();
        writeln!(
            self.out,
            "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {horizon} position: {position} {}: {} size: {} magic: 2 compresscodec: {} crc: {} isvalid: {valid}",
            header.base_offset,
            header.last_offset(),
            header.record_count,
            header.base_sequence,
            header.last_sequence().unwrap_or(-1),
            header.producer_id,
            header.producer_epoch,
            header.leader_epoch,
            header.attributes.is_transactional(),
            header.attributes.is_control(),
            timestamp_type(header),
            header.max_timestamp_ms,
            header.size_bytes,
            codec.map_or("unknown", |codec| codec.name()),
            header.crc,
        )
    }

    fn record(&mut self, header: &BatchHeader, record: &Record) -> io::Result<()> {
        let mut line = String::from("|");
        let is_control = header.attributes.is_control();
        if !self.options.skip_record_metadata {
            let size = |bytes: &Option<Bytes>| bytes.as_ref().map_or(-1, |b| b.len() as i64);
            let keys: Vec<String> = record
                .headers
                .iter()
                .map(|(key, _)| String::from_utf8_lossy(&key).into_owned())
                .collect();
            let sequence = match header.base_sequence {
                ..0 => -1,
                // It wraps to 0.
                base => base.wrapping_add(record.offset_delta) & i32::MAX,
            };
            let _ = write!(
                line,
                " offset: {} {}: {} keySize: {} valueSize: {} sequence: {sequence} headerKeys: [{}]",
                header.base_offset + i64::from(record.offset_delta),
                timestamp_type(header),
                header.timestamp_ms(record),
                size(&record.key),
                size(&record.value),
                keys.join(","),
            );
            if is_control {
                line += &control(record);
            }
        }
        if self.options.print_data_log && !is_control {
            if let Some(key) = &record.key {
                let _ = write!(line, " key: {}", self.options.key_decoder_class.show(key));
            }
            if let Some(value) = &record.value {
                let shown = self.options.value_decoder_class.show(value);
                let _ = write!(line, " payload: {shown}");
            }
        }
        writeln!(self.out, "{line}")
    }

    pub fn damage(&mut self, position: u64, reason: &str) {
        let what = format!(
            "{} is damaged at position {position}: {reason}",
            self.source
        );
        self.fault(&what);
    }
}

fn timestamp_type(header: &BatchHeader) -> &'static str {
    match header.attributes.timestamp_type() {
        TimestampType::Create => "CreateTime",
        TimestampType::LogAppend => "LogAppendTime",
    }
}

fn control(record: &Record) -> String {
    let kind = ControlType::decode_key(record.key.as_deref().unwrap_or_default());
    let name = match kind {
        Ok(ControlType::Abort) => "ABORT",
        Ok(ControlType::Commit) => "COMMIT",
        Ok(ControlType::Other(id)) => return format!(" controlType: UNKNOWN({id})"),
        Err(error) => return format!(" controlType: {error}"),
    };
    match EndMarker::decode(record.value.as_deref().unwrap_or_default()) {
        Ok(marker) => {
            let epoch = marker.coordinator_epoch;
            format!(" endTxnMarker: {name} coordinatorEpoch: {epoch}")
        }
        Err(error) => format!(" endTxnMarker: {name} {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_such_number_are_shown_as_they_are() {
        let check = |class: &str, bytes: &[u8], shown: &str| {
            let decoder: Decoder = class.parse().expect("known");
            assert_eq!(decoder.show(bytes), shown);
        };
        check("kafka.serializer.StringDecoder", "é".as_bytes(), "é");
        check(
            "org.apache.kafka.tools.api.IntegerDecoder",
            &[0, 0, 1, 0],
            "256",
        );
        check("LongDecoder", &[0xff; 8], "-1");
        check("LongDecoder", &[0xff; 4], "ffffffff");
        check("DefaultDecoder", &[1, 0xab], "01ab");
        assert!("com.example.Own".parse::<Decoder>().is_err());
    }
}
