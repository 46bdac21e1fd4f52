//! Brings partitions to members in racks that hold them, without anybody getting more or less by it.
//!
//! Within a pool, a partition in the wrong rack goes to a member in the right one if that has fewer, or for one of
//! its partitions, if more partitions are in the right rack after it than before. Each step makes one more match, so that there
//! are at most as many steps as partitions. Longer exchanges (three racks in a ring, each partition matched before it) are not
//! looked for.

use super::Replicas;
use super::shares::Shares;
use std::collections::{BTreeSet, HashMap, VecDeque};

pub fn all(shares: &mut Shares<'_>, owners: &mut [Vec<usize>], replicas: &Replicas) {
    let demand = shares.demand;
    // What moves in one pool can open a way in another.
    let mut changed = true;
    while changed {
        changed = false;
        for (pool, owners) in owners.iter_mut().enumerate() {
            let subscribers = &demand.pools[pool].subscribers;
            let racks: Vec<_> = subscribers
                .iter()
                .map(|member| demand.racks[*member])
                .collect();
            let trade = Trade::new(
                &replicas[pool],
                &racks,
                subscribers,
                &mut shares.load,
                owners,
            );
            changed |= trade.is_some_and(Trade::run);
        }
    }
}

/// One pool's market. `held` of the shares is not kept up any more: the owners are what counts now.
struct Trade<'t> {
    replicas: &'t [Vec<usize>],
    /// Of each seat.
    racks: &'t [Option<usize>],
    members: &'t [usize],
    load: &'t mut [usize],
    owners: &'t mut [usize],
    /// Rack, load, seat.
    by_load: BTreeSet<(usize, usize, usize)>,
    /// By rack, what is there and should not be. An entry may be out of date.
    misplaced: HashMap<usize, Vec<usize>>,
    /// By rack, and another where it would be as well, what is there rightly. An entry may be out of date.
    movable: HashMap<(usize, usize), Vec<usize>>,
}

impl<'t> Trade<'t> {
    /// Nothing, if nothing could be better.
    fn new(
        replicas: &'t [Vec<usize>],
        racks: &'t [Option<usize>],
        members: &'t [usize],
        load: &'t mut [usize],
        owners: &'t mut [usize],
    ) -> Option<Trade<'t>> {
        let mut trade = Trade {
            replicas,
            racks,
            members,
            load,
            owners,
            by_load: BTreeSet::new(),
            misplaced: HashMap::new(),
            movable: HashMap::new(),
        };
        (0..replicas.len()).find(|partition| trade.could_match(*partition))?;
        for (seat, rack) in racks.iter().enumerate() {
            let load = trade.load[members[seat]];
            trade.by_load.extend(rack.map(|rack| (rack, load, seat)));
        }
        for partition in 0..replicas.len() {
            trade.note(partition);
        }
        Some(trade)
    }

    fn rack(&self, partition: usize) -> Option<usize> {
        self.racks[self.owners[partition]]
    }

    fn matches(&self, partition: usize) -> bool {
        self.rack(partition)
            .is_some_and(|rack| self.replicas[partition].contains(&rack))
    }

    fn could_match(&self, partition: usize) -> bool {
        !self.replicas[partition].is_empty() && !self.matches(partition)
    }

    fn note(&mut self, partition: usize) {
        let Some(rack) = self.rack(partition) else {
            return;
        };
        if !self.matches(partition) {
            self.misplaced.entry(rack).or_default().push(partition);
            return;
        }
        for other in self.replicas[partition]
            .iter()
            .filter(|other| **other != rack)
        {
            self.movable
                .entry((rack, *other))
                .or_default()
                .push(partition);
        }
    }

    fn run(mut self) -> bool {
        let mut changed = false;
        let mut open: VecDeque<usize> = (0..self.owners.len()).collect();
        while let Some(partition) = open.pop_front() {
            if !self.could_match(partition) {
                continue;
            }
            let seat = self.owners[partition];
            if let Some(taker) = self.poorer(partition) {
                self.shift_load(seat, taker);
                self.owners[partition] = taker;
            } else if let Some(other) = self.partner(partition) {
                self.owners.swap(partition, other);
                self.note(other);
                open.push_back(other);
            } else {
                continue;
            }
            self.note(partition);
            changed = true;
        }
        changed
    }

    /// Somebody in a right rack who has fewer. It is one fewer, because shares are even: the two only change roles.
    fn poorer(&self, partition: usize) -> Option<usize> {
        let load = self.load[self.members[self.owners[partition]]];
        let racks = self.replicas[partition].iter();
        let poorer = |rack: &usize| self.by_load.range((*rack, 0, 0)..(*rack, load, 0)).next();
        racks.filter_map(poorer).map(|(_, _, seat)| *seat).next()
    }

    fn shift_load(&mut self, giver: usize, taker: usize) {
        for (seat, is_taker) in [(giver, false), (taker, true)] {
            let load = &mut self.load[self.members[seat]];
            let before = *load;
            *load = if is_taker { before + 1 } else { before - 1 };
            if let Some(rack) = self.racks[seat] {
                self.by_load.remove(&(rack, before, seat));
                self.by_load.insert((rack, *load, seat));
            }
        }
    }

    /// A partition in a right rack that is wrong there, or would be right here.
    fn partner(&mut self, partition: usize) -> Option<usize> {
        let here = self.rack(partition);
        for there in &self.replicas[partition] {
            while let Some(other) = self.misplaced.get_mut(there).and_then(Vec::pop) {
                if self.rack(other) == Some(*there) && !self.matches(other) {
                    return Some(other);
                }
            }
            let Some(here) = here else { continue };
            while let Some(other) = self.movable.get_mut(&(*there, here)).and_then(Vec::pop) {
                if self.rack(other) == Some(*there) {
                    return Some(other);
                }
            }
        }
        None
    }
}
