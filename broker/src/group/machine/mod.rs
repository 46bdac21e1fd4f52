//! The groups of one partition of `__consumer_offsets`: told a request and the time, says what to append and whom to answer.
//!
//! Nothing here waits, reads a clock or draws at random: the same calls have the same effects.

mod admin;
mod commit;
mod consumer;
mod expiry;
mod replay;

pub use admin::{Described, DescribedMember, Listed};
pub use commit::{Commit, CommitPartition};

use super::catalog::Catalog;
use super::classic::{self, Claim, ClassicGroup, Join, Leaving, Left, Sync};
use super::consumer::{ConsumerGroup, GroupState};
use super::effects::{Effects, Joined, Synced};
use super::offsets::Offsets;
use super::settings::Settings;
use super::timers::{Timer, Timers};
use super::{Name, Now, Refusal, Scene};
use millrace_wire::ErrorCode;
use millrace_wire::group_records::GroupRecord;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

#[derive(Debug)]
pub struct Machine {
    settings: Arc<Settings>,
    catalog: Arc<Catalog>,
    groups: HashMap<Name, Group>,
    offsets: Offsets,
    timers: Timers,
}

/// A group of either protocol.
#[derive(Debug)]
pub enum Group {
    Classic(ClassicGroup),
    Consumer(ConsumerGroup),
}

impl Group {
    /// As Kafka's tools print it.
    pub fn state(&self) -> &'static str {
        match self {
            Group::Classic(group) => group.state().name(),
            Group::Consumer(group) => group.state().name(),
        }
    }

    pub fn members(&self) -> usize {
        match self {
            Group::Classic(group) => group.members().len(),
            Group::Consumer(group) => group.members().len(),
        }
    }

    /// Nobody is in it, and nobody is about to be.
    fn is_empty(&self) -> bool {
        match self {
            Group::Classic(group) => group.state() == classic::State::Empty && group.is_unclaimed(),
            Group::Consumer(group) => group.state() == GroupState::Empty,
        }
    }

    /// Whether it may be known which topics the members read.
    fn is_of_consumers(&self) -> bool {
        match self {
            Group::Classic(group) => group.is_of_consumers(),
            Group::Consumer(_) => true,
        }
    }

    /// `None` when that is not known.
    fn subscribed_topics(&self) -> Option<BTreeSet<Name>> {
        match self {
            Group::Classic(group) => group.subscribed_topics(),
            Group::Consumer(group) => Some(group.subscribed_topics()),
        }
    }

    /// What takes it out of the log.
    fn tombstones(&self, id: &Name) -> Vec<GroupRecord> {
        match self {
            Group::Classic(_) => vec![classic::tombstone(id)],
            Group::Consumer(group) => group.tombstones(),
        }
    }
}

impl Machine {
    pub fn new(settings: impl Into<Arc<Settings>>, catalog: Arc<Catalog>) -> Machine {
        Machine {
            settings: settings.into(),
            catalog,
            groups: HashMap::new(),
            offsets: Offsets::default(),
            timers: Timers::default(),
        }
    }

    /// Topics have come, gone or changed. Groups look at them when somebody speaks.
    pub fn set_catalog(&mut self, catalog: &Arc<Catalog>) {
        if catalog.version > self.catalog.version {
            self.catalog = catalog.clone();
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// From now on it goes by these: what is under way ends as it began.
    pub fn set_settings(&mut self, settings: &Arc<Settings>) {
        if !Arc::ptr_eq(&self.settings, settings) {
            self.settings = settings.clone();
        }
    }

    pub fn join(&mut self, now: Now, effects: &mut Effects, group: &str, join: Join) {
        if !(self.settings.min_session_timeout_ms..=self.settings.max_session_timeout_ms)
            .contains(&join.session_timeout_ms)
        {
            let answer = Joined::failed(ErrorCode::InvalidSessionTimeout, join.member_id);
            return effects.joined(join.ticket, answer);
        }
        if let Some(Group::Consumer(found)) = self.groups.get(group) {
            if found.state() == GroupState::Empty {
                // Who says that it was in there is told that it is not.
                if join.member_id.is_empty() {
                    effects.records.extend(found.tombstones());
                    self.groups.remove(group);
                }
            } else if let Some((Group::Consumer(group), mut scene)) =
                self.scene(now, effects, group)
            {
                let id = group.id.clone();
                group.join(&mut scene, join);
                return self.downgrade_if_last(now, effects, &id);
            }
        }
        if !self.groups.contains_key(group) {
            if !join.member_id.is_empty() {
                let answer = Joined::failed(ErrorCode::UnknownMemberId, join.member_id);
                return effects.joined(join.ticket, answer);
            }
            let id = Name::from(group);
            let group = ClassicGroup::new(id.clone(), now.wall_ms);
            self.groups.insert(id, Group::Classic(group));
        }
        match self.scene(now, effects, group) {
            Some((Group::Classic(group), mut scene)) => group.join(&mut scene, join),
            _ => {
                let answer = Joined::failed(ErrorCode::UnknownMemberId, join.member_id);
                effects.joined(join.ticket, answer);
            }
        }
    }

    pub fn sync(&mut self, now: Now, effects: &mut Effects, group: &str, sync: Sync) {
        match self.scene(now, effects, group) {
            Some((Group::Classic(group), mut scene)) => group.sync(&mut scene, sync),
            Some((Group::Consumer(group), mut scene)) => group.sync(&mut scene, &sync),
            None => effects.synced(sync.ticket, Synced::failed(ErrorCode::UnknownMemberId)),
        }
    }

    pub fn heartbeat(
        &mut self,
        now: Now,
        effects: &mut Effects,
        group: &str,
        claim: Claim<'_>,
    ) -> Result<(), ErrorCode> {
        match self.scene(now, effects, group) {
            Some((Group::Classic(group), mut scene)) => group.heartbeat(&mut scene, claim),
            Some((Group::Consumer(group), mut scene)) => group.classic_heartbeat(&mut scene, claim),
            None => Err(ErrorCode::UnknownMemberId),
        }
    }

    pub fn leave(
        &mut self,
        now: Now,
        effects: &mut Effects,
        group: &str,
        leaving: Vec<Leaving>,
    ) -> Result<Vec<Left>, ErrorCode> {
        match self.scene(now, effects, group) {
            Some((Group::Classic(group), mut scene)) => Ok(group.leave(&mut scene, leaving)),
            Some((Group::Consumer(group), mut scene)) => {
                let id = group.id.clone();
                let left = group.classic_leave(&mut scene, leaving);
                self.downgrade_if_last(now, effects, &id);
                Ok(left)
            }
            None => Err(ErrorCode::UnknownMemberId),
        }
    }

    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    pub fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    /// When [`Machine::tick`] has something to do.
    pub fn next_ms(&self) -> Option<u64> {
        self.timers.next_ms()
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Now, effects: &mut Effects) {
        while let Some(timer) = self.timers.pop(now.clock_ms) {
            let (Timer::Session { group, .. }
            | Timer::Revocation { group, .. }
            | Timer::Rejoining { group, .. }
            | Timer::Syncing { group, .. }
            | Timer::Pending { group, .. }
            | Timer::Join { group }
            | Timer::Sync { group }) = &timer;
            match self.scene(now, effects, group) {
                None => {}
                Some((Group::Classic(group), mut scene)) => match &timer {
                    Timer::Session { member, .. } => group.session_timed_out(&mut scene, member),
                    Timer::Pending { member, .. } => group.pending_timed_out(&mut scene, member),
                    Timer::Join { .. } => group.join_timed_out(&mut scene),
                    Timer::Sync { .. } => group.sync_timed_out(&mut scene),
                    Timer::Revocation { .. } | Timer::Rejoining { .. } | Timer::Syncing { .. } => {}
                },
                Some((Group::Consumer(group), mut scene)) => {
                    match &timer {
                        Timer::Session { member, .. } => {
                            group.session_timed_out(&mut scene, member);
                        }
                        Timer::Revocation { member, .. } => {
                            group.revocation_timed_out(&mut scene, member);
                        }
                        Timer::Rejoining { member, .. } | Timer::Syncing { member, .. } => {
                            group.classic_timed_out(&mut scene, member);
                        }
                        Timer::Pending { .. } | Timer::Join { .. } | Timer::Sync { .. } => {}
                    }
                    let id = group.id.clone();
                    self.downgrade_if_last(now, effects, &id);
                }
            }
        }
    }

    /// A group in which nobody speaks the new protocol any more goes on as a classic one.
    fn downgrade_if_last(&mut self, now: Now, effects: &mut Effects, id: &Name) {
        let Some(Group::Consumer(group)) = self.groups.get(id) else {
            return;
        };
        if !group.may_be_classic(&self.settings) {
            return;
        }
        if let Some((group, mut scene)) = self.scene(now, effects, id)
            && let Group::Consumer(consumers) = group
        {
            *group = Group::Classic(consumers.downgraded(&mut scene));
        }
    }

    fn scene<'a>(
        &'a mut self,
        now: Now,
        effects: &'a mut Effects,
        group: &str,
    ) -> Option<(&'a mut Group, Scene<'a>)> {
        let group = self.groups.get_mut(group)?;
        let scene = Scene {
            now,
            settings: &self.settings,
            catalog: &self.catalog,
            timers: &mut self.timers,
            effects,
        };
        Some((group, scene))
    }
}

fn not_found(group: &str) -> Refusal {
    let message = format!("Group {group} not found.");
    Refusal::new(ErrorCode::GroupIdNotFound, message)
}
