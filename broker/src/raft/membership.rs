//! Who belongs to a group, and how that changes: one change at a time, through joint consensus where it is more than one step.

use protobuf::Message as _;
use raft::eraftpb::{ConfChange, ConfChangeTransition, ConfChangeV2, ConfState, Entry, EntryType};
use raft::{Changer, Storage};

use super::group::{Fault, Group};
use super::ports::{GroupLog, StateMachine};
use super::reply::{Failure, Reply};

/// Why the membership was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefusal {
    /// Another change is under way, or this leader has not yet applied what it found in its log.
    #[error("another membership change is not applied yet")]
    Pending,
    #[error("not a membership change that can be made: {0}")]
    Invalid(String),
}

/// Answered with the membership once the change is applied and, if joint, left again.
pub(super) struct PendingChange {
    pub(super) index: u64,
    pub(super) reply: Reply<ConfState, ChangeRefusal>,
}

fn is_joint(conf_state: &ConfState) -> bool {
    !conf_state.voters_outgoing.is_empty()
}

impl<L: GroupLog, S: StateMachine> Group<L, S> {
    pub(super) fn change_membership(
        &mut self,
        change: &ConfChangeV2,
        reply: Reply<ConfState, ChangeRefusal>,
    ) -> Result<(), Fault> {
        if let Err(failure) = self.may_propose().and_then(|()| self.may_change(change)) {
            reply.answer(Err(failure));
            return Ok(());
        }
        let mut entry = Entry::default();
        entry.set_entry_type(EntryType::EntryConfChangeV2);
        entry.data = match change.write_to_bytes() {
            Ok(bytes) => bytes.into(),
            Err(error) => {
                let refusal = ChangeRefusal::Invalid(error.to_string());
                reply.answer(Err(Failure::Refused(refusal)));
                return Ok(());
            }
        };
        match self.propose(entry) {
            Ok(Some(index)) => self.pending_change = Some(PendingChange { index, reply }),
            Ok(None) => reply.answer(Err(Failure::Overloaded)),
            Err(fault) => {
                reply.answer(Err(Failure::Faulty(fault.0.clone())));
                return Err(fault);
            }
        }
        Ok(())
    }

    /// Raft silently proposes an empty entry instead of a change that it will not make now, and a change that cannot be made
    /// fails only when it is applied: so all is checked here first.
    fn may_change(&self, change: &ConfChangeV2) -> Result<(), Failure<ChangeRefusal>> {
        let raft = &self.node.raft;
        let refuse = |refusal| Err(Failure::Refused(refusal));
        let invalid = |why: &str| refuse(ChangeRefusal::Invalid(why.to_owned()));
        if raft.has_pending_conf() || is_joint(&raft.prs().conf().to_conf_state()) {
            return refuse(ChangeRefusal::Pending);
        }
        if change.changes.is_empty() {
            return invalid("it names no replica");
        }
        if change.get_transition() == ConfChangeTransition::Explicit {
            return invalid("nobody would leave the joint membership");
        }
        if change.changes.iter().any(|single| single.node_id == 0) {
            return invalid("peer id 0 is not a peer");
        }
        let adds = |id: u64| raft.prs().get(id).is_none();
        let starts_at_one = raft.store().first_index().is_ok_and(|first| first <= 1);
        if starts_at_one && change.changes.iter().any(|single| adds(single.node_id)) {
            return invalid(
                "the log starts at index 1, so a new replica would never learn of the first voters",
            );
        }
        let mut changer = Changer::new(raft.prs());
        let tried = match change.enter_joint() {
            Some(auto_leave) => changer.enter_joint(auto_leave, &change.changes),
            None => changer.simple(&change.changes),
        };
        match tried {
            Ok(_) => Ok(()),
            Err(error) => invalid(&error.to_string()),
        }
    }

    /// A committed change. One that cannot be made is skipped, by every replica alike: they all apply it to the same membership.
    pub(super) fn apply_change(&mut self, entry: &Entry) -> Result<(), Fault> {
        if entry.index <= self.membership_index {
            return Ok(());
        }
        let applied = if entry.get_entry_type() == EntryType::EntryConfChange {
            let change: ConfChange = parse(entry)?;
            self.node.apply_conf_change(&change)
        } else {
            let change: ConfChangeV2 = parse(entry)?;
            self.node.apply_conf_change(&change)
        };
        match applied {
            Ok(conf_state) => {
                self.membership_index = entry.index;
                self.node
                    .mut_store()
                    .log
                    .set_conf_state(entry.index, &conf_state);
                tracing::info!(group = %self.id, index = entry.index, membership = ?conf_state, "membership changed");
                if !is_joint(&conf_state)
                    && let Some(change) = self.take_change(entry.index)
                {
                    change.reply.answer(Ok(conf_state));
                }
            }
            Err(error) => {
                tracing::warn!(group = %self.id, index = entry.index, %error, "membership change skipped");
                if let Some(change) = self.take_change(entry.index) {
                    let refusal = ChangeRefusal::Invalid(error.to_string());
                    change.reply.answer(Err(Failure::Refused(refusal)));
                }
            }
        }
        Ok(())
    }

    fn take_change(&mut self, applied: u64) -> Option<PendingChange> {
        self.pending_change
            .take_if(|change| change.index <= applied)
    }

    /// Raft lets a leader that is no voter any more go on leading, and panics when such a leader persists or commits something.
    /// The voter that knows most is asked to take over at once.
    pub(super) fn step_down_if_removed(&mut self) {
        if !self.leads() || self.is_voter() {
            return;
        }
        let raft = &mut self.node.raft;
        let voters = raft.prs().conf().to_conf_state().voters;
        let matched = |peer: &u64| raft.prs().get(*peer).map(|progress| progress.matched);
        if let Some(heir) = voters
            .iter()
            .copied()
            .max_by_key(|peer| (matched(peer), *peer))
        {
            raft.send_timeout_now(heir);
        }
        let term = raft.term;
        raft.become_follower(term, raft::INVALID_ID);
    }
}

fn parse<M: protobuf::Message>(entry: &Entry) -> Result<M, Fault> {
    let mut change = M::new();
    change.merge_from_bytes(&entry.data).map_err(|error| {
        Fault::new(format!(
            "membership change at index {}: {error}",
            entry.index
        ))
    })?;
    Ok(change)
}
