//! What breaks: power, operations of disk and families, volumes, bits, and what becomes of a broker then.

use crate::broker::OpenFailure;
use crate::oracle::{Checked, violated};
use crate::plan::Planted;
use crate::world::World;
use millrace_broker::raft::ports::{GroupId, PeerId};
use millrace_broker::storage::Error;
use millrace_broker::storage::disk::Disk as _;
use millrace_broker::storage::families;
use rand::Rng;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

impl World {
    /// A replica, or more, went offline.
    pub fn fault(&mut self, broker: usize, fault: &str) -> Checked {
        if self.has_failed(broker) {
            self.note(format!("broker {broker} dies: {fault}"));
            self.crash(broker)
        } else if self.brokers[broker].is_flipped {
            self.note(format!("broker {broker} is damaged: {fault}"));
            self.reseed(broker)
        } else {
            violated(format!("broker {broker} went offline: {fault}"))
        }
    }

    /// An operation failed: as was asked for, or it is a bug.
    pub fn failed(&mut self, broker: usize, doing: &str, error: &Error) -> Checked {
        if self.is_refused_for_room(broker, error) {
            self.note(format!("broker {broker} cannot {doing}: {error}"));
            return Ok(());
        }
        self.fault(broker, &format!("{doing}: {error}"))
    }

    pub fn has_failure_to_come(&self, broker: usize) -> bool {
        let broker = &self.brokers[broker];
        broker.armed.is_some() || broker.fails_syncs
    }

    pub fn has_failed(&self, broker: usize) -> bool {
        let broker = &self.brokers[broker];
        broker.fails_syncs
            || broker.armed.is_some_and(|(disk, families)| {
                broker.disk.ops() > disk || broker.families.twin.ops() > families
            })
    }

    pub fn arm(&mut self, broker: usize) {
        if self.brokers[broker].armed.is_some() {
            return;
        }
        let ops = self.rng.random_range(0..12);
        let in_disk = self.rng.random_bool(0.5);
        let broker = &mut self.brokers[broker];
        let (disk, families) = (broker.disk.ops() + ops, broker.families.twin.ops() + ops);
        match in_disk {
            true => broker.disk.fail_after_ops(disk),
            false => broker.families.twin.fail_after_ops(families),
        }
        broker.armed = Some(match in_disk {
            true => (disk, u64::MAX),
            false => (u64::MAX, families),
        });
    }

    /// The families changed nothing because the disk is full: whoever asked may ask again.
    fn is_refused_for_room(&self, broker: usize, error: &Error) -> bool {
        self.brokers[broker].is_full
            && matches!(error, Error::Families(families::Error::Full { .. }))
    }

    /// Somebody else takes the disk's space, but for a few segments of the log at most.
    pub fn fill_disk(&mut self, broker: usize) {
        let segment_bytes = self.plan.shard.log.segment_bytes;
        let left = self.rng.random_range(0..=3) * segment_bytes;
        let are_families_full = self.rng.random_bool(0.5);
        self.note(format!("broker {broker}: {left} bytes are left"));
        let broker = &mut self.brokers[broker];
        broker.is_full = true;
        broker.disk.set_capacity(Some(u64::MAX));
        let used = u64::MAX - broker.disk.free_bytes().unwrap_or(u64::MAX);
        broker.disk.set_capacity(Some(used + left));
        let full = &broker.families.full;
        full.store(are_families_full, Ordering::Relaxed);
    }

    pub fn free_disk(&mut self, broker: usize) {
        if self.brokers[broker].is_full {
            self.note(format!("broker {broker}: its disk has room again"));
        }
        let broker = &mut self.brokers[broker];
        broker.is_full = false;
        broker.disk.set_capacity(None);
        broker.families.full.store(false, Ordering::Relaxed);
    }

    /// The log failed: nothing that was not synced may be acknowledged, and nothing is written any more.
    pub fn stop(&mut self, broker: usize, error: &Error) -> Checked {
        self.note(format!("broker {broker} stops: {error}"));
        let running = self.running(broker);
        running.fail_all(error);
        let is_log = matches!(error, Error::Log(_));
        let goes_on =
            running.worker.fault().is_none() || (is_log && running.shard.append(&[]).is_ok());
        if goes_on && !self.plan.is(Planted::BelievedSync) {
            return violated(format!("broker {broker} goes on although its log failed"));
        }
        self.pump(broker)?;
        match self.brokers[broker].is_up() {
            true => self.fault(broker, &error.to_string()),
            false => Ok(()),
        }
    }

    pub fn crash(&mut self, broker: usize) -> Checked {
        self.stale.remove(&broker);
        self.remember_applied(broker);
        self.brokers[broker].crash(&mut self.rng);
        self.answers()
    }

    pub fn open(&mut self, broker: usize) -> Checked {
        let seed = self.seed ^ self.rng.random::<u64>();
        let opened = self.brokers[broker].open(&self.plan, &self.configs, seed);
        let fault = match opened {
            Ok(()) => {
                self.note(format!("broker {broker} starts"));
                return self.pump(broker);
            }
            // It stays down until there is room.
            Err(OpenFailure::Shard(error)) if self.is_refused_for_room(broker, &error) => {
                return self.crash(broker);
            }
            Err(OpenFailure::Shard(error)) => error.to_string(),
            Err(OpenFailure::Group(error)) => error,
        };
        self.fault(broker, &format!("cannot start: {fault}"))
    }

    /// What is on this broker is gone for good. It comes back empty and nobody votes under an old id.
    pub fn reseed(&mut self, broker: usize) -> Checked {
        self.stale.remove(&broker);
        self.remember_applied(broker);
        let local = self.brokers[broker].local.clone();
        let voters: BTreeMap<GroupId, Vec<PeerId>> = local
            .keys()
            .map(|group| (*group, self.members(*group).unwrap_or_default().voters))
            .collect();
        self.brokers[broker].lose_volume();
        self.answers()?;
        self.open(broker)?;
        if self.plan.is(Planted::EmptyVoter) {
            for (group, peer) in local {
                self.host(broker, group, peer, voters[&group].clone())?;
            }
        }
        Ok(())
    }
}
