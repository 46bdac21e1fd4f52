//! Consumer groups, of either protocol.

use crate::peer::{Peer, numbered, poll};
use crate::statements::{Outcome, PATIENCE, Statements, eventually, expect, name};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::time::Duration;

const PROTOCOLS: [(&str, &[(&str, &str)]); 4] = [
    (
        "classic, range",
        &[
            ("partition.assignment.strategy", "range"),
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "500"),
        ],
    ),
    (
        "classic, roundrobin",
        &[
            ("partition.assignment.strategy", "roundrobin"),
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "500"),
        ],
    ),
    (
        "classic, cooperative-sticky",
        &[
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "500"),
        ],
    ),
    ("consumer", &[("group.protocol", "consumer")]),
];

fn join(peer: &Peer, group: &str, of: &str, settings: &[(&str, &str)]) -> Outcome<BaseConsumer> {
    let reader = peer.consumer(&[&[("group.id", group)], settings].concat())?;
    reader.subscribe(&[of])?;
    Ok(reader)
}

fn owned(reader: &BaseConsumer) -> Outcome<usize> {
    Ok(reader.assignment()?.count())
}

/// Polls both, and keeps what came: who does not poll does not take part.
fn turn(readers: &[&BaseConsumer], seen: &mut Vec<(i32, i64)>) -> Outcome {
    for reader in readers {
        if let Some(message) = reader.poll(Duration::from_millis(20)) {
            let message = message?;
            seen.push((message.partition(), message.offset()));
        }
    }
    Ok(())
}

pub fn state(statements: &Statements, peer: &Peer) {
    for (shown, settings) in PROTOCOLS {
        statements.states(&format!("groups, {shown}: a second member gets half of the partitions, they are given back when it leaves, and everything is read once"), || {
            let (of, group) = (peer.topic("shared", 4, &[])?, name("group"));
            let one = join(peer, &group, &of, settings)?;
            let mut seen = vec![];
            eventually("it owns four", || turn(&[&one], &mut seen).and_then(|()| Ok(owned(&one)? == 4)))?;
            let two = join(peer, &group, &of, settings)?;
            eventually("each owns two", || turn(&[&one, &two], &mut seen).and_then(|()| Ok(owned(&one)? == 2 && owned(&two)? == 2)))?;
            peer.sent(&of, &(0..4).flat_map(|p| numbered(p, 5)).collect::<Vec<_>>(), &[])?;
            eventually("all is read", || turn(&[&one, &two], &mut seen).map(|()| seen.len() >= 20))?;
            expect("records", 20, seen.iter().collect::<BTreeSet<_>>().len())?;
            drop(two);
            eventually("it owns four again", || turn(&[&one], &mut seen).and_then(|()| Ok(owned(&one)? == 4)))
        });
        statements.states(&format!("groups, {shown}: a commit is read back with its metadata, and a member that comes later reads on there"), || {
            let (of, group) = (peer.topic("resume", 2, &[])?, name("group"));
            peer.sent(&of, &numbered(0, 10), &[])?;
            let one = join(peer, &group, &of, settings)?;
            poll(&one, 10)?;
            let mut offsets = TopicPartitionList::new();
            let mut kept = offsets.add_partition(&of, 0);
            kept.set_offset(Offset::Offset(7))?;
            kept.set_metadata("schön ✓");
            one.commit(&offsets, CommitMode::Sync)?;
            drop((offsets, one));
            let two = join(peer, &group, &of, settings)?;
            expect("read again", vec![7, 8, 9], poll(&two, 3)?.iter().map(|m| m.offset()).collect())?;
            let mut asked = TopicPartitionList::new();
            asked.add_partition_range(&of, 0, 1);
            let told = two.committed_offsets(asked, PATIENCE)?;
            let shown: Vec<_> = told.elements().iter().map(|p| (p.offset(), p.metadata().to_owned())).collect();
            expect("committed", vec![(Offset::Offset(7), "schön ✓".to_owned()), (Offset::Invalid, String::new())], shown)
        });
        statements.states(
            &format!("groups, {shown}: a static member that comes back owns its share again"),
            || {
                let (of, group) = (peer.topic("static", 2, &[])?, name("group"));
                let instance = |id| [settings, &[("group.instance.id", id)]].concat();
                let one = join(peer, &group, &of, &instance("one"))?;
                let two = join(peer, &group, &of, &instance("two"))?;
                let mut seen = vec![];
                eventually("each owns one", || {
                    turn(&[&one, &two], &mut seen)
                        .and_then(|()| Ok(owned(&one)? == 1 && owned(&two)? == 1))
                })?;
                // The list itself would hold on to its client.
                let had = one.assignment()?.elements()[0].partition();
                drop(one);
                let one = join(peer, &group, &of, &instance("one"))?;
                eventually("each owns one again", || {
                    turn(&[&one, &two], &mut seen)
                        .and_then(|()| Ok(owned(&one)? == 1 && owned(&two)? == 1))
                })?;
                expect(
                    "partition",
                    had,
                    one.assignment()?.elements()[0].partition(),
                )
            },
        );
    }
    statements.states("groups: listed with state, assignor and members; deleted, but not while it has members (NON_EMPTY_GROUP), nor when it is unknown (GROUP_ID_NOT_FOUND)", || {
        let (of, group) = (peer.topic("delete", 1, &[])?, name("group"));
        let delete = || -> Outcome<Result<(), RDKafkaErrorCode>> {
            let told = peer.runtime.block_on(peer.admin.delete_groups(&[&group], &peer.options()))?;
            Ok(told.into_iter().next().ok_or("no answer")?.map(|_| ()).map_err(|(_, code)| code))
        };
        let one = join(peer, &group, &of, &[("client.id", "described"), ("session.timeout.ms", "10000")])?;
        let mut seen = vec![];
        eventually("it owns one", || turn(&[&one], &mut seen).and_then(|()| Ok(owned(&one)? == 1)))?;
        let listed = one.fetch_group_list(Some(&group), PATIENCE)?;
        let told = listed.groups().first().ok_or("it is not listed")?;
        expect("group", ("Stable", "consumer", "range"), (told.state(), told.protocol_type(), told.protocol()))?;
        expect("member", ("described", "/127.0.0.1"), (told.members()[0].client_id(), told.members()[0].client_host()))?;
        expect("with a member", Err(RDKafkaErrorCode::NonEmptyGroup), delete()?)?;
        drop(one);
        eventually("deleted once it is empty", || Ok(delete()? == Ok(())))?;
        expect("again", Err(RDKafkaErrorCode::GroupIdNotFound), delete()?)
    });
}
