//! Everybody gets as much as everybody else, as far as the subscriptions permit it, and keeps what it has.
//!
//! First it is settled how *many* partitions of each pool each member gets: [`shares`] keeps what was, [`fill`] hands out what is
//! free, [`shares`] levels, [`chains`] makes that exact, and [`stay`] finds, of all that is as even, what moves the least. Which
//! partitions they are is settled next ([`settle`]): as many of the old ones as the count permits. Last, partitions change places
//! where that brings them to a rack that holds them ([`trade`]).
//!
//! A move costs a pause once, a fetch across racks costs something for each byte that is ever read: so a partition moves for
//! a rack's sake, but only if there are more matches after it than before. Balance never pays.

mod chains;
mod fill;
mod settle;
mod shares;
mod stay;
mod trade;

use super::Subscriber;
use super::demand::Demand;
use crate::group::catalog::Catalog;
use crate::group::consumer::Partitions;
use shares::Shares;

/// For each pool and partition, the racks that hold it and have members.
type Replicas = Vec<Vec<Vec<usize>>>;

pub fn assign(members: &[Subscriber<'_>], catalog: &Catalog) -> Vec<Partitions> {
    let demand = Demand::new(members, catalog);
    let replicas: Replicas = demand
        .pools
        .iter()
        .map(|pool| settle::replicas(&demand, pool))
        .collect();
    let before = settle::before(&demand);
    let mut shares = Shares::kept(&demand, &before);
    let had = shares.held.clone();
    fill::all(&mut shares, &before, &replicas);
    shares.level();
    chains::pull(&mut shares);
    stay::prefer(&mut shares, &had);
    let mut owners: Vec<Vec<usize>> = before
        .iter()
        .enumerate()
        .map(|(pool, before)| {
            settle::pool(&demand, pool, before, &replicas[pool], &shares.held[pool])
        })
        .collect();
    if demand.has_racks() {
        trade::all(&mut shares, &mut owners, &replicas);
    }
    demand.answer(settle::partitions(&demand, &owners))
}
