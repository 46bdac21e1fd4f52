//! The groups of one partition of `__consumer_offsets`: told a request and the time, says what to append and whom to answer.
//!
//! Nothing here waits, reads a clock or draws at random: the same calls have the same effects.

mod admin;
mod commit;
mod expiry;
mod replay;

pub use admin::{Described, DescribedMember, Listed};
pub use commit::{Commit, CommitPartition};

use super::classic::{Claim, ClassicGroup, Join, Leaving, Left, Sync};
use super::effects::{Effects, Joined, Synced};
use super::offsets::Offsets;
use super::settings::Settings;
use super::timers::{Timer, Timers};
use super::{Name, Now, Scene};
use millrace_wire::ErrorCode;
use std::collections::HashMap;

#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    groups: HashMap<Name, ClassicGroup>,
    offsets: Offsets,
    timers: Timers,
}

impl Machine {
    pub fn new(settings: Settings) -> Machine {
        Machine {
            settings,
            groups: HashMap::new(),
            offsets: Offsets::default(),
            timers: Timers::default(),
        }
    }

    pub fn join(&mut self, now: Now, effects: &mut Effects, group: &str, join: Join) {
        if !(self.settings.min_session_timeout_ms..=self.settings.max_session_timeout_ms)
            .contains(&join.session_timeout_ms)
        {
            let answer = Joined::failed(ErrorCode::InvalidSessionTimeout, join.member_id);
            return effects.joined(join.ticket, answer);
        }
        if !self.groups.contains_key(group) {
            if !join.member_id.is_empty() {
                let answer = Joined::failed(ErrorCode::UnknownMemberId, join.member_id);
                return effects.joined(join.ticket, answer);
            }
            let id = Name::from(group);
            let group = ClassicGroup::new(id.clone(), now.wall_ms);
            self.groups.insert(id, group);
        }
        let (group, mut scene) = self.scene(now, effects, group).expect("it was just made");
        group.join(&mut scene, join);
    }

    pub fn sync(&mut self, now: Now, effects: &mut Effects, group: &str, sync: Sync) {
        match self.scene(now, effects, group) {
            Some((group, mut scene)) => group.sync(&mut scene, sync),
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
        let (group, mut scene) = self
            .scene(now, effects, group)
            .ok_or(ErrorCode::UnknownMemberId)?;
        group.heartbeat(&mut scene, claim)
    }

    pub fn leave(
        &mut self,
        now: Now,
        effects: &mut Effects,
        group: &str,
        leaving: Vec<Leaving>,
    ) -> Result<Vec<Left>, ErrorCode> {
        let (group, mut scene) = self
            .scene(now, effects, group)
            .ok_or(ErrorCode::UnknownMemberId)?;
        Ok(group.leave(&mut scene, leaving))
    }

    pub fn groups(&self) -> impl Iterator<Item = &ClassicGroup> {
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
            | Timer::Pending { group, .. }
            | Timer::Join { group }
            | Timer::Sync { group }) = &timer;
            let Some((group, mut scene)) = self.scene(now, effects, group) else {
                continue;
            };
            match &timer {
                Timer::Session { member, .. } => group.session_timed_out(&mut scene, member),
                Timer::Pending { member, .. } => group.pending_timed_out(&mut scene, member),
                Timer::Join { .. } => group.join_timed_out(&mut scene),
                Timer::Sync { .. } => group.sync_timed_out(&mut scene),
            }
        }
    }

    fn scene<'a>(
        &'a mut self,
        now: Now,
        effects: &'a mut Effects,
        group: &str,
    ) -> Option<(&'a mut ClassicGroup, Scene<'a>)> {
        let group = self.groups.get_mut(group)?;
        let scene = Scene {
            now,
            settings: &self.settings,
            timers: &mut self.timers,
            effects,
        };
        Some((group, scene))
    }
}
