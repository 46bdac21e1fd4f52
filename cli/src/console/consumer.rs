//! `kafka-console-consumer`: records become lines on standard output.

use super::formatter::Formatter;
use super::{INTERRUPTED, TERMINATED};
use crate::args::{Args, Spec, flag, value};
use crate::failure::{Failure, describe};
use crate::pattern::Included;
use crate::source::Source;
use crate::{Output, connect, log};
use millrace_client::consumer::{
    Consumer, ConsumerConfig, Following, GroupConfig, Isolation, Start,
};
use millrace_client::properties::Properties;
use millrace_client::wire::ErrorCode;
use millrace_client::{Client, Error, TopicPartition, Topics};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

const SOURCE: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";

const SPEC: Spec = Spec {
    about: "This tool helps to read data from Kafka topics and outputs it to standard output.",
    options: &[
        value("topic", "String: topic", "The topic to consume from."),
        value(
            "include",
            "String: Java regex (String)",
            "Regular expression specifying list of topics to include for consumption.",
        ),
        value(
            "whitelist",
            "String: Java regex (String)",
            "Gone from Kafka: write --include instead.",
        ),
        value(
            "partition",
            "Integer: partition",
            "The partition to consume from. Consumption starts from the end of the partition unless '--offset' is specified.",
        ),
        value(
            "offset",
            "String: consume offset",
            "The offset to consume from (a non-negative number), or 'earliest' which means from beginning, or 'latest' which means from end (default: latest)",
        ),
        value(
            "bootstrap-server",
            "String: server to connect to",
            "REQUIRED: The server(s) to connect to.",
        ),
        value(
            "zookeeper",
            "String: urls",
            "Gone from Kafka: write --bootstrap-server instead.",
        ),
        value(
            "group",
            "String: consumer group id",
            "The consumer group id of the consumer. Without one all partitions are read and nothing is committed.",
        ),
        flag(
            "from-beginning",
            "If the consumer does not already have an established offset to consume from, start with the earliest message present in the log rather than the latest message.",
        ),
        value(
            "max-messages",
            "Integer: num_messages",
            "The maximum number of messages to consume before exiting. If not set, consumption is continual.",
        ),
        value(
            "timeout-ms",
            "Long: timeout_ms",
            "If specified, exit if no message is available for consumption for the specified interval.",
        ),
        value(
            "isolation-level",
            "String",
            "Set to read_committed in order to filter out transactional messages which are not committed. Set to read_uncommitted to read all messages. (default: read_uncommitted)",
        ),
        flag(
            "skip-message-on-error",
            "If there is an error when processing a message, skip it instead of halt.",
        ),
        flag(
            "enable-systest-events",
            "Log lifecycle events of the consumer in addition to logging consumed messages.",
        ),
        value(
            "formatter",
            "String: class",
            "The name of a class to use for formatting kafka messages for display. (default: org.apache.kafka.tools.consumer.DefaultMessageFormatter)",
        ),
        value(
            "property",
            "String: prop",
            "(DEPRECATED) The old name of --formatter-property.",
        ),
        value(
            "formatter-property",
            "String: prop",
            "A property of the formatter, as key=value: print.timestamp, print.key, print.offset, print.epoch, print.partition, print.headers, print.value (true or false), key.separator, line.separator, headers.separator, null.literal, key.deserializer, value.deserializer, header.deserializer",
        ),
        value(
            "formatter-config",
            "String: config file",
            "Config properties file to initialize the message formatter. Note that [formatter-property] takes precedence over this config.",
        ),
        value(
            "key-deserializer",
            "String: deserializer for keys",
            "The name of the class to use for deserializing keys.",
        ),
        value(
            "value-deserializer",
            "String: deserializer for values",
            "The name of the class to use for deserializing values.",
        ),
        value(
            "consumer-property",
            "String: consumer_prop",
            "(DEPRECATED) The old name of --command-property.",
        ),
        value(
            "command-property",
            "String: consumer_prop",
            "Consumer config properties in the form key=value.",
        ),
        value(
            "consumer.config",
            "String: config file",
            "(DEPRECATED) The old name of --command-config.",
        ),
        value(
            "command-config",
            "String: config file",
            "Consumer config properties file. Note that [command-property] takes precedence over this config.",
        ),
    ],
};

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let args = SPEC.parse(args)?;
    let what = What::of(&args)?;
    connect::deprecated(&args, "property", "formatter-property");
    connect::deprecated(&args, "consumer-property", "command-property");
    connect::deprecated(&args, "consumer.config", "command-config");
    let mut formatting = connect::file(&args, "formatter-config")?;
    formatting.extend(connect::pairs(&args, "property")?);
    formatting.extend(connect::pairs(&args, "formatter-property")?);
    for (option, property) in [
        ("key-deserializer", "key.deserializer"),
        ("value-deserializer", "value.deserializer"),
    ] {
        if let Some(class) = args.value(option)? {
            formatting.set(property, class);
        }
    }
    let formatter = Formatter::new(args.value("formatter")?, &formatting)?;
    let properties = settings(&args)?;
    let bootstrap = match args.value("bootstrap-server")? {
        Some(bootstrap) => bootstrap,
        None => {
            connect::advise(
                "--zookeeper",
                &format!("--bootstrap-server {}", connect::TODAY),
            );
            connect::TODAY
        }
    };
    let client = connect::client(Some(bootstrap), &properties, "console-consumer")?;
    let mut config = ConsumerConfig::default();
    config.apply(&properties)?;
    let group = args.value("group")?.or(properties.get("group.id"));
    let consumer = match (what.following(), group) {
        (Some(following), Some(group)) => {
            let mut member = GroupConfig::new(group);
            member.apply(&properties)?;
            Source::member(client, config, member, following)
        }
        // Nobody must believe that offsets are committed when they are not.
        (None, Some(group)) => {
            return Err(Failure::plain(format!(
                "group {group}: a partition of one's own choice is read without commits; leave out the group or --partition"
            )));
        }
        (_, None) => {
            let mut consumer = Consumer::new(client.clone(), config);
            what.start(&client, &mut consumer).await?;
            Source::alone(consumer)
        }
    };
    consume(&args, consumer, formatter, out).await
}

/// What is consumed, and from where.
enum What {
    Partition(String, i32, Start),
    Topic(String, Start),
    Matching(Included, Start),
}

impl What {
    fn of(args: &Args) -> Result<What, Failure> {
        let include = args.value("include")?.or(args.value("whitelist")?);
        if args.has("topic") == include.is_some() {
            return Err(args
                .usage("Exactly one of the following arguments is required: [topic], [include]"));
        }
        if !args.has("bootstrap-server") && !args.has("zookeeper") {
            return Err(args.usage("Missing required argument \"[bootstrap-server]\""));
        }
        if args.has("partition") {
            if !args.has("topic") {
                return Err(args.usage("The topic is required when partition is specified."));
            }
            if args.has("from-beginning") && args.has("offset") {
                return Err(
                    args.usage("Options from-beginning and offset cannot be specified together.")
                );
            }
        } else if args.has("offset") {
            return Err(args.usage("The partition is required when offset is specified."));
        }
        let start = start(args)?;
        match (args.value("topic")?, include, args.number("partition")?) {
            (Some(topic), _, Some(partition)) => {
                Ok(What::Partition(topic.to_owned(), partition, start))
            }
            (Some(topic), _, None) => Ok(What::Topic(topic.to_owned(), start)),
            (None, include, _) => Ok(What::Matching(
                Included::parse(include.unwrap_or_default())?,
                start,
            )),
        }
    }

    /// What a member of a group subscribes to; `None` for a partition.
    fn following(&self) -> Option<Following> {
        match self {
            What::Partition(..) => None,
            What::Topic(topic, _) => Some(Following::Named(vec![topic.clone()])),
            What::Matching(included, _) => {
                let included = included.clone();
                let matches = Box::new(move |topic: &str| included.matches(topic));
                Some(Following::Matching(matches))
            }
        }
    }

    async fn start(self, client: &Client, consumer: &mut Consumer) -> Result<(), Failure> {
        match self {
            What::Partition(topic, partition, start) => {
                // A partition that is not there is waited for, as by Java's consumer; a topic is made.
                let known = client.retry("metadata", async || {
                    client.refresh(Topics::Named(&[&topic]), true).await
                });
                let metadata = known.await?;
                if let Some(Error::Kafka {
                    code: ErrorCode::InvalidTopicException,
                    ..
                }) = client.last_topic_error(&topic)
                {
                    return Err(Error::of(ErrorCode::InvalidTopicException, None).into());
                }
                if metadata.topics.contains_key(&topic)
                    && metadata.partition(&topic, partition).is_none()
                {
                    tracing::warn!("Topic {topic} has no partition {partition}; waiting for it");
                }
                consumer.assign([(TopicPartition::new(topic, partition), start)]);
            }
            What::Topic(topic, start) => consumer.follow(Following::Named(vec![topic]), start),
            What::Matching(included, start) => {
                let matches = Box::new(move |topic: &str| included.matches(topic));
                consumer.follow(Following::Matching(matches), start);
            }
        }
        Ok(())
    }
}

fn start(args: &Args) -> Result<Start, Failure> {
    let from_beginning = args.has("from-beginning");
    let Some(offset) = args.value("offset")? else {
        return Ok(if from_beginning {
            Start::Earliest
        } else {
            Start::Latest
        });
    };
    match offset.to_ascii_lowercase().as_str() {
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        number => match number.parse::<i64>() {
            Ok(offset) if offset >= 0 => Ok(Start::Offset(offset)),
            _ => Err(args.usage(format!(
                "The provided offset value '{offset}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long."
            ))),
        },
    }
}

fn settings(args: &Args) -> Result<Properties, Failure> {
    let mut properties = connect::file(args, "consumer.config")?;
    properties.extend(connect::file(args, "command-config")?);
    properties.extend(connect::pairs(args, "consumer-property")?);
    properties.extend(connect::pairs(args, "command-property")?);
    let reset = match properties.get("auto.offset.reset") {
        Some(reset) => reset.to_owned(),
        None if args.has("from-beginning") => "earliest".to_owned(),
        None => "latest".to_owned(),
    };
    properties.set("auto.offset.reset", reset);
    let level = args.value("isolation-level")?;
    if let Some(level) = level.or(properties.get("isolation.level")) {
        let level = level.to_owned();
        Isolation::parse(&level)?;
        properties.set("isolation.level", level);
    }
    Ok(properties)
}

async fn consume(
    args: &Args,
    mut consumer: Source,
    mut formatter: Formatter,
    out: &mut Output,
) -> Result<(), Failure> {
    let max_messages: Option<i64> = args.number("max-messages")?.filter(|&max| max >= 0);
    let timeout = args
        .number::<i64>("timeout-ms")?
        .and_then(|ms| u64::try_from(ms).ok())
        .map(Duration::from_millis);
    let skips = args.has("skip-message-on-error");
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut processed: i64 = 0;
    let mut heard = Instant::now();
    let mut exit = Ok(());
    'consuming: while max_messages.is_none_or(|max| processed < max) {
        let left = timeout.map(|timeout| timeout.saturating_sub(heard.elapsed()));
        let wait = left.unwrap_or(Duration::from_secs(5));
        let polled = tokio::select! {
            polled = consumer.poll(wait) => polled,
            _ = interrupt.recv() => {
                exit = Err(Failure::silent(INTERRUPTED));
                break;
            }
            _ = terminate.recv() => {
                exit = Err(Failure::silent(TERMINATED));
                break;
            }
        };
        let records = match polled {
            Ok(records) => records,
            Err(error) => {
                log::error(
                    SOURCE,
                    "Error processing message, terminating consumer process: ",
                    &describe(&error),
                );
                exit = Err(Failure::silent(1));
                break;
            }
        };
        if records.is_empty() {
            if timeout.is_some_and(|timeout| heard.elapsed() >= timeout) {
                let cause = "org.apache.kafka.common.errors.TimeoutException";
                log::error(
                    SOURCE,
                    "Error processing message, terminating consumer process: ",
                    cause,
                );
                break;
            }
            continue;
        }
        heard = Instant::now();
        for (at, record) in records.iter().enumerate() {
            if max_messages.is_some_and(|max| processed >= max) {
                consumer.return_unread(&records[at..]);
                break;
            }
            processed += 1;
            match formatter.write(record, out)? {
                Ok(()) => {}
                Err(reason) if skips => log::error(
                    SOURCE,
                    "Error processing message, skipping this message: ",
                    &reason,
                ),
                Err(reason) => {
                    log::error(
                        SOURCE,
                        "Error processing message, terminating consumer process: ",
                        &reason,
                    );
                    consumer.return_unread(&records[at..]);
                    exit = Err(Failure::silent(1));
                    break 'consuming;
                }
            }
        }
        if out.flush().is_err() {
            eprintln!("Unable to write to standard out, closing consumer.");
            consumer.return_unread(&records);
            break;
        }
    }
    // Kafka says it on standard error, too, so that it is not taken for a record.
    let _ = out.flush();
    consumer.close().await;
    eprintln!("Processed a total of {processed} messages");
    exit
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_client::consumer::Reset;

    fn refused(line: &str) -> String {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let refused = SPEC
            .parse(&args)
            .and_then(|args| What::of(&args).map(|_| ()))
            .expect_err("refused");
        refused
            .stderr
            .lines()
            .next()
            .unwrap_or_default()
            .trim_end()
            .to_owned()
    }

    #[test]
    fn options_that_do_not_go_together_are_refused_in_kafkas_words() {
        assert_eq!(
            refused("--bootstrap-server h:1"),
            "Exactly one of the following arguments is required: [topic], [include]"
        );
        assert_eq!(
            refused("--topic t"),
            "Missing required argument \"[bootstrap-server]\""
        );
        assert_eq!(
            refused("--bootstrap-server h:1 --topic t --offset 1"),
            "The partition is required when offset is specified."
        );
        assert_eq!(
            refused("--bootstrap-server h:1 --topic t --partition 0 --offset x"),
            "The provided offset value 'x' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long."
        );
    }

    #[test]
    fn a_topics_start_is_its_end_unless_said_otherwise() {
        let check = |line: &str, expected: Start| {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(
                start(&SPEC.parse(&args).expect("options")).expect("a start"),
                expected
            );
        };
        check("", Start::Latest);
        check("--from-beginning", Start::Earliest);
        check("--offset earliest", Start::Earliest);
        check("--offset 17", Start::Offset(17));
    }

    #[test]
    fn the_reset_follows_from_beginning() {
        let args = SPEC
            .parse(&["--from-beginning".to_owned()])
            .expect("options");
        let mut config = ConsumerConfig::default();
        config
            .apply(&settings(&args).expect("settings"))
            .expect("applied");
        assert_eq!(config.reset, Reset::Earliest);
    }
}
