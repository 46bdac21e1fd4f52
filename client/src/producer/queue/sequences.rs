//! The sequences of one partition: which number a batch carries, and when numbering begins anew.

/// A producer's id and epoch, as the broker gave them; the epoch then goes its own way in each partition (KIP-360).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub producer_id: i64,
    pub epoch: i16,
}

#[derive(Debug, Default)]
pub(super) struct Sequences {
    identity: Option<Identity>,
    next: i32,
    /// A sequence was lost or its fate is unknown: what follows needs another epoch, once nothing is in flight.
    needs_epoch: bool,
    /// The broker has accepted a batch of this identity: it checks the sequences of those that follow.
    is_known: bool,
}

impl Sequences {
    /// Whether nothing may be sent beside what is in flight.
    pub fn must_go_alone(&self) -> bool {
        self.needs_epoch || (self.identity.is_some() && !self.is_known)
    }

    pub fn needs_epoch(&self) -> bool {
        self.needs_epoch
    }

    pub fn lost(&mut self) {
        self.needs_epoch = true;
    }

    pub fn accepted(&mut self) {
        self.is_known = true;
    }

    /// Whether the next epoch would be none: a new producer id is needed.
    pub fn exhausts(&self, identity: Identity) -> bool {
        let own = self
            .identity
            .filter(|own| own.producer_id == identity.producer_id);
        self.needs_epoch && own.is_some_and(|own| own.epoch == i16::MAX)
    }

    /// Another epoch, or another producer, starts its sequences at 0. True when it does: what waits is to be numbered anew.
    pub fn begin(&mut self, current: Identity, nothing_in_flight: bool) -> bool {
        let next = match self.identity {
            None => current,
            Some(own) if own.producer_id != current.producer_id => match nothing_in_flight {
                true => current,
                false => return false,
            },
            Some(own) if self.needs_epoch => Identity {
                epoch: own.epoch.saturating_add(1),
                ..own
            },
            Some(_) => return false,
        };
        *self = Sequences {
            identity: Some(next),
            ..Sequences::default()
        };
        true
    }

    /// The sequence of a batch, the one that it has already or the next. `None` without idempotence.
    pub fn assign(&mut self, given: &mut Option<i32>, records: u32) -> Option<(Identity, i32)> {
        let identity = self.identity?;
        let sequence = *given.get_or_insert(self.next);
        if sequence == self.next {
            self.next = after(sequence, records);
        }
        Some((identity, sequence))
    }

    #[cfg(test)]
    pub fn known(identity: Identity) -> Sequences {
        Sequences {
            identity: Some(identity),
            is_known: true,
            ..Sequences::default()
        }
    }
}

/// Sequences wrap from the greatest to 0.
fn after(sequence: i32, records: u32) -> i32 {
    let sum = i64::from(sequence) + i64::from(records);
    (sum & i64::from(i32::MAX)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(after(i32::MAX - 1, 1), i32::MAX);
        assert_eq!(after(i32::MAX, 1), 0);
        assert_eq!(after(i32::MAX - 1, 4), 2);
    }
}
