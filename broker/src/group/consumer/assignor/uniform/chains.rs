//! Makes shares exact where subscriptions differ.
//!
//! Who has too much may want nothing that who has too little wants, and yet a third member, who wants both, can take from the
//! one and give to the other. Partitions are pulled along such chains, always the shortest, until there is no chain from any
//! member to one with two or more fewer. Then the sorted list of loads is the best there is (an optimal semi-matching: no other
//! assignment has a smaller greatest or a greater smallest load).
//!
//! It is Dinic's algorithm, run for one load after the other, the greatest first. A run costs what there are subscriptions, and there
//! are about as many runs as there are different loads.

use super::shares::Shares;

const FAR: usize = usize::MAX;

struct Step {
    pool: usize,
    giver: usize,
    taker: usize,
}

struct Chains<'s, 'a> {
    shares: &'s mut Shares<'a>,
    /// Of each member, the pools it takes part in, and its seat there.
    seats: Vec<Vec<(usize, usize)>>,
    /// The load of those who are to give. Whoever has two or more fewer may take.
    load: usize,
    /// How many pools are between a member, or a pool, and somebody who may take.
    members_away: Vec<usize>,
    pools_away: Vec<usize>,
    /// What of `seats`, and of a pool's subscribers, has been tried.
    members_tried: Vec<usize>,
    pools_tried: Vec<usize>,
}

pub fn pull(shares: &mut Shares<'_>) {
    let least = shares.load.iter().min().copied().unwrap_or(0);
    let most = shares.load.iter().max().copied().unwrap_or(0);
    if most < least + 2 {
        return;
    }
    let mut seats = vec![Vec::new(); shares.load.len()];
    for (pool, at) in shares.demand.pools.iter().zip(0..) {
        for (seat, member) in pool.subscribers.iter().enumerate() {
            seats[*member].push((at, seat));
        }
    }
    let mut chains = Chains {
        members_away: vec![FAR; shares.load.len()],
        pools_away: vec![FAR; shares.held.len()],
        members_tried: Vec::new(),
        pools_tried: Vec::new(),
        seats,
        load: most,
        shares,
    };
    loop {
        while chains.run() {}
        // The least load only grows, so that what does not pay now never will.
        let lower = chains
            .shares
            .load
            .iter()
            .filter(|load| **load < chains.load);
        match lower.max() {
            Some(load) if *load >= least + 2 => chains.load = *load,
            _ => return,
        }
    }
}

impl Chains<'_, '_> {
    /// Whether anything moved.
    fn run(&mut self) -> bool {
        self.measure();
        self.members_tried = vec![0; self.members_away.len()];
        self.pools_tried = vec![0; self.pools_away.len()];
        let mut moved = false;
        for member in 0..self.members_away.len() {
            if self.shares.load[member] == self.load && self.members_away[member] != FAR {
                moved |= self.pull_from(member);
            }
        }
        moved
    }

    /// How far everybody is from who may take.
    fn measure(&mut self) {
        self.members_away.fill(FAR);
        self.pools_away.fill(FAR);
        let takers =
            (0..self.members_away.len()).filter(|at| self.shares.load[*at] + 2 <= self.load);
        let mut reached: Vec<usize> = takers.collect();
        for taker in &reached {
            self.members_away[*taker] = 0;
        }
        let mut next = 0;
        while let Some(member) = reached.get(next).copied() {
            next += 1;
            let away = self.members_away[member] + 1;
            for (pool, _) in &self.seats[member] {
                if self.pools_away[*pool] != FAR {
                    continue;
                }
                self.pools_away[*pool] = away;
                let subscribers = &self.shares.demand.pools[*pool].subscribers;
                for (giver, held) in subscribers.iter().zip(&self.shares.held[*pool]) {
                    if *held > 0 && self.members_away[*giver] == FAR {
                        self.members_away[*giver] = away;
                        reached.push(*giver);
                    }
                }
            }
        }
    }

    fn pull_from(&mut self, source: usize) -> bool {
        let mut chain: Vec<Step> = Vec::new();
        let mut member = source;
        while self.members_away[member] > 0 {
            if let Some((step, taker)) = self.step(member) {
                chain.push(step);
                member = taker;
                continue;
            }
            self.members_away[member] = FAR;
            match chain.pop() {
                Some(step) => member = self.shares.demand.pools[step.pool].subscribers[step.giver],
                None => return false,
            }
        }
        for step in chain {
            self.shares.held[step.pool][step.giver] -= 1;
            self.shares.held[step.pool][step.taker] += 1;
        }
        self.shares.load[source] -= 1;
        self.shares.load[member] += 1;
        true
    }

    /// A step from this member towards one that may take.
    fn step(&mut self, member: usize) -> Option<(Step, usize)> {
        while let Some((pool, giver)) = self.seats[member].get(self.members_tried[member]).copied()
        {
            let away = self.pools_away[pool];
            if away == self.members_away[member] && self.shares.held[pool][giver] > 0 {
                let subscribers = &self.shares.demand.pools[pool].subscribers;
                while let Some(to) = subscribers.get(self.pools_tried[pool]).copied() {
                    let is_nearer =
                        self.members_away[to] != FAR && self.members_away[to] + 1 == away;
                    let is_full =
                        self.members_away[to] == 0 && self.shares.load[to] + 2 > self.load;
                    if is_nearer && !is_full {
                        let taker = self.pools_tried[pool];
                        return Some((Step { pool, giver, taker }, to));
                    }
                    self.pools_tried[pool] += 1;
                }
            }
            self.members_tried[member] += 1;
        }
        None
    }
}
