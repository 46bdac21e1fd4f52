//! `kafka-verifiable-producer`: numbers, each with what became of it.

use super::{event, files, json};
use crate::args::{Args, Spec, value};
use crate::clock::now_ms;
use crate::console::TERMINATED;
use crate::failure::{Failure, class, message};
use crate::{Output, connect};
use bytes::Bytes;
use millrace_client::producer::{Delivery, Producer, ProducerConfig, ProducerRecord};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Records whose fate is not printed yet; sending waits for the printing.
const UNPRINTED: usize = 10_000;

const SPEC: Spec = Spec {
    about: "This tool produces increasing integers to the specified topic and prints JSON metadata to stdout on each \"send\" request, making externally visible which messages have been acked and which have not.",
    options: &[
        value(
            "bootstrap-server",
            "HOST1:PORT1[,HOST2:PORT2[...]]",
            "REQUIRED: The server(s) to connect to.",
        ),
        value(
            "topic",
            "TOPIC",
            "REQUIRED: Produce messages to this topic.",
        ),
        value(
            "max-messages",
            "MAX-MESSAGES",
            "Produce this many messages. If -1, produce messages until the process is killed externally. (default: -1)",
        ),
        value(
            "throughput",
            "THROUGHPUT",
            "If set >= 0, throttle maximum message throughput to *approximately* THROUGHPUT messages/sec. (default: -1)",
        ),
        value(
            "acks",
            "ACKS",
            "Acks required on each produced message: 0, 1 or -1. (default: -1)",
        ),
        value(
            "producer.config",
            "CONFIG-FILE",
            "(DEPRECATED) Use --command-config instead.",
        ),
        value(
            "command-config",
            "CONFIG-FILE",
            "Config properties file (config options shared with command line parameters will be overridden).",
        ),
        value(
            "message-create-time",
            "CREATE-TIME",
            "Send messages with creation time starting at the arguments value, in milliseconds since epoch (default: -1)",
        ),
        value(
            "value-prefix",
            "VALUE-PREFIX",
            "If specified, each produced value will have this prefix with a dot separator",
        ),
        value(
            "repeating-keys",
            "REPEATING-KEYS",
            "If specified, each produced record will have a key starting at 0 increment by 1 up to the number specified (exclusive), then the key is set to 0 again",
        ),
    ],
};

struct Load {
    topic: String,
    max_messages: Option<u64>,
    per_second: Option<u64>,
    created_ms: Option<i64>,
    prefix: Option<i64>,
    keys: Option<u64>,
}

impl Load {
    fn of(args: &Args) -> Result<Load, Failure> {
        args.require(&["topic", "bootstrap-server"])?;
        let at_least_0 = |name| -> Result<Option<u64>, Failure> {
            let number: Option<i64> = args.number(name)?;
            Ok(number.and_then(|number| u64::try_from(number).ok()))
        };
        let keys = at_least_0("repeating-keys")?;
        if keys == Some(0) {
            return Err(Failure::plain("--repeating-keys must be at least 1"));
        }
        Ok(Load {
            topic: args.value("topic")?.unwrap_or_default().to_owned(),
            max_messages: at_least_0("max-messages")?,
            per_second: at_least_0("throughput")?,
            created_ms: args
                .number("message-create-time")?
                .filter(|&ms: &i64| ms >= 0),
            prefix: args.number("value-prefix")?,
            keys,
        })
    }

    fn value(&self, n: u64) -> String {
        match self.prefix {
            Some(prefix) => format!("{prefix}.{n}"),
            None => n.to_string(),
        }
    }

    fn key(&self, n: u64) -> Option<String> {
        self.keys.map(|keys| (n % keys).to_string())
    }

    /// When the next record is due, `n` having been sent since `start`.
    fn due(&self, start: Instant, n: u64) -> Option<Instant> {
        match self.per_second {
            // Kafka waits for ever.
            Some(0) => Some(start + Duration::from_secs(u32::MAX.into())),
            Some(rate) => Some(start + Duration::from_secs_f64(n as f64 / rate as f64)),
            None => None,
        }
    }
}

struct Sent {
    key: Option<String>,
    value: String,
    fate: Result<Delivery, millrace_client::Error>,
}

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let args = SPEC.parse(args)?;
    let load = Load::of(&args)?;
    let mut properties = files(&args, "producer.config")?;
    properties.set("acks", args.value("acks")?.unwrap_or("-1"));
    let mut config = ProducerConfig::default();
    config.apply(&properties)?;
    let client = connect::client(args.value("bootstrap-server")?, &properties, "producer-1")?;
    let producer = Producer::new(client, config)?;
    event(out, "startup_complete", &[])?;
    let start = Instant::now();
    let (sender, unprinted) = mpsc::channel(UNPRINTED);
    let (produced, printed) = tokio::join!(
        produce(&load, &producer, sender),
        print(&load.topic, unprinted, out)
    );
    let (sent, was_ended) = produced?;
    let acked = printed?;
    producer.close().await;
    event(out, "shutdown_complete", &[])?;
    let seconds = start.elapsed().as_secs_f64();
    event(
        out,
        "tool_data",
        &[
            ("sent", json(sent)),
            ("acked", json(acked)),
            ("target_throughput", load.per_second.map_or(json(-1), json)),
            ("avg_throughput", json(acked as f64 / seconds)),
        ],
    )?;
    match was_ended {
        true => Err(Failure::silent(TERMINATED)),
        false => Ok(()),
    }
}

/// How many records were sent, and whether a signal ended it.
async fn produce(
    load: &Load,
    producer: &Producer,
    unprinted: mpsc::Sender<Sent>,
) -> Result<(u64, bool), Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let start = Instant::now();
    let mut sent = 0;
    while load.max_messages.is_none_or(|max| sent < max) {
        let value = load.value(sent);
        let key = load.key(sent);
        let mut record = ProducerRecord::new(load.topic.as_str(), Bytes::from(value.clone()));
        record.key = key.clone().map(Bytes::from);
        let elapsed_ms = i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX);
        record.timestamp_ms = Some(
            load.created_ms
                .map_or_else(now_ms, |first| first + elapsed_ms),
        );
        let one = async {
            let fate = producer.send(record).await;
            // The printer stays until this end is dropped.
            let _ = unprinted.send(Sent { key, value, fate }).await;
            sent += 1;
            if let Some(due) = load.due(start, sent) {
                sleep_until(due).await;
            }
        };
        tokio::select! {
            () = one => {}
            _ = interrupt.recv() => return Ok((sent, true)),
            _ = terminate.recv() => return Ok((sent, true)),
        }
    }
    Ok((sent, false))
}

/// How many were acknowledged.
async fn print(
    topic: &str,
    mut unprinted: mpsc::Receiver<Sent>,
    out: &mut Output,
) -> Result<u64, Failure> {
    let mut acked = 0;
    while let Some(Sent { key, value, fate }) = unprinted.recv().await {
        let result = match fate {
            Ok(delivery) => delivery.wait().await,
            Err(error) => Err(error),
        };
        let key = key.map_or("null".to_owned(), json);
        match result {
            Ok(at) => {
                acked += 1;
                event(
                    out,
                    "producer_send_success",
                    &[
                        ("key", key),
                        ("value", json(value)),
                        ("offset", json(at.offset)),
                        ("topic", json(topic)),
                        ("partition", json(at.partition.partition)),
                    ],
                )?;
            }
            Err(error) => {
                let class = class(&error).unwrap_or_default();
                event(
                    out,
                    "producer_send_error",
                    &[
                        ("key", key),
                        ("value", json(value)),
                        ("exception", json(format!("class {class}"))),
                        ("message", json(message(&error))),
                        ("topic", json(topic)),
                    ],
                )?;
            }
        }
    }
    Ok(acked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_keys_repeat() {
        let line = "--topic t --bootstrap-server h:1 --repeating-keys 2 --value-prefix 7 --max-messages -1";
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let load = Load::of(&SPEC.parse(&args).expect("options")).expect("a load");
        assert_eq!(load.max_messages, None);
        let sent: Vec<_> = (0..3).map(|n| (load.key(n), load.value(n))).collect();
        let one = |key: &str, value: &str| (Some(key.to_owned()), value.to_owned());
        assert_eq!(sent, [one("0", "7.0"), one("1", "7.1"), one("0", "7.2")]);
    }
}
