//! What a broker does with what it has: writes and syncs of its log, sealing, log compaction.

use crate::oracle::Checked;
use crate::plan::Planted;
use crate::world::World;
use millrace_broker::partition::cleaner::LastOfProducer;
use millrace_broker::partition::compaction::{self, Limits};
use millrace_broker::raft::ports::GroupId;
use millrace_broker::storage::Error;
use millrace_broker::storage::seal::Checkpoint;
use rand::Rng;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

impl World {
    pub fn write(&mut self, broker: usize, batches: usize) -> Checked {
        let is_planted = self.plan.is(Planted::AckBeforeSync);
        let running = self.running(broker);
        match running.write(batches) {
            Err(error) => self.stop(broker, &error),
            Ok(tokens) => {
                if is_planted {
                    for token in tokens {
                        running.worker.persisted(token, Ok::<(), Error>(()));
                    }
                    return self.pump(broker);
                }
                Ok(())
            }
        }
    }

    pub fn sync(&mut self, broker: usize) -> Checked {
        let is_planted = self.plan.is(Planted::AckBeforeSync);
        let believes = self.plan.is(Planted::BelievedSync);
        match self.running(broker).sync(is_planted, believes) {
            Err(error) => self.stop(broker, &error),
            Ok(()) => self.pump(broker),
        }
    }

    /// All that is queued reaches the disk.
    pub fn flush(&mut self, broker: usize) -> Checked {
        self.write(broker, usize::MAX)?;
        if self.brokers[broker].is_up() {
            self.sync(broker)?;
        }
        Ok(())
    }

    pub fn seal(&mut self, broker: usize) -> Checked {
        let is_planted = self.plan.is(Planted::RowAheadOfLog);
        let all = self.rng.random_bool(0.4);
        let delays = self.rng.random_bool(0.2);
        let releases = self.rng.random_bool(0.8);
        let mut groups: Vec<GroupId> = match all {
            true => self.brokers[broker].local.keys().copied().collect(),
            false => self.running(broker).shard.oldest_groups(),
        };
        if self.rng.random_bool(0.2) {
            groups.truncate(1);
        }
        let running = self.running(broker);
        let mut checkpoints: Vec<Checkpoint> = groups
            .iter()
            .filter_map(|group| running.checkpoint(*group, is_planted))
            .collect();
        if delays {
            // Time passes between checkpoint and seal.
            let earlier = self.stale.insert(broker, checkpoints);
            checkpoints = earlier.unwrap_or_default();
        }
        self.note(format!("broker {broker} seals {}", checkpoints.len()));
        let shard = self.running(broker).shard.clone();
        let sealed = shard.seal(&checkpoints);
        let mut done = sealed.and_then(|report| match report.damaged.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        });
        for checkpoint in &checkpoints {
            if done.is_ok() && shard.has_expired(checkpoint.group, checkpoint.log_start()) {
                done = shard.expire(checkpoint).map(|_| ());
            }
        }
        if releases && done.is_ok() {
            done = shard.release();
        }
        match done {
            Ok(()) => Ok(()),
            Err(error) => self.failed(broker, "seal", &error),
        }
    }

    pub fn compact(&mut self, broker: usize) -> Checked {
        let group = self.some_group();
        let hash_key = [self.rng.random(), self.rng.random()];
        let goes_on = self.rng.random_bool(0.9);
        let mut config = self.configs[&group].clone();
        let running = self.brokers[broker].running();
        let Some(positions) = running.positions(group) else {
            return Ok(());
        };
        if !config.cleanup_policy.is_compact() {
            return Ok(());
        }
        let now_ms = self.now_ms();
        if self.plan.is(Planted::HastyTombstones) {
            config.delete_retention_ms = 0;
        }
        let limits = Limits {
            now_ms,
            last_stable: positions.last_stable,
            buffer_bytes: 64 << 10,
            step_bytes: self.rng.random_range(1..=16 << 10),
            hash_key,
        };
        let Some(machine) = running.worker.machine(group) else {
            return Ok(());
        };
        let producers: HashMap<i64, LastOfProducer> =
            machine.partition.last_of_producers().into_iter().collect();
        let view = machine.partition.view();
        let forgets = self.plan.is(Planted::ForgottenAborts);
        let aborted = |from, to| match forgets {
            true => Vec::new(),
            false => view.aborted_in(from, to),
        };
        let loses = self.plan.is(Planted::LostValue);
        let families = &self.brokers[broker].families;
        families.loses.store(loses, Ordering::Relaxed);
        let done = compaction::compact(
            &running.shard,
            group,
            &config,
            &limits,
            &producers,
            &aborted,
            &mut || goes_on,
        );
        families.loses.store(false, Ordering::Relaxed);
        match done {
            Ok(report) => {
                if let Some(report) = report {
                    let to = report.cleaned_to.0;
                    self.oracle.compacted(group, to, now_ms);
                }
                self.note(format!(
                    "broker {broker} compacts group {group}: {report:?}"
                ));
                Ok(())
            }
            Err(error) => {
                // It may have become durable all the same.
                self.oracle.compacted(group, i64::MAX, now_ms);
                match &error {
                    compaction::Error::Storage(error) => self.failed(broker, "compact", error),
                    error => self.fault(broker, &format!("compact: {error}")),
                }
            }
        }
    }
}
