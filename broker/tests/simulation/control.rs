//! What the control plane of a cluster would do: memberships, incarnations, leaders, and records in bulk.

use crate::network::Flight;
use crate::oracle::{Checked, violated};
use crate::world::World;
use millrace_broker::raft::ports::{GroupId, PeerId};
use millrace_broker::raft::{Reply, Role, Status};
use millrace_broker::storage::Error;
use millrace_broker::storage::entry::SnapshotHeader;
use millrace_broker::storage::ids::Offset;
use millrace_broker::storage::import::Import;
use millrace_broker::storage::shard::Shard;
use millrace_wire::BatchHeader;
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
                .all(|broker| !broker.is_flipped && broker.is_up())
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
            if desired.contains(&broker) || members.contains(&peer) || !self.brokers[broker].is_up()
            {
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

    /// Before a snapshot arrives, the records it stands for do. False when that was not possible.
    pub fn ship(&mut self, flight: &Flight) -> Checked<bool> {
        let (from, to, group) = (flight.from, flight.to, flight.group);
        let is_there = self.brokers[from].is_up()
            && self.brokers[from].local.get(&group) == Some(&flight.message.from);
        let snapshot = flight.message.get_snapshot();
        let Some(header) = SnapshotHeader::decode(&snapshot.data) else {
            return violated("a snapshot has no header");
        };
        if !is_there {
            return Ok(false);
        }
        self.note(format!(
            "group {group}: snapshot {} ({header:?}) from broker {from} to {to}",
            snapshot.get_metadata().index
        ));
        let source = self.brokers[from].running().shard.clone();
        let target = self.brokers[to].running().shard.clone();
        let covered = match target.import_from(group, &header) {
            Ok(Some(covered)) => covered,
            Ok(None) => return Ok(true),
            Err(error) => return self.failed(to, "look for runs", &error).map(|()| false),
        };
        let imports = match collect(&source, group, covered, header.next_offset) {
            Ok(Some(imports)) => imports,
            // The log start has moved since the snapshot was taken: the next one will know.
            Ok(None) => return Ok(false),
            Err(error) => return self.failed(from, "read runs", &error).map(|()| false),
        };
        for import in imports {
            if let Err(error) = target.import_run(group, import) {
                return self.failed(to, "import", &error).map(|()| false);
            }
        }
        match target.import_from(group, &header) {
            Ok(None) => Ok(true),
            other => violated(format!(
                "group {group}: after the import {other:?} is missing"
            )),
        }
    }
}

/// Runs and tail of a leader from `from` on, up to `upto` or beyond. `None` when something between was deleted.
fn collect(
    shard: &Shard,
    group: GroupId,
    from: Offset,
    upto: Offset,
) -> Result<Option<Vec<Import>>, Error> {
    let mut covered = from;
    let mut imports = Vec::new();
    let (runs, _) = shard.sealed_runs(group)?;
    for run in runs.iter().filter(|run| run.next > from) {
        if run.base > covered {
            return Ok(None);
        }
        let mut entries = Vec::new();
        shard.scan_run(group, run, &mut |base, data| {
            entries.push((base, bytes::Bytes::copy_from_slice(data)));
            true
        })?;
        covered = run.next;
        imports.push(Import {
            base: run.base,
            next: run.next,
            entries,
        });
    }
    let tail_start = shard.start(group)?.log.tail_start();
    if covered < upto {
        if covered < tail_start {
            return Ok(None);
        }
        let range = millrace_broker::storage::read::Range {
            from: covered,
            upto,
            max_bytes: u64::MAX,
        };
        let entries: Vec<(Offset, bytes::Bytes)> = shard
            .read(group, range)?
            .chunks
            .into_iter()
            .filter_map(|chunk| {
                let header = BatchHeader::decode(&chunk).ok()?;
                Some((Offset(header.base_offset), chunk))
            })
            .collect();
        // A log start may lie inside of an entry.
        let base = entries
            .first()
            .map_or(covered, |(base, _)| covered.min(*base));
        imports.push(Import {
            base,
            next: upto,
            entries,
        });
    }
    Ok(Some(imports))
}

/// Where a block of the shared log begins: magic, two checksums and salt, its segment, its place, up to where all was synced.
struct Block {
    number: u64,
    offset: u32,
    synced: u32,
}

fn block(bytes: &[u8]) -> Option<Block> {
    let header = bytes.get(..40)?;
    let u32_at = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    (header[..4] == *b"mrbk").then(|| Block {
        number: u64::from(u32_at(16)) | u64::from(u32_at(20)) << 32,
        offset: u32_at(24),
        synced: u32_at(28),
    })
}

impl World {
    /// Turns one bit in a place of the log that is known to be synced. (In the very last group it would look like a tear.)
    pub fn flip_bit(&mut self, broker: usize) {
        use millrace_broker::storage::disk::Disk as _;
        let disk = self.brokers[broker].disk.clone();
        let mut names: Vec<String> = disk.list().unwrap_or_default();
        names.retain(|name| name.ends_with(".log"));
        names.sort();
        if names.is_empty() {
            return;
        }
        let name = names[self.rng.random_range(0..names.len())].clone();
        let number: u64 = name[..20].parse().unwrap_or(0);
        let contents = disk.contents(&name).unwrap_or_default();
        let blocks: Vec<(usize, usize)> = (4096..contents.len())
            .step_by(8)
            .filter_map(|at| {
                let block = block(&contents[at..])?;
                let is_here = (block.number, block.offset as usize) == (number, at);
                is_here.then_some((at, block.synced as usize))
            })
            .collect();
        // Said by a block that is itself known to be synced, or a crash takes it away, and what it said.
        let known = blocks.iter().map(|(_, synced)| *synced).max().unwrap_or(0);
        let says = blocks.iter().filter(|(at, _)| *at < known);
        let synced = says.map(|(_, synced)| *synced).max().unwrap_or(0);
        if synced <= 4096 {
            return;
        }
        let offset = self.rng.random_range(4096..synced) as u64;
        let bit = self.rng.random_range(0..8);
        self.note(format!(
            "broker {broker}: bit {bit} turns at {offset} of {name}"
        ));
        disk.flip_bit(&name, offset, bit);
        self.brokers[broker].is_flipped = true;
    }
}
