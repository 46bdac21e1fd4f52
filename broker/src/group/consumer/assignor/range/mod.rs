//! Of each topic, a run of neighbours for everybody.
//!
//! Topics with as many partitions and the same subscribers are one class, and are laid out alike: who reads partition 3 of one reads
//! partition 3 of all of them. A class can be laid out in more than one way that is just as even ([`layout`]), and the one that
//! is worth the most is taken. One more partition that is read in a rack that holds it is worth two that move, as in `uniform`, where an
//! exchange moves two for it. That whole runs move with one partition, and with them those of the whole class, is so accounted for.
//!
//! Kafka's own layout, which goes by the members' names alone, is always one of them: so no more moves than there.

mod layout;

use super::Subscriber;
use super::demand::{Demand, Pool};
use crate::group::catalog::{Catalog, Topic};
use crate::group::consumer::Partitions;
use layout::{Layout, Span};
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub fn assign(members: &[Subscriber<'_>], catalog: &Catalog) -> Vec<Partitions> {
    let demand = Demand::new(members, catalog);
    let mut found = vec![Partitions::new(); members.len()];
    for pool in &demand.pools {
        let mut by_len: BTreeMap<usize, Vec<&Topic>> = BTreeMap::new();
        for topic in &pool.topics {
            by_len.entry(topic.racks.len()).or_default().push(topic);
        }
        for (len, topics) in by_len {
            let layout = Class::new(&demand, pool, &topics, len).best();
            for (member, run) in pool.subscribers.iter().zip(&layout.runs) {
                if run.is_empty() {
                    continue;
                }
                for topic in &topics {
                    let run = topic.partitions().skip(run.start).take(run.len());
                    found[*member].insert(topic.id, run.collect());
                }
            }
        }
    }
    demand.answer(found)
}

/// Topics that are laid out alike.
struct Class<'c> {
    len: usize,
    /// Of each seat, what it had of these topics.
    had: Vec<Vec<&'c BTreeSet<i32>>>,
    racks: Vec<Option<usize>>,
    /// For each partition, in how many topics a rack holds it; nothing where no member names a rack.
    replicas: Vec<HashMap<usize, usize>>,
}

impl<'c> Class<'c> {
    fn new(demand: &Demand<'c>, pool: &Pool<'_>, topics: &[&Topic], len: usize) -> Class<'c> {
        let had = pool.subscribers.iter().map(|member| {
            let had = demand.members[*member].had;
            topics
                .iter()
                .filter_map(|topic| had.get(&topic.id))
                .collect()
        });
        let mut replicas = vec![HashMap::new(); if demand.has_racks() { len } else { 0 }];
        for (partition, counts) in replicas.iter_mut().enumerate() {
            for rack in topics
                .iter()
                .flat_map(|topic| demand.replicas(topic, partition))
            {
                *counts.entry(rack).or_insert(0) += 1;
            }
        }
        Class {
            len,
            had: had.collect(),
            racks: pool
                .subscribers
                .iter()
                .map(|member| demand.racks[*member])
                .collect(),
            replicas,
        }
    }

    fn best(&self) -> Layout {
        let spans: Vec<Option<Span>> = self.had.iter().map(|had| self.span(had)).collect();
        let none = vec![None; spans.len()];
        let mut best = Layout::new(self.len, &spans, self.racks.as_slice(), &self.replicas);
        let mut worth = self.worth(&best);
        let no_racks = vec![None; spans.len()];
        for racks in [&no_racks, &self.racks] {
            let other = Layout::new(self.len, &none, racks, &self.replicas);
            let others = self.worth(&other);
            if others > worth {
                (best, worth) = (other, others);
            }
        }
        best
    }

    /// From where to where a member had partitions.
    fn span(&self, had: &[&BTreeSet<i32>]) -> Option<Span> {
        let len = i32::try_from(self.len).unwrap_or(i32::MAX);
        let spans = had.iter().filter_map(|had| {
            let mut valid = had.range(0..len);
            let first = usize::try_from(*valid.next()?).ok()?;
            let last = valid
                .next_back()
                .and_then(|last| usize::try_from(*last).ok());
            Some(Span {
                start: first,
                end: last.unwrap_or(first) + 1,
            })
        });
        spans.max_by_key(|span| (span.end - span.start, usize::MAX - span.start))
    }

    /// How many partitions stay, and twice how many are read in a rack that holds them.
    ///
    /// What was taken for this is taken again: another layout has no more matches than it has fewer partitions that stay, and
    /// those that stay in the one taken include all where the two agree.
    fn worth(&self, layout: &Layout) -> usize {
        let mut worth = 0;
        for ((run, had), rack) in layout.runs.iter().zip(&self.had).zip(&self.racks) {
            let (start, end) = (run.start as i32, run.end as i32);
            let stays = had.iter().map(|had| had.range(start..end).count());
            worth += stays.sum::<usize>();
            if let Some(rack) = rack {
                let replicas = self.replicas[run.clone()].iter();
                let matches = replicas.filter_map(|counts| counts.get(rack));
                worth += 2 * matches.sum::<usize>();
            }
        }
        worth
    }
}
