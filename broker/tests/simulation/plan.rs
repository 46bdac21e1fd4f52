//! What one seed does: how large the cluster is, which faults can happen and how often.

use millrace_broker::storage::log::LogOptions;
use millrace_broker::storage::shard::ShardOptions;
use rand::Rng;
use rand::rngs::SmallRng;

/// A bug that is put in at the seams of the harness, to see that the simulation would find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A batch is reported as persisted before it is synced.
    AckBeforeSync,
    /// Readers get what is in the log, committed or not.
    ReadAboveCommit,
    /// The log forgets for whom a replica voted.
    ForgottenVote,
    /// A group's row claims one entry more than its state has.
    RowAheadOfLog,
    /// A replica that lost its volume comes back as the voter it was.
    EmptyVoter,
    /// A failed sync is taken for one that succeeded.
    BelievedSync,
    /// Log compaction loses the newest value of one key.
    LostValue,
    /// Log compaction takes records of aborted transactions for committed ones.
    ForgottenAborts,
    /// Log compaction does not wait for `delete.retention.ms`.
    HastyTombstones,
    /// Consumers of committed transactions get what is committed or not.
    ReadAboveStable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Tick,
    Deliver,
    Write,
    Sync,
    Produce,
    Read,
    DeleteRecords,
    Seal,
    Compact,
    Crash,
    FailLater,
    Restart,
    Cut,
    Heal,
    Transfer,
    Admin,
    Move,
    LoseVolume,
    FlipBit,
    FailSyncs,
    FillDisk,
    FreeDisk,
    Check,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub brokers: usize,
    pub replicas: usize,
    pub groups: u64,
    pub steps: usize,
    pub weights: Vec<(Event, u32)>,
    total: u32,
    /// Of 1000 messages.
    pub drop_permille: u32,
    pub duplicate_permille: u32,
    pub reorder: bool,
    pub shard: ShardOptions,
    pub batches_in_flight: usize,
    pub append_bytes: u64,
    pub planted: Option<Planted>,
}

impl Plan {
    /// Swarm testing: each seed has its own mix, with many faults switched off, so that the others get far.
    pub fn draw(rng: &mut SmallRng, brokers: Option<usize>, planted: Option<Planted>) -> Plan {
        let brokers = brokers.unwrap_or_else(|| match rng.random_range(0..10) {
            0 | 1 => 1,
            2..=5 => 3,
            6..=8 => 4,
            _ => 5,
        });
        let replicas = match brokers {
            4 => 3,
            brokers => brokers,
        };
        let is_cluster = brokers > 1;
        let mut weights = vec![
            (Event::Tick, rng.random_range(20..120)),
            (
                Event::Deliver,
                if is_cluster {
                    rng.random_range(250..500)
                } else {
                    0
                },
            ),
            (Event::Write, rng.random_range(60..200)),
            (Event::Sync, rng.random_range(30..200)),
            (Event::Produce, rng.random_range(40..200)),
            (Event::Read, rng.random_range(10..40)),
            (Event::Restart, rng.random_range(5..30)),
            (Event::Check, 2),
        ];
        let mut maybe = |event: Event, possible: bool, from: u32, to: u32, percent: u32| {
            let weight = rng.random_range(from..=to);
            if rng.random_range(0..100) < percent && possible {
                weights.push((event, weight));
            }
        };
        maybe(Event::DeleteRecords, true, 1, 15, 60);
        maybe(Event::Seal, true, 5, 60, 80);
        maybe(Event::Compact, true, 2, 20, 50);
        maybe(Event::Crash, true, 1, 8, 75);
        maybe(Event::FailLater, true, 1, 8, 60);
        maybe(Event::Cut, is_cluster, 1, 8, 50);
        maybe(Event::Heal, is_cluster, 2, 12, 100);
        maybe(Event::Transfer, is_cluster, 1, 10, 40);
        maybe(Event::Admin, is_cluster, 15, 60, 100);
        maybe(Event::Move, brokers > replicas, 1, 6, 70);
        maybe(Event::LoseVolume, replicas >= 3, 1, 4, 40);
        maybe(Event::FlipBit, replicas >= 3, 1, 4, 30);
        maybe(Event::FailSyncs, true, 1, 4, 30);
        maybe(Event::FillDisk, true, 1, 6, 30);
        maybe(Event::FreeDisk, true, 2, 10, 100);
        match planted {
            Some(Planted::EmptyVoter) => {
                weights.retain(|(event, _)| *event != Event::LoseVolume);
                weights.push((Event::LoseVolume, 8));
            }
            Some(Planted::AckBeforeSync | Planted::ForgottenVote | Planted::RowAheadOfLog) => {
                weights.retain(|(event, _)| *event != Event::Crash);
                weights.push((Event::Crash, 8));
            }
            Some(Planted::BelievedSync) => {
                weights.retain(|(event, _)| !matches!(event, Event::Crash | Event::FailSyncs));
                weights.extend([(Event::Crash, 8), (Event::FailSyncs, 8)]);
            }
            Some(Planted::LostValue | Planted::ForgottenAborts | Planted::HastyTombstones) => {
                weights.retain(|(event, _)| !matches!(event, Event::Seal | Event::Compact));
                weights.extend([(Event::Seal, 40), (Event::Compact, 20)]);
            }
            Some(Planted::ReadAboveCommit | Planted::ReadAboveStable) | None => {}
        }
        let total = weights.iter().map(|(_, weight)| weight).sum();
        let segment_kib = [12, 16, 24, 32][rng.random_range(0..4)];
        let run_kib = [2, 8, 64][rng.random_range(0..3)];
        Plan {
            brokers,
            replicas,
            groups: rng
                .random_range(2..=6)
                .min(if brokers == 5 { 3 } else { 6 }),
            steps: rng.random_range(600..2600),
            weights,
            total,
            drop_permille: [0, 0, 10, 50, 150][rng.random_range(0..5)],
            duplicate_permille: [0, 20, 100][rng.random_range(0..3)],
            reorder: rng.random_bool(0.5),
            shard: ShardOptions {
                log: LogOptions {
                    segment_bytes: segment_kib << 10,
                    spare_segments: 1,
                },
                log_budget_bytes: 48 << 10,
                log_limit_bytes: 1 << 20,
                cache_bytes: [0, 4 << 10, 1 << 20][rng.random_range(0..3)],
                run_bytes: run_kib << 10,
                packed_below_bytes: [0, 1 << 10, 1 << 20][rng.random_range(0..3)],
                min_free_bytes: [0, 1, 2][rng.random_range(0..3)] * (segment_kib << 10),
            },
            batches_in_flight: rng.random_range(1..=4),
            append_bytes: [600, 4 << 10, 1 << 20][rng.random_range(0..3)],
            planted,
        }
    }

    pub fn event(&self, rng: &mut SmallRng) -> Event {
        let mut at = rng.random_range(0..self.total);
        for (event, weight) in &self.weights {
            if at < *weight {
                return *event;
            }
            at -= weight;
        }
        Event::Tick
    }

    pub fn is(&self, planted: Planted) -> bool {
        self.planted == Some(planted)
    }
}
