//! How many partitions of each pool each member gets.

use crate::group::consumer::assignor::demand::Demand;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How often all pools are levelled, one by one: the bulk, at little cost. What is left to do then is left to the chains.
const ROUNDS: usize = 8;

pub struct Shares<'a> {
    pub demand: &'a Demand<'a>,
    /// Of each pool, by its seats.
    pub held: Vec<Vec<usize>>,
    /// Of each member, from all pools.
    pub load: Vec<usize>,
}

impl<'a> Shares<'a> {
    /// What the members had, and may keep for all that is known yet.
    pub fn kept(demand: &'a Demand<'a>, before: &[Vec<Option<usize>>]) -> Shares<'a> {
        let mut load = vec![0; demand.members.len()];
        let mut held = Vec::with_capacity(demand.pools.len());
        for (pool, before) in demand.pools.iter().zip(before) {
            let mut seats = vec![0; pool.subscribers.len()];
            for seat in before.iter().flatten() {
                seats[*seat] += 1;
                load[pool.subscribers[*seat]] += 1;
            }
            held.push(seats);
        }
        Shares { demand, held, load }
    }

    /// Within each pool, those with the most give to those with the least.
    pub fn level(&mut self) {
        for _ in 0..ROUNDS {
            let mut changed = false;
            for pool in 0..self.held.len() {
                changed |= self.level_pool(pool);
            }
            if !changed {
                break;
            }
        }
    }

    /// A heap may hold a load that has changed since, of who gave or took. It does no harm: who gave had the most, and is at
    /// most one below the richest ever after; who took had the least, and is at most one above the poorest.
    fn level_pool(&mut self, pool: usize) -> bool {
        let subscribers = &self.demand.pools[pool].subscribers;
        let held = &mut self.held[pool];
        let load = |seat: usize| self.load[subscribers[seat]];
        let givers = (0..held.len()).filter(|seat| held[*seat] > 0);
        let most = givers.clone().map(load).max().unwrap_or(0);
        let least = (0..held.len()).map(load).min().unwrap_or(0);
        if most < least + 2 {
            return false;
        }
        let mut richest: BinaryHeap<_> = givers.map(|seat| (load(seat), Reverse(seat))).collect();
        let mut poorest: BinaryHeap<_> = (0..held.len())
            .map(|seat| Reverse((load(seat), seat)))
            .collect();
        while let (Some(mut rich), Some(mut poor)) = (richest.peek_mut(), poorest.peek_mut()) {
            if rich.0 < poor.0.0 + 2 {
                break;
            }
            let (giver, taker) = (rich.1.0, poor.0.1);
            held[giver] -= 1;
            held[taker] += 1;
            self.load[subscribers[giver]] -= 1;
            self.load[subscribers[taker]] += 1;
            poor.0.0 += 1;
            if held[giver] == 0 {
                std::collections::binary_heap::PeekMut::pop(rich);
            } else {
                rich.0 -= 1;
            }
        }
        true
    }
}
