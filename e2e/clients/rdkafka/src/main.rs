//! main BOOTSTRAP PEER: what crate rdkafka expects of Kafka.

mod groups;
mod peer;
mod statements;
mod topics;

use peer::{Peer, Record, code, numbered, poll};
use rdkafka::consumer::Consumer;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, Timestamp, TopicPartitionList};
use statements::{Outcome, PATIENCE, Statements, expect, name, noise, now};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

// For topics whose records have timestamps of long ago: by default Kafka would delete them, at a moment nobody knows.
const KEPT: &[(&str, &str)] = &[("retention.ms", "-1")];
const COMPRESSIONS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, bootstrap, against] = arguments.as_slice() else {
        return Err("arguments: BOOTSTRAP PEER".into());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let admin = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("log.connection.close", "false")
        .create()?;
    println!(
        "# rdkafka {}, librdkafka {} against {against}",
        env!("RDKAFKA_VERSION"),
        rdkafka::util::get_rdkafka_version().1
    );
    let peer = Peer {
        bootstrap: bootstrap.clone(),
        admin,
        runtime,
    };
    let statements = Statements::default();
    produces(&statements, &peer);
    fetches(&statements, &peer);
    topics::state(&statements, &peer);
    groups::state(&statements, &peer);
    statements.end()
}

fn produces(statements: &Statements, peer: &Peer) {
    for compression in COMPRESSIONS {
        let compressed = [
            ("compression.type", compression),
            ("linger.ms", "50"),
            ("message.max.bytes", "2000000"),
        ];
        statements.states(
            &format!(
                "{compression}: keys, values, headers, timestamps and order come back as sent"
            ),
            || {
                let of = peer.topic(compression, 1, KEPT)?;
                let record = |i: usize| {
                    // The same name several times, and an order that is not the alphabet's.
                    let headers = (0..i % 4).fold(OwnedHeaders::new(), |all, h| {
                        all.insert(Header {
                            key: ["z", "a"][h % 2],
                            value: (h != 2).then(|| format!("h{i}{h}")).as_ref(),
                        })
                    });
                    Record {
                        partition: 0,
                        key: (i % 5 != 1).then(|| format!("key{i}").into_bytes()),
                        value: (i % 5 != 2).then(|| [noise(i * 10), vec![0; i * 10]].concat()),
                        headers: Some(headers),
                        timestamp: Some(
                            1_600_000_000_000 + i64::try_from(i * 37 % 101).unwrap_or(0),
                        ),
                    }
                };
                let sent: Vec<Record> = (0..200).map(record).collect();
                peer.sent(&of, &sent, &compressed)?;
                for (i, ours) in peer
                    .read(&of, 1, Offset::Beginning, 200, &[])?
                    .iter()
                    .enumerate()
                {
                    let theirs = &sent[i];
                    expect("offset", i.try_into()?, ours.offset())?;
                    expect("key", theirs.key.as_deref(), ours.key())?;
                    expect("value", theirs.value.as_deref(), ours.payload())?;
                    expect(
                        "timestamp",
                        theirs.timestamp.map(Timestamp::CreateTime),
                        Some(ours.timestamp()),
                    )?;
                    let pairs = |of: Option<&OwnedHeaders>| -> Vec<(String, Option<Vec<u8>>)> {
                        of.map(|all| {
                            all.iter()
                                .map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec)))
                                .collect()
                        })
                        .unwrap_or_default()
                    };
                    expect(
                        "headers",
                        pairs(theirs.headers.as_ref()),
                        pairs(ours.headers()),
                    )?;
                }
                Ok(())
            },
        );
        statements.states(
            &format!("{compression}: a record of 1 MB comes back as sent"),
            || {
                let of = peer.topic(compression, 1, &[])?;
                let large = Record {
                    value: Some(noise(1_000_000)),
                    ..Record::default()
                };
                peer.sent(&of, std::slice::from_ref(&large), &compressed)?;
                expect(
                    "the value is the same",
                    true,
                    peer.read(&of, 1, Offset::Beginning, 1, &[])?[0].payload()
                        == large.value.as_deref(),
                )
            },
        );
    }
    for (shown, settings) in [
        ("acks=1", &[("acks", "1"), ("batch.num.messages", "20")][..]),
        ("acks=all", &[("acks", "all"), ("batch.num.messages", "20")]),
        (
            "enable.idempotence=true",
            &[("enable.idempotence", "true"), ("batch.num.messages", "20")],
        ),
    ] {
        statements.states(
            &format!("{shown}: offsets are told and consecutive, and records come in order"),
            || {
                let of = peer.topic("acks", 1, &[])?;
                let told = peer.sent(&of, &numbered(0, 1_000), settings)?;
                expect("told", (0..1_000).map(|i| (0, i)).collect(), told)?;
                let got = peer.read(&of, 1, Offset::Beginning, 1_000, &[])?;
                expect(
                    "values",
                    (0..1_000)
                        .map(|i| format!("v{i}").into_bytes())
                        .collect::<Vec<_>>(),
                    got.iter()
                        .map(|m| m.payload().unwrap_or_default().to_vec())
                        .collect(),
                )
            },
        );
    }
    statements.states("acks=0: records are stored in order", || {
        let of = peer.topic("acks", 1, &[])?;
        peer.send(&of, &numbered(0, 100), &[("acks", "0")])?;
        let got = peer.read(&of, 1, Offset::Beginning, 100, &[])?;
        expect(
            "values",
            (0..100)
                .map(|i| format!("v{i}").into_bytes())
                .collect::<Vec<_>>(),
            got.iter()
                .map(|m| m.payload().unwrap_or_default().to_vec())
                .collect(),
        )
    });
    for partitioner in ["consistent_random", "murmur2_random", "fnv1a_random"] {
        statements.states(
            &format!("{partitioner}: records of one key go to one partition, as many keys to all"),
            || {
                let of = peer.topic("keys", 4, &[])?;
                let records: Vec<Record> = (0..400)
                    .map(|i| Record {
                        partition: -1,
                        key: Some(format!("key{}", i % 40).into_bytes()),
                        value: Some(vec![1]),
                        ..Record::default()
                    })
                    .collect();
                let mut homes: BTreeMap<usize, BTreeSet<i32>> = BTreeMap::new();
                for (i, (partition, _)) in peer
                    .sent(&of, &records, &[("partitioner", partitioner)])?
                    .into_iter()
                    .enumerate()
                {
                    homes.entry(i % 40).or_default().insert(partition);
                }
                expect(
                    "partitions of each key",
                    true,
                    homes.values().all(|some| some.len() == 1),
                )?;
                expect(
                    "partitions",
                    4,
                    homes.values().flatten().collect::<BTreeSet<_>>().len(),
                )
            },
        );
    }
    statements.states(
        "a record above max.message.bytes is refused: MSG_SIZE_TOO_LARGE",
        || {
            let of = peer.topic("large", 1, &[])?;
            let large = Record {
                value: Some(noise(1_100_000)),
                ..Record::default()
            };
            expect(
                "told",
                vec![Err(RDKafkaErrorCode::MessageSizeTooLarge)],
                peer.send(&of, &[large], &[("message.max.bytes", "2000000")])?,
            )?;
            expect(
                "the next",
                vec![(0, 0)],
                peer.sent(&of, &numbered(0, 1), &[])?,
            )
        },
    );
    statements.states(
        "LogAppendTime: the broker's clock replaces the record's timestamp",
        || {
            let of = peer.topic(
                "append-time",
                1,
                &[("message.timestamp.type", "LogAppendTime")],
            )?;
            let before = now();
            for compression in COMPRESSIONS {
                let old = Record {
                    value: Some(vec![1]),
                    timestamp: Some(1_000),
                    ..Record::default()
                };
                peer.sent(&of, &[old], &[("compression.type", compression)])?;
            }
            for message in peer.read(&of, 1, Offset::Beginning, 5, &[])? {
                let Timestamp::LogAppendTime(at) = message.timestamp() else {
                    return Err(format!("it is no LogAppendTime: {:?}", message.timestamp()).into());
                };
                expect("timestamp is of now", true, (before..=now()).contains(&at))?;
            }
            Ok(())
        },
    );
    statements.states(
        "a timestamp two hours ahead is refused by default: INVALID_TIMESTAMP",
        || {
            let of = peer.topic("ahead", 1, &[])?;
            let ahead = Record {
                value: Some(vec![1]),
                timestamp: Some(now() + 7_200_000),
                ..Record::default()
            };
            expect(
                "told",
                vec![Err(RDKafkaErrorCode::InvalidTimestamp)],
                peer.send(&of, &[ahead], &[])?,
            )
        },
    );
    statements.states(
        "a compacted topic refuses a record without key: INVALID_RECORD",
        || {
            let of = peer.topic("compact", 1, &[("cleanup.policy", "compact")])?;
            let keyless = Record {
                value: Some(vec![1]),
                ..Record::default()
            };
            expect(
                "told",
                vec![Err(RDKafkaErrorCode::InvalidRecord)],
                peer.send(&of, &[keyless], &[])?,
            )
        },
    );
    statements.states(
        "producing to a topic that does not exist creates it",
        || {
            let of = name("sprung");
            expect("told", vec![(0, 0)], peer.sent(&of, &numbered(0, 1), &[])?)
        },
    );
}

fn fetches(statements: &Statements, peer: &Peer) {
    statements.states(
        "from offsets: beginning, exact within a batch, from the tail",
        || {
            let of = peer.topic("offsets", 1, &[])?;
            peer.sent(
                &of,
                &numbered(0, 100),
                &[("compression.type", "gzip"), ("linger.ms", "100")],
            )?;
            for (from, first) in [
                (Offset::Beginning, 0),
                (Offset::Offset(57), 57),
                (Offset::Offset(99), 99),
                (Offset::OffsetTail(10), 90),
            ] {
                expect("first", first, peer.read(&of, 1, from, 1, &[])?[0].offset())?;
            }
            Ok(())
        },
    );
    statements.states(
        "seek: reading goes on at exactly that offset, and the position follows",
        || {
            let of = peer.topic("seek", 1, &[])?;
            peer.sent(&of, &numbered(0, 100), &[])?;
            let reader = peer.consumer(&[])?;
            let mut assigned = TopicPartitionList::new();
            assigned.add_partition_offset(&of, 0, Offset::Offset(10))?;
            reader.assign(&assigned)?;
            expect("first", 10, poll(&reader, 1)?[0].offset())?;
            reader.seek(&of, 0, Offset::Offset(80), PATIENCE)?;
            expect("after the seek", 80, poll(&reader, 1)?[0].offset())?;
            expect(
                "position",
                Offset::Offset(81),
                reader.position()?.elements()[0].offset(),
            )
        },
    );
    statements.states(
        "a paused partition gives nothing until it is resumed, and the others go on",
        || {
            let of = peer.topic("pause", 2, &[])?;
            let reader = peer.consumer(&[])?;
            let (mut both, mut first) = (TopicPartitionList::new(), TopicPartitionList::new());
            both.add_partition_offset(&of, 0, Offset::Beginning)?;
            both.add_partition_offset(&of, 1, Offset::Beginning)?;
            first.add_partition(&of, 0);
            reader.assign(&both)?;
            reader.pause(&first)?;
            peer.sent(&of, &[numbered(0, 5), numbered(1, 5)].concat(), &[])?;
            expect(
                "partitions",
                vec![1; 5],
                poll(&reader, 5)?.iter().map(|m| m.partition()).collect(),
            )?;
            reader.resume(&first)?;
            expect(
                "partitions",
                vec![0; 5],
                poll(&reader, 5)?.iter().map(|m| m.partition()).collect(),
            )
        },
    );
    statements.states("watermarks, and offsets for times", || {
        let of = peer.topic("times", 1, KEPT)?;
        let records: Vec<Record> = (0..30)
            .map(|i| Record {
                value: Some(vec![1]),
                timestamp: Some(10_000 + 100 * i),
                ..Record::default()
            })
            .collect();
        peer.sent(&of, &records, &[("linger.ms", "50")])?;
        let reader = peer.consumer(&[])?;
        expect(
            "watermarks",
            (0, 30),
            reader.fetch_watermarks(&of, 0, PATIENCE)?,
        )?;
        for (at, offset) in [
            (0, Offset::Offset(0)),
            (10_001, Offset::Offset(1)),
            (10_700, Offset::Offset(7)),
            (12_900, Offset::Offset(29)),
            (12_901, Offset::End),
        ] {
            let mut asked = TopicPartitionList::new();
            asked.add_partition_offset(&of, 0, Offset::Offset(at))?;
            expect(
                &format!("for {at}"),
                offset,
                reader.offsets_for_times(asked, PATIENCE)?.elements()[0].offset(),
            )?;
        }
        Ok(())
    });
    statements.states(
        "out of range: auto.offset.reset=error is told, earliest goes to the beginning",
        || {
            let of = peer.topic("range", 1, &[])?;
            peer.sent(&of, &numbered(0, 10), &[])?;
            expect(
                "first",
                0,
                peer.read(&of, 1, Offset::Offset(1_000), 1, &[])?[0].offset(),
            )?;
            let Err(why) = peer.read(
                &of,
                1,
                Offset::Offset(1_000),
                1,
                &[("auto.offset.reset", "error")],
            ) else {
                return Err("it was accepted".into());
            };
            let why = why.downcast::<rdkafka::error::KafkaError>()?;
            expect("refusal", RDKafkaErrorCode::AutoOffsetReset, code(&why)?)
        },
    );
    statements.states(
        "read_committed and checked checksums on plain records: the same records",
        || {
            let of = peer.topic("committed", 1, &[])?;
            peer.sent(&of, &numbered(0, 50), &[])?;
            expect(
                "records",
                50,
                peer.read(
                    &of,
                    1,
                    Offset::Beginning,
                    50,
                    &[
                        ("isolation.level", "read_committed"),
                        ("check.crcs", "true"),
                    ],
                )?
                .len(),
            )
        },
    );
    statements.states("long polling: a record produced while a consumer waits arrives well before fetch.wait.max.ms", || {
        let of = peer.topic("long-poll", 1, &[])?;
        let reader = peer.consumer(&[("fetch.wait.max.ms", "20000"), ("socket.timeout.ms", "60000")])?;
        let mut assigned = TopicPartitionList::new();
        assigned.add_partition_offset(&of, 0, Offset::Beginning)?;
        reader.assign(&assigned)?;
        for _ in 0..3 {
            peer.sent(&of, &numbered(0, 1), &[])?;
            let start = Instant::now();
            poll(&reader, 1)?;
            expect("prompt", true, start.elapsed() < Duration::from_secs(5))?;
        }
        Ok(())
    });
    statements.states(
        "a batch larger than every fetch limit is delivered all the same",
        || {
            let of = peer.topic("tight", 3, &[])?;
            let records: Vec<Record> = (0..3)
                .map(|partition| Record {
                    partition,
                    value: Some(noise(50_000)),
                    ..Record::default()
                })
                .collect();
            peer.sent(&of, &records, &[])?;
            let limits = [
                ("fetch.message.max.bytes", "1"),
                ("fetch.max.bytes", "1000"),
                ("message.max.bytes", "1000"),
            ];
            expect(
                "records",
                3,
                peer.read(&of, 3, Offset::Beginning, 3, &limits)?.len(),
            )
        },
    );
}
