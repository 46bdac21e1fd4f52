//! `kafka-consumer-perf-test`: how fast records come out.

use super::MIB;
use crate::args::{Opt, Spec, Takes, flag, value};
use crate::failure::Failure;
use crate::pattern::Included;
use crate::source::Source;
use crate::{Output, connect};
use jiff::Zoned;
use millrace_client::consumer::{ConsumerConfig, Following, GroupConfig, Reset};
use std::time::{Duration, Instant};

const SPEC: Spec = Spec {
    about: "This tool is used to verify the consumer performance.",
    options: &[
        value(
            "bootstrap-server",
            "String: server to connect to",
            "REQUIRED: The server(s) to connect to.",
        ),
        value("topic", "String: topic", "The topic to consume from."),
        value(
            "include",
            "String: Java regex (String)",
            "Regular expression specifying list of topics to include for consumption.",
        ),
        value(
            "group",
            "String: gid",
            "The group id to consume on. (default: perf-consumer- and a random number)",
        ),
        value(
            "num-records",
            "Long: count",
            "REQUIRED: The number of records to consume.",
        ),
        value(
            "messages",
            "Long: count",
            "(DEPRECATED) The old name of --num-records.",
        ),
        value(
            "fetch-size",
            "Integer: size",
            "The maximum amount of data to fetch from a single partition per request. (default: 1048576)",
        ),
        value(
            "socket-buffer-size",
            "Integer: size",
            "Accepted and not used: the system chooses. (default: 2097152)",
        ),
        flag(
            "from-latest",
            "If the consumer does not already have an established offset to consume from, start with the latest record present in the log rather than the earliest record.",
        ),
        flag("print-metrics", "Print out the metrics."),
        flag(
            "show-detailed-stats",
            "If set, stats are reported for each reporting interval as configured by reporting-interval.",
        ),
        flag(
            "hide-header",
            "If set, skips printing the header for the stats.",
        ),
        value(
            "reporting-interval",
            "Long: interval_ms",
            "Interval in milliseconds at which to print progress info. (default: 5000)",
        ),
        Opt {
            name: "timeout",
            takes: Takes::MaybeValue("Long: milliseconds"),
            about: "The maximum allowed time in milliseconds between returned records. (default: 10000)",
        },
        value(
            "date-format",
            "String: date format",
            "The date format to use for formatting the time field: letters of java.text.SimpleDateFormat for dates and times. (default: yyyy-MM-dd HH:mm:ss:SSS)",
        ),
        value(
            "command-property",
            "String: prop1=val1",
            "Kafka consumer related configuration properties like client.id.",
        ),
        value(
            "consumer.config",
            "String: config file",
            "(DEPRECATED) The old name of --command-config.",
        ),
        value(
            "command-config",
            "String: config file",
            "Config properties file.",
        ),
    ],
};

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let args = SPEC.parse(args)?;
    args.require(&["bootstrap-server"])?;
    if args.has("topic") == args.has("include") {
        return Err(
            args.usage("Exactly one of the following arguments is required: [topic], [include]")
        );
    }
    let records: Option<u64> = match args.number("num-records")? {
        Some(records) => Some(records),
        None => args.number("messages")?,
    };
    let records = records.ok_or_else(|| {
        args.usage("Exactly one of the following arguments is required: [num-records], [messages]")
    })?;
    connect::deprecated(&args, "messages", "num-records");
    connect::deprecated(&args, "consumer.config", "command-config");
    let mut properties = connect::file(&args, "consumer.config")?;
    properties.extend(connect::file(&args, "command-config")?);
    properties.extend(connect::pairs(&args, "command-property")?);
    let client = connect::client(
        args.value("bootstrap-server")?,
        &properties,
        "perf-consumer-client",
    )?;
    let mut config = ConsumerConfig::default();
    config.check_crcs = false;
    if let Some(bytes) = args.number("fetch-size")? {
        config.partition_max_bytes = bytes;
    }
    config.apply(&properties)?;
    if properties.get("auto.offset.reset").is_none() {
        config.reset = match args.has("from-latest") {
            true => Reset::Latest,
            false => Reset::Earliest,
        };
    }
    let following = match (args.value("topic")?, args.value("include")?) {
        (Some(topic), _) => Following::Named(vec![topic.to_owned()]),
        (None, include) => {
            let included = Included::parse(include.unwrap_or_default())?;
            Following::Matching(Box::new(move |topic: &str| included.matches(topic)))
        }
    };
    let named = args.value("group")?.or(properties.get("group.id"));
    let named = named.map(str::to_owned);
    let group =
        named.unwrap_or_else(|| format!("perf-consumer-{}", rand::random_range(0..100_000)));
    let mut member = GroupConfig::new(group);
    member.apply(&properties)?;
    let consumer = Source::member(client, config, member, following);
    let report = Report {
        date_format: date_format(
            args.value("date-format")?
                .unwrap_or("yyyy-MM-dd HH:mm:ss:SSS"),
        )?,
        is_detailed: args.has("show-detailed-stats"),
        interval: Duration::from_millis(args.number("reporting-interval")?.unwrap_or(5000)),
    };
    if !args.has("hide-header") {
        writeln!(out, "{}", report.header())?;
        out.flush()?;
    }
    let timeout = Duration::from_millis(args.number("timeout")?.unwrap_or(10_000));
    let read = read(consumer, records, timeout, &report, out).await?;
    if args.has("print-metrics") {
        writeln!(out, "\n{:<60} Value", "Metric Name")?;
        for (name, number) in [
            ("records-consumed-total", read.records),
            ("bytes-consumed-total", read.bytes),
        ] {
            let name =
                format!("consumer-fetch-manager-metrics:{name}:{{client-id=perf-consumer-client}}");
            writeln!(out, "{name:<60} : {:.3}", number as f64)?;
        }
    }
    match read.is_interrupted {
        true => Err(Failure::silent(130)),
        false => Ok(()),
    }
}

struct Report {
    date_format: String,
    is_detailed: bool,
    interval: Duration,
}

#[derive(Default)]
struct Read {
    records: u64,
    bytes: u64,
    is_interrupted: bool,
}

impl Report {
    fn header(&self) -> String {
        let first = if self.is_detailed {
            "time, threadId"
        } else {
            "start.time, end.time"
        };
        format!(
            "{first}, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec"
        )
    }

    fn time(&self, at: &Zoned) -> String {
        at.strftime(&self.date_format).to_string()
    }
}

/// The columns after the times. `whole` is what was read in all, `part` in the time that the rates are about.
fn columns(whole: &Read, part: &Read, elapsed: Duration, assigning: Duration) -> String {
    let mib = |bytes: u64| bytes as f64 / MIB;
    let seconds = elapsed.as_secs_f64();
    let fetching = elapsed.saturating_sub(assigning);
    let rate = |amount: f64, seconds: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
    format!(
        "{:.4}, {:.4}, {}, {:.4}, {}, {}, {:.4}, {:.4}",
        mib(whole.bytes),
        rate(mib(part.bytes), seconds),
        whole.records,
        rate(part.records as f64, seconds),
        assigning.as_millis(),
        fetching.as_millis(),
        rate(mib(part.bytes), fetching.as_secs_f64()),
        rate(part.records as f64, fetching.as_secs_f64()),
    )
}

async fn read(
    mut consumer: Source,
    wanted: u64,
    timeout: Duration,
    report: &Report,
    out: &mut Output,
) -> Result<Read, Failure> {
    let began = Zoned::now();
    let start = Instant::now();
    let mut read = Read::default();
    let mut window = Read::default();
    let mut window_start = start;
    let mut heard = start;
    // How long it took to join the group.
    let mut assigned: Option<Duration> = None;
    let mut window_assigning = None;
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    while read.records < wanted {
        let polled = tokio::select! {
            biased;
            polled = consumer.poll(Duration::from_millis(100)) => polled?,
            _ = &mut interrupted => {
                read.is_interrupted = true;
                break;
            }
        };
        if assigned.is_none() && consumer.has_partitions() {
            assigned = Some(start.elapsed());
            window_assigning = assigned;
        }
        if !polled.is_empty() {
            heard = Instant::now();
        }
        for record in &polled {
            let bytes = record.payload_bytes() as u64;
            read.records += 1;
            read.bytes += bytes;
            window.records += 1;
            window.bytes += bytes;
        }
        let elapsed = window_start.elapsed();
        if report.is_detailed && elapsed >= report.interval {
            let assigning = window_assigning.take().unwrap_or_default();
            writeln!(
                out,
                "{}, 0, {}",
                report.time(&Zoned::now()),
                columns(&read, &window, elapsed, assigning)
            )?;
            out.flush()?;
            window = Read::default();
            window_start = Instant::now();
        }
        if heard.elapsed() > timeout {
            writeln!(
                out,
                "WARNING: Exiting before consuming the expected number of records: timeout ({} ms) exceeded. You can use the --timeout option to increase the timeout.",
                timeout.as_millis()
            )?;
            break;
        }
    }
    if !report.is_detailed {
        let ended = Zoned::now();
        let elapsed = start.elapsed();
        let line = columns(&read, &read, elapsed, assigned.unwrap_or_default());
        writeln!(
            out,
            "{}, {}, {line}",
            report.time(&began),
            report.time(&ended)
        )?;
    }
    out.flush()?;
    consumer.close().await;
    Ok(read)
}

/// From the letters of Java's format to those of strftime.
fn date_format(java: &str) -> Result<String, Failure> {
    let mut format = String::new();
    let mut letters = java.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '\'' {
            format.extend(
                letters
                    .by_ref()
                    .take_while(|&quoted| quoted != '\'')
                    .map(|c| c.to_string()),
            );
            continue;
        }
        while letters.next_if_eq(&letter).is_some() {}
        match letter {
            'y' => format.push_str("%Y"),
            'M' => format.push_str("%m"),
            'd' => format.push_str("%d"),
            'H' => format.push_str("%H"),
            'm' => format.push_str("%M"),
            's' => format.push_str("%S"),
            'S' => format.push_str("%3f"),
            'Z' | 'X' => format.push_str("%z"),
            '%' => format.push_str("%%"),
            other if other.is_ascii_alphabetic() => {
                return Err(Failure::plain(format!(
                    "the date format {java} has the letter {other}: y, M, d, H, m, s, S and Z are known"
                )));
            }
            other => format.push(other),
        }
    }
    Ok(format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_kafkas() {
        let read = Read {
            records: 5000,
            bytes: 500_000,
            is_interrupted: false,
        };
        assert_eq!(
            columns(
                &read,
                &read,
                Duration::from_millis(2250),
                Duration::from_millis(2006)
            ),
            "0.4768, 0.2119, 5000, 2222.2222, 2006, 244, 1.9543, 20491.8033"
        );
    }

    #[test]
    fn javas_date_format_is_understood() {
        assert_eq!(
            date_format("yyyy-MM-dd HH:mm:ss:SSS").expect("known"),
            "%Y-%m-%d %H:%M:%S:%3f"
        );
        assert_eq!(date_format("HH'h'mm").expect("known"), "%Hh%M");
        assert!(date_format("EEE").is_err());
    }
}
