//! What nobody has goes to those who have the least, and of those to one in a rack that holds it.

use super::Replicas;
use super::shares::Shares;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// The loads of seats, the least first. A load may have grown since.
type Poorest = BinaryHeap<Reverse<(usize, usize)>>;

struct Pool<'f> {
    subscribers: &'f [usize],
    load: &'f mut [usize],
    held: &'f mut [usize],
    all: Poorest,
    by_rack: HashMap<usize, Poorest>,
}

/// `before` is who had which partition.
pub fn all(shares: &mut Shares<'_>, before: &[Vec<Option<usize>>], replicas: &Replicas) {
    for (at, pool) in shares.demand.pools.iter().enumerate() {
        let free = before[at]
            .iter()
            .zip(&replicas[at])
            .filter(|(seat, _)| seat.is_none());
        let mut free: Vec<&[usize]> = free.map(|(_, racks)| racks.as_slice()).collect();
        if free.is_empty() {
            continue;
        }
        let mut by_rack: HashMap<usize, Poorest> = HashMap::new();
        let mut all = Vec::with_capacity(pool.subscribers.len());
        for (seat, member) in pool.subscribers.iter().enumerate() {
            let entry = Reverse((shares.load[*member], seat));
            all.push(entry);
            if let Some(rack) = shares.demand.racks[*member] {
                by_rack.entry(rack).or_default().push(entry);
            }
        }
        let mut pool = Pool {
            subscribers: &pool.subscribers,
            load: &mut shares.load,
            held: &mut shares.held[at],
            all: all.into(),
            by_rack,
        };
        // What matches comes first, or its place would be somebody's to whom any place is as good.
        free.retain(|racks| !pool.give(racks));
        for racks in free {
            if !pool.give(racks) {
                pool.give_anybody();
            }
        }
    }
}

impl Pool<'_> {
    /// Whether there is one in these racks who has as little as anybody.
    fn give(&mut self, racks: &[usize]) -> bool {
        if racks.is_empty() {
            return false;
        }
        let Some((least, _)) = first(&mut self.all, self.subscribers, self.load) else {
            return false;
        };
        for rack in racks {
            let seats = self.by_rack.get_mut(rack);
            let seat = seats.and_then(|seats| first(seats, self.subscribers, self.load));
            if let Some((load, seat)) = seat
                && load == least
            {
                self.give_to(seat);
                return true;
            }
        }
        false
    }

    fn give_anybody(&mut self) {
        if let Some((_, seat)) = first(&mut self.all, self.subscribers, self.load) {
            self.give_to(seat);
        }
    }

    fn give_to(&mut self, seat: usize) {
        self.held[seat] += 1;
        self.load[self.subscribers[seat]] += 1;
    }
}

/// Who has the least, and how much.
fn first(poorest: &mut Poorest, subscribers: &[usize], load: &[usize]) -> Option<(usize, usize)> {
    loop {
        let mut first = poorest.peek_mut()?;
        let now = load[subscribers[first.0.1]];
        if first.0.0 == now {
            return Some(first.0);
        }
        first.0.0 = now;
    }
}
