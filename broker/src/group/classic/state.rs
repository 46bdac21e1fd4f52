//! What a classic group is, and what can be asked of it without changing it.

use super::Member;
use crate::group::Name;
use crate::group::timers::Timer;
use bytes::Bytes;
use millrace_wire::ErrorCode;
use std::collections::{BTreeMap, BTreeSet, HashMap};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody is in it; it may have offsets.
    Empty,
    /// Members are asked to join the next generation.
    PreparingRebalance,
    /// The generation has begun, and its leader has not yet said who does what.
    CompletingRebalance,
    Stable,
}

impl State {
    /// As Kafka's tools print it.
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

#[derive(Debug)]
pub struct ClassicGroup {
    pub id: Name,
    pub(super) state: State,
    /// When it came into its state.
    pub(super) since_ms: i64,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<Name>,
    pub(super) protocol: Option<Name>,
    pub(super) leader: Option<Name>,
    pub(super) members: BTreeMap<Name, Member>,
    /// Members by the name of their instance (KIP-345).
    pub(super) instances: HashMap<Name, Name>,
    /// Ids that were given out and not yet come back with.
    pub(super) pending_joins: BTreeSet<Name>,
    /// Members that have joined the generation and not asked for their assignment.
    pub(super) pending_syncs: BTreeSet<Name>,
    /// Of the first rebalance: what remains of the time that it may wait for more members, and whether one came meanwhile.
    pub(super) first: Option<FirstRebalance>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct FirstRebalance {
    pub remaining_ms: u64,
    pub has_grown: bool,
}

/// What belongs to a generation and its members.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    pub member_id: &'a str,
    pub instance_id: Option<&'a str>,
    pub generation: i32,
}

impl ClassicGroup {
    pub fn new(id: Name, wall_ms: i64) -> ClassicGroup {
        ClassicGroup {
            id,
            state: State::Empty,
            since_ms: wall_ms,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: HashMap::new(),
            pending_joins: BTreeSet::new(),
            pending_syncs: BTreeSet::new(),
            first: None,
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn generation(&self) -> i32 {
        self.generation
    }

    pub fn protocol_type(&self) -> Option<&Name> {
        self.protocol_type.as_ref()
    }

    /// When it came into its state; -1 where that is not known.
    pub fn since_ms(&self) -> i64 {
        self.since_ms
    }

    /// Nobody has been given an id to come back with.
    pub fn is_unclaimed(&self) -> bool {
        self.pending_joins.is_empty()
    }

    /// Chosen with the generation.
    pub fn protocol(&self) -> Option<&Name> {
        self.protocol.as_ref()
    }

    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    /// What a member has to say in the chosen protocol.
    pub fn metadata_of(&self, member: &Member) -> Bytes {
        let chosen = self.protocol.as_ref();
        let metadata = chosen.and_then(|protocol| member.metadata(protocol));
        metadata.cloned().unwrap_or_default()
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    /// Whether someone with these protocols can be among the present members.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[(Name, Bytes)]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let in_common =
            |(name, _): &(Name, Bytes)| self.members.values().all(|member| member.supports(name));
        self.protocol_type.as_deref() == Some(protocol_type) && protocols.iter().any(in_common)
    }

    /// The member that a request speaks for.
    pub(super) fn claimed(&self, claim: Claim<'_>) -> Result<&Member, ErrorCode> {
        if let Some(instance) = claim.instance_id {
            match self.instances.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                // Somebody else has taken its place.
                Some(id) if **id != *claim.member_id => {
                    return Err(ErrorCode::FencedInstanceId);
                }
                Some(_) => {}
            }
        }
        self.members
            .get(claim.member_id)
            .ok_or(ErrorCode::UnknownMemberId)
    }

    /// The same of a request that also says its generation.
    pub(super) fn claimed_now(&self, claim: Claim<'_>) -> Result<&Member, ErrorCode> {
        let member = self.claimed(claim)?;
        match claim.generation == self.generation {
            true => Ok(member),
            false => Err(ErrorCode::IllegalGeneration),
        }
    }

    pub(super) fn enter(&mut self, state: State, wall_ms: i64) {
        self.state = state;
        self.since_ms = wall_ms;
    }

    /// How long a rebalance waits: as long as its most patient member.
    pub(super) fn rebalance_timeout_ms(&self) -> u64 {
        let longest = self
            .members
            .values()
            .map(|member| member.rebalance_timeout_ms);
        longest.max().map_or(0, |ms| u64::try_from(ms).unwrap_or(0))
    }

    pub(super) fn session(&self, member: &Name) -> Timer {
        let (group, member) = (self.id.clone(), member.clone());
        Timer::Session { group, member }
    }

    pub(super) fn pending(&self, member: &Name) -> Timer {
        let (group, member) = (self.id.clone(), member.clone());
        Timer::Pending { group, member }
    }

    pub(super) fn join_timer(&self) -> Timer {
        Timer::Join {
            group: self.id.clone(),
        }
    }

    pub(super) fn sync_timer(&self) -> Timer {
        Timer::Sync {
            group: self.id.clone(),
        }
    }
}
