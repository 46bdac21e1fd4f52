//! Who waits for which entry of one group. Only a leader has waiters, and its log only grows while it leads, so an index names
//! one entry for as long as somebody waits for it.

use std::collections::BTreeMap;

use super::ports::Ack;
use super::reply::{Failure, Reply};

struct Waiter<O, R> {
    /// How many voters must have persisted the entry.
    voters: usize,
    output: O,
    reply: Reply<O, R>,
}

pub(super) struct Waiters<O, R> {
    /// By index, then by the order of arrival.
    persisted: BTreeMap<(u64, u64), Waiter<O, R>>,
    committed: BTreeMap<(u64, u64), Waiter<O, R>>,
    arrivals: u64,
}

impl<O, R> Waiters<O, R> {
    pub(super) fn new() -> Self {
        Waiters {
            persisted: BTreeMap::new(),
            committed: BTreeMap::new(),
            arrivals: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.persisted.len() + self.committed.len()
    }

    pub(super) fn wait(&mut self, index: u64, ack: Ack, output: O, reply: Reply<O, R>) {
        self.arrivals += 1;
        let key = (index, self.arrivals);
        let (queue, voters) = match ack {
            Ack::Proposed => return reply.answer(Ok(output)),
            Ack::Persisted => (&mut self.persisted, 0),
            Ack::Committed { voters } => (&mut self.committed, voters),
        };
        let waiter = Waiter {
            voters,
            output,
            reply,
        };
        queue.insert(key, waiter);
    }

    /// This replica has persisted its log up to `index`.
    pub(super) fn on_persisted(&mut self, index: u64) {
        while let Some(first) = self.persisted.first_entry() {
            if first.key().0 > index {
                break;
            }
            let waiter = first.remove();
            waiter.reply.answer(Ok(waiter.output));
        }
    }

    /// Whether `on_committed` could answer anybody, so that `matched` need not be gathered in vain.
    pub(super) fn any_up_to(&self, applied: u64) -> bool {
        self.committed
            .first_key_value()
            .is_some_and(|((index, _), _)| *index <= applied)
    }

    /// Entries up to `applied` are committed and applied; `matched` is what each voter has persisted, highest first.
    pub(super) fn on_committed(&mut self, applied: u64, matched: &[u64]) {
        let ready: Vec<(u64, u64)> = self
            .committed
            .range(..=(applied, u64::MAX))
            .filter(|((index, _), waiter)| {
                waiter.voters == 0
                    || matched
                        .get(waiter.voters - 1)
                        .is_some_and(|matched| matched >= index)
            })
            .map(|(key, _)| *key)
            .collect();
        for key in ready {
            if let Some(waiter) = self.committed.remove(&key) {
                waiter.reply.answer(Ok(waiter.output));
            }
        }
    }

    pub(super) fn fail(&mut self, failure: impl Fn() -> Failure<R>) {
        let persisted = std::mem::take(&mut self.persisted);
        let committed = std::mem::take(&mut self.committed);
        for (_, waiter) in persisted.into_iter().chain(committed) {
            waiter.reply.answer(Err(failure()));
        }
    }
}
