//! Readers, and what they must find.

use crate::oracle::{Checked, Violation, violated};
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
        self.read_at(broker, group, at, upto, max_bytes).map(|_| ())
    }

    /// A replica that does not know the log start yet, because a snapshot is on its way to its disk, may have less.
    pub fn first_promised(&self, group: GroupId, log_start: Offset) -> Offset {
        log_start.max(Offset(self.oracle.truth(group).log_start))
    }

    /// Where the read ends; `None` when the broker failed at it.
    pub fn read_at(
        &mut self,
        broker: usize,
        group: GroupId,
        from: Offset,
        upto: Offset,
        max_bytes: u64,
    ) -> Checked<Option<i64>> {
        match self.brokers[broker]
            .running()
            .read(group, from, upto, max_bytes)
        {
            Err(error) => {
                self.failed(
                    broker,
                    &format!("read offset {from} of group {group}"),
                    &error,
                )?;
                Ok(None)
            }
            Ok(read) => {
                let end = self
                    .oracle
                    .read(group, from.0, upto.0, &read.chunks)
                    .map_err(|Violation(what)| {
                        Violation(format!(
                            "broker {broker} read from {from} up to {upto}: {what}"
                        ))
                    })?;
                if read.chunks.is_empty() && !self.oracle.compacted.contains(&group) {
                    return violated(format!(
                        "broker {broker}, group {group}: nothing at offset {from}, below {upto}"
                    ));
                }
                Ok(Some(end))
            }
        }
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
            let mut at = self.first_promised(group, positions.log_start);
            while at < positions.high_watermark {
                let read = self.read_at(broker, group, at, positions.high_watermark, 4 << 10)?;
                match read {
                    None => return Ok(()),
                    // What is left was compacted away.
                    Some(end) if end == at.0 => break,
                    Some(end) => at = Offset(end),
                }
            }
        }
        Ok(())
    }
}
