//! The partition's state machine, and beside it a tap: everything that raft tells it is also told to the oracle.

use bytes::Bytes;
use millrace_broker::partition::{Command, Fault, Output, Partition, Refusal};
use millrace_broker::raft::ports::{GroupId, Joined, PeerId, Prepared, StateMachine};
use raft::eraftpb::{Entry, Snapshot};
use std::cell::RefCell;
use std::rc::Rc;

/// What one replica was told, in order.
pub enum Seen {
    Applied {
        group: GroupId,
        peer: PeerId,
        entry: Entry,
    },
    Leads {
        group: GroupId,
        peer: PeerId,
        term: u64,
        unapplied: Vec<Entry>,
    },
}

pub type Tap = Rc<RefCell<Vec<Seen>>>;

pub struct Machine {
    pub partition: Partition,
    pub group: GroupId,
    pub peer: PeerId,
    pub tap: Tap,
}

impl StateMachine for Machine {
    type Command = Command;
    type Output = Output;
    type Refusal = Refusal;
    type Fault = Fault;

    fn prepare(&mut self, term: u64, command: Command) -> Result<Prepared<Output>, Refusal> {
        self.partition.prepare(term, command)
    }

    fn may_grow(&self) -> bool {
        self.partition.may_grow()
    }

    fn join(&mut self, term: u64, command: Command) -> Joined<Command, Output, Refusal> {
        self.partition.join(term, command)
    }

    fn proposed(&mut self, term: u64, index: u64) {
        self.partition.proposed(term, index);
    }

    fn lead(&mut self, term: u64, unapplied: &[Entry]) {
        self.tap.borrow_mut().push(Seen::Leads {
            group: self.group,
            peer: self.peer,
            term,
            unapplied: unapplied.to_vec(),
        });
        self.partition.lead(term, unapplied);
    }

    fn follow(&mut self, term: u64, leader: PeerId) {
        self.partition.follow(term, leader);
    }

    fn apply(&mut self, entry: &Entry) -> Result<(), Fault> {
        self.partition.apply(entry)?;
        self.tap.borrow_mut().push(Seen::Applied {
            group: self.group,
            peer: self.peer,
            entry: entry.clone(),
        });
        Ok(())
    }

    fn persisted(&mut self, index: u64) {
        self.partition.persisted(index);
    }

    fn snapshot(&mut self) -> Result<Bytes, Fault> {
        self.partition.snapshot()
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), Fault> {
        self.partition.restore(snapshot)
    }
}
