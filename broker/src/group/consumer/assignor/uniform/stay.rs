//! Of all shares that are as even, those with which the most partitions stay where they were.
//!
//! A partition that was pulled out of one pool may have to come back into another. Here the shares of members are exchanged in a
//! circle where that lets more stay: each gives one of a pool and gets one of another, or two of them change who has one more. As
//! long as there is such a circle, there is one of negative cost in the graph of members and pools, and Bellman and Ford find it;
//! when there is none, nothing better exists.

use super::shares::Shares;

/// How often all subscriptions are looked at. What is found by then is kept; only large groups ever come here.
const PASSES: usize = 128;

/// By what way a node is reached at the least cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Nobody,
    /// A pool.
    Pool(usize),
    /// Somebody who has one fewer.
    Member(usize),
}

struct Circles<'s, 'a> {
    shares: &'s mut Shares<'a>,
    had: &'s [Vec<usize>],
    /// What it costs at least to have one fewer somewhere and one more here, and how it comes here.
    members: Vec<(i32, From)>,
    /// The same; the giver's seat.
    pools: Vec<(i32, Option<usize>)>,
}

/// `had` is what the shares were before anything moved.
pub fn prefer(shares: &mut Shares<'_>, had: &[Vec<usize>]) {
    let mut seats = shares.held.iter().flatten().zip(had.iter().flatten());
    if shares.held.len() < 2 || seats.all(|(held, had)| held >= had) {
        return;
    }
    let mut circles = Circles {
        members: Vec::new(),
        pools: Vec::new(),
        shares,
        had,
    };
    circles.forget();
    for _ in 0..PASSES {
        if !circles.pass() {
            return;
        }
        if circles.turn() {
            circles.forget();
        }
    }
}

impl Circles<'_, '_> {
    fn forget(&mut self) {
        self.members = vec![(0, From::Nobody); self.shares.load.len()];
        self.pools = vec![(0, None); self.shares.held.len()];
    }

    /// Whether any way got cheaper.
    fn pass(&mut self) -> bool {
        let mut changed = self.pass_loads();
        for (at, pool) in self.shares.demand.pools.iter().enumerate() {
            let seats = self.shares.held[at].iter().zip(&self.had[at]);
            let seats = || pool.subscribers.iter().zip(seats.clone());
            let (least, giver) = &mut self.pools[at];
            for (seat, (member, (held, had))) in seats().enumerate() {
                // What goes had come only now.
                let cost = self.members[*member].0 - i32::from(held > had);
                if *held > 0 && cost < *least {
                    (*least, *giver) = (cost, Some(seat));
                    changed = true;
                }
            }
            for (member, (held, had)) in seats() {
                // What comes was here before.
                let cost = *least + i32::from(held >= had);
                if cost < self.members[*member].0 {
                    self.members[*member] = (cost, From::Pool(at));
                    changed = true;
                }
            }
        }
        changed
    }

    /// One who has one more than another may change places with it.
    fn pass_loads(&mut self) -> bool {
        let most = self.shares.load.iter().max().copied().unwrap_or(0);
        let mut cheapest = vec![None; most + 1];
        for (at, load) in self.shares.load.iter().enumerate() {
            let (cost, _) = self.members[at];
            if cheapest[*load].is_none_or(|(least, _)| cost < least) {
                cheapest[*load] = Some((cost, at));
            }
        }
        let mut changed = false;
        for (at, load) in self.shares.load.iter().enumerate() {
            let fewer = load.checked_sub(1).and_then(|load| cheapest[load]);
            if let Some((cost, from)) = fewer.filter(|(cost, _)| *cost < self.members[at].0) {
                self.members[at] = (cost, From::Member(from));
                changed = true;
            }
        }
        changed
    }

    /// Exchanges along all circles that the cheapest ways make. Whether there is any.
    fn turn(&mut self) -> bool {
        let mut seen = vec![0; self.members.len()];
        let mut turned = false;
        for first in 0..seen.len() {
            let mut member = first;
            while seen[member] == 0 {
                seen[member] = first + 1;
                match self.giver(member) {
                    Some(giver) => member = giver,
                    None => break,
                }
            }
            let is_new = seen[member] == first + 1;
            if is_new && self.giver(member).is_some() {
                self.turn_from(member);
                turned = true;
            }
        }
        turned
    }

    fn giver(&self, member: usize) -> Option<usize> {
        match self.members[member].1 {
            From::Nobody => None,
            From::Member(giver) => Some(giver),
            From::Pool(pool) => {
                Some(self.shares.demand.pools[pool].subscribers[self.pools[pool].1?])
            }
        }
    }

    fn turn_from(&mut self, first: usize) {
        let mut member = first;
        loop {
            let Some(giver) = self.giver(member) else {
                return;
            };
            match self.members[member].1 {
                From::Pool(pool) => {
                    let subscribers = &self.shares.demand.pools[pool].subscribers;
                    let taker = subscribers.binary_search(&member).ok();
                    if let (Some(taker), Some(giver)) = (taker, self.pools[pool].1) {
                        self.shares.held[pool][giver] -= 1;
                        self.shares.held[pool][taker] += 1;
                    }
                }
                // Who had one fewer keeps what came, and who had one more goes without.
                From::Member(fewer) => {
                    self.shares.load[fewer] += 1;
                    self.shares.load[member] -= 1;
                }
                From::Nobody => return,
            }
            member = giver;
            if member == first {
                return;
            }
        }
    }
}
