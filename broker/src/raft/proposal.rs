//! From a command to an entry: what one caller asks for becomes an entry of its own, or joins the one that is being made.

use bytes::{Bytes, BytesMut};
use raft::eraftpb::Entry;

use super::group::{Fault, Group};
use super::ports::{Ack, GroupLog, Joined, Prepared, StateMachine};
use super::reply::{Failure, Reply};

/// An entry that is prepared and not yet proposed, and who waits for it.
pub(super) struct Proposal<O, R> {
    context: Bytes,
    data: Bytes,
    joined: Vec<Bytes>,
    callers: Vec<(Ack, O, Reply<O, R>)>,
}

impl<O, R> Proposal<O, R> {
    pub(super) fn callers(&self) -> usize {
        self.callers.len()
    }

    pub(super) fn fail(self, failure: impl Fn() -> Failure<R>) {
        for (_, _, reply) in self.callers {
            reply.answer(Err(failure()));
        }
    }
}

/// One after the other, in one piece.
fn concatenated(first: Bytes, rest: &[Bytes]) -> Bytes {
    if rest.is_empty() {
        return first;
    }
    let len = first.len() + rest.iter().map(Bytes::len).sum::<usize>();
    let mut all = BytesMut::with_capacity(len);
    all.extend_from_slice(&first);
    for part in rest {
        all.extend_from_slice(part);
    }
    all.freeze()
}

impl<L: GroupLog, S: StateMachine> Group<L, S> {
    pub(super) fn command(
        &mut self,
        command: S::Command,
        ack: Ack,
        reply: Reply<S::Output, S::Refusal>,
    ) -> Result<(), Fault> {
        if let Err(failure) = self.may_propose() {
            reply.answer(Err(failure));
            return Ok(());
        }
        let waiting = self.waiters.len() + self.proposal.as_ref().map_or(0, Proposal::callers);
        if waiting >= self.max_waiters {
            reply.answer(Err(Failure::Overloaded));
            return Ok(());
        }
        let term = self.node.raft.term;
        let command = match &mut self.proposal {
            None => command,
            Some(proposal) => match self.machine.join(term, command) {
                Joined::Part {
                    context,
                    data,
                    output,
                } => {
                    proposal.context = context;
                    proposal.joined.push(data);
                    proposal.callers.push((ack, output, reply));
                    return Ok(());
                }
                Joined::Refused(refusal) => {
                    reply.answer(Err(Failure::Refused(refusal)));
                    return Ok(());
                }
                Joined::Apart(command) => command,
            },
        };
        if let Err(fault) = self.propose_prepared() {
            reply.answer(Err(Failure::Faulty(fault.0.clone())));
            return Err(fault);
        }
        match self.machine.prepare(term, command) {
            Err(refusal) => reply.answer(Err(Failure::Refused(refusal))),
            Ok(Prepared::Done(output)) => reply.answer(Ok(output)),
            Ok(Prepared::After { index, output }) => {
                self.waiters.wait(index, ack, output, reply);
                self.answer_waiters();
            }
            Ok(Prepared::Entry {
                context,
                data,
                output,
            }) => {
                self.proposal = Some(Proposal {
                    context,
                    data,
                    joined: Vec::new(),
                    callers: vec![(ack, output, reply)],
                });
                if !self.machine.may_grow() {
                    return self.propose_prepared();
                }
            }
        }
        Ok(())
    }

    /// Before anything else happens to the group: what was prepared holds for the state as it was then.
    pub(super) fn propose_prepared(&mut self) -> Result<(), Fault> {
        let Some(mut proposal) = self.proposal.take() else {
            return Ok(());
        };
        let term = self.node.raft.term;
        let entry = Entry {
            context: std::mem::take(&mut proposal.context),
            data: concatenated(std::mem::take(&mut proposal.data), &proposal.joined),
            ..Entry::default()
        };
        match self.propose(entry) {
            Ok(Some(index)) => {
                self.machine.proposed(term, index);
                for (ack, output, reply) in proposal.callers {
                    self.waiters.wait(index, ack, output, reply);
                }
                Ok(())
            }
            Ok(None) => {
                proposal.fail(|| Failure::Overloaded);
                Ok(())
            }
            Err(fault) => {
                proposal.fail(|| Failure::Faulty(fault.0.clone()));
                Err(fault)
            }
        }
    }
}
