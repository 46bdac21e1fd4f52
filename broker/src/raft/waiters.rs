//! Who waits for which entry of one group. Only a leader has waiters, and its log only grows while it leads, so an index names
//! one entry for as long as somebody waits for it.

use std::collections::VecDeque;

use super::ports::Ack;
use super::reply::{Failure, Reply};

struct Waiter<O, R> {
    index: u64,
    /// How many voters must have persisted the entry.
    voters: usize,
    output: O,
    reply: Reply<O, R>,
}

impl<O, R> Waiter<O, R> {
    fn answer(self) {
        self.reply.answer(Ok(self.output));
    }
}

pub(super) struct Waiters<O, R> {
    /// By index, then by the order of arrival.
    persisted: VecDeque<Waiter<O, R>>,
    committed: VecDeque<Waiter<O, R>>,
}

impl<O, R> Waiters<O, R> {
    pub(super) fn new() -> Self {
        Waiters {
            persisted: VecDeque::new(),
            committed: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.persisted.len() + self.committed.len()
    }

    pub(super) fn wait(&mut self, index: u64, ack: Ack, output: O, reply: Reply<O, R>) {
        let (queue, voters) = match ack {
            Ack::Proposed => return reply.answer(Ok(output)),
            Ack::Persisted => (&mut self.persisted, 0),
            Ack::Committed { voters } => (&mut self.committed, voters),
        };
        let waiter = Waiter {
            index,
            voters,
            output,
            reply,
        };
        // Only who waits for an entry that is in the log already comes before others.
        match queue.back() {
            Some(last) if last.index > index => {
                let at = queue.partition_point(|other| other.index <= index);
                queue.insert(at, waiter);
            }
            _ => queue.push_back(waiter),
        }
    }

    /// This replica has persisted its log up to `index`.
    pub(super) fn on_persisted(&mut self, index: u64) {
        while let Some(waiter) = self.persisted.pop_front_if(|first| first.index <= index) {
            waiter.answer();
        }
    }

    /// Whether `on_committed` could answer anybody.
    pub(super) fn any_up_to(&self, applied: u64) -> bool {
        self.committed
            .front()
            .is_some_and(|first| first.index <= applied)
    }

    /// Entries up to `applied` are committed and applied. `matched` gathers what each voter has persisted, highest first; it
    /// is asked only when somebody waits for more than the one voter that every commit takes.
    pub(super) fn on_committed(&mut self, applied: u64, matched: impl FnOnce() -> Vec<u64>) {
        let mut matched = Some(matched);
        let mut gathered = Vec::new();
        let mut unsatisfied = Vec::new();
        while let Some(waiter) = self.committed.pop_front_if(|first| first.index <= applied) {
            if waiter.voters > 1 {
                if let Some(gather) = matched.take() {
                    gathered = gather();
                }
                let has = gathered.get(waiter.voters - 1).copied();
                if has.is_none_or(|matched| matched < waiter.index) {
                    unsatisfied.push(waiter);
                    continue;
                }
            }
            waiter.answer();
        }
        for waiter in unsatisfied.into_iter().rev() {
            self.committed.push_front(waiter);
        }
    }

    pub(super) fn fail(&mut self, failure: impl Fn() -> Failure<R>) {
        let persisted = std::mem::take(&mut self.persisted);
        let committed = std::mem::take(&mut self.committed);
        for waiter in persisted.into_iter().chain(committed) {
            waiter.reply.answer(Err(failure()));
        }
    }
}
