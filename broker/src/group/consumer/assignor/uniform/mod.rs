//! Everybody gets as much as everybody else, as far as the subscriptions permit it, and keeps what it has.
//!
//! First it is settled how *many* partitions of each pool each member gets: [`shares`] keeps, fills and levels, [`chains`] makes
//! that exact. Which ones they are is settled next ([`settle`]): as many of the old ones as the count permits. Last, partitions
//! change places where that brings them to a rack that holds them ([`trade`]).
//!
//! A move costs a pause once, a fetch across racks costs something for each byte that is ever read: so a partition moves for
//! a rack's sake, but only if there are more matches after it than before. Balance never pays.

mod chains;
mod settle;
mod shares;
mod trade;

use super::Subscriber;
use super::demand::Demand;
use crate::group::catalog::Catalog;
use crate::group::consumer::Partitions;
use shares::Shares;

pub fn assign(members: &[Subscriber<'_>], catalog: &Catalog) -> Vec<Partitions> {
    let demand = Demand::new(members, catalog);
    let before = settle::before(&demand);
    let mut shares = Shares::kept(&demand, &before);
    shares.fill();
    shares.level();
    chains::pull(&mut shares);
    let mut owners: Vec<Vec<usize>> = before
        .into_iter()
        .enumerate()
        .map(|(pool, before)| settle::pool(&demand, pool, before, &shares.held[pool]))
        .collect();
    if demand.has_racks() {
        trade::all(&mut shares, &mut owners);
    }
    demand.answer(settle::partitions(&demand, &owners))
}
