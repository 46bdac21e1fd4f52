//! The stage: reads commands, gives them to a machine, and writes down what comes of it.
//!
//! ```text
//! join GROUP MEMBER PROTOCOLS [instance=I] [id=ID] [v=VERSION] [session=MS] [rebalance=MS] [type=T]
//! sync GROUP ID GENERATION [MEMBER=WORK ...] [instance=I]
//! heartbeat GROUP ID GENERATION        leave GROUP ID|instance=I ...
//! commit GROUP ID GENERATION TOPIC/PARTITION=OFFSET ...
//! advance MS                           expire        delete GROUP
//! ```
//!
//! MEMBER is who asks, and its new id where it gets one; without `id=` it has none yet. PROTOCOLS is `range,sticky`; what a
//! member says in one is its own name and the protocol's.

use crate::group::classic::{Claim, Client, Join, Leaving, Sync};
use crate::group::effects::{Answer, Effects, Ticket};
use crate::group::machine::{Commit, CommitPartition, Machine};
use crate::group::settings::{ConsumerSettings, Settings};
use crate::group::{Name, Now};
use bytes::Bytes;
use expect_test::Expect;
use millrace_wire::ErrorCode;
use millrace_wire::group_records::GroupRecord;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::Arc;

pub struct Play {
    pub machine: Machine,
    pub now: Now,
    /// Everything that was appended.
    pub log: Vec<GroupRecord>,
    asked: u64,
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
            machine: Machine::new(settings()),
            now: Now {
                clock_ms: 0,
                wall_ms: 1_000_000,
            },
            log: Vec::new(),
            asked: 0,
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
                .map(|name| (name.into(), Bytes::from(format!("{member}:{name}"))))
                .collect(),
            session_timeout_ms,
            rebalance_timeout_ms: line.ms("rebalance", 60_000),
            can_return: version >= 4,
            can_skip_assignment: version >= 9,
        }
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
                .map(|(member, work)| ((*member).into(), Bytes::from((*work).to_owned())))
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

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shown(record: &GroupRecord) -> String {
    match record {
        GroupRecord::GroupMetadata(key, None) => format!("group {} is gone", &*key.group),
        GroupRecord::GroupMetadata(key, Some(value)) => {
            let members = value
                .members
                .iter()
                .map(|member| format!("{}={}", &*member.member_id, text(&member.assignment)));
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
            None => format!("does {:?}", text(&synced.assignment)),
        },
    }
}
