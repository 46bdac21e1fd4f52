//! Readers, and what they must find.

use crate::oracle::{Checked, Got, Violation};
use crate::plan::Planted;
use crate::world::World;
use millrace_broker::raft::ports::GroupId;
use millrace_broker::storage::ids::Offset;
use rand::Rng;

impl World {
    pub fn read(&mut self, broker: usize) -> Checked {
        let group = self.some_group();
        let is_planted = self.plan.is(Planted::ReadAboveCommit);
        let max_bytes = self.rng.random_range(1..4000);
        let chance: f64 = self.rng.random();
        let is_consumer = self.rng.random_bool(0.4);
        let running = self.brokers[broker].running();
        let Some(positions) = running.positions(group) else {
            return Ok(());
        };
        let mut upto = positions.high_watermark;
        if is_planted && let Ok(start) = running.shard.start(group) {
            upto = start.log.log_end().max(upto);
        }
        let from = self.first_promised(group, positions.log_start);
        if from >= upto {
            return Ok(());
        }
        let at = from + (((upto - from) as f64) * chance) as i64;
        if is_consumer {
            self.consume(broker, group, at, max_bytes)?;
            return Ok(());
        }
        self.read_at(broker, group, at, upto, max_bytes).map(|_| ())
    }

    /// A replica that does not know the log start yet, because a snapshot is on its way to its disk, may have less.
    pub fn first_promised(&self, group: GroupId, log_start: Offset) -> Offset {
        log_start.max(Offset(self.oracle.truth(group).log_start))
    }

    /// What was read; `None` when the broker failed at it.
    fn read_at(
        &mut self,
        broker: usize,
        group: GroupId,
        from: Offset,
        upto: Offset,
        max_bytes: u64,
    ) -> Checked<Option<Got>> {
        let now_ms = self.now_ms();
        let running = self.brokers[broker].running();
        match running.read(group, from, upto, max_bytes) {
            Err(error) => {
                let doing = format!("read offset {from} of group {group}");
                self.failed(broker, &doing, &error)?;
                Ok(None)
            }
            Ok(read) => self
                .oracle
                .read(group, from.0, upto.0, &read.chunks, now_ms)
                .map(Some)
                .map_err(|Violation(what)| {
                    Violation(format!(
                        "broker {broker} read from {from} up to {upto}: {what}"
                    ))
                }),
        }
    }

    /// A fetch of a consumer that wants committed transactions only: up to the last stable offset, and with the aborted
    /// transactions in what it got. Returns where it goes on.
    fn consume(
        &mut self,
        broker: usize,
        group: GroupId,
        from: Offset,
        max_bytes: u64,
    ) -> Checked<Option<Offset>> {
        let Some(positions) = self.brokers[broker].running().positions(group) else {
            return Ok(None);
        };
        let upto = match self.plan.is(Planted::ReadAboveStable) {
            true => positions.high_watermark,
            false => positions.last_stable,
        };
        if from >= upto {
            return Ok(None);
        }
        let Some(got) = self.read_at(broker, group, from, upto, max_bytes)? else {
            return Ok(None);
        };
        let Some(machine) = self.brokers[broker].running().worker.machine(group) else {
            return Ok(None);
        };
        let end = Offset(got.end);
        let aborted = machine.partition.view().aborted_in(from, end);
        self.oracle
            .consumed(group, from.0, &got, &aborted, &positions)
            .map_err(|Violation(what)| {
                Violation(format!("broker {broker}, fetched from {from}: {what}"))
            })?;
        Ok((!got.batches.is_empty()).then_some(end))
    }

    /// Every committed record that a replica should have is there.
    pub fn check_contents(&mut self, broker: usize) -> Checked {
        let groups: Vec<GroupId> = self.brokers[broker].local.keys().copied().collect();
        for group in groups {
            let Some(positions) = self.brokers[broker]
                .running
                .as_ref()
                .and_then(|running| running.positions(group))
            else {
                continue;
            };
            let start = self.first_promised(group, positions.log_start);
            let mut at = start;
            while at < positions.high_watermark {
                let read = self.read_at(broker, group, at, positions.high_watermark, 4 << 10)?;
                match read {
                    None => return Ok(()),
                    // What is left was compacted away.
                    Some(got) if got.batches.is_empty() => break,
                    Some(got) => at = Offset(got.end),
                }
            }
            let mut at = Some(start);
            while let Some(from) = at
                && self.brokers[broker].is_up()
            {
                at = self.consume(broker, group, from, 8 << 10)?;
            }
        }
        Ok(())
    }
}
