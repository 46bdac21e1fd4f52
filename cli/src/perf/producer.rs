//! `kafka-producer-perf-test`: how fast records go in, and how long each takes.

use super::spread;
use super::stats::Stats;
use crate::args::{Args, Spec, flag, value};
use crate::failure::{Failure, describe};
use crate::{Output, connect};
use bytes::Bytes;
use millrace_client::producer::{Delivery, Producer, ProducerConfig, ProducerRecord};
use millrace_client::properties::Properties;
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Records whose fate was not looked at yet; sending waits beyond it.
const MAX_UNSEEN: usize = 1_000_000;

/// Payloads are read whole.
const MAX_PAYLOAD_FILE_BYTES: u64 = 1 << 30;

const SPEC: Spec = Spec {
    about: "This tool is used to verify the producer performance.",
    options: &[
        value(
            "bootstrap-server",
            "BOOTSTRAP-SERVER",
            "The server(s) to connect to. This config takes precedence over bootstrap.servers specified via --command-property or --command-config.",
        ),
        value("topic", "TOPIC", "Produce records to this topic."),
        value(
            "num-records",
            "NUM-RECORDS",
            "Number of records to produce.",
        ),
        value(
            "record-size",
            "RECORD-SIZE",
            "Record size in bytes. Note that you must provide exactly one of --record-size, --payload-file or --payload-monotonic.",
        ),
        value(
            "payload-file",
            "PAYLOAD-FILE",
            "File to read the record payloads from. Payloads will be read from this file and a payload will be randomly selected when sending records.",
        ),
        flag(
            "payload-monotonic",
            "Payload is a monotonically increasing integer.",
        ),
        value(
            "payload-delimiter",
            "PAYLOAD-DELIMITER",
            "Provides the delimiter to be used when --payload-file is provided. Defaults to new line.",
        ),
        value(
            "throughput",
            "THROUGHPUT",
            "Throttle maximum record throughput to *approximately* THROUGHPUT records/sec. Set this to -1 to disable throttling.",
        ),
        value(
            "producer-props",
            "PROP-NAME=PROP-VALUE",
            "(DEPRECATED) The old name of --command-property.",
        ),
        value(
            "command-property",
            "PROP-NAME=PROP-VALUE",
            "Kafka producer related configuration properties like client.id, one or more.",
        ),
        value(
            "producer.config",
            "CONFIG-FILE",
            "(DEPRECATED) The old name of --command-config.",
        ),
        value(
            "command-config",
            "CONFIG-FILE",
            "Producer config properties file.",
        ),
        flag("print-metrics", "Print out metrics at the end of the test."),
        value(
            "transactional-id",
            "TRANSACTIONAL-ID",
            "Transactions are not served yet.",
        ),
        value(
            "transaction-duration-ms",
            "TRANSACTION-DURATION",
            "Transactions are not served yet.",
        ),
        value(
            "warmup-records",
            "WARMUP-RECORDS",
            "The number of records to treat as warmup. These initial records will not be included in steady-state statistics. An additional summary line will be printed describing the steady-state statistics. (default: 0)",
        ),
        value(
            "reporting-interval",
            "INTERVAL-MS",
            "Interval in milliseconds at which to print progress info. (default: 5000)",
        ),
    ],
};

fn error(message: impl std::fmt::Display) -> Failure {
    Failure::plain(format!(
        "{}\nkafka-producer-perf-test: error: {message}",
        SPEC.help()
    ))
}

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let args = SPEC.parse(&spread(args, &["producer-props", "command-property"]))?;
    let plan = Plan::of(&args)?;
    for (old, today) in [
        ("producer-props", "command-property"),
        ("producer.config", "command-config"),
    ] {
        connect::deprecated(&args, old, today);
    }
    let mut properties = Properties::default();
    properties.set("client.id", "perf-producer-client");
    properties.extend(connect::file(&args, "producer.config")?);
    properties.extend(connect::file(&args, "command-config")?);
    properties.extend(connect::pairs(&args, "producer-props")?);
    properties.extend(connect::pairs(&args, "command-property")?);
    if args.has("transactional-id") || args.has("transaction-duration-ms") {
        return Err(error("transactions are not served yet"));
    }
    let client = connect::client(
        args.value("bootstrap-server")?,
        &properties,
        "perf-producer-client",
    )?;
    let mut config = ProducerConfig::default();
    config.apply(&properties)?;
    let producer = Producer::new(client, config)?;
    let ending = send_all(&plan, producer, out).await?;
    if args.has("print-metrics") {
        writeln!(out, "\n{:<60} Value", "Metric Name")?;
        for (name, number) in [
            ("record-send-total", ending.sent),
            ("record-error-total", ending.failed),
            ("byte-total", ending.bytes),
        ] {
            let name = format!("producer-metrics:{name}:{{client-id=perf-producer-client}}");
            writeln!(out, "{name:<60} : {:.3}", number as f64)?;
        }
    }
    match ending.is_interrupted {
        true => Err(Failure::silent(130)),
        false => Ok(()),
    }
}

struct Plan {
    topic: Arc<str>,
    records: u64,
    per_second: Option<f64>,
    payload: Payload,
    warmup: u64,
    interval_ms: u64,
}

enum Payload {
    Random { bytes: usize, rng: SmallRng },
    Listed { payloads: Vec<Bytes>, rng: SmallRng },
    Monotonic,
}

impl Payload {
    fn next(&mut self, index: u64) -> Bytes {
        match self {
            Payload::Random { bytes, rng } => {
                // Letters, as in Kafka's tool: what a compression makes of them can be compared.
                let mut payload = vec![0; *bytes];
                rng.fill_bytes(&mut payload);
                for byte in &mut payload {
                    *byte = b'A' + (u16::from(*byte) * 26 / 256) as u8;
                }
                Bytes::from(payload)
            }
            Payload::Listed { payloads, rng } => {
                payloads[rng.random_range(0..payloads.len())].clone()
            }
            Payload::Monotonic => Bytes::from(index.to_string()),
        }
    }
}

impl Plan {
    fn of(args: &Args) -> Result<Plan, Failure> {
        let required = |name: &str| -> Result<&str, Failure> {
            args.value(name)?
                .ok_or_else(|| error(format!("argument --{name} is required")))
        };
        let topic = required("topic")?;
        let records: u64 = number(required("num-records")?, "num-records")?;
        let throughput: f64 = number(required("throughput")?, "throughput")?;
        let given = ["record-size", "payload-file", "payload-monotonic"]
            .iter()
            .filter(|name| args.has(name))
            .count();
        if given != 1 {
            return Err(error(
                "one of the arguments --record-size --payload-file --payload-monotonic is required",
            ));
        }
        let rng = SmallRng::seed_from_u64(0);
        let payload = match (args.value("record-size")?, args.value("payload-file")?) {
            (Some(bytes), _) => match number::<usize>(bytes, "record-size")? {
                0 => return Err(error("--record-size should be greater than zero.")),
                bytes => Payload::Random { bytes, rng },
            },
            (None, Some(path)) => Payload::Listed {
                payloads: payloads(path, args.value("payload-delimiter")?.unwrap_or("\\n"))?,
                rng,
            },
            (None, None) => Payload::Monotonic,
        };
        let warmup: u64 = args.number("warmup-records")?.unwrap_or(0);
        if warmup > 0 && warmup >= records {
            return Err(error(
                "The value for --warmup-records must be strictly fewer than the number of records in the test, --num-records.",
            ));
        }
        Ok(Plan {
            topic: Arc::from(topic),
            records,
            per_second: Some(throughput).filter(|throughput| *throughput > 0.0),
            payload,
            warmup,
            interval_ms: args.number("reporting-interval")?.unwrap_or(5000),
        })
    }
}

fn number<T: std::str::FromStr>(text: &str, name: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| {
        error(format!(
            "argument --{name}: could not convert '{text}' to a number"
        ))
    })
}

fn payloads(path: &str, delimiter: &str) -> Result<Vec<Bytes>, Failure> {
    let unreadable =
        |reason: std::io::Error| Failure::plain(format!("cannot read {path}: {reason}"));
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MAX_PAYLOAD_FILE_BYTES {
        return Err(Failure::plain(format!(
            "{path} has {bytes} bytes; {MAX_PAYLOAD_FILE_BYTES} are allowed"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let delimiter = delimiter.replace("\\n", "\n").replace("\\t", "\t");
    let parts = text.split(&*delimiter).filter(|part| !part.is_empty());
    let payloads: Vec<Bytes> = parts
        .map(|part| Bytes::copy_from_slice(part.as_bytes()))
        .collect();
    match payloads.is_empty() {
        true => Err(Failure::plain(format!(
            "File does not exist or empty file provided: {path}"
        ))),
        false => Ok(payloads),
    }
}

struct Ending {
    sent: u64,
    failed: u64,
    bytes: u64,
    is_interrupted: bool,
}

/// Sent, of so many bytes, at that time.
type Unseen = (Delivery, u64, Instant);

async fn send_all(plan: &Plan, producer: Producer, out: &mut Output) -> Result<Ending, Failure> {
    let (unseen, deliveries) = mpsc::channel::<Unseen>(MAX_UNSEEN);
    let start = Instant::now();
    let sending = tokio::spawn(send(
        plan.topic.clone(),
        plan.records,
        plan.per_second,
        match &plan.payload {
            Payload::Random { bytes, rng } => Payload::Random {
                bytes: *bytes,
                rng: rng.clone(),
            },
            Payload::Listed { payloads, rng } => Payload::Listed {
                payloads: payloads.clone(),
                rng: rng.clone(),
            },
            Payload::Monotonic => Payload::Monotonic,
        },
        producer,
        unseen,
    ));
    let ending = watch(plan, start, deliveries, out).await?;
    if ending.is_interrupted {
        sending.abort();
    } else if let Ok(Err(error)) = sending.await {
        return Err(Failure::plain(describe(&error)));
    }
    Ok(ending)
}

async fn send(
    topic: Arc<str>,
    records: u64,
    per_second: Option<f64>,
    mut payload: Payload,
    producer: Producer,
    unseen: mpsc::Sender<Unseen>,
) -> Result<(), millrace_client::Error> {
    let start = Instant::now();
    for index in 0..records {
        let value = payload.next(index);
        let bytes = value.len() as u64;
        let sent_at = Instant::now();
        let delivery = producer
            .send(ProducerRecord::new(Arc::clone(&topic), value))
            .await?;
        if unseen.send((delivery, bytes, sent_at)).await.is_err() {
            break;
        }
        if let Some(per_second) = per_second {
            let due = start + Duration::from_secs_f64((index + 1) as f64 / per_second);
            // Timers are no finer: what is late by less is made up for by the next.
            if due > Instant::now() + Duration::from_millis(1) {
                tokio::time::sleep_until(due.into()).await;
            }
        }
    }
    drop(unseen);
    producer.close().await;
    Ok(())
}

async fn watch(
    plan: &Plan,
    start: Instant,
    mut deliveries: mpsc::Receiver<Unseen>,
    out: &mut Output,
) -> Result<Ending, Failure> {
    let since =
        |at: Instant| u64::try_from(at.duration_since(start).as_millis()).unwrap_or(u64::MAX);
    let mut stats = Stats::new(plan.records, plan.interval_ms, 0, false);
    let mut steady: Option<(Stats, u64)> = None;
    let mut ending = Ending {
        sent: 0,
        failed: 0,
        bytes: 0,
        is_interrupted: false,
    };
    let mut last_ms = 0;
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let settled = async {
            let (delivery, bytes, sent_at) = deliveries.recv().await?;
            let (at, result) = delivery.wait_timed().await;
            Some((at, result, bytes, sent_at))
        };
        let settled = tokio::select! {
            biased;
            settled = settled => settled,
            _ = &mut interrupted => {
                ending.is_interrupted = true;
                None
            }
        };
        let Some((at, result, bytes, sent_at)) = settled else {
            break;
        };
        if let Err(error) = result {
            ending.failed += 1;
            eprintln!("{}", describe(&error));
            continue;
        }
        let latency_ms =
            u64::try_from(at.saturating_duration_since(sent_at).as_millis()).unwrap_or(u64::MAX);
        let now_ms = since(at.max(start));
        last_ms = last_ms.max(now_ms);
        ending.sent += 1;
        ending.bytes += bytes;
        let line = stats.record(bytes, latency_ms, now_ms);
        if plan.warmup > 0 && ending.sent > plan.warmup {
            let left = plan.records - plan.warmup;
            let (steady, _) =
                steady.get_or_insert_with(|| (Stats::new(left, u64::MAX, now_ms, true), now_ms));
            steady.record(bytes, latency_ms, now_ms);
        }
        if let Some(line) = line {
            writeln!(out, "{line}")?;
            out.flush()?;
        }
    }
    writeln!(out, "{}", stats.total(0, last_ms))?;
    if let Some((mut steady, start_ms)) = steady {
        writeln!(out, "{}", steady.total(start_ms, last_ms))?;
    }
    out.flush()?;
    Ok(ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let plan = SPEC
            .parse(&args)
            .and_then(|args| Plan::of(&args).map(|_| ()));
        plan.expect_err("refused")
            .stderr
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned()
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            refused("--num-records 1"),
            "kafka-producer-perf-test: error: argument --topic is required"
        );
        assert_eq!(
            refused("--topic t --num-records 1 --throughput -1"),
            "kafka-producer-perf-test: error: one of the arguments --record-size --payload-file --payload-monotonic is required"
        );
        assert_eq!(
            refused("--topic t --num-records x --throughput -1 --record-size 1"),
            "kafka-producer-perf-test: error: argument --num-records: could not convert 'x' to a number"
        );
    }

    #[test]
    fn random_payloads_are_letters_and_differ() {
        let mut payload = Payload::Random {
            bytes: 1000,
            rng: SmallRng::seed_from_u64(0),
        };
        let first = payload.next(0);
        assert!(first.iter().all(u8::is_ascii_uppercase));
        assert!(first.contains(&b'A') && first.contains(&b'Z'));
        assert_ne!(first, payload.next(1));
        assert_eq!(Payload::Monotonic.next(12), "12");
    }
}
