//! What a consumer group is, and what can be asked of it without changing it.

use super::member::{Member, Position};
use super::pattern::Matches;
use super::{JOINS, Partitions};
use crate::group::catalog::Catalog;
use crate::group::settings::Settings;
use crate::group::timers::Timer;
use crate::group::{Name, Refusal, Scene};
use millrace_wire::ErrorCode;
use siphasher::sip::SipHasher13;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hasher;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    Empty,
    /// It is not decided yet who reads what.
    Assigning,
    /// Members are on their way to what was decided.
    Reconciling,
    Stable,
}

impl GroupState {
    /// As Kafka's tools print it.
    pub fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::Assigning => "Assigning",
            GroupState::Reconciling => "Reconciling",
            GroupState::Stable => "Stable",
        }
    }
}

#[derive(Debug)]
pub struct ConsumerGroup {
    pub id: Name,
    /// Grows with every change that asks for another assignment.
    pub(super) epoch: i32,
    /// Of the topics that members want, as they were when the epoch began.
    pub(super) metadata_hash: i64,
    /// The catalog that the hash is of.
    pub(super) seen_catalog: u64,
    pub(super) members: BTreeMap<Name, Member>,
    /// Members by the name of their instance.
    pub(super) instances: HashMap<Name, Name>,
    pub(super) target: Target,
    /// Who holds a partition: it reads it, or has not yet given it back.
    pub(super) holders: HashMap<(Uuid, i32), Name>,
    /// What the patterns of members stand for.
    pub(super) patterns: BTreeMap<Name, Matches>,
}

/// Who is to read what.
#[derive(Debug, Default)]
pub(super) struct Target {
    /// The group's epoch that it was decided for.
    pub epoch: i32,
    pub at_ms: i64,
    pub members: BTreeMap<Name, Partitions>,
}

/// Of a group that nobody has ever been in; its first member begins the next one.
const FIRST_EPOCH: i32 = 1;

pub(super) static NOTHING: Partitions = Partitions::new();

impl ConsumerGroup {
    pub fn new(id: Name) -> ConsumerGroup {
        ConsumerGroup {
            id,
            epoch: FIRST_EPOCH,
            metadata_hash: 0,
            seen_catalog: 0,
            members: BTreeMap::new(),
            instances: HashMap::new(),
            target: Target::default(),
            holders: HashMap::new(),
            patterns: BTreeMap::new(),
        }
    }

    pub fn state(&self) -> GroupState {
        let target = self.target.epoch;
        let is_there = |member: &Member| member.at.has_reached(target);
        if self.members.is_empty() {
            GroupState::Empty
        } else if self.epoch > target {
            GroupState::Assigning
        } else if self.members.values().all(is_there) {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    /// Nobody has ever been in it.
    pub fn is_untouched(&self) -> bool {
        self.epoch == FIRST_EPOCH && self.members.is_empty()
    }

    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    pub(super) fn member(&self, id: &str) -> Result<&Member, Refusal> {
        self.members.get(id).ok_or_else(|| {
            let message = format!("Member {id} is not a member of group {}.", self.id);
            Refusal::new(ErrorCode::UnknownMemberId, message)
        })
    }

    /// What a member is to read.
    pub(super) fn target_of(&self, member: &str) -> &Partitions {
        self.target.members.get(member).unwrap_or(&NOTHING)
    }

    /// All topics that members want, by name, whether they exist or not.
    pub fn subscribed_topics(&self) -> BTreeSet<Name> {
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(member.said.topics.iter().cloned());
        }
        for matches in self.patterns.values() {
            topics.extend(matches.topics.iter().cloned());
        }
        topics
    }

    /// The topics that a member wants and that exist.
    pub(super) fn wishes(&self, member: &Member, catalog: &Catalog) -> BTreeSet<Uuid> {
        let pattern = member.said.pattern.as_ref();
        let matches = pattern.and_then(|pattern| self.patterns.get(pattern));
        let matched = matches.into_iter().flat_map(|matches| &matches.topics);
        let names = member.said.topics.iter().chain(matched);
        names
            .filter_map(|name| Some(catalog.named(name)?.id))
            .collect()
    }

    /// The assignor that most of those wish for who have a wish; the broker's first where nobody has.
    pub(super) fn assignor(&self, settings: &Settings) -> super::assignor::Assignor {
        let mut votes: BTreeMap<usize, usize> = BTreeMap::new();
        let known = &settings.consumer.assignors;
        for member in self.members.values() {
            let wish = member.said.assignor.as_deref();
            let at = wish.and_then(|wish| known.iter().position(|one| one.name() == wish));
            if let Some(at) = at {
                *votes.entry(at).or_default() += 1;
            }
        }
        // Among equals the one that the broker names first.
        let most = votes
            .iter()
            .max_by_key(|(at, votes)| (**votes, usize::MAX - **at));
        let at = most.map_or(0, |(at, _)| *at);
        known
            .get(at)
            .copied()
            .unwrap_or(super::assignor::Assignor::Uniform)
    }

    /// Changes whenever a topic that somebody wants does, in a way that matters to who reads what.
    pub(super) fn hash(&self, catalog: &Catalog) -> i64 {
        // The same in every process: it is compared with what is in the log.
        let mut hash = SipHasher13::new();
        for name in self.subscribed_topics() {
            let Some(topic) = catalog.named(&name) else {
                continue;
            };
            hash.write(topic.id.as_bytes());
            hash.write(name.as_bytes());
            for racks in &topic.racks {
                hash.write_u8(0xff);
                for rack in racks {
                    hash.write(rack.as_bytes());
                    hash.write_u8(0xfe);
                }
            }
        }
        hash.finish().cast_signed()
    }

    /// A member is somewhere else from now on.
    pub(super) fn place(&mut self, id: &Name, at: Position) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        for held in member.at.held() {
            if self.holders.get(&held) == Some(id) {
                self.holders.remove(&held);
            }
        }
        for held in at.held() {
            self.holders.insert(held, id.clone());
        }
        member.at = at;
    }

    /// Takes a member out, with everything that it holds.
    pub(super) fn forget(&mut self, id: &Name) -> Option<Member> {
        self.place(id, Position::default());
        let member = self.members.remove(id)?;
        if let Some(instance) = &member.said.instance_id
            && self.instances.get(instance) == Some(id)
        {
            self.instances.remove(instance);
        }
        self.target.members.remove(id);
        Some(member)
    }

    /// Whether a member that speaks with an epoch is the one that is known.
    pub(super) fn check_epoch(
        member: &Member,
        epoch: i32,
        owned: Option<&Partitions>,
    ) -> Result<(), Refusal> {
        let known = member.at.epoch;
        let fenced = |how: &str| {
            Err(Refusal::new(
                ErrorCode::FencedMemberEpoch,
                format!(
                    "The consumer group member has a {how} member epoch ({epoch}) than the one known by the group coordinator \
                     ({known}). The member must abandon all its partitions and rejoin."
                ),
            ))
        };
        match epoch {
            // Who joins has nothing.
            JOINS => Ok(()),
            _ if epoch > known => fenced("greater"),
            _ if epoch < known && !member.at.may_follow(epoch, owned) => fenced("smaller"),
            _ => Ok(()),
        }
    }

    /// Nothing is to happen any more if this member is silent.
    pub(super) fn expects_nothing(&self, scene: &mut Scene<'_>, member: &Name) {
        for timer in [
            self.session(member),
            self.revocation(member),
            self.rejoining(member),
            self.syncing(member),
        ] {
            scene.timers.cancel(&timer);
        }
    }

    pub(super) fn session(&self, member: &Name) -> Timer {
        let (group, member) = (self.id.clone(), member.clone());
        Timer::Session { group, member }
    }

    pub(super) fn revocation(&self, member: &Name) -> Timer {
        let (group, member) = (self.id.clone(), member.clone());
        Timer::Revocation { group, member }
    }
}
