//! The end of a run: faults stop, and everything must come right within a bounded number of steps.

use crate::oracle::{Checked, violated};
use crate::world::World;
use millrace_broker::raft::Role;
use millrace_broker::raft::ports::GroupId;
use rand::Rng;

/// Ticks of every broker until all is well; a few dozen elections' worth.
const ROUNDS: usize = 1500;

/// Messages that one round delivers at most: a storm must not look like progress.
const MESSAGES_PER_ROUND: usize = 5000;

impl World {
    pub fn finish(&mut self) -> Checked {
        self.note("the end begins");
        self.is_healed = true;
        self.network.blocked.clear();
        for broker in 0..self.brokers.len() {
            self.free_disk(broker);
        }
        if self.rng.random_bool(0.3) {
            // Everybody loses power at once.
            for broker in 0..self.brokers.len() {
                self.crash(broker)?;
            }
        }
        for broker in 0..self.brokers.len() {
            // A failure that is still to come, or damage that nobody has met, comes out now.
            let is_suspect = self.has_failure_to_come(broker) || self.brokers[broker].is_flipped;
            if is_suspect && self.brokers[broker].is_up() {
                self.crash(broker)?;
            }
            for _ in 0..2 {
                if !self.brokers[broker].is_up() {
                    self.open(broker)?;
                }
            }
            // The log was read from end to end: what was turned in it is not needed.
            self.brokers[broker].is_flipped = false;
        }
        self.settle("to come to rest")?;
        self.last_words()?;
        self.settle("after a fresh produce")?;
        for producer in &mut self.clients.producers {
            producer.end_transaction(true);
        }
        self.settle("after the last transactions")?;
        for broker in 0..self.brokers.len() {
            self.check_contents(broker)?;
        }
        self.check_converged()
    }

    fn settle(&mut self, what: &str) -> Checked {
        for _ in 0..ROUNDS {
            self.step += 1;
            self.round()?;
            if self.is_settled() {
                return Ok(());
            }
        }
        violated(format!(
            "{ROUNDS} ticks were not enough {what}: {}",
            self.unsettled()
        ))
    }

    fn round(&mut self) -> Checked {
        for broker in 0..self.brokers.len() {
            if !self.brokers[broker].is_up() {
                return violated(format!(
                    "broker {broker} is down although nothing fails any more"
                ));
            }
            self.running(broker).worker.tick();
            self.pump(broker)?;
        }
        for _ in 0..MESSAGES_PER_ROUND {
            for broker in 0..self.brokers.len() {
                self.flush(broker)?;
            }
            match self.network.take_oldest() {
                Some(flight) => self.deliver(flight)?,
                None => break,
            }
        }
        for producer in 0..self.clients.producers.len() {
            self.produce_more(producer, false)?;
        }
        for group in self.groups() {
            self.reconcile(group)?;
        }
        Ok(())
    }

    fn groups(&self) -> Vec<GroupId> {
        self.configs.keys().copied().collect()
    }

    /// Every group has a leader whose log all members hold, clients have heard of all they sent.
    fn is_settled(&self) -> bool {
        self.network.len() == 0
            && self.clients.are_done()
            && self
                .groups()
                .into_iter()
                .all(|group| self.is_group_settled(group))
    }

    fn is_group_settled(&self, group: GroupId) -> bool {
        let Some((_, leader)) = self.leader(group) else {
            return false;
        };
        let mut replicas = (0..self.brokers.len()).filter_map(|broker| self.status(broker, group));
        self.is_quiet(group)
            && leader.applied == leader.last_index
            && replicas.all(|replica| {
                replica.applied == leader.applied
                    && replica.last_index == leader.last_index
                    && (replica.role == Role::Leader) == (replica.peer == leader.peer)
            })
    }

    fn unsettled(&self) -> String {
        let mut text = format!(
            "{} messages, clients done {}",
            self.network.len(),
            self.clients.are_done()
        );
        for producer in &self.clients.producers {
            let waits: Vec<_> = producer
                .outstanding
                .iter()
                .map(|batch| (batch.sequence, batch.request))
                .collect();
            if !waits.is_empty() {
                let (id, group) = (producer.id, producer.group);
                text += &format!("\n  producer {id} of group {group} waits for {waits:?}");
            }
        }
        for group in self.groups() {
            if self.is_group_settled(group) {
                continue;
            }
            for broker in 0..self.brokers.len() {
                let status = self.status(broker, group);
                text += &format!("\n  group {group}, broker {broker}: {status:?}");
            }
        }
        text
    }

    /// Each group still takes new records.
    fn last_words(&mut self) -> Checked {
        for producer in 0..self.clients.producers.len() {
            self.produce_more(producer, true)?;
            if self.clients.producers[producer].outstanding.is_empty() && self.plan.brokers > 1 {
                let group = self.clients.producers[producer].group;
                return violated(format!("group {group} answered before anybody wrote"));
            }
        }
        Ok(())
    }

    /// Replicas that applied the same have the same state.
    fn check_converged(&mut self) -> Checked {
        for group in self.groups() {
            let mut first = None;
            for broker in 0..self.brokers.len() {
                let Some(checkpoint) = self.running(broker).checkpoint(group, false) else {
                    continue;
                };
                let state = (checkpoint.applied, checkpoint.machine);
                match &first {
                    None => first = Some(state),
                    Some(first) if *first == state => {}
                    Some(first) => {
                        return violated(format!(
                            "group {group}: broker {broker} has another state at {} than the first at {}",
                            state.0, first.0
                        ));
                    }
                }
            }
            let end = self.oracle.truth(group).next_offset;
            for broker in 0..self.brokers.len() {
                let positions = self.running(broker).positions(group);
                if positions.is_some_and(|positions| positions.high_watermark.0 != end) {
                    return violated(format!("group {group}: broker {broker} stops before {end}"));
                }
            }
        }
        Ok(())
    }
}
