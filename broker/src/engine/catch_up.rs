//! Records in bulk, out of a replica and into one: what a snapshot names must be here before the snapshot is.
//!
//! A run is made by the housekeeper: one caller does the upkeep of a group. It takes them between its own steps.

use super::LOCK;
use super::handle::Handle;
use super::hosted::Hosted;
use super::housekeeper::Request;
use crate::raft::ports::GroupId;
use crate::storage;
use crate::storage::entry::SnapshotHeader;
use crate::storage::ids::Offset;
use crate::storage::import::Import;
use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, OnceLock};
use tokio::sync::oneshot;

/// Imports that may wait in one directory. One more is refused, and is asked for again by whoever ships it.
const MAX_WAITING: usize = 16;

#[derive(Clone, Debug, thiserror::Error)]
pub enum ImportError {
    /// Taken, it would make records that are not here look as if they were.
    #[error("records from offset {from} on are needed first, these begin at {base}")]
    Gap { from: Offset, base: Offset },
    #[error("the disk is nearly full")]
    NoRoom,
    #[error("too many runs wait to be made")]
    Busy,
    #[error("the directory closes")]
    Stopped,
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

pub(super) struct Waiting {
    group: GroupId,
    header: SnapshotHeader,
    import: Import,
    answer: oneshot::Sender<Result<(), ImportError>>,
}

/// What waits for the housekeeper of one directory.
#[derive(Default)]
pub(super) struct Imports {
    waiting: Mutex<VecDeque<Waiting>>,
    wake: OnceLock<Sender<Request>>,
}

impl Imports {
    /// There is somebody now who makes the runs.
    pub fn serve(&self, wake: Sender<Request>) {
        // One housekeeper for each directory.
        let _ = self.wake.set(wake);
    }

    fn add(&self, one: Waiting) {
        let mut waiting = self.waiting.lock().expect(LOCK);
        if waiting.len() >= MAX_WAITING {
            let _ = one.answer.send(Err(ImportError::Busy));
            return;
        }
        waiting.push_back(one);
        drop(waiting);
        let woken = self
            .wake
            .get()
            .is_some_and(|wake| wake.send(Request::Import).is_ok());
        if !woken {
            // Dropped unanswered, they are answered.
            self.waiting.lock().expect(LOCK).clear();
        }
    }
}

impl Handle {
    /// Whole entries from the one that holds `from` on, below `upto`, for another replica: at least one, and then while they fit
    /// in `max_bytes`. `None` when the log start has passed `from`. Everything below `upto` is to be committed.
    pub fn export(
        &self,
        from: Offset,
        upto: Offset,
        max_bytes: u64,
    ) -> Result<Option<Import>, storage::Error> {
        let group = self.shared.group;
        self.shared
            .ask(|shard| shard.export(group, from, upto, max_bytes))
            .inspect_err(|error| self.shared.heed(error))
    }

    /// From where on records must come before a snapshot with `header` may. `None` when all are here.
    pub fn import_from(&self, header: &SnapshotHeader) -> Result<Option<Offset>, storage::Error> {
        let group = self.shared.group;
        self.shared.ask(|shard| shard.import_from(group, header))
    }

    /// Makes a run of records that a snapshot with `header` names; it is durable when the answer comes. No answer is one, too:
    /// the directory closes.
    pub fn import(
        &self,
        header: SnapshotHeader,
        import: Import,
    ) -> oneshot::Receiver<Result<(), ImportError>> {
        let (answer, answered) = oneshot::channel();
        let has_room = self.shared.place().shard.has_room();
        match (self.shared.hosted(), has_room) {
            (Ok(hosted), true) => hosted.imports.add(Waiting {
                group: self.shared.group,
                header,
                import,
                answer,
            }),
            (Ok(_), false) => drop(answer.send(Err(ImportError::NoRoom))),
            (Err(_), _) => drop(answer.send(Err(ImportError::Stopped))),
        }
        answered
    }

    /// What one entry may have at most.
    pub fn max_entry_bytes(&self) -> usize {
        self.shared.max_entry_bytes
    }
}

/// Makes the runs that wait. For the housekeeper, between two steps.
pub(super) fn import_waiting(host: &Hosted) {
    loop {
        let next = host.imports.waiting.lock().expect(LOCK).pop_front();
        let Some(Waiting {
            group,
            header,
            import,
            answer,
        }) = next
        else {
            return;
        };
        // Who asked may have given up.
        if answer.is_closed() {
            continue;
        }
        let made = import_one(host, group, &header, import);
        // That it is deleted, or moves, is nothing to report; and what came from another broker may make no sense, which says nothing
        // of what is here.
        if let Err(ImportError::Storage(error)) = &made
            && matches!(error, storage::Error::Families(_) | storage::Error::Log(_))
        {
            host.report_fault("cannot import records", error);
            host.heed(group, error);
        }
        let _ = answer.send(made);
    }
}

fn import_one(
    host: &Hosted,
    group: GroupId,
    header: &SnapshotHeader,
    import: Import,
) -> Result<(), ImportError> {
    let base = import.base;
    match host.shard.import_from(group, header)? {
        None => Ok(()),
        Some(from) if base > from => Err(ImportError::Gap { from, base }),
        Some(_) => {
            host.shard.import_run(group, import)?;
            Ok(())
        }
    }
}
