//! The stage: reads commands, gives them to a machine, and writes down what comes of it.
//!
//! ```text
//! join GROUP MEMBER PROTOCOLS [instance=I] [id=ID] [v=VERSION] [session=MS] [rebalance=MS] [type=T]
//! sync GROUP ID GENERATION [MEMBER=WORK ...] [instance=I]
//! heartbeat GROUP ID GENERATION        leave GROUP ID|instance=I ...
//! commit GROUP ID GENERATION TOPIC/PARTITION=OFFSET ...
//! advance MS                           expire        delete GROUP
//! topics TOPIC=PARTITIONS ...          members GROUP
//! join ... wants=T,U [owns=T/0,U/1]    sync ... MEMBER=T/0,1   as consumers say it
//! beat GROUP MEMBER EPOCH [topics=T,U] [pattern=P] [owns=T/0,U/1|-] [instance=I] [rack=R] [assignor=A] [rebalance=MS]
//! quit GROUP MEMBER EPOCH [instance=I]
//! ```
//!
//! `beat` and `quit` are heartbeats of consumer groups; `owns=-` says that nothing is owned, and who joins always says so.
//!
//! MEMBER is who asks, and its new id where it gets one; without `id=` it has none yet. PROTOCOLS is `range,sticky`; what a
//! member says in one is its own name and the protocol's.

use crate::group::catalog::{Catalog, Topic};
use crate::group::classic::{Claim, Client, Join, Leaving, Sync};
use crate::group::consumer::{Beat, Heartbeat, JOINS, Leave, Partitions};
use crate::group::effects::{Answer, Effects, Ticket};
use crate::group::machine::{Commit, CommitPartition, Machine};
use crate::group::settings::{ConsumerSettings, Settings};
use crate::group::{Name, Now, Refusal};
use bytes::Bytes;
use expect_test::Expect;
use millrace_wire::ErrorCode;
use millrace_wire::consumer_protocol::{self, Assignment, Subscription};
use millrace_wire::group_records::GroupRecord;
use millrace_wire::group_records::consumer_group_current_member_assignment_value::TopicPartitions;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::sync::Arc;
use uuid::Uuid;

pub struct Play {
    pub machine: Machine,
    pub now: Now,
    /// Everything that was appended.
    pub log: Vec<GroupRecord>,
    asked: u64,
    /// Topics so far.
    made: u128,
    /// Who waits for an answer.
    waiting: HashMap<Ticket, String>,
    trace: String,
}

pub fn settings() -> Settings {
    Settings {
        min_session_timeout_ms: 6_000,
        max_session_timeout_ms: 1_800_000,
        max_size: 3,
        initial_rebalance_delay_ms: 3_000,
        new_member_join_timeout_ms: 300_000,
        max_offset_metadata_bytes: 8,
        offsets_retention_ms: 1_000_000,
        consumer: ConsumerSettings::default(),
        own: Arc::default(),
    }
}

/// Plays a script from the beginning.
pub fn check(script: &str, expected: Expect) {
    expected.assert_eq(&Play::new().play(script));
}

/// What a line says after its first words: `key=value`.
struct Line<'a> {
    words: Vec<&'a str>,
    options: BTreeMap<&'a str, &'a str>,
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Line<'a> {
        let (options, words): (Vec<_>, Vec<_>) =
            line.split_whitespace().partition(|word| word.contains('='));
        let options = options.iter().map(|word| word.split_once('=').unwrap());
        Line {
            words,
            options: options.collect(),
        }
    }

    fn ms(&self, key: &str, default: i32) -> i32 {
        self.options
            .get(key)
            .map_or(default, |text| text.parse().unwrap())
    }

    fn instance(&self) -> Option<Name> {
        self.options.get("instance").map(|name| Name::from(*name))
    }
}

impl Play {
    pub fn new() -> Play {
        Play {
            machine: Machine::new(settings(), Arc::default()),
            now: Now {
                clock_ms: 0,
                wall_ms: 1_000_000,
            },
            log: Vec::new(),
            asked: 0,
            made: 0,
            waiting: HashMap::new(),
            trace: String::new(),
        }
    }

    /// The trace of these commands.
    pub fn play(&mut self, script: &str) -> String {
        self.trace.clear();
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            writeln!(self.trace, "> {line}").unwrap();
            self.command(line);
        }
        std::mem::take(&mut self.trace)
    }

    fn command(&mut self, text: &str) {
        let line = Line::read(text);
        let mut effects = Effects::default();
        let said = match &line.words[..] {
            ["join", group, member, protocols] => {
                let join = self.join(&line, member, protocols);
                self.machine.join(self.now, &mut effects, group, join);
                None
            }
            ["sync", group, id, generation] => {
                let sync = self.sync(&line, id, generation);
                self.machine.sync(self.now, &mut effects, group, sync);
                None
            }
            ["heartbeat", group, id, generation] => {
                let instance = line.instance();
                let claim = claim(id, generation, &instance);
                Some(result(self.machine.heartbeat(
                    self.now,
                    &mut effects,
                    group,
                    claim,
                )))
            }
            ["leave", group, ids @ ..] => {
                let mut leaving: Vec<Leaving> = ids
                    .iter()
                    .map(|id| Leaving {
                        member_id: (*id).into(),
                        instance_id: None,
                    })
                    .collect();
                leaving.extend(line.instance().map(|instance| Leaving {
                    member_id: "".into(),
                    instance_id: Some(instance),
                }));
                let left = self.machine.leave(self.now, &mut effects, group, leaving);
                Some(match left {
                    Ok(left) => left
                        .iter()
                        .map(|one| result(one.error.map_or(Ok(()), Err)))
                        .collect::<Vec<_>>()
                        .join(" "),
                    Err(error) => result(Err(error)),
                })
            }
            ["commit", group, id, generation] => {
                let instance = None;
                let commit = Commit {
                    claim: claim(id, generation, &instance),
                    version: i16::try_from(line.ms("v", 8)).unwrap(),
                    retention_ms: line.ms("keep", -1).into(),
                    partitions: partitions(&line),
                };
                let done = self.machine.commit(self.now, &mut effects, group, commit);
                Some(each(done))
            }
            ["forget", group] => {
                let partitions: Vec<(Name, i32)> = partitions(&line)
                    .into_iter()
                    .map(|one| (one.topic, one.partition))
                    .collect();
                Some(each(self.machine.delete_offsets(
                    &mut effects,
                    group,
                    &partitions,
                )))
            }
            ["topics"] => {
                self.topics(&line);
                None
            }
            ["beat", group, member, epoch] => {
                let beat = self.beat(&line, member, epoch);
                let beaten = self
                    .machine
                    .consumer_heartbeat(self.now, &mut effects, group, &beat);
                Some(self.beaten(beaten))
            }
            ["quit", group, member, epoch] => {
                let leave = Leave {
                    member_id: (*member).into(),
                    instance_id: line.instance(),
                    epoch: epoch.parse().unwrap(),
                };
                let left = self
                    .machine
                    .consumer_leave(self.now, &mut effects, group, &leave);
                Some(self.beaten(left))
            }
            ["members", group] => Some(self.described(group)),
            ["delete", group] => Some(result(self.machine.delete(&mut effects, group))),
            ["expire"] => {
                self.machine.expire(self.now, &mut effects);
                None
            }
            ["advance", ms] => {
                let ms: u64 = ms.parse().unwrap();
                self.now.clock_ms += ms;
                self.now.wall_ms += i64::try_from(ms).unwrap();
                self.machine.tick(self.now, &mut effects);
                None
            }
            other => panic!("no command: {other:?}"),
        };
        if let Some(said) = said {
            writeln!(self.trace, "  {said}").unwrap();
        }
        self.show(effects);
    }

    fn ticket(&mut self, who: String) -> Ticket {
        let ticket = Ticket(self.asked);
        self.asked += 1;
        self.waiting.insert(ticket, who);
        ticket
    }

    fn join(&mut self, line: &Line<'_>, member: &str, protocols: &str) -> Join {
        let version = line.ms("v", 3);
        let session_timeout_ms = line.ms("session", 10_000);
        Join {
            ticket: self.ticket(format!("{member} joins")),
            member_id: line.options.get("id").copied().unwrap_or_default().into(),
            new_member_id: member.into(),
            instance_id: line.instance(),
            client: Client {
                id: "c".into(),
                host: "/h".into(),
            },
            protocol_type: line
                .options
                .get("type")
                .copied()
                .unwrap_or("consumer")
                .into(),
            protocols: protocols
                .split(',')
                .map(|name| {
                    let said = match line.options.get("wants") {
                        Some(topics) => self.subscription(line, topics),
                        None => Bytes::from(format!("{member}:{name}")),
                    };
                    (name.into(), said)
                })
                .collect(),
            session_timeout_ms,
            rebalance_timeout_ms: line.ms("rebalance", 60_000),
            can_return: version >= 4,
            can_skip_assignment: version >= 9,
        }
    }

    /// The topics that there are from now on; one keeps its id for as long as it is there.
    fn topics(&mut self, line: &Line<'_>) {
        let topics = line.options.iter().map(|(name, partitions)| {
            let known = self.machine.catalog().named(name).map(|topic| topic.id);
            self.made += 1;
            Topic {
                id: known.unwrap_or(Uuid::from_u128(self.made)),
                name: (*name).into(),
                racks: vec![BTreeSet::new(); partitions.parse().unwrap()],
            }
        });
        let topics: Vec<Topic> = topics.collect();
        let mut catalog = Catalog::from_iter(topics);
        catalog.version = self.machine.catalog().version + 1;
        self.machine.set_catalog(&Arc::new(catalog));
    }

    fn beat(&self, line: &Line<'_>, member: &str, epoch: &str) -> Heartbeat {
        let option = |key: &str| line.options.get(key).map(|text| Name::from(*text));
        let epoch = epoch.parse().unwrap();
        let owned = line.options.get("owns").map(|text| self.owned(text));
        Heartbeat {
            member_id: member.into(),
            epoch,
            client: Client {
                id: "c".into(),
                host: "/h".into(),
            },
            instance_id: line.instance(),
            rack_id: option("rack"),
            rebalance_timeout_ms: match (line.options.get("rebalance"), epoch) {
                (Some(ms), _) => Some(ms.parse().unwrap()),
                (None, JOINS) => Some(60_000),
                (None, _) => None,
            },
            topics: match (line.options.get("topics"), epoch) {
                (Some(topics), _) => Some(topics.split(',').map(Name::from).collect()),
                (None, JOINS) => Some(BTreeSet::new()),
                (None, _) => None,
            },
            pattern: option("pattern"),
            assignor: option("assignor"),
            owned: match epoch {
                JOINS => Some(Partitions::new()),
                _ => owned,
            },
        }
    }

    fn owned(&self, text: &str) -> Partitions {
        let mut owned = Partitions::new();
        for place in text.split(',').filter(|place| *place != "-") {
            let (topic, at) = place.split_once('/').unwrap();
            let topic = self.machine.catalog().named(topic).unwrap().id;
            owned.entry(topic).or_default().insert(at.parse().unwrap());
        }
        owned
    }

    /// `t/0,2`, by the names of the topics that there are.
    fn places(&self, partitions: &Partitions) -> String {
        let topics = partitions.iter().map(|(id, partitions)| {
            let topic = self.machine.catalog().with_id(id);
            let name = topic.map_or_else(|| "?".to_owned(), |topic| topic.name.to_string());
            let partitions: Vec<String> = partitions.iter().map(i32::to_string).collect();
            format!("{name}/{}", partitions.join(","))
        });
        topics.collect::<Vec<_>>().join(" ")
    }

    fn beaten(&self, beaten: Result<Beat, Refusal>) -> String {
        match beaten {
            Err(refusal) => format!("{:?}: {}", refusal.code, refusal.message),
            Ok(beat) => {
                let assignment = match &beat.assignment {
                    None => String::new(),
                    Some(partitions) => format!(", reads [{}]", self.places(partitions)),
                };
                let next = match beat.heartbeat_interval_ms {
                    5_000 | 0 => String::new(),
                    ms => format!(", again in {ms} ms"),
                };
                format!(
                    "{} is in epoch {}{assignment}{next}",
                    beat.member_id, beat.epoch
                )
            }
        }
    }

    fn described(&self, group: &str) -> String {
        let described = match self.machine.describe_consumer(group) {
            Ok(described) => described,
            Err(refusal) => return refusal.message,
        };
        let members = described.members.iter().map(|one| {
            let target = match one.target == one.assignment {
                true => String::new(),
                false => format!(" of [{}]", self.places(&one.target)),
            };
            format!(
                "{} {}: [{}]{target}",
                one.id,
                one.epoch,
                self.places(&one.assignment)
            )
        });
        format!(
            "{} {}/{} {} ({})",
            described.state.name(),
            described.target_epoch,
            described.epoch,
            described.assignor,
            members.collect::<Vec<_>>().join("; ")
        )
    }

    /// As consumers write it.
    fn subscription(&self, line: &Line<'_>, topics: &str) -> Bytes {
        let mut owned = consumer_protocol::Partitions::new();
        for place in line
            .options
            .get("owns")
            .into_iter()
            .flat_map(|text| text.split(','))
        {
            let (topic, at) = place.split_once('/').unwrap();
            owned
                .entry(topic.into())
                .or_default()
                .insert(at.parse().unwrap());
        }
        let subscription = Subscription {
            topics: topics.split(',').map(str::to_owned).collect(),
            owned,
            ..Subscription::default()
        };
        subscription.encode().unwrap()
    }

    fn sync(&mut self, line: &Line<'_>, id: &str, generation: &str) -> Sync {
        let work = line.options.iter().filter(|(key, _)| **key != "instance");
        Sync {
            ticket: self.ticket(format!("{id} syncs")),
            member_id: id.into(),
            instance_id: line.instance(),
            generation: generation.parse().unwrap(),
            protocol_type: None,
            protocol: None,
            assignments: work
                .map(|(member, work)| ((*member).into(), assigned(work)))
                .collect(),
        }
    }

    fn show(&mut self, effects: Effects) {
        for record in effects.records {
            writeln!(self.trace, "  + {}", shown(&record)).unwrap();
            self.log.push(record);
        }
        for (ticket, answer) in effects.answers {
            let who = self
                .waiting
                .remove(&ticket)
                .expect("nobody is answered twice");
            writeln!(self.trace, "  {who}: {}", told(&answer)).unwrap();
        }
    }
}

fn claim<'a>(id: &'a str, generation: &str, instance: &'a Option<Name>) -> Claim<'a> {
    Claim {
        member_id: if id == "-" { "" } else { id },
        instance_id: instance.as_deref(),
        generation: generation.parse().unwrap(),
    }
}

/// `t/0=5` commits offset 5, with as much metadata as `meta=` says.
fn partitions(line: &Line<'_>) -> Vec<CommitPartition> {
    let metadata = "m".repeat(usize::try_from(line.ms("meta", 0)).unwrap());
    let partitions = line.options.iter().filter(|(key, _)| key.contains('/'));
    let partition = |(place, offset): (&&str, &&str)| {
        let (topic, partition) = place.split_once('/').unwrap();
        CommitPartition {
            topic: topic.into(),
            topic_id: uuid::Uuid::nil(),
            partition: partition.parse().unwrap(),
            offset: offset.parse().unwrap(),
            leader_epoch: -1,
            metadata: Some(millrace_wire::messages::StrBytes::from_string(
                metadata.clone(),
            )),
        }
    };
    partitions.map(partition).collect()
}

fn result(result: Result<(), ErrorCode>) -> String {
    result.map_or_else(|error| format!("{error:?}"), |()| "ok".to_owned())
}

fn each(results: Result<Vec<Option<ErrorCode>>, ErrorCode>) -> String {
    match results {
        Ok(results) => results
            .into_iter()
            .map(|one| result(one.map_or(Ok(()), Err)))
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => result(Err(error)),
    }
}

/// `t/0,1` is written as consumers do, anything else is taken as it is.
fn assigned(work: &str) -> Bytes {
    let Some((topic, partitions)) = work.split_once('/') else {
        return Bytes::from(work.to_owned());
    };
    let partitions = partitions.split(',').map(|at| at.parse().unwrap());
    let assignment = Assignment {
        partitions: [(topic.into(), partitions.collect())].into(),
        user_data: None,
    };
    assignment.encode(consumer_protocol::VERSION).unwrap()
}

/// What a member has said: the topics of those who say it as consumers do.
fn text(bytes: &[u8]) -> String {
    match Subscription::decode(Bytes::copy_from_slice(bytes)) {
        Ok(subscription) if bytes.starts_with(b"\0") => subscription.topics.join(","),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// What a member was given, likewise.
fn work(bytes: &[u8]) -> String {
    let assignment = match Assignment::decode(Bytes::copy_from_slice(bytes)) {
        Ok(assignment) if bytes.starts_with(b"\0") => assignment,
        _ => return String::from_utf8_lossy(bytes).into_owned(),
    };
    let topics = assignment.partitions.into_iter();
    let topics = topics.map(|(topic, partitions)| {
        let partitions: Vec<String> = partitions.iter().map(i32::to_string).collect();
        format!("{topic}/{}", partitions.join(","))
    });
    topics.collect::<Vec<_>>().join(" ")
}

fn shown(record: &GroupRecord) -> String {
    match record {
        GroupRecord::GroupMetadata(key, None) => format!("group {} is gone", &*key.group),
        GroupRecord::GroupMetadata(key, Some(value)) => {
            let members = value
                .members
                .iter()
                .map(|member| format!("{}={}", &*member.member_id, work(&member.assignment)));
            format!(
                "group {} generation {} {} leader {} [{}]",
                &*key.group,
                value.generation,
                value.protocol.as_deref().unwrap_or("-"),
                value.leader.as_deref().unwrap_or("-"),
                members.collect::<Vec<_>>().join(" ")
            )
        }
        GroupRecord::OffsetCommit(key, value) => {
            let place = format!("{} {}/{}", &*key.group, &*key.topic, key.partition);
            match value {
                Some(value) => format!("offset of {place} is {}", value.offset),
                None => format!("offset of {place} is gone"),
            }
        }
        other => consumer(other),
    }
}

/// Records of consumer groups, short: what they say in full is told by who replays them.
fn consumer(record: &GroupRecord) -> String {
    match record {
        GroupRecord::ConsumerGroupMetadata(key, Some(value)) => {
            format!("group {} epoch {}", &*key.group_id, value.epoch)
        }
        GroupRecord::ConsumerGroupMetadata(key, None) => {
            format!("group {} is gone", &*key.group_id)
        }
        GroupRecord::ConsumerGroupMemberMetadata(key, value) => {
            let what = value.as_ref().map_or("is gone", |_| "said");
            format!("member {} {what}", &*key.member_id)
        }
        GroupRecord::ConsumerGroupTargetAssignmentMetadata(_, value) => {
            let epoch = value.as_ref().map(|value| value.assignment_epoch);
            format!("target of epoch {epoch:?}")
        }
        GroupRecord::ConsumerGroupTargetAssignmentMember(key, value) => {
            let count = value.as_ref().map(|value| {
                let topics = value.topic_partitions.iter();
                topics.map(|topic| topic.partitions.len()).sum::<usize>()
            });
            format!("target of {}: {count:?}", &*key.member_id)
        }
        GroupRecord::ConsumerGroupCurrentMemberAssignment(key, value) => match value {
            None => format!("place of {} is gone", &*key.member_id),
            Some(value) => {
                let count = |topics: &[TopicPartitions]| {
                    topics
                        .iter()
                        .map(|topic| topic.partitions.len())
                        .sum::<usize>()
                };
                format!(
                    "place of {}: epoch {} after {}, state {}, reads {}, gives back {}",
                    &*key.member_id,
                    value.member_epoch,
                    value.previous_member_epoch,
                    value.state,
                    count(&value.assigned_partitions),
                    count(&value.partitions_pending_revocation)
                )
            }
        },
        GroupRecord::ConsumerGroupRegularExpression(key, value) => {
            let topics = value.as_ref().map(|value| {
                let topics: Vec<&str> = value.topics.iter().map(|topic| &**topic).collect();
                topics.join(",")
            });
            format!("pattern {} {topics:?}", &*key.regular_expression)
        }
        other => format!("{other:?}"),
    }
}

fn told(answer: &Answer) -> String {
    match answer {
        Answer::Join(joined) if joined.error.is_some() => {
            format!("{:?}, id {:?}", joined.error.unwrap(), &*joined.member_id)
        }
        Answer::Join(joined) => {
            let members = joined
                .members
                .iter()
                .map(|one| format!("{} {}", one.member_id, text(&one.metadata)));
            format!(
                "{} is in generation {} {} leader {}{} [{}]",
                joined.member_id,
                joined.generation,
                joined.protocol.as_deref().unwrap_or("-"),
                joined.leader.as_deref().unwrap_or("-"),
                if joined.skips_assignment {
                    ", assigns nothing"
                } else {
                    ""
                },
                members.collect::<Vec<_>>().join(", ")
            )
        }
        Answer::Sync(synced) => match synced.error {
            Some(error) => format!("{error:?}"),
            None => format!("does {:?}", work(&synced.assignment)),
        },
    }
}
