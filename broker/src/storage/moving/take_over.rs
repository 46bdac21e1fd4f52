//! The moment at which a group changes directories. Whoever calls has stopped it: nothing is written to it meanwhile.

use super::arrival::without;
use crate::raft::ports::{GroupId, GroupLog as _, Write};
use crate::storage::error::Error;
use crate::storage::families;
use crate::storage::group_log::GroupLog;
use crate::storage::keys;
use crate::storage::rows::{GroupRow, MoveId, Run};
use crate::storage::seal::Checkpoint;
use crate::storage::shard::{Group, LOCK, Shard, Start};
use std::sync::Arc;

/// Why a group was not taken over.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failed {
    /// The old directory has changed since it was copied. It goes on there.
    #[error("the copy is behind")]
    Behind,
    /// It goes on in the old directory.
    #[error(transparent)]
    Kept(#[from] Error),
    /// Whether the change of owner is durable is for the next opening to find out: until then it goes on nowhere.
    #[error("which directory holds it is unknown until the broker starts again: {0}")]
    Unknown(Error),
}

/// What the old directory has beside the runs.
struct Rest {
    row: GroupRow,
    runs: Vec<Run>,
    write: Write,
}

impl Shard {
    /// Makes a group this directory's, durable on return. Its runs are here; the entries of its log in `from` come now. Then
    /// `from` is to delete it.
    ///
    /// `checkpoint` is as of what was applied when the group was stopped. When it goes on in `from` after all, `from` is told by
    /// [`Shard::stay`].
    pub fn take_over(&self, from: &Shard, checkpoint: &Checkpoint) -> Result<Start, Failed> {
        let id = checkpoint.group;
        let old = from.group(id)?;
        let (move_id, ours) =
            self.arrival(id, |arrival| (arrival.move_id, arrival.runs.clone()))?;
        let result = hold(from, &old, checkpoint, &ours)
            .and_then(|rest| self.receive(from, &old, checkpoint, rest, move_id));
        if let Err(Failed::Behind | Failed::Kept(_)) = &result {
            old.sealed.lock().expect(LOCK).held = false;
            let _ = self.arrival(id, |arrival| arrival.group = None);
        }
        result
    }

    fn receive(
        &self,
        from: &Shard,
        old: &Group,
        checkpoint: &Checkpoint,
        rest: Rest,
        move_id: MoveId,
    ) -> Result<Start, Failed> {
        let id = checkpoint.group;
        let (row, group, batch) = {
            let mut log = self.log.lock().expect(LOCK);
            let position = log.position();
            let row = GroupRow {
                hard_state_from: position,
                entries_from: position,
                ..rest.row
            };
            let mut group_log = GroupLog::from_row(id, &row, self.reader.clone());
            group_log.stage(&rest.write);
            // An entry that did not fit would be missing for good.
            if (group_log.last_index(), group_log.log_end())
                != (old.log.last_index(), old.log.log_end())
            {
                let reason = "its log does not fit together".to_owned();
                return Err(Failed::Kept(Error::Group { group: id, reason }));
            }
            let group = Arc::new(Group::new(group_log, row.clone(), rest.runs, false));
            // From here on it is known where its entries begin: nobody recycles that.
            self.arrival(id, |arrival| arrival.group = Some(group.clone()))?;
            self.append_writes(&mut log, &[(&group, &rest.write)])?;
            (row, group, [(id, rest.write)])
        };
        self.sync()?;
        from.mark_leaving(id, move_id)?;
        self.claim(id, &row)?;
        let start = Start {
            log: group.log.clone(),
            applied: row.applied,
            machine: row.machine,
        };
        self.groups.write().expect(LOCK).insert(id, group);
        self.arrivals.lock().expect(LOCK).remove(&id);
        self.remember(&batch);
        Ok(start)
    }

    fn mark_leaving(&self, id: GroupId, move_id: MoveId) -> Result<(), Error> {
        let _rows = self.rows.lock().expect(LOCK);
        self.families
            .put(&[(keys::leaving(id), Some(move_id.encode()))])?;
        Ok(self.families.flush()?)
    }

    /// The one change that decides.
    fn claim(&self, id: GroupId, row: &GroupRow) -> Result<(), Failed> {
        let _rows = self.rows.lock().expect(LOCK);
        let changes = [
            (keys::group(id), Some(row.encode())),
            (keys::arriving(id), None),
            // Of an earlier move, should it be there: it would say that somebody else owns.
            (keys::leaving(id), None),
        ];
        match self.families.put(&changes) {
            Ok(()) => {}
            Err(error @ families::Error::Full { .. }) => return Err(Failed::Kept(error.into())),
            Err(error) => return Err(Failed::Unknown(error.into())),
        }
        let flushed = self.families.flush();
        flushed.map_err(|error| Failed::Unknown(error.into()))
    }

    /// A group that was not taken over stays, durable on return. Until then the other directory keeps its copy.
    pub fn stay(&self, id: GroupId) -> Result<(), Error> {
        let _rows = self.rows.lock().expect(LOCK);
        self.families.put(&[(keys::leaving(id), None)])?;
        Ok(self.families.flush()?)
    }

    /// Bytes of the records that are not sealed, about.
    pub fn tail_bytes(&self, id: GroupId) -> Result<u64, Error> {
        let spans = self.group(id)?.log.tail_spans();
        Ok(spans.iter().map(|(_, bytes, _)| bytes).sum())
    }
}

/// From here on the old directory's rows and runs stay as they are.
fn hold(from: &Shard, old: &Group, checkpoint: &Checkpoint, ours: &[Run]) -> Result<Rest, Failed> {
    let _rows = from.rows.lock().expect(LOCK);
    let mut sealed = old.sealed.lock().expect(LOCK);
    if sealed.deleted {
        return Err(Failed::Kept(Error::UnknownGroup(old.log.id())));
    }
    let row = &sealed.row;
    let is_alike = without(ours, &sealed.runs).is_empty() && without(&sealed.runs, ours).is_empty();
    // A snapshot that is staged and not installed counts as a change, too.
    let is_cut_here = old.log.first_index() == row.truncated_index + 1;
    let is_newer = checkpoint.applied >= row.applied && checkpoint.applied <= old.log.last_index();
    if !is_alike || !is_cut_here || !is_newer {
        return Err(Failed::Behind);
    }
    let mut hard_state = old.log.hard_state();
    // All entries will be there before the row is.
    hard_state.commit = hard_state
        .commit
        .clamp(checkpoint.applied, old.log.last_index());
    let row = GroupRow {
        hard_state,
        conf_state: checkpoint.conf_state.clone(),
        applied: checkpoint.applied,
        machine: checkpoint.machine.clone(),
        ..row.clone()
    };
    sealed.held = true;
    drop(sealed);
    let entries = old.log.tail_entries().map_err(Error::from)?;
    Ok(Rest {
        row,
        runs: ours.to_vec(),
        write: Write {
            entries,
            ..Write::default()
        },
    })
}
