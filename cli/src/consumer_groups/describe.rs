//! `--describe`: a group's offsets, its members or its state.

use super::{MISSING, Trouble, chosen, print_error};
use crate::Output;
use crate::args::Args;
use millrace_client::admin::{
    CommittedOffset, DescribedGroup, GroupMember, GroupState, OffsetSpec,
};
use millrace_client::consumer::Isolation;
use millrace_client::{Client, Error, TopicPartition, Topics};
use std::collections::{BTreeMap, BTreeSet};

pub async fn run(client: &Client, args: &Args, out: &mut Output) -> Result<(), Trouble> {
    let verbose = args.has("verbose");
    let mut groups = Vec::new();
    for (name, described) in client.describe_groups(&chosen(client, args).await?).await {
        groups.push(of_consumers(&name, described)?);
    }
    for group in &groups {
        if args.has("members") {
            has_rows(group, group.members.len(), out)?;
            write!(out, "{}", members(group, verbose))?;
        } else if args.has("state") {
            if has_rows(group, 1, out)? {
                write!(out, "{}", state(group, verbose))?;
            }
        } else {
            let rows = offset_rows(client, group).await?;
            if has_rows(group, rows.len(), out)? {
                write!(out, "{}", offsets(&group.name, &rows, verbose))?;
            }
        }
    }
    Ok(())
}

/// Kafka's tool does not look into groups of other protocols.
pub fn of_consumers(
    name: &str,
    described: Result<DescribedGroup, Error>,
) -> Result<DescribedGroup, Trouble> {
    let group = described?;
    match group.protocol_type.as_str() {
        "" | "consumer" => Ok(group),
        other => Err(Trouble::Failed(format!(
            "java.lang.IllegalArgumentException: GroupId {name} is not a consumer group ({other})."
        ))),
    }
}

/// Says what is remarkable about the group's state; whether there is anything to show.
fn has_rows(group: &DescribedGroup, rows: usize, out: &mut Output) -> Result<bool, Trouble> {
    let name = &group.name;
    out.flush()?;
    match group.state {
        GroupState::Dead => {
            print_error(out, &format!("Consumer group '{name}' does not exist."))?;
            return Ok(false);
        }
        GroupState::Empty => eprintln!("\nConsumer group '{name}' has no active members."),
        GroupState::PreparingRebalance
        | GroupState::CompletingRebalance
        | GroupState::Assigning
        | GroupState::Reconciling => {
            eprintln!("\nWarning: Consumer group '{name}' is rebalancing.");
        }
        GroupState::Stable => {}
        GroupState::Unknown | GroupState::NotReady => {
            return Err(Trouble::Failed(format!(
                "Expected a valid consumer group state, but found '{}'.",
                group.state
            )));
        }
    }
    Ok(rows > 0)
}

#[derive(Clone, Debug)]
struct OffsetRow<'a> {
    partition: TopicPartition,
    committed: Option<CommittedOffset>,
    log_end: Option<i64>,
    member: Option<&'a GroupMember>,
}

/// Members with the most partitions first, then what nobody consumes.
async fn offset_rows<'a>(
    client: &Client,
    group: &'a DescribedGroup,
) -> Result<Vec<OffsetRow<'a>>, Error> {
    let committed = client.list_group_offsets(&group.name, None).await?;
    let mut members: Vec<&GroupMember> = group.members.iter().collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.assignment.len()));
    let mut owned: Vec<(TopicPartition, Option<&GroupMember>)> = Vec::new();
    let mut assigned: BTreeSet<&TopicPartition> = BTreeSet::new();
    for member in members {
        let partitions: BTreeSet<&TopicPartition> = member.assignment.iter().collect();
        owned.extend(partitions.iter().map(|&at| (at.clone(), Some(member))));
        assigned.extend(partitions);
    }
    let unassigned = committed.keys().filter(|at| !assigned.contains(at));
    owned.extend(unassigned.map(|at| (at.clone(), None)));
    let log_ends = log_ends(client, owned.iter().map(|(at, _)| at)).await?;
    let rows = owned.into_iter().map(|(partition, member)| OffsetRow {
        committed: committed.get(&partition).cloned(),
        log_end: log_ends.get(&partition).copied(),
        partition,
        member,
    });
    Ok(rows.collect())
}

/// Of the partitions that have a leader now: the others are not waited for.
async fn log_ends<'a>(
    client: &Client,
    partitions: impl Iterator<Item = &'a TopicPartition> + Clone,
) -> Result<BTreeMap<TopicPartition, i64>, Error> {
    let topics: BTreeSet<&str> = partitions.clone().map(|at| &*at.topic).collect();
    let topics: Vec<&str> = topics.into_iter().collect();
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut led: BTreeSet<TopicPartition> = BTreeSet::new();
    for topic in client.topics(Topics::Named(&topics)).await? {
        let with_leader = topic.partitions.iter().filter(|at| at.leader.is_some());
        led.extend(with_leader.map(|at| TopicPartition::new(topic.name.as_str(), at.id)));
    }
    let asked: Vec<(TopicPartition, OffsetSpec)> = partitions
        .filter(|at| led.contains(at))
        .map(|at| (at.clone(), OffsetSpec::Latest))
        .collect();
    if asked.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found = client.list_offsets(&asked, Isolation::ReadUncommitted);
    let found = found.await?.into_iter();
    Ok(found
        .filter_map(|(at, found)| Some((at, found.ok()?.offset)))
        .collect())
}

fn text(value: Option<impl ToString>) -> String {
    value.map_or(MISSING.to_owned(), |value| value.to_string())
}

fn width<'a>(least: usize, cells: impl Iterator<Item = &'a str>) -> usize {
    let longest = cells.map(|cell| cell.chars().count()).max();
    longest.unwrap_or(0).max(least)
}

fn offsets(group: &str, rows: &[OffsetRow], verbose: bool) -> String {
    let member = |row: &OffsetRow, field: fn(&GroupMember) -> &str| {
        row.member.map_or(MISSING, field).to_owned()
    };
    let mut cells = vec![
        [
            "GROUP",
            "TOPIC",
            "PARTITION",
            "LEADER-EPOCH",
            "CURRENT-OFFSET",
            "LOG-END-OFFSET",
            "LAG",
            "CONSUMER-ID",
            "HOST",
            "CLIENT-ID",
        ]
        .map(str::to_owned),
    ];
    for row in rows {
        let offset = row.committed.as_ref().map(|committed| committed.offset);
        let leader_epoch = row.committed.as_ref().and_then(|at| at.leader_epoch);
        let lag = offset.zip(row.log_end).map(|(at, end)| end - at);
        cells.push([
            group.to_owned(),
            row.partition.topic.to_string(),
            row.partition.partition.to_string(),
            text(leader_epoch),
            text(offset),
            text(row.log_end),
            text(lag),
            member(row, |member| &member.id),
            member(row, |member| &member.host),
            member(row, |member| &member.client_id),
        ]);
    }
    let wide = |column: usize| width(15, cells[1..].iter().map(|row| row[column].as_str()));
    let (groups, topics, ids, hosts) = (wide(0), wide(1), wide(7), wide(8));
    let mut shown = String::new();
    for row in &cells {
        let [
            group,
            topic,
            partition,
            epoch,
            offset,
            end,
            lag,
            id,
            host,
            client,
        ] = row;
        let epoch = match verbose {
            true => format!("{epoch:15} "),
            false => String::new(),
        };
        shown.push_str(&format!(
            "\n{group:groups$} {topic:topics$} {partition:10} {epoch}{offset:15} {end:15} {lag:15} {id:ids$} {host:hosts$} {client}"
        ));
    }
    shown + "\n"
}

fn members(group: &DescribedGroup, verbose: bool) -> String {
    let members = &group.members;
    let instance = |member: &GroupMember| member.instance_id.clone().unwrap_or_default();
    let instances: Vec<String> = members.iter().map(instance).collect();
    let assignments: Vec<String> = members.iter().map(assignment).collect();
    let has_instances = instances.iter().any(|instance| !instance.is_empty());
    let groups = match members.is_empty() {
        true => 15,
        false => width(15, std::iter::once(group.name.as_str())),
    };
    let ids = width(15, members.iter().map(|member| member.id.as_str()));
    let names = width(17, instances.iter().map(String::as_str));
    let hosts = width(15, members.iter().map(|member| member.host.as_str()));
    let clients = width(15, members.iter().map(|member| member.client_id.as_str()));
    let current = width(20, assignments.iter().map(String::as_str));
    let row = |cells: [&str; 6], epochs: [&str; 4]| {
        let [group, id, instance, host, client, partitions] = cells;
        let instance = match has_instances {
            true => format!("{instance:names$} "),
            false => String::new(),
        };
        let mut row = format!(
            "{group:groups$} {id:ids$} {instance}{host:hosts$} {client:clients$} {partitions:15} "
        );
        if verbose {
            let [epoch, assigned, target_epoch, target] = epochs;
            row.push_str(&format!(
                "{epoch:15} {assigned:current$} {target_epoch:15} {target:20}"
            ));
        }
        row + "\n"
    };
    let mut shown = "\n".to_owned();
    shown.push_str(&row(
        [
            "GROUP",
            "CONSUMER-ID",
            "GROUP-INSTANCE-ID",
            "HOST",
            "CLIENT-ID",
            "#PARTITIONS",
        ],
        [
            "CURRENT-EPOCH",
            "CURRENT-ASSIGNMENT",
            "TARGET-EPOCH",
            "TARGET-ASSIGNMENT",
        ],
    ));
    for ((member, instance), assigned) in members.iter().zip(&instances).zip(&assignments) {
        let count = member.assignment.len().to_string();
        shown.push_str(&row(
            [
                &group.name,
                &member.id,
                instance,
                &member.host,
                &member.client_id,
                &count,
            ],
            // Members of classic groups have neither epochs nor targets.
            [MISSING, assigned, MISSING, MISSING],
        ));
    }
    shown
}

/// `t1:0,1;t2:0`
fn assignment(member: &GroupMember) -> String {
    let mut topics: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
    for at in &member.assignment {
        topics.entry(&at.topic).or_default().insert(at.partition);
    }
    if topics.is_empty() {
        return MISSING.to_owned();
    }
    let topics = topics.into_iter().map(|(topic, ids)| {
        let ids: Vec<String> = ids.iter().map(i32::to_string).collect();
        format!("{topic}:{}", ids.join(","))
    });
    topics.collect::<Vec<_>>().join(";")
}

fn state(group: &DescribedGroup, verbose: bool) -> String {
    let at = &group.coordinator;
    let coordinator = format!("{}:{}  ({})", at.host, at.port, at.broker);
    let groups = width(15, std::iter::once(group.name.as_str()));
    let coordinators = width(25, std::iter::once(coordinator.as_str()));
    let row = |group: &str,
               coordinator: &str,
               assignor: &str,
               state: &str,
               epochs: [&str; 2],
               members: &str| {
        let epochs = match verbose {
            true => format!("{:15} {:25} ", epochs[0], epochs[1]),
            false => String::new(),
        };
        format!(
            "\n{group:groups$} {coordinator:coordinators$} {assignor:20} {state:20} {epochs}{members}"
        )
    };
    let header = row(
        "GROUP",
        "COORDINATOR (ID)",
        "ASSIGNMENT-STRATEGY",
        "STATE",
        ["GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH"],
        "#MEMBERS",
    );
    let assignor = match group.protocol.as_str() {
        "" => MISSING,
        assignor => assignor,
    };
    let line = row(
        &group.name,
        &coordinator,
        assignor,
        group.state.name(),
        [MISSING, MISSING],
        &group.members.len().to_string(),
    );
    format!("{header}{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use millrace_client::admin::Coordinator;

    fn member(id: &str, instance: Option<&str>, assignment: &[(&str, i32)]) -> GroupMember {
        let assigned = assignment.iter().map(|&(t, p)| TopicPartition::new(t, p));
        GroupMember {
            id: id.to_owned(),
            instance_id: instance.map(str::to_owned),
            client_id: "a-client".to_owned(),
            host: "/127.0.0.1".to_owned(),
            topics: Vec::new(),
            assignment: assigned.collect(),
        }
    }

    fn group() -> DescribedGroup {
        DescribedGroup {
            name: "live".to_owned(),
            state: GroupState::Stable,
            protocol_type: "consumer".to_owned(),
            protocol: "range".to_owned(),
            coordinator: Coordinator {
                broker: 1,
                host: "localhost".to_owned(),
                port: 19392,
            },
            members: vec![
                member("console-consumer-5235", None, &[("t2", 0), ("t1", 2)]),
                member("inst-1-ae7e", Some("inst-1"), &[("t1", 1), ("t1", 0)]),
            ],
        }
    }

    fn check(shown: String, expected: Expect) {
        expected.assert_eq(&shown.replace('\n', "|\n"));
    }

    #[test]
    fn members_are_shown_as_by_kafka() {
        check(
            members(&group(), true),
            expect![[r#"
                |
                GROUP           CONSUMER-ID           GROUP-INSTANCE-ID HOST            CLIENT-ID       #PARTITIONS     CURRENT-EPOCH   CURRENT-ASSIGNMENT   TARGET-EPOCH    TARGET-ASSIGNMENT   |
                live            console-consumer-5235                   /127.0.0.1      a-client        2               -               t1:2;t2:0            -               -                   |
                live            inst-1-ae7e           inst-1            /127.0.0.1      a-client        2               -               t1:0,1               -               -                   |
            "#]],
        );
        let mut empty = group();
        empty.members.clear();
        check(
            members(&empty, false),
            expect![[r#"
                |
                GROUP           CONSUMER-ID     HOST            CLIENT-ID       #PARTITIONS     |
            "#]],
        );
    }

    #[test]
    fn the_state_is_shown_as_by_kafka() {
        check(
            state(&group(), false),
            expect![[r#"
                |
                GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                #MEMBERS|
                live            localhost:19392  (1)      range                Stable               2|
            "#]],
        );
    }

    #[test]
    fn offsets_are_shown_with_their_lag_and_who_consumes_them() {
        let group = group();
        let rows = [
            OffsetRow {
                partition: TopicPartition::new("t1", 0),
                committed: Some(CommittedOffset::at(7)),
                log_end: Some(9),
                member: group.members.last(),
            },
            OffsetRow {
                partition: TopicPartition::new("t1", 1),
                committed: None,
                log_end: Some(12),
                member: None,
            },
        ];
        check(
            offsets("live", &rows, false),
            expect![[r#"
                |
                GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID|
                live            t1              0          7               9               2               inst-1-ae7e     /127.0.0.1      a-client|
                live            t1              1          -               12              -               -               -               -|
            "#]],
        );
    }
}
