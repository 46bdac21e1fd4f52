//! What peers say, and what of it raft may hear.

use raft::eraftpb::{Message, MessageType};

use super::group::{Fault, Group};
use super::ports::{GroupLog, StateMachine};

impl<L: GroupLog, S: StateMachine> Group<L, S> {
    /// Whether the message was one for this replica to take.
    pub(super) fn message(&mut self, mut message: Message) -> Result<bool, Fault> {
        if !self.is_acceptable(&message) {
            return Ok(false);
        }
        let log = &self.node.raft.raft_log;
        match message.get_msg_type() {
            MessageType::MsgSnapshot if self.awaits_snapshot() => {
                self.held_snapshot = Some(message);
                return Ok(true);
            }
            // A leader tells no more than what this replica acknowledged as persisted. Raft would panic.
            MessageType::MsgHeartbeat
                if message.term >= self.node.raft.term && message.commit > log.last_index() =>
            {
                return Err(Fault::new(format!(
                    "this replica acknowledged index {}, but its log ends at {}",
                    message.commit,
                    log.last_index()
                )));
            }
            // Raft ignores it for its earlier term, and with it the commit index it carries. But that may be all that still
            // gets this replica elected: of two voters the leader was demoted, knows so, has the longer log, and is the one
            // whose vote the other still asks for. What is committed is so in every term.
            MessageType::MsgRequestPreVoteResponse
                if message.reject && message.commit > log.committed =>
            {
                message.term = message.term.max(self.node.raft.term);
            }
            _ => {}
        }
        // The only errors are a response from a peer that is not a member, and those of proposals.
        let _ = self.node.step(message);
        self.settle()?;
        self.answer_waiters();
        Ok(true)
    }

    /// Raft trusts what it is given: it forwards proposals and transfers, treats term 0 as "from this node", does not look at
    /// whom a message is for, and panics on a read index request without entries or on entries with gaps.
    fn is_acceptable(&self, message: &Message) -> bool {
        let peer = self.peer();
        if message.to != peer || message.from == peer || message.from == 0 || message.term == 0 {
            return false;
        }
        match message.get_msg_type() {
            MessageType::MsgHup
            | MessageType::MsgBeat
            | MessageType::MsgUnreachable
            | MessageType::MsgSnapStatus
            | MessageType::MsgCheckQuorum
            | MessageType::MsgPropose
            | MessageType::MsgReadIndex
            | MessageType::MsgReadIndexResp
            | MessageType::MsgTransferLeader => false,
            MessageType::MsgTimeoutNow => self.may_campaign(),
            MessageType::MsgSnapshot => !message.get_snapshot().is_empty(),
            MessageType::MsgAppend => {
                // Without a membership it needs a snapshot: the entries alone do not name the first voters.
                let has_members = self.node.raft.prs().iter().len() > 0;
                (has_members || message.index > 0)
                    && message
                        .entries
                        .iter()
                        .zip(message.index + 1..)
                        .all(|(entry, index)| entry.index == index)
            }
            MessageType::MsgAppendResponse
            | MessageType::MsgRequestVote
            | MessageType::MsgRequestVoteResponse
            | MessageType::MsgHeartbeat
            | MessageType::MsgHeartbeatResponse
            | MessageType::MsgRequestPreVote
            | MessageType::MsgRequestPreVoteResponse => true,
        }
    }
}
