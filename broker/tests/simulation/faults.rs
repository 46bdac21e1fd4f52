//! What breaks: power, operations of disk and families, volumes, bits, and what becomes of a broker then.

use crate::broker::OpenFailure;
use crate::oracle::{Checked, violated};
use crate::plan::Planted;
use crate::world::World;
use millrace_broker::raft::ports::{GroupId, PeerId};
use millrace_broker::storage::Error;
use rand::Rng;
use std::collections::BTreeMap;

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
        self.fault(broker, &format!("{doing}: {error}"))
    }

    pub fn has_failed(&self, broker: usize) -> bool {
        let broker = &self.brokers[broker];
        broker.armed.is_some_and(|(disk, families)| {
            broker.disk.ops() > disk || broker.families.ops() > families
        })
    }

    pub fn arm(&mut self, broker: usize) {
        if self.brokers[broker].armed.is_some() {
            return;
        }
        let ops = self.rng.random_range(0..12);
        let in_disk = self.rng.random_bool(0.5);
        let broker = &mut self.brokers[broker];
        let (disk, families) = (broker.disk.ops() + ops, broker.families.ops() + ops);
        match in_disk {
            true => broker.disk.fail_after_ops(disk),
            false => broker.families.fail_after_ops(families),
        }
        broker.armed = Some(match in_disk {
            true => (disk, u64::MAX),
            false => (u64::MAX, families),
        });
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
