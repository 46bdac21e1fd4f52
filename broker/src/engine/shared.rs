//! What the handles of one partition share, and where it is: that changes when the partition moves to another directory.

use super::hosted::{Hosted, RaftHandle};
use super::{Error, LOCK};
use crate::partition::{Command, Output, Partition, PartitionView, Refusal, TopicConfig};
use crate::raft::ports::{Ack, GroupId};
use crate::raft::{Failure, Reply};
use crate::storage;
use crate::storage::shard::Shard;
use std::sync::{Arc, OnceLock, RwLock, Weak};

pub(super) struct Shared {
    pub group: GroupId,
    pub view: PartitionView,
    pub config: RwLock<Arc<TopicConfig>>,
    pub max_entry_bytes: usize,
    /// What was found damaged, once something was.
    pub damage: OnceLock<storage::Error>,
    place: RwLock<Arc<Place>>,
}

/// The directory that holds the partition.
pub(super) struct Place {
    pub shard: Arc<Shard>,
    raft: RaftHandle,
    hosted: Weak<Hosted>,
    /// Not in the moment in which it changes directories.
    takes_commands: bool,
    /// How often it has.
    moves: u64,
}

impl Place {
    pub fn new(hosted: &Weak<Hosted>, shard: Arc<Shard>, raft: RaftHandle) -> Place {
        Place {
            shard,
            raft,
            hosted: hosted.clone(),
            takes_commands: true,
            moves: 0,
        }
    }
}

impl Shared {
    pub fn new(
        group: GroupId,
        view: PartitionView,
        config: TopicConfig,
        max_entry_bytes: usize,
        place: Place,
    ) -> Shared {
        Shared {
            group,
            view,
            config: RwLock::new(Arc::new(config)),
            max_entry_bytes,
            damage: OnceLock::new(),
            place: RwLock::new(Arc::new(place)),
        }
    }

    pub fn place(&self) -> Arc<Place> {
        self.place.read().expect(LOCK).clone()
    }

    /// The partition goes on at `place`.
    pub fn settle_at(&self, place: Place) {
        let mut at = self.place.write().expect(LOCK);
        let moves = at.moves + 1;
        *at = Arc::new(Place { moves, ..place });
    }

    /// Until it is settled somewhere, commands are answered as if it had no leader.
    pub fn refuse_commands(&self) {
        let mut at = self.place.write().expect(LOCK);
        *at = Arc::new(Place {
            shard: at.shard.clone(),
            raft: at.raft.clone(),
            hosted: at.hosted.clone(),
            takes_commands: false,
            moves: at.moves,
        });
    }

    /// Asks the partition's shard, and asks once more when the partition has moved meanwhile: what is left behind is deleted, and
    /// an answer may lack what was.
    pub fn ask<T>(&self, ask: impl Fn(&Shard) -> T) -> T {
        loop {
            let place = self.place();
            let answer = ask(&place.shard);
            if self.place().moves == place.moves {
                return answer;
            }
        }
    }

    pub fn command(
        &self,
        command: Command,
        ack: Ack,
        answer: impl FnOnce(Result<Output, Failure<Refusal>>) + Send + 'static,
    ) {
        let place = self.place();
        if !place.takes_commands {
            return answer(Err(Failure::NotLeader { leader: 0 }));
        }
        place
            .raft
            .command(self.group, command, ack, Reply::new(answer));
    }

    /// Shows the partition's machine to `look`, on its worker's thread. Not called when the partition is gone by then.
    pub fn look(
        &self,
        look: impl FnOnce(&Partition) + Send + 'static,
    ) -> Result<(), Failure<Refusal>> {
        let group = self.group;
        let queued = self.place().raft.call(move |worker| {
            if let Some(machine) = worker.machine(group) {
                look(machine);
            }
        });
        queued.map_err(|_| Failure::Overloaded)
    }

    /// Takes this replica offline when `error` says that its data is damaged. The others of its directory go on.
    pub fn heed(&self, error: &storage::Error) {
        if !error.is_damage() || self.damage.set(error.clone()).is_err() {
            return;
        }
        if let Ok(hosted) = self.hosted() {
            let (group, why) = (self.group, error.to_string());
            hosted.call(group, move |worker| worker.take_offline(group, &why));
        }
    }

    pub fn hosted(&self) -> Result<Arc<Hosted>, Error> {
        self.place().hosted.upgrade().ok_or(Error::NoDirectory)
    }

    pub fn set_config(&self, config: TopicConfig) {
        *self.config.write().expect(LOCK) = Arc::new(config);
        self.apply_config();
    }

    /// Hands the machine what is set now: after a change, and after a move, which a change may have missed.
    pub fn apply_config(&self) {
        let config = self.config.read().expect(LOCK).clone();
        if let Ok(hosted) = self.hosted() {
            let group = self.group;
            hosted.call(group, move |worker| {
                if let Some(machine) = worker.machine_mut(group) {
                    machine.set_config((*config).clone());
                }
            });
        }
    }
}
