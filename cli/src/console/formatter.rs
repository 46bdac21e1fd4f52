//! From records to lines, as Kafka's `DefaultMessageFormatter` writes them.

use crate::failure::Failure;
use bytes::Bytes;
use millrace_client::consumer::ConsumerRecord;
use millrace_client::properties::Properties;
use millrace_client::wire::batch::{NO_TIMESTAMP, TimestampType};
use std::io::{self, Write};

/// What a field's bytes stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deserializer {
    /// As they are.
    Bytes,
    Short,
    Integer,
    Long,
    Float,
    Double,
    Boolean,
    Uuid,
    Void,
}

impl Deserializer {
    fn parse(class: &str) -> Result<Deserializer, Failure> {
        let name = class
            .strip_prefix("org.apache.kafka.common.serialization.")
            .unwrap_or(class);
        Ok(match name {
            "StringDeserializer"
            | "ByteArrayDeserializer"
            | "BytesDeserializer"
            | "ByteBufferDeserializer" => Deserializer::Bytes,
            "ShortDeserializer" => Deserializer::Short,
            "IntegerDeserializer" => Deserializer::Integer,
            "LongDeserializer" => Deserializer::Long,
            "FloatDeserializer" => Deserializer::Float,
            "DoubleDeserializer" => Deserializer::Double,
            "BooleanDeserializer" => Deserializer::Boolean,
            "UUIDDeserializer" => Deserializer::Uuid,
            "VoidDeserializer" => Deserializer::Void,
            _ => {
                return Err(Failure::plain(format!(
                    "{class} is none of Kafka's own deserializers, and classes cannot be loaded"
                )));
            }
        })
    }

    fn write(self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        fn sized<const N: usize>(bytes: &[u8]) -> Result<[u8; N], String> {
            bytes
                .try_into()
                .map_err(|_| format!("Size of data received by the deserializer is not {N}"))
        }
        let text = match self {
            Deserializer::Bytes => {
                out.extend_from_slice(bytes);
                return Ok(());
            }
            Deserializer::Short => i16::from_be_bytes(sized(bytes)?).to_string(),
            Deserializer::Integer => i32::from_be_bytes(sized(bytes)?).to_string(),
            Deserializer::Long => i64::from_be_bytes(sized(bytes)?).to_string(),
            Deserializer::Float => format!("{:?}", f32::from_be_bytes(sized(bytes)?)),
            Deserializer::Double => format!("{:?}", f64::from_be_bytes(sized(bytes)?)),
            Deserializer::Boolean => match sized::<1>(bytes)? {
                [0] => "false".to_owned(),
                [1] => "true".to_owned(),
                [other] => {
                    return Err(format!(
                        "Unexpected byte received by BooleanDeserializer: {other}"
                    ));
                }
            },
            Deserializer::Uuid => String::from_utf8_lossy(bytes).into_owned(),
            Deserializer::Void => {
                return Err("Data should be null for a VoidDeserializer.".to_owned());
            }
        };
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub struct Formatter {
    print_timestamp: bool,
    print_key: bool,
    print_value: bool,
    print_partition: bool,
    print_offset: bool,
    print_epoch: bool,
    print_headers: bool,
    key_separator: String,
    line_separator: String,
    headers_separator: String,
    null_literal: String,
    key: Deserializer,
    value: Deserializer,
    header: Deserializer,
    /// Kafka's `NoOpMessageFormatter`.
    is_silent: bool,
    line: Vec<u8>,
}

impl Formatter {
    pub fn new(class: Option<&str>, properties: &Properties) -> Result<Formatter, Failure> {
        let is_silent = match class.map(|class| class.rsplit('.').next().unwrap_or(class)) {
            None | Some("DefaultMessageFormatter") => false,
            Some("NoOpMessageFormatter") => true,
            Some(_) => {
                return Err(Failure::plain(format!(
                    "{} cannot be the formatter: DefaultMessageFormatter and NoOpMessageFormatter are there",
                    class.unwrap_or_default()
                )));
            }
        };
        let flag = |name: &str, default: bool| match properties.get(name) {
            Some(value) => value.trim().eq_ignore_ascii_case("true"),
            None => default,
        };
        let text = |name: &str, default: &str| properties.get(name).unwrap_or(default).to_owned();
        let deserializer = |name: &str| match properties.get(name) {
            Some(class) => Deserializer::parse(class),
            None => Ok(Deserializer::Bytes),
        };
        Ok(Formatter {
            print_timestamp: flag("print.timestamp", false),
            print_key: flag("print.key", false),
            print_value: flag("print.value", true),
            print_partition: flag("print.partition", false),
            print_offset: flag("print.offset", false),
            print_epoch: flag("print.epoch", false),
            print_headers: flag("print.headers", false),
            key_separator: text("key.separator", "\t"),
            line_separator: text("line.separator", "\n"),
            headers_separator: text("headers.separator", ","),
            null_literal: text("null.literal", "null"),
            key: deserializer("key.deserializer")?,
            value: deserializer("value.deserializer")?,
            header: deserializer("headers.deserializer")?,
            is_silent,
            line: Vec::new(),
        })
    }

    /// `Ok(Err(..))` for a record that its deserializer refuses.
    pub fn write(
        &mut self,
        record: &ConsumerRecord,
        out: &mut dyn Write,
    ) -> io::Result<Result<(), String>> {
        if self.is_silent {
            return Ok(Ok(()));
        }
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        let formatted = self.format(record, &mut line);
        let written = match &formatted {
            Ok(()) => out.write_all(&line),
            Err(_) => Ok(()),
        };
        self.line = line;
        written.map(|()| formatted)
    }

    fn format(&self, record: &ConsumerRecord, line: &mut Vec<u8>) -> Result<(), String> {
        let mut is_first = true;
        let mut separate = |line: &mut Vec<u8>| {
            if !std::mem::take(&mut is_first) {
                line.extend_from_slice(self.key_separator.as_bytes());
            }
        };
        if self.print_timestamp {
            separate(line);
            let text = match (record.timestamp_type, record.timestamp_ms) {
                (_, NO_TIMESTAMP) => "NO_TIMESTAMP".to_owned(),
                (TimestampType::Create, ms) => format!("CreateTime:{ms}"),
                (TimestampType::LogAppend, ms) => format!("LogAppendTime:{ms}"),
            };
            line.extend_from_slice(text.as_bytes());
        }
        if self.print_partition {
            separate(line);
            line.extend_from_slice(format!("Partition:{}", record.partition).as_bytes());
        }
        if self.print_offset {
            separate(line);
            line.extend_from_slice(format!("Offset:{}", record.offset).as_bytes());
        }
        if self.print_epoch {
            separate(line);
            line.extend_from_slice(format!("Epoch:{}", record.leader_epoch).as_bytes());
        }
        if self.print_headers {
            separate(line);
            if record.headers.is_empty() {
                line.extend_from_slice(b"NO_HEADERS");
            }
            for (at, (key, value)) in record.headers.iter().enumerate() {
                if at > 0 {
                    line.extend_from_slice(self.headers_separator.as_bytes());
                }
                line.extend_from_slice(&key);
                line.push(b':');
                self.field(self.header, value.as_ref(), line)?;
            }
        }
        if self.print_key {
            separate(line);
            self.field(self.key, record.key.as_ref(), line)?;
        }
        if self.print_value {
            separate(line);
            self.field(self.value, record.value.as_ref(), line)?;
        }
        line.extend_from_slice(self.line_separator.as_bytes());
        Ok(())
    }

    fn field(
        &self,
        deserializer: Deserializer,
        bytes: Option<&Bytes>,
        line: &mut Vec<u8>,
    ) -> Result<(), String> {
        match bytes {
            Some(bytes) => deserializer.write(bytes, line),
            None => {
                line.extend_from_slice(self.null_literal.as_bytes());
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn record(
        key: Option<&'static [u8]>,
        value: Option<&'static [u8]>,
        headers: &[(&'static str, Option<&'static str>)],
    ) -> ConsumerRecord {
        let bytes = |bytes: Option<&'static [u8]>| bytes.map(Bytes::from_static);
        ConsumerRecord {
            topic: Arc::from("t"),
            partition: 2,
            offset: 7,
            leader_epoch: 1,
            timestamp_ms: 1234,
            timestamp_type: TimestampType::Create,
            key: bytes(key),
            value: bytes(value),
            headers: headers
                .iter()
                .map(|&(key, value)| {
                    (
                        Bytes::from_static(key.as_bytes()),
                        value.map(|value| Bytes::from_static(value.as_bytes())),
                    )
                })
                .collect(),
        }
    }

    fn format(properties: &str, record: &ConsumerRecord) -> Result<String, String> {
        let mut formatter =
            Formatter::new(None, &Properties::parse(properties)).expect("a formatter");
        let mut out = Vec::new();
        formatter
            .write(record, &mut out)
            .expect("memory")
            .map(|()| String::from_utf8(out).expect("text"))
    }

    const ALL: &str = "print.timestamp=true\nprint.partition=true\nprint.offset=true\nprint.epoch=true\nprint.headers=true\nprint.key=true\n";

    #[test]
    fn fields_come_in_kafkas_order() {
        let full = record(Some(b"k"), Some(b"v"), &[("a", Some("1")), ("a", None)]);
        assert_eq!(
            format(ALL, &full).expect("a line"),
            "CreateTime:1234\tPartition:2\tOffset:7\tEpoch:1\ta:1,a:null\tk\tv\n"
        );
        assert_eq!(format("", &full).expect("a line"), "v\n");
        let bare = record(None, None, &[]);
        assert_eq!(
            format(
                "print.headers=true\nprint.key=true\nkey.separator=|\nnull.literal=-",
                &bare
            )
            .expect("a line"),
            "NO_HEADERS|-|-\n"
        );
    }

    #[test]
    fn deserializers_are_kafkas() {
        let long = record(None, Some(&[0, 0, 0, 0, 0, 0, 0, 5]), &[]);
        let class = "value.deserializer=org.apache.kafka.common.serialization.LongDeserializer";
        assert_eq!(format(class, &long).expect("a line"), "5\n");
        let short = record(None, Some(b"abc"), &[]);
        assert!(format(class, &short).is_err());
        assert!(
            Formatter::new(
                None,
                &Properties::parse("value.deserializer=com.example.Own")
            )
            .is_err()
        );
    }
}
