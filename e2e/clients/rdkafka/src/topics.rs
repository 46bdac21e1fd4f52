//! What an administrator sees and changes.

use crate::peer::{Peer, numbered};
use crate::statements::{Outcome, PATIENCE, Statements, eventually, expect};
use rdkafka::admin::{AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

pub fn state(statements: &Statements, peer: &Peer) {
    statements.states("topics: created, described, grown, deleted", || {
        let of = peer.topic("topics", 3, &[])?;
        let partitions = || -> Outcome<usize> {
            Ok(peer
                .admin
                .inner()
                .fetch_metadata(Some(&of), PATIENCE)?
                .topics()[0]
                .partitions()
                .len())
        };
        let grow = |count| -> Outcome<Result<(), Code>> {
            let told = peer.runtime.block_on(
                peer.admin
                    .create_partitions([&NewPartitions::new(&of, count)], &peer.options()),
            )?;
            Ok(told
                .into_iter()
                .next()
                .ok_or("no answer")?
                .map(|_| ())
                .map_err(|(_, code)| code))
        };
        let delete = || -> Outcome<Result<(), Code>> {
            let told = peer
                .runtime
                .block_on(peer.admin.delete_topics(&[&of], &peer.options()))?;
            Ok(told
                .into_iter()
                .next()
                .ok_or("no answer")?
                .map(|_| ())
                .map_err(|(_, code)| code))
        };
        expect("partitions", 3, partitions()?)?;
        expect("grown", Ok(()), grow(5)?)?;
        eventually("five partitions", || Ok(partitions()? == 5))?;
        expect("fewer", Err(Code::InvalidPartitions), grow(4)?)?;
        expect("deleted", Ok(()), delete()?)?;
        eventually("it is gone", || {
            let all = peer.admin.inner().fetch_metadata(None, PATIENCE)?;
            Ok(all.topics().iter().all(|topic| topic.name() != of))
        })?;
        expect(
            "deleted again",
            Err(Code::UnknownTopicOrPartition),
            delete()?,
        )
    });
    statements.states("bad topics are refused: existing, bad name, too many replicas, bad setting; validation creates nothing", || {
        let of = peer.topic("exists", 1, &[])?;
        let one = || TopicReplication::Fixed(1);
        expect("existing", Err(Code::TopicAlreadyExists), peer.create(&NewTopic::new(&of, 1, one()), false)?)?;
        expect("bad name", Err(Code::InvalidTopic), peer.create(&NewTopic::new("bad name", 1, one()), false)?)?;
        let many = format!("{of}-many");
        expect("replicas", Err(Code::InvalidReplicationFactor), peer.create(&NewTopic::new(&many, 1, TopicReplication::Fixed(4)), false)?)?;
        expect("setting", Err(Code::InvalidConfig), peer.create(&NewTopic::new(&many, 1, one()).set("retention.ms", "soon"), false)?)?;
        expect("validated", Ok(()), peer.create(&NewTopic::new(&many, 1, one()), true)?)?;
        let all = peer.admin.inner().fetch_metadata(None, PATIENCE)?;
        expect("listed", false, all.topics().iter().any(|topic| topic.name() == many))
    });
    statements.states(
        "settings: described, replaced as a whole (AlterConfigs); a bad value changes nothing",
        || {
            let of = peer.topic("settings", 1, &[("retention.ms", "4711")])?;
            let topic = ResourceSpecifier::Topic(&of);
            let value = |key: &str| -> Outcome<Option<String>> {
                let told = peer
                    .runtime
                    .block_on(peer.admin.describe_configs([&topic], &peer.options()))?;
                let resource = told.into_iter().next().ok_or("no answer")??;
                Ok(resource.get(key).and_then(|entry| entry.value.clone()))
            };
            let alter = |key, to| -> Outcome<Result<(), Code>> {
                let told = peer.runtime.block_on(
                    peer.admin
                        .alter_configs([&AlterConfig::new(topic).set(key, to)], &peer.options()),
                )?;
                Ok(told
                    .into_iter()
                    .next()
                    .ok_or("no answer")?
                    .map(|_| ())
                    .map_err(|(_, code)| code))
            };
            expect(
                "retention.ms",
                Some("4711".to_owned()),
                value("retention.ms")?,
            )?;
            expect(
                "max.message.bytes",
                Some("1048588".to_owned()),
                value("max.message.bytes")?,
            )?;
            expect("altered", Ok(()), alter("cleanup.policy", "compact")?)?;
            eventually("what is not named goes back to its default", || {
                Ok(value("cleanup.policy")?.as_deref() == Some("compact")
                    && value("retention.ms")?.as_deref() == Some("604800000"))
            })?;
            // The crate does not hand on what is refused.
            alter("retention.ms", "soon")?.map_err(|code| format!("{code:?}"))?;
            expect(
                "after a bad value",
                Some("compact".to_owned()),
                value("cleanup.policy")?,
            )
        },
    );
    statements.states(
        "deleted records are gone, and beyond the end is refused: OFFSET_OUT_OF_RANGE",
        || {
            let of = peer.topic("delete", 1, &[])?;
            peer.sent(&of, &numbered(0, 20), &[])?;
            let before = |offset| -> Outcome<TopicPartitionList> {
                let mut asked = TopicPartitionList::new();
                asked.add_partition_offset(&of, 0, offset)?;
                Ok(peer
                    .runtime
                    .block_on(peer.admin.delete_records(&asked, &peer.options()))?)
            };
            expect(
                "low watermark",
                Offset::Offset(6),
                before(Offset::Offset(6))?.elements()[0].offset(),
            )?;
            expect(
                "first that is left",
                6,
                rdkafka::Message::offset(&peer.read(&of, 1, Offset::Beginning, 1, &[])?[0]),
            )?;
            let refusal = before(Offset::Offset(21))?.elements()[0]
                .error()
                .err()
                .and_then(|why| why.rdkafka_error_code());
            expect("refusal", Some(Code::OffsetOutOfRange), refusal)?;
            expect(
                "all",
                Offset::Offset(20),
                before(Offset::End)?.elements()[0].offset(),
            )
        },
    );
    statements.states(
        "the cluster is described: its id, its node, its controller",
        || {
            let cluster = peer
                .admin
                .inner()
                .fetch_cluster_id(PATIENCE)
                .ok_or("no id")?;
            expect("length of the id", 22, cluster.len())?;
            let told = peer.consumer(&[])?.fetch_metadata(None, PATIENCE)?;
            expect(
                "address",
                peer.bootstrap.clone(),
                format!("{}:{}", told.brokers()[0].host(), told.brokers()[0].port()),
            )
        },
    );
}
