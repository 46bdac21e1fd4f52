//! What the control plane of a cluster would do: memberships, incarnations, leaders.

use crate::oracle::Checked;
use crate::world::World;
use millrace_broker::raft::ports::{GroupId, PeerId};
use millrace_broker::raft::{Reply, Role, Status};
use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState};
use rand::Rng;
use std::collections::BTreeSet;

impl World {
    pub fn status(&self, broker: usize, group: GroupId) -> Option<Status> {
        self.brokers[broker].running.as_ref()?.worker.status(group)
    }

    /// The last index that any replica has ever applied.
    fn last_applied(&self, group: GroupId) -> u64 {
        let live = (0..self.brokers.len()).filter_map(|broker| self.status(broker, group));
        let live = live.map(|status| status.applied).max().unwrap_or(0);
        let before = self.applied.get(&group).copied().unwrap_or(0);
        live.max(before)
            .max(self.oracle.truth(group).last_applied())
    }

    /// A broker is about to lose its memory.
    pub fn remember_applied(&mut self, broker: usize) {
        for group in self.configs.keys().copied() {
            if let Some(status) = self.status(broker, group) {
                let applied = self.applied.entry(group).or_insert(0);
                *applied = status.applied.max(*applied);
            }
        }
    }

    /// The leader that has applied all that anybody has.
    pub fn leader(&self, group: GroupId) -> Option<(usize, Status)> {
        let last = self.last_applied(group);
        (0..self.brokers.len())
            .filter_map(|broker| Some((broker, self.status(broker, group)?)))
            .filter(|(_, status)| status.role == Role::Leader && status.applied == last)
            .max_by_key(|(_, status)| status.term)
    }

    /// The newest membership that anybody has applied, if somebody who has is up.
    pub fn members(&self, group: GroupId) -> Option<ConfState> {
        let last = self.last_applied(group);
        (0..self.brokers.len())
            .filter_map(|broker| self.status(broker, group))
            .find(|status| status.applied == last)
            .map(|status| status.membership)
    }

    fn local(&self, group: GroupId, broker: usize) -> Option<PeerId> {
        self.brokers[broker].local.get(&group).copied()
    }

    /// Membership is as it should be, and nothing is on its way to change it.
    pub fn is_quiet(&self, group: GroupId) -> bool {
        let Some(members) = self.members(group) else {
            return false;
        };
        let wanted: BTreeSet<Option<PeerId>> = self.desired[&group]
            .iter()
            .map(|broker| self.local(group, *broker))
            .collect();
        let voters: BTreeSet<Option<PeerId>> = members.voters.iter().copied().map(Some).collect();
        wanted == voters && members.learners.is_empty() && members.voters_outgoing.is_empty()
    }

    /// Whether all that is on this broker may go without a group losing what it acknowledged, or its quorum.
    ///
    /// A membership is safe only once the others hold it durably: a commit index costs no sync, so a voter that restarts may
    /// still need the quorum of the membership before.
    pub fn may_lose(&mut self, broker: usize) -> Checked<bool> {
        let groups: Vec<GroupId> = self.configs.keys().copied().collect();
        let is_quiet = !self.brokers[broker].local.is_empty()
            && self
                .brokers
                .iter()
                .all(|broker| !broker.is_flipped && !broker.is_full && broker.is_up())
            && groups.iter().all(|group| self.is_quiet(*group));
        if !is_quiet {
            return Ok(false);
        }
        for other in 0..self.brokers.len() {
            self.flush(other)?;
            if !self.brokers[other].is_up() {
                return Ok(false);
            }
            for group in &groups {
                let wanted = self.members(*group).map(|members| members.voters);
                let running = self.running(other);
                let Some(checkpoint) = running.checkpoint(*group, false) else {
                    continue;
                };
                let is_same = Some(&checkpoint.conf_state.voters) == wanted.as_ref()
                    && checkpoint.conf_state.voters_outgoing.is_empty();
                let sealed = running.shard.seal(&[checkpoint]);
                match sealed {
                    Ok(report) if is_same && report.busy == 0 && report.damaged.is_empty() => {}
                    Ok(_) => return Ok(false),
                    Err(error) => return self.failed(other, "seal", &error).map(|()| false),
                }
            }
        }
        Ok(groups.iter().all(|group| self.is_quiet(*group)))
    }

    pub fn transfer(&mut self, group: GroupId) -> Checked {
        let Some((broker, status)) = self.leader(group) else {
            return Ok(());
        };
        let voters = status.membership.voters;
        let to = voters[self.rng.random_range(0..voters.len())];
        self.note(format!("group {group}: leadership moves to peer {to}"));
        self.running(broker).worker.transfer_leader(group, to);
        self.pump(broker)
    }

    /// One replica is wanted on another broker.
    pub fn relocate(&mut self, group: GroupId) {
        let all: Vec<usize> = (0..self.brokers.len()).collect();
        let desired = self.desired[&group].clone();
        let free: Vec<usize> = all.into_iter().filter(|b| !desired.contains(b)).collect();
        if free.is_empty() || !self.is_quiet(group) {
            return;
        }
        let old: Vec<usize> = desired.into_iter().collect();
        let from = old[self.rng.random_range(0..old.len())];
        let to = free[self.rng.random_range(0..free.len())];
        self.note(format!("group {group} moves from broker {from} to {to}"));
        let desired = self.desired.get_mut(&group).expect("the group was created");
        desired.remove(&from);
        desired.insert(to);
    }

    /// One step towards the membership that is wanted.
    pub fn reconcile(&mut self, group: GroupId) -> Checked {
        let desired = self.desired[&group].clone();
        for broker in &desired {
            if self.brokers[*broker].is_up() && self.local(group, *broker).is_none() {
                let peer = self.peer(*broker);
                self.note(format!(
                    "group {group}: broker {broker} begins as peer {peer}"
                ));
                return self.host(*broker, group, peer, Vec::new());
            }
        }
        let Some((leader, status)) = self.leader(group) else {
            return Ok(());
        };
        let members = &status.membership;
        if !members.voters_outgoing.is_empty() {
            return Ok(());
        }
        let wanted: BTreeSet<PeerId> = desired
            .iter()
            .filter_map(|broker| self.local(group, *broker))
            .collect();
        let unwanted = |peers: &[PeerId]| peers.iter().copied().find(|peer| !wanted.contains(peer));
        let newcomer = wanted
            .iter()
            .copied()
            .find(|peer| !members.voters.contains(peer) && !members.learners.contains(peer));
        let ready = status.progress.iter().find(|progress| {
            !progress.is_voter
                && wanted.contains(&progress.peer)
                && progress.matched >= status.commit
        });
        let mut changes = Vec::new();
        if let Some(peer) = newcomer {
            changes.push((ConfChangeType::AddLearnerNode, peer));
        } else if let Some(ready) = ready {
            changes.push((ConfChangeType::AddNode, ready.peer));
            if let Some(peer) = unwanted(&members.voters) {
                changes.push((ConfChangeType::RemoveNode, peer));
            }
        } else if let Some(peer) = unwanted(&members.learners) {
            changes.push((ConfChangeType::RemoveNode, peer));
        } else if members.voters.len() > self.plan.replicas
            && let Some(peer) = unwanted(&members.voters)
        {
            changes.push((ConfChangeType::RemoveNode, peer));
        } else {
            let here: BTreeSet<PeerId> = members
                .voters
                .iter()
                .chain(&members.learners)
                .copied()
                .collect();
            return self.delete_removed(group, &desired, &here);
        }
        self.note(format!("group {group}: membership changes by {changes:?}"));
        let mut change = ConfChangeV2::default();
        let singles: Vec<ConfChangeSingle> = changes
            .into_iter()
            .map(|(kind, peer)| {
                let mut single = ConfChangeSingle::default();
                single.set_change_type(kind);
                single.node_id = peer;
                single
            })
            .collect();
        change.set_changes(singles.into());
        let worker = &mut self.running(leader).worker;
        worker.change_membership(group, &change, Reply::ignored());
        self.pump(leader)
    }

    /// Replicas that are members no more give their space back.
    fn delete_removed(
        &mut self,
        group: GroupId,
        desired: &BTreeSet<usize>,
        members: &BTreeSet<PeerId>,
    ) -> Checked {
        for broker in 0..self.brokers.len() {
            let Some(peer) = self.local(group, broker) else {
                continue;
            };
            let is_able = self.brokers[broker].is_up() && !self.brokers[broker].is_full;
            if desired.contains(&broker) || members.contains(&peer) || !is_able {
                continue;
            }
            self.note(format!("group {group}: peer {peer} leaves broker {broker}"));
            // Writes on their way to the log may still name the group; its directory does not know it any more.
            self.remember_applied(broker);
            // The next replica of this group must not be sealed with the state of this one.
            if let Some(stale) = self.stale.get_mut(&broker) {
                stale.retain(|checkpoint| checkpoint.group != group);
            }
            let running = self.running(broker);
            running.worker.remove(group);
            running.high_watermarks.remove(&group);
            let deleted = running.shard.delete(group);
            self.brokers[broker].local.remove(&group);
            return match deleted {
                Ok(()) => self.pump(broker),
                Err(error) => self.failed(broker, "delete", &error),
            };
        }
        Ok(())
    }
}
