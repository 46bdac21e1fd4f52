//! `kafka-console-producer`: lines from standard input become records.

use super::reader::LineReader;
use super::{INTERRUPTED, TERMINATED};
use crate::Output;
use crate::args::{Args, Opt, Spec, Takes, flag, value};
use crate::connect;
use crate::failure::{Failure, describe};
use crate::log;
use millrace_client::producer::{Delivery, Producer, ProducerConfig};
use millrace_client::properties::Properties;
use millrace_client::{Client, Error};
use std::io::IsTerminal;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

const SOURCE: &str = "org.apache.kafka.clients.producer.internals.ErrorLoggingCallback";

/// A longer line is no record of any topic.
const MAX_LINE_BYTES: usize = 256 << 20;

/// Records whose fate nobody has looked at yet; reading waits beyond it.
const MAX_UNSEEN: usize = 100_000;

const SPEC: Spec = Spec {
    about: "This tool helps to read data from standard input and publish it to Kafka.",
    options: &[
        value(
            "topic",
            "String: topic",
            "REQUIRED: The topic name to produce messages to.",
        ),
        value(
            "bootstrap-server",
            "String: server to connect to",
            "REQUIRED: The server(s) to connect to. The broker list string in the form HOST1:PORT1,HOST2:PORT2.",
        ),
        value(
            "broker-list",
            "String: broker-list",
            "Gone from Kafka: write --bootstrap-server instead.",
        ),
        flag(
            "sync",
            "If set message send requests to the brokers are synchronously, one at a time as they arrive.",
        ),
        Opt {
            name: "compression-codec",
            takes: Takes::MaybeValue("String: compression-codec"),
            about: "The compression codec: either 'none', 'gzip', 'snappy', 'lz4', or 'zstd'. If specified without value, then it defaults to 'gzip'",
        },
        value(
            "batch-size",
            "Integer: size",
            "The number of bytes at which a partition's records are sent. (default: 16384)",
        ),
        value(
            "message-send-max-retries",
            "Integer",
            "How often a record is sent again before it is given up. (default: 3)",
        ),
        value(
            "retry-backoff-ms",
            "Long",
            "The pause before a record is sent again. (default: 100)",
        ),
        value(
            "timeout",
            "Long: timeout_ms",
            "How long a record may wait for others to be sent with it. (default: 1000)",
        ),
        value(
            "request-required-acks",
            "String: request required acks",
            "The required `acks` of the producer requests (default: -1)",
        ),
        value(
            "request-timeout-ms",
            "Integer: request timeout ms",
            "The ack timeout of the producer requests. Value must be non-negative and non-zero. (default: 1500)",
        ),
        value(
            "metadata-expiry-ms",
            "Long: metadata expiration interval",
            "The age at which metadata is asked for anew. (default: 300000)",
        ),
        value(
            "max-block-ms",
            "Long: max block on send",
            "The max time that the producer will block for during a send request. (default: 60000)",
        ),
        value(
            "max-memory-bytes",
            "Long: total memory in bytes",
            "The total memory used by the producer to buffer records waiting to be sent to the server. (default: 33554432)",
        ),
        value(
            "max-partition-memory-bytes",
            "Integer: memory in bytes per partition",
            "(Deprecated) The old name of --batch-size. (default: 16384)",
        ),
        value(
            "line-reader",
            "String: reader_class",
            "Only Kafka's own reader of lines is there. (default: org.apache.kafka.tools.LineMessageReader)",
        ),
        value(
            "socket-buffer-size",
            "Integer: size",
            "Accepted and not used: the system chooses. (default: 102400)",
        ),
        value(
            "property",
            "String: prop",
            "(DEPRECATED) The old name of --reader-property.",
        ),
        value(
            "reader-property",
            "String: prop",
            "A property of the reader of lines, as key=value: parse.key=false, parse.headers=false, ignore.error=false, key.separator=\\t, headers.delimiter=\\t, headers.separator=,, headers.key.separator=:, null.marker= (fields equal to it are null)",
        ),
        value(
            "reader-config",
            "String: config file",
            "Config properties file for the reader of lines.",
        ),
        value(
            "producer-property",
            "String: producer_prop",
            "(DEPRECATED) The old name of --command-property.",
        ),
        value(
            "command-property",
            "String: producer_prop",
            "Producer config properties in the form key=value.",
        ),
        value(
            "producer.config",
            "String: config file",
            "(DEPRECATED) The old name of --command-config.",
        ),
        value(
            "command-config",
            "String: config file",
            "Producer config properties file. Note that [command-property] takes precedence over this config.",
        ),
    ],
};

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let args = SPEC.parse(args)?;
    args.require(&["topic"])?;
    if !args.has("bootstrap-server") && !args.has("broker-list") {
        return Err(args.usage("Missing required argument \"[bootstrap-server]\""));
    }
    if args
        .value("line-reader")?
        .is_some_and(|class| class != "org.apache.kafka.tools.LineMessageReader")
    {
        return Err(Failure::plain(
            "only org.apache.kafka.tools.LineMessageReader can be the line-reader: classes cannot be loaded",
        ));
    }
    connect::deprecated(&args, "property", "reader-property");
    connect::deprecated(&args, "producer-property", "command-property");
    connect::deprecated(&args, "producer.config", "command-config");
    let mut lines = connect::file(&args, "reader-config")?;
    lines.extend(connect::pairs(&args, "property")?);
    lines.extend(connect::pairs(&args, "reader-property")?);
    let reader = LineReader::new(args.value("topic")?.unwrap_or_default(), &lines)?;
    let properties = settings(&args)?;
    let bootstrap = match args.value("bootstrap-server")? {
        Some(bootstrap) => bootstrap,
        None => {
            let old = args.value("broker-list")?.unwrap_or(connect::TODAY);
            connect::advise("--broker-list", &format!("--bootstrap-server {old}"));
            old
        }
    };
    let client = connect::client(Some(bootstrap), &properties, "console-producer")?;
    let mut config = ProducerConfig::default();
    config.apply(&properties)?;
    produce(&args, client, config, reader, out).await
}

/// The options' defaults, then files, then properties, then options that were given.
fn settings(args: &Args) -> Result<Properties, Failure> {
    let mut properties = Properties::default();
    let defaults = [
        ("linger.ms", "timeout", "1000"),
        ("retries", "message-send-max-retries", "3"),
        ("retry.backoff.ms", "retry-backoff-ms", "100"),
        ("acks", "request-required-acks", "-1"),
        ("request.timeout.ms", "request-timeout-ms", "1500"),
        ("metadata.max.age.ms", "metadata-expiry-ms", "300000"),
        ("max.block.ms", "max-block-ms", "60000"),
        ("buffer.memory", "max-memory-bytes", "33554432"),
        ("batch.size", "batch-size", "16384"),
    ];
    for (name, _, default) in defaults {
        properties.set(name, default);
    }
    properties.extend(connect::file(args, "producer.config")?);
    properties.extend(connect::file(args, "command-config")?);
    properties.extend(connect::pairs(args, "producer-property")?);
    properties.extend(connect::pairs(args, "command-property")?);
    if args.has("compression-codec") {
        let codec = args
            .value("compression-codec")?
            .filter(|codec| !codec.is_empty());
        properties.set("compression.type", codec.unwrap_or("gzip"));
    }
    for (name, option, _) in defaults {
        if let Some(value) = args.value(option)? {
            properties.set(name, value);
        }
    }
    if let Some(bytes) = args.value("max-partition-memory-bytes")? {
        properties.set("batch.size", bytes);
    }
    Ok(properties)
}

async fn produce(
    args: &Args,
    client: Client,
    config: ProducerConfig,
    mut reader: LineReader,
    out: &mut Output,
) -> Result<(), Failure> {
    let producer = Producer::new(client, config)?;
    let is_sync = args.has("sync");
    let topic = args.value("topic")?.unwrap_or_default().to_owned();
    let (unseen, deliveries) = mpsc::channel(MAX_UNSEEN);
    let watching = tokio::spawn(watch(deliveries));
    let prompts = std::io::stdin().is_terminal();
    let mut input = BufReader::with_capacity(64 << 10, tokio::io::stdin());
    let mut terminate = signal(SignalKind::terminate())?;
    let mut failed: Result<(), Error> = Ok(());
    let mut exit_code = 0;
    loop {
        if prompts {
            write!(out, ">")?;
            out.flush()?;
        }
        let line = tokio::select! {
            line = next_line(&mut input) => line?,
            // What was read is still delivered, below.
            result = tokio::signal::ctrl_c() => {
                result?;
                exit_code = INTERRUPTED;
                None
            }
            _ = terminate.recv() => {
                exit_code = TERMINATED;
                None
            }
        };
        let Some(line) = line else { break };
        let sent = match reader.read(&line) {
            Ok(record) => producer.send(record).await,
            Err(error) => {
                failed = Err(error);
                break;
            }
        };
        match sent {
            Ok(delivery) if is_sync => report(&delivery).await,
            // The watcher ends only with us.
            Ok(delivery) => drop(unseen.send(delivery).await),
            Err(error) => complain(&topic, &error),
        }
    }
    drop(unseen);
    producer.close().await;
    let _ = tokio::time::timeout(Duration::from_secs(5), watching).await;
    match failed {
        Err(error) => Err(Failure::plain(format!(
            "org.apache.kafka.common.KafkaException: {error}"
        ))),
        Ok(()) if exit_code != 0 => Err(Failure::silent(exit_code)),
        Ok(()) => Ok(()),
    }
}

async fn watch(mut deliveries: mpsc::Receiver<Delivery>) {
    while let Some(delivery) = deliveries.recv().await {
        report(&delivery).await;
    }
}

async fn report(delivery: &Delivery) {
    if let Err(error) = delivery.wait().await {
        complain(delivery.topic(), &error);
    }
}

fn complain(topic: &str, error: &Error) {
    log::error(
        SOURCE,
        &format!("Error when sending message to topic {topic} with error:"),
        &describe(error),
    );
}

/// Without its end of line; `None` at the end of input.
async fn next_line(input: &mut BufReader<tokio::io::Stdin>) -> Result<Option<String>, Failure> {
    let mut line = Vec::new();
    loop {
        let available = input.fill_buf().await?;
        if available.is_empty() {
            break;
        }
        let end = available.iter().position(|&byte| byte == b'\n');
        let taken = end.map_or(available.len(), |end| end + 1);
        line.extend_from_slice(&available[..taken]);
        input.consume(taken);
        if end.is_some() {
            break;
        }
        if line.len() > MAX_LINE_BYTES {
            return Err(Failure::plain(format!(
                "a line has more than {MAX_LINE_BYTES} bytes"
            )));
        }
    }
    if line.is_empty() {
        return Ok(None);
    }
    if line.ends_with(b"\n") {
        line.pop();
    }
    if line.ends_with(b"\r") {
        line.pop();
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}
