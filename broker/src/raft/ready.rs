//! What raft wants done, in the order that keeps its promises: send what may go at once, stage, write, then send and answer
//! what rests on the write.

use raft::Ready;
use raft::eraftpb::{EntryType, Message, Snapshot, SnapshotMetadata};

use super::batch::Batch;
use super::group::{Fault, Group};
use super::ports::{GroupLog, StateMachine, Transport, Write};

/// One or more of raft's readies, whose writes are all in one batch or in earlier ones.
pub(super) struct Unsynced {
    batch: u64,
    /// Of the last of them: raft takes it as "all up to here".
    number: u64,
    /// To be sent when the batch is durable.
    messages: Vec<Message>,
    /// To be restored when the batch is durable.
    pub(super) snapshot: Option<Snapshot>,
    hard_state_term: u64,
}

impl<L: GroupLog, S: StateMachine> Group<L, S> {
    /// Handles one ready, if there is one.
    pub(super) fn advance(
        &mut self,
        transport: &mut impl Transport,
        batch: &mut Batch,
    ) -> Result<(), Fault> {
        self.propose_prepared()?;
        if !self.node.has_ready() {
            return self.lead_if_alone();
        }
        let mut ready = self.node.ready();
        self.check_log()?;
        let committed = ready.take_committed_entries();
        self.send_and_stage(ready, transport, batch);
        self.check_log()?;

        for entry in &committed {
            match entry.get_entry_type() {
                EntryType::EntryNormal => self
                    .machine
                    .apply(entry)
                    .map_err(|fault| Fault::new(format!("apply entry {}: {fault}", entry.index)))?,
                EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => {
                    self.apply_change(entry)?;
                }
            }
        }
        if let Some(last) = committed.last() {
            // Never `advance_apply`: it would claim a snapshot that is not restored yet.
            self.node.advance_apply_to(last.index);
            self.answer_waiters();
            self.step_down_if_removed();
        }
        self.settle()?;
        self.offer_snapshot()?;
        self.lead_if_alone()
    }

    fn send_and_stage(
        &mut self,
        mut ready: Ready,
        transport: &mut impl Transport,
        batch: &mut Batch,
    ) {
        let mut at_once = ready.take_messages();
        let mut when_durable = ready.take_persisted_messages();
        if let Some(hard_state) = ready.hs() {
            self.hard_state = hard_state.clone();
        }
        // A leader may send before its own write (raft thesis, 10.2.1) because its vote and term were durable before it was
        // elected. Not so a sole voter's: after a crash it would lead in the same term again, with other entries.
        if self.durable_term < self.hard_state.term {
            when_durable.append(&mut at_once);
        }
        if !at_once.is_empty() {
            transport.send(self.id, at_once);
        }

        let number = ready.number();
        let snapshot = (!ready.snapshot().is_empty()).then(|| ready.snapshot().clone());
        let must_write = ready.must_sync();
        if must_write {
            // A commit index alone need not be durable: entries are written without it.
            let written = &self.written_hard_state;
            let is_newer =
                (self.hard_state.term, self.hard_state.vote) != (written.term, written.vote);
            let write = Write {
                entries: ready.take_entries(),
                hard_state: is_newer.then(|| self.hard_state.clone()),
                snapshot: snapshot.clone(),
            };
            match is_newer {
                true => self.written_hard_state = self.hard_state.clone(),
                false => self.node.mut_store().log.note_commit(&self.hard_state),
            }
            self.node.mut_store().log.stage(&write);
            batch.add(self.id, &mut self.place_in_batch, write);
        } else if let Some(hard_state) = ready.hs() {
            self.node.mut_store().log.note_commit(hard_state);
        }
        self.node.advance_append_async(ready);

        match self.unsynced.back_mut() {
            // Readies count as persisted in order, so one without a write of its own waits for those before it.
            Some(last) if !must_write || last.batch == batch.token => {
                last.number = number;
                last.messages.append(&mut when_durable);
                last.snapshot = snapshot.or(last.snapshot.take());
                if must_write {
                    last.hard_state_term = self.hard_state.term;
                }
            }
            _ if must_write => self.unsynced.push_back(Unsynced {
                batch: batch.token,
                number,
                messages: when_durable,
                snapshot,
                hard_state_term: self.hard_state.term,
            }),
            _ => {
                self.node.on_persist_ready(number);
                if !when_durable.is_empty() {
                    transport.send(self.id, when_durable);
                }
            }
        }
    }

    /// The batch `token`, and all before it, are durable.
    pub(super) fn persisted(
        &mut self,
        token: u64,
        transport: &mut impl Transport,
    ) -> Result<(), Fault> {
        let before = self.node.raft.raft_log.persisted;
        while let Some(done) = self.unsynced.pop_front_if(|ready| ready.batch <= token) {
            self.node.on_persist_ready(done.number);
            self.check_log()?;
            self.durable_term = self.durable_term.max(done.hard_state_term);
            if let Some(snapshot) = &done.snapshot {
                self.restore(snapshot)?;
            }
            if !done.messages.is_empty() {
                transport.send(self.id, done.messages);
            }
        }
        let persisted = self.node.raft.raft_log.persisted;
        if persisted != before {
            self.machine.persisted(persisted);
        }
        self.settle()?;
        self.answer_waiters();
        self.lead_if_alone()?;
        match self.held_snapshot.take() {
            Some(message) => self.message(message).map(|_| ()),
            None => Ok(()),
        }
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), Fault> {
        let metadata = snapshot.get_metadata();
        self.machine
            .restore(snapshot)
            .map_err(|fault| Fault::new(format!("restore snapshot {}: {fault}", metadata.index)))?;
        self.membership_index = metadata.index;
        self.node
            .mut_store()
            .log
            .set_conf_state(metadata.index, metadata.get_conf_state());
        self.node.advance_apply_to(metadata.index);
        Ok(())
    }

    /// Raft asked the log for a snapshot that was not there; it asks again with the next heartbeat's response.
    fn offer_snapshot(&mut self) -> Result<(), Fault> {
        let Some(wanted) = self.node.mut_store().take_snapshot_request() else {
            return Ok(());
        };
        let raft = &self.node.raft;
        let index = raft.raft_log.applied;
        // While a restarted replica replays, its membership is already that of a later index.
        if index < wanted.max(1) || index < self.membership_index || self.awaits_snapshot() {
            return Ok(());
        }
        let term = raft
            .raft_log
            .term(index)
            .map_err(|error| Fault::new(format!("read the term of entry {index}: {error}")))?;
        let mut metadata = SnapshotMetadata {
            index,
            term,
            ..SnapshotMetadata::default()
        };
        metadata.set_conf_state(raft.prs().conf().to_conf_state());
        let mut snapshot = Snapshot::default();
        snapshot.set_metadata(metadata);
        snapshot.data = self
            .machine
            .snapshot()
            .map_err(|fault| Fault::new(format!("snapshot at index {index}: {fault}")))?;
        self.check_log()?;
        self.node.mut_store().log.offer_snapshot(snapshot);
        Ok(())
    }
}
