//! `kafka-e2e-latency`: one record at a time, from the producer through the broker to a consumer.

use crate::args::{Args, Spec, value};
use crate::failure::Failure;
use crate::{Output, connect};
use bytes::Bytes;
use millrace_client::admin::NewTopic;
use millrace_client::consumer::{Consumer, ConsumerConfig, Start};
use millrace_client::producer::{Acks, Producer, ProducerConfig, ProducerRecord};
use millrace_client::{Client, TopicPartition, Topics};
use rand::Rng;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Kafka's own patience with one record.
const TIMEOUT: Duration = Duration::from_secs(60);

const NAMES: [&str; 6] = [
    "bootstrap-server",
    "topic",
    "num-records",
    "producer-acks",
    "record-size",
    "command-config",
];

const SPEC: Spec = Spec {
    about: "This tool measures end-to-end latency in Kafka by sending messages and timing their reception.",
    options: &[
        value(
            "bootstrap-server",
            "String: bootstrap-server",
            "REQUIRED: The server(s) to connect to.",
        ),
        value(
            "topic",
            "String: topic-name",
            "REQUIRED: The topic to use for the test.",
        ),
        value(
            "num-records",
            "Integer: count",
            "REQUIRED: The number of records to send.",
        ),
        value(
            "producer-acks",
            "String: producer-acks",
            "REQUIRED: Producer acknowledgements. Must be '1' or 'all'.",
        ),
        value(
            "record-size",
            "Integer: bytes",
            "REQUIRED: The size of each record's value in bytes.",
        ),
        value(
            "command-config",
            "String: config-file",
            "Config properties file.",
        ),
    ],
};

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let args = SPEC.parse(&named(args)?)?;
    args.require(&NAMES[..5])?;
    let plan = Plan::of(&args)?;
    let properties = connect::file(&args, "command-config")?;
    let client = connect::client(args.value("bootstrap-server")?, &properties, "e2e-latency")?;
    prepare_topic(&client, &plan.topic, out).await?;
    let mut config = ProducerConfig {
        linger: Duration::ZERO,
        acks: plan.acks,
        ..ProducerConfig::default()
    }
    .without_conflicts();
    config.apply(&properties)?;
    config.acks = plan.acks;
    let producer = Producer::new(client.clone(), config.without_conflicts())?;
    let mut config = ConsumerConfig {
        fetch_max_wait: Duration::ZERO,
        ..ConsumerConfig::default()
    };
    config.apply(&properties)?;
    let mut consumer = Consumer::new(client.clone(), config);
    let metadata = client.metadata();
    let partitions = metadata
        .topics
        .get(&*plan.topic)
        .map_or(&[][..], |topic| &topic.partitions);
    let ids = partitions.iter().map(|partition| {
        (
            TopicPartition::new(Arc::clone(&plan.topic), partition.id),
            Start::Latest,
        )
    });
    consumer.assign(ids);
    settle_at_end(&mut consumer).await?;
    let measured = measure(&plan, &producer, &mut consumer, out).await;
    producer.close().await;
    let mut latencies = measured?;
    let mean = latencies.iter().map(Duration::as_secs_f64).sum::<f64>() * 1000.0
        / latencies.len().max(1) as f64;
    latencies.sort_unstable();
    let percentile = |part: f64| {
        let at = (latencies.len() as f64 * part) as usize;
        latencies
            .get(at)
            .or(latencies.last())
            .map_or(0, Duration::as_millis)
    };
    writeln!(out, "Avg latency: {mean:.4} ms\n")?;
    writeln!(
        out,
        "Percentiles: 50th = {}, 99th = {}, 99.9th = {}",
        percentile(0.5),
        percentile(0.99),
        percentile(0.999)
    )?;
    Ok(())
}

/// Values by their place, as the tool had them before it had options.
fn named(args: &[String]) -> Result<Vec<String>, Failure> {
    if args.is_empty() || args.iter().any(|arg| arg.starts_with("--")) {
        return Ok(args.to_vec());
    }
    if !(5..=6).contains(&args.len()) {
        return Err(Failure::plain(format!(
            "Invalid number of arguments. Expected 5 or 6 positional arguments, but got {}. Usage: bootstrap-server topic num-records producer-acks record-size [optional] command-config",
            args.len()
        )));
    }
    eprintln!(
        "WARNING: Positional argument usage is deprecated and will be removed in Apache Kafka 5.0. Please use named arguments instead: --bootstrap-server, --topic, --num-records, --producer-acks, --record-size, --command-config"
    );
    let named = NAMES
        .iter()
        .zip(args)
        .flat_map(|(name, value)| [format!("--{name}"), value.clone()]);
    Ok(named.collect())
}

struct Plan {
    topic: Arc<str>,
    records: u64,
    acks: Acks,
    record_bytes: usize,
}

impl Plan {
    fn of(args: &Args) -> Result<Plan, Failure> {
        let acks = Acks::parse(args.value("producer-acks")?.unwrap_or_default())?;
        if acks == Acks::None {
            return Err(Failure::plain(
                "Invalid value for --producer-acks. Latency testing requires synchronous acknowledgement. Please use '1' or 'all'.",
            ));
        }
        Ok(Plan {
            topic: Arc::from(args.value("topic")?.unwrap_or_default()),
            records: args.number("num-records")?.unwrap_or_default(),
            acks,
            record_bytes: args.number("record-size")?.unwrap_or_default(),
        })
    }
}

async fn prepare_topic(client: &Client, topic: &str, out: &mut Output) -> Result<(), Failure> {
    let known = client
        .retry("metadata", async || {
            client.refresh(Topics::Named(&[topic]), false).await
        })
        .await?;
    if known.topics.contains_key(topic) {
        return Ok(());
    }
    writeln!(
        out,
        "Topic \"{topic}\" does not exist. Will create topic with 1 partition(s) and replication factor = 1"
    )?;
    out.flush()?;
    let new = NewTopic {
        name: topic.to_owned(),
        partitions: Some(1),
        replication_factor: Some(1),
        ..NewTopic::default()
    };
    for result in client.create_topics(&[new], false).await? {
        result?;
    }
    let give_up = Instant::now() + TIMEOUT;
    while Instant::now() < give_up {
        let known = client.refresh(Topics::Named(&[topic]), false).await?;
        let made = known.topics.get(topic);
        if made.is_some_and(|made| {
            made.partitions
                .iter()
                .all(|partition| partition.leader.is_some())
        }) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Failure::plain(format!(
        "topic {topic} has no leader after {} s",
        TIMEOUT.as_secs()
    )))
}

async fn settle_at_end(consumer: &mut Consumer) -> Result<(), Failure> {
    let give_up = Instant::now() + TIMEOUT;
    while consumer.positions().any(|(_, offset)| offset.is_none()) {
        if Instant::now() > give_up {
            return Err(Failure::plain("the end of the topic was not found"));
        }
        consumer.poll(Duration::from_millis(100)).await?;
    }
    Ok(())
}

async fn measure(
    plan: &Plan,
    producer: &Producer,
    consumer: &mut Consumer,
    out: &mut Output,
) -> Result<Vec<Duration>, Failure> {
    let mut latencies = Vec::new();
    let mut rng = rand::rng();
    for index in 0..plan.records {
        let letters: Vec<u8> = (0..plan.record_bytes)
            .map(|_| rng.random_range(b'A'..=b'Z'))
            .collect();
        let value = Bytes::from(letters);
        let began = Instant::now();
        let delivery = producer
            .send(ProducerRecord::new(Arc::clone(&plan.topic), value.clone()))
            .await?;
        delivery.wait().await?;
        let received = consumer.poll(TIMEOUT).await?;
        let elapsed = began.elapsed();
        let found: Vec<Option<&Bytes>> = received
            .iter()
            .map(|record| record.value.as_ref())
            .collect();
        match found.as_slice() {
            [] => {
                return Err(Failure::plain(format!(
                    "poll() timed out before finding a result (timeout:[{}ms])",
                    TIMEOUT.as_millis()
                )));
            }
            [Some(read)] if **read == value => {}
            [_] => {
                return Err(Failure::plain(
                    "The message value read did not match the message value sent",
                ));
            }
            many => {
                return Err(Failure::plain(format!(
                    "Only one result was expected during this test. We found [{}]",
                    many.len()
                )));
            }
        }
        if index % 1000 == 0 {
            writeln!(out, "{index}\t{}", elapsed.as_secs_f64() * 1000.0)?;
            out.flush()?;
        }
        latencies.push(elapsed);
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_place_become_options() {
        let words = |line: &str| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            named(&words("h:1 t 10 all 100")).expect("five"),
            words(
                "--bootstrap-server h:1 --topic t --num-records 10 --producer-acks all --record-size 100"
            )
        );
        assert!(named(&words("h:1 t")).is_err());
        assert_eq!(
            named(&words("--topic t")).expect("options"),
            words("--topic t")
        );
    }
}
