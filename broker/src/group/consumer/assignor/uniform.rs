//! Everybody gets as much as everybody else.

use super::Subscriber;
use crate::group::catalog::Catalog;
use crate::group::consumer::Partitions;

pub fn assign(members: &[Subscriber<'_>], catalog: &Catalog) -> Vec<Partitions> {
    super::range::assign(members, catalog)
}
